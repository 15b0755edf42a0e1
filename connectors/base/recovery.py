"""What an earlier process left in .sending/: found by key, never by name."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from connectors.base.ends import HELD, ReasonClass
from connectors.base.errors import BadMessage
from connectors.base.logbook import visible
from connectors.base.message import OutgoingMessage
from connectors.base.outbound import Outbound
from connectors.base.outbox import read_outgoing
from connectors.base.pause import DEAD_LETTERS, LOOK_AGAIN_S, Pause
from connectors.base.store import Claim, OutRow, OutState

#: So many deaths of the process inside one send make a dead letter.
MAX_DEATHS = 3
#: A private copy of an attachment, finished or not.
_COPY = re.compile(r"([0-9a-f]{16})\.file[0-9]+(\.tmp)?")
#: A claim's key is the name of its file.
_CLAIMED = re.compile(r"[0-9a-f]{16}\.json")


@dataclass(frozen=True)
class Recovered:
    """An outgoing that goes on. `message` is None when the file cannot be read as one: its attempt will say so.

    `end`: it is a dead letter, and this makes it one.
    """

    row: OutRow
    message: OutgoingMessage | None
    wait_s: float = 0.0
    end: Callable[[], None] | None = None


class Recovery:
    """Brings the store and the folder together again, and ends what had ended."""

    def __init__(self, outbound: Outbound, pause: Pause) -> None:
        self._out = outbound
        self._pause = pause
        self._folder = outbound.home.sending(outbound.name)
        self._outbox = outbound.home.outbox(outbound.name)
        self._failed = outbound.home.failed
        self._store = outbound.store
        self._ends = outbound.ends

    def run(self, known: Collection[str] = ()) -> list[Recovered]:
        """All that go on, in order of arrival; those whose keys are `known` are in good hands."""
        rows = {row.key: row for row in self._store.under_way() if row.key not in known}
        revived = self._store.revived_keys()
        files = {key: path for key, path in self._claimed_files().items() if key not in known}
        for key, file in list(revived.items()):
            if not (self._outbox / file).exists() and not self._is_dead_letter(rows.get(key)):
                self._store.forget_revived(file)  # claimed before the end, or deleted by hand
                del revived[key]
        gone = [self._without_file(row) for key, row in rows.items() if key not in files and key not in revived]
        self._delete_copies(but={*files, *known})
        orphans = [key for key in files if key not in rows]
        ended = [self._orphan(key, files[key]) for key in sorted(orphans, key=lambda k: files[k].stat().st_ctime_ns)]
        going = [self._with_file(row) for row in self._store.under_way() if row.key in files]
        return [recovered for recovered in (*gone, *ended, *going) if recovered is not None]

    def _is_dead_letter(self, row: OutRow | None) -> bool:
        """Its `failed retry` has told the store and not moved the file yet: what was sent of it must stay known."""
        return row is not None and row.result is not None and (self._failed / row.result).exists()

    def _claimed_files(self) -> dict[str, Path]:
        """{key: path}. What else lies there is none of ours; doctor names it."""
        with os.scandir(self._folder) as entries:
            return {
                entry.name.removesuffix(".json"): Path(entry.path)
                for entry in entries
                if _CLAIMED.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            }

    def _delete_copies(self, but: Collection[str]) -> None:
        """Private copies of attachments whose outgoing ended while they were being deleted."""
        for name in os.listdir(self._folder):
            copy = _COPY.fullmatch(name)
            if copy and copy[1] not in but:
                (self._folder / name).unlink(missing_ok=True)

    def _orphan(self, key: str, path: Path) -> Recovered | None:
        """A claimed file whose record a power cut took back, or that ended and was not deleted yet."""
        row = self._store.outgoing(key)
        if row is None:
            self._store.insert_claims([Claim(key, path.name)])
        elif row.state == OutState.DEAD:
            return self._end(row, partial(self._ends.resume_burial, row))
        else:
            self._ends.discard(key)
        return None

    def _without_file(self, row: OutRow) -> Recovered | None:
        if row.state == OutState.DYING:
            return self._end(row, partial(self._ends.resume_burial, row))
        if row.state == OutState.CLAIMED:
            # The rename never happened: the file is in the outbox, or was deleted there.
            self._store.forget_outgoing(row.key)
        elif self._ends.find_receipt(row):
            self._store.update_outgoing(row.key, state=OutState.SENT)
        else:
            self._store.update_outgoing(row.key, state=OutState.CANCELLED, note="its file was deleted: cancelled")
        return None

    def _with_file(self, row: OutRow) -> Recovered | None:
        """Go on with a claimed file; None when that brought it to its end."""
        if row.state == OutState.DYING:
            return self._end(row, partial(self._ends.resume_burial, row))
        if row.state == OutState.SENDING:
            receipt = self._ends.find_receipt(row)
            if receipt is not None:
                self._store.update_outgoing(row.key, state=OutState.SENT, result=receipt.name)
                self._ends.discard(row.key)
                return None
            message = self._read(row)
            end = self._after_a_death(row, ambiguous=message is None or not self._out.sending.once(message))
            if end is not None:
                return self._end(row, end)
        # The clock may have stepped back since: never wait longer than the wait that was set.
        wait = min(max(0.0, row.next_at - self._out.clock()), row.wait_s) if row.state == OutState.QUEUED else 0.0
        return Recovered(row, self._read(row), wait)

    def _read(self, row: OutRow) -> OutgoingMessage | None:
        try:
            return read_outgoing(self._folder / f"{row.key}.json", self._out.limits.message_max_bytes)
        except (BadMessage, OSError):
            return None

    def _after_a_death(self, row: OutRow, *, ambiguous: bool) -> Callable[[], None] | None:
        """The process died inside the send of `row`. What makes it a dead letter, if that was once too often."""
        deaths, text, hint = row.deaths + 1, "", ""
        why: ReasonClass | None = None
        if deaths >= MAX_DEATHS:
            why, text = "crashed", f"the process ended {deaths} times while this was being sent"
            hint = "look at the log for what it does to the connector; then `connectors failed retry`"
        elif ambiguous and self._out.policy.on_ambiguous == "hold":
            why, (text, hint) = "ambiguous", HELD
        self._store.update_outgoing(
            row.key,
            durable=True,
            # Until it is a dead letter it is one whose send was cut off: nothing may send it meanwhile.
            state=OutState.SENDING if why else OutState.QUEUED,
            deaths=deaths,
            ambiguous=True,  # the platform may know its key; the next attempt is told all the same
            next_at=0.0,
            note=f"the process ended during attempt {row.attempts}",
        )
        if why:
            return partial(self._bury, row, why, text, hint, ambiguous=ambiguous)
        self._out.logger.warning("%s: the process ended while it was being sent; sending it again", visible(row.file))
        return None

    def _bury(self, row: OutRow, why: ReasonClass, text: str, hint: str, *, ambiguous: bool) -> None:
        self._ends.bury_row(row, why, text, hint, ambiguous=ambiguous)
        self._out.on_event("failed", error=text, hint=hint, kind=why, file=row.file)

    def _end(self, row: OutRow, end: Callable[[], None]) -> Recovered | None:
        """Do it now; where something is in the way, it goes on with that."""
        wait_s = self._pause.left_s(DEAD_LETTERS)
        if wait_s == 0:
            try:
                end()
            except (OSError, sqlite3.OperationalError) as error:
                self._pause.begin(error, DEAD_LETTERS)
                wait_s = LOOK_AGAIN_S
            else:
                return None
        return Recovered(row, None, wait_s, end)
