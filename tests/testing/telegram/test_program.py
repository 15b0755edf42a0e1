"""`python -m connectors.testing.telegram`: a person types, the bot's messages appear."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from connectors.testing.telegram import FakeTelegram, png
from connectors.testing.telegram.__main__ import introduction
from connectors.testing.telegram.screen import Screen
from tests.testing.telegram.client import Client

IMPORT = "from connectors.testing.telegram import FakeTelegram"


def test_the_introduction_can_be_pasted(fake: FakeTelegram) -> None:
    text = introduction(fake)
    entry = yaml.safe_load(text[text.index("connectors:\n") : text.index(".env:")])["connectors"][0]
    assert (entry["type"], entry["base_url"]) == ("telegram", fake.base_url)
    assert f"\nTELEGRAM_BOT_TOKEN={fake.token}\n" in text


def test_what_is_typed_is_posted(fake: FakeTelegram, tmp_path: Path) -> None:
    screen = Screen(fake)
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "a.txt").write_bytes(b"text")
    for line in (
        "hello",
        "/start",
        f"/file {tmp_path}/a.png",
        f"/file {tmp_path}/a.txt",
        "/group",
        "/as Bob",
        "@fake_bot hi",
    ):
        assert "not told" not in screen.typed(f"{line}\n")
    assert screen.typed("hello all\n") == "  (the bot is not told of this)"
    messages = [update["message"] for update in fake.pending if "message" in update]
    assert [m.get("text") for m in messages] == ["hello", "/start", None, None, None, "@fake_bot hi"]
    assert "photo" in messages[2]
    assert messages[3]["document"]["file_name"] == "a.txt"
    assert messages[-1]["from"]["first_name"] == "Bob"
    assert "No such file" in screen.typed("/file /nonsense")
    assert screen.typed("/press x") == "  the bot sent no such message here"


def test_what_the_bot_does_is_shown_once(fake: FakeTelegram, client: Client) -> None:
    screen = Screen(fake)
    screen.typed("hello")
    assert screen.news() == []
    assert screen.last is not None
    keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Yes", callback_data="y")]])
    message = client.do(client.bot.send_message(screen.chat.id, "really?", reply_markup=keyboard))
    assert screen.news() == ["[Fake Bot to Ada] really? [Yes]"]
    screen.typed("/press Yes")
    client.do(client.bot.answer_callback_query(next(iter(fake.world.callbacks)), "good"))
    client.do(client.bot.edit_message_text("done", screen.chat.id, message.id))
    client.do(client.bot.set_message_reaction(screen.chat.id, screen.last.message_id, "👍"))
    client.do(client.bot.send_document(screen.chat.id, b"x", filename="a.txt", caption="see"))
    assert screen.news() == [
        "[Fake Bot to Ada, edited] done",
        "[Fake Bot to Ada] <document a.txt> see",
        "[Fake Bot] reacts: 👍",
        "[Fake Bot] notes: good",
    ]
    client.do(client.bot.delete_message(screen.chat.id, message.id))
    assert screen.news() == ["[Fake Bot to Ada, deleted] done"]
    assert screen.news() == []


def test_the_program_serves_and_ends() -> None:
    command = [sys.executable, "-m", "connectors.testing.telegram"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        head = {}
        for line in program.stdout:
            name, _, value = line.strip().replace("=", ": ").partition(": ")
            head[name] = value
            if line.startswith("Type something"):
                break
        api = f"{head['base_url']}{head['TELEGRAM_BOT_TOKEN']}"
        program.stdin.write("hello\n")
        program.stdin.flush()
        [update] = httpx.get(f"{api}/getUpdates", params={"timeout": 10}, timeout=20).json()["result"]
        chat = update["message"]["chat"]["id"]
        httpx.post(f"{api}/sendMessage", json={"chat_id": chat, "text": "hi Ada"})
        assert next(line for line in program.stdout if line.strip()) == "[Fake Bot to Ada] hi Ada\n"
        program.stdin.close()
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 0


def test_what_goes_on_in_the_place_of_another_has_higher_numbers() -> None:
    with FakeTelegram() as fake:
        before = Screen(fake)
        before.typed("hello")
    with FakeTelegram(past=1000) as fake:
        after = Screen(fake)
        after.typed("hello")

    assert before.last is not None
    assert after.last is not None
    assert (after.person.id, after.chat.id) == (before.person.id, before.chat.id)
    assert after.last.message_id > before.last.message_id
    assert (after.last.update_id or 0) > (before.last.update_id or 0)


@pytest.mark.parametrize("program", [["-m", "connectors.testing.telegram"], ["-c", IMPORT]])
def test_without_aiohttp_it_says_what_to_install(tmp_path: Path, program: list[str]) -> None:
    (tmp_path / "aiohttp.py").write_text("raise ImportError('no aiohttp here')")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path.cwd()}"}
    done = subprocess.run(
        [sys.executable, *program], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode != 0
    assert "the fake Telegram needs aiohttp: pip install 'mailbox-connectors[testing]'" in done.stderr
