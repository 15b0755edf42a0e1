"""Promises of the outbox: what is sent, in which order, to whom, and what is refused before it is sent."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.base.errors import BadMessage
from connectors.base.home import Home
from connectors.base.message import OutgoingMessage
from connectors.testing.basis import ContractBasis


class Delivering(ContractBasis):
    """Design section 4, Out, as far as one process sees it."""

    def test_an_outgoing_ends_with_a_receipt_and_no_file(self, home: Home) -> None:
        connector, script = self.scripted(home, "receipt:m1")
        self.drop(home, "a.json", {"conversation_id": "C1", "text": "hi", "id": "o1"})
        assert connector.process_outbox() == 1
        assert self.queued(home) == []
        [receipt] = self.receipts(home)
        assert (receipt.id, receipt.file, receipt.ids) == ("o1", "a.json", ["m1"])
        assert (receipt.connector_instance, receipt.attempts, receipt.ambiguous) == (self.instance, 1, False)
        assert len(script.calls) == 1

    def test_the_text_arrives_as_it_was_written(self, home: Home) -> None:
        connector, script = self.scripted(home, "true")
        texts = ["  two spaces  \n", "", " ", "zwölf 🙂", 'quotes " and \\']
        for n, text in enumerate(texts):
            self.drop(home, f"{n}.json", {"conversation_id": "C1", "text": text})
        self.deliver_all(connector, home)
        assert [call.text for call in script.calls] == texts

    def test_a_conversation_keeps_its_order(self, home: Home) -> None:
        connector, script = self.scripted(home, "true", "retry", "false", "retry_after:0.02", "true")
        for n in range(5):
            self.drop(home, f"{9 - n}.json", {"conversation_id": "C1", "text": str(n)})
        self.deliver_all(connector, home)
        seen = list(dict.fromkeys(call.text for call in script.calls))
        assert seen == ["0", "1", "2", "3", "4"]

    def test_a_conversation_that_waits_blocks_no_other(self, home: Home) -> None:
        connector, _ = self.scripted(home, "retry_after:3600", "true")
        self.drop(home, "a.json", {"conversation_id": "C1", "text": "waits"})
        self.drop(home, "b.json", {"conversation_id": "C1", "text": "waits behind it"})
        self.drop(home, "c.json", {"conversation_id": "C2", "text": "goes"})
        connector.process_outbox()
        assert [receipt.file for receipt in self.receipts(home)] == ["c.json"]
        assert len(self.queued(home)) == 2

    def test_a_reply_knows_its_conversation_also_when_the_event_is_gone(self, home: Home) -> None:
        connector, script = self.scripted(home, "true")
        connector.write_to_inbox(self.event("e1", conversation="C7")).unlink()
        self.drop(home, "a.json", {"reply_to": "e1", "text": "hi"})
        self.deliver_all(connector, home)
        assert (script.calls[0].conversation_id, script.calls[0].reply_to) == ("C7", "e1")

    def test_a_reply_to_nothing_is_a_dead_letter(self, home: Home) -> None:
        connector, script = self.scripted(home, "true")
        self.drop(home, "a.json", {"reply_to": "never seen", "text": "hi"})
        self.deliver_all(connector, home)
        assert script.calls == []
        assert [reason.class_ for reason in self.reasons(home)] == ["rejected"]

    def test_an_id_that_was_sent_is_answered_by_the_first_receipt(self, home: Home) -> None:
        connector, script = self.scripted(home, "receipt:m1", "receipt:m2")
        self.drop(home, "a.json", {"conversation_id": "C1", "text": "hi", "id": "o1"})
        self.deliver_all(connector, home)
        connector.close()
        connector, again = self.scripted(home, "receipt:m3")
        self.drop(home, "b.json", {"conversation_id": "C1", "text": "hi", "id": "o1"})
        self.deliver_all(connector, home)
        first, second = self.receipts(home)
        assert (len(script.calls), len(again.calls)) == (1, 0)
        assert second.ids == ["m1"]
        assert second.duplicate_of == first.key

    def test_the_same_file_name_again_and_again_loses_nothing(self, home: Home) -> None:
        connector, script = self.scripted(home, "true")
        for n in range(4):
            self.drop(home, "reply.json", {"conversation_id": "C1", "text": str(n)})
            connector.process_outbox()
        assert [call.text for call in script.calls] == ["0", "1", "2", "3"]
        assert len(self.receipts(home)) == 4

    def test_every_send_has_a_key_for_platforms_that_know_such_keys(self, home: Home) -> None:
        connector, script = self.scripted(home, "retry", "true")
        self.drop(home, "a.json", {"conversation_id": "C1", "text": "no id"})
        self.drop(home, "b.json", {"conversation_id": "C2", "text": "id", "id": "o1"})
        self.deliver_all(connector, home)
        keys = [call.idempotency_key for call in script.calls]
        assert all(keys)
        assert keys[0] == keys[-1] != keys[1], "the second attempt has the key of the first"

    def test_not_before_waits_and_survives_a_restart(self, home: Home) -> None:
        connector, script = self.scripted(home, "true")
        later = datetime.now(UTC) + timedelta(hours=1)
        self.drop(home, "a.json", {"conversation_id": "C1", "text": "x", "not_before": later.isoformat()})
        connector.process_outbox()
        connector.close()
        connector, again = self.scripted(home, "true")
        connector.process_outbox()
        assert script.calls == again.calls == []
        assert len(self.queued(home)) == 1

    def test_an_expired_outgoing_is_a_dead_letter(self, home: Home) -> None:
        connector, script = self.scripted(home, "true")
        earlier = datetime.now(UTC) - timedelta(seconds=1)
        self.drop(home, "a.json", {"conversation_id": "C1", "text": "x", "expires_at": earlier.isoformat()})
        self.deliver_all(connector, home)
        assert script.calls == []
        assert [reason.class_ for reason in self.reasons(home)] == ["expired"]

    def test_an_action_that_nobody_declared_is_a_dead_letter(self, home: Home) -> None:
        connector, script = self.scripted(home, "true")
        self.drop(home, "a.json", {"conversation_id": "C1", "action": "no-such-action"})
        self.deliver_all(connector, home)
        assert script.calls == []
        assert [reason.class_ for reason in self.reasons(home)] == ["rejected"]

    def test_an_attachment_below_the_attachments_folder_is_handed_over_as_a_copy(self, home: Home) -> None:
        connector, script = self.scripted(home, "true")
        home.make(home.attachments)
        (home.attachments / "a.txt").write_bytes(b"content")
        attachment = {"path": "messages/attachments/a.txt", "name": "../b.txt"}
        self.drop(home, "a.json", {"conversation_id": "C1", "text": "", "attachments": [attachment]})
        self.deliver_all(connector, home)
        [handed] = script.calls[0].attachments
        assert Path(handed.path).parent == home.sending(self.instance)
        assert handed.name is not None
        assert "/" not in handed.name

    @pytest.mark.parametrize("path", ["/etc/hostname", "../secret", "messages/attachments/../../secret", "state/x"])
    def test_an_attachment_from_elsewhere_is_refused(self, home: Home, path: str) -> None:
        (home.root / "secret").write_bytes(b"x")
        self._refused(home, path)

    @pytest.mark.parametrize("link", ["file", "folder"])
    def test_a_link_among_the_attachments_is_refused(self, home: Home, link: str) -> None:
        home.make(home.attachments)
        (home.root / "secret").write_bytes(b"x")
        if link == "file":
            (home.attachments / "link").symlink_to(home.root / "secret")
            self._refused(home, "messages/attachments/link")
        else:
            (home.attachments / "link").symlink_to(home.root)
            self._refused(home, "messages/attachments/link/secret")

    @pytest.mark.parametrize("what", ["nothing", "folder", "fifo", "too large"])
    def test_what_is_no_sendable_file_is_refused(self, home: Home, what: str) -> None:
        self.configure(home, limits={"attachment_max_bytes": 10})
        home.make(home.attachments)
        path = home.attachments / "it"
        if what == "folder":
            path.mkdir()
        elif what == "fifo":
            os.mkfifo(path)
        elif what == "too large":
            path.write_bytes(b"x" * 11)
        self._refused(home, "messages/attachments/it")

    def _refused(self, home: Home, path: str) -> None:
        connector, script = self.scripted(home, "true")
        self.drop(home, "a.json", {"conversation_id": "C1", "text": "x", "attachments": [{"path": path}]})
        self.deliver_all(connector, home)
        assert script.calls == []
        [reason] = self.reasons(home)
        assert reason.class_ == "rejected"
        assert reason.hint

    def test_a_long_text_is_split_once_and_goes_on_at_the_first_part_that_was_not_sent(self, home: Home) -> None:
        most = self.connector.limits.text_max
        if most is None:
            pytest.skip("limits.text_max is not declared: nothing is split")
        connector, script = self.scripted(home, "receipt:1", "retry_after:3600")
        text = " ".join(f"word{n}" for n in range(most // 2))
        self.drop(home, "a.json", {"conversation_id": "C1", "text": text})
        connector.process_outbox()
        connector.close()
        first, second = script.calls[:2]
        assert len(first.text) <= most
        assert first.idempotency_key != second.idempotency_key
        connector, again = self.scripted(home, "receipt:2")
        connector.process_outbox()
        assert again.calls == [], "the platform's wait is over too early"

    def test_one_thread_at_a_time_sends(self, home: Home) -> None:
        connector, script = self.scripted(home, "slow:0.02")
        for n in range(12):
            self.drop(home, f"{n}.json", {"conversation_id": f"C{n}", "text": str(n)})
        threads = [threading.Thread(target=connector.process_outbox) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.deliver_all(connector, home)
        assert sorted(call.text for call in script.calls) == sorted(map(str, range(12)))
        assert script.most_at_once <= self.connector.parallel_sends

    def test_poll_outbox_hands_over_and_deletes(self, home: Home) -> None:
        connector, script = self.scripted(home, "true")
        self.drop(home, "a.json", {"conversation_id": "C1", "text": "hi"})
        self.drop(home, "bad.json", b"[]")
        handed = connector.poll_outbox()
        assert [message.text for message in handed] == ["hi"]
        assert isinstance(handed[0], OutgoingMessage)
        assert self.queued(home) == []
        assert [receipt.handed_over for receipt in self.receipts(home)] == [True]
        assert (home.failed / "bad.json").read_bytes() == b"[]"
        assert script.calls == []

    def test_the_smallest_outgoings_are_those_of_the_format(self) -> None:
        OutgoingMessage.from_json('{"conversation_id": "C1", "text": "hi"}')
        OutgoingMessage.from_json('{"reply_to": "e1", "text": "hi"}')
        with pytest.raises(BadMessage, match="conversation_id or reply_to"):
            OutgoingMessage.from_json('{"text": "hi"}')
