"""Fixtures of the tests of the fake GitHub."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from connectors.testing.github import FakeGitHub, Repository
from tests.github.conftest import clock, fake

__all__ = ["anybody", "client", "clock", "fake", "repository"]


@pytest.fixture
def repository(fake: FakeGitHub) -> Repository:
    """One whose team has the token's account in it."""
    return fake.repository("acme/app", team=["connector-bot", "bob"])


@pytest.fixture
def client(fake: FakeGitHub) -> Iterator[httpx.Client]:
    """Somebody with the token."""
    with httpx.Client(base_url=fake.url, headers={"Authorization": f"Bearer {fake.token}"}, timeout=20) as found:
        yield found


@pytest.fixture
def anybody(fake: FakeGitHub) -> Iterator[httpx.Client]:
    """Somebody without one."""
    with httpx.Client(base_url=fake.url, timeout=20) as found:
        yield found
