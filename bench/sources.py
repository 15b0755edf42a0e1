"""The rows about what is fetched and what is posted to us: sources and webhooks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from bench.listening import bench_command, environment, running
from bench.mail import RAW, TEXT, Raw
from bench.measure import Bench, Result, median, percentile, rate, ratio, result, take_turns, wait_until
from connectors.parts.polling import Event, PollResult, SourceConnector

NAME = "bench"
_SECRET = "a secret of the benchmark"  # noqa: S105 - of nothing
_CLIENTS = 16


class StreamSource(SourceConnector):
    """Has `count` new events at each poll, of a common size, one by one."""

    connector_type = "stream"
    kinds = ("record",)
    count = 0

    def poll(self, checkpoint: Any) -> PollResult:
        """The next `count`."""
        first = checkpoint or 0

        def events() -> Iterator[Event]:
            for number in range(first, first + self.count):
                yield Event(f"r{number}", f"{number}: {TEXT}", platform_event="record")

        return PollResult(events(), checkpoint=first + self.count)


def poll(bench: Bench) -> Result:
    """A poll that brings many new events, against writing as many files durably."""
    count = bench.sizes.burst
    with bench.scratch("poll") as folder:
        source = StreamSource(NAME, folder / "home")
        source.count = count
        try:
            source.sync()  # what is made once is made; and it shows the size of a file
            size = next(source.inbox.iterdir()).stat().st_size
            floor = Raw(folder, size)
            creation_us = floor.calm()
            rates = take_turns(
                min(bench.sizes.rounds, 3),
                ours=lambda _: rate(count, source.sync),
                raw=lambda _: rate(bench.sizes.writes, lambda: floor.write(bench.sizes.writes)),
            )
        finally:
            source.close()
    return result(
        "poll", f"a poll of {count} new events", "events/s", ours=median(rates["ours"]), peer=median(rates["raw"]),
        peer_name=RAW, figure=ratio(rates["ours"], rates["raw"]), figure_unit="of raw", goal=(">=", 1.5), rounds=rates,
        creation_us=creation_us,
    )  # fmt: skip


def poll_memory(bench: Bench) -> Result:
    """What a poll of many events takes at most, over one of a tenth of them: nothing, when it is streamed."""
    count = bench.sizes.burst
    with bench.scratch("poll-memory") as folder:
        few, many = (_peak_mb(folder / str(n), n) for n in (max(1, count // 10), count))
    return result(
        "poll-memory", f"peak memory of a poll of {count} events over one of {max(1, count // 10)}", "MB",
        ours=max(0.0, many - few), peer=few, peer_name="the smaller poll's peak", goal=("<=", 5.0), whole=many,
    )  # fmt: skip


def _peak_mb(home: Path, count: int) -> float:
    command = bench_command("poll_once", str(home), str(count))
    done = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True, timeout=300)
    return float(done.stdout)


def poll_once(home: str, count: str) -> None:
    """In a process of its own: poll once, and print the peak of its memory in MB."""
    source = StreamSource(NAME, home)
    source.count = int(count)
    source.sync()
    source.close()
    # proc_pid_status(5). Not getrusage(2): its maximum is handed down through fork and exec.
    words = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()
    sys.stdout.write(f"{int(words[0]) / 1024}\n")


# ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────────


def webhook(bench: Bench) -> Result:
    """Signed deliveries that are durable when they are answered, a second, by clients that keep their connection."""
    found = _load(bench)
    latencies_ms = [1e3 * value for value in found["latencies_s"]]
    return result(
        "webhook", f"signed durable webhook deliveries, {_CLIENTS} keep-alive clients on the same cores",
        "deliveries/s", ours=len(latencies_ms) / found["seconds"], goal=(">=", 1000.0), refused=found["refused"],
        median_ms=median(latencies_ms),
    )  # fmt: skip


def webhook_p99(bench: Bench) -> Result:
    """How long they took, in the same run."""
    latencies_ms = [1e3 * value for value in _load(bench)["latencies_s"]]
    return result(
        "webhook-p99", "post → 2xx, p99 of the same run", "ms", ours=percentile(latencies_ms, 99), goal=("<=", 50.0)
    )


def webhook_kill(bench: Bench) -> Result:
    """Deliveries that were answered by 2xx and are not there, or twice, with a SIGKILL every second."""
    count, kills = bench.sizes.burst, 0
    with bench.scratch("webhook-kill") as folder:
        inbox = folder / "messages/inbox"
        port = _configure(folder)
        with _connector(folder):
            clients = _post(folder, port, enough=count, seconds=600)
        begun = time.monotonic()
        while clients.poll() is None and time.monotonic() - begun < 600:
            with _connector(folder) as pid:
                end = time.monotonic() + 1.0
                wait_until(lambda end=end: clients.poll() is not None or time.monotonic() > end, 5, "a second")  # type: ignore[misc]  # bound now
                if clients.poll() is None:
                    os.kill(pid, 9)
                    kills += 1
        found = json.loads((folder / "posted").read_text())
        texts = Counter(json.loads(path.read_bytes())["content"]["text"] for path in inbox.iterdir())
        lost = sum(1 for name in found["acked"] if not texts[name])
        twice = sum(number - 1 for number in texts.values())
    return result(
        "webhook-kill", f"{len(found['acked'])} deliveries, a SIGKILL every second: answered and lost, or twice",
        "deliveries", ours=float(lost + twice), goal=("<=", 0.0), lost=lost, twice=twice, kills=kills,
        seconds=found["seconds"],
    )  # fmt: skip


@cache
def _load(bench: Bench) -> dict[str, Any]:
    with bench.scratch("webhook") as folder:
        port = _configure(folder)
        with _connector(folder):
            clients = _post(folder, port, enough=2 * bench.sizes.burst, seconds=30)
            clients.wait(60)
        found: dict[str, Any] = json.loads((folder / "posted").read_text())
    return found


def _configure(home: Path) -> int:
    """A home with the connector on a port that nobody has just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    entry = {"name": NAME, "type": "webhook", "port": port, "secret": _SECRET, "scheme": "github"}
    (home / "connectors.yml").write_text(json.dumps({"connectors": [entry]}))
    return port


@contextmanager
def _connector(home: Path) -> Iterator[int]:
    """The connector in a process, connected; gives its pid."""
    status = home / "state" / NAME / "status.json"
    status.unlink(missing_ok=True)
    command = [sys.executable, "-m", "connectors.webhook.connector", "--seed-home", str(home), "--name", NAME]
    with running(command, log=home / "log") as pid:
        wait_until(partial(_is_connected, status), 30, "the webhook listens")
        yield pid


def _is_connected(status: Path) -> bool:
    try:
        return bool(json.loads(status.read_bytes()).get("state") == "connected")
    except (OSError, ValueError):
        return False


def _post(home: Path, port: int, *, enough: int, seconds: float) -> subprocess.Popen[bytes]:
    words = [str(port), f"/webhook/{NAME}", _SECRET, str(_CLIENTS), str(enough), str(seconds), str(home / "posted")]
    return subprocess.Popen([sys.executable, "-m", "bench.posting", *words], env=environment())


ROWS: dict[str, Callable[[Bench], Result]] = {
    "poll": poll,
    "poll-memory": poll_memory,
    "webhook": webhook,
    "webhook-p99": webhook_p99,
    "webhook-kill": webhook_kill,
}
