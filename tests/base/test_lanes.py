"""Which outgoing is next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.base.lanes import Item, Lanes


def item(seq: int, lane: str, due: float = 0.0) -> Item:
    return Item(f"k{seq}", f"{seq}.json", lane, seq, due)


def test_what_came_first_is_next_over_all_conversations() -> None:
    lanes = Lanes()
    for one in (item(1, "A"), item(2, "B"), item(3, "C")):
        lanes.add(one)
    taken = [lanes.take(0.0) for _ in range(4)]
    assert [t.seq if t else None for t in taken] == [1, 2, 3, None]


def test_a_conversation_in_hand_is_left_alone_until_it_is_done() -> None:
    lanes = Lanes()
    first, second = item(1, "A"), item(2, "A")
    lanes.add(first)
    lanes.add(second)
    assert lanes.take(0.0) is first
    assert lanes.take(0.0) is None
    lanes.done(first)
    assert lanes.take(0.0) is second
    lanes.done(second)
    assert len(lanes) == 0


def test_what_was_put_back_waits_at_the_head_of_its_conversation() -> None:
    lanes = Lanes()
    first, second, other = item(1, "A"), item(2, "A"), item(3, "B")
    for one in (first, second, other):
        lanes.add(one)
    lanes.put_back(_taken(lanes, 0.0), 10.0)
    assert _taken(lanes, 0.0) is other
    assert lanes.take(9.9) is None
    assert lanes.next_due() == 10.0
    assert lanes.take(10.0) is first


def _taken(lanes: Lanes, now: float) -> Item:
    found = lanes.take(now)
    assert found is not None
    return found


def test_hurry_makes_all_that_wait_due() -> None:
    lanes = Lanes()
    lanes.add(item(1, "A", due=100.0))
    lanes.add(item(2, "B", due=50.0))
    assert lanes.take(0.0) is None
    lanes.hurry()
    assert [_taken(lanes, 0.0).seq, _taken(lanes, 0.0).seq] == [1, 2]


def test_one_that_is_added_while_its_conversation_is_in_hand_waits_for_its_turn() -> None:
    lanes = Lanes()
    first, second = item(1, "A"), item(2, "A")
    lanes.add(first)
    _taken(lanes, 0.0)
    lanes.add(second)
    assert lanes.take(0.0) is None
    assert lanes.runnable() == 0
    lanes.done(first)
    assert lanes.take(0.0) is second


@given(st.data())
def test_whatever_happens_order_holds_within_a_conversation_and_nothing_is_forgotten(data: st.DataObject) -> None:
    lanes, now, seq = Lanes(), 0.0, 0
    added: dict[str, list[int]] = {}
    ended: dict[str, list[int]] = {}
    in_hand: dict[str, Item] = {}
    for _ in range(data.draw(st.integers(1, 60))):
        match data.draw(st.sampled_from(["add", "take", "done", "back", "tick", "hurry"])):
            case "add":
                seq += 1
                lane = data.draw(st.sampled_from("ABC"))
                lanes.add(item(seq, lane, data.draw(st.sampled_from([0.0, 0.0, now + 3]))))
                added.setdefault(lane, []).append(seq)
            case "take":
                found = lanes.take(now)
                if found is not None:
                    assert found.lane not in in_hand
                    in_hand[found.lane] = found
            case "done" if in_hand:
                found = in_hand.pop(data.draw(st.sampled_from(sorted(in_hand))))
                lanes.done(found)
                ended.setdefault(found.lane, []).append(found.seq)
            case "back" if in_hand:
                lanes.put_back(in_hand.pop(data.draw(st.sampled_from(sorted(in_hand)))), now + 5)
            case "tick":
                now += 1
            case "hurry":
                lanes.hurry()
    for found in in_hand.values():
        lanes.done(found)
        ended.setdefault(found.lane, []).append(found.seq)
    while (left := lanes.take(now + 1000)) is not None:
        lanes.done(left)
        ended.setdefault(left.lane, []).append(left.seq)
    assert ended == added
    assert len(lanes) == 0
