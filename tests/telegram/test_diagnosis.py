"""What `connectors doctor` is told, and that asking changes nothing."""

from __future__ import annotations

import subprocess
import threading

import httpx
import pytest

from connectors.base.checks.finding import Finding, Level
from connectors.base.errors import AuthError
from connectors.telegram.connector import TelegramConnector
from connectors.testing.telegram import FakeTelegram
from tests.telegram.bot import NAME, TOKEN, Bot
from tests.telegram.conftest import MakeBot


@pytest.fixture(autouse=True)
def _something_waits(fake: FakeTelegram, request: pytest.FixtureRequest) -> None:
    """Then asking for updates is answered at once."""
    if "second_poller" not in request.node.name:
        ada = fake.user("Ada", id=501)
        fake.post(fake.private(ada), ada, "waits")


def findings(one: Bot) -> list[Finding]:
    """As the doctor asks: nothing is connected."""
    return list(TelegramConnector(NAME, one.home.root, one.options).diagnose())


def said(one: Bot, level: Level) -> str:
    return "\n".join(f"{found.what}: {found.fix}" for found in findings(one) if found.level == level)


def test_it_says_who_the_bot_is(fake: FakeTelegram, bot: MakeBot) -> None:
    assert "@fake_bot (7000000001" in said(bot(), Level.INFO)


def test_a_refused_token_is_an_error_with_a_hint(fake: FakeTelegram, bot: MakeBot) -> None:
    with pytest.raises(AuthError) as excinfo:
        findings(bot(token=TOKEN.replace("7000000001", "7000000009")))
    assert "BotFather" in excinfo.value.hint


def test_a_webhook_in_the_way_of_polling_is_an_error(fake: FakeTelegram, bot: MakeBot) -> None:
    httpx.post(f"{fake.base_url}{fake.token}/setWebhook", json={"url": "https://127.0.0.1:9/hook"})
    assert "delete_webhook: true" in said(bot(), Level.ERROR)


def test_privacy_mode_is_named_where_it_matters(fake: FakeTelegram, bot: MakeBot) -> None:
    group = fake.supergroup("Engines", [])
    assert "/setprivacy" in said(bot(allow={"conversations": [str(group.id)]}, groups="all"), Level.WARNING)
    assert "/setprivacy" in said(bot(allow={"conversations": [str(group.id)]}), Level.INFO)
    fake.world.privacy = False
    assert "/setprivacy" not in said(bot(allow={"conversations": [str(group.id)]}, groups="all"), Level.WARNING)


def test_a_chat_that_the_bot_is_not_in_is_an_error(fake: FakeTelegram, bot: MakeBot) -> None:
    there, left = fake.supergroup("There", []), fake.supergroup("Left", [], bot="left")
    one = bot(allow={"conversations": [str(there.id), str(left.id), "-1009999999999"]})
    errors = said(one, Level.ERROR)
    assert str(left.id) in errors
    assert "-1009999999999" in errors
    assert str(there.id) not in errors


def test_ids_of_the_wrong_kind_are_named_with_the_key(fake: FakeTelegram, bot: MakeBot) -> None:
    errors = said(bot(allow={"users": ["@ada", "-1001"], "conversations": ["501"], "send": ["engines"]}), Level.ERROR)
    assert '"@ada" in allow.users' in errors
    assert "move it to allow.conversations: [-1001]" in errors
    assert "move it to allow.users: [501]" in errors
    assert '"engines" in allow.send' in errors


def test_a_second_poller_is_found(fake: FakeTelegram, bot: MakeBot) -> None:
    over = threading.Event()

    def poll() -> None:
        """Another program, which comes back at once, as most do."""
        while not over.is_set():
            httpx.post(f"{fake.base_url}{fake.token}/getUpdates", json={"timeout": 2}, timeout=10)

    other = threading.Thread(target=poll)
    other.start()
    try:
        errors = said(bot(), Level.ERROR)
    finally:
        over.set()
        other.join()
    assert "another program receives this bot's updates" in errors


def test_asking_confirms_nothing(fake: FakeTelegram, bot: MakeBot) -> None:
    findings(bot())
    assert len(fake.pending) == 1
    assert not {call.method for call in fake.journal} & {"deleteWebhook", "setWebhook", "setMyCommands", "sendMessage"}


def test_a_running_connector_is_not_disturbed(fake: FakeTelegram, bot: MakeBot) -> None:
    one = bot()
    one.start()
    one.wait(lambda: fake.pollers)
    before = len(fake.calls("getMe"))
    script = (
        "import json, sys\n"
        "from connectors.telegram.connector import TelegramConnector\n"
        "home, options = sys.argv[1], json.loads(sys.stdin.read())\n"
        f"list(TelegramConnector({NAME!r}, home, options).diagnose())\n"
    )
    import json
    import sys

    subprocess.run(
        [sys.executable, "-c", script, str(one.home.root)], input=json.dumps(one.options), text=True, check=True
    )
    assert len(fake.calls("getMe")) == before + 1
    assert not [call for call in fake.calls("getUpdates") if str(call.params.get("timeout")) != "1"]
    assert one.status["state"] == "connected"
