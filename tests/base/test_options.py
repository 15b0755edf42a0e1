"""Options: what a connector class declares, and how what was given is compared with it."""

import json
from typing import Any, ClassVar, Literal, Self

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from connectors.base import options
from connectors.base.options import (
    Capabilities,
    Limits,
    OptionInfo,
    declaration_of,
    describe,
    option,
    options_of,
    read_options,
)
from connectors.base.secrets import Secret


class Server(options.Options):
    host: str
    port: int = 993


class ExampleOptions(options.Options):
    bot_token: Secret = option(
        description="bot token", env="EXAMPLE_TOKEN", help_url="https://example.test/tokens", exclusive=True
    )
    channels: list[str] = option([], description="only these channels")
    poll_s: float = option(30.0, description="seconds between polls", ge=1)
    mode: Literal["fast", "slow"] = option("fast", description="how to poll")
    chat: str | None = option(None, description="a chat's id", env="EXAMPLE_CHAT")
    signing: str | None = option(None, description="signing text", secret=True, env="EXAMPLE_SIGNING")
    server: Server | None = option(None, description="a server of your own")
    from_: str | None = option(None, description="sender", alias="from")


class Example:
    """Reads an example. Second sentence.

    More.
    """

    connector_type = "example"
    version = "1.2"
    extra = "example"
    Options = ExampleOptions
    capabilities = Capabilities(edit=True)
    limits = Limits(text_max=4096, text_unit="utf16")
    actions: ClassVar[list[Any]] = ["purge", {"name": "invite", "description": "adds a person"}]
    setup_help = """
        1. Create an app.
        2. Copy its token.
    """


TOKEN = {"bot_token": "t0ken-value"}


def problems(given: dict[str, Any], environ: dict[str, str] | None = None) -> list[str]:
    _, _, found = read_options(ExampleOptions, given, environ or {})
    return [f"{problem.text} [{problem.suggestion}]" if problem.suggestion else problem.text for problem in found]


def parsed(given: dict[str, Any], environ: dict[str, str] | None = None) -> ExampleOptions:
    value, _, found = read_options(ExampleOptions, given, environ or {})
    assert found == []
    assert isinstance(value, ExampleOptions)
    return value


def test_describe_tells_everything_that_was_declared() -> None:
    infos = {info.name: info for info in describe(ExampleOptions)}
    assert list(infos) == ["bot_token", "channels", "poll_s", "mode", "chat", "signing", "server", "from"]
    assert infos["bot_token"] == OptionInfo(
        name="bot_token",
        type="a secret text",
        required=True,
        default=None,
        description="bot token",
        env="EXAMPLE_TOKEN",
        help_url="https://example.test/tokens",
        secret=True,
        exclusive=True,
    )
    assert infos["signing"].secret
    assert not infos["chat"].secret
    assert infos["channels"].default == []
    assert infos["mode"].type == '"fast" or "slow"'
    assert infos["channels"].type == "a list (a text each)"


def test_a_declaration_is_read_off_the_class_and_is_json() -> None:
    declaration = declaration_of(Example)
    assert declaration.type == "example"
    assert declaration.summary == "Reads an example. Second sentence."
    assert declaration.setup_help == "1. Create an app.\n2. Copy its token."
    assert declaration.actions == ({"name": "purge"}, {"name": "invite", "description": "adds a person"})
    assert declaration.capabilities.edit
    assert not declaration.capabilities.idempotent_send
    again = json.loads(json.dumps(declaration.to_dict()))
    assert again["limits"] == {"text_max": 4096, "text_unit": "utf16", "attachment_max_bytes": None}
    assert again["options"][0]["env"] == "EXAMPLE_TOKEN"


def test_a_class_that_declares_nothing_accepts_any_option() -> None:
    class Plain:
        connector_type = "plain"

    assert options_of(Plain) is None
    declaration = declaration_of(Plain)
    assert declaration.options is None
    assert declaration.capabilities == Capabilities()
    assert declaration.version == declaration.setup_help == ""


def test_a_secret_default_does_not_show_in_the_description() -> None:
    class WithDefault(options.Options):
        pin: Secret = option(Secret("hidden-default"), description="pin")

    assert describe(WithDefault)[0].default == "****"
    assert "hidden" not in json.dumps(WithDefault.model_json_schema(), default=str)


def test_an_unknown_option_is_an_error_with_what_was_meant() -> None:
    assert problems({**TOKEN, "chanels": []}) == ['unknown option "chanels" [channels]']
    assert problems({**TOKEN, "zzzzzz": 1}) == ['unknown option "zzzzzz"']
    assert problems({**TOKEN, "form": "a@b"}) == ['unknown option "form" [from]']
    assert problems({**TOKEN, "server": {"host": "h", "prot": 1}}) == ['unknown option "server.prot" [port]']


def test_a_missing_option_names_its_variable_and_where_its_value_comes_from() -> None:
    assert problems({}) == [
        (
            'option "bot_token" is missing: give it, or set EXAMPLE_TOKEN in .env '
            "(where it comes from: https://example.test/tokens)"
        )
    ]


def test_all_problems_come_at_once() -> None:
    found = problems({"chanels": 1, "poll_s": "often", "mode": "medium"})
    assert len(found) == 4
    assert any("poll_s" in text and "number" in text for text in found)
    assert any("mode" in text and "'fast' or 'slow'" in text for text in found)


def test_an_option_that_is_not_given_is_read_from_its_variable() -> None:
    read = parsed({}, {"EXAMPLE_TOKEN": "from-env", "EXAMPLE_CHAT": "77"})
    assert read.bot_token.reveal() == "from-env"
    assert read.chat == "77"


def test_what_is_given_wins_over_the_variable() -> None:
    assert parsed({"bot_token": "given"}, {"EXAMPLE_TOKEN": "from-env"}).bot_token.reveal() == "given"


def test_variables_that_were_read_are_in_the_data() -> None:
    _, data, _ = read_options(ExampleOptions, {"poll_s": 5}, {"EXAMPLE_TOKEN": "from-env", "OTHER": "x"})
    assert data == {"poll_s": 5, "bot_token": "from-env"}


@pytest.mark.parametrize(
    ("given", "environ"),
    [
        ({}, {"EXAMPLE_TOKEN": ""}),
        ({"bot_token": ""}, {}),
        ({"bot_token": ""}, {"EXAMPLE_TOKEN": "value"}),
        ({**TOKEN, "signing": ""}, {}),
        (TOKEN, {"EXAMPLE_SIGNING": ""}),
    ],
)
def test_an_empty_secret_is_an_error_and_never_no_secret(given: dict[str, Any], environ: dict[str, str]) -> None:
    found = problems(given, environ)
    assert len(found) == 1
    assert "is secret and" in found[0]
    assert "empty" in found[0]


def test_an_empty_variable_of_an_option_that_is_no_secret_is_as_if_it_were_unset() -> None:
    assert parsed(TOKEN, {"EXAMPLE_CHAT": ""}).chat is None


def test_values_are_read_as_yaml_and_variables_write_them() -> None:
    assert parsed({**TOKEN, "chat": 12345}).chat == "12345"
    assert parsed({**TOKEN, "channels": "C1, C2,"}).channels == ["C1", "C2"]
    assert parsed({**TOKEN, "channels": ["C1", 7]}).channels == ["C1", "7"]
    assert parsed({**TOKEN, "poll_s": "2.5"}).poll_s == 2.5


@pytest.mark.parametrize(
    "given", [{"chat": 1.10}, {"chat": True}, {"channels": ["a", 1.5]}, {"channels": "a", "chat": []}]
)
def test_a_text_is_never_made_of_what_would_change_on_the_way(given: dict[str, Any]) -> None:
    found = problems({**TOKEN, **given})
    assert len(found) == 1
    assert "chat" in found[0] or "channels" in found[0]


def test_a_number_for_a_text_says_that_quotes_help() -> None:
    assert "quotes" in problems({**TOKEN, "chat": 1.10})[0]


def test_an_empty_secret_hides_no_other_problem() -> None:
    found = problems({"chanels": 1}, {"EXAMPLE_TOKEN": ""})
    assert len(found) == 2
    assert "EXAMPLE_TOKEN is set but empty" in found[0]
    assert found[1] == 'unknown option "chanels" [channels]'


def test_what_an_empty_secret_does_to_the_options_together_is_not_told_as_well() -> None:
    class Posts(options.Options):
        url: Secret = option(description="where to", env="POST_URL")
        count: int = option(1, description="how many")

        @model_validator(mode="after")
        def _is_url(self) -> Self:
            if not self.url.reveal().startswith("https://"):
                raise ValueError("url must begin with https://")
            return self

    (problem,) = read_options(Posts, {}, {"POST_URL": ""})[2]
    assert problem.text.startswith('option "url" is secret and its variable POST_URL is set but empty')
    assert [problem.path for problem in read_options(Posts, {"count": "x"}, {"POST_URL": ""})[2]] == [
        ("url",),
        ("count",),
    ]
    assert [problem.text for problem in read_options(Posts, {"url": "x"}, {})[2]] == ["url must begin with https://"]


def test_the_error_of_a_class_that_is_called_directly_does_not_show_the_value_either() -> None:
    with pytest.raises(ValidationError) as caught:
        ExampleOptions.model_validate({"bot_token": ["s3cret-in-a-list"]})
    assert "s3cret" not in str(caught.value)


def test_options_are_frozen() -> None:
    with pytest.raises(ValidationError):
        setattr(parsed(TOKEN), "poll_s", 3)  # noqa: B010 - mypy knows that it is frozen


def test_no_problem_quotes_the_value_it_refuses() -> None:
    found = problems({"bot_token": ["s3cret-in-a-list"], "poll_s": "s3cret-text", "server": "s3cret"})
    assert len(found) == 3
    assert "s3cret" not in " ".join(found)


def test_a_union_is_one_problem_with_all_that_it_takes() -> None:
    class Union(options.Options):
        at: int | list[int] = option(description="when")

    _, _, found = read_options(Union, {"at": {"a": 1}}, {})
    assert [problem.text for problem in found] == ['option "at" must be a whole number or a list (a whole number each)']


def test_a_validator_of_the_author_speaks_in_its_own_words() -> None:
    class Checked(options.Options):
        url: str = option(description="url")

        @field_validator("url")
        @classmethod
        def _https(cls, value: str) -> str:
            if not value.startswith("https://"):
                raise ValueError("must begin with https://")
            return value

    _, _, found = read_options(Checked, {"url": "http://x"}, {})
    assert [problem.text for problem in found] == ['option "url" must begin with https://']


def test_a_plain_pydantic_model_can_be_the_options_too() -> None:
    class Plain(BaseModel):
        count: int = Field(3, description="how many")

    class WithPlain:
        connector_type = "plain"
        Options = Plain

    declaration = declaration_of(WithPlain)
    assert declaration.options is not None
    assert declaration.options[0].default == 3
