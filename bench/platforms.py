"""The rows about the platforms' connectors, against the platforms that the kit plays: each is a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.listening import bench_command, connectors_command, ear, environment, running
from bench.measure import Bench, Result, median, percentile, result, wait_until
from bench.processes import cpu_s, pss_mb
from connectors.testing.slack import FakeSlack
from connectors.testing.telegram import FakeTelegram

#: Between two posts: more than one takes.
PAUSE_S = 0.02
NAME = "bench"


@dataclass(frozen=True)
class Platform:
    """How one is played, posted to, and reached. `sdk` is what a bare process imports to be compared with."""

    type: str
    fake: Callable[[], Any]
    options: Callable[[Any], dict[str, Any]]
    post: Callable[[Any, str], object]
    credentials: Callable[[Any], list[str]]  #: for the plain receiver of bench/child.py
    sdk: str


def _slack() -> FakeSlack:
    # A burst outlives many kills, each of which leaves some to be delivered again.
    return FakeSlack(retry_waits_s=(0.0, *[0.5] * 200))


def _slack_options(fake: FakeSlack) -> dict[str, Any]:
    allow = {"users": ["U1"], "conversations": ["C1"]}
    return {
        "bot_token": fake.bot_token, "app_token": fake.app_token, "base_url": fake.api_url, "allow": allow,
        "groups": "all",
    }  # fmt: skip


def _telegram_post(fake: FakeTelegram, text: str) -> object:
    people: Any = fake
    if not hasattr(people, "bench_chat"):
        ada = fake.user("Ada", id=1001)
        people.bench_user, people.bench_chat = ada, fake.private(ada)
    return fake.post(people.bench_chat, people.bench_user, text)


SLACK = Platform(
    "slack",
    _slack,
    _slack_options,
    lambda fake, text: fake.post("C1", "U1", text),
    lambda fake: [fake.api_url, fake.bot_token, fake.app_token],
    "import slack_sdk.web, slack_sdk.socket_mode.builtin",
)
TELEGRAM = Platform(
    "telegram",
    FakeTelegram,
    lambda fake: {"token": fake.token, "base_url": fake.base_url, "allow": {"users": ["1001"]}},
    _telegram_post,
    lambda fake: [fake.base_url, fake.token],
    "import telegram, telegram.request",
)


def _configure(platform: Platform, fake: Any, home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    entry = {"name": NAME, "type": platform.type, **platform.options(fake)}
    (home / "connectors.yml").write_text(json.dumps({"connectors": [entry]}))


@contextmanager
def _connector(platform: Platform, fake: Any, home: Path) -> Iterator[int]:
    """The connector in a process, connected; gives its pid."""
    _configure(platform, fake, home)
    status = home / "state" / NAME / "status.json"
    status.unlink(missing_ok=True)
    command = [sys.executable, "-m", f"connectors.{platform.type}.connector", "--seed-home", str(home), "--name", NAME]
    with running(command, log=home / "log") as pid:
        wait_until(lambda: _state(status) == ("connected", pid), 30, f"{platform.type} connected")
        yield pid


def _state(status: Path) -> tuple[str, int]:
    try:
        data = json.loads(status.read_bytes())
    except (OSError, ValueError):
        return "", 0
    return data.get("state"), data.get("pid")


def incoming(platform: Platform, bench: Bench) -> Result:
    """From the post on the platform to the file in the inbox, and to a plain receiver of the same SDK."""
    ours: list[float] = []
    plain: list[float] = []
    posts = bench.sizes.drops
    with bench.scratch(f"{platform.type}-in") as folder:
        with platform.fake() as fake, _connector(platform, fake, folder):
            inbox = folder / "messages/inbox"
            for number in range(posts):
                threading.Event().wait(PAUSE_S)
                begun = time.monotonic()
                platform.post(fake, f"post {number}")
                wait_until(partial(_any, inbox), 30, "the event")
                ours.append((time.monotonic() - begun) * 1e3)
                for path in inbox.iterdir():
                    path.unlink()
        with platform.fake() as fake, ear() as heard:
            receiver = bench_command(f"{platform.type}_receiver", *platform.credentials(fake))
            with running(receiver, ear_address=heard.address, log=folder / "log"):
                heard.wait_for("connected")
                for number in range(posts):
                    threading.Event().wait(PAUSE_S)
                    begun = time.monotonic()
                    platform.post(fake, f"post {number}")
                    plain.append((heard.wait_for("received")[0].at_s - begun) * 1e3)
    over = median(ours) - median(plain)
    return result(
        f"{platform.type}-in", f"post on {platform.type} → file in the inbox, over a plain receiver", "ms", ours=over,
        peer=median(plain), peer_name="the SDK alone, from the post to its callback", goal=("<=", 10.0),
        whole=median(ours), whole_p99=percentile(ours, 99), plain_p99=percentile(plain, 99), posts=posts,
    )  # fmt: skip


def _any(folder: Path) -> bool:
    return bool(os.listdir(folder))


def killed(platform: Platform, bench: Bench) -> Result:
    """Events that are lost, or there twice, when the connector is killed a second after each start."""
    count, kills = bench.sizes.burst, 0
    with bench.scratch(f"{platform.type}-kill") as folder, platform.fake() as fake:
        inbox = folder / "messages/inbox"
        inbox.mkdir(parents=True)
        poster = threading.Thread(target=lambda: [platform.post(fake, f"post {n}") for n in range(count)])
        begun = time.monotonic()
        started = False
        while len(os.listdir(inbox)) < count and time.monotonic() - begun < 600:
            with _connector(platform, fake, folder) as pid:
                if not started:
                    poster.start()
                    started = True
                end = time.monotonic() + 1.0
                _until(end, inbox, count)
                if len(os.listdir(inbox)) < count:
                    os.kill(pid, 9)
                    kills += 1
        took = time.monotonic() - begun
        poster.join()
        texts = Counter(json.loads(path.read_bytes())["content"]["text"] for path in inbox.iterdir())
        lost = sum(1 for number in range(count) if not texts[f"post {number}"])
        twice = sum(number - 1 for number in texts.values())
    return result(
        f"{platform.type}-kill", f"{count} events, a SIGKILL every second: lost or twice", "events",
        ours=float(lost + twice), goal=("<=", 0.0), lost=lost, twice=twice, kills=kills, seconds=took,
    )  # fmt: skip


def _until(end: float, inbox: Path, count: int) -> None:
    """Until that time, or until there are so many events."""
    never = threading.Event()
    while time.monotonic() < end and len(os.listdir(inbox)) < count:
        never.wait(0.02)


def memory(platform: Platform, bench: Bench) -> Result:
    """The connector, idle under its manager, against a process that has imported the same SDK and waits."""
    with bench.scratch(f"{platform.type}-memory") as folder, platform.fake() as fake:
        _configure(platform, fake, folder)
        status = folder / "state" / NAME / "status.json"
        with running(connectors_command("run", "--seed-home", str(folder)), log=folder / "log") as manager:
            wait_until(lambda: _state(status)[0] == "connected", 30, f"{platform.type} connected")
            threading.Event().wait(bench.sizes.settle_s)
            ours = pss_mb(_state(status)[1])
            of_manager = pss_mb(manager)
        bare = subprocess.Popen(
            [sys.executable, "-c", f"{platform.sdk}\nprint(flush=True)\ninput()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
        )  # fmt: skip
        try:
            assert bare.stdout is not None  # noqa: S101 - a PIPE was asked for
            bare.stdout.readline()
            peer = pss_mb(bare.pid)
        finally:
            bare.kill()
            bare.communicate()
    return result(
        f"{platform.type}-memory", f"memory of an idle {platform.type} connector over a process that imports its SDK",
        "MB", ours=ours - peer, peer=peer, peer_name="python that imported the SDK", goal=("<=", 12.0), whole=ours,
        of_manager=of_manager,
    )  # fmt: skip


def idle_cpu(platform: Platform, bench: Bench) -> Result:
    """CPU time of a connector to which nothing happens."""
    sizes = bench.sizes
    with (
        bench.scratch(f"{platform.type}-idle") as folder,
        platform.fake() as fake,
        _connector(platform, fake, folder) as pid,
    ):
        threading.Event().wait(sizes.settle_s)
        before, begun = cpu_s([pid]), time.monotonic()
        threading.Event().wait(sizes.idle_s)
        used = 100 * (cpu_s([pid]) - before) / (time.monotonic() - begun)
    return result(
        f"{platform.type}-idle", f"an idle {platform.type} connector: CPU over {sizes.idle_s:g} s", "% of a core",
        ours=used, goal=("<=", 0.1),
    )  # fmt: skip


ROWS: dict[str, Callable[[Bench], Result]] = {
    f"{platform.type}-{word}": partial(measure, platform)
    for platform in (SLACK, TELEGRAM)
    for word, measure in (("in", incoming), ("kill", killed), ("memory", memory), ("idle", idle_cpu))
}
