"""With the manager and the real program around it."""

from __future__ import annotations

import json

from tests.commands.program import answer, connectors, done, manager
from tests.github.live import NAME, Place


def _configure(place: Place, token: str) -> None:
    entry = {"name": NAME, "type": "github", **{k: v for k, v in place.options.items() if k != "token"}}
    place.home.config_file.write_text(json.dumps({"connectors": [entry]}))
    _token(place, token)


def _token(place: Place, token: str) -> None:
    file = place.home.root / ".env"
    file.touch(mode=0o600)
    file.write_text(f"GITHUB_TOKEN={token}\n")


def test_a_new_token_is_taken_without_a_restart_by_hand(place: Place) -> None:
    """Weakness: a rotated token was never seen, and the old one failed in silence."""
    _configure(place, place.fake.token)
    with manager(place.home.root):
        place.fake.open(place.repository, "with the old token")
        place.wait(lambda: place.titles == ["#1 with the old token"])
        place.fake.token = "ghp_the_next_one"
        place.wait(lambda: place.status.get("exit_code") == 77)
        assert "GITHUB_TOKEN" in place.status["last_error"]["hint"]
        place.fake.open(place.repository, "with the new token")
        _token(place, "ghp_the_next_one")
        place.wait(lambda: len(place.titles) == 2, deadline_s=60)
    log = place.home.log_file(NAME).read_text()
    assert "ghp_the_next_one" not in log


def test_the_program_tells_what_is_missing_who_it_is_and_what_came(place: Place) -> None:
    home = place.home.root
    _configure(place, place.fake.token)
    place.fake.open(place.repository, "It crashes")
    said = connectors("env", home=home).stdout
    assert "Personal access token with repo scope https://github.com/settings/tokens" in said
    findings = answer("doctor", home=home)
    text = json.dumps(findings)
    assert "@connector-bot" in text
    assert "acme/app can be read" in text
    assert place.fake.token not in text
    with manager(home):
        place.wait(lambda: place.titles == ["#1 It crashes"])
        assert "0 new" in done("sync", f"{NAME}/acme.app", home=home)
        shown = done("checkpoint", "show", f"{NAME}/acme.app", home=home)
        assert "2027-01-15T08:00:00Z" in shown
