"""What an edit means: which change, when it is noticed, and what the check of the options finds."""

import os
import selectors
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.base.check import CHECK_LIMIT_S, Check, Checked
from connectors.base.config import load
from connectors.base.process import Lifeline
from connectors.base.reload import QUIET_S, FileWatch, Kind, diff
from connectors.base.settings import Config, Entry, Limits
from tests.helpers import wait_for


def entry(name: str, **changes: Any) -> Entry:
    return replace(Entry(name=name, type="cli", enabled=True, options={"a": 1}, raw={}, line=1), **changes)


def verdicts(old: list[Entry], new: list[Entry], **kwargs: Any) -> list[str]:
    return [str(change) for change in diff(Config(tuple(old)), Config(tuple(new)), **kwargs)]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "a: unchanged"),
        ({"line": 9, "raw": {"a": "${ONE}"}}, "a: unchanged"),
        ({"options": {"a": 2}}, "a: restarted (options changed)"),
        ({"type": "slack", "options": {}}, "a: restarted (type, options changed)"),
        ({"limits": Limits(log_files=2)}, "a: restarted (limits changed)"),
        ({"enabled": False}, "a: stopped (disabled)"),
    ],
)
def test_the_verdict_names_what_changed(changes: dict[str, Any], verdict: str) -> None:
    assert verdicts([entry("a")], [entry("a", **changes)]) == [verdict]


def test_the_order_of_the_entries_is_no_change_and_a_disabled_one_is_none() -> None:
    assert verdicts([entry("a"), entry("b")], [entry("b"), entry("a")]) == ["b: unchanged", "a: unchanged"]
    assert verdicts([], [entry("a", enabled=False)]) == []
    assert verdicts([entry("a", enabled=False)], [entry("a")]) == ["a: started"]
    assert verdicts([entry("a")], []) == ["a: stopped (removed)"]
    assert verdicts([entry("a")], [entry("a")], by_env=frozenset({"a"})) == ["a: restarted (variables changed)"]


def test_another_group_concerns_everybody() -> None:
    (change,) = diff(Config((entry("a"),)), Config((entry("a"),), group="mail"))
    assert (change.kind, change.why) == (Kind.RESTART, "group changed")


def test_a_file_is_read_when_it_has_been_quiet_and_only_once(tmp_path: Path) -> None:
    path = tmp_path / "connectors.yml"
    path.write_text("1")
    watch = FileWatch(path, tmp_path / ".env")
    assert not watch.changed(10)
    path.write_text("22")
    assert not watch.changed(20)
    assert not watch.changed(20 + QUIET_S / 2)
    path.write_text("333")
    assert not watch.changed(20 + QUIET_S)
    assert watch.changed(20 + 2 * QUIET_S)
    assert not watch.changed(30)
    (tmp_path / ".env").touch()
    assert not watch.changed(40)
    assert watch.changed(41)
    path.unlink()
    assert not watch.changed(50)
    assert watch.changed(51)


def test_an_edit_that_keeps_size_and_time_is_seen_by_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "connectors.yml"
    path.write_text("1")
    watch = FileWatch(path)
    status = path.stat()
    (tmp_path / "new").write_text("2")
    os.utime(tmp_path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (tmp_path / "new").rename(path)
    watch.changed(10)
    assert watch.changed(11)


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    line = Lifeline()
    yield line
    line.close()


def checking(
    config: Config, lifeline: Lifeline, old: Config | None = None
) -> tuple[Check, list[Checked], selectors.BaseSelector]:
    found: list[Checked] = []
    selector = selectors.DefaultSelector()
    check = Check(
        old,
        config,
        selector=selector,
        started_s=0,
        done=found.append,
        error_fd=2,
        lifeline_fd=lifeline.fd,
        method="exec",
    )
    return check, found, selector


def config_of(home: Path, module: str) -> Config:
    (home / "mine.py").write_text(module)
    (home / "connectors.yml").write_text("connectors:\n  - name: a\n    type: ./mine.py\n")
    return load(home)


def test_a_connector_whose_import_hangs_is_given_up(home: Path, lifeline: Lifeline) -> None:
    touched = home / "importing"
    module = f"import threading\nopen({str(touched)!r}, 'w').close()\nthreading.Event().wait()\n"
    check, found, selector = checking(config_of(home, module), lifeline)
    wait_for(touched.exists)
    check.look(CHECK_LIMIT_S - 1)
    assert found == []
    check.look(CHECK_LIMIT_S)
    assert [text for _, text in found[0].problems] == ["the check of the options did not end within 20 s"]
    assert not selector.get_map()
    check.look(CHECK_LIMIT_S + 1)
    assert len(found) == 1
    selector.close()


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        ("import os\nos._exit(3)\n", "the check of the options failed: see logs/manager.log"),
        ("print('{}')\n", "connectors.yml:3: a: "),
    ],
)
def test_a_connector_that_cannot_be_imported_is_a_problem(
    module: str, problem: str, home: Path, lifeline: Lifeline
) -> None:
    _, found, selector = checking(config_of(home, module), lifeline)
    while not found:
        for key, _ in selector.select(10):
            key.data()
    assert problem in found[0].problems[0][1]
    selector.close()


SEEDS_STYLE = """
from connectors.base.connector import Connector
{options}
class Mine(Connector):
    connector_type = "mine"
    def connect(self): self.token = self.get_config("token", env_key="MINE_TOKEN")
    def disconnect(self): pass
    def run_loop(self): self.wait()
    def send_message(self, msg): return True
"""


@pytest.mark.parametrize(
    ("before", "after", "concerned"),
    [
        ("MINE_TOKEN=1\n", "MINE_TOKEN=2\n", {"a"}),
        ("", "MINE_TOKEN=2\n", {"a"}),
        ("MINE_TOKEN=1\n", "# a comment\nMINE_TOKEN='1'\n", set()),
    ],
    ids=["value", "new", "same-values"],
)
def test_whoever_declares_no_options_may_read_any_variable(
    before: str, after: str, concerned: set[str], home: Path, lifeline: Lifeline
) -> None:
    (home / ".env").write_text(before)
    old = config_of(home, SEEDS_STYLE.format(options=""))
    (home / ".env").write_text(after)

    _, found, selector = checking(load(home), lifeline, old)
    while not found:
        for key, _ in selector.select(10):
            key.data()

    assert found == [Checked(by_env=frozenset(concerned))]
    selector.close()


def test_whoever_declares_options_is_concerned_by_those_variables_only(home: Path, lifeline: Lifeline) -> None:
    module = SEEDS_STYLE.format(options="from connectors.base.options import Options, option\n")
    module = module.replace(
        "    def connect",
        "    class Options(Options):\n        a: str = option('', description='x', env='A')\n    def connect",
        1,
    )
    (home / ".env").write_text("OTHER=1\n")
    old = config_of(home, module)
    (home / ".env").write_text("OTHER=2\n")

    _, found, selector = checking(load(home), lifeline, old)
    while not found:
        for key, _ in selector.select(10):
            key.data()

    assert found == [Checked()]
    selector.close()
