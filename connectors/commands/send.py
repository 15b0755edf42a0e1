"""`connectors send`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.commands import sending
from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of, text_of
from connectors.commands.sending import Attach, ExpiresAt, Format, Id, NotBefore, Text, Thread, Wait


def send(
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", help="The connector, by its name.")],
    conversation: Annotated[str, typer.Argument(metavar="CONVERSATION", help="The platform's id of it.")],
    text: Text,
    *,
    seed_home: SeedHome = HERE,
    attach: Attach = None,
    format_: Format = None,
    thread: Thread = None,
    id_: Id = None,
    not_before: NotBefore = None,
    expires_at: ExpiresAt = None,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Writes it into the outbox and prints its id; the connector sends it when it runs. With --wait it also says how
    that ended; exit code 1 when it failed or has not ended in time.
    """
    from connectors.base.mailbox import Mailbox
    from connectors.base.outcome import last_claim

    home = home_of(seed_home)
    fields = sending.fields_of(
        home, attach=attach, format_=format_, thread=thread, not_before=not_before, expires_at=expires_at
    )
    after = last_claim(home, instance, id_) if id_ and wait is not None else 0
    with Mailbox(home) as mailbox:
        outgoing_id = mailbox.send(instance, conversation, text_of(text), id=id_, **fields)
    sending.finish(home, instance, outgoing_id, wait, after=after, as_json=as_json)
