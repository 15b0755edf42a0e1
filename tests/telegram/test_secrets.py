"""The token is in every address of the Bot API, and nowhere else that anybody reads."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import connectors.telegram
from connectors.base.declaration import declaration_of
from connectors.base.errors import AuthError, ConfigError, MissingDependency, RetryLater
from connectors.telegram.connector import TelegramConnector
from connectors.telegram.options import TelegramOptions
from connectors.testing.telegram import FakeTelegram, File
from tests.telegram.bot import NOWHERE, TOKEN
from tests.telegram.conftest import MakeBot

CANARY = TOKEN.replace(":AA", ":CA")


def test_the_token_gets_nowhere(bot: MakeBot, tmp_path: Path) -> None:
    with FakeTelegram(token=CANARY) as fake:
        ada = fake.user("Ada", id=501)
        chat = fake.private(ada)
        one = bot(token=CANARY, base_url=fake.base_url, allow={"users": ["501"]}, stall_s=0.5)
        one.fake = fake
        for kind in ("unavailable", "cut"):
            fake.fail_next(kind, "getUpdates")
        running = one.start()
        assert CANARY not in Path(f"/proc/{running.pid}/cmdline").read_text()
        fake.fail_next("reject", "download", code=404, description="Not Found")
        fake.post(chat, ada, "n", document=File("n.txt", b"x"))
        one.wait(one.events, 30)
        fake.fail_next("cut", "sendMessage")
        one.sent(501, "x")
        fake.fail_next("reject", "sendMessage", description=f"Bad Request: /bot{CANARY}/sendMessage")
        one.refused(501, "y")
        fake.fail_next("auth", "sendMessage")
        one.send(501, "z")
        running.wait()
        assert CANARY not in running.output
        leaking = [path for path in one.home.root.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
        assert leaking == []
        assert CANARY.partition(":")[2] not in running.output


@pytest.mark.parametrize(
    ("base_url", "proxy", "expected"),
    [
        (NOWHERE, None, RetryLater),
        ("nonsense", None, ConfigError),
        ("ftp://127.0.0.1/bot", None, ConfigError),
        ("http://127.0.0.1:9/bot", "http://127.0.0.1:9", RetryLater),
        ("http://127.0.0.1:9/bot", "nonsense://x", ConfigError),
    ],
)
def test_no_error_of_connecting_shows_the_token(
    tmp_path: Path, base_url: str, proxy: str | None, expected: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    options = {"token": CANARY, "base_url": base_url, **({"proxy": proxy} if proxy else {})}
    connector = TelegramConnector("tg", tmp_path, options)
    with pytest.raises(expected) as excinfo:
        connector.connect()
    connector.disconnect()
    error: BaseException | None = excinfo.value
    while error is not None:
        assert CANARY not in f"{error} {error!r} {getattr(error, 'hint', '')}"
        error = error.__cause__ or error.__context__
    assert CANARY not in caplog.text


def test_a_refused_token_is_an_auth_error_whose_causes_are_clean(fake: FakeTelegram, tmp_path: Path) -> None:
    connector = TelegramConnector("tg", tmp_path, {"token": CANARY, "base_url": fake.base_url})
    with pytest.raises(AuthError) as excinfo:
        connector.connect()
    connector.disconnect()
    assert "TELEGRAM_BOT_TOKEN" in excinfo.value.hint
    assert excinfo.value.__cause__ is not None
    assert CANARY not in repr(excinfo.value.__cause__)


def test_the_sdks_errors_are_cleaned_with_their_causes() -> None:
    from telegram.error import InvalidToken

    from connectors.telegram.client import scrub

    error = InvalidToken(f"The token `{CANARY}` was rejected by the server.")
    error.__cause__ = ValueError(f"https://api.telegram.org/bot{CANARY}/getMe")
    scrub(error, CANARY)
    assert "rejected" in str(error)
    assert CANARY not in f"{error} {error!r} {error.args} {error.__cause__}"


def test_a_missing_sdk_says_the_command(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['telegram'] = None\n"
        "from connectors.telegram.connector import TelegramConnector\n"
        f"TelegramConnector('tg', {str(tmp_path)!r}, {{'token': 'x:y'}}).run()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == MissingDependency.exit_code
    assert "pip install 'mailbox-connectors[telegram]'" in done.stderr


def test_the_declaration_is_read_without_the_sdk() -> None:
    script = (
        "import json, sys\n"
        "from connectors.base.declaration import declaration_of\n"
        "from connectors.base.registry import load_class\n"
        "from pathlib import Path\n"
        "found = declaration_of(load_class('telegram', Path('.')))\n"
        "print(json.dumps([found.type, sorted(m for m in sys.modules if m.split('.')[0] in ('telegram', 'httpx'))]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == ["telegram", []]


def test_the_declaration_says_where_the_token_is_from() -> None:
    declared = declaration_of(TelegramConnector)
    token = next(info for info in declared.options or () if info.name == "token")
    assert (token.secret, token.exclusive, token.env) == (True, True, "TELEGRAM_BOT_TOKEN")
    assert token.help_url
    assert declared.extra == "telegram"
    assert {"allowed_chats", "allow", "groups", "direct", "webhook_url", "proxy"} <= {
        i.name for i in declared.options or ()
    }


@pytest.mark.parametrize(
    "options",
    [
        {"allowed_chats": ["@ada"]},
        {"webhook_url": "http://example.org"},
        {"webhook_secret": "with space"},
        {"poll_timeout_s": 51},
        {"chats": []},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="|".join(options)):
        TelegramOptions(token="t", **options)


def test_the_readme_names_every_option() -> None:
    text = (Path(connectors.telegram.__file__).parent / "README.md").read_text()
    missing = [info.name for info in declaration_of(TelegramConnector).options or () if f"`{info.name}`" not in text]
    assert missing == []


def test_a_connector_alone_takes_its_token_from_env_without_a_connectors_yml(bot: MakeBot) -> None:
    one = bot()
    one.home.config_file.unlink()
    one.home.env_file.write_text(f"TELEGRAM_BOT_TOKEN={one.options.pop('token')}\n")

    one.run()

    assert one.status["state"] == "connected"
