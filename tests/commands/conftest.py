"""Fixtures for the tests of the verbs."""

from pathlib import Path

import pytest

from tests.commands.program import new_home


@pytest.fixture
def box(home: Path) -> Path:
    """A home as `connectors init` makes it."""
    return new_home(home)
