"""One file, fetched once: its bytes go to disk as they come, and what goes wrong is said without secrets."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from typing import Any

from connectors.base.connector import Connector
from connectors.base.errors import ConnectorError, RetryLater
from connectors.base.files import NO_ROOM
from connectors.parts.reasons import reason_of

#: Gives the bytes of the file that an attachment's entry names, chunk by chunk.
Fetch = Callable[[Mapping[str, Any]], Iterable[bytes]]


class FetchFailed(Exception):
    """This file cannot be had. The text becomes the `error` of its entry."""


class FetchLater(Exception):
    """Not now. Tried again within the time limit, after `after_s` seconds where the platform gave them."""

    def __init__(self, message: str = "", *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class Fetcher:
    """Saves what `fetch` gives, up to `max_bytes`."""

    def __init__(self, connector: Connector, fetch: Fetch, max_bytes: int) -> None:
        self._connector = connector
        self._fetch = fetch
        self._max_bytes = max_bytes

    def refusal(self, entry: Mapping[str, Any]) -> str | None:
        """Why this file is not even asked for: its entry announces too many bytes."""
        size = entry.get("size")
        if isinstance(size, int) and size > self._max_bytes:
            return f"too large: it has {size} bytes, and {self._max_bytes} is the limit"
        return None

    def get(self, entry: Mapping[str, Any], wanted: Callable[[], bool]) -> dict[str, Any] | FetchLater | None:
        """One try: what to enter into the entry, or FetchLater with a text that may be shown.

        `wanted` is asked at every chunk; None when it says no.
        """
        try:
            with closing(self._chunks(entry, wanted)) as chunks:
                return self._connector.save_incoming(chunks, str(entry.get("name") or ""), wait=False)
        except _Unwanted:
            return None
        except (FetchLater, RetryLater) as error:
            return FetchLater(self._reason(error), after_s=error.after_s)
        except (FetchFailed, ConnectorError) as error:
            return {"error": self._reason(error)}
        except OSError as error:
            # Without the paths of this machine, which an OSError's own text has.
            return FetchLater("the disk is full" if error.errno in NO_ROOM else error.strerror or self._reason(error))
        except Exception as error:  # noqa: BLE001 - one file's failure must not end the thread
            # Not logged with its traceback's last line: that may hold a signed address, which no filter knows.
            said = f"{type(error).__name__}: {self._reason(error)}"
            where = "".join(traceback.format_tb(error.__traceback__))
            self._connector.logger.error("fetching a file: %s\n%s", said, where)  # noqa: TRY400 - see above
            return {"error": f"fetching it failed: {said}"}

    def _chunks(self, entry: Mapping[str, Any], wanted: Callable[[], bool]) -> Generator[bytes, None, None]:
        source = self._fetch(entry)
        size = 0
        try:
            for chunk in source:
                if not wanted():
                    raise _Unwanted
                size += len(chunk)
                if size > self._max_bytes:
                    raise FetchFailed(f"too large: it has more than {self._max_bytes} bytes, which is the limit")
                yield chunk
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()

    def _reason(self, error: Exception) -> str:
        return reason_of(str(error) or type(error).__name__, self._connector.redactor)


class _Unwanted(Exception):
    """Nobody waits for this file any more."""
