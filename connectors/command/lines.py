"""Bytes in, lines out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

#: Of a line that is too long so much is kept, for a person to see what it was.
_SHOWN = 1000


@dataclass(frozen=True)
class TooLong:
    """A line that was longer than allowed: what it began with, and how long it was."""

    start: bytes
    size: int


class Lines:
    """Never keeps more than `most` bytes of a line, however long it is. Blank lines are none."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._part = bytearray()
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes | TooLong]:
        """The lines that are whole now, without their ends."""
        *ends, rest = chunk.split(b"\n")
        found: list[bytes | TooLong] = []
        for piece in ends:
            self._add(piece)
            found += self.rest()
        self._add(rest)
        return found

    def rest(self) -> list[bytes | TooLong]:
        """What came after the last newline, as a line."""
        part, size = bytes(self._part), self._size
        self._part.clear()
        self._size = 0
        if size > self._most:
            return [TooLong(part[:_SHOWN], size)]
        return [part.removesuffix(b"\r")] if part.strip() else []

    def _add(self, piece: bytes) -> None:
        self._part += piece[: self._most - len(self._part)]
        self._size += len(piece)
