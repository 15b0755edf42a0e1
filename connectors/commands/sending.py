"""What `send` and `reply` share: the fields of an outgoing, and waiting for its end."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from connectors.base.errors import ConfigError
from connectors.base.home import Home
from connectors.commands.output import print_json, prose, say

Text = Annotated[str, typer.Argument(metavar="TEXT", help="What to say; - reads it from stdin.")]
Attach = Annotated[list[Path] | None, typer.Option("--attach", metavar="FILE", help="Send this file; repeatable.")]
Format = Annotated[
    str | None, typer.Option("--format", metavar="FORMAT", help="markdown (default), plain, html or native.")
]
Thread = Annotated[str | None, typer.Option("--thread", metavar="ID", help="The thread in the conversation.")]
Id = Annotated[str | None, typer.Option("--id", metavar="ID", help="Idempotency key: sent once under this id.")]
NotBefore = Annotated[
    str | None, typer.Option("--not-before", metavar="TIME", help="Send it then: ISO 8601, or +10m, +2h, +1d.")
]
ExpiresAt = Annotated[str | None, typer.Option("--expires-at", metavar="TIME", help="Not after this time.")]
Wait = Annotated[
    float | None, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait so long for its receipt or failure.")
]

_AFTER = re.compile(r"\+(\d+)([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_CHUNK = 1 << 20


def fields_of(
    home: Home,
    *,
    attach: list[Path] | None,
    format_: str | None,
    thread: str | None,
    not_before: str | None,
    expires_at: str | None,
) -> dict[str, Any]:
    """The optional fields of an outgoing, those that were given."""
    fields: dict[str, Any] = {
        "format": format_,
        "thread_id": thread,
        "not_before": _time(not_before, "--not-before"),
        "expires_at": _time(expires_at, "--expires-at"),
        "attachments": [_attachment(home, path) for path in attach] if attach else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def finish(home: Home, instance: str, outgoing_id: str, wait_s: float | None, *, after: int, as_json: bool) -> None:
    """Print the id, or, after waiting, the end. Exits with 1 when it failed, or has not ended in time."""
    if wait_s is None:
        if as_json:
            print_json({"id": outgoing_id, "instance": instance})
        else:
            say(outgoing_id)
        return
    from connectors.base.outcome import wait_for_outcome

    outcome = wait_for_outcome(home, instance, outgoing_id, wait_s, after=after)
    if as_json:
        state = outcome.state if outcome else "waiting"
        record = outcome.record if outcome else {}
        print_json({"id": outgoing_id, "instance": instance, "state": state, "record": record})
    elif outcome is None:
        say(f"{outgoing_id} is not sent yet: connectors explain {outgoing_id}")
    elif outcome.sent:
        ids = ", ".join(map(str, outcome.record.get("ids", [])))
        say(f"{outgoing_id} {outcome.state}" + (f": {ids}" if ids else ""))
    else:
        say(f"{outgoing_id} failed: {outcome.record.get('reason', outcome.state)}")
        if outcome.record.get("hint"):
            prose("  ", str(outcome.record["hint"]))
    if outcome is None or not outcome.sent:
        raise typer.Exit(1)


def _time(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    if after := _AFTER.fullmatch(text):
        return datetime.now(UTC) + timedelta(seconds=int(after[1]) * _UNITS[after[2]])
    try:
        # Without a zone it is this machine's time, as everywhere on a command line.
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise ConfigError(
            f"{option}: {text!r} is no time", hint="write 2026-01-31T12:00:00+00:00, or +10m, +2h, +1d from now"
        ) from None


def _attachment(home: Home, path: Path) -> dict[str, str]:
    """A file below messages/attachments/ as it is; any other is copied there, where the connector may read it."""
    from connectors.base import config
    from connectors.base.attachments import save_incoming
    from connectors.base.settings import Limits

    if not path.is_file():
        raise ConfigError(f"--attach: {path} is no file", hint="name a regular file")
    whole = path.absolute()
    if whole.is_relative_to(home.attachments):
        return {"path": whole.relative_to(home.root).as_posix()}
    limits = config.load(home).limits if home.config_file.exists() else Limits()
    with path.open("rb") as file:
        saved = save_incoming(home, iter(lambda: file.read(_CHUNK), b""), path.name, limits.attachment_max_bytes)
    return {"path": saved["path"], "name": saved["name"]}
