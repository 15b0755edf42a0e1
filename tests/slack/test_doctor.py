"""What `connectors doctor` finds out, and what the declaration says without the SDK."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from connectors.base.checks.finding import Finding, Level
from connectors.base.declaration import declaration_of
from connectors.base.errors import AuthError
from connectors.slack.connector import SlackConnector
from connectors.slack.diagnosis import SCOPES
from connectors.testing.slack import FakeSlack

FOLDER = Path(sys.modules[SlackConnector.__module__].__file__ or "").parent


def found(fake: FakeSlack, home: Path, **options: object) -> list[Finding]:
    given = {"bot_token": fake.bot_token, "app_token": fake.app_token, "base_url": fake.api_url, **options}
    return list(SlackConnector("slack-doctor", home, given).diagnose())


def bad(findings: list[Finding]) -> list[str]:
    return [finding.what for finding in findings if finding.level is not Level.INFO]


def test_a_sound_setup_says_who_the_bot_is_and_nothing_bad(fake: FakeSlack, home: Path) -> None:
    findings = found(fake, home, channels=["C1"], allow={"users": ["U1"]})
    assert bad(findings) == []
    assert "fakebot (UBOT) in Fakes" in findings[0].what


def test_each_missing_scope_is_named_with_what_it_is_for(fake: FakeSlack, home: Path) -> None:
    fake.scopes.discard("files:read")
    fake.scopes.discard("users:read")
    assert bad(found(fake, home)) == [
        "the scope users:read is missing: no names of people",
        "the scope files:read is missing: no files that come in",
    ]


def test_channels_that_the_bot_is_not_in(fake: FakeSlack, home: Path) -> None:
    fake.add_channel("C3", "old", members=["UBOT"])
    fake.archive("C3")
    said = bad(found(fake, home, channels=["C2"], allow={"conversations": ["C404", "C3"]}))
    assert said == [
        "C404: conversations.info: channel_not_found",
        "#old (C3) is archived",
        "the bot is not in #random (C2)",
    ]


def test_names_and_wrong_kinds_of_ids(fake: FakeSlack, home: Path) -> None:
    said = bad(found(fake, home, channels=["#general", "U1"], allow={"users": ["alice"]}))
    assert said == ["channels: '#general' is no id", "channels: U1 is no conversation", "allow.users: 'alice' is no id"]


def test_tokens_of_the_wrong_kind(fake: FakeSlack, home: Path) -> None:
    [said] = bad(found(fake, home, app_token=fake.bot_token))
    assert "no socket" in said
    fix = next(finding.fix for finding in found(fake, home, app_token=fake.bot_token) if finding.level is Level.ERROR)
    assert "xapp-" in fix
    with pytest.raises(AuthError) as caught:
        found(fake, home, bot_token=fake.app_token)
    assert "xoxb-" in caught.value.hint


def test_an_app_token_without_its_scope(fake: FakeSlack, home: Path) -> None:
    fake.world.app_scopes.clear()
    finding = next(f for f in found(fake, home) if f.level is Level.ERROR)
    assert "connections:write" in finding.fix


def test_the_declaration_is_read_without_the_sdk() -> None:
    code = (
        "import sys; sys.modules['slack_sdk'] = None\n"
        "from connectors.base.declaration import declaration_of\n"
        "from connectors.slack.connector import SlackConnector\n"
        "print(declaration_of(SlackConnector).extra)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "slack"


def test_without_the_sdk_the_error_is_the_command_that_installs_it(home: Path) -> None:
    code = (
        "import sys; sys.modules['slack_sdk'] = None\n"
        "from connectors.slack.connector import SlackConnector\n"
        f"SlackConnector('s', {str(home)!r}, {{'bot_token': 'xoxb-a', 'app_token': 'xapp-a'}}).run()"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=False)
    assert done.returncode == 2
    assert "pip install 'mailbox-connectors[slack]'" in done.stderr


def test_the_sdk_is_imported_in_one_module_only() -> None:
    sdk = re.compile(r"^\s*(from|import) slack_sdk", re.MULTILINE)
    importers = [path.name for path in FOLDER.glob("*.py") if sdk.search(path.read_text())]
    assert importers == ["client.py"]


def test_tokens_are_secrets_and_the_app_token_is_used_once_per_machine() -> None:
    options = {option.name: option for option in declaration_of(SlackConnector).options or ()}
    assert {name for name, option in options.items() if option.secret} == {"bot_token", "app_token"}
    assert {name for name, option in options.items() if option.exclusive} == {"app_token"}
    assert (options["bot_token"].env, options["app_token"].env) == ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")
    assert all(options[name].help_url for name in ("bot_token", "app_token"))


def test_every_option_is_in_the_readme() -> None:
    readme = (FOLDER / "README.md").read_text()
    missing = [o.name for o in declaration_of(SlackConnector).options or () if f"`{o.name}`" not in readme]
    assert missing == []


def test_the_manifest_asks_for_the_scopes_that_are_used() -> None:
    manifest = yaml.safe_load((FOLDER / "manifest.yml").read_text())
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == set(SCOPES)
    assert manifest["settings"]["socket_mode_enabled"] is True
    assert {"message.channels", "message.im", "app_mention"} <= set(
        manifest["settings"]["event_subscriptions"]["bot_events"]
    )
