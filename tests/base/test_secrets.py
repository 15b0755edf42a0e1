"""Secrets: the type that does not print, and the redactor that nothing gets past."""

import ast
import base64
import io
import json
import logging
import pickle
import re
import sys
import threading
import urllib.parse
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from connectors.base.secrets import MASK, RedactingFilter, Redactor, Secret, is_secret_name, is_token_shaped

CANARY = "c4n4ry/+= é\"'\\secret"


class Login(BaseModel):
    token: Secret


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(CANARY)),
        str(Secret(CANARY)),
        f"{Secret(CANARY)}",
        f"{Secret(CANARY)!r:>10}",
        "%s" % Secret(CANARY),  # noqa: UP031 - the way that logging formats
        json.dumps({"token": Secret(CANARY)}, default=str),
        repr([Secret(CANARY)]),
        repr(Login(token=Secret(CANARY))),
        Login(token=Secret(CANARY)).model_dump_json(),
        str(Login(token=Secret(CANARY)).model_dump()),
    ],
)
def test_a_secret_prints_as_stars_in_every_way_there_is(shown: str) -> None:
    assert MASK in shown
    assert "c4n4ry" not in shown


def test_a_secret_is_never_taken_for_a_text() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret(CANARY))
    with pytest.raises(TypeError):
        "".join([Secret(CANARY)])  # type: ignore[list-item]


def test_reveal_gives_the_value_and_secrets_compare_by_it() -> None:
    assert Secret(CANARY).reveal() == CANARY
    assert Secret(CANARY) == Secret(Secret(CANARY))
    assert Secret(CANARY) != CANARY
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert not Secret("")
    assert pickle.loads(pickle.dumps(Secret(CANARY))).reveal() == CANARY  # noqa: S301 - our own bytes


def test_pydantic_accepts_a_text_as_a_secret_and_marks_it_in_the_schema() -> None:
    assert Login.model_validate({"token": "abc"}).token.reveal() == "abc"
    token = Login.model_json_schema()["properties"]["token"]
    assert (token["type"], token["format"], token["writeOnly"]) == ("string", "password", True)


@pytest.mark.parametrize(
    "text",
    [
        f"plain {CANARY} text",
        f"url https://x.test/?q={urllib.parse.quote(CANARY, safe='')}&x=1",
        f"path {urllib.parse.quote(CANARY)}",
        f"form {urllib.parse.quote_plus(CANARY)}",
        f"small {re.sub('%..', lambda escape: escape[0].lower(), urllib.parse.quote(CANARY, safe=''))}",
        f"json {json.dumps({'token': CANARY})}",
        f"json {json.dumps({'token': CANARY}, ensure_ascii=False)}",
        f"repr {CANARY!r}",
        f"ascii {CANARY!a}",
        f"bytes {CANARY.encode()!r}",
        f"b64 {base64.b64encode(CANARY.encode()).decode()}",
        f"b64 {base64.b64encode(CANARY.encode()).decode().rstrip('=')}",
        f"b64url {base64.urlsafe_b64encode(CANARY.encode()).decode()}",
    ],
)
def test_a_known_value_is_redacted_in_each_of_its_encodings(text: str) -> None:
    redacted = Redactor([CANARY]).redact(text)
    assert MASK in redacted
    assert "4n4ry" not in redacted
    first, *rest = text.split()
    assert first in redacted
    for word in rest:
        assert len(word) < 16 or word not in redacted


@given(
    value=st.text(min_size=4, max_size=40).filter(lambda text: "*" not in text),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
)
def test_no_value_of_four_characters_or_more_survives_whatever_is_around_it(
    value: str, before: str, after: str
) -> None:
    redactor = Redactor([value])
    if value.strip().lower() in {"", "true", "false", "none", "null"}:
        return
    assert value not in redactor.redact(before + value + after)
    whole = ast.literal_eval(repr(before + value + after))
    assert value not in redactor.redact(whole)


@given(value=st.binary(min_size=12, max_size=60), before=st.binary(max_size=8), after=st.binary(max_size=8))
def test_a_value_inside_a_longer_base64_text_is_redacted_but_for_its_edges(
    value: bytes, before: bytes, after: bytes
) -> None:
    # given a value as an environment variable would hold it, and an HTTP Basic header that contains it
    text = value.decode("utf-8", "surrogateescape")
    if len(text) < 12 or text != text.strip():
        return
    encoded = base64.b64encode(before + value + after).decode()
    # when it is redacted, then what is left of the value is at most its first and last characters
    left = Redactor([text]).redact(encoded)
    assert MASK in left
    assert len(left.replace(MASK, "")) <= len(encoded) - (len(value) * 4 // 3 - 4)


def test_of_overlapping_values_no_rest_of_the_other_stays() -> None:
    redactor = Redactor(["abcdef", "defghi", "abcdefgh-long"])
    assert redactor.redact("x abcdefghi y") == f"x {MASK} y"
    assert redactor.redact("x abcdefgh-long y") == f"x {MASK} y"
    assert Redactor(["ababab"]).redact("x abababab y") == f"x {MASK} y"


def test_every_line_of_a_private_key_is_redacted_by_itself() -> None:
    key = "first line of the key\nsecond line of the key\n"
    redacted = Redactor([key]).redact("  second line of the key  ")
    assert redacted == f"  {MASK}  "


def test_values_shorter_than_four_characters_and_ordinary_words_are_left_alone() -> None:
    redactor = Redactor(["abc", "7", "", "true", "None", "    "])
    assert redactor.redact("abc 7 true None    ") == "abc 7 true None    "


def test_bytes_that_are_not_utf8_are_redacted_too() -> None:
    value = b"caf\xe9-secret".decode("utf-8", "surrogateescape")
    assert "secret" not in Redactor([value]).redact(f"x {value} y")
    assert "secret" not in Redactor([value]).redact(f"x {value!r} y")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("xoxb-1234567890-abcdef", MASK),
        ("xapp-1-A0123-456-abcdef", MASK),
        ("https://api.telegram.org/bot123456789:AAabcdefghijklmnopqrstuvwxyz0123456/getMe", None),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", MASK),
        ("github_pat_abcdefghijklmnopqrstuvwxyz0123456789", MASK),
        ("glpat-abcdefghijklmnopqrst", MASK),
        ("sk-abcdefghijklmnopqrst", MASK),
        ("syt_dXNlcg_abcdefghijklmnopqrst_0aBcDe", MASK),
        ("123456789:AAabcdefghijklmnopqrstuvwxyz0123456", MASK),
        ("M" + "TIzNDU2Nzg5MDEyMzQ1Njc4." + "Gabcde." + "abcdefghijklmnopqrstuvwxyz0", MASK),
        ("X-Api-Key: abcdefgh", f"X-Api-Key: {MASK}"),
        ("private-token=abcdefgh", f"private-token={MASK}"),
        ("x-auth-token: abcdefgh", f"x-auth-token: {MASK}"),
        ("Basic abcdefghijklmnop", f"Basic {MASK}"),
        ("/api/webhooks/123456789012/abcdefgh_x", f"/api/webhooks/123456789012/{MASK}"),
        ("Authorization: Bearer abcdefghijklmnop0123", None),
        ("{'Authorization': 'Bot abcdefgh'}", None),
        ("https://user:pass@host/path", f"https://user:{MASK}@host/path"),
        ("GET /x?access_token=abcdef&y=1", f"GET /x?access_token={MASK}&y=1"),
        ("https://hooks.slack.com/services/T01/B02/abcdefgh", f"https://hooks.slack.com/services/{MASK}"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4", MASK),
        ("-----BEGIN PRIVATE KEY-----\nabcd\n-----END PRIVATE KEY-----", MASK),
    ],
)
def test_what_is_shaped_like_a_credential_is_redacted_without_being_known(text: str, expected: str | None) -> None:
    redacted = Redactor().redact(text)
    assert MASK in redacted
    assert expected is None or redacted == expected
    for secret in ("abcdefgh", "SflKxw", "pass@"):
        assert secret not in redacted


@pytest.mark.parametrize(
    "text",
    [
        "received 1700000000.123456 from U01 in C02 at 2026-01-01T12:00:00Z",
        "see https://example.com/a/b?page=2&key=1",
        "the Bearer of this, a Basic rule, the Bot restarted",
        "00001766-abcdef0123456789.json: 3 attempts, next at 12:00:00",
    ],
)
def test_an_ordinary_line_is_left_as_it_is(text: str) -> None:
    assert Redactor([CANARY]).redact(text) == text


def test_redacting_twice_changes_nothing_more() -> None:
    redactor = Redactor([CANARY])
    once = redactor.redact(f"Authorization: Bearer {CANARY}, https://u:{CANARY}@h/, {CANARY}")
    assert redactor.redact(once) == once


def test_redact_data_walks_keys_values_lists_and_leaves_the_original() -> None:
    data = {"a": [f"x {CANARY}", 1, None], CANARY: {"b": (CANARY, True)}, "s": Secret(CANARY)}
    redacted = Redactor([CANARY]).redact_data(data)
    assert redacted == {"a": [f"x {MASK}", 1, None], MASK: {"b": (MASK, True)}, "s": MASK}
    assert CANARY in data


def test_values_can_be_added_by_many_threads_while_others_redact() -> None:
    # given one redactor, and threads that each add their own value and then use it
    redactor = Redactor()
    start = threading.Barrier(8)
    leaked: list[str] = []

    def use(number: int) -> None:
        start.wait()
        for round_ in range(20):
            value = f"secret-{number}-{round_}-value"
            redactor.add([value])
            if value in redactor.redact(f"x {value} y"):
                leaked.append(value)

    # when all run at once
    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # then none saw its value, and all are known in the end
    assert leaked == []
    assert "secret" not in redactor.redact(" ".join(f"secret-{n}-{r}-value" for n in range(8) for r in range(20)))


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s %(where)s", defaults={"where": ""}))
    handler.addFilter(RedactingFilter(Redactor([CANARY])))
    logger = logging.getLogger("test.canary")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    yield logger, stream
    for each in list(logger.handlers):
        logger.removeHandler(each)


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


def fail() -> None:
    raise ValueError(f"refused {CANARY}")


def test_the_filter_redacts_message_arguments_traceback_stack_and_extras(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, stream = log
    logger.info("in the message %s" % CANARY)  # noqa: G002, UP031 - the case under test
    logger.info("as an argument %s", CANARY)
    logger.info("in a mapping %(a)s", {"a": CANARY})
    logger.info("in an object %s", {"token": CANARY})
    logger.warning("as an extra", extra={"where": {"token": CANARY}})
    try:
        fail()
    except ValueError:
        logger.exception("with a traceback")
        logger.exception(sys.exc_info()[1])
    logger.error("with the stack", stack_info=True)
    logger.error("arguments do not fit %d", CANARY)
    logger.error("prints badly %s", Unprintable())
    logger.error(Unprintable())
    text = stream.getvalue()
    assert "c4n4ry" not in text
    assert text.count("ValueError: refused ****") == 2
    assert "in fail" in text
    assert "Stack (most recent call last)" in text
    assert text.count("(logged with arguments that do not fit)") == 3


def test_a_second_handler_without_the_filter_still_gets_the_redacted_record(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, _ = log
    second = io.StringIO()
    logger.addHandler(logging.StreamHandler(second))
    logger.error("token %s", CANARY)
    assert second.getvalue() == f"token {MASK}\n"


def test_a_formatter_that_prints_tracebacks_itself_gets_none_to_print() -> None:
    # given a record with an exception and a stack, as a formatter of JSON lines would print them
    try:
        fail()
    except ValueError:
        record = logging.makeLogRecord({"msg": "x", "exc_info": sys.exc_info(), "stack_info": f"in {CANARY}"})
    # when it has passed the filter, then only redacted texts are left
    assert RedactingFilter(Redactor([CANARY])).filter(record)
    assert record.exc_info is None
    assert "ValueError: refused ****" in str(record.exc_text)
    assert record.stack_info == f"in {MASK}"


def test_names_and_shapes_of_secrets_are_recognised() -> None:
    assert all(map(is_secret_name, ["token", "SLACK_BOT_TOKEN", "client_secret", "apiKey", "DB_PASSWORD"]))
    assert not any(map(is_secret_name, ["tokens_per_minute", "keyboard", "sort_key", "username", "token_file"]))
    assert is_token_shaped("xoxb-1234567890-abcdef")
    assert not is_token_shaped("C0123456789")
