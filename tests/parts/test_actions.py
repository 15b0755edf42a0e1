"""Actions: declared with their shapes, checked, run once, answered once. Real processes, killed where it hurts."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from connectors.base import steps
from connectors.base.connector import Connector
from connectors.base.declaration import declaration_of
from connectors.base.errors import Exit, Rejected
from connectors.base.failed import dead_letters, retry
from connectors.base.home import Home
from connectors.parts.contract import Action
from tests.helpers import wait_for
from tests.parts.acts import (
    NAME,
    Assign,
    IssuesConnector,
    IssuesSource,
    SourceWithIssues,
    assign,
    drop,
    events,
    reasons,
    receipts,
    result,
    results,
    running,
    runs,
)

WRITING = ("outbox.committed", "outbox.sent", "outbox.receipt", "outbox.recorded", "outbox.deleted")
RUNNING = ("action.begun", "action.ran", "action.recorded", "action.told")


def ended(home: Path) -> bool:
    """Nothing of the instance's outgoings is under way any more."""
    folders = (Home(home).outbox(NAME), Home(home).sending(NAME))
    return not [path for folder in folders for path in folder.glob("*.json")]


def finish(home: Path, **given: Any) -> str:
    """Run until all outgoings have ended; the log."""
    with running(home, **given) as process:
        process.connected()
        wait_for(lambda: ended(home), deadline_s=20)
        process.terminate()
        assert process.wait() == 0, process.output
        return process.output


# ── declared ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_declaration_shows_shapes_and_hints_and_no_handler() -> None:
    shown = {action["name"]: action for action in declaration_of(IssuesConnector).actions}
    assert json.loads(json.dumps(shown)) == shown
    assert shown["assign"]["input_schema"]["properties"]["issue"]["exclusiveMinimum"] == 0
    assert shown["assign"]["output_schema"]["required"] == ["issue", "assignee"]
    assert not shown["assign"]["requires_approval"]
    assert shown["wipe"]["requires_approval"], "what destroys asks, unless the type says otherwise"
    assert shown["assign_asked"]["hints"] == {
        "destructive": True,
        "idempotent": False,
        "open_world": True,
        "read_only": False,
    }
    assert shown["assign_again"]["hints"]["idempotent"]
    assert "handler" not in shown["assign"]


@pytest.mark.parametrize("given", [{"name": "send"}, {"name": "Bad name"}, {"read_only": True, "destructive": True}])
def test_a_declaration_that_cannot_be_is_refused_at_once(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=given.get("name", "assign")):
        Action(given.pop("name", "assign"), assign, **given)


def test_the_contract_changes_with_version_and_shape_alone() -> None:
    class Wider(Assign):
        more: int = 0

    first = Action("assign", assign, input=Assign)
    assert first.contract("1") == Action("assign", lambda *_: None, input=Assign).contract("1")
    assert len({first.contract("1"), first.contract("2"), Action("assign", assign, input=Wider).contract("1")}) == 3


def test_every_problem_of_an_input_is_named() -> None:
    with pytest.raises(Rejected) as caught:
        Action("assign", assign, input=Assign).read_input({"issue": 0, "asignee": "ada"})
    text = str(caught.value)
    assert '"asignee" is not known (did you mean "assignee"?)' in text
    assert '"issue" must be greater than 0' in text
    assert '"assignee" is missing' in text


def test_an_output_that_its_own_model_would_not_accept_is_found() -> None:
    class Out(BaseModel):
        number: int

    action = Action("count", lambda *_: None, output=Out)
    unchecked: Any = Out.model_construct
    assert action.read_output({"number": 1}) == {"number": 1}
    with pytest.raises(ValueError, match="number"):
        action.read_output(unchecked(number="many"))
    with pytest.raises(ValueError, match="return a mapping"):
        Action("count", lambda *_: None).read_output([1])


# ── asked, run, answered ──────────────────────────────────────────────────────────────────────────────────────


def test_an_action_runs_and_is_answered_by_an_event_and_by_the_receipt(home: Path) -> None:
    drop(home, "a", idempotency_key="k1", conversation_id="C1", thread_id="T1")
    finish(home)
    [run] = runs(home)
    assert (run["key"], run["by"], run["again"], run["issue"]) == ("k1", None, False, 7)
    [event] = events(home, "action_result")
    [receipt] = receipts(home)
    told = event["metadata"]["action_result"]
    assert told["status"] == "ok"
    assert told["output"] == {"issue": 7, "assignee": "ada"}
    assert told["idempotency_key"] == "k1"
    assert (event["conversation"]["id"], event["conversation"]["thread_id"]) == ("C1", "T1")
    assert receipt["metadata"]["action_result"] == {"status": "ok", "output": told["output"], "event": event["id"]}


def test_a_wrong_input_is_a_dead_letter_that_says_what_to_change_and_burns_no_key(home: Path) -> None:
    drop(home, "a", input={"issue": -1, "asignee": "x"}, idempotency_key="k1")
    finish(home)
    [reason] = reasons(home)
    assert reason["class"] == "rejected"
    assert 'did you mean "assignee"' in reason["reason"]
    assert "greater than 0" in reason["reason"]
    assert len(events(home, "delivery")) == 1
    assert runs(home) == []
    drop(home, "b", idempotency_key="k1")
    finish(home)
    assert len(runs(home)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"idempotency_key": " k"},
        {"idempotency_key": "k\n"},
        {"idempotency_key": "x" * 513},
        {"text": "do it"},
        {"input": {"note": float("nan")}},
    ],
)
def test_what_is_no_request_is_refused_and_never_ignored(home: Path, fields: dict[str, Any]) -> None:
    drop(home, "a", **fields)
    finish(home)
    assert [reason["class"] for reason in reasons(home)] == ["rejected"]
    assert runs(home) == []


def test_the_same_key_is_answered_by_the_first_answer_and_runs_once(home: Path) -> None:
    drop(home, "a", idempotency_key="k1")
    finish(home)
    drop(home, "b", idempotency_key="k1")
    drop(home, "c", id="k1")
    finish(home)
    assert len(runs(home)) == 1
    assert len(results(home)) == 1
    answers = [receipt["metadata"]["action_result"] for receipt in receipts(home)]
    assert len(answers) == 3
    assert all(answer == answers[0] for answer in answers)


def test_the_same_id_is_answered_by_the_first_receipt_with_its_output(home: Path) -> None:
    drop(home, "a", id="i1")
    finish(home)
    drop(home, "b", id="i1")
    finish(home)
    assert len(runs(home)) == 1
    first, second = receipts(home)
    assert second["duplicate_of"] == first["key"]
    assert second["metadata"] == first["metadata"]


def test_two_at_once_with_one_key_run_once(home: Path) -> None:
    for number in range(8):
        drop(home, f"a{number}", idempotency_key="k1")
    finish(home)
    assert len(runs(home)) == 1
    assert len(receipts(home)) == 8


def test_a_key_that_stands_for_something_else_is_refused(home: Path) -> None:
    drop(home, "a", idempotency_key="k1")
    finish(home)
    drop(home, "b", idempotency_key="k1", input={"issue": 8})
    drop(home, "c", "assign_again", idempotency_key="k1")
    finish(home)
    assert len(runs(home)) == 1
    assert ["another" in reason["reason"] for reason in reasons(home)] == [True, True]


def test_what_the_platform_refuses_is_an_answer_too_and_the_key_keeps_it(home: Path) -> None:
    drop(home, "a", input={"note": "refused"}, idempotency_key="k1")
    finish(home)
    told = result(home)
    assert (told["status"], told["error"], told["hint"]) == ("failed", "there is no such issue", "look it up")
    drop(home, "b", input={"note": "refused"}, idempotency_key="k1")
    finish(home)
    assert len(runs(home)) == 1
    assert [reason["class"] for reason in reasons(home)] == ["rejected", "rejected"]
    assert len(results(home)) == 1


def test_an_output_that_is_not_as_declared_is_an_answer_that_says_it_was_done(home: Path) -> None:
    drop(home, "a", input={"note": "nonsense"})
    finish(home)
    assert "it was done" in result(home)["error"]
    assert [reason["class"] for reason in reasons(home)] == ["bug"]
    assert len(runs(home)) == 1


def test_what_did_nothing_is_tried_again_and_answered_once(home: Path) -> None:
    drop(home, "a", input={"note": "not now"})
    finish(home)
    assert [run["again"] for run in runs(home)] == [False, False, False]
    assert result(home)["status"] == "ok"


def test_an_action_that_waits_to_be_tried_again_keeps_no_other_waiting(home: Path) -> None:
    drop(home, "a", input={"note": "not now"}, idempotency_key="first")
    with running(home) as process:
        process.connected()
        wait_for(lambda: runs(home))
        drop(home, "b", idempotency_key="second")
        assert result(home)["idempotency_key"] == "second"
        assert result(home, 2)["idempotency_key"] == "first"


# ── cut off ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("note", ["cut", "bug", "die once"])
def test_a_run_that_was_cut_off_is_never_repeated_and_says_that_nobody_knows(home: Path, note: str) -> None:
    """`on_ambiguous: resend`, the default, is for messages: an action that was asked for once runs once."""
    drop(home, "a", input={"note": note}, idempotency_key="k1")
    if note == "die once":
        with running(home) as process:
            assert process.wait() == -signal.SIGKILL
    finish(home)
    assert len(runs(home)) == 1
    assert result(home)["status"] == "ambiguous"
    [reason] = reasons(home)
    assert (reason["class"], reason["ambiguous"]) == ("ambiguous", True)
    drop(home, "b", input={"note": note}, idempotency_key="k1")
    finish(home)
    assert len(runs(home)) == 1


@pytest.mark.parametrize("note", ["cut once", "die once"])
def test_an_idempotent_run_that_was_cut_off_is_repeated_and_told_so(home: Path, note: str) -> None:
    drop(home, "a", "assign_again", input={"note": note})
    if note == "die once":
        with running(home) as process:
            assert process.wait() == -signal.SIGKILL
    finish(home)
    assert [run["again"] for run in runs(home)] == [False, True]
    assert result(home)["status"] == "ok"
    [receipt] = receipts(home)
    assert "ambiguous" not in receipt


def test_a_person_may_have_an_ambiguous_one_run_again(home: Path) -> None:
    drop(home, "a", input={"note": "cut"}, idempotency_key="k1")
    finish(home)
    [letter] = dead_letters(Home(home))
    retry(Home(home), letter)
    finish(home)
    assert len(runs(home)) == 2
    first, second = [event["id"] for event in events(home, "action_result")]
    assert second == f"{first}:2"


@pytest.mark.parametrize("step", [*RUNNING, *WRITING])
@pytest.mark.parametrize("action", ["assign", "assign_again"])
def test_killed_at_every_step_it_ends_once_and_what_is_not_idempotent_runs_at_most_once(
    home: Path, action: str, step: str
) -> None:
    drop(home, "a", action, idempotency_key="k1")
    with running(home, kill_at=(step, 1)) as process:
        assert process.wait() == -signal.SIGKILL, process.output
    finish(home)
    told = result(home)
    assert len(receipts(home)) + len(reasons(home)) == 1
    assert len(events(home, "action_result")) == 1
    begun_only = step in ("action.begun", "action.ran")
    if action == "assign" and begun_only:
        assert told["status"] == "ambiguous"
        assert len(runs(home)) <= 1
    else:
        assert told["status"] == "ok"
        assert len(runs(home)) == (2 if step == "action.ran" else 1)


@pytest.mark.parametrize("step", ["action.recorded", "action.told", *steps.DEAD])
def test_killed_on_the_way_to_a_dead_letter_it_is_answered_once_all_the_same(home: Path, step: str) -> None:
    drop(home, "a", input={"note": "refused"})
    with running(home, kill_at=(step, 1)) as process:
        assert process.wait() == -signal.SIGKILL, process.output
    finish(home)
    assert len(runs(home)) == 1
    assert result(home)["status"] == "failed"
    assert len(reasons(home)) == 1
    assert len(events(home, "delivery")) == 1


def test_what_is_given_up_after_too_many_attempts_is_answered(home: Path) -> None:
    (home / "connectors.yml").write_text(
        f"delivery:\n  max_attempts: 1\nconnectors:\n  - name: {NAME}\n    type: tests.parts.acts:IssuesConnector\n"
    )
    drop(home, "a", input={"note": "not now"}, idempotency_key="k1")
    finish(home, config=None)
    assert [reason["class"] for reason in reasons(home)] == ["exhausted"]
    told = result(home)
    assert told["status"] == "failed"
    assert "the platform is away" in told["error"]
    drop(home, "b", idempotency_key="k1")
    finish(home)
    assert result(home, 2)["status"] == "ok", "nothing had happened under this key"


# ── options ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_operator_switches_actions_off_or_lets_them_run(home: Path) -> None:
    drop(home, "a", "assign")
    drop(home, "b", "assign_asked")
    finish(home, config={"actions": {"assign": "off", "assign_asked": "run"}})
    assert [run["action"] for run in runs(home)] == ["assign_asked"]
    [reason] = reasons(home)
    assert "switched assign off" in reason["reason"]


def test_an_option_for_an_action_that_is_none_ends_the_process_and_says_which_was_meant(home: Path) -> None:
    with running(home, config={"actions": {"asign": "off"}}) as process:
        assert process.wait() == Exit.CONFIG
        assert 'did you mean "assign"' in process.output


@pytest.mark.parametrize("cls", [IssuesSource, SourceWithIssues])
def test_a_source_may_have_actions(home: Path, cls: type[Connector]) -> None:
    drop(home, "a", "assign_asked")
    with running(home, cls, config={"actions": {"assign_asked": "run"}, "schedule": "1h"}) as process:
        process.connected()
        assert result(home)["status"] == "ok"
        wait_for(lambda: events(home, "event"))
        drop(home, "b", "sync")
        wait_for(lambda: len(receipts(home)) == 2)
        process.terminate()
        assert process.wait() == 0


def test_other_outgoings_are_the_connectors_own(home: Path) -> None:
    drop(home, "a", "send", conversation_id="C1", text="hello")
    finish(home)
    assert runs(home) == [{"action": "send", "text": "hello"}]
