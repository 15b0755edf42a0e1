"""Strangers, codes, approvals: by the connector and by the operator's shell at once."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.parts.pairing import ALPHABET, EXPIRES_AFTER_S, FILE, MAX_PENDING, Pairing, normal
from tests.base.box import Clocks
from tests.helpers import missing, requires
from tests.parts.gates import Gate, direct, group

ROOT = Path(__file__).parents[2]


def pairing(folder: Path, clocks: Clocks) -> Pairing:
    return Pairing(folder, clock=lambda: clocks.wall)


def asked(one: Pairing, user: str = "U1") -> str:
    code = one.ask(user, f"name of {user}", f"D-{user}")
    assert code is not None
    return code


# ── codes ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_code_has_eight_characters_that_nobody_confuses(tmp_path: Path) -> None:
    one = pairing(tmp_path, Clocks())

    codes = {asked(one, f"U{number}") for number in range(MAX_PENDING)}

    assert len(codes) == MAX_PENDING
    assert all(len(code) == 8 and set(code) <= set(ALPHABET) for code in codes)
    assert not set("01OIL") & set(ALPHABET)


def test_a_code_is_compared_without_case_dashes_and_blanks(tmp_path: Path) -> None:
    one = pairing(tmp_path, Clocks())
    code = asked(one)

    typed = f" {code[:4].lower()}-{code[4:6]} {code[6:]}\u2013\n"

    assert normal(typed) == code
    paired = one.approve(typed)
    assert paired is not None
    assert paired.user_id == "U1"


def test_no_other_code_pairs_anybody(tmp_path: Path) -> None:
    one = pairing(tmp_path, Clocks())
    code = asked(one)

    for wrong in ("", "-", code[:-1], code + "A", code[::-1] if code != code[::-1] else "A"):
        assert one.approve(wrong) is None
    assert not one.is_paired("U1")


def test_a_stranger_who_keeps_writing_hears_once_until_the_code_has_expired(home: Path) -> None:
    gate = Gate(home)
    admit = gate.access.admit

    first = admit(direct("U1", sender_name="Ada"))
    assert first.say is not None
    assert not first.ok
    for _ in range(5):
        assert admit(direct("U1")).say is None
    assert gate.again().access.admit(direct("U1")).say is None, "nor after a restart"
    gate.clocks.tick(EXPIRES_AFTER_S)
    again = admit(direct("U1")).say
    assert again is not None
    assert again != first.say


def test_neither_groups_nor_bots_nor_nobody_get_a_code(home: Path) -> None:
    gate = Gate(home, groups="all", allow={"conversations": ["C1"], "bots": ["*"]})

    assert gate.access.admit(group("U1", "C2")).say is None
    assert gate.access.admit(direct("B1", is_bot=True)).say is None
    assert gate.access.admit(direct("")).say is None
    assert Gate(home, direct="allow").access.admit(direct("U1")).say is None
    assert not (gate.state / FILE).exists()


def test_an_expired_code_pairs_nobody(tmp_path: Path) -> None:
    clocks = Clocks()
    one = pairing(tmp_path, clocks)
    code = asked(one)

    clocks.tick(EXPIRES_AFTER_S)
    assert one.approve(code) is None
    assert one.deny(code) is None
    clocks.wall -= 1
    assert one.approve(code) is not None


def test_a_clock_that_was_set_back_lets_no_code_live_for_ever(tmp_path: Path) -> None:
    clocks = Clocks()
    one = pairing(tmp_path, clocks)
    code = asked(one)

    clocks.wall -= 86_400

    assert one.approve(code) is None
    assert one.ask("U1", "", "D") not in (None, code)


def test_no_more_than_so_many_wait_and_the_oldest_goes(tmp_path: Path) -> None:
    clocks = Clocks()
    one = pairing(tmp_path, clocks)
    codes = []
    for number in range(MAX_PENDING + 2):
        codes.append(asked(one, f"U{number}"))
        clocks.tick(1)

    assert [item.user_id for item in one.read().pending] == [f"U{n}" for n in range(2, MAX_PENDING + 2)]
    assert one.approve(codes[1]) is None
    assert one.approve(codes[2]) is not None


# ── what the operator says ────────────────────────────────────────────────────────────────────────────────────


def test_an_approval_in_another_process_works_at_the_next_message_and_so_does_its_end(home: Path) -> None:
    gate = Gate(home)
    admit = gate.access.admit
    said = admit(direct("U1")).say
    assert said is not None
    (waiting,) = Pairing(gate.state, clock=lambda: gate.clocks.wall).read().pending

    operator = Pairing(gate.state, clock=lambda: gate.clocks.wall)
    assert operator.approve(waiting.code) is not None
    verdict = admit(direct("U1"))
    assert (verdict.ok, verdict.trust, verdict.why) == (True, "paired", "direct")
    assert not admit(group("U1")).ok, "paired is for direct messages"
    assert not admit(direct("U1", is_bot=True)).ok

    assert operator.revoke("U1") is not None
    assert operator.revoke("U1") is None
    assert not admit(direct("U1")).ok


def test_who_was_denied_hears_nothing_until_the_code_would_have_expired(tmp_path: Path) -> None:
    clocks = Clocks()
    one = pairing(tmp_path, clocks)
    code = asked(one)

    denied = one.deny(code)
    assert denied is not None
    assert denied.user_id == "U1"
    assert one.approve(code) is None
    assert one.ask("U1", "", "D") is None
    clocks.tick(EXPIRES_AFTER_S)
    assert one.ask("U1", "", "D") is not None


def test_who_is_paired_needs_no_code(tmp_path: Path) -> None:
    one = pairing(tmp_path, Clocks())
    one.approve(asked(one))

    assert one.ask("U1", "", "D") is None
    assert [item.user_id for item in one.read().paired] == ["U1"]


# ── the file ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_file_is_private_and_holds_nothing_of_what_was_written(home: Path) -> None:
    gate = Gate(home)
    gate.access.admit(direct("U1", sender_name="A" * 10_000))

    for path in gate.state.glob(f"{FILE}*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (item,) = json.loads((gate.state / FILE).read_text())["pending"]
    assert set(item) == {"code", "user_id", "user_name", "conversation_id", "asked_at", "denied"}
    assert len(item["user_name"]) == 200


HOSTILE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"[" * 100_000,
    b"\xff\xfe\x00\x00",
    b'{"paired": {"user_id": "U9"}, "pending": 7}',
    b'{"paired": [7, null, [], {}, "U9", {"user_id": "U9"}], "pending": [7, null, {}]}',
    b'{"paired": [{"user_id": "U9", "user_name": "", "conversation_id": "", "approved_at": true}]}',
    b'{"paired": [{"user_id": ["U9"], "user_name": "", "conversation_id": "", "approved_at": 1}]}',
    b'{"paired": [{"user_id": "", "user_name": "", "conversation_id": "", "approved_at": 1}]}',
    b'{"pending": [{"code": "", "user_id": "U9", "user_name": "", "conversation_id": "", "asked_at": 1}]}',
    b'{"pending": [{"code": "AAAAAAAA", "user_id": "U9", "user_name": "", "conversation_id": "", "asked_at": NaN}]}',
    b'{"pending": [{"code": "AAAAAAAA", "user_id": "U9", "user_name": "", "conversation_id": "", "asked_at": 1e400}]}',
    b'{"pending": [{"asked_at": ' + b"9" * 5000 + b"}]}",
    b'{"paired": "' + b"x" * 11_000_000 + b'"}',
]


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_a_file_that_is_wrong_pairs_nobody_and_stops_nothing(
    home: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(home)
    (gate.state / FILE).write_bytes(content)

    one = gate.access.pairing
    assert not any(one.is_paired(user) for user in ("", "U1", "U9"))
    assert one.approve("AAAAAAAA") is None
    assert one.approve("") is None
    assert "that part counts as nothing" in caplog.text
    said = gate.access.admit(direct("U1")).say
    assert said is not None
    assert (gate.state / f"{FILE}.broken").read_bytes() == content, "who wants to mend it finds it"
    assert one.approve(one.read().pending[-1].code) is not None
    assert gate.access.admit(direct("U1")).ok


def test_what_is_right_in_a_file_with_a_wrong_entry_counts(home: Path) -> None:
    gate = Gate(home)
    good = {"user_id": "U1", "user_name": "Ada", "conversation_id": "D1", "approved_at": 1}
    (gate.state / FILE).write_text(json.dumps({"paired": [good, {"user_id": 7}]}))

    assert gate.access.admit(direct("U1")).ok
    assert not gate.access.admit(direct("7")).ok


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
def test_what_is_no_file_pairs_nobody(home: Path, kind: str) -> None:
    gate = Gate(home)
    path = gate.state / FILE
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        good = {"user_id": "U1", "user_name": "", "conversation_id": "", "approved_at": 1}
        (home / "elsewhere").write_text(json.dumps({"paired": [good]}))
        path.symlink_to(home / "elsewhere")

    assert not gate.access.admit(direct("U1")).ok
    assert not gate.access.admit(direct("U2")).ok


def test_a_lock_that_cannot_be_had_costs_the_code_and_not_the_connector(home: Path) -> None:
    gate = Gate(home)
    (gate.state / f"{FILE}.lock").mkdir()

    verdict = gate.access.admit(direct("U1"))

    assert (verdict.ok, verdict.say) == (False, None)


def test_what_root_approves_stays_readable_to_the_connectors_user(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        missing("only root can approve as root")
    os.chown(tmp_path, 4321, 4322)
    one = pairing(tmp_path, Clocks())
    one.approve(asked(one))

    assert {(path.stat().st_uid, path.stat().st_gid) for path in tmp_path.iterdir()} == {(4321, 4322)}


def test_a_lock_that_somebody_keeps_costs_the_code_and_not_the_connector(home: Path) -> None:
    gate = Gate(home)
    fd = os.open(gate.state / f"{FILE}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        assert gate.access.admit(direct("U1")).say is None
    finally:
        os.close(fd)
    assert gate.access.admit(direct("U1")).say is not None


# ── several processes ─────────────────────────────────────────────────────────────────────────────────────────

CHILD = """
import sys
from pathlib import Path
from connectors.parts.pairing import Pairing
folder, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
one = Pairing(folder)
for number in range(count):
    user = f"{name}-{number}"
    code = one.ask(user, "", "D")
    assert code is not None, user
    assert one.approve(code) is not None, user
    assert one.is_paired(user)
    if number % 2:
        assert one.revoke(user) is not None
"""


def child(folder: Path, *arguments: str, tracer: list[str] | None = None) -> subprocess.Popen[bytes]:
    command = [*(tracer or []), sys.executable, "-c", CHILD, str(folder), *arguments]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})


def test_processes_that_write_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    processes = [child(tmp_path, f"P{number}", "20") for number in range(3)]

    assert [process.wait(60) for process in processes] == [0, 0, 0]

    found = Pairing(tmp_path).read()
    assert found.pending == ()
    assert {item.user_id for item in found.paired} == {f"P{p}-{n}" for p in range(3) for n in range(0, 20, 2)}
    assert sorted(os.listdir(tmp_path)) == [FILE, f"{FILE}.lock"]


def test_killed_at_any_call_it_leaves_the_old_or_the_new_whole_and_no_lock(tmp_path: Path) -> None:
    strace = [requires("strace"), "-f", "-qq", "-o", "/dev/null"]
    calls = "fsync,rename,renameat2,unlink,fchmod,flock"
    for nth in range(1, 100):
        folder = tmp_path / str(nth)
        folder.mkdir()
        one = Pairing(folder)
        one.approve(asked(one, "U0"))
        inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:signal=SIGKILL:when={nth}"]
        code = child(folder, "P", "2", tracer=[*strace, *inject]).wait(60)

        found = one.read()
        assert found.sound
        assert "U0" in {item.user_id for item in found.paired}
        assert {item.user_id for item in found.pending} <= {"P-0", "P-1"}
        assert one.approve(asked(one, "U9")) is not None, "the lock died with its process"
        assert {path.name for path in folder.iterdir()} == {FILE, f"{FILE}.lock"}
        if code == 0:
            break
    assert nth > 10
    assert code == 0
