"""An event's main fields as environment variables. Pure."""

from __future__ import annotations

import os
from pathlib import Path

from connectors.base.readers import Event

#: One variable may have 128 KiB on Linux (execve(2), MAX_ARG_STRLEN), its name included.
MAX_VARIABLE_BYTES = 100_000


def variables(home: Path, event: Event, attempt: int) -> dict[bytes, bytes]:
    """The main fields of an event as `MAILBOX_*` variables.

    NUL characters, which no variable can hold, are replaced by U+FFFD. Values are cut at 100,000 bytes;
    `MAILBOX_TEXT_CUT` is then the text's whole length in bytes. The event on stdin is always whole.
    """
    whole = _bytes(event.text)
    values = {
        "ID": event.id,
        "KIND": event.kind,
        "INSTANCE": event.instance,
        "TYPE": event.type,
        "SENDER": event.sender_name,
        "SENDER_ID": event.sender_id,
        "CONVERSATION": event.conversation_id,
        "THREAD": event.thread_id or "",
        "TEXT": event.text,
        "TEXT_CUT": str(len(whole)) if len(whole) > MAX_VARIABLE_BYTES else "",
        "ATTEMPT": str(attempt),
    }
    made = {f"MAILBOX_{name}".encode(): _bytes(value) for name, value in values.items()}
    made = {name: value[:MAX_VARIABLE_BYTES].decode(errors="ignore").encode() for name, value in made.items()}
    return {**made, b"MAILBOX_FILE": os.fsencode(event.path), b"MAILBOX_HOME": os.fsencode(home)}


def _bytes(text: str) -> bytes:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace")
