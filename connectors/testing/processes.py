"""Promises of the process: how it ends, what a kill leaves behind, what never gets out."""

from __future__ import annotations

import json
import signal

import pytest

from connectors.base.declaration import declaration_of
from connectors.base.errors import Exit
from connectors.base.home import Home
from connectors.testing.basis import ContractBasis
from connectors.testing.waiting import wait_for

_OUTGOING = {"conversation_id": "C1", "text": "hi", "id": "o1"}
CANARY = "canary-7f3a9c51-token"


class Processes(ContractBasis):
    """Design sections 4 and 5, Processes: each test starts real ones."""

    @pytest.mark.parametrize(("outcome", "code"), [("auth", Exit.AUTH), ("config", Exit.CONFIG)])
    def test_a_fatal_error_ends_the_process_also_while_run_loop_blocks(
        self, home: Home, outcome: str, code: Exit
    ) -> None:
        running = self.start(home, outcomes=[f"{outcome}:renew it"]).connected()
        self.drop(home, "a.json", _OUTGOING)
        assert running.wait() == code
        assert len(self.queued(home)) == 1
        assert "renew it" in running.output

    @pytest.mark.parametrize(
        ("receive", "code"),
        [("return", Exit.OK), ("auth", Exit.AUTH), ("config", Exit.CONFIG), ("bug", Exit.CRASH)],
    )
    def test_run_loop_ends_the_process_with_the_code_of_its_error(self, home: Home, receive: str, code: Exit) -> None:
        assert self.start(home, receive=receive).wait() == code

    def test_sigterm_waits_for_the_send_in_hand_and_ends_with_0(self, home: Home) -> None:
        running = self.start(home, outcomes=["hang"]).connected()
        self.drop(home, "a.json", _OUTGOING)
        wait_for(lambda: running.journal)
        running.terminate()
        assert running.wait(10) == Exit.OK
        assert len(self.queued(home)) == 1

    def test_a_death_in_the_middle_of_a_send_is_not_hidden(self, home: Home) -> None:
        self.open(home)
        self.drop(home, "a.json", _OUTGOING)
        assert self.start(home, outcomes=["kill"]).wait() == -signal.SIGKILL
        self.start(home, outcomes=["receipt:m1"]).connected()
        [receipt] = wait_for(lambda: self.receipts(home))
        assert (receipt.ids, receipt.ambiguous, receipt.attempts) == (["m1"], not self.idempotent, 2)

    def test_three_deaths_inside_one_send_make_a_dead_letter(self, home: Home) -> None:
        self.open(home)
        self.drop(home, "a.json", _OUTGOING)
        for _ in range(3):
            assert self.start(home, outcomes=["kill"]).wait() == -signal.SIGKILL
        # Not before: a connector may send to several conversations side by side.
        self.drop(home, "b.json", {**_OUTGOING, "id": "o2", "conversation_id": "C2"})
        last = self.start(home, outcomes=["true"]).connected()
        [receipt] = wait_for(lambda: self.receipts(home))
        [reason] = self.reasons(home)
        wait_for(lambda: last.status.get("counters", {}).get("failed") == 1)
        assert (receipt.id, reason.id, reason.class_) == ("o2", "o1", "crashed")

    @pytest.mark.parametrize("step", ["outbox.keyed", "outbox.claimed", "outbox.receipt", "outbox.recorded"])
    def test_a_death_outside_the_send_is_no_second_send(self, home: Home, step: str) -> None:
        self.open(home)
        self.drop(home, "a.json", _OUTGOING)
        first = self.start(home, outcomes=["receipt:m1"], kill_at=(step, 1))
        assert first.wait() == -signal.SIGKILL
        second = self.start(home, outcomes=["receipt:m1"]).connected()
        [receipt] = wait_for(lambda: [] if self.queued(home) else self.receipts(home))
        assert len(first.journal) + len(second.journal) == 1
        assert receipt.ambiguous is False

    @pytest.mark.parametrize("step", ["intake.staged", "intake.recorded", "intake.published", "intake.synced"])
    def test_a_death_while_receiving_loses_and_doubles_nothing(self, home: Home, step: str) -> None:
        # A dead letter's event goes the way of every event; a Rejected send makes one without a platform.
        self.open(home)
        self.drop(home, "a.json", _OUTGOING)
        killed = self.start(home, outcomes=["rejected"], kill_at=(step, 1))
        assert killed.wait() == -signal.SIGKILL
        self.start(home, outcomes=["rejected"]).connected()
        wait_for(lambda: not self.queued(home))
        assert len(self.events(home, "delivery")) == 1
        assert len(self.reasons(home)) == 1

    def test_an_instance_runs_once_per_home(self, home: Home) -> None:
        first = self.start(home).connected()
        second = self.start(home)
        assert second.wait() == Exit.LOCKED
        assert str(first.pid) in second.output
        assert first.process.poll() is None

    def test_no_secret_gets_into_logs_status_receipts_or_reasons(self, home: Home) -> None:
        secrets = [info.name for info in declaration_of(self.connector).options or () if info.secret]
        if not secrets:
            pytest.skip("no option is declared secret")
        given = {name: value for name, value in self.options(None).items() if name not in secrets}
        entry = {"name": self.instance, "type": "any", **given, **dict.fromkeys(secrets, "${CONTRACT_CANARY}")}
        entry["type"] = f"{self.connector.__module__}:{self.connector.__qualname__}"
        home.env_file.write_text(f"CONTRACT_CANARY={CANARY}\n")
        self.configure(home, connectors=[entry])
        leaks = ["receipt", "retry", "cut", "rejected", "bug", "auth"]
        running = self.start(home, config=None, outcomes=[f"{word}:{CANARY}" for word in leaks]).connected()
        for n in range(4):
            self.drop(home, f"{n}.json", {**_OUTGOING, "id": f"o{n}"})
        assert running.wait() == Exit.AUTH
        assert {self.receipts(home)[0].ids[0], self.reasons(home)[0].reason} == {"****"}
        self._nowhere(home, running.output)

    def _nowhere(self, home: Home, output: str) -> None:
        """The canary is in nothing that anybody prints, copies into a ticket or hands to an agent."""
        assert CANARY not in output
        shown = [home.messages, home.logs, home.state_dir(self.instance) / "status.json"]
        files = [file for path in shown for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
        leaking = [file.name for file in files if CANARY.encode() in file.read_bytes()]
        assert leaking == []
        assert (home.log_file(self.instance)).stat().st_size > 0

    def test_the_status_file_says_how_it_is(self, home: Home) -> None:
        running = self.start(home, outcomes=["true", "rejected:no"]).connected()
        self.drop(home, "a.json", _OUTGOING)
        self.drop(home, "b.json", {**_OUTGOING, "id": "o2"})
        wait_for(lambda: running.status.get("counters", {}).get("failed") == 1)
        running.terminate()
        running.wait()
        found = json.loads((home.state_dir(self.instance) / "status.json").read_bytes())
        assert (found["state"], found["exit_code"], found["pid"]) == ("stopped", 0, None)
        assert (found["counters"]["sent"], found["last_error"]["text"]) == (1, "no")
