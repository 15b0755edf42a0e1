"""`connectors fetch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from connectors.commands.arguments import HERE, AsJson, Instance, SeedHome, home_of
from connectors.commands.output import print_json, prose, say
from connectors.commands.sending import Wait

if TYPE_CHECKING:
    from connectors.base.outcome import Outcome
    from connectors.base.readers import Event


def fetch(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id.")],
    seed_home: SeedHome = HERE,
    instance: Instance = None,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """For attachments that have an `error` and a `ref` in place of a file. The event's connector fetches them and puts
    the event into the inbox again, with what it got. With --wait it says how that went; exit code 1 when nothing was
    fetched, or not in time.
    """
    from connectors.base.errors import Rejected
    from connectors.base.mailbox import Mailbox
    from connectors.base.message import OutgoingMessage
    from connectors.base.outcome import wait_for_outcome
    from connectors.base.outgoings import put

    home = home_of(seed_home)
    with Mailbox(home) as mailbox:
        event = mailbox.event(event_id, instance)
    names = _missing(event)
    if not names:
        raise Rejected(
            f"{event.id} has no file that is missing and can be fetched",
            hint="only attachments with a ref and without a path can be",
        )
    outgoing = OutgoingMessage(connector_instance=event.instance, action="fetch", target_id=event.id)
    put(home, outgoing, event=event)
    outcome = None if wait is None else wait_for_outcome(home, event.instance, outgoing.id, wait)
    if as_json:
        state = {"state": outcome.state if outcome else "waiting", "record": outcome.record if outcome else {}}
        print_json({"id": outgoing.id, "instance": event.instance, **({} if wait is None else state)})
    elif outcome is None:
        say(f"{outgoing.id}: {event.instance} is asked for {', '.join(names)}")
        say(f"The event comes into the inbox again with what it gets. How it went: connectors explain {outgoing.id}")
    else:
        _say_end(outgoing.id, outcome)
    if wait is not None and (outcome is None or not outcome.sent):
        raise typer.Exit(1)


def _missing(event: Event) -> list[str]:
    """The names of the attachments that can be fetched."""
    found = event.data["content"].get("attachments") or []
    entries = [entry for entry in found if isinstance(entry, dict) and entry.get("ref") and not entry.get("path")]
    return [str(entry.get("name") or "a file") for entry in entries]


def _say_end(outgoing_id: str, outcome: Outcome) -> None:
    if not outcome.sent:
        say(f"{outgoing_id} failed: {outcome.record.get('reason', outcome.state)}")
        if outcome.record.get("hint"):
            prose("  ", str(outcome.record["hint"]))
        return
    metadata = outcome.record.get("metadata") or {}
    say(f"{outgoing_id}: {metadata.get('fetched', 0)} fetched; the event is in the inbox again")
    for entry in metadata.get("failed") or []:
        say(f"  not fetched: {entry.get('name')}: {entry.get('error')}")
