"""The doctor asks every platform, in a process of its own, and survives whatever that does."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from connectors.base import diagnose
from connectors.base.checks import Finding, Level, examine
from connectors.base.home import Home

HEAD = """
    import os, sys, time
    from connectors.base import options
    from connectors.base.checks.finding import Finding, Level
    from connectors.base.connector import Connector
    from connectors.base.errors import AuthError
    from connectors.base.options import option
    from connectors.base.secrets import Secret

    class Mine(Connector):
        connector_type = "mine"

        class Options(options.Options):
            token: Secret = option(description="a token", env="MINE_TOKEN")

        def connect(self): raise AssertionError("the doctor never connects")
        def disconnect(self): pass
        def run_loop(self): pass
        def send_message(self, msg): return True

        def diagnose(self):
"""


def findings(home: Path, body: str, *, names: tuple[str, ...] = ("mine-main",)) -> list[Finding]:
    """What the platform check says when `diagnose` has this body."""
    source = textwrap.dedent(HEAD) + textwrap.indent(textwrap.dedent(body), " " * 8)
    (home / "mine.py").write_text(source)
    (home / ".env").write_text("MINE_TOKEN=canary-3141592653\n")
    (home / ".env").chmod(0o600)
    entries = [{"name": name, "type": "./mine.py"} for name in names]
    (home / "connectors.yml").write_text(json.dumps({"connectors": entries}))
    return [found for found in examine(Home(home)) if found.area in ("platform", "doctor")]


def test_what_the_connector_finds_is_reported_with_its_fix(home: Path) -> None:
    body = """
        yield Finding(Level.WARNING, "platform", f"{self.name}: privacy mode is on", "the platform", "turn it off")
    """
    found = findings(home, body, names=("one", "two"))
    assert [(f.level, f.what, f.fix) for f in found] == [
        (Level.WARNING, "one: privacy mode is on", "turn it off"),
        (Level.WARNING, "two: privacy mode is on", "turn it off"),
    ]


def test_an_error_of_the_tree_is_a_finding_with_its_hint(home: Path) -> None:
    (found,) = findings(home, 'raise AuthError("the token is refused", hint="make a new one")')
    assert (found.level, found.what, found.fix) == (
        Level.ERROR,
        "mine-main: the token is refused",
        "make a new one",
    )


@pytest.mark.parametrize(
    "body",
    [
        'yield Finding(Level.INFO, "platform", self.options.token.reveal(), "here", self.options.token.reveal())',
        "raise AuthError(self.options.token.reveal())",
        "raise ValueError(self.options.token.reveal())",
        "print(self.options.token.reveal(), flush=True); os._exit(3)",
        "sys.stderr.write(self.options.token.reveal()); sys.stderr.flush(); os._exit(3)",
    ],
)
def test_no_secret_is_in_a_finding(home: Path, body: str) -> None:
    (found,) = findings(home, body)
    assert "canary" not in repr(found)


def test_a_diagnosis_that_dies_is_a_finding_and_hides_no_other(home: Path) -> None:
    body = """
        if self.name == "one":
            os._exit(9)
        yield Finding(Level.INFO, "platform", "two answers", "here", "nothing")
    """
    died, answered = findings(home, body, names=("one", "two"))
    assert died.what.startswith("one: asking the platform ended with 9")
    assert answered.what == "two answers"


def test_a_platform_that_never_answers_is_a_finding(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnose, "LIMIT_S", 1.0)
    (found,) = findings(home, "time.sleep(600)")
    assert found.what == "mine-main: no answer from the platform within 1 s"


def test_what_an_sdk_prints_is_no_finding(home: Path) -> None:
    assert findings(home, 'print("[]]"); return []') == []
