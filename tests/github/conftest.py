"""Fixtures of the GitHub tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.testing.github import FakeGitHub, Repository
from tests.github.live import REPOSITORY, Clock, Place


@pytest.fixture
def clock() -> Clock:
    """The fake's clock."""
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> Iterator[FakeGitHub]:
    """A GitHub on loopback."""
    with FakeGitHub(clock=clock) as platform:
        yield platform


@pytest.fixture
def repository(fake: FakeGitHub) -> Repository:
    """One that the token may push to."""
    return fake.repository(REPOSITORY, team=["connector-bot", "bob"])


@pytest.fixture
def place(home: Path, fake: FakeGitHub, repository: Repository, clock: Clock) -> Iterator[Place]:
    """The connector's home."""
    made = Place(home, fake, repository, clock)
    yield made
    made.close()
