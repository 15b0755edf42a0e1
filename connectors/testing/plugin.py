"""The pytest plugin that the package registers, so that the contract suite works outside this repository.

It is loaded in every pytest run of an environment that has the package, so it imports nothing until a test asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from connectors.testing.platform import FakePlatform

_WITH_ASSERTIONS = ("basis", "construction", "receiving", "delivering", "attempts", "badfiles", "processes", "reaching")

pytest.register_assert_rewrite(*(f"connectors.testing.{name}" for name in _WITH_ASSERTIONS))


@pytest.fixture
def mailbox_home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def fake_platform() -> Iterator[FakePlatform]:
    """A running FakePlatform."""
    from connectors.testing.platform import FakePlatform

    with FakePlatform() as platform:
        yield platform
