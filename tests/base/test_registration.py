"""What a connector class declares besides its options: read without its SDK, checked when it is read, and JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connectors.base import auth, options, versions
from connectors.base.auth import Bearer, Interactive, Keys, NoAuth, OAuth2
from connectors.base.credentials import Credential, check
from connectors.base.declaration import VariableInfo, declaration_of
from connectors.base.errors import AuthError, ConfigError, MissingDependency, RetryLater
from connectors.base.feeds import FeedType
from connectors.base.onboarding import Step, steps_of
from connectors.base.options import option
from connectors.base.registration import EnvVar, Integration, Tool
from connectors.base.registry import known_types, load_class
from connectors.base.secrets import Secret
from connectors.parts import feeds
from connectors.testing import FakeConnector

SDKS = ("slack_sdk", "telegram", "feedparser", "httpx", "starlette", "uvicorn", "standardwebhooks", "websockets")


def check_token(value: str, given: Any) -> Credential:
    """Whose token it is."""
    if value == "refused":
        raise AuthError("the token is refused", hint="make a new one")
    if value == "down":
        raise RetryLater("not reachable")
    if value == "bug":
        raise KeyError("nothing")
    if value == "nothing":
        return None  # type: ignore[return-value]  # what an author may forget
    return Credential(identity=f"@{value}", scopes=("repo",), missing=() if given.region == "eu" else ("read:org",))


class Items(feeds.FeedOptions):
    """What a feed has."""

    url: str = option(description="where it is")


class Shop:
    """Sells things."""

    connector_type = "shop"

    class Options(options.Options):
        """Its options."""

        token: Secret | None = option(None, description="logs in", env="SHOP_TOKEN", help_url="https://example.com/t")
        region: str = option("eu", description="where")

    env = (
        EnvVar("SHOP_PROXY", description="where requests go", help_command="shop proxy", required=False),
        "SHOP_ACCOUNT",
        {"name": "SHOP_KEY", "secret": True},
    )
    auth = (Keys("token"), NoAuth("the public window only"))
    validators: ClassVar[dict[str, Any]] = {"token": check_token, "SHOP_KEY": check_token}
    integrations = (
        Integration("hook", "tells of orders", platform="shop", command="shop hooks add http://…"),
        {"id": "app", "description": "is installed", "check": lambda options: options.region == "eu"},
    )
    feeds = (FeedType("items", Items, description="what there is to buy", schedule="15m", kinds=("item",)),)
    tools = (Tool("sh", "runs things"), {"command": "no-such-program", "help_command": "apt install it"})
    nix = ("ffmpeg",)
    min_version = "0.1"


# ── reading it ────────────────────────────────────────────────────────────────────────────────────────────────


def test_everything_that_is_declared_is_there_and_is_json() -> None:
    """Weakness: what a connector declared for its setup was read by nobody."""
    data = json.loads(json.dumps(declaration_of(Shop).to_dict()))
    assert [(one["name"], one["required"], one["secret"], one["option"]) for one in data["env"]] == [
        ("SHOP_TOKEN", False, True, "token"),
        ("SHOP_PROXY", False, False, None),
        ("SHOP_ACCOUNT", True, False, None),
        ("SHOP_KEY", True, True, None),
    ]
    assert data["env"][0]["help_url"] == "https://example.com/t"
    assert data["env"][1]["help_command"] == "shop proxy"
    assert [(one["type"], one["options"]) for one in data["auth"]] == [("keys", ["token"]), ("none", [])]
    assert data["validators"] == ["token", "SHOP_KEY"]
    assert [(one["id"], one["command"], one["check"]) for one in data["integrations"]] == [
        ("hook", "shop hooks add http://…", False),
        ("app", None, True),
    ]
    (feed,) = data["feeds"]
    assert (feed["name"], feed["schedule"], feed["kinds"]) == ("items", "15m", ["item"])
    assert [one["name"] for one in feed["options"] if one["required"]] == ["name", "url"]
    assert [one["command"] for one in data["tools"]] == ["sh", "no-such-program"]
    assert (data["nix"], data["min_version"]) == (["ffmpeg"], "0.1")


def test_a_class_that_declares_nothing_needs_nothing() -> None:
    class Plain:
        connector_type = "plain"

    found = declaration_of(Plain)
    assert (found.env, found.auth, found.validators, found.integrations, found.feeds) == ((), (), (), (), ())
    assert (found.tools, found.nix, found.min_version) == ((), (), "")


def test_a_variable_says_where_it_comes_from() -> None:
    both = VariableInfo("X", "", required=True, secret=False, help_url="https://x", help_command="x login")
    assert both.help == "https://x or `x login`"


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("env", "SHOP_TOKEN", "Wrong.env must be a list of EnvVar"),
        ("env", [{"nme": "X"}], "Wrong.env has something that is no EnvVar"),
        ("env", ["A", "A"], "Wrong.env has A twice"),
        ("env", ["SHOP_TOKEN"], "Wrong.env has SHOP_TOKEN, which is the variable of an option"),
        ("integrations", [7], "Wrong.integrations has something that is no Integration"),
        ("auth", ["keys"], "Wrong.auth must be a list of NoAuth, Keys"),
        ("auth", [Keys("tokn")], "Wrong.auth names tokn, which is no option of it"),
        ("validators", {"tokn": check_token}, "Wrong.validators names tokn, which is no option and no variable"),
        ("validators", [check_token], "Wrong.validators must map options to functions"),
        ("tools", [Tool("x", nix="$(id)")], "Wrong.tools: '$(id)' cannot be a package"),
        ("nix", "ffmpeg", "Wrong.nix: must be a list of packages"),
        ("min_version", "newest", "Wrong.min_version must be a version"),
        ("min_version", 2, "Wrong.min_version must be a version"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_read(attribute: str, value: Any, said: str) -> None:
    cls = type("Wrong", (Shop,), {"env": (), "validators": {}, attribute: value})
    with pytest.raises(ConfigError) as caught:
        declaration_of(cls)
    assert str(caught.value).startswith(said)
    assert caught.value.hint == "correct the class"


def test_no_declaration_of_the_package_needs_its_platforms_sdk(tmp_path: Path) -> None:
    names = [name for name, where in known_types(tmp_path).items() if where.startswith("connectors.")]
    code = f"""
        import sys
        from pathlib import Path

        class Refuse:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {SDKS}:
                    raise ImportError(f"the SDK {{name}} was imported", name=name)

        sys.meta_path.insert(0, Refuse())
        from connectors.base.declaration import declaration_of
        from connectors.base.registry import load_class
        for name in {names}:
            declaration_of(load_class(name, Path("."))).to_dict()
            print(name)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stdout.split() == names, done.stderr
    assert {"slack", "telegram", "webhook", "cli"} <= set(names)


def test_the_value_of_a_variable_that_is_declared_is_redacted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reads(FakeConnector):
        class Options(options.Options):
            """None."""

        env = (EnvVar("READS_PLACE", "where"),)

    monkeypatch.setenv("READS_PLACE", "behind-the-mill")
    connector = Reads("reads", home)
    assert connector.options is not None
    assert connector.redactor.redact("it is behind-the-mill") == "it is ****"


# ── auth ──────────────────────────────────────────────────────────────────────────────────────────────────────

OAUTH = OAuth2("shop", "https://shop.example/auth", "https://shop.example/token", scopes=("read",), client_id="id")


def test_the_first_method_whose_options_are_all_given_is_the_one() -> None:
    methods = (Keys("app_token", "bot_token"), Bearer("token"))
    assert auth.usable(methods, {"app_token": "x", "token": "y"}) is methods[1]
    assert auth.usable(methods, {"app_token": Secret("x"), "bot_token": Secret("y")}) is methods[0]
    assert auth.usable(methods, {"app_token": Secret("")}) is None
    assert auth.missing(methods, {"app_token": "x"}) == "app_token and bot_token; or token"
    assert auth.missing((*methods, NoAuth()), {}) is None
    assert auth.missing((), {}) is None


def test_the_shapes_of_oauth2_and_interactive_are_declared_though_nothing_signs_in_yet() -> None:
    class Signs:
        class Options(options.Options):
            id: str | None = option(None, description="the client's id")
            client_secret: Secret | None = option(None, description="its secret")

        auth = (OAUTH, Interactive("qr", "scan it with the phone"))

    first, second = json.loads(json.dumps(declaration_of(Signs).to_dict()))["auth"]
    assert (first["type"], first["options"], first["scopes"]) == ("oauth2", ["id", "client_secret"], ["read"])
    assert (first["pkce"], first["token_auth"]) == (True, "client_secret_post")
    assert (second["type"], second["artifact"], second["timeout_s"]) == ("interactive", "qr", 300.0)
    steps = list(steps_of(declaration_of(Signs), Signs.Options(id="x", client_secret=Secret("y"))))
    assert [(step.kind, step.name, step.done) for step in steps] == [("sign-in", "oauth2", None)]


# ── validators ────────────────────────────────────────────────────────────────────────────────────────────────


def verdicts(token: str = "", region: str = "eu", **environ: str) -> list[tuple[str, Any, str, bool]]:
    given = Shop.Options(token=Secret(token) if token else None, region=region)
    return [(v.name, v.credential, v.error, v.unknown) for v in check(Shop, given, environ)]


def test_a_validator_says_whose_the_credential_is_and_what_it_may() -> None:
    assert verdicts("ada") == [("token", Credential("@ada", ("repo",)), "", False)]
    assert verdicts("ada", "us")[0][1] == Credential("@ada", ("repo",), missing=("read:org",))
    assert str(Credential("@ada", ("a", "b"), note="until May")) == "@ada; scopes a, b; until May"


def test_a_variable_that_is_no_option_is_validated_too_and_what_is_not_set_is_not() -> None:
    assert verdicts(SHOP_KEY="bob", SHOP_ACCOUNT="x") == [("SHOP_KEY", Credential("@bob", ("repo",)), "", False)]
    assert verdicts() == []


@pytest.mark.parametrize(
    ("token", "error", "unknown"),
    [
        ("refused", "the token is refused", False),
        ("down", "not reachable", True),
        ("bug", "its check failed: KeyError: 'nothing'", True),
        ("nothing", "its check returned NoneType, not a Credential", True),
    ],
)
def test_what_was_not_checked_is_never_valid(token: str, error: str, unknown: bool) -> None:
    """Weakness: a platform that could not be reached, or took too long, made every credential a valid one."""
    assert verdicts(token) == [("token", None, error, unknown)]


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_steps_are_done_not_done_or_nobody_can_tell() -> None:
    path = {"PATH": "/usr/bin:/bin"}
    found = {step.name: (step.mark, step.how) for step in steps_of(declaration_of(Shop), Shop.Options(), path)}
    assert found == {
        "hook": ("·", "shop hooks add http://…"),
        "app": ("✓", ""),
        "sh": ("✓", ""),
        "no-such-program": ("✗", "apt install it"),
        "nix-shell": ("✗", "https://nixos.org/download"),
    }
    assert {step.name: step.done for step in steps_of(declaration_of(Shop), Shop.Options(region="us"))}["app"] is False
    assert {step.name: step.done for step in steps_of(declaration_of(Shop))}["app"] is None  # without options it raises
    assert str(Step("tool", "sox", "", "")) == "sox"


# ── min_version ───────────────────────────────────────────────────────────────────────────────────────────────

BODY = """
    from connectors.base.connector import Connector
    {line}

    class Mine(Connector):
        connector_type = "mine"
        min_version{annotation} = "{wanted}"
        def connect(self): ...
        def disconnect(self): ...
        def send_message(self, msg): return True
        def run_loop(self): ...
"""


def mine(folder: Path, wanted: str, line: str = "", annotation: str = "") -> str:
    name = f"mine_{wanted.replace('.', '_')}{len(line)}.py"
    text = textwrap.dedent(BODY).format(wanted=wanted, line=line, annotation=annotation)
    (folder / name).write_text(text)
    return f"./{name}"


@pytest.mark.parametrize("line", ["", "from connectors.base.brand_new import Thing"])
def test_a_connector_for_a_newer_version_says_so_also_when_it_cannot_even_be_imported(
    tmp_path: Path, line: str
) -> None:
    kind = mine(tmp_path, "99.1", line, ": str" if line else "")
    with pytest.raises(MissingDependency) as caught:
        load_class(kind, tmp_path)
    here = versions.installed_version()
    assert str(caught.value) == (
        f"{kind} needs mailbox-connectors 99.1 or newer, and this is {here}: pip install --upgrade mailbox-connectors"
    )


def test_one_for_this_version_or_an_older_one_loads(tmp_path: Path) -> None:
    for wanted in (versions.installed_version(), "0.0.1"):
        assert load_class(mine(tmp_path, wanted), tmp_path).connector_type == "mine"


def test_an_import_that_fails_for_another_reason_keeps_its_text(tmp_path: Path) -> None:
    kind = mine(tmp_path, "0.0.1", "from connectors.base.brand_new import Thing")
    with pytest.raises(ConfigError, match="No module named 'connectors.base.brand_new'"):
        load_class(kind, tmp_path)


@pytest.mark.parametrize(
    ("here", "wanted", "enough"),
    [
        ("1.2.0", "1.2", True),
        ("1.10", "1.9.5", True),
        ("1.2rc1", "1.2", True),
        ("1.2.3", "1.2.4", False),
        ("", "9", True),
    ],
)
def test_versions_are_compared_as_numbers(
    here: str,
    wanted: str,
    enough: bool,
) -> None:
    if enough:
        versions.require("x", wanted, here)
        return
    with pytest.raises(MissingDependency):
        versions.require("x", wanted, here)
