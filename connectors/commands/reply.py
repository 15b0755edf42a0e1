"""`connectors reply`."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.commands import sending
from connectors.commands.arguments import HERE, AsJson, Instance, SeedHome, home_of, text_of
from connectors.commands.sending import Attach, ExpiresAt, Format, Id, NotBefore, Text, Thread, Wait


def reply(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id.")],
    text: Text,
    *,
    seed_home: SeedHome = HERE,
    instance: Instance = None,
    attach: Attach = None,
    format_: Format = None,
    thread: Thread = None,
    id_: Id = None,
    not_before: NotBefore = None,
    expires_at: ExpiresAt = None,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Goes to the event's conversation and thread, also when its file is gone already. Prints the outgoing's id. With
    --wait it also says how the sending ended; exit code 1 when it failed or has not ended in time.
    """
    from connectors.base.mailbox import Mailbox
    from connectors.base.outcome import last_claim

    home = home_of(seed_home)
    fields = sending.fields_of(
        home, attach=attach, format_=format_, thread=thread, not_before=not_before, expires_at=expires_at
    )
    with Mailbox(home) as mailbox:
        event = mailbox.event(event_id, instance)
        after = last_claim(home, event.instance, id_) if id_ and wait is not None else 0
        outgoing_id = mailbox.reply(event, text_of(text), id=id_, **fields)
    sending.finish(home, event.instance, outgoing_id, wait, after=after, as_json=as_json)
