"""What an earlier process left in .sending/: found by key, never by name."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from connectors.base.ends import HELD, Ends
from connectors.base.errors import BadMessage
from connectors.base.home import Home
from connectors.base.logbook import visible
from connectors.base.message import OutgoingMessage
from connectors.base.outbox import read_outgoing
from connectors.base.settings import DeliveryPolicy, Limits
from connectors.base.store import Claim, OutRow, OutState, Store

#: So many deaths of the process inside one send make a dead letter.
MAX_DEATHS = 3
#: A private copy of an attachment, finished or not.
_COPY = re.compile(r"([0-9a-f]{16})\.file[0-9]+(\.tmp)?")
#: A claim's key is the name of its file.
_CLAIMED = re.compile(r"[0-9a-f]{16}\.json")


@dataclass(frozen=True)
class Recovered:
    """An outgoing that goes on. `message` is None when the file cannot be read as one: its attempt will say so."""

    row: OutRow
    message: OutgoingMessage | None
    wait_s: float


class Recovery:
    """Brings the store and the folder together again, and ends what had ended."""

    def __init__(
        self,
        home: Home,
        name: str,
        store: Store,
        ends: Ends,
        *,
        policy: DeliveryPolicy,
        limits: Limits,
        once: Callable[[OutgoingMessage], bool],
        clock: Callable[[], float],
        on_event: Callable[..., None],
        logger: logging.Logger,
    ) -> None:
        self._folder = home.sending(name)
        self._outbox = home.outbox(name)
        self._failed = home.failed
        self._store = store
        self._ends = ends
        self._policy = policy
        self._limits = limits
        self._once = once
        self._clock = clock
        self._on_event = on_event
        self._logger = logger

    def run(self, known: Collection[str] = ()) -> list[Recovered]:
        """All that go on, in order of arrival; those whose keys are `known` are in good hands."""
        rows = {row.key: row for row in self._store.under_way() if row.key not in known}
        revived = self._store.revived_keys()
        files = {key: path for key, path in self._claimed_files().items() if key not in known}
        for key, file in list(revived.items()):
            if not (self._outbox / file).exists() and not self._is_dead_letter(rows.get(key)):
                self._store.forget_revived(file)  # claimed before the end, or deleted by hand
                del revived[key]
        for key, row in rows.items():
            if key not in files and key not in revived:
                self._without_file(row)
        self._delete_copies(but={*files, *known})
        orphans = [key for key in files if key not in rows]
        for key in sorted(orphans, key=lambda k: files[k].stat().st_ctime_ns):
            self._orphan(key, files[key])
        found = [self._with_file(row) for row in self._store.under_way() if row.key in files]
        return [recovered for recovered in found if recovered is not None]

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

    def _orphan(self, key: str, path: Path) -> None:
        """A claimed file whose record a power cut took back, or that ended and was not deleted yet."""
        row = self._store.outgoing(key)
        if row is None:
            self._store.insert_claims([Claim(key, path.name)])
        elif row.state == OutState.DEAD:
            self._ends.resume_burial(row)
        else:
            self._ends.discard(key)

    def _without_file(self, row: OutRow) -> None:
        if row.state == OutState.DYING:
            self._ends.resume_burial(row)
        elif row.state == OutState.CLAIMED:
            # The rename never happened: the file is in the outbox, or was deleted there.
            self._store.forget_outgoing(row.key)
        elif self._ends.find_receipt(row):
            self._store.update_outgoing(row.key, state=OutState.SENT)
        else:
            self._store.update_outgoing(row.key, state=OutState.CANCELLED, note="its file was deleted: cancelled")

    def _with_file(self, row: OutRow) -> Recovered | None:
        """Go on with a claimed file; None when that brought it to its end."""
        if row.state == OutState.DYING:
            self._ends.resume_burial(row)
            return None
        if row.state == OutState.SENDING:
            receipt = self._ends.find_receipt(row)
            if receipt is not None:
                self._store.update_outgoing(row.key, state=OutState.SENT, result=receipt.name)
                self._ends.discard(row.key)
                return None
            message = self._read(row)
            if not self._survives_a_death(row, ambiguous=message is None or not self._once(message)):
                return None
        # The clock may have stepped back since: never wait longer than the wait that was set.
        wait = min(max(0.0, row.next_at - self._clock()), row.wait_s) if row.state == OutState.QUEUED else 0.0
        return Recovered(row, self._read(row), wait)

    def _read(self, row: OutRow) -> OutgoingMessage | None:
        try:
            return read_outgoing(self._folder / f"{row.key}.json", self._limits.message_max_bytes)
        except (BadMessage, OSError):
            return None

    def _survives_a_death(self, row: OutRow, *, ambiguous: bool) -> bool:
        """The process died inside the send of `row`. False when that makes it a dead letter."""
        deaths = row.deaths + 1
        self._store.update_outgoing(
            row.key,
            durable=True,
            state=OutState.QUEUED,
            deaths=deaths,
            ambiguous=True,  # the platform may know its key; the next attempt is told all the same
            next_at=0.0,
            note=f"the process ended during attempt {row.attempts}",
        )
        if deaths >= MAX_DEATHS:
            text = f"the process ended {deaths} times while this was being sent"
            hint = "look at the log for what it does to the connector; then `connectors failed retry`"
            self._ends.bury_row(row, "crashed", text, hint, ambiguous=ambiguous)
            self._on_event("failed", error=text, hint=hint, kind="crashed", file=row.file)
            return False
        if ambiguous and self._policy.on_ambiguous == "hold":
            self._ends.bury_row(row, "ambiguous", *HELD, ambiguous=True)
            self._on_event("failed", error=HELD[0], hint=HELD[1], kind="ambiguous", file=row.file)
            return False
        self._logger.warning("%s: the process ended while it was being sent; sending it again", visible(row.file))
        return True
