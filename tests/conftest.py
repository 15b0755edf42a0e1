"""Fixtures for every test."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.base.box import opened

# No deadline: scripts/bench measures how fast things are, never a test. In CI a failure has to come again.
settings.register_profile("home", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "home")

OWN_PREFIXES = ("MAILBOX_", "CONNECTORS_")
# These change where programs report to, or how their output looks.
FOREIGN_NAMES = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "FORCE_COLOR",
    "NO_COLOR",
    "COLUMNS",
    "LINES",
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's settings must not reach a test, nor the programs that it starts."""
    for name in os.environ:
        if name.startswith(OWN_PREFIXES) or name in FOREIGN_NAMES:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def closed_boxes() -> Iterator[None]:
    """A store that a test leaves open would be a warning in whichever test is running when it is collected."""
    yield
    while opened:
        opened.pop().close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logged may hold names that are no UTF-8, on purpose; pytest-xdist can hand on nothing else."""
    report = yield
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]
    return report
