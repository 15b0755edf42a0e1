"""Files out: an address for each, its bytes, and one completion that shows all of them in one post.

https://docs.slack.dev/messaging/working-with-files#upload . The ids of what was uploaded are written down, durably,
before the completion: after one whose outcome is not known files.info says whether people see them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from connectors.base.errors import Rejected, RetryLater
from connectors.base.files import replace_private
from connectors.base.message import OutgoingMessage, Receipt
from connectors.slack.answers import word_of
from connectors.slack.files import Files
from connectors.slack.incoming import listing, mapping, stamp, text

Call = Callable[..., Mapping[str, Any]]

#: A note of an upload is of no use when its outgoing must have ended.
_NOTE_KEPT_S = 3 * 86_400.0


class Uploads:
    """`folder` is the instance's private one."""

    def __init__(self, call: Call, files: Files, folder: Path) -> None:
        self._call = call
        self._files = files
        self._folder = folder

    def send(self, msg: OutgoingMessage, channel: str, thread: str | None) -> Receipt:
        """All of `msg.attachments` in one post. The receipt names the files' ids."""
        key = hashlib.sha256((msg.idempotency_key or msg.id).encode()).hexdigest()[:32]
        note = self._folder / f"upload-{key}.json"
        # Without a note no completion was ever asked for.
        begun = _noted(note) if msg.ambiguous else []
        shown = self._shown(begun[0]["id"], channel) if begun else "no"
        if shown == "yes":
            return Receipt(ids=[file["id"] for file in begun])
        files = begun if begun and shown == "no" else self._upload(msg)
        replace_private(note, json.dumps(files).encode(), durable=True)
        captions = "\n".join(file.caption for file in msg.attachments if file.caption)
        arguments = {"channel_id": channel, "thread_ts": thread, "initial_comment": captions or None}
        untold = shown == "unknown"
        try:
            self._call("files.completeUploadExternal", files=files, **arguments)
        except Rejected as error:
            if not begun or shown != "no" or word_of(error) != "file_not_found":
                raise
            untold = True  # completed by the attempt that was cut off, and not shown yet
        return Receipt(ids=[file["id"] for file in files], ambiguous=untold)

    def tidy(self) -> None:
        """Delete the notes of what must have ended."""
        for note in self._folder.glob("upload-*.json"):
            with contextlib.suppress(OSError):
                if time.time() - note.stat().st_mtime > _NOTE_KEPT_S:
                    note.unlink()

    def _upload(self, msg: OutgoingMessage) -> list[dict[str, str]]:
        files = []
        for file in msg.attachments:
            size, name = os.stat(file.path).st_size, file.name or "file"
            if size == 0:
                raise Rejected(f"{name} is empty", hint="Slack takes no empty file")
            try:
                answer = self._call("files.getUploadURLExternal", filename=name, length=str(size))
                self._files.upload(text(answer.get("upload_url")), file.path)
            except RetryLater as error:
                # Whatever arrived, nobody sees it before the completion.
                raise RetryLater(str(error), after_s=error.after_s) from error
            files.append({"id": text(answer.get("file_id")), "title": name})
        return files

    def _shown(self, file_id: str, channel: str) -> Literal["yes", "no", "unknown"]:
        """Whether people see it in the channel."""
        try:
            info = mapping(self._call("files.info", file=file_id).get("file"))
        except RetryLater as error:
            raise RetryLater(str(error), after_s=error.after_s, ambiguous=True) from error
        except Rejected as error:
            return "no" if word_of(error) == "file_not_found" else "unknown"
        for places in mapping(info.get("shares")).values():
            if any(stamp(mapping(share).get("ts")) for share in listing(mapping(places).get(channel))):
                return "yes"
        return "no"


def _noted(note: Path) -> list[dict[str, str]]:
    try:
        found: Any = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return []
    return [{"id": text(mapping(f).get("id")), "title": text(mapping(f).get("title"))} for f in listing(found)]
