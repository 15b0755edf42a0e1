"""What reaches the disk, and when: every promise survives a power cut at any moment."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.account import Nursery, World, fill, nursery, start
from tests.faults.disk import CALLS, WORST, Call, Disk, recorded
from tests.helpers import requires


@pytest.fixture(scope="module")
def runs() -> Iterator[Nursery]:
    with nursery() as made:
        yield made


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, World, list[Call]]:
    """(the world before a run, the world after it, the run's calls in between)."""
    strace = requires("strace")
    root = tmp_path_factory.mktemp("story")
    world = World(root / "world")
    with nursery() as runs:
        assert runs.run(world) == 0  # the folders and the store are there from an earlier day
    fill(world)
    before = World(root / "before")
    shutil.copytree(world.root, before.root, dirs_exist_ok=True)
    log = root / "calls"
    tracer = [strace, "-f", "-qq", "-xx", "-s", "10000000", "-e", f"trace={CALLS}", "-o", str(log)]
    assert start(world, *tracer).wait(60) == 0, world.log.read_text()
    world.check_at_the_end()
    return before, world, recorded(log)


def replay(story: tuple[World, World, list[Call]]) -> Iterator[tuple[int, Disk, dict[str, list[str]]]]:
    """The disk after each call that changed it, and what the platform had seen by then."""
    _, world, calls = story
    before, _, _ = story
    disk = Disk(before.home.root)
    prefix, own = str(world.home.root), str(before.home.root)
    seen: dict[str, list[str]] = {"acked": [], "sends": []}
    fds: dict[int, str] = {}
    for number, call in enumerate(calls):
        if call.name == "openat":
            fds[call.result] = Path(call.path(1)).name if str(world.platform) in call.path(1) else ""
        name = fds.get(int(call.args[0]), "") if call.name == "write" else ""
        if name in seen:
            seen[name].append(bytes.fromhex(call.args[1].strip('"').replace("\\x", "")).decode().strip())
            yield number, disk, seen
        elif disk.apply(_moved(call, prefix, own)):
            yield number, disk, seen


def _moved(call: Call, prefix: str, own: str) -> Call:
    """The call as if it had been made below the folder of before."""
    there = "".join(f"\\x{b:02x}" for b in prefix.encode())
    here = "".join(f"\\x{b:02x}" for b in own.encode())
    return Call(call.name, tuple(arg.replace(there, here, 1) for arg in call.args), call.result)


def survives(
    runs: Nursery,
    story: tuple[World, World, list[Call]],
    root: Path,
    disk: Disk,
    seen: dict[str, list[str]],
    worst: str,
) -> None:
    """Build what is left, start again, and account for everything."""
    _, after, _ = story
    world = World(root)
    disk.build(worst, world.home.root)
    world.offered, world.dropped, world.bad = after.offered, after.dropped, after.bad
    (world.platform / "offered").write_text("".join(f"{event}\n" for event in world.offered))
    for name, found in seen.items():
        (world.platform / name).write_text("".join(f"{line}\n" for line in found))
    boot = world.home.state_dir(world.name) / "boot"
    boot.write_text(f"not {boot.read_text()}")  # a power cut is followed by a reboot
    world.check_now(power_cut=True)
    assert runs.run(world) == 0, world.log.read_text()
    world.check_at_the_end(power_cut=True)
    shutil.rmtree(root)


def test_a_power_cut_after_any_call_loses_nothing(
    runs: Nursery, story: tuple[World, World, list[Call]], tmp_path: Path
) -> None:
    """Every moment, with one of the worst cases in turn; --long takes all of them each time."""
    count = 0
    for number, disk, seen in replay(story):
        worst = WORST[count % len(WORST)]
        survives(runs, story, tmp_path / f"{number}-{worst}", disk, seen, worst)
        count += 1
    assert count > 100


@pytest.mark.long
@pytest.mark.parametrize("worst", WORST)
def test_a_power_cut_after_any_call_loses_nothing_in_the_worst_case(
    runs: Nursery, story: tuple[World, World, list[Call]], tmp_path: Path, worst: str
) -> None:
    for number, disk, seen in replay(story):
        survives(runs, story, tmp_path / f"{number}", disk, seen, worst)


# ── the order, read off the calls ─────────────────────────────────────────────────────────────────────────────


def told(story: tuple[World, World, list[Call]]) -> list[str]:
    """The run as words: `sync folder inbox`, `sync .staging/x.json` (a file), `inbox/x.json < .staging/x.json`
    (a rename), `gone .sending/key.json`, `ack e1`, `send a`, `sync store`."""
    _, world, calls = story
    fds: dict[int, str] = {}
    words = []
    for call in calls:
        match call.name:
            case "openat":
                fds[call.result] = _short(world, call.path(1))
            case "fsync" | "fdatasync":
                words.append(f"sync {fds[int(call.args[0])]}")
            case "rename" | "renameat2":
                first, second = (0, 1) if call.name == "rename" else (1, 3)
                words.append(f"{_short(world, call.path(second))} < {_short(world, call.path(first))}")
            case "unlink":
                words.append(f"gone {_short(world, call.path(0))}")
            case "write" if fds.get(int(call.args[0])) in {"acked", "sends"}:
                line = bytes.fromhex(call.args[1].strip('"').replace("\\x", "")).decode().strip()
                words.append(f"{'ack' if fds[int(call.args[0])] == 'acked' else 'send'} {line}")
    return words


def _short(world: World, path: str) -> str:
    for folder in (world.platform, world.home.messages, world.home.state_dir(world.name)):
        if path.startswith(f"{folder}/"):
            short = path.removeprefix(f"{folder}/").replace(f"/{world.name}", "")
            if Path(path).is_dir():
                return f"folder {short}"
            return "store" if short.startswith("store.db") else short
    return path


def index(words: list[str], start: int, *wanted: str) -> int:
    """Where the first word that begins with one of `wanted` stands, at or after `start`."""
    for at in range(start, len(words)):
        if words[at].startswith(wanted):
            return at
    raise AssertionError(f"{wanted} is not among {words[start:]}")


def test_an_event_is_on_the_disk_before_it_is_acknowledged(story: tuple[World, World, list[Call]]) -> None:
    words = told(story)
    names = {json.loads(path.read_bytes())["id"]: path.name for path in story[1].home.inbox.iterdir()}
    for event in story[1].inbox():
        if event.get("kind") == "delivery" or event["id"].startswith("held"):
            continue
        ack = index(words, 0, f"ack {event['id']}")
        renamed = max(at for at in range(ack) if words[at].startswith(f"inbox/{names[event['id']]} "))
        source = words[renamed].partition(" < ")[2]
        staged = index(words, 0, f"sync {source}")
        assert staged < renamed < index(words, renamed, "sync folder inbox") < ack


def test_a_held_event_is_on_the_disk_before_it_is_acknowledged(story: tuple[World, World, list[Call]]) -> None:
    words = told(story)
    ack = index(words, 0, "ack held-1")
    before = words[index(words, 0, "ack e1") : ack]
    staged = index(before, 0, "sync .staging/2")
    assert staged < index(before, staged, "sync folder .staging")


def test_an_outgoing_is_claimed_and_its_attempt_committed_on_the_disk_before_it_is_sent(
    story: tuple[World, World, list[Call]],
) -> None:
    words = told(story)
    for text, name in (("a", "a.json"), ("b1", "b.json"), ("c", "c.json")):
        send = index(words, 0, f"send {text}")
        claimed = next(at for at in range(send) if words[at].endswith(f" < outbox/{name}"))
        target = index(words, claimed, "sync folder .sending")
        source = index(words, claimed, "sync folder outbox")
        committed = max(at for at in range(send) if words[at] == "sync store")
        assert claimed < target < source < committed < send


def test_a_receipt_is_on_the_disk_before_the_claimed_file_goes(story: tuple[World, World, list[Call]]) -> None:
    words = told(story)
    for name in ("a.json", "b.json", "c.json"):
        key = next(w for w in words if w.endswith(f" < outbox/{name}")).partition(" < ")[0]
        receipt = next(at for at, word in enumerate(words) if word.startswith(f"sent/{name} < "))
        file = index(words, 0, f"sync {words[receipt].partition(' < ')[2]}")
        folder = index(words, receipt, "sync folder sent")
        assert file < receipt < folder < index(words, receipt, f"gone {key}")


def test_each_part_is_recorded_on_the_disk_before_the_next_is_sent(story: tuple[World, World, list[Call]]) -> None:
    words = told(story)
    between = words[index(words, 0, "send b1") : index(words, 0, "send b2")]
    assert between.count("sync store") >= 2  # that b1 ended, and that b2 begins


def test_a_dead_letter_is_reason_then_event_then_move_each_on_the_disk_before_the_next(
    story: tuple[World, World, list[Call]],
) -> None:
    words = told(story)
    for name in ("bad.json", "d.json"):
        reason = index(words, 0, f"failed/{name}.reason.json < ")
        synced = index(words, reason, "sync folder failed")
        event = index(words, synced, "inbox/")
        visible = index(words, event, "sync folder inbox")
        moved = index(words, visible, f"failed/{name} < .sending/")
        assert reason < synced < event < visible < moved < index(words, moved, "sync folder failed")
