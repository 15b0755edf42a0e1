"""What a connector needs is shown by every verb, of third-party connectors too, and never a value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.base.config import load
from connectors.base.home import Home
from tests.commands.program import answer, connectors, done, on_terminal

TOKEN = "ghp-canary-2718281828"
LINK = "https://github.com/settings/tokens/new?scopes=repo,read:org"
FORM = f"✗ GITHUB_TOKEN — Personal access token with repo scope\n  → {LINK}\n"
HUB = f'''
"""A connector that is not this project's."""
from connectors.base import options
from connectors.base.auth import Keys, NoAuth
from connectors.base.connector import Connector
from connectors.base.credentials import Credential
from connectors.base.errors import AuthError, RetryLater
from connectors.base.options import option
from connectors.base.registration import EnvVar, Integration, Tool
from connectors.base.secrets import Secret
from connectors.parts import feeds
from connectors.parts.feeds import FeedsConnector, FeedType

def whose(value, given):
    if given.answer == "refused": raise AuthError("Bad credentials", hint="make a new token")
    if given.answer == "down": raise RetryLater("no route to host")
    if given.answer == "prints": print("noise", value)
    if given.answer == "dies": import os; os._exit(3)
    missing = ("read:org",) if given.answer == "less" else ()
    return Credential(identity="octocat", scopes=("repo",), missing=missing, note="of " + value)

class Issues(feeds.FeedOptions):
    repo: str = option(description="owner/name")

class HubConnector(FeedsConnector):
    """Issues of repositories."""
    connector_type = "hub"
    class Options(feeds.FeedsOptions):
        token: Secret = option(
            description="Personal access token with repo scope", env="GITHUB_TOKEN", help_url="{LINK}"
        )
        answer: str = option("well", description="what the platform says")
    env = (EnvVar("HUB_ACCOUNT", description="Who pays", help_command="hub whoami"),)
    auth = (Keys("token"),)
    validators = {{"token": whose}}
    integrations = (Integration("hub-hook", "Register a hook", platform="hub", command="hub hooks add http://localhost"),)
    tools = (Tool("no-such-hub", "talks to it", help_url="https://hub.example/cli", required=False),)
    feeds = (FeedType("issues", Issues, description="issues of a repository", schedule="10m"),)
    min_version = "0.0.1"
    def poll_feed(self, feed, checkpoint): raise NotImplementedError
'''
#: The same without feeds.
PLAIN = """
Hub = HubConnector
del HubConnector
class MineConnector(Connector):
    connector_type = "mine"
    class Options(options.Options):
        token: Secret = Hub.Options.model_fields["token"]
    env, auth, integrations, tools = Hub.env, Hub.auth, Hub.integrations, Hub.tools
    def connect(self): ...
    def disconnect(self): ...
    def send_message(self, msg): return True
    def run_loop(self): ...
del Hub
"""
KINDS = ("./hub.py", "hub_things.connector", "hub-installed")


@pytest.fixture
def hub(box: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home where the class is a file, a dotted module, and an installed package's."""
    for name in ("GITHUB_TOKEN", "HUB_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    (box / "hub.py").write_text(HUB)
    (box / "hub_things").mkdir()
    (box / "hub_things/connector.py").write_text(HUB)
    site = box / "site"
    info = site / "hub_installed-1.dist-info"
    info.mkdir(parents=True)
    (site / "hub_installed.py").write_text(HUB)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hub-installed\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[connectors]\nhub-installed = hub_installed:HubConnector\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    return box


def write(home: Path, kind: str, **options: Any) -> None:
    entry = {"name": "hub", "type": kind, "feeds": [{"name": "a", "repo": "o/a"}], **options}
    (home / "connectors.yml").write_text("connectors:\n- " + json.dumps(entry) + "\n")


def fill(home: Path) -> None:
    (home / ".env").write_text(f"GITHUB_TOKEN={TOKEN}\nHUB_ACCOUNT=acme-account\n")


@pytest.mark.parametrize("kind", KINDS)
def test_every_verb_shows_a_third_partys_needs(hub: Path, kind: str) -> None:
    """Weakness: the texts came from a table of eight names, so a community connector's were never shown."""
    write(hub, kind)

    shown = connectors("env", home=hub)
    assert shown.returncode == 1
    assert f"✗\tGITHUB_TOKEN\thub.token\t-\tPersonal access token with repo scope {LINK}" in shown.stdout
    assert "✗\tHUB_ACCOUNT\thub\t-\tWho pays `hub whoami`" in shown.stdout
    found = {need["variable"]: need for need in answer("env", home=hub)}
    assert (found["GITHUB_TOKEN"]["help_url"], found["HUB_ACCOUNT"]["help_command"]) == (LINK, "hub whoami")

    checked = connectors("validate", home=hub)
    assert checked.returncode == 78
    assert "connectors.yml:2: hub: variable HUB_ACCOUNT is not set: Who pays: set it in .env" in checked.stdout
    assert checked.stdout.endswith(FORM + "✗ HUB_ACCOUNT — Who pays\n  → `hub whoami`\n")

    findings = {found["what"]: found for found in answer("doctor", home=hub)}
    assert LINK in findings["hub: ✗ GITHUB_TOKEN — Personal access token with repo scope"]["fix"]
    hook = findings["hub: integration · hub-hook — Register a hook (hub)"]
    assert (hook["fix"], hook["level"]) == ("hub hooks add http://localhost", "info")
    assert findings["hub: tool - no-such-hub — talks to it"]["fix"] == "https://hub.example/cli"

    declared = answer("types", kind, home=hub)
    assert [one["name"] for one in declared["env"]] == ["GITHUB_TOKEN", "HUB_ACCOUNT"]
    assert (declared["min_version"], declared["validators"]) == ("0.0.1", ["token"])
    assert [one["name"] for one in declared["feeds"][0]["options"]] == [
        "schedule",
        "timezone",
        "jitter",
        "name",
        "feed",
        "repo",
    ]
    assert FORM in done("types", kind, home=hub)

    begun = done("init", home=hub)
    assert FORM in begun
    assert "· hub: integration hub-hook — Register a hook (hub)\n  → hub hooks add http://localhost\n" in begun


def test_what_is_set_is_ticked_and_never_shown(hub: Path) -> None:
    write(hub, "./hub.py")
    fill(hub)
    shown = (
        done("env", home=hub)
        + done("validate", home=hub)
        + done("init", home=hub)
        + done("types", "./hub.py", home=hub)
    )
    assert "✓\tGITHUB_TOKEN\thub.token\t.env\t" in shown
    assert "✓ GITHUB_TOKEN — Personal access token with repo scope\n✓ HUB_ACCOUNT — Who pays\n" in shown
    assert "acme-account" not in shown
    assert TOKEN not in shown


def test_on_a_terminal_the_link_stands_below_its_variable(hub: Path) -> None:
    write(hub, "./hub.py")
    lines = on_terminal("env", home=hub).splitlines()
    assert lines[:3] == [
        "✗ GITHUB_TOKEN — Personal access token with repo scope (hub.token)",
        f"  → {LINK}",
        "✗ HUB_ACCOUNT — Who pays (hub)",
    ]
    assert all(len(line) <= 80 for line in on_terminal("types", "./hub.py", home=hub).splitlines())


# ── init and add ──────────────────────────────────────────────────────────────────────────────────────────────


def test_init_begins_with_the_connectors_that_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_TOKEN", "HUB_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    (home / "mine.py").write_text(HUB + PLAIN)

    begun = done("init", "./mine.py", "cli", home=home)

    assert "added mine to connectors.yml" in begun
    assert FORM in begun
    assert "next: fill in .env and do the rest, then: connectors run" in begun
    assert "token: ${GITHUB_TOKEN}" in (home / "connectors.yml").read_text()
    assert {"GITHUB_TOKEN=", "HUB_ACCOUNT="} <= set((home / ".env").read_text().splitlines())
    fill(home)
    assert done("validate", home=home) == "connectors.yml is valid: 2 of 2 connectors are enabled\n"
    again = done("init", "./mine.py", home=home)
    assert "added" not in again
    assert "next: connectors run" in again


def test_init_knows_every_name_of_a_coding_agent_and_gives_each_its_own(home: Path) -> None:
    """Weakness: four names of the family got the entry of another type, all under one id."""
    names = ["coding-agent", "claude-code", "codex", "opencode", "pi", "pi-rust"]
    done("init", *names, home=home)
    entries = [(entry.name, entry.type) for entry in load(Home(home)).entries]
    assert entries[1:] == [(name, name) for name in names]
    assert "7 of 7" in done("validate", home=home)


def test_one_that_init_cannot_add_keeps_no_other_away(hub: Path) -> None:
    begun = connectors("init", "./hub.py", "webhook", "nonsense", home=hub)
    assert begun.returncode == 78
    assert "there are no feeds" in begun.stderr
    assert "connectors add ./hub.py OPTION=VALUE" in begun.stderr
    assert 'there is no connector type "nonsense"' in begun.stderr
    assert "added webhook to connectors.yml" in begun.stdout


def test_add_writes_a_feed_and_says_what_else_is_to_be_done(hub: Path) -> None:
    refused = connectors("add", "./hub.py", home=hub)
    assert (refused.returncode, "there are no feeds" in refused.stderr) == (78, True)
    text = done("add", "./hub.py", "feeds.name=core", "feeds.repo=o/core", home=hub)
    assert "    feeds:\n" in (hub / "connectors.yml").read_text()
    assert "  feeds:\n  - name: core\n    repo: o/core\n" in text
    assert FORM in text
    assert "· hub: integration hub-hook — Register a hook (hub)" in text
    fill(hub)
    assert "2 of 2" in done("validate", home=hub)


def test_add_writes_an_entry_of_any_list_of_mappings(home: Path) -> None:
    (home / "connectors.yml").write_text("connectors: []\n")
    refused = connectors("add", "cron", "schedules=daily", home=home)
    assert refused.returncode == 78
    assert 'option "schedules.0" must be a mapping, as in schedules: [{name: …, schedule: …}]' in refused.stderr
    text = done("add", "cron", "timezone=Europe/Berlin", "schedules.name=often", "schedules.schedule=5m", home=home)
    assert '  timezone: Europe/Berlin\n  schedules:\n  - name: often\n    schedule: "5m"\n' in text


# ── credentials ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "code", "line", "works"),
    [
        ("well", 0, "✓ hub: token (GITHUB_TOKEN) works: octocat; scopes repo; of ****", True),
        ("prints", 0, "✓ hub: token (GITHUB_TOKEN) works: octocat; scopes repo; of ****", True),
        ("less", 77, "✗ hub: token (GITHUB_TOKEN) lacks read:org (octocat; scopes repo; of ****)", False),
        ("refused", 77, "✗ hub: token (GITHUB_TOKEN) is refused: Bad credentials", False),
        ("down", 0, "· hub: token (GITHUB_TOKEN) could not be checked: no route to host", None),
    ],
)
def test_validate_asks_the_platforms_whether_credentials_work(
    hub: Path, said: str, code: int, line: str, works: bool | None
) -> None:
    write(hub, "./hub.py", answer=said)
    fill(hub)
    result = connectors("validate", "--credentials", home=hub)
    assert (result.returncode, result.stdout.splitlines()[0]) == (code, line)
    assert TOKEN not in result.stdout + result.stderr
    data = connectors("validate", "--credentials", "--json", home=hub)
    (found,) = json.loads(data.stdout)["credentials"]
    assert (found["credential"], found["instance"], found["works"]) == ("token", "hub", works)
    if works is not None and said != "refused":
        assert (found["identity"], found["scopes"]) == ("octocat", ["repo"])


def test_doctor_tells_identity_and_scopes(hub: Path) -> None:
    write(hub, "./hub.py", answer="less")
    fill(hub)
    (found,) = [finding for finding in answer("doctor", home=hub) if finding["area"] == "credentials"]
    assert (found["level"], found["facts"]["identity"], found["facts"]["missing"]) == ("error", "octocat", ["read:org"])
    assert LINK in found["fix"]


def test_a_variable_that_is_not_set_keeps_no_other_credential_from_being_checked(hub: Path) -> None:
    """Weakness: one unset variable anywhere, and no credential was looked at."""
    good = {"name": "good", "type": "./hub.py", "feeds": [{"name": "a", "repo": "o/a"}]}
    entries = [good, {**good, "name": "bad", "token": "${NOT_SET_ANYWHERE}"}]
    (hub / "connectors.yml").write_text(json.dumps({"connectors": entries}))
    fill(hub)
    findings = answer("doctor", home=hub)
    assert [one["facts"]["instance"] for one in findings if one["area"] == "credentials"] == ["good"]
    assert any("NOT_SET_ANYWHERE" in one["what"] + one["fix"] for one in findings)


def test_a_validator_that_takes_the_process_with_it_is_a_finding(hub: Path) -> None:
    write(hub, "./hub.py", answer="dies")
    fill(hub)
    findings = [finding["what"] for finding in answer("doctor", home=hub)]
    assert any(what.startswith("hub: asking the platform ended with 3") for what in findings)


def test_validate_without_the_option_asks_nobody(hub: Path) -> None:
    write(hub, "./hub.py", answer="refused")
    fill(hub)
    assert done("validate", home=hub) == "connectors.yml is valid: 1 of 1 connectors are enabled\n"


def test_an_instance_without_any_way_to_prove_who_it_is_is_an_error(hub: Path) -> None:
    text = HUB.replace("token: Secret = option(", "token: Secret | None = option(None, ")
    (hub / "hub.py").write_text(text)
    write(hub, "./hub.py")
    (hub / ".env").write_text("HUB_ACCOUNT=acme-account\n")
    result = connectors("validate", home=hub)
    assert result.stdout.splitlines()[0] == "connectors.yml:2: hub: it has no credentials: give token"
    (hub / "hub.py").write_text(text.replace('Keys("token"),)', 'Keys("token"), NoAuth("public only"))'))
    assert connectors("validate", home=hub).returncode == 0


def test_a_declaration_that_cannot_be_is_a_problem_of_its_entry(hub: Path) -> None:
    (hub / "hub.py").write_text(HUB.replace('Keys("token")', 'Keys("tokn")'))
    write(hub, "./hub.py")
    fill(hub)
    said = "HubConnector.auth names tokn, which is no option of it: correct the class"
    assert said in connectors("validate", home=hub).stdout
    assert said.partition(":")[0] in connectors("types", "./hub.py", home=hub).stderr
