"""Promises that need the platform, or a fake of it: the connector's own code, from end to end."""

from __future__ import annotations

import pytest

from connectors.base.errors import Exit
from connectors.base.home import Home
from connectors.testing.basis import ContractBasis
from connectors.testing.process import RunningConnector
from connectors.testing.waiting import wait_for

_OUTGOING = {"conversation_id": "C1", "text": "to the platform", "id": "o1"}


class Reaching(ContractBasis):
    """Each test starts the connector as it is, against `platform()`."""

    def test_what_somebody_says_arrives_and_is_acknowledged(self, home: Home, live: object) -> None:
        self.start(home, live).connected()
        event = self.incoming(live, "hello from outside")
        [message] = wait_for(lambda: self.events(home))
        assert message.content.text == "hello from outside"
        assert (message.connector.type, message.connector.instance) == (
            self.connector.connector_type,
            self.instance,
        )
        wait_for(lambda: self.acknowledged(live, event))

    def test_a_platform_that_is_down_at_the_start_is_waited_for(self, home: Home, live: object) -> None:
        """connect() raises RetryLater, and can be called again after disconnect()."""
        self.take_down(live)
        running = self.start(home, live)
        wait_for(lambda: self._has_tried(running))
        self.bring_back(live)
        running.connected(deadline_s=40)
        self.incoming(live, "is anybody there?")
        wait_for(lambda: self.events(home))

    @staticmethod
    def _has_tried(running: RunningConnector) -> bool:
        if (code := running.process.poll()) is not None:
            raise AssertionError(f"ended with {code} instead of waiting:\n{running.output}")
        return running.status.get("state") not in (None, "connecting")

    def test_a_redelivery_has_the_same_id_and_gives_no_second_file(self, home: Home, live: object) -> None:
        running = self.start(home, live).connected()
        event = self.incoming(live, "once")
        wait_for(lambda: self.events(home) and self.acknowledged(live, event))
        self.redeliver(live, event)
        wait_for(lambda: running.status.get("counters", {}).get("duplicates"), what="the redelivery was recognised")
        assert len(self.events(home)) == 1

    def test_nothing_is_acknowledged_that_is_not_durable(self, home: Home, live: object) -> None:
        self.configure(home, limits={"inbox_max_files": 1})
        running = self.start(home, live).connected()
        first = self.incoming(live, "first")
        wait_for(lambda: self.acknowledged(live, first))
        second = self.incoming(live, "second")
        wait_for(lambda: running.status.get("state") == "backpressure")
        assert not self.acknowledged(live, second)
        for path in home.inbox.glob("*.json"):
            path.unlink()
        wait_for(lambda: [message.content.text for message in self.events(home)] == ["second"])
        wait_for(lambda: self.acknowledged(live, second))

    @pytest.mark.parametrize("step", ["intake.staged", "intake.recorded", "intake.published", "intake.synced"])
    def test_an_event_survives_a_death_while_it_is_received(self, home: Home, live: object, step: str) -> None:
        killed = self.start(home, live, kill_at=(step, 1))
        event = self.incoming(live, "through it all")
        killed.wait()
        assert not self.acknowledged(live, event)
        self.start(home, live).connected()
        wait_for(lambda: self.acknowledged(live, event))
        assert [message.content.text for message in self.events(home)] == ["through it all"]

    def test_an_outgoing_reaches_people(self, home: Home, live: object) -> None:
        self.start(home, live).connected()
        self.drop(home, "a.json", _OUTGOING)
        [receipt] = wait_for(lambda: self.receipts(home))
        assert receipt.attempts == 1
        assert self.sent(live) == ["to the platform"]

    def test_a_refusal_is_a_dead_letter(self, home: Home, live: object) -> None:
        self.fail_next(live, "reject")
        self.start(home, live).connected()
        self.drop(home, "a.json", _OUTGOING)
        [reason] = wait_for(lambda: self.reasons(home))
        assert reason.class_ == "rejected"
        assert self.sent(live) == []

    def test_a_refused_credential_ends_the_process(self, home: Home, live: object) -> None:
        self.fail_next(live, "auth")
        running = self.start(home, live).connected()
        self.drop(home, "a.json", _OUTGOING)
        assert running.wait() == Exit.AUTH
        assert len(self.queued(home)) == 1

    def test_a_rate_limit_is_waited_out_and_uses_up_no_attempt(self, home: Home, live: object) -> None:
        self.fail_next(live, "rate_limit")
        self.start(home, live).connected()
        self.drop(home, "a.json", _OUTGOING)
        [receipt] = wait_for(lambda: self.receipts(home), deadline_s=20)
        assert (receipt.attempts, receipt.ambiguous) == (1, False)
        assert self.sent(live) == ["to the platform"]

    def test_an_outage_is_waited_out(self, home: Home, live: object) -> None:
        self.fail_next(live, "unavailable")
        self.start(home, live).connected()
        self.drop(home, "a.json", _OUTGOING)
        [receipt] = wait_for(lambda: self.receipts(home), deadline_s=20)
        assert receipt.attempts == 2
        assert self.sent(live) == ["to the platform"]

    def test_an_answer_that_was_cut_off_is_ambiguous_or_exactly_once(self, home: Home, live: object) -> None:
        self.fail_next(live, "cut")
        self.start(home, live).connected()
        self.drop(home, "a.json", _OUTGOING)
        [receipt] = wait_for(lambda: self.receipts(home), deadline_s=20)
        assert receipt.ambiguous is not self.idempotent
        assert len(self.sent(live)) == (1 if self.idempotent else 2)

    def test_a_kill_while_the_platform_thinks_is_ambiguous_or_exactly_once(self, home: Home, live: object) -> None:
        self.fail_next(live, "timeout")
        killed = self.start(home, live).connected()
        self.drop(home, "a.json", _OUTGOING)
        wait_for(lambda: self.sent(live))
        killed.kill()
        self.start(home, live).connected()
        [receipt] = wait_for(lambda: self.receipts(home), deadline_s=20)
        assert receipt.ambiguous is not self.idempotent
        assert len(self.sent(live)) == (1 if self.idempotent else 2)

    def test_a_stop_is_noticed_at_once(self, home: Home, live: object) -> None:
        running = self.start(home, live).connected()
        self.incoming(live, "run_loop is running now")
        wait_for(lambda: self.events(home))
        running.terminate()
        # Far below what a forgotten wait takes; the base itself gives up after 8 s.
        assert running.wait(4) == Exit.OK

    def test_disconnect_twice_is_safe(self, home: Home, live: object) -> None:
        connector = self.make(home.root, live)
        connector.connect()
        connector.disconnect()
        connector.disconnect()
        connector.close()
