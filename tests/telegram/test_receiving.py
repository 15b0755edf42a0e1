"""From the platform into the inbox: who may come in, what is confirmed when, and what is done without being asked."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest

from connectors.parts.downloads import FetchFailed
from connectors.telegram.filehost import FileHost
from connectors.telegram.options import TelegramOptions
from connectors.telegram.own import OwnMessages
from connectors.testing.telegram import FakeTelegram, File, png
from tests.telegram.bot import NAME, Bot
from tests.telegram.conftest import MakeBot


def test_a_stranger_gets_a_pairing_code_and_nothing_else(fake: FakeTelegram, bot: MakeBot) -> None:
    eve = fake.user("Eve")
    chat, one = fake.private(eve), bot()
    one.run()
    fake.post(chat, eve, "let me in")
    [said] = one.wait(lambda: fake.sent)
    assert "connectors pair approve" in said.text
    fake.post(chat, eve, "hello?")
    one.wait(lambda: not fake.pending)
    assert (one.events(), len(fake.sent)) == ([], 1)


def test_in_a_group_only_what_addresses_the_bot_comes_in(fake: FakeTelegram, bot: MakeBot) -> None:
    fake.world.privacy = False
    ada = fake.user("Ada")
    group = fake.supergroup("Engines", [ada], bot="administrator")
    one = bot(allow={"conversations": [str(group.id)]})
    one.run()
    fake.post(group, ada, "among us")
    fake.post(group, ada, "@fake_bot what is this?")
    fake.post(group, ada, "/help")
    events = one.wait_events(2)
    assert [event.content.text for event in events] == ["@fake_bot what is this?", "/help"]
    assert [event.metadata["why"] for event in events] == ["mention", "command"]
    assert {event.sender.trust for event in events} == {"open"}


def test_an_edit_of_what_came_in_comes_in_too(fake: FakeTelegram, bot: MakeBot) -> None:
    fake.world.privacy = False
    ada = fake.user("Ada")
    group = fake.supergroup("Engines", [ada], bot="administrator")
    one = bot(allow={"conversations": [str(group.id)]})
    one.run()
    asked, aside = fake.post(group, ada, "@fake_bot how?"), fake.post(group, ada, "among us")
    one.wait_events(1)
    fake.edit(group, aside.message_id, "still among us")
    fake.edit(group, asked.message_id, "how, please?")
    edit = one.event("edit")
    assert (edit.content.text, edit.metadata["why"], edit.mentions_me) == ("how, please?", "mention", False)


def test_the_old_option_allows_users_and_groups_by_their_sign(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    chat, group = fake.private(ada), fake.group("Engines", [ada], bot="administrator")
    one = bot(allowed_chats=[group.id, ada.id], groups="all")
    one.run()
    fake.post(chat, ada, "direct")
    fake.post(group, ada, "in the group")
    assert [event.metadata["why"] for event in one.wait_events(2)] == ["direct", "all"]


def test_a_channel_that_is_allowed_is_read(fake: FakeTelegram, bot: MakeBot) -> None:
    channel = fake.channel("News")
    one = bot(allow={"conversations": [str(channel.id)]})
    one.run()
    fake.post(channel, None, "hear, hear")
    assert one.event().metadata["why"] == "channel"


def test_a_pressed_button_is_an_event_and_answered_at_once(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]})
    one.run()
    receipt = one.sent(chat, "tea?", metadata={"buttons": [[{"text": "Yes", "data": "y"}]]})
    query = fake.press(chat, int(receipt.ids[0]), ada, "y")
    event = one.event("button")
    assert (event.content.text, event.metadata["button"]["id"]) == ("y", query)
    one.wait(lambda: query in fake.answers)


def test_a_reaction_to_the_bots_own_message_comes_in_where_only_mentions_do(fake: FakeTelegram, bot: MakeBot) -> None:
    fake.world.privacy = False
    ada = fake.user("Ada")
    group = fake.supergroup("Engines", [ada], bot="administrator")
    one = bot(allow={"conversations": [str(group.id)]})
    one.run()
    hers = fake.post(group, ada, "hm")
    mine = int(one.sent(group, "done").ids[0])
    fake.react(group, hers.message_id, ada, ["👎"])
    fake.react(group, mine, ada, ["👍"])
    event = one.event("reaction")
    assert (event.content.text, event.metadata["message_id"], event.metadata["why"]) == ("👍", mine, "reaction")


def test_own_messages_are_known_after_a_restart(bot: MakeBot) -> None:
    folder, log = bot().home.root, logging.getLogger("test")
    own = OwnMessages(folder, log, kept=3)
    for n in range(20):
        own.note("-1", [str(n)])
    again = OwnMessages(folder, log, kept=3)
    assert [again.has("-1", n) for n in (16, 17, 18, 19)] == [False, True, True, True]
    assert len((folder / "own-messages").read_text().splitlines()) <= 7


def test_the_bots_own_membership_is_told(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    group = fake.supergroup("Engines", [ada], bot="left")
    one = bot(allow={"conversations": ["*"]})
    one.run()
    fake.member(group, fake.bot, "member", by=ada)
    events = one.wait(lambda: [e for e in one.events("membership") if "membership" in e.metadata])
    assert events[0].metadata["membership"]["new"] == "member"


def test_what_was_said_while_it_was_down_is_marked_late(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]})
    fake.post(chat, ada, "an hour ago", date=int(fake.world.now()) - 3600)
    one.run()
    event = one.event()
    assert event.late
    assert event.late_by_s is not None
    assert 3590 < event.late_by_s < 3700


def test_an_album_keeps_every_caption(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]})
    one.run()
    fake.album(chat, ada, [{"photo": png(9, 9), "text": f"c{n}"} for n in range(3)])
    events = one.wait_events(3)
    assert [event.content.text for event in events] == ["c0", "c1", "c2"]
    assert len({event.metadata["media_group_id"] for event in events}) == 1
    assert all((one.home.root / event.content.attachments[0]["path"]).read_bytes() == png(9, 9) for event in events)


def test_a_file_comes_with_its_event(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]})
    one.run()
    fake.post(chat, ada, "read this", document=File("../n.pdf", b"%PDF", media_type="application/pdf"))
    [entry] = one.event().content.attachments
    assert (one.home.root / entry["path"]).read_bytes() == b"%PDF"
    assert (entry["size"], entry["media_type"]) == (4, "application/pdf")
    assert entry["name"].endswith("n.pdf")
    assert set(entry["ref"]) == {"file_id", "file_unique_id"}


def test_a_file_that_is_too_large_is_a_placeholder_with_its_reason(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]}, max_download_bytes=100_000_000)
    one.run()
    fake.post(chat, ada, "the film", video=File("film.mp4", size=30_000_000))
    [entry] = one.event().content.attachments
    assert "path" not in entry
    assert "20 MB" in entry["error"]


def test_a_web_page_instead_of_a_file_is_a_placeholder_with_its_reason(fake: FakeTelegram, bot: MakeBot) -> None:
    """As a proxy in between answers, with status 200."""
    ada = fake.user("Ada")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]}, download_timeout_s=1)
    fake.fail_next("page", "download", n=100)
    one.run()
    fake.post(chat, ada, "n", document=File("n.pdf", b"%PDF", media_type="application/pdf"))
    [entry] = one.event().content.attachments
    assert "path" not in entry
    assert "a web page came instead of the file" in entry["error"]


def test_what_has_another_length_than_telegram_named_is_a_placeholder(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]}, download_timeout_s=1)
    fake.fail_next("reject", "download", n=100, code=200)
    one.run()
    fake.post(chat, ada, "n", document=File("n.pdf", b"%PDF", media_type="application/pdf"))
    [entry] = one.event().content.attachments
    assert "path" not in entry
    assert "bytes came instead of 4" in entry["error"]


def test_a_web_page_that_was_sent_is_a_file(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]})
    one.run()
    fake.post(chat, ada, "n", document=File("n.html", b"<!DOCTYPE html>", media_type="text/html"))
    [entry] = one.event().content.attachments
    assert (one.home.root / entry["path"]).read_bytes() == b"<!DOCTYPE html>"


def test_a_web_page_instead_of_updates_is_survived(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]})
    one.run()
    fake.fail_next("page", "getUpdates", n=2)
    fake.post(chat, ada, "after the page")
    assert one.event().content.text == "after the page"


def test_texts_of_a_megabyte_control_characters_and_paths_as_names_are_data(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada \x1b[2J\x07\u202e")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]})
    one.run()
    fake.post(chat, ada, "n", document=File("../../\x1b[2J/etc/passwd", b"x"))
    sent = {"message_id": 77, "date": 1_700_000_000, "chat": {"id": chat.id, "type": "private"}}
    fake.inject({"message": {**sent, "from": {"id": ada.id, "first_name": "Ada"}, "text": "y" * 1_000_000}})
    first, second = one.wait_events(2)
    [entry] = first.content.attachments
    assert first.sender.id == str(ada.id)
    assert (one.home.root / entry["path"]).resolve().is_relative_to(one.home.attachments)
    assert "/" not in entry["name"]
    assert "\x1b" not in entry["name"]
    assert second.content.text == "y" * 1_000_000


def test_a_file_that_failed_can_be_fetched_again(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]})
    fake.fail_next("reject", "download", code=404, description="Not Found")
    one.run()
    fake.post(chat, ada, "n", document=File("n.txt", b"text"))
    event = one.event()
    assert "404" in event.content.attachments[0]["error"]
    one.sent(chat, action="fetch", target_id=event.id)
    entry = one.wait(lambda: next((e for e in one.events()[0].content.attachments if e.get("path")), None))
    assert (one.home.root / entry["path"]).read_bytes() == b"text"


def test_an_edit_of_a_caption_fetches_no_file_again(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]})
    one.run()
    posted = fake.post(chat, ada, "first", document=File("n.txt", b"text"))
    before = one.event().content.attachments[0]
    calls = len(fake.calls("getFile"))
    fake.edit(chat, posted.message_id, "second")
    one.wait_events(2)
    [edit] = one.events("edit")
    assert (edit.content.text, edit.content.attachments[0]["path"]) == ("second", before["path"])
    assert len(fake.calls("getFile")) == calls


def test_a_group_that_becomes_a_supergroup_goes_on(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    group = fake.group("Engines", [ada], bot="administrator")
    one = bot(allow={"conversations": [str(group.id)]}, groups="all")
    one.run()
    fake.post(group, ada, "before")
    first = one.wait_events(1)[0]
    new = fake.migrate(group)
    fake.post(new, ada, "after")
    one.wait(lambda: "after" in [event.content.text for event in one.events()])
    assert one.events()[-1].conversation.id == str(new.id)
    receipt = one.sent(group, "to the old id", reply_to=first.id)
    assert receipt.metadata["conversation_id"] == str(new.id)
    assert fake.sent[-1].chat_id == new.id


def test_what_is_sent_to_a_group_that_moved_unnoticed_is_sent_to_its_new_id(fake: FakeTelegram, bot: MakeBot) -> None:
    group = fake.group("Engines", [], bot="administrator")
    new = fake.migrate(group)
    one = bot()
    one.run()
    one.wait(lambda: not fake.pending)
    one.stop()
    (one.home.state_dir(NAME) / "moved.json").unlink()
    one.run()
    assert one.sent(group, "x").metadata["conversation_id"] == str(new.id)
    calls = len(fake.calls("sendMessage"))
    one.sent(group, "y")
    assert len(fake.calls("sendMessage")) == calls + 1


def test_business_messages_are_answered_for_the_account(fake: FakeTelegram, bot: MakeBot) -> None:
    owner, ada = fake.user("Owner"), fake.user("Ada")
    connection = fake.business(owner)
    one = bot(allow={"users": [str(ada.id), str(owner.id)]})
    one.run()
    fake.post(fake.private(ada), ada, "to the shop", business=connection)
    event = one.wait(lambda: one.events("message"))[0]
    assert event.conversation.id == f"business:{connection}:{ada.id}"
    one.send(event.conversation.id, "from the shop")
    call = one.wait(lambda: fake.calls("sendMessage"))[0]
    assert call.params["business_connection_id"] == connection


def test_strangers_of_a_business_account_get_no_pairing_code_in_the_owners_name(
    fake: FakeTelegram, bot: MakeBot
) -> None:
    owner, eve = fake.user("Owner"), fake.user("Eve")
    connection = fake.business(owner)
    one = bot(allow={"users": [str(owner.id)]})
    one.run()
    fake.post(fake.private(eve), eve, "is it open?", business=connection)
    one.wait(lambda: not fake.pending)
    one.stop()
    assert fake.calls("sendMessage") == []


def test_an_update_that_nobody_knows_holds_up_nothing(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]})
    one.run()
    fake.inject({"hologram": {"from": {"id": ada.id, "first_name": "Ada"}, "depth": 3}})
    fake.inject({"message": {"message_id": "no number", "chat": {"id": ada.id, "type": "private"}, "date": "today"}})
    fake.post(chat, ada, "after them")
    one.wait(lambda: "after them" in [event.content.text for event in one.events()])
    assert "[hologram]" in [event.content.text for event in one.events("event")]


def test_the_raw_object_comes_when_it_is_asked_for(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    chat, one = fake.private(ada), bot(allow={"users": [str(ada.id)]}, raw=True)
    one.run()
    posted = fake.post(chat, ada, "x")
    assert one.event().metadata["raw"] == posted.message


def burst(fake: FakeTelegram, one: Bot, kill_at: tuple[str, int]) -> list[str]:
    """Kill the connector again and again while a burst of messages comes in; the texts that are in the inbox."""
    ada = next(iter(user for user in fake.world.users.values() if user.first_name == "Ada"))
    chat = fake.private(ada)
    for n in range(60):
        fake.post(chat, ada, f"m{n}")
    for occurrence in (1, 7):
        one.start(kill_at=(kill_at[0], kill_at[1] * occurrence)).wait()
    one.start()
    one.wait(lambda: not fake.pending)
    return [event.content.text for event in one.events()]


def test_a_kill_in_a_burst_loses_nothing_and_doubles_nothing(fake: FakeTelegram, bot: MakeBot) -> None:
    ada = fake.user("Ada")
    one = bot(allow={"users": [str(ada.id)]})
    assert burst(fake, one, ("intake.published", 5)) == [f"m{n}" for n in range(60)]


def test_a_local_servers_files_are_read_from_its_disk(tmp_path: Path) -> None:
    options = TelegramOptions(token="t", local_mode=True)
    host = FileHost(options, httpx.create_ssl_context())
    (tmp_path / "f").write_bytes(b"x" * 600_000)
    assert b"".join(host.read(str(tmp_path / "f"))) == b"x" * 600_000
    with pytest.raises(FetchFailed, match="cannot be read"):
        list(host.read(str(tmp_path / "none")))
    host.close()
