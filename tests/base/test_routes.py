"""The section `routes:` in connectors.yml: read with its lines, checked against the instances."""

from pathlib import Path

import pytest

from connectors.base.config import check_options, load

HEAD = "connectors:\n  - {name: cli, type: cli}\n  - {name: hook, type: webhook}\n"


def problems(home: Path, text: str) -> list[str]:
    (home / "connectors.yml").write_text(HEAD + text)
    config = load(home / "connectors.yml", {})
    _, more = check_options(config, home)
    return [f"{p.line} {p.text} {p.suggestion or ''}".strip() for p in (*config.problems, *more)]


def test_the_routes_are_one_more_instance(tmp_path: Path) -> None:
    assert problems(tmp_path, "routes:\n  - {name: r, when: {source: hook}, then: {outbox: cli}}\n") == []
    config = load(tmp_path / "connectors.yml", {})
    assert [(entry.name, entry.type) for entry in config.entries][-1] == ("routes", "routes")


@pytest.mark.parametrize("text", ["", "routes:\n", "routes: []\n"])
def test_no_routes_are_no_instance(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == []
    assert len(load(tmp_path / "connectors.yml", {}).entries) == 2


def test_every_problem_has_its_line(tmp_path: Path) -> None:
    text = (
        "routes:\n  - name: a\n    when:\n      source: [hok]\n    then:\n      outbox: clu\n"
        "  - name: b\n    then:\n      outbox: cli\n      text: ${NO_SUCH_VARIABLE}\n"
    )
    found = problems(tmp_path, text)
    assert [line.split()[0] for line in found] == ["7", "9", "13"]
    assert 'route 1: there is no instance "hok"' in found[0]
    assert '"hook"' in found[0]
    assert '"clu"' in found[1]
    assert "NO_SUCH_VARIABLE is not set" in found[2]


def test_what_the_class_declares_is_checked_with_its_line(tmp_path: Path) -> None:
    text = "routes:\n  - name: a\n    then:\n      outbox: cli\n      txt: x\n"
    (found,) = problems(tmp_path, text)
    assert '"txt" is no field of an outgoing' in found
    assert found.split()[0] in {"6", "7"}


def test_an_instance_of_that_name_is_in_the_way(tmp_path: Path) -> None:
    text = "  - {name: routes, type: cli}\nroutes:\n  - {name: a, then: {outbox: cli}}\n"
    assert any('the routes run as the instance "routes"' in line for line in problems(tmp_path, text))


def test_routes_that_are_no_list_are_refused(tmp_path: Path) -> None:
    assert any("must be a list" in line for line in problems(tmp_path, "routes: {a: b}\n"))
