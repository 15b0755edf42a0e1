"""Fixtures for the Slack connector's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.testing.slack import FakeSlack
from tests.slack.live import Live


@pytest.fixture
def fake() -> Iterator[FakeSlack]:
    """A workspace that redelivers quickly."""
    with FakeSlack(ack_timeout_s=1.0, retry_waits_s=(0.0, *[0.1] * 100)) as entered:
        yield entered


@pytest.fixture
def live(fake: FakeSlack, home: Path) -> Iterator[Live]:
    """A connector with the options of `Live`."""
    with Live(fake, home) as entered:
        yield entered
