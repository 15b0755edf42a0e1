"""The rows about one connector and the disk: durable writes in both directions."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import disk, raw
from bench.idle import IdleConnector
from bench.measure import Bench, Result, median, rate, ratio, result, take_turns
from connectors.base.logbook import tear_down
from connectors.base.message import ConnectorInfo, Content, Conversation, Message, OutgoingMessage, Sender
from connectors.base.secrets import RedactingFilter, Redactor

_CONVERSATIONS = 20
RAW = "raw write+fsync+rename+fsync(dir)"
TEXT = "The quick brown fox jumps over the lazy dog, and the dog takes notes about it for the weekly report. "


def message(number: int) -> Message:
    """An event of a common size: about 700 bytes as a file."""
    return Message(
        id=f"bench:{number}",
        connector=ConnectorInfo(type="idle", instance="bench"),
        sender=Sender(id="U1", username="ada", display_name="Ada"),
        content=Content(text=f"{number}: {TEXT}"),
        conversation=Conversation(id=f"C{number % _CONVERSATIONS}", type="channel", name="general"),
    )


def drop(outbox: Path, number: int) -> None:
    """Put an outgoing into the outbox as a plain writer does: nothing is synced."""
    name = f"{number:08d}.json"
    text = f'{{"id": "o{number}", "conversation_id": "C{number % _CONVERSATIONS}", "text": "{number}: {TEXT}"}}\n'
    hidden = outbox.parent / f".{name}.tmp"
    hidden.write_text(text)
    os.rename(hidden, outbox / name)


class Counting(IdleConnector):
    """Counts, and asks for the end after `enough` sends."""

    sent = 0
    enough = 0

    def send_message(self, msg: OutgoingMessage) -> bool:
        """Count."""
        self.sent += 1
        if self.sent == self.enough:
            self.stop()
        return True


@contextmanager
def connector(home: Path, enough: int = 0) -> Iterator[Counting]:
    """An opened connector that logs as one under a manager does, into a file."""
    found = Counting("bench", home)
    found.enough = enough
    redactor = Redactor(("an-expanded-value", "xoxb-a-canary-token"))
    home.mkdir(exist_ok=True)
    with open(home / "stderr", "a", encoding="utf-8") as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handler.addFilter(RedactingFilter(redactor))
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.INFO)
        root.addHandler(handler)
        try:
            found.checkpoint()  # opens the store
            yield found
        finally:
            found.close()
            tear_down([handler])
            root.setLevel(level)


def _check_sent(sent: int, wanted: int) -> None:
    """A rate over anything else than what was to be sent would be none."""
    if sent != wanted:
        raise RuntimeError(f"{sent} of {wanted} were sent")


class Raw:
    """The floor, in folders of its own on the same disk."""

    def __init__(self, folder: Path, size: int) -> None:
        self._staging, self._target = folder / "raw" / "staging", folder / "raw" / "target"
        self._staging.mkdir(parents=True)
        self._target.mkdir()
        self._data = b"x" * size
        self._count = 0

    def calm(self) -> float:
        """See disk.calm."""
        return disk.calm(self._staging)

    def write(self, count: int) -> None:
        for _ in range(count):
            self._count += 1
            raw.write_durably(self._staging, self._target, f"{self._count:08d}.json", self._data)


def inbox_one(bench: Bench) -> Result:
    """Durable inbox writes, one at a time."""
    return _inbox(bench, "inbox-one", "durable inbox write, one at a time", 1, 0.6)


def inbox_batch(bench: Bench) -> Result:
    """Durable inbox writes in batches of 100."""
    return _inbox(bench, "inbox-batch", "durable inbox write, batch of 100", 100, 1.5)


def _inbox(bench: Bench, row: str, what: str, batch: int, goal: float) -> Result:
    count = bench.sizes.writes if batch == 1 else max(batch, bench.sizes.writes * 2)
    floor_count = bench.sizes.writes
    with bench.scratch(row) as folder, connector(folder / "home") as one:
        floor = Raw(folder, len(message(1).to_bytes()))

        def ours(number: int) -> float:
            events = [message(number * count + n) for n in range(count)]

            def work() -> None:
                for start in range(0, count, batch):
                    one.write_all_to_inbox(events[start : start + batch])

            return rate(count, work)

        creation_us = floor.calm()
        rates = take_turns(
            bench.sizes.rounds, ours=ours, raw=lambda _: rate(floor_count, lambda: floor.write(floor_count))
        )
    return result(
        row, what, "events/s", ours=median(rates["ours"]), peer=median(rates["raw"]), peer_name=RAW,
        figure=ratio(rates["ours"], rates["raw"]), figure_unit="of raw", goal=(">=", goal), rounds=rates,
        creation_us=creation_us,
    )  # fmt: skip


def outbox(bench: Bench) -> Result:
    """Outbox throughput, from the claim to the receipt."""
    count = bench.sizes.writes
    with bench.scratch("outbox") as folder, connector(folder / "home") as one:
        floor = Raw(folder, 400)

        def ours(number: int) -> float:
            for n in range(count):
                drop(one.outbox, number * count + n)
            return rate(count, one.process_outbox)

        creation_us = floor.calm()
        rates = take_turns(bench.sizes.rounds, ours=ours, raw=lambda _: rate(count, lambda: floor.write(count)))
        _check_sent(one.sent, count * bench.sizes.rounds)
    return result(
        "outbox", "outbox throughput, claim → receipt", "sends/s", ours=median(rates["ours"]),
        peer=median(rates["raw"]), peer_name=RAW, figure=ratio(rates["ours"], rates["raw"]), figure_unit="of raw",
        goal=(">=", 0.35), rounds=rates, creation_us=creation_us,
    )  # fmt: skip


def outbox_queue(bench: Bench) -> Result:
    """The first sends of a connector that finds a big queue, against one that finds a small one."""
    small, big = bench.sizes.queued
    first = min(bench.sizes.first_sends, small)
    with bench.scratch("queue") as folder:
        bench.say(f"making a queue of {big} files")
        with connector(folder / "big") as one:
            outbox = one.outbox
        next_number = 0
        for next_number in range(1, big + 1):
            drop(outbox, next_number)

        def few(number: int) -> float:
            with connector(folder / f"small-{number}") as one:
                for n in range(small):
                    drop(one.outbox, n)
            return first_sends(folder / f"small-{number}")

        def many(_: int) -> float:
            nonlocal next_number
            for _ in range(first):
                next_number += 1
                drop(outbox, next_number)
            return first_sends(folder / "big")

        def first_sends(home: Path) -> float:
            with connector(home, enough=first) as one:
                found = rate(first, one.process_outbox)
                _check_sent(one.sent, first)
                return found

        rates = take_turns(min(bench.sizes.rounds, 5), many=many, few=few)
    return result(
        "outbox-100k", f"outbox throughput, first {first} of {big} queued against {small} queued", "sends/s",
        ours=median(rates["many"]), peer=median(rates["few"]), peer_name=f"{small} queued",
        figure=ratio(rates["many"], rates["few"]), figure_unit=f"of {small} queued", goal=(">=", 0.8), rounds=rates,
    )  # fmt: skip
