"""approvals, approve and deny, with a connector that asked."""

import json
import subprocess
from pathlib import Path

import pytest

from connectors.parts.approvals import Approvals, Request
from tests.commands.program import PROGRAM, answer, connectors, done, on_terminal
from tests.helpers import wait_for
from tests.parts.acts import NAME, IssuesConnector, drop, result, running, runs


def ask(home: Path, **fields: object) -> Request:
    """A request whose connector does not run."""
    drop(home, "a", "assign_asked", **fields)
    with running(home) as process:
        process.connected()
        [request] = wait_for(lambda: answer_of(home))
        process.terminate()
        process.wait()
    return request


def answer_of(home: Path) -> list[Request]:
    from connectors.base.home import Home

    return Approvals(Home(home)).requests()[0]


@pytest.fixture
def issues(home: Path) -> Path:
    """A home with that connector in its connectors.yml."""
    text = f"connectors:\n  - name: {NAME}\n    type: {IssuesConnector.__module__}:{IssuesConnector.__qualname__}\n"
    (home / "connectors.yml").write_text(text)
    return home


def test_what_waits_is_listed_shown_and_approved(issues: Path) -> None:
    request = ask(issues)
    [row] = answer("approvals", home=issues)
    assert (row["id"], row["action"], row["standing"]) == (request.id, "assign_asked", "waiting")
    assert row["input"] == {"issue": 7, "assignee": "ada"}
    assert done("approvals", home=issues).split("\t")[:4] == [request.id, "7 d", NAME, "assign_asked"]
    shown = done("approvals", request.id.lower(), home=issues)
    assert '"assignee": "ada"' in shown
    assert "hints:     destructive" in shown
    assert "approved assign_asked" in done("approve", request.id[:4], home=issues)
    assert answer("approvals", home=issues) == []
    again = connectors("approve", request.id, home=issues)
    assert (again.returncode, "approved already" in again.stderr) == (1, True)
    with running(issues) as process:
        process.connected()
        assert result(issues)["status"] == "ok"


def test_a_denial_needs_a_reason_that_the_agent_is_told(issues: Path) -> None:
    request = ask(issues)
    assert connectors("deny", request.id, home=issues).returncode == 2
    done("deny", request.id, "--why", "not on a Friday", home=issues)
    with running(issues) as process:
        process.connected()
        assert "not on a Friday" in result(issues)["error"]
    assert runs(issues) == []


def test_another_input_is_checked_before_anything_is_decided(issues: Path, tmp_path: Path) -> None:
    request = ask(issues)
    file = tmp_path / "input.json"
    for text, code in (("{", 78), ("[]", 78), ('{"issue": 0, "asignee": "x"}', 1)):
        file.write_text(text)
        refused = connectors("approve", request.id, "--edit", file, home=issues)
        assert refused.returncode == code, refused
    assert 'did you mean "assignee"' in refused.stderr
    assert "greater than 0" in refused.stderr
    file.write_text('{"issue": 9, "assignee": "grace"}')
    assert '"issue":9' in done("approve", request.id, "--edit", file, home=issues)
    with running(issues) as process:
        process.connected()
        assert result(issues)["input"] == {"issue": 9, "assignee": "grace"}


def test_two_people_at_once_and_one_decision_stands(issues: Path) -> None:
    request = ask(issues)
    verbs = [["approve", request.id], ["deny", request.id, "--why", "no"]] * 2
    started = [
        subprocess.Popen([*PROGRAM, *verb], cwd=issues, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for verb in verbs
    ]
    assert sorted(process.wait(60) for process in started) == [0, 1, 1, 1]


def test_an_unknown_id_is_an_error_that_says_what_to_do(issues: Path) -> None:
    for verb in (["approve", "NOPE"], ["deny", "NOPE", "--why", "x"], ["approvals", "NOPE"], ["approve", ""]):
        refused = connectors(*verb, home=issues)
        assert refused.returncode == 1
        assert "connectors approvals" in refused.stderr


def test_nothing_waits(issues: Path) -> None:
    assert done("approvals", home=issues) == ""
    assert answer("approvals", home=issues) == []
    assert "nothing waits" in on_terminal("approvals", home=issues)
    assert not (issues / "state" / "approvals").exists(), "looking makes nothing"


def test_what_an_agent_wrote_steers_no_terminal_and_the_list_fits_it(issues: Path) -> None:
    request = ask(issues, input={"assignee": "\x1b[2Jevil\u202e" + "x" * 200})
    for text in (
        on_terminal("approvals", home=issues),
        on_terminal("approvals", request.id, home=issues),
        done("approvals", home=issues),
        connectors("approvals", "--json", home=issues).stdout,
        done("approve", request.id, home=issues),
    ):
        assert "\x1b[2J" not in text
        assert "\u202e" not in text


def test_a_request_that_somebody_changed_is_named_and_cannot_be_approved(issues: Path) -> None:
    request = ask(issues)
    path = issues / "state" / "approvals" / f"{request.id}.request.json"
    path.write_bytes(path.read_bytes().replace(b'"ada"', b'"eve"'))
    listed = connectors("approvals", "--json", home=issues)
    assert json.loads(listed.stdout) == []
    assert request.id in listed.stderr
    refused = connectors("approve", request.id, home=issues)
    assert (refused.returncode, "was changed" in refused.stderr) == (1, True)


def test_explain_says_that_it_waits_for_a_person(issues: Path) -> None:
    request = ask(issues)
    assert f"waits for a person: connectors approve {request.id}" in done("explain", request.outgoing, home=issues)


def test_types_show_the_shapes(issues: Path) -> None:
    shown = json.loads(done("types", f"{IssuesConnector.__module__}:IssuesConnector", "--json", home=issues))
    [one] = [action for action in shown["actions"] if action["name"] == "assign_asked"]
    assert one["requires_approval"]
    assert "assignee" in one["input_schema"]["properties"]


def test_status_counts_what_waits_for_a_person(issues: Path) -> None:
    assert "approvals:" not in connectors("status", home=issues).stdout
    request = ask(issues)
    assert "approvals: 1 action to decide about (connectors approvals)\n" in connectors("status", home=issues).stdout
    assert answer("status", home=issues)["approvals"] == 1
    done("approve", request.id, home=issues)
    assert answer("status", home=issues)["approvals"] == 0
