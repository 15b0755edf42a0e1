"""Fixtures of the Telegram tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.testing.telegram import FakeTelegram
from tests.telegram.bot import TOKEN, Bot

#: `bot(allow=…, …)`: the connector against the fake; not started.
MakeBot = Callable[..., Bot]


@pytest.fixture
def fake() -> Iterator[FakeTelegram]:
    """A Telegram on loopback."""
    with FakeTelegram(token=TOKEN) as platform:
        yield platform
        platform.release()


@pytest.fixture
def bot(tmp_path: Path, fake: FakeTelegram) -> Iterator[MakeBot]:
    """Bots that end with the test."""
    made: list[Bot] = []

    def make(**options: object) -> Bot:
        made.append(Bot(tmp_path / f"home{len(made)}", fake, **options))
        made[-1].home.root.mkdir()
        # Quick, so that a test of a failure does not wait for the backoff of production.
        made[-1].home.config_file.write_text(
            '{"connectors": [], "delivery": {"quiet_s": 0.1, "initial_delay_s": 0.01, "max_delay_s": 0.05}}'
        )
        return made[-1]

    yield make
    for one in made:
        one.close()
