"""Group commit with a writer of the connector's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from connectors.base.errors import RetryLater
from connectors.parts.committing import Busy, Committer
from connectors.testing.fake import FakeConnector


@pytest.fixture
def connector(home: Path) -> Iterator[FakeConnector]:
    """Somebody whose inbox is left alone."""
    made = FakeConnector("fake", home, {"url": "http://127.0.0.1:9"})
    yield made
    made.close()


def _commit(committer: Committer, *batches: list[Any]) -> list[BaseException | None]:
    async def all_of_them() -> list[BaseException | None]:
        return await asyncio.gather(*map(committer.commit, batches), return_exceptions=True)

    committer.start()
    try:
        return asyncio.run(all_of_them())
    finally:
        committer.close()


def test_what_is_committed_goes_through_the_given_writer(connector: FakeConnector) -> None:
    written: list[Any] = []
    assert _commit(Committer(connector, written.extend), [1, 2], [3]) == [None, None]
    assert sorted(written) == [1, 2, 3]


def test_a_writer_that_cannot_now_acknowledges_nothing(connector: FakeConnector) -> None:
    def full(_: Sequence[Any]) -> None:
        raise RetryLater("no room")

    assert [type(error) for error in _commit(Committer(connector, full), [1])] == [Busy]


def test_one_that_cannot_be_written_takes_no_other_with_it(connector: FakeConnector) -> None:
    written: list[Any] = []

    def write(batch: Sequence[Any]) -> None:
        if "bad" in batch:
            raise ValueError("bad")
        written.extend(batch)

    found = _commit(Committer(connector, write), ["bad"], ["good"], ["better"])
    assert [type(error) for error in found] == [ValueError, type(None), type(None)]
    assert sorted(written) == ["better", "good"]
