"""The Python client for agents."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import connectors
from connectors import Mailbox, OutgoingMessage
from connectors.base.errors import BadMessage, ConfigError
from connectors.base.home import Home
from connectors.base.outgoings import TooLate, remove_leftovers
from connectors.base.readers import Ambiguous, LostClaim, NotFound
from connectors.base.store import Claim, OutState, Store
from tests.base.mail import drop, event, killed, line_of, names, program
from tests.helpers import wait_for


@pytest.fixture
def box(home: Path) -> Home:
    made = Home(home)
    made.make(made.inbox, made.outbox("chat"), made.outbox("mail"))
    return made


def queued(box: Home, instance: str = "chat") -> list[OutgoingMessage]:
    """What lies in an outbox, in the order of the names."""
    return [OutgoingMessage.from_file(box.outbox(instance) / name) for name in names(box.outbox(instance))]


def test_the_public_names_are_sorted_and_load_nothing_before_they_are_used() -> None:
    assert connectors.__all__ == sorted(connectors.__all__)
    assert all(hasattr(connectors, name) for name in connectors.__all__)
    assert set(connectors.__all__) <= set(dir(connectors))
    with pytest.raises(AttributeError, match="no attribute 'Postbox'"):
        _ = connectors.Postbox
    source = "import connectors, sys; print(sum(name.startswith('connectors') for name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "1"


def test_tail_gives_all_that_waits_and_takes_nothing(box: Home) -> None:
    drop(box, event("a"), event("b", "C2", kind="command"), event("c", "C3", instance="mail"))
    mailbox = Mailbox(box.root)
    held = mailbox.claim("worker")
    assert held is not None
    assert [e.id for e in mailbox.tail()] == ["a", "b", "c"]
    assert [e.id for e in mailbox.tail(kinds={"command"})] == ["b"]
    assert [e.id for e in mailbox.tail(instance="mail")] == ["c"]
    mailbox.close()
    assert len(names(box.inbox)) == 3


def test_tail_follows_what_arrives_until_the_mailbox_is_closed(box: Home) -> None:
    drop(box, event("a"))
    mailbox, found = Mailbox(box.root), list[str]()

    def read() -> None:
        found.extend(e.id for e in iter(lambda: next(stream, None), None))

    stream = mailbox.tail(follow=True, as_="log", auto_ack=True)
    found.append(next(stream).id)
    reader = threading.Thread(target=read)
    reader.start()
    drop(box, event("b"))
    wait_for(lambda: names(box.inbox) == [])
    mailbox.close()
    reader.join(timeout=10)
    assert not reader.is_alive()
    assert found == ["a", "b"]


def test_an_event_is_acknowledged_as_a_worker_or_as_a_cursor(box: Home) -> None:
    drop(box, event("a"), event("b", "C2"))
    with Mailbox(box.root) as mailbox:
        first = next(mailbox.tail(as_="log"))
        with pytest.raises(ValueError, match="give as_"):
            mailbox.ack(first)
        with pytest.raises(LostClaim, match="no consumer and no cursor 'nobody'"):
            mailbox.ack("a", as_="nobody")
        mailbox.ack(first, as_="log")
        mailbox.ack("b", as_="log")
        assert names(box.inbox) == []  # cursors alone
        drop(box, event("c"), event("d", "C2"))
        held, other = mailbox.claim("worker"), mailbox.claim("worker")
        assert held is not None
        assert other is not None
        mailbox.ack("c", as_="worker")
        mailbox.nack(other)
        with pytest.raises(LostClaim):
            mailbox.ack("c", as_="worker")
        assert len(names(box.inbox)) == 1
        assert len(names(box.messages / ".acked")) == 1


def test_auto_ack_without_a_cursor_is_refused(box: Home) -> None:
    with pytest.raises(ValueError, match="auto_ack needs a cursor"):
        Mailbox(box.root).tail(auto_ack=True)


def test_a_claim_waits_for_an_event(box: Home) -> None:
    with Mailbox(box.root) as mailbox:
        assert mailbox.claim("worker", wait_s=0.01) is None
        late = threading.Timer(0.05, lambda: drop(box, event("a")))
        late.start()
        claimed = mailbox.claim("worker", wait_s=30)
        late.join()
        assert claimed is not None
        assert claimed.event.id == "a"


def test_closing_gives_back_what_is_claimed_for_the_process_and_keeps_leases(box: Home) -> None:
    drop(box, event("a"), event("b", "C2"))
    with Mailbox(box.root) as mailbox:
        assert mailbox.claim("worker") is not None
        assert mailbox.claim("shell", lease_s=60) is not None
    assert len(names(box.inbox)) == 1
    assert len(names(box.claimed / "shell")) == 1


def test_wait_returns_at_once_the_first_time_and_then_for_news_only(box: Home) -> None:
    drop(box, event("a"))
    with Mailbox(box.root) as mailbox:
        assert mailbox.wait(timeout_s=0)
        assert not mailbox.wait(timeout_s=0.02)
        drop(box, event("b"))
        assert mailbox.wait(timeout_s=30)


def test_a_reply_goes_where_the_event_came_from(box: Home) -> None:
    drop(box, event("a", "C7", thread_id="T1"))
    mailbox = Mailbox(box.root)
    found = next(mailbox.tail())
    outgoing_id = mailbox.reply(found, "  hi\n", format="plain")
    (out,) = queued(box)
    assert (out.id, out.conversation_id, out.thread_id, out.reply_to) == (outgoing_id, "C7", "T1", "a")
    assert (out.text, out.format, out.connector_instance) == ("  hi\n", "plain", "chat")
    assert names(box.messages / ".staging" / ".readers") == []


def test_a_reply_by_id_finds_the_event_wherever_it_is_kept(box: Home) -> None:
    drop(box, event("waiting", "C1"), event("held", "C2"), event("failed", "C3"), event("acked", "C4"))
    with Mailbox(box.root) as mailbox:
        list(mailbox.tail(as_="log"))
        for _ in range(4):
            claimed = mailbox.claim("worker")
            assert claimed is not None
            if claimed.event.id == "waiting":
                claimed.nack(delay_s=100)
            elif claimed.event.id == "failed":
                mailbox.claims("worker").fail(claimed, "because")
            elif claimed.event.id == "acked":
                claimed.ack()
        for event_id in ("waiting", "held", "failed", "acked"):
            mailbox.reply(event_id, "hi", id=f"to-{event_id}")
        with pytest.raises(NotFound):
            mailbox.reply("nobody", "hi")
    assert sorted((o.reply_to, o.conversation_id) for o in queued(box)) == [
        ("acked", "C4"),
        ("failed", "C3"),
        ("held", "C2"),
        ("waiting", "C1"),
    ]


def test_a_reply_by_an_id_that_two_instances_have_needs_the_instance(box: Home) -> None:
    drop(box, event("a"), event("a", "M1", instance="mail"))
    mailbox = Mailbox(box.root)
    with pytest.raises(Ambiguous, match="chat, mail"):
        mailbox.reply("a", "hi")
    mailbox.reply("a", "hi", connector_instance="mail")
    assert [o.conversation_id for o in queued(box, "mail")] == ["M1"]


def test_a_reply_elsewhere_answers_nothing_there(box: Home) -> None:
    drop(box, event("a", thread_id="T1"))
    mailbox = Mailbox(box.root)
    found = next(mailbox.tail())
    mailbox.reply(found, "hi", conversation_id="C9")
    (out,) = queued(box)
    assert (out.conversation_id, out.thread_id, out.reply_to) == ("C9", None, None)


def test_an_event_without_an_id_can_be_answered_too(box: Home) -> None:
    data = event("x", "C5").to_dict()
    del data["id"]
    (box.inbox / "by-hand.json").write_text(json.dumps(data))
    mailbox = Mailbox(box.root)
    found = next(mailbox.tail())
    assert found.id == "by-hand"
    mailbox.reply(found, "hi")
    (out,) = queued(box)
    assert (out.conversation_id, out.reply_to) == ("C5", None)


def test_send_needs_an_instance_that_exists_and_fields_that_make_an_outgoing(box: Home) -> None:
    mailbox = Mailbox(box.root)
    first = mailbox.send("chat", "C1", "hi")
    second = mailbox.send("chat", "C1", "again", id="my-key", metadata={"a": 1})
    assert [o.id for o in queued(box)] == [first, second]
    assert second == "my-key"
    with pytest.raises(ConfigError, match="no outbox for 'slak'; there are: chat, mail"):
        mailbox.send("slak", "C1", "hi")
    with pytest.raises(ConfigError, match="cannot be an instance's name"):
        mailbox.send("../../etc", "C1", "hi")
    with pytest.raises(BadMessage, match="format"):
        mailbox.send("chat", "C1", "hi", format="rtf")


def test_cancel_takes_back_what_waits_and_refuses_what_is_being_sent(box: Home) -> None:
    mailbox = Mailbox(box.root)
    mailbox.send("chat", "C1", "hi", id="waits")
    assert mailbox.cancel("waits").parent == box.outbox("chat")
    assert queued(box) == []
    with pytest.raises(TooLate, match="no outgoing 'waits' waits"):
        mailbox.cancel("waits")
    box.make(box.sending("chat"))
    store = Store.open(box, "chat")
    store.insert_claims([Claim("k1", "f1", "claimed", True, "C1"), Claim("k2", "f2", "sending", True, "C1")])
    store.update_outgoing("k2", state=OutState.SENDING)
    for key in ("k1", "k2"):
        (box.sending("chat") / f"{key}.json").write_text("{}")
    assert mailbox.cancel("claimed").name == "k1.json"
    with pytest.raises(TooLate, match="'sending' is sending"):
        mailbox.cancel("sending")
    store.close()
    assert names(box.sending("chat")) == ["k2.json"]


def test_a_killed_writer_leaves_no_torn_file_and_its_leftovers_go(box: Home) -> None:
    source = """
import sys, itertools
from connectors import Mailbox
mailbox = Mailbox(sys.argv[1])
for number in itertools.count():
    mailbox.send("chat", "C1", "x" * 100_000, id=str(number))
    print(number)
"""
    with program(source, box.root) as process:
        for _ in range(20):
            line_of(process)
        killed(process)
    assert len(queued(box)) >= 20
    assert remove_leftovers(box, 1e12) <= 1
    assert names(box.messages / ".staging" / ".readers") == []


def test_replay_and_event_find_kept_events(box: Home) -> None:
    drop(box, event("a"))
    with Mailbox(box.root) as mailbox:
        claimed = mailbox.claim("worker")
        assert claimed is not None
        mailbox.claims("worker").fail(claimed, "because")
        assert mailbox.event("a").path.parent == box.failed
        assert mailbox.replay("a").parent == box.inbox
        assert mailbox.event("a").path.parent == box.inbox
