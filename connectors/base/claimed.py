"""An event in the hands of one worker."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from connectors.base.readers import Event, LostClaim

if TYPE_CHECKING:
    from connectors.base.claims import Claims


class Claimed:
    """An event that this consumer holds.

    As a context manager: acknowledged at the end, given back on an exception.
    """

    def __init__(self, claims: Claims, event: Event, key: str | None) -> None:
        self._claims = claims
        self.event = event
        self.key = key
        self.done = False

    @property
    def path(self) -> Path:
        return self.event.path

    @property
    def name(self) -> str:
        return self.event.path.name

    def ack(self) -> None:
        """See `Claims.ack`."""
        self._claims.ack(self)

    def nack(self, delay_s: float = 0.0) -> None:
        """See `Claims.nack`."""
        self._claims.nack(self, delay_s)

    def touch(self) -> None:
        """See `Claims.touch`."""
        self._claims.touch(self)

    def __enter__(self) -> Event:
        return self.event

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.done:
            return
        if kind is None:
            self.ack()
            return
        try:
            self.nack()
        except LostClaim as lost:
            if error is not None:
                error.add_note(str(lost))
