"""Before anything is sent: in how many calls an outgoing goes, and what each of them carries. Needs no connection."""

from __future__ import annotations

import threading
from collections import OrderedDict

from connectors.base.errors import Rejected
from connectors.base.message import Attachment, OutgoingMessage
from connectors.telegram import formatting
from connectors.telegram.buttons import keyboard
from connectors.telegram.formatting import CAPTION_MAX
from connectors.telegram.media import Out, groups, look

_PLANS = 1000


class Planner:
    """`split` and `files` of the connector; remembers how many texts each outgoing has."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._plans: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def split(self, msg: OutgoingMessage) -> list[str]:
        """The texts, one call each; a last one that is empty is for the files. Raises Rejected for what cannot go."""
        buttons = keyboard(msg) is not None
        outs = self.outs(msg)
        for out in outs:
            if out.caption and formatting.length(out.caption, msg.format) > CAPTION_MAX:
                raise Rejected(
                    f"the caption of {out.name!r} is longer than {CAPTION_MAX} characters",
                    hint="put it into text, which may be of any length",
                )
        album = len(next(groups([out.kind for out in outs]), [])) > 1
        if not outs:
            texts = formatting.parts(msg.text, msg.format)
        elif not msg.text.strip():
            if buttons and album:
                raise Rejected("an album has no buttons", hint="give it a text: the buttons go below that")
            texts = [""]
        elif self._fits_below(msg, outs) and not (buttons and album):
            texts = [msg.text]
        else:
            # The files are a call of their own: when that fails, the text is not sent again.
            texts = [*formatting.parts(msg.text, msg.format), ""]
        self._note(msg.id, len(texts) - (len(texts) > 1 and not texts[-1]))
        return texts

    def files(self, msg: OutgoingMessage) -> list[list[Attachment]]:
        """In groups: albums, and those that go alone."""
        return [[msg.attachments[n] for n in group] for group in groups([out.kind for out in self.outs(msg)])]

    def outs(self, msg: OutgoingMessage) -> list[Out]:
        """The files, and what each is for Telegram."""
        as_document = bool(msg.metadata.get("as_document"))
        return [look(item, max_bytes=self._max_bytes, as_document=as_document) for item in msg.attachments]

    def place(self, msg: OutgoingMessage) -> tuple[bool, bool]:
        """Whether this call is the outgoing's first, and the last one with a text.

        A restart in between forgets how many there are: each of those that are left counts as the last.
        """
        number = (msg.idempotency_key or "").removeprefix(f"{msg.id}:")
        n = int(number) if number.isdecimal() and number != msg.idempotency_key else 0
        with self._lock:
            texts = self._plans.get(msg.id)
        return n == 0, texts is None or n == texts - 1

    def _fits_below(self, msg: OutgoingMessage, outs: list[Out]) -> bool:
        """Whether the text can be the caption of the first files: short, and in no other caption's place."""
        first = next(groups([out.kind for out in outs]))
        return not any(outs[n].caption for n in first) and formatting.length(msg.text, msg.format) <= CAPTION_MAX

    def _note(self, msg_id: str, texts: int) -> None:
        with self._lock:
            self._plans[msg_id] = texts
            self._plans.move_to_end(msg_id)
            while len(self._plans) > _PLANS:
                self._plans.popitem(last=False)
