"""Promises of a connector that nobody has started: cheap to construct, declared without its SDK, loadable."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from connectors.base.declaration import declaration_of
from connectors.base.home import Home
from connectors.base.registry import load_class
from connectors.testing.basis import ContractBasis


class Construction(ContractBasis):
    """Design section 5: the constructor makes folders and nothing else; the class declares what it is."""

    def test_the_constructor_makes_the_folders_and_nothing_else(self, home: Home, tmp_path: Path) -> None:
        self.make(tmp_path / "another-home")  # what is imported for the first time is not the constructor's doing
        home.config_file.unlink()
        before = _process()
        self.make(home.root)
        assert _process() == before
        made = {path.relative_to(home.root).as_posix() for path in home.root.rglob("*")}
        leaves = {"messages/inbox", f"messages/outbox/{self.instance}", "messages/failed", "logs"}
        assert made == leaves | {"messages", "messages/outbox"}

    def test_the_names_that_the_seed_promises_are_there(self, home: Home) -> None:
        connector = self.make(home.root)
        assert (connector.name, connector.inbox, connector.failed) == (self.instance, home.inbox, home.failed)
        assert (connector.outbox, connector.log_dir) == (home.outbox(self.instance), home.logs)
        assert connector.config == self.options(None)
        assert isinstance(connector.logger, logging.Logger)
        assert connector._running is True  # noqa: SLF001 - the seed document promises this private name

    def test_disconnect_is_safe_without_connect_and_twice(self, home: Home) -> None:
        connector = self.make(home.root)
        connector.disconnect()
        connector.disconnect()

    def test_the_declaration_is_readable_and_says_what_everything_is(self) -> None:
        declared = declaration_of(self.connector)
        assert re.fullmatch(r"[a-z][a-z0-9_-]*", declared.type), "connector_type: lower case, digits, - and _"
        assert declared.summary, "give the class a docstring: its first line is the summary"
        for option in declared.options or ():
            assert option.description, f"option {option.name} has no description"
            named_like_one = re.search(r"(token|secret|password|passphrase|api_?key)$", option.name, re.IGNORECASE)
            assert option.secret or not named_like_one, f"option {option.name}: give it the type Secret"
        json.dumps(declared.to_dict())

    def test_reading_the_declaration_imports_no_sdk(self) -> None:
        place = f"{self.connector.__module__}:{self.connector.__qualname__}"
        path = os.pathsep.join(entry for entry in sys.path if entry)
        found = subprocess.run(
            [sys.executable, "-m", "connectors.testing.declared", place],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            check=True,
        )
        assert json.loads(found.stdout) == [], "import the SDK in client.py, or inside connect()"

    def test_the_class_is_found_by_its_dotted_name(self, home: Home) -> None:
        if "<locals>" in self.connector.__qualname__ or "." in self.connector.__qualname__:
            pytest.skip("the class is defined inside another one or a function")
        place = f"{self.connector.__module__}:{self.connector.__qualname__}"
        assert load_class(place, home.root) is self.connector


def _process() -> dict[str, object]:
    """What a constructor could change in its process."""
    root = logging.getLogger()
    descriptors = Path("/proc/self/fd")
    return {
        "threads": threading.enumerate(),
        "signals": [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)],
        "logging": (list(root.handlers), root.level),
        # The folder's own descriptor is in the listing, both times.
        "descriptors": len(list(descriptors.iterdir())) if descriptors.is_dir() else None,
        "folder": Path.cwd(),
        "environment": dict(os.environ),
    }
