"""Promises after a failed send: each outcome has one consequence, and what is written down survives."""

from __future__ import annotations

import json

import pytest

from connectors.base.home import Home
from connectors.testing.basis import ContractBasis

_OUTGOING = {"conversation_id": "C1", "text": "hi", "id": "o1"}


class Attempts(ContractBasis):
    """Design sections 4 and 5: the error class is the recovery."""

    def test_false_keeps_it_queued(self, home: Home) -> None:
        self.configure(home, delivery={"initial_delay_s": 3600, "max_delay_s": 3600})
        connector, script = self.scripted(home, "false")
        self.drop(home, "a.json", _OUTGOING)
        assert connector.process_outbox() == 0
        assert len(script.calls) == 1
        assert len(self.queued(home)) == 1
        assert (self.reasons(home), self.receipts(home)) == ([], [])

    def test_what_failed_is_tried_again(self, home: Home) -> None:
        connector, script = self.scripted(home, "false", "retry", "bug", "receipt:m1")
        self.drop(home, "a.json", _OUTGOING)
        self.deliver_all(connector, home)
        [receipt] = self.receipts(home)
        assert (receipt.attempts, receipt.ids, len(script.calls)) == (4, ["m1"], 4)

    def test_a_wait_that_the_platform_gave_survives_a_restart(self, home: Home) -> None:
        connector, script = self.scripted(home, "retry_after:3600")
        self.drop(home, "a.json", _OUTGOING)
        connector.process_outbox()
        connector.close()
        connector, again = self.scripted(home, "true")
        connector.process_outbox()
        assert (len(script.calls), len(again.calls)) == (1, 0)
        assert len(self.queued(home)) == 1

    def test_a_wait_that_the_platform_gave_uses_up_no_attempt(self, home: Home) -> None:
        self.configure(home, delivery={"max_attempts": 2})
        connector, script = self.scripted(home, *["retry_after:0.01"] * 5, "true")
        self.drop(home, "a.json", _OUTGOING)
        self.deliver_all(connector, home)
        assert [receipt.attempts for receipt in self.receipts(home)] == [1]
        assert len(script.calls) == 6

    def test_attempts_are_counted_across_restarts_and_end_in_a_dead_letter(self, home: Home) -> None:
        self.configure(home, delivery={"max_attempts": 2, "initial_delay_s": 0, "max_delay_s": 0})
        calls = 0
        connector, script = self.scripted(home, "retry")
        self.drop(home, "a.json", _OUTGOING)
        for _ in range(4):
            connector.process_outbox()
            connector.close()
            calls += len(script.calls)
            connector, script = self.scripted(home, "retry")
        assert calls == 2
        [reason] = self.reasons(home)
        assert (reason.class_, reason.attempts) == ("exhausted", 2)

    def test_rejected_makes_a_dead_letter_with_its_reason_and_an_event(self, home: Home) -> None:
        connector, script = self.scripted(home, "rejected:no such channel")
        self.drop(home, "a.json", _OUTGOING)
        self.deliver_all(connector, home)
        [reason] = self.reasons(home)
        assert (reason.class_, reason.reason, reason.file) == ("rejected", "no such channel", "a.json")
        assert json.loads((home.failed / "a.json").read_bytes()) == _OUTGOING
        [event] = self.events(home, "delivery")
        assert event.conversation.id == "C1"
        assert event.metadata["delivery"]["id"] == "o1"
        assert (len(script.calls), self.receipts(home)) == (1, [])

    def test_a_failed_answer_to_a_delivery_event_makes_no_further_one(self, home: Home) -> None:
        connector, _ = self.scripted(home, "rejected")
        self.drop(home, "a.json", _OUTGOING)
        self.deliver_all(connector, home)
        [event] = self.events(home, "delivery")
        self.drop(home, "b.json", {"reply_to": event.id, "text": "sorry to hear that"})
        self.deliver_all(connector, home)
        assert len(self.reasons(home)) == 2
        assert len(self.events(home, "delivery")) == 1

    @pytest.mark.parametrize("returned", ["none", "text", "number"])
    def test_a_wrong_return_makes_a_dead_letter_and_is_never_sent_again(self, home: Home, returned: str) -> None:
        connector, script = self.scripted(home, returned, "true")
        self.drop(home, "a.json", _OUTGOING)
        self.deliver_all(connector, home)
        connector.close()
        connector, again = self.scripted(home, "true")
        connector.process_outbox()
        assert [reason.class_ for reason in self.reasons(home)] == ["bug"]
        assert (len(script.calls), len(again.calls)) == (1, 0)

    def test_a_cut_off_send_is_sent_again_and_the_receipt_says_so(self, home: Home) -> None:
        connector, script = self.scripted(home, "cut", "true")
        self.drop(home, "a.json", _OUTGOING)
        self.deliver_all(connector, home)
        assert [receipt.ambiguous for receipt in self.receipts(home)] == [not self.idempotent]
        assert len(script.calls) == 2

    def test_a_cut_off_send_can_be_held_instead(self, home: Home) -> None:
        if self.idempotent:
            pytest.skip("a repeated send is exactly once: nothing is ambiguous")
        self.configure(home, delivery={"on_ambiguous": "hold"})
        connector, script = self.scripted(home, "cut", "true")
        self.drop(home, "a.json", _OUTGOING)
        self.drop(home, "b.json", {**_OUTGOING, "id": "o2"})
        self.deliver_all(connector, home)
        assert [(reason.class_, reason.id) for reason in self.reasons(home)] == [("ambiguous", "o1")]
        assert [receipt.id for receipt in self.receipts(home)] == ["o2"]
        assert len(script.calls) == 2

    def test_process_outbox_never_raises(self, home: Home) -> None:
        connector, _ = self.scripted(home, "bug")
        self.drop(home, "a.json", _OUTGOING)
        assert connector.process_outbox() == 0
        connector.close()
        connector, _ = self.scripted(home, "auth")
        self.drop(home, "b.json", {**_OUTGOING, "conversation_id": "C2", "id": "o2"})
        assert connector.process_outbox() == 0
        assert connector.wait(0) is True, "a fatal error asks for the end"
        assert len(self.queued(home)) == 2

    def test_a_fatal_error_is_not_the_outgoings_fault(self, home: Home) -> None:
        self.configure(home, delivery={"max_attempts": 1})
        connector, _ = self.scripted(home, "auth")
        self.drop(home, "a.json", _OUTGOING)
        connector.process_outbox()
        connector.close()
        connector, _ = self.scripted(home, "true")
        self.deliver_all(connector, home)
        assert [receipt.attempts for receipt in self.receipts(home)] == [1]

    def test_a_queued_outgoing_is_cancelled_by_deleting_its_file(self, home: Home) -> None:
        connector, script = self.scripted(home, "retry_after:0.05", "true")
        self.drop(home, "a.json", _OUTGOING)
        connector.process_outbox()
        [claimed] = home.sending(self.instance).glob("*.json")
        claimed.unlink()
        self.drop(home, "b.json", {**_OUTGOING, "id": "o2"})
        self.deliver(connector, lambda: self.receipts(home))
        assert [receipt.id for receipt in self.receipts(home)] == ["o2"]
        assert self.reasons(home) == []
        assert [call.id for call in script.calls] == ["o1", "o2"]
