"""Reading a list that changes under the reader's hands, without a server: every list is a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.github.client import Answer
from connectors.github.faults import Nonsense
from connectors.github.walking import PER_PAGE, earlier, walk, written

_T0 = 1_800_000_000


class Listed:
    """A list as GitHub serves it: {id: when it was updated}; `meanwhile` is called after each answer."""

    def __init__(self, times: dict[int, int], *, inclusive: bool = True) -> None:
        self.times = dict(times)
        self.inclusive = inclusive
        self.meanwhile: Callable[[int], None] = lambda _: None
        self.calls = 0

    def get(self, where: str, etag: str | None = None, **query: str) -> Answer:
        since, page = (query["since"], 1) if query else (where.split("|")[1], int(where.split("|")[2]))
        later = [
            (at, one)
            for one, at in self.times.items()
            if written(at) > since or (self.inclusive and written(at) == since)
        ]
        shown = sorted(later)[(page - 1) * PER_PAGE : page * PER_PAGE]
        more = len(later) > page * PER_PAGE
        data = [{"id": one, "updated_at": written(at)} for at, one in shown]
        self.calls += 1
        self.meanwhile(self.calls)
        return Answer(data, {"etag": f"e{self.calls}"}, f"next|{since}|{page + 1}" if more else None)

    def walked(self) -> list[int]:
        """The ids that came, in order."""
        return [one["id"] for page in walk(self.get, "/x", written(_T0 - 10)) for one in page.records]


@given(
    size=st.integers(0, 350),
    seconds=st.sampled_from([1, 2, 3, 9, 400]),
    moves=st.lists(st.tuples(st.integers(0, 349), st.integers(0, 6)), max_size=30),
    inclusive=st.booleans(),
)
def test_whatever_moves_while_it_is_read_everything_comes(
    size: int, seconds: int, moves: list[tuple[int, int]], inclusive: bool
) -> None:
    """Records are changed between any two requests; those that were not are never missed."""
    listed = Listed({number: _T0 + number % seconds for number in range(size)}, inclusive=inclusive)
    now = _T0 + 500

    def move(call: int) -> None:
        nonlocal now
        now += 1
        for number, after in moves:
            if after == call and number in listed.times:
                listed.times[number] = now

    listed.meanwhile = move
    came = listed.walked()
    assert set(came) == set(range(size))


def test_a_deletion_while_one_second_is_read_hides_no_other() -> None:
    listed = Listed(dict.fromkeys(range(250), _T0))
    listed.meanwhile = lambda call: (listed.times.pop(3), None)[1] if call == 2 else None
    assert set(listed.walked()) == set(range(250))


def test_nothing_comes_twice_where_nothing_changes() -> None:
    listed = Listed({number: _T0 + number // 3 for number in range(500)})
    came = listed.walked()
    assert sorted(came) == list(range(500))
    assert listed.calls <= 7


def test_a_single_page_gives_its_etag_and_several_give_none() -> None:
    one = list(walk(Listed({1: _T0}).get, "/x", written(_T0 - 10)))
    assert [page.etag for page in one] == ["e1"]
    many = list(walk(Listed({number: _T0 + number for number in range(150)}).get, "/x", written(_T0 - 10)))
    assert [page.etag for page in many[:-1]] == [None]


def test_what_is_as_it_was_gives_no_page() -> None:
    def get(where: str, etag: str | None = None, **_: Any) -> Answer:
        assert (where, etag) == ("/x", "e1")
        return Answer(None, {}, fresh=False)

    assert list(walk(get, "/x", written(_T0), "e1")) == []


def test_pages_that_lead_in_a_circle_are_nonsense() -> None:
    def get(_where: str, _etag: str | None = None, **_: Any) -> Answer:
        return Answer([{"id": 1, "updated_at": written(_T0)}], {}, "next")

    with pytest.raises(Nonsense, match="circle"):
        list(walk(get, "/x", written(_T0)))


@pytest.mark.parametrize("data", [None, {}, "x", 3, [1], [None], [{"id": 1}], [{"id": 1, "updated_at": "x"}]])
def test_what_is_no_list_of_records_is_nonsense(data: Any) -> None:
    with pytest.raises(Nonsense):
        list(walk(lambda *_, **__: Answer(data, {}), "/x", written(_T0)))


def test_no_time_is_before_1970() -> None:
    assert earlier("1970-01-01T00:00:30Z", 60) == "1970-01-01T00:00:00Z"
