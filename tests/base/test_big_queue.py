"""A queue of any size: the first of it is sent at once, and what has ended slows nothing down."""

from pathlib import Path

import pytest

from connectors.base.message import OutgoingMessage
from tests.base.box import Box


@pytest.mark.parametrize("conversations", [1, 20, 1000])
def test_only_a_little_more_is_claimed_than_is_sent_next(home: Path, conversations: int) -> None:
    # given
    claimed = []

    def answer(message: OutgoingMessage) -> bool:
        claimed.append(len(list(box.sending_folder.iterdir())))
        if len(claimed) == 3:
            box.stop.set()
        return True

    box = Box(home, answer=answer)
    for number in range(1000):
        box.drop(f"{number:04d}.json", {"conversation_id": f"C{number % conversations}", "text": "hi"})
    # when
    box.delivery.deliver_ready()
    # then
    assert len(claimed) == 3
    assert max(claimed) <= 200
    box.close()


def test_behind_a_conversation_that_waits_the_others_are_still_claimed(home: Path) -> None:
    # given: 300 for a conversation that cannot be reached, and behind them one for another
    box = Box(home, answer=lambda message: message.conversation_id != "blocked")
    for number in range(300):
        box.drop(f"a{number:04d}.json", {"conversation_id": "blocked", "text": "hi"})
    box.drop("b.json", {"conversation_id": "free", "text": "hi"})
    # when
    box.delivery.deliver_ready()
    # then
    assert [message.conversation_id for message in box.sent] == ["blocked", "free"]
    box.close()


def test_an_outgoing_is_found_by_an_index_however_many_are_kept(home: Path) -> None:
    """Every send asks for its row: reading the whole table for that made the 50,000th send take 3 ms more."""
    box = Box(home)
    asked: list[str] = []
    box.store._out.set_trace_callback(asked.append)
    box.store.outgoing("some key")
    box.store._out.set_trace_callback(None)
    plans = [row[3] for question in asked for row in box.store._out.execute(f"EXPLAIN QUERY PLAN {question}")]
    assert plans
    assert not [plan for plan in plans if plan.startswith("SCAN")]
    box.close()
