"""Actions that wait for a person: an agent asks, and never answers. Real processes, kills, forged and torn files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from connectors.base.errors import ConfigError, Exit
from connectors.base.home import Home
from connectors.base.mailbox import Mailbox
from connectors.base.store import Store
from connectors.parts.approvals import Approvals, NoSuchRequest, NotDecided, Request
from connectors.testing.process import RunningConnector
from tests.helpers import missing, wait_for
from tests.parts.acts import (
    NAME,
    NewerIssuesConnector,
    drop,
    events,
    reasons,
    receipts,
    result,
    results,
    running,
    runs,
)


def folder(home: Path) -> Approvals:
    return Approvals(Home(home))


def waiting(home: Path, count: int = 1) -> list[Request]:
    """The requests, once there are so many."""

    def look() -> list[Request]:
        found, _ = folder(home).requests()
        return found if len(found) == count else []

    return wait_for(look, deadline_s=20)


def say(home: Path, request: Request, verdict: Any = "approve", **given: Any) -> None:
    folder(home).decide(request, verdict, by="operator", **given)


def ask(home: Path, name: str = "a", action: str = "assign_asked", **fields: Any) -> Request:
    """An agent asks, and the connector that did put it to a person is stopped again."""
    drop(home, name, action, **fields)
    with running(home) as process:
        process.connected()
        [request] = waiting(home)
        stop(process)
    return request


def stop(process: RunningConnector) -> None:
    process.terminate()
    assert process.wait() == 0, process.output


def forge(home: Path, name: str, content: bytes) -> Path:
    path = home / "state" / "approvals" / name
    path.write_bytes(content)
    return path


# ── asked and decided ─────────────────────────────────────────────────────────────────────────────────────────


def test_it_waits_for_a_person_and_runs_once_when_he_agrees(home: Path) -> None:
    drop(home, "a", "assign_asked", idempotency_key="k1", conversation_id="C1")
    with running(home) as process:
        process.connected()
        [request] = waiting(home)
        assert (request.input, request.action, request.key) == ({"issue": 7, "assignee": "ada"}, "assign_asked", "k1")
        assert request.expires_at - request.asked_at == 7 * 86_400
        assert runs(home) == []
        say(home, request)
        told = result(home)
        assert (told["status"], told["approval"]["by"], told["approval"]["edited"]) == ("ok", "operator", False)
        [run] = runs(home)
        assert run["by"] == "operator"
        wait_for(lambda: receipts(home))
    assert receipts(home)[0]["attempts"] == 1
    assert folder(home).requests() == ([], {})


def test_what_waits_is_private_and_outside_of_messages(home: Path) -> None:
    ask(home)
    files = list((home / "state" / "approvals").iterdir())
    assert {path.name.partition(".")[2] for path in files} == {"", "request.json"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (home / "state" / "approvals").stat().st_mode & 0o777 == 0o700


def test_while_it_waits_its_conversation_goes_on_and_it_is_not_in_failed(home: Path) -> None:
    drop(home, "a", "assign_asked", conversation_id="C1")
    with running(home) as process:
        process.connected()
        [request] = waiting(home)
        drop(home, "b", "send", conversation_id="C1", text="after it")
        drop(home, "c", "assign", conversation_id="C1")
        result(home)
        wait_for(lambda: len(runs(home)) == 2)
        assert reasons(home) == []
        wait_for(lambda: process.status.get("backlog", {}).get("sending") == 1)
        store = Store.open_readonly(Home(home), NAME)
        assert store is not None
        row = store.outgoing(request.claim)
        history = [what for _, what in store.history(request.claim)]
        store.close()
        assert row is not None
        assert (row.state, row.attempts) == ("queued", 0)
        assert history == [f"waits for a person: connectors approve {request.id}"]


def test_it_survives_restarts_and_costs_no_attempt(home: Path) -> None:
    """No timer that looks for hung runs ends what waits for a person."""
    request = ask(home)
    for _ in range(2):
        with running(home) as process:
            process.connected()
            stop(process)
    assert waiting(home) == [request]
    say(home, request)  # while nobody runs
    with running(home) as process:
        process.connected()
        assert result(home)["status"] == "ok"
        wait_for(lambda: receipts(home))
    assert receipts(home)[0]["attempts"] == 1
    assert len(runs(home)) == 1


def test_a_denial_is_an_answer_with_its_reason_and_the_key_keeps_it(home: Path) -> None:
    request = ask(home, idempotency_key="k1")
    say(home, request, "deny", why="not on a Friday")
    with running(home) as process:
        process.connected()
        told = result(home)
        assert (told["status"], told["error"]) == ("denied", "operator denied it: not on a Friday")
        drop(home, "b", "assign_asked", idempotency_key="k1")
        wait_for(lambda: len(reasons(home)) == 2)
    assert runs(home) == []
    assert len(results(home)) == 1
    assert all("not on a Friday" in reason["reason"] for reason in reasons(home))


def test_another_input_runs_when_a_person_wrote_it(home: Path) -> None:
    request = ask(home)
    say(home, request, given={"issue": 9, "assignee": "grace"})
    with running(home) as process:
        process.connected()
        told = result(home)
    assert (told["input"], told["approval"]["edited"]) == ({"issue": 9, "assignee": "grace"}, True)
    assert [run["issue"] for run in runs(home)] == [9]


def test_another_input_that_is_wrong_is_refused_by_the_connector_too(home: Path) -> None:
    """An edit is no way around the shape that the first input had to have."""
    request = ask(home)
    say(home, request, given={"issue": -9, "asignee": "grace"})
    with running(home) as process:
        process.connected()
        told = result(home)
    assert told["status"] == "refused"
    assert "asignee" in told["error"]
    assert "greater than 0" in told["error"]
    assert runs(home) == []


def test_another_version_of_the_connector_refuses_what_was_asked_of_the_old_one(home: Path) -> None:
    request = ask(home)
    say(home, request)
    with running(home, NewerIssuesConnector) as process:
        process.connected()
        assert result(home)["status"] == "refused"
        [reason] = wait_for(lambda: reasons(home))
    assert runs(home) == []
    assert "ask again" in reason["hint"]


def test_what_nobody_decided_is_refused_as_soon_as_the_connector_is_another(home: Path) -> None:
    ask(home)
    with running(home, NewerIssuesConnector) as process:
        process.connected()
        assert result(home)["status"] == "refused"
    assert folder(home).requests()[0] == []


def test_the_time_that_a_person_took_does_not_count_as_the_age_of_its_attempts(home: Path) -> None:
    """Approved on the sixth day, and then the platform is away for a moment: it is tried again."""
    request = ask(home, input={"note": "not now"})
    store = Store.open(Home(home), NAME)
    store.update_outgoing(request.claim, durable=True, claimed_at=request.asked_at - 6 * 86_400)
    store.close()
    say(home, request)
    with running(home) as process:
        process.connected()
        assert result(home)["status"] == "ok"
    assert len(runs(home)) == 3


def test_what_nobody_decides_expires_and_may_be_asked_again_under_its_key(home: Path) -> None:
    """Requests do not pile up for ever, and the agent hears of their end."""
    drop(home, "a", "assign_asked", idempotency_key="k1")
    with running(home, config={"approval_expires": "1s"}) as process:
        process.connected()
        [request] = waiting(home)
        told = result(home)
        assert told["status"] == "expired"
        wait_for(lambda: folder(home).requests()[0] == [])
        drop(home, "b", "assign_asked", idempotency_key="k1")
        [other] = waiting(home)
        assert other.id != request.id
    assert [reason["class"] for reason in reasons(home)] == ["expired"]
    assert runs(home) == []


def test_an_action_has_its_own_time(home: Path) -> None:
    request = ask(home, action="wipe")
    assert request.expires_at - request.asked_at == 3600


def test_the_outgoings_own_end_counts_while_it_waits(home: Path) -> None:
    drop(home, "a", "assign_asked", expires_at="2020-01-01T00:00:00Z")
    with running(home) as process:
        process.connected()
        wait_for(lambda: reasons(home))
    assert reasons(home)[0]["class"] == "expired"
    assert runs(home) == []


def test_what_is_taken_back_is_asked_no_more_and_answered(home: Path) -> None:
    drop(home, "a", "assign_asked", id="i1")
    with running(home) as process:
        process.connected()
        [request] = waiting(home)
        with Mailbox(Home(home)) as mailbox:
            mailbox.cancel("i1")
        with pytest.raises(NotDecided, match="cancelled"):
            say(home, request)
        told: dict[str, Any] = wait_for(lambda: results(home), deadline_s=40)[0]
        wait_for(lambda: folder(home).requests()[0] == [])
    assert told["status"] == "cancelled"


def test_several_wait_and_one_decision_wakes_one(home: Path) -> None:
    for number in range(20):
        drop(home, f"a{number:02}", "assign_asked", input={"issue": number + 1})
    with running(home) as process:
        process.connected()
        requests = waiting(home, 20)
        chosen = requests[11]
        say(home, chosen)
        assert result(home)["input"] == chosen.input
        assert len(waiting(home, 19)) == 19
    assert len(runs(home)) == 1


def test_a_retry_of_what_was_denied_asks_a_person_again(home: Path) -> None:
    from connectors.base.failed import dead_letters, retry

    request = ask(home)
    say(home, request, "deny")
    with running(home) as process:
        process.connected()
        result(home)
        [letter] = wait_for(lambda: dead_letters(Home(home)))
        retry(Home(home), letter)
        [other] = waiting(home)
        assert other.id != request.id
        say(home, other)
        assert result(home, 2)["status"] == "ok"


# ── killed ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("step", ["action.asked", "outbox.claimed"])
def test_killed_while_asking_it_asks_once(home: Path, step: str) -> None:
    drop(home, "a", "assign_asked")
    with running(home, kill_at=(step, 1)) as process:
        assert process.wait() == -signal.SIGKILL
    with running(home) as process:
        process.connected()
        say(home, waiting(home)[0])
        assert result(home)["status"] == "ok"
    assert len(runs(home)) == 1


@pytest.mark.parametrize("action", ["assign_asked", "assign_asked_again"])
@pytest.mark.parametrize("step", ["action.decided", "action.begun", "action.ran", "action.recorded", "action.told"])
def test_killed_after_a_decision_it_is_neither_asked_nor_run_again_without_need(
    home: Path, action: str, step: str
) -> None:
    say(home, ask(home, action=action))
    with running(home, kill_at=(step, 1)) as process:
        assert process.wait() == -signal.SIGKILL
    with running(home) as process:
        process.connected()
        told = result(home)
    cut = step in ("action.begun", "action.ran") and action == "assign_asked"
    assert told["status"] == ("ambiguous" if cut else "ok")
    assert len(runs(home)) <= (2 if action == "assign_asked_again" and step == "action.ran" else 1)
    assert folder(home).requests()[0] == []
    assert not folder(home).decided()


# ── forged ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_file_in_messages_may_be_changed_and_what_was_agreed_to_runs(home: Path) -> None:
    request = ask(home)
    path = Home(home).sending(NAME) / f"{request.claim}.json"
    data = json.loads(path.read_bytes())
    path.write_text(json.dumps({**data, "input": {"issue": 666, "assignee": "mallory"}}))
    say(home, request)
    with running(home) as process:
        process.connected()
        assert result(home)["input"]["issue"] == 7
    assert [run["issue"] for run in runs(home)] == [7]


def test_an_agreement_to_one_action_is_none_to_the_one_that_its_file_names_later(home: Path) -> None:
    request = ask(home)
    path = Home(home).sending(NAME) / f"{request.claim}.json"
    data = json.loads(path.read_bytes())
    path.write_text(json.dumps({**data, "action": "wipe"}))
    say(home, request)
    with running(home) as process:
        process.connected()
        wait_for(lambda: reasons(home))
    assert runs(home) == []


def decision_of(home: Path, request: Request) -> bytes:
    """A genuine decision, taken away again."""
    say(home, request)
    path = home / "state" / "approvals" / f"{request.id}.decision.json"
    content = path.read_bytes()
    path.unlink()
    return content


def test_only_a_decision_with_the_key_about_exactly_this_in_time_counts(home: Path) -> None:
    drop(home, "a", "assign_asked", input={"issue": 1})
    drop(home, "b", "assign_asked", input={"issue": 2})
    with running(home) as process:
        process.connected()
        first, second = waiting(home, 2)
        stop(process)
    genuine = decision_of(home, first)
    data = json.loads(genuine)
    forgeries = {
        "torn": genuine[: len(genuine) // 2],
        "empty": b"",
        "no JSON object": b"[]",
        "deep": b"[" * 100_000,
        "not UTF-8": b"\xff\xfe",
        "without hmac": json.dumps({"decision": data["decision"]}).encode(),
        "wrong hmac": json.dumps({**data, "hmac": "0" * 64}).encode(),
        "hmac is no ASCII": json.dumps({**data, "hmac": "\u00e9"}).encode(),
        "changed": json.dumps({**data, "decision": {**data["decision"], "input": {"issue": 6}}}).encode(),
        "of another": genuine,
        "of another, renamed": json.dumps({**data, "decision": {**data["decision"], "id": second.id}}).encode(),
        "a request": (home / "state" / "approvals" / f"{second.id}.request.json").read_bytes(),
    }
    for what, content in forgeries.items():
        path = forge(home, f"{second.id}.decision.json", content)
        assert folder(home).decision(second) is None, what
        assert folder(home).standing(second) == "waiting", what
    path.unlink()
    path.symlink_to(home / "state" / "approvals" / f"{first.id}.request.json")
    assert folder(home).decision(second) is None
    assert folder(home).decision(first) is None
    forge(home, f"{first.id}.decision.json", genuine)
    found = folder(home).decision(first)
    assert found is not None
    assert found.verdict == "approve"


def test_a_forged_decision_neither_runs_nor_keeps_the_operator_from_deciding(home: Path) -> None:
    drop(home, "a", "assign_asked")
    with running(home) as process:
        process.connected()
        [request] = waiting(home)
        fake = {"id": request.id, "request": request.digest, "verdict": "approve", "by": "root", "why": "", "at": 1.0}
        forge(
            home, f"{request.id}.decision.json", json.dumps({"decision": {**fake, "input": None}, "hmac": ""}).encode()
        )
        wait_for(lambda: "counts as nothing" in process.output)
        assert runs(home) == []
        say(home, request)
        assert result(home)["approval"]["by"] == "operator"


def test_a_decision_that_comes_again_after_the_end_runs_nothing(home: Path) -> None:
    request = ask(home)
    genuine = decision_of(home, request)
    forge(home, f"{request.id}.decision.json", genuine)
    with running(home) as process:
        process.connected()
        result(home)
        forge(home, f"{request.id}.decision.json", genuine)
        drop(home, "b", "assign_asked")
        [other] = waiting(home)
        forge(home, f"{other.id}.decision.json", genuine)
        wait_for(lambda: "it is for another request" in process.output)
    assert len(runs(home)) == 1


def test_a_request_that_somebody_changed_is_not_shown_as_the_connectors_and_is_restored(home: Path) -> None:
    request = ask(home)
    path = home / "state" / "approvals" / f"{request.id}.request.json"
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"ada"', b'"eve"'))
    assert folder(home).requests()[0] == []
    assert "hmac" in folder(home).requests()[1][path.name]
    with pytest.raises(NoSuchRequest, match="was changed"):
        folder(home).find(request.id)
    with running(home) as process:
        process.connected()
        wait_for(lambda: path.read_bytes() == content)
        assert "it is restored" in process.output


def test_a_copy_of_a_request_under_another_id_is_none(home: Path) -> None:
    request = ask(home)
    content = (home / "state" / "approvals" / f"{request.id}.request.json").read_bytes()
    forge(home, "AAAAAAAA.request.json", content)
    found, broken = folder(home).requests()
    assert [one.id for one in found] == [request.id]
    assert "AAAAAAAA.request.json" in broken


def test_after_its_time_nobody_can_agree_and_one_made_later_does_not_count(home: Path) -> None:
    request = ask(home)
    late = Approvals(Home(home), clock=lambda: request.expires_at)
    with pytest.raises(NotDecided, match="expired"):
        late.decide(request, "approve", by="operator")
    in_time = Approvals(Home(home), clock=lambda: request.expires_at - 0.001)
    in_time.decide(request, "approve", by="operator")
    assert late.decision(request) is not None
    times = iter([request.expires_at - 1, request.expires_at + 1])  # the clock jumps while it is decided
    (home / "state" / "approvals" / f"{request.id}.decision.json").unlink()
    Approvals(Home(home), clock=lambda: next(times)).decide(request, "approve", by="operator")
    assert late.decision(request) is None


@pytest.mark.parametrize("verdicts", [["approve"] * 8, ["approve", "deny"] * 4])
def test_of_several_decisions_at_once_one_stands(home: Path, verdicts: list[Any]) -> None:
    request = ask(home)

    def decide(verdict: Any) -> bool:
        try:
            say(home, request, verdict)
        except NotDecided:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        stood = [verdict for verdict, done in zip(verdicts, pool.map(decide, verdicts), strict=True) if done]
    assert len(stood) == 1
    assert folder(home).standing(request) == stood[0]


def test_a_key_that_is_not_the_operators_alone_is_trusted_by_nobody(home: Path) -> None:
    request = ask(home)
    key = home / "state" / "approvals" / "key"
    content = key.read_bytes()

    def broken(what: str) -> None:
        with pytest.raises(ConfigError, match=what):
            say(home, request)

    key.chmod(0o640)
    broken("not the operator's alone")
    with running(home) as process:
        assert process.wait() == Exit.CONFIG
        assert "not the operator's alone" in process.output
    key.chmod(0o600)
    key.write_bytes(content[:10])
    broken("is no key")
    key.unlink()
    key.symlink_to(home / "elsewhere")
    broken("symbolic link")
    key.unlink()
    (home / "mine").write_bytes(content)
    (home / "mine").chmod(0o600)
    os.link(home / "mine", key)
    broken("not the operator's alone")
    key.unlink()
    key.write_bytes(content)
    key.chmod(0o600)
    say(home, request)


@pytest.fixture
def opened() -> Iterator[dict[Path, int]]:
    """Folders that are opened for a test, and the modes that they get again."""
    modes: dict[Path, int] = {}
    yield modes
    for path, mode in modes.items():
        path.chmod(mode & 0o7777)


def test_another_user_who_can_write_there_can_ask_nothing_and_decide_nothing(
    home: Path, opened: dict[Path, int]
) -> None:
    """The promise of docs/security.md, with two real users."""
    if os.geteuid() != 0:
        missing("only root can be two users")
    request = ask(home)
    approvals = home / "state" / "approvals"
    sending = Home(home).sending(NAME)
    for path in (*sending.parents, sending, home / "state"):
        if path.stat().st_mode & 0o005 != 0o005:
            opened.setdefault(path, path.stat().st_mode)
            path.chmod(path.stat().st_mode | 0o005)
    approvals.chmod(0o777)  # by mistake
    program = f"""
import json, os, sys
from connectors.base.errors import ConfigError
from connectors.base.home import Home
from connectors.parts.approvals import Approvals, Request
home, request = Home({str(home)!r}), Request.from_dict(json.loads(sys.stdin.read()))
os.setgroups([]); os.setgid(65534); os.setuid(65534)
key = home.state / "approvals" / "key"
for attempt in range(2):
    try:
        Approvals(home).decide(request, "approve", by="root")
        print("decided")
    except (ConfigError, PermissionError):
        print("refused")
        key.rename(key.with_name("away"))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(request.to_dict()),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
    )
    # With the key out of the way he makes one of his own; the connector sees whose it is.
    assert done.stdout.split() == ["refused", "decided"], done.stderr
    with running(home) as process:
        assert process.wait() == Exit.CONFIG
        assert "not the operator's alone" in process.output
    assert runs(home) == []
    assert events(home, "action_result") == []
