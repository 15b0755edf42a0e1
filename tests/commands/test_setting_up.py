"""init, add, new, types, env and validate."""

import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.base import config
from connectors.base.home import Home
from tests.commands.program import DEADLINE_S, answer, connectors, done

CLI = "connectors:\n  - name: cli\n    type: cli\n"
SHOP = '''
"""A connector of the home's own."""
from connectors.base import options
from connectors.base.connector import Connector
from connectors.base.options import option
from connectors.base.secrets import Secret

class ShopConnector(Connector):
    """Sells things."""
    connector_type = "shop"
    class Options(options.Options):
        token: Secret = option(description="logs in", env="SHOP_TOKEN", help_url="https://example.com/tokens")
        region: str = option("eu", description="where", env="SHOP_REGION")
        limit: int = option(3, description="how many")
    def connect(self): ...
    def disconnect(self): ...
    def send_message(self, msg): return True
    def run_loop(self): ...
'''


@pytest.fixture
def shop(box: Path) -> Path:
    """A home with a type `shop` of its own, which needs a secret."""
    folder = box / "connectors" / "shop"
    folder.mkdir(parents=True)
    (folder / "connector.py").write_text(SHOP)
    return box


# ── init ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_init_makes_a_valid_home_and_never_overwrites(home: Path) -> None:
    first = done("init", home=home)

    assert {line.split()[1] for line in first.splitlines() if line.startswith("made")} == {
        "connectors.yml",
        ".env",
        ".gitignore",
        "messages/README.md",
    }
    assert stat.S_IMODE((home / ".env").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "messages").stat().st_mode) == 0o700
    assert done("validate", home=home) == "connectors.yml is valid: 1 of 1 connectors are enabled\n"

    (home / "connectors.yml").write_text("# mine\n")
    (home / ".gitignore").write_text("*.pyc\n.env")
    again = done("init", home=home)
    assert "kept  connectors.yml" in again
    assert (home / "connectors.yml").read_text() == "# mine\n"
    assert (home / ".gitignore").read_text().splitlines()[:2] == ["*.pyc", ".env"]
    assert (home / ".gitignore").read_text().count(".env") == 1


def test_git_ignores_the_mail_and_the_secrets_of_a_new_home(box: Path) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=box, check=True)

    for name in (".env", "state/format", "logs/x.log", "messages/inbox/x.json"):
        assert subprocess.run(["git", "check-ignore", "-q", name], cwd=box, check=False).returncode == 0, name
    assert subprocess.run(["git", "check-ignore", "-q", "messages/README.md"], cwd=box, check=False).returncode == 1


# ── add ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_add_keeps_comments_and_puts_a_secret_into_dot_env(shop: Path) -> None:
    file = shop / "connectors.yml"
    file.write_text("# top\nconnectors:\n- name: cli  # mine\n  type: cli\n# between\n\nlimits:\n  keep_days: 3\n")

    text = done("add", "shop", "limit=5", "region=a: b", home=shop)

    assert "fill in .env:\n✗ SHOP_TOKEN — logs in\n  → https://example.com/tokens" in text
    assert "https://example.com/tokens" in text
    assert file.read_text() == (
        "# top\nconnectors:\n- name: cli  # mine\n  type: cli\n"
        '- name: shop\n  type: shop\n  limit: 5\n  region: "a: b"\n  token: ${SHOP_TOKEN}\n'
        "# between\n\nlimits:\n  keep_days: 3\n"
    )
    assert "SHOP_TOKEN=\n" in (shop / ".env").read_text()
    assert stat.S_IMODE((shop / ".env").stat().st_mode) == 0o600
    assert connectors("validate", home=shop).returncode == 78
    (shop / ".env").write_text("SHOP_TOKEN=abcdef\n")
    assert connectors("validate", home=shop).returncode == 0


def test_add_gives_a_second_one_a_name_and_a_secret_of_its_own(shop: Path) -> None:
    done("add", "shop", "token=first secret's", home=shop)
    done("add", "shop", "token=second", home=shop)

    loaded, problems = config.check_options(config.load(Home(shop)), shop)
    assert problems == []
    assert {entry.name: entry.options.get("token") for entry in loaded.entries} == {
        "cli": None,
        "shop": "first secret's",
        "shop-2": "second",
    }
    assert "first secret" not in (shop / "connectors.yml").read_text()


def test_add_says_which_name_it_chose_and_why(box: Path) -> None:
    chosen = connectors("add", "cli", home=box)
    given = connectors("add", "cli", "--name", "third", home=box)

    assert "its name is cli-2: there is a connector cli already; --name NAME picks another\n" in chosen.stdout
    assert "already" not in given.stdout


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("connectors: []\n", CLI),
        ("connectors:\n", CLI),
        ("", CLI),
        ("group:\nconnectors: []  # none yet\nlimits: {}\n", f"group:\n{CLI}limits: {{}}\n"),
        ("connectors: []", CLI),
    ],
)
def test_add_begins_a_list(box: Path, before: str, after: str) -> None:
    (box / "connectors.yml").write_text(before)

    done("add", "cli", home=box)

    assert (box / "connectors.yml").read_text() == after


@pytest.mark.parametrize(
    "text",
    [
        "connectors:\n    - {name: a, type: cli}",
        "connectors:\n- name: a\n  type: cli\n  username: >\n    folded\n    text\n\nlimits: {}\n",
        "connectors:\n  -\n    name: a\n    type: cli\n    # the end\n",
        "connectors:\n  - name: a\n    type: cli\n    delivery:\n      max_attempts: 3\n  # - name: off\n",
        "limits: {}\r\nconnectors:\r\n  - name: a\r\n    type: cli\r\n",
    ],
)
def test_add_changes_nothing_else_in_files_of_any_shape(box: Path, text: str) -> None:
    file = box / "connectors.yml"
    file.write_bytes(text.encode())
    before = config.load(file).entries

    done("add", "cli", "--name", "b", "json=true", home=box)

    entries = config.load(file).entries
    assert entries[:-1] == before
    assert (entries[-1].name, entries[-1].options) == ("b", {"json": True})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("clu",), 'there is no connector type "clu" (did you mean "cli"?)'),
        (("cli", "--name", "cli"), "there is a connector cli already"),
        (("cli", "--name", "a/b"), "cannot be an instance's name"),
        (("cli", "usrname=x"), 'unknown option "usrname" (did you mean "username"?)'),
        (("cli", "linger_s=soon"), "linger_s"),
        (("cli", "username"), '"username" is no OPTION=VALUE'),
        (("cli", "--name", "manager"), "that the program uses itself"),
    ],
)
def test_add_refuses_what_is_wrong_and_writes_nothing(box: Path, arguments: tuple[str, ...], said: str) -> None:
    before = [(box / name).read_bytes() for name in ("connectors.yml", ".env")]

    result = connectors("add", *arguments, home=box)

    assert result.returncode == 78
    assert said in result.stderr
    assert [(box / name).read_bytes() for name in ("connectors.yml", ".env")] == before


@pytest.mark.parametrize(
    "text", ["connectors: [{name: a, type: cli}]\n", "connectors: [\n]\n", "limits: {}\n", "- x\n", "a: [\n"]
)
def test_add_leaves_unusual_files_to_a_person(box: Path, text: str) -> None:
    (box / "connectors.yml").write_text(text)

    result = connectors("add", "cli", home=box)

    assert result.returncode == 78
    assert (box / "connectors.yml").read_text() == text


# ── new ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_connector_is_found_and_its_test_fails_until_it_is_written(box: Path) -> None:
    text = done("new", "my-chat", home=box)

    assert "pytest tests/test_my_chat.py" in text
    assert "my-chat" in [row["type"] for row in answer("types", home=box)]
    done("add", "my-chat", "token=abcdef", home=box)
    assert connectors("validate", home=box).returncode == 0
    untouched = contract(box, "redelivery or ends_with_0 or reaches_people")
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", untouched.stdout, re.MULTILINE)
    assert failed == ["test_a_redelivery_has_the_same_id_and_gives_no_second_file", "test_an_outgoing_reaches_people"]
    errors = re.findall(r"^E  +(\w+Error: .*)$", untouched.stdout, re.MULTILINE)
    assert errors == ["NotImplementedError: write a fake of my-chat and return it here"] * len(failed)
    assert "1 passed" in untouched.stdout


def contract(home: Path, chosen: str) -> subprocess.CompletedProcess[str]:
    """Some of the contract's tests, run from a folder that has nothing to do with the home."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rfE",
        "-p",
        "no:cacheprovider",
        str(home / "tests"),
        "-k",
        chosen,
    ]
    return subprocess.run(
        command, cwd=home.parent, capture_output=True, encoding="utf-8", timeout=DEADLINE_S, check=False
    )


def test_a_new_connector_fulfils_the_contract_once_what_it_names_is_written(box: Path) -> None:
    done("new", "my-chat", home=box)
    folder = box / "connectors/my_chat"
    (folder / "client.py").write_text(CLIENT)
    fill_in(
        folder / "connector.py",
        ("base import options\n", "base import options\nfrom connectors.my_chat import client\n"),
        ("        token: Secret", '        url: str = option(description="where")\n        token: Secret'),
        ('which is waited for."""\n', 'which is waited for."""\n        client.call(self.options.url, "/me")\n'),
        (
            "            # for item in what the platform has: self.receive(item), and only then tell the platform\n",
            LOOP,
        ),
        ("self.wait(5)", "self.wait(0.1)"),
        ('        raise NotImplementedError("my-chat cannot send yet")\n', SEND),
    )
    fill_in(
        box / "tests/test_my_chat.py",
        ('raise NotImplementedError("write a fake of my-chat and return it here")', "return FakePlatform()"),
        ("import ConnectorContract\n", "import ConnectorContract, FakePlatform\n"),
        ('{"token": ', '{"url": platform.url if platform else "http://127.0.0.1:9", "token": '),
    )

    result = contract(box, "ends_with_0 or reaches_people or arrives")

    assert result.returncode == 0, result.stdout
    assert "4 passed" in result.stdout


def fill_in(path: Path, *places: tuple[str, str]) -> None:
    text = path.read_text()
    for place, written in places:
        assert text.count(place) == 1, place
        text = text.replace(place, written)
    path.write_text(text)


#: It is imported as `connectors.my_chat.client`, which only the loader of a home's connectors makes possible.
CLIENT = """
import json, urllib.request

def call(url, path, data=None):
    body = None if data is None else json.dumps(data).encode()
    with urllib.request.urlopen(urllib.request.Request(url + path, body), timeout=5) as answer:
        return json.load(answer)
"""
LOOP = """
            for item in client.call(self.options.url, "/updates?wait_s=0")["events"]:
                names = {"user_id": item["sender"], "user": item["sender"], "chat_id": item["conversation"]}
                self.receive({**item, **names})
                client.call(self.options.url, "/ack", {"ids": [item["id"]]})
"""
SEND = """
        sent = client.call(self.options.url, "/send", {"conversation": msg.conversation_id, "text": msg.text})
        return Receipt(ids=[sent["id"]])
"""


def test_the_code_of_a_new_connector_is_tidy(box: Path) -> None:
    done("new", "irc", home=box)

    ruff = Path(sys.executable).with_name("ruff")
    settings = Path(__file__).parents[2] / "pyproject.toml"
    for command in (["check", "--no-cache", "--ignore=INP001"], ["format", "--check", "--no-cache"]):
        subprocess.run([ruff, *command, "--config", settings, "connectors", "tests/test_irc.py"], cwd=box, check=True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cli", "there is a type cli already"),
        ("My Chat", "cannot be a type"),
        ("class", "cannot be a type"),
        ("../up", "cannot be a type"),
    ],
)
def test_new_refuses_names_that_are_none_or_taken(box: Path, name: str, said: str) -> None:
    result = connectors("new", name, home=box)

    assert result.returncode == 78
    assert said in result.stderr
    assert not (box / "connectors").exists()


def test_new_overwrites_nothing(box: Path) -> None:
    (box / "tests").mkdir()
    (box / "tests" / "test_irc.py").write_text("mine")

    assert connectors("new", "irc", home=box).returncode == 78
    assert (box / "tests" / "test_irc.py").read_text() == "mine"
    assert not (box / "connectors").exists()


# ── types, env, validate ──────────────────────────────────────────────────────────────────────────────────────


def test_types_lists_what_can_be_used_and_says_why_one_cannot(shop: Path) -> None:
    (shop / "connectors" / "broken").mkdir()
    (shop / "connectors" / "broken" / "connector.py").write_text("import no_such_package\n")

    text = done("types", home=shop)

    assert "shop\tSells things.\n" in text
    assert "no_such_package" in next(line for line in text.splitlines() if line.startswith("broken"))


def test_env_is_not_content_while_a_type_is_not_known(box: Path) -> None:
    (box / "connectors.yml").write_text("connectors:\n  - name: a\n    type: clu\n")

    result = connectors("env", home=box)

    assert result.returncode == 1
    assert 'the variables of type "clu" are not known' in result.stderr


def test_types_shows_the_options_of_one(shop: Path) -> None:
    text = done("types", "shop", home=shop)

    assert "token\tSHOP_TOKEN\trequired\tlogs in (a secret text) https://example.com/tokens" in text
    assert answer("types", "shop", home=shop)["options"][2]["default"] == 3
    assert connectors("types", "shpo", home=shop).returncode == 78


def test_env_says_what_is_set_and_never_the_value(shop: Path) -> None:
    (shop / "connectors.yml").write_text(
        "connectors:\n- {name: a, type: shop, region: '${REGION}'}\n- {name: off, type: shop, enabled: false}\n"
        "alerts: {url: '${HOOK:-}'}\n"
    )
    (shop / ".env").write_text("REGION=secret-value\nSHOP_TOKEN=\n")

    result = connectors("env", home=shop)
    found = {need["variable"]: need for need in answer("env", home=shop)}

    assert result.returncode == 1
    assert "✓\tREGION\ta.region\t.env\twhere" in result.stdout
    assert "✗\tSHOP_TOKEN\ta.token\t-\tlogs in https://example.com/tokens" in result.stdout
    assert "-\tHOOK\talerts.url\t-\t-" in result.stdout
    assert "secret-value" not in result.stdout
    assert (found["SHOP_TOKEN"]["set"], found["REGION"]["set"]) == (False, True)
    filled = connectors("env", home=shop, env={"SHOP_TOKEN": "x"})
    assert filled.returncode == 0
    assert "SHOP_TOKEN\ta.token\tenvironment" in filled.stdout


def test_env_of_a_type_that_is_not_configured(shop: Path) -> None:
    result = connectors("env", "shop", home=shop)

    assert result.returncode == 1
    assert [line.split("\t")[1] for line in result.stdout.splitlines()] == ["SHOP_TOKEN", "SHOP_REGION"]


def test_validate_prints_every_problem_with_its_place(box: Path) -> None:
    (box / "connectors.yml").write_text(
        "connectors:\n- name: a\n  type: cli\n  usrname: x\n- name: b\n  typ: cli\nlimts: {}\n"
        "alerts: {url: '${NOT_SET}'}\n"
    )

    result = connectors("validate", home=box)

    assert result.returncode == 78
    assert result.stdout.splitlines() == [
        'connectors.yml:4: a: unknown option "usrname" (did you mean "username"?)',
        'connectors.yml:5: b: has no type, but "typ" (did you mean "type"?)',
        'connectors.yml:7: unknown key "limts" (did you mean "limits"?)',
        "connectors.yml:8: alerts.url: variable NOT_SET is not set: add it to .env, or export it",
    ]
    found = json.loads(connectors("validate", "--json", home=box).stdout)
    assert (found["valid"], [problem["line"] for problem in found["problems"]]) == (False, [4, 5, 7, 8])


def test_validate_without_a_file(home: Path) -> None:
    (home / "messages").mkdir()

    result = connectors("validate", home=home)

    assert result.returncode == 78
    assert "No such file" in result.stdout
