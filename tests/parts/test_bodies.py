"""Bodies of webhooks: read strictly, looked up safely, filled into templates without executing anything."""

import json
from typing import Any

import pytest

from connectors.parts.bodies import MAX_DEPTH, BadBody, look_up, parse, text_of
from connectors.parts.templates import render


def test_an_object_is_read() -> None:
    assert parse(b'{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"x"',
        b"{",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": [-1e999]}',
        b"\xef\xbb\xbf{}",
        b"\xff",
        b"{}{}",
        b'{"a": "\xff"}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadBody, match="Invalid JSON payload"):
        parse(body)


def test_nesting_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' * depth + b"1" + b"}" * depth

    parse(nested(MAX_DEPTH))
    with pytest.raises(BadBody, match="nested deeper"):
        parse(nested(MAX_DEPTH + 1))
    parse(json.dumps({"wide": [{} for _ in range(1000)]}).encode())


def test_a_form_gives_its_fields_and_a_payload_in_it_is_json() -> None:
    form = "application/x-www-form-urlencoded; charset=utf-8"
    assert parse(b"command=%2Fgo&text=a+b", form) == {"command": "/go", "text": "a b"}
    assert parse(b"payload=%7B%22a%22%3A1%7D", form) == {"a": 1}
    assert parse(b' {"a": 1}', form) == {"a": 1}  # curl -d
    with pytest.raises(BadBody):
        parse(b"&".join(b"a=%d" % n for n in range(5000)), form)


@pytest.mark.parametrize("media_type", ["application/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("body", [b"[]", b' ["x"]', b'"x"'])
def test_json_that_is_no_object_is_told_that_one_is_needed_also_by_curl(body: bytes, media_type: str) -> None:
    with pytest.raises(BadBody, match="Invalid JSON payload: an object is needed"):
        parse(body, media_type)


def test_null_is_told_that_an_object_is_needed_and_a_scalar_form_what_a_form_is() -> None:
    with pytest.raises(BadBody, match="an object is needed"):
        parse(b"null")
    with pytest.raises(BadBody, match="Invalid form: neither fields such as a=b nor a JSON object"):
        parse(b"null", "application/x-www-form-urlencoded")


def test_a_dotted_path_is_looked_up_and_never_fails() -> None:
    data: dict[str, Any] = {"a": [{"b": "x"}], "c": None}
    assert look_up(data, "a.0.b") == "x"
    assert [look_up(data, path) for path in ("a.1.b", "a.x", "c.d", "", "a.0.b.c", "a.-1")] == [None] * 6


def test_what_becomes_an_id_can_be_stored() -> None:
    values: list[Any] = ["x", 5, True, "", None, {}, 1.5]
    assert [text_of(value) for value in values] == ["x", "5", None, None, None, None, None]
    assert (text_of("a\ud800") or "").encode() == b"a?"


def test_a_template_is_filled_in_and_keeps_types() -> None:
    context = {"text": "hi", "n": 3, "meta": {"tags": ["a"]}}
    template = {"t": "{{ text }}", "all": ["{{n}}", "n is {{n}}", "{{meta}}", "{{gone}}", "{{meta.tags}}!"], "k": 1}
    assert render(template, context) == {
        "t": "hi",
        "all": [3, "n is 3", {"tags": ["a"]}, "", '["a"]!'],
        "k": 1,
    }


def test_a_template_executes_nothing_and_does_not_fill_in_twice() -> None:
    context = {"text": "{{secret}} {{text.__class__}}", "secret": "s"}
    assert render("x {{text}}", context) == "x {{secret}} {{text.__class__}}"
    assert render("{{text.__class__}} {{ 1+1 }} {% x %}", context) == " {{ 1+1 }} {% x %}"
