"""Comments out: exactly once, also after a cut; and what comes back of them."""

from __future__ import annotations

import pytest

from connectors.base.message import OutgoingMessage
from connectors.github.own import MARK_CHARACTERS, is_marked, mark_of, marked, without_mark
from connectors.github.writing import TEXT_MAX, plain
from tests.github.live import REPOSITORY, Place, source


def _written(place: Place) -> list[str]:
    return [without_mark(comment.body) for comment in place.fake.written]


def test_a_reply_to_an_issues_event_is_a_comment_on_it(place: Place) -> None:
    place.fake.open(place.repository, "Other")
    issue = place.fake.open(place.repository, "It crashes")
    place.fake.comment(issue, "Me too.")
    place.start(schedule="1h")
    place.wait(lambda: len(place.events) == 3)
    place.drop({"reply_to": place.events[1].id, "text": "On it."}, "a.json")
    place.wait(lambda: len(place.receipts) == 1)
    place.drop({"reply_to": place.events[2].id, "text": "You as well?"}, "b.json")
    place.wait(lambda: len(place.receipts) == 2)
    assert _written(place) == ["On it.", "You as well?"]
    assert {comment.issue.number for comment in place.fake.written} == {2}
    first = place.receipts[0]
    assert first.ids == [str(place.fake.written[0].id)]
    assert first.metadata["url"].endswith(f"/acme/app/issues/2#issuecomment-{first.ids[0]}")


@pytest.mark.parametrize("conversation", ["acme/app", "C1", "acme/app#x", "acme/app#0", "", "other/app#1", "acme/ap#1"])
def test_what_is_no_issue_of_these_repositories_is_a_dead_letter(place: Place, conversation: str) -> None:
    place.fake.open(place.repository, "It crashes")
    connector = place.here()
    connector.connect()
    place.drop({"conversation_id": conversation or " ", "text": "hello"})
    place.wait(lambda: connector.process_outbox() or place.reasons)
    [reason] = place.reasons
    assert (reason.class_, place.fake.written) == ("rejected", [])
    assert reason.hint


def test_without_a_token_nothing_can_be_sent_and_the_reason_says_so(place: Place) -> None:
    connector = place.here(token=None)
    connector.connect()
    place.drop({"conversation_id": f"{REPOSITORY}#1", "text": "hello"})
    place.wait(lambda: connector.process_outbox() or place.reasons)
    assert "GITHUB_TOKEN" in place.reasons[0].hint


@pytest.mark.parametrize("kind", ["cut", "timeout"])
def test_what_was_cut_off_is_looked_for_and_not_posted_again(place: Place, kind: str) -> None:
    issue = place.fake.open(place.repository, "It crashes")
    for number in range(130):  # it is not on the first page
        place.fake.comment(issue, f"comment {number}")
    place.fake.fail_next(kind, "^POST ")  # type: ignore[arg-type]
    place.start(schedule="1h", lookback="0s", timeout_s=2)
    place.drop({"conversation_id": f"{REPOSITORY}#1", "text": "once"})
    [receipt] = place.wait(lambda: place.receipts)
    assert (_written(place), receipt.ambiguous) == (["once"], False)
    assert receipt.ids == [str(place.fake.written[0].id)]


def test_what_never_arrived_is_posted_after_the_look(place: Place) -> None:
    place.fake.open(place.repository, "It crashes")
    place.fake.fail_next("drop", "^POST ")
    place.start(schedule="1h")
    place.drop({"conversation_id": f"{REPOSITORY}#1", "text": "once"})
    place.wait(lambda: place.receipts)
    assert _written(place) == ["once"]


def test_two_equal_texts_are_two_comments(place: Place) -> None:
    place.fake.open(place.repository, "It crashes")
    place.fake.fail_next("cut", "^POST ")
    place.start(schedule="1h")
    for name in ("a.json", "b.json"):
        place.drop({"conversation_id": f"{REPOSITORY}#1", "text": "+1"}, name)
    place.wait(lambda: len(place.receipts) == 2)
    assert _written(place) == ["+1", "+1"]


def test_a_text_that_is_too_long_for_github_goes_out_in_parts(place: Place) -> None:
    place.fake.open(place.repository, "It crashes")
    place.start(schedule="1h")
    text = " ".join(f"word{number}" for number in range(10_000))
    place.drop({"conversation_id": f"{REPOSITORY}#1", "text": text})
    place.wait(lambda: place.receipts)
    assert len(_written(place)) == 2
    assert " ".join(part.strip() for part in _written(place)) == text


def test_what_github_refuses_is_a_dead_letter_in_its_own_words(place: Place) -> None:
    issue = place.fake.open(place.repository, "It crashes")
    place.fake.change(issue, "locked", locked=True)
    place.repository.team.clear()
    place.start(schedule="1h")
    place.drop({"conversation_id": f"{REPOSITORY}#1", "text": "hello"})
    [reason] = place.wait(lambda: place.reasons)
    assert "issue is locked" in reason.reason


@pytest.mark.parametrize("text", ["", "  \n "])
def test_an_empty_comment_is_refused_before_it_is_one_that_nobody_sees(place: Place, text: str) -> None:
    place.fake.open(place.repository, "It crashes")
    connector = place.here()
    connector.connect()
    place.drop({"conversation_id": f"{REPOSITORY}#1", "text": text})
    place.wait(lambda: connector.process_outbox() or place.reasons)
    assert (place.fake.written, place.reasons[0].reason) == ([], "GitHub takes no empty comment")


def test_writes_are_a_second_apart(place: Place) -> None:
    connector = place.here()
    connector.connect()
    msg = OutgoingMessage(conversation_id=f"{REPOSITORY}#1", text="x")
    assert connector.pace(msg) == 0
    assert 0 < connector.pace(msg) <= 1


# ── what comes back ───────────────────────────────────────────────────────────────────────────────────────────


def test_an_agent_that_answers_everything_does_not_hear_itself(place: Place) -> None:
    place.fake.open(place.repository, "It crashes")
    place.start()
    [event] = place.wait(lambda: place.events)
    place.drop({"reply_to": event.id, "text": "On it."})
    place.wait(lambda: place.receipts)
    place.fake.comment(place.repository.issues[1], "Thanks.")
    place.wait(lambda: "Thanks." in place.texts)
    assert place.texts == ["#1 It crashes", "Thanks."]


@pytest.mark.parametrize(
    ("own_posts", "texts"),
    [("drop", ["from the browser"]), ("drop_account", []), ("mark", ["from the connector", "from the browser"])],
)
def test_a_persons_posts_by_the_same_account_are_told_from_the_connectors(
    place: Place, own_posts: str, texts: list[str]
) -> None:
    issue = place.fake.open(place.repository, "It crashes")
    place.fake.comment(issue, marked("from the connector", "o1"), by=place.fake.account)
    place.fake.comment(issue, "from the browser", by=place.fake.account)
    place.sync(own_posts=own_posts)
    assert place.texts[1:] == texts
    said = {m.content.text: source(m).provenance.get("self") for m in place.events}
    assert {said[text] for text in texts} <= {"connector", "account"}
    assert said.get("from the browser", "account") == "account"
    assert said["#1 It crashes"] is None


def test_a_mark_in_somebody_elses_comment_hides_nothing(place: Place) -> None:
    issue = place.fake.open(place.repository, "It crashes")
    place.fake.comment(issue, marked("quoted from the connector", "o1"))
    place.sync()
    assert place.texts[1:] == ["quoted from the connector"]


def test_what_others_do_with_an_issue_of_ours_is_news(place: Place) -> None:
    issue = place.fake.open(place.repository, "Ours", marked("found it", "o1"), by=place.fake.account)
    place.sync()
    assert place.events == []
    place.clock.tick()
    place.fake.close(issue)
    place.sync()
    assert [source(m).payload["state"] for m in place.events] == ["closed"]


def test_an_app_token_learns_who_it_is_from_what_it_posts(place: Place) -> None:
    place.fake.open(place.repository, "It crashes")
    place.fake.fail_next("forbidden", "^GET /user", n=100)
    place.start()
    [event] = place.wait(lambda: place.events)
    place.drop({"reply_to": event.id, "text": "On it."})
    place.wait(lambda: place.receipts)
    place.fake.comment(place.repository.issues[1], "Thanks.")
    place.wait(lambda: "Thanks." in place.texts)
    assert place.texts == ["#1 It crashes", "Thanks."]


# ── marks and texts ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_mark_is_at_the_end_and_leaves_the_text_as_it_was() -> None:
    for text in ("hello", " two\n\n", "", "a <!-- comment --> b"):
        assert is_marked(marked(text, "o1"))
        assert without_mark(marked(text, "o1")) == text
        assert len(marked(text, "o1")) <= len(text) + MARK_CHARACTERS
    assert mark_of("o1") != mark_of("o2")
    assert not is_marked(f"{mark_of('o1')} quoted in the middle")
    assert TEXT_MAX + MARK_CHARACTERS == 65_536


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("2 * 3 * 4", r"2 \* 3 \* 4"),
        ("# no title", r"\# no title"),
        ("#7 is a link", "#7 is a link"),
        ("- no list\n1. nor this", "\\- no list\n1\\. nor this"),
        ("<b>", r"\<b\>"),
        ("snake_case `code` [x](y)", r"snake\_case \`code\` \[x\](y)"),
        ("a - b, e.g. 1.5", "a - b, e.g. 1.5"),
    ],
)
def test_plain_text_looks_as_it_is_written(text: str, escaped: str) -> None:
    assert plain(text) == escaped
