"""Events of a source into the inbox: whole batches or nothing, revised records once, unchanged ones never.

    emitter = Emitter(connector, kinds=("issue", "comment"))
    emitter.emit(events)                          # from a webhook, say
    emitter.emit(events, checkpoint={"since": 1}) # the bookmark in the same transaction as the last of them

A record's newest event and what its content was then lie in the row of that event itself, in the instance's store. So
they are there exactly when the event is, whatever dies in between, and go when retention forgets the event's id.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connectors.base.connector import Connector
from connectors.base.errors import RetryLater
from connectors.base.message import Message
from connectors.parts.checking import BadBatch, check_all
from connectors.parts.events import Checked, Kinds, to_message

#: One transaction has at most so many events, or so many bytes: the memory of 10,000 is that of this many.
CHUNK_EVENTS = 500
CHUNK_BYTES = 4_000_000


class Keep:
    """The type of `KEEP`."""

    def __repr__(self) -> str:
        return "KEEP"


#: In place of a checkpoint: it stays where it is. (None is a checkpoint: a fresh start.)
KEEP: Final = Keep()


@dataclass(frozen=True)
class Counts:
    """What became of events: new ones, revisions, and those that told nothing new."""

    new: int = 0
    revised: int = 0
    unchanged: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.new + other.new, self.revised + other.revised, self.unchanged + other.unchanged)

    def __str__(self) -> str:
        return f"{self.new} new, {self.revised} revised, {self.unchanged} unchanged"

    def to_dict(self) -> dict[str, int]:
        """For a receipt's metadata."""
        return {"new": self.new, "revised": self.revised, "unchanged": self.unchanged}


class Emitter:
    """Writes a connector's events. Thread-safe; one chunk at a time, also of several that share a `lock`.

    `adopt` makes of what a source brings what is to be checked and written.
    """

    def __init__(
        self,
        connector: Connector,
        kinds: Kinds = (),
        *,
        adopt: Callable[[object], object] | None = None,
        lock: threading.Lock | None = None,
    ) -> None:
        self._connector = connector
        self._kinds = kinds
        self._adopt = adopt
        #: Called with every event that is read, and after every write.
        self.on_progress: Callable[[], None] = lambda: None
        self._lock = lock or threading.Lock()
        self._closed = False
        self.writing = False  #: it may take long then, because the disk or the inbox is full

    def open(self) -> None:
        """Take events, also again after `close`."""
        self._closed = False

    def close(self) -> None:
        """From the return on nothing more is written, whoever still tries: RetryLater."""
        self._closed = True
        with self._lock:
            return

    def emit(self, events: Iterable[object], checkpoint: object = KEEP, *, name: str = "main") -> Counts:
        """Make events durable, and then the checkpoint, which may be a function that is called after the last event.

        Raises BadBatch when an event or the checkpoint is not well-formed: then nothing of a list was written. Of an
        iterator, which is taken in chunks, the chunk with that event and all after it; the chunks before are there,
        the checkpoint is where it was, and when they come again they are unchanged.
        """
        chunks = self._chunks(events, checkpoint)
        counts, chunk = Counts(), next(chunks, [])
        while True:
            following = next(chunks, None)
            bookmark: object = KEEP
            if following is None and not isinstance(checkpoint, Keep):
                bookmark = plain_json(checkpoint() if callable(checkpoint) else checkpoint)
            counts += self._write(chunk, bookmark, name)
            if following is None:
                return counts
            chunk = following

    def _chunks(self, events: Iterable[object], checkpoint: object) -> Iterator[list[Checked]]:
        if isinstance(events, str | bytes) or not isinstance(events, Iterable):
            raise BadBatch([f"events must be a list of Event, not of type {type(events).__name__}"])
        if self._adopt is not None:
            events = list(map(self._adopt, events)) if isinstance(events, Sequence) else map(self._adopt, events)
        if isinstance(events, Sequence):
            problems: list[str] = []
            if not isinstance(checkpoint, Keep) and not callable(checkpoint):
                problems += checkpoint_problems(checkpoint)
            try:
                checked = check_all(events, self._kinds)
            except BadBatch as error:
                problems = [*error.problems, *problems]
            if problems:
                raise BadBatch(problems)
            yield from _cut(checked)
        else:
            yield from _cut(self._checked(events))

    def _checked(self, events: Iterable[object]) -> Iterator[Checked]:
        """Check piece by piece, so that all problems of one are named; a piece is as large as a chunk."""
        waiting: list[object] = []
        for event in events:
            self.on_progress()
            waiting.append(event)
            if len(waiting) == CHUNK_EVENTS:
                yield from check_all(waiting, self._kinds)
                waiting.clear()
        yield from check_all(waiting, self._kinds)

    def _write(self, chunk: Sequence[Checked], checkpoint: object, name: str) -> Counts:
        with self._lock:
            if self._closed:
                raise RetryLater("stopped: nothing was accepted")
            self.writing = True
            try:
                messages, counts = self._messages(chunk)
                if messages or not isinstance(checkpoint, Keep):
                    bookmark = None if isinstance(checkpoint, Keep) else (name, checkpoint)
                    self._connector.write_all_to_inbox(messages, bookmark)
            finally:
                self.on_progress()
                self.writing = False
        return counts

    def _messages(self, chunk: Sequence[Checked]) -> tuple[list[Message], Counts]:
        newest = self._connector.newest_of([item.event.origin_id for item in chunk])
        messages: list[Message] = []
        revised = 0
        for item in chunk:
            origin = item.event.origin_id
            previous = newest.get(origin)
            if previous is not None and previous[1] == item.digest:
                continue
            message = to_message(item, self._connector.connector_type, self._connector.name, previous)
            newest[origin] = (message.id, item.digest)
            revised += previous is not None
            messages.append(message)
        return messages, Counts(len(messages) - revised, revised, len(chunk) - len(messages))


def _cut(checked: Iterable[Checked]) -> Iterator[list[Checked]]:
    chunk: list[Checked] = []
    size = 0
    for item in checked:
        if chunk and (len(chunk) >= CHUNK_EVENTS or size + item.size > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += item.size
    yield chunk


def checkpoint_problems(value: object) -> list[str]:
    """What keeps a checkpoint from coming back as it was given: it must be plain JSON."""
    try:
        same = json.loads(json.dumps(value)) == value
    except (TypeError, ValueError, RecursionError) as error:
        return [f"the checkpoint is no JSON: {error}"]
    return [] if same else ["the checkpoint is no plain JSON: keys must be texts, lists no tuples, numbers finite"]


def plain_json(value: Any) -> Any:
    """`value` as it will come back. Raises BadBatch."""
    if problems := checkpoint_problems(value):
        raise BadBatch(problems)
    return json.loads(json.dumps(value))
