"""A reason goes into events and logs: no secret, no signed address."""

from __future__ import annotations

import pytest

from connectors.base.secrets import Redactor
from connectors.parts.reasons import reason_of

TOKEN = "xoxb-123456789-canary"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("404 from https://files.example.com/a/b?sig=abc&x=1", "404 from https://files.example.com"),
        ("see https://u:pw@host.example/x for it", "see https://host.example for it"),
        ("at https://host.example/x#token=abc", "at https://host.example"),
        ("see https://docs.example.com/scopes", "see https://docs.example.com/scopes"),
        ("HTTPSConnectionPool(host='h', port=443): Max retries with url: /f?sig=abc (Caused by x)",
         "HTTPSConnectionPool(host='h', port=443): Max retries with url: /f?… (Caused by x)"),
        ("what? a=b", "what? a=b"),
        ("http://[bad/x?sig=abc", "http://…"),
        ("two\nlines\x1b[2J", "two lines\\x1b[2J"),
    ],
)  # fmt: skip
def test_addresses_are_cut_and_the_text_is_one_harmless_line(text: str, shown: str) -> None:
    assert reason_of(text, Redactor()) == shown


def test_a_known_secret_is_hidden_wherever_it_stands() -> None:
    redactor = Redactor()
    redactor.add([TOKEN])
    for text in (f"bad {TOKEN}", f"https://api.example/file/bot{TOKEN}/f.jpg", f"https://h/?t={TOKEN}"):
        assert TOKEN not in reason_of(text, redactor)


def test_a_long_text_is_cut() -> None:
    assert len(reason_of("x" * 10_000, Redactor())) == 300
