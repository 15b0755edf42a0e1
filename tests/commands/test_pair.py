"""pair list, approve, deny and revoke."""

import json
from pathlib import Path

import pytest

from connectors.base.home import Home
from connectors.parts.pairing import EXPIRES_AFTER_S, FILE, Pairing
from tests.commands.program import answer, connectors, done, on_terminal, plain


def ask(home: Path, user: str = "U1", name: str = "Ada", instance: str = "slack-main") -> str:
    """What a connector does for a stranger."""
    Home(home).make(Home(home).state_dir(instance), private=True)
    code = Pairing(Home(home).state_dir(instance)).ask(user, name, "D1")
    assert code is not None
    return code


def paired(home: Path, instance: str = "slack-main") -> list[str]:
    return [item.user_id for item in Pairing(Home(home).state_dir(instance)).read().paired]


def expire(home: Path, instance: str = "slack-main") -> None:
    path = Home(home).state_dir(instance) / FILE
    data = json.loads(path.read_text())
    for item in data["pending"]:
        item["asked_at"] -= EXPIRES_AFTER_S
    path.write_text(json.dumps(data))


def test_who_waits_is_listed_and_let_in(box: Path) -> None:
    code = ask(box)
    other = ask(box, "U2", "Alan", "telegram-main")

    waiting = answer("pair", "list", home=box)
    assert {(one["code"], one["user_id"], one["user_name"], one["instance"]) for one in waiting} == {
        (code, "U1", "Ada", "slack-main"),
        (other, "U2", "Alan", "telegram-main"),
    }
    assert all(0 < one["expires_in_s"] <= EXPIRES_AFTER_S for one in waiting)
    said = done("pair", "approve", f"{code[:4]}-{code[4:]}".lower(), home=box)

    assert said.startswith("U1 (Ada) may write to slack-main.")
    assert paired(box) == ["U1"]
    assert [one["code"] for one in answer("pair", "list", home=box)] == [other]
    (one,) = answer("pair", "list", "--paired", home=box)
    assert (one["user_id"], one["instance"]) == ("U1", "slack-main")


def test_the_list_fits_a_terminal_and_a_pipe(box: Path) -> None:
    code = ask(box, "U0123456789", "A name that is rather long, and then some more " * 5)

    heading, row, *_ = plain(on_terminal("pair", "list", home=box)).splitlines()
    assert heading.split() == ["CODE", "EXPIRES", "IN", "INSTANCE", "WHO"]
    assert row.startswith(f"{code}  60 min      slack-main  U0123456789")
    assert all(len(line) <= 80 for line in (heading, row))
    assert done("pair", "list", home=box).split("\t")[:3] == [code, "60 min", "slack-main"]


def test_nobody_waits(box: Path) -> None:
    assert done("pair", "list", home=box) == ""
    assert answer("pair", "list", home=box) == []
    assert "nobody waits for an approval" in on_terminal("pair", "list", home=box)
    assert "nobody is paired" in on_terminal("pair", "list", "--paired", home=box)


def test_names_steer_no_terminal(box: Path) -> None:
    ask(box, "U1", "\x1b[2Jevil\n\u202e")

    for text in (done("pair", "list", home=box), connectors("pair", "list", "--json", home=box).stdout):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "evil\n" not in text


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_a_code_that_is_not_known_or_has_expired_is_an_error_that_says_what_to_do(box: Path, verb: str) -> None:
    code = ask(box)
    expire(box)

    for wrong in (code, "ZZZZZZZZ"):
        result = connectors("pair", verb, wrong, home=box)
        assert result.returncode == 1
        assert wrong in result.stderr
        assert "hint:" in result.stderr
    hint = connectors("pair", "approve", code, home=box).stderr
    assert "has expired" in hint
    assert "gets a new code by writing again" in hint
    assert paired(box) == []
    assert answer("pair", "list", home=box) == []


def test_who_is_denied_cannot_be_approved_with_that_code(box: Path) -> None:
    code = ask(box)

    assert "U1 (Ada) stays out of slack-main" in done("pair", "deny", code, home=box)

    assert answer("pair", "list", home=box) == []
    assert connectors("pair", "approve", code, home=box).returncode == 1
    assert paired(box) == []


def test_an_approval_is_revoked_everywhere_or_in_one_instance(box: Path) -> None:
    for instance in ("one", "two", "three"):
        done("pair", "approve", ask(box, instance=instance), home=box)

    assert "no longer write to two" in done("pair", "revoke", "U1", "--instance", "two", home=box)
    assert [paired(box, name) for name in ("one", "two", "three")] == [["U1"], [], ["U1"]]
    done("pair", "revoke", "U1", home=box)
    assert [paired(box, name) for name in ("one", "three")] == [[], []]
    result = connectors("pair", "revoke", "U1", home=box)
    assert result.returncode == 1
    assert "connectors pair list --paired" in result.stderr


def test_a_code_that_two_instances_gave_needs_the_instance(box: Path) -> None:
    code = ask(box, instance="one")
    ask(box, instance="two")
    path = Home(box).state_dir("two") / FILE
    data = json.loads(path.read_text())
    data["pending"][0]["code"] = code
    path.write_text(json.dumps(data))

    result = connectors("pair", "approve", code, home=box)
    assert result.returncode == 1
    assert "say --instance NAME" in result.stderr
    done("pair", "approve", code, "--instance", "two", home=box)
    assert (paired(box, "one"), paired(box, "two")) == ([], ["U1"])


def test_an_instance_that_is_not_known_is_said(box: Path) -> None:
    result = connectors("pair", "list", "--instance", "../../etc", home=box)

    assert result.returncode == 78
    assert "nobody has asked '../../etc' for a pairing" in result.stderr


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pending": [{"code": 7}], "paired": 7}'])
def test_a_file_that_is_wrong_is_no_traceback(box: Path, content: str) -> None:
    ask(box)
    (Home(box).state_dir("slack-main") / FILE).write_text(content)

    for arguments in (("list",), ("list", "--paired"), ("approve", "AAAAAAAA"), ("revoke", "U1")):
        result = connectors("pair", *arguments, home=box)
        assert "Traceback" not in result.stderr
        assert result.returncode in (0, 1)
