"""The actions: their shapes, who must agree, what GitHub does, and what it only says to have done."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.base.declaration import declaration_of
from connectors.github.connector import GithubConnector
from connectors.github.own import is_marked
from connectors.testing.github import FakeGitHub, Person
from tests.github.live import Place

_ALL = {"assign_issue": "run", "comment": "run", "create_issue": "run", "close_issue": "run"}


def _ask(place: Place, action: str, name: str = "a.json", **given: Any) -> dict[str, Any]:
    """The answer of an action, from the inbox."""
    place.drop({"action": action, "input": given, "idempotency_key": name}, name)

    def answers() -> list[dict[str, Any]]:
        found = [m.metadata["action_result"] for m in place.all_events if m.kind == "action_result"]
        return [answer for answer in found if answer["idempotency_key"] == name]

    [answer] = place.wait(answers)
    assert isinstance(answer, dict)
    return answer


@pytest.fixture
def bob(fake: FakeGitHub) -> Person:
    return fake.person("bob")


def test_what_is_declared_tells_shapes_hints_and_who_must_agree() -> None:
    found = {action["name"]: action for action in declaration_of(GithubConnector).actions}
    assert {name: one["requires_approval"] for name, one in found.items()} == {
        "assign_issue": False,
        "comment": False,
        "create_issue": True,
        "close_issue": True,
    }
    assert {name: one["hints"]["destructive"] for name, one in found.items()} == {
        "assign_issue": False,
        "comment": False,
        "create_issue": False,
        "close_issue": True,
    }
    assert set(found["assign_issue"]["input_schema"]["properties"]) == {"repository", "issue", "assignees"}
    assert found["create_issue"]["output_schema"]["properties"]["url"]


def test_each_action_does_what_it_says_and_answers_with_what_is_there_then(place: Place, bob: Person) -> None:
    issue = place.fake.open(place.repository, "It crashes")
    place.start(schedule="1h", lookback="0s", actions=_ALL)
    assigned = _ask(place, "assign_issue", "1.json", issue=1, assignees=["@bob"])
    assert (assigned["status"], assigned["output"]["assignees"], issue.assignees) == ("ok", ["bob"], [bob])
    said = _ask(place, "comment", "2.json", issue=1, body="On it.")
    assert said["output"]["url"].endswith(f"#issuecomment-{place.fake.written[0].id}")
    closed = _ask(place, "close_issue", "3.json", issue=1, reason="not_planned")
    assert (closed["output"]["state"], issue.state, issue.state_reason) == ("closed", "closed", "not_planned")
    made = _ask(place, "create_issue", "4.json", title="Another", body="See #1", labels=["bug"], assignees=["bob"])
    assert (made["output"]["issue"], made["output"]["labels"], made["output"]["ignored"]) == (2, ["bug"], [])
    assert place.repository.issues[2].title == "Another"


def test_an_assignment_that_github_ignores_is_told(place: Place) -> None:
    """The guide's example does not look at the answer, and GitHub says nothing of whom it did not assign."""
    place.fake.open(place.repository, "It crashes")
    place.start(schedule="1h", lookback="0s")
    nobody = _ask(place, "assign_issue", "1.json", issue=1, assignees=["stranger"])
    assert (nobody["status"], "assigned nobody" in nobody["error"]) == ("failed", True)
    some = _ask(place, "assign_issue", "2.json", issue=1, assignees=["stranger", "bob"])
    assert (some["output"]["assignees"], some["output"]["ignored"]) == (["bob"], ["stranger"])


def test_labels_that_github_drops_are_told(place: Place) -> None:
    place.repository.team.discard("connector-bot")
    place.start(schedule="1h", lookback="0s", actions=_ALL)
    made = _ask(place, "create_issue", title="x", labels=["bug"], assignees=["bob"])
    assert made["output"]["ignored"] == ["bob", "bug"]


def test_a_repository_is_named_where_there_are_several(place: Place) -> None:
    """Weakness: actions knew nothing of the configured repository."""
    other = place.fake.repository("acme/web", team=["connector-bot"])
    place.fake.open(other, "in web")
    place.start(schedule="1h", repositories=["acme/app", "acme/web"], actions=_ALL)
    unnamed = _ask(place, "close_issue", "1.json", issue=1)
    assert (unnamed["status"], unnamed["error"]) == ("failed", "which repository?")
    assert "acme/app or acme/web" in unnamed["hint"]
    assert _ask(place, "close_issue", "2.json", issue=1, repository="Acme/Web")["status"] == "ok"
    foreign = _ask(place, "close_issue", "3.json", issue=1, repository="acme/wep")
    assert 'did you mean "acme/web"' in foreign["error"]
    assert other.issues[1].state == "closed"


@pytest.mark.parametrize(
    ("action", "given", "what"),
    [
        ("assign_issue", {"assignees": ["bob"]}, "issue"),
        ("assign_issue", {"issue": 0, "assignees": ["bob"]}, "issue"),
        ("assign_issue", {"issue": 1, "assignees": []}, "assignees"),
        ("assign_issue", {"issue": 1, "assignees": ["bob"] * 11}, "assignees"),
        ("assign_issue", {"issue": 1, "assignee": "bob"}, "did you mean"),
        ("assign_issue", {"issue": 1, "assignees": ["a/../b"]}, "assignees"),
        ("close_issue", {"issue": 1, "reason": "bored"}, "reason"),
        ("comment", {"issue": 1, "body": ""}, "body"),
        ("create_issue", {"title": "x" * 257}, "title"),
        ("create_issue", {"body": "without a title"}, "title"),
    ],
)
def test_a_wrong_input_asks_nobody_and_is_told_in_full(place: Place, action: str, given: Any, what: str) -> None:
    connector = place.here(actions=_ALL)
    connector.connect()
    before = len(place.fake.journal)
    place.drop({"action": action, "input": given})
    place.wait(lambda: connector.process_outbox() or place.reasons)
    assert what in place.reasons[0].reason
    assert len(place.fake.journal) == before


@pytest.mark.parametrize("action", ["create_issue", "comment"])
def test_what_was_cut_off_is_done_once(place: Place, action: str) -> None:
    place.fake.open(place.repository, "It crashes")
    place.fake.fail_next("cut", "^POST ")
    place.start(schedule="1h", lookback="0s", actions=_ALL)
    given = {"title": "Another", "body": "once"} if action == "create_issue" else {"issue": 1, "body": "once"}
    assert _ask(place, action, **given)["status"] == "ok"
    made = [i for i in place.repository.issues.values() if i.title == "Another"] or place.fake.written
    assert len(made) == 1
    assert is_marked(str(made[0].body))


def test_what_github_refuses_is_the_answer(place: Place) -> None:
    place.repository.has_issues = False
    place.start(schedule="1h", actions=_ALL)
    answer = _ask(place, "create_issue", title="x")
    assert (answer["status"], "Issues has been disabled" in answer["error"]) == ("failed", True)
    missing = _ask(place, "close_issue", "b.json", issue=99)
    assert "404 Not Found" in missing["error"]


def test_a_limit_is_waited_out(place: Place) -> None:
    place.fake.open(place.repository, "It crashes")
    place.fake.fail_next("rate_limit", "^PATCH ", retry_after_s=1)
    place.start(schedule="1h", actions=_ALL)
    assert _ask(place, "close_issue", issue=1)["status"] == "ok"


def test_closing_asks_a_person_first(place: Place) -> None:
    issue = place.fake.open(place.repository, "It crashes")
    place.start(schedule="1h")
    place.drop({"action": "close_issue", "input": {"issue": 1}})
    place.wait(lambda: list((place.home.state / "approvals").glob("*.json")))
    assert issue.state == "open"
