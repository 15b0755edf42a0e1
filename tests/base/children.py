"""What runs in the child processes of the manager's tests: each behaves as its Spec's `type` says."""

import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

from connectors.base import options
from connectors.base.connector import Connector
from connectors.base.message import OutgoingMessage
from connectors.base.options import option
from connectors.base.process import Spec


class ChildConnector(Connector):
    """What `type: tests.base.children` names in a connectors.yml; `serve` below runs in its place."""

    connector_type = "child"

    class Options(options.Options):
        print: str = option("", description="is printed, raw")
        secret: str = option("", description="from a variable that connectors.yml does not name", env="CHILD_SECRET")
        grandchild: bool = option(False, description="starts a process that ignores SIGTERM")
        orphan: bool = option(False, description="starts a process that starts another one and leaves it")
        report: str = option("", description="the event to report")
        echo_stdin: bool = option(False, description="prints what it reads")
        exit: int | None = option(None, description="ends with this code")
        exit_unless: str = option("", description="ends only while there is no such file")
        deaf: bool = option(False, description="ignores SIGTERM")

    def connect(self) -> None:
        raise NotImplementedError

    def disconnect(self) -> None:
        raise NotImplementedError

    def run_loop(self) -> None:
        raise NotImplementedError

    def send_message(self, msg: OutgoingMessage) -> bool:
        raise NotImplementedError


def serve(spec: Spec) -> int:
    """A connector process that follows the contract with the manager, and does what its options say."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)  # any thread may have got the signal
    options = spec.options
    with open(os.path.join(spec.home, f"{spec.name}.starts"), "a", encoding="utf-8") as starts:
        starts.write(f"{os.getpid()}\n")
    if options.get("print"):
        print(options["print"], flush=True)
        print(options["print"], file=sys.stderr, flush=True)
    if options.get("grandchild"):
        program = [sys.executable, "-c", "import signal,time; signal.signal(15, signal.SIG_IGN); signal.pause()"]
        grandchild = subprocess.Popen(program)
        with open(os.path.join(spec.home, f"{spec.name}.grandchild"), "w", encoding="utf-8") as file:
            file.write(str(grandchild.pid))
    if options.get("orphan"):
        # The outer shell is waited for; the inner one, in the background, gets another parent and ends.
        subprocess.run(["sh", "-c", 'setsid sh -c "read x <orphan; touch orphaned" &'], cwd=spec.home, check=True)
    if options.get("report") and spec.report_fd is not None:
        line = {"name": spec.name, "event": options["report"], "text": "told by the child"}
        os.write(spec.report_fd, json.dumps(line).encode() + b"\n")
    if options.get("echo_stdin"):
        for typed in sys.stdin:
            print(f"got {typed.strip()}", flush=True)
    spared = options.get("exit_unless") and os.path.exists(options["exit_unless"])
    if options.get("exit") is not None and not spared:
        return int(options["exit"])
    if options.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Event().wait()
    if spec.report_fd is not None:
        os.write(spec.report_fd, json.dumps({"name": spec.name, "event": "connected"}).encode() + b"\n")
    os.read(woken, 1)
    return 0


def describe(spec: Spec) -> int:
    """Write what the child sees of itself into its home, and end."""
    seen = {
        "spec": spec.to_dict(),
        "sid": os.getsid(0),
        "pid": os.getpid(),
        "pgid": os.getpgid(0),
        "umask": os.umask(0o077),
        "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
        "comm": _read("/proc/self/comm"),
        "cmdline": _read("/proc/self/cmdline"),
        "environ": _read("/proc/self/environ"),
        "sigterm": str(signal.getsignal(signal.SIGTERM)),
        "stdin": os.readlink("/proc/self/fd/0"),
        "threads": threading.active_count(),
    }
    with open(os.path.join(spec.home, "seen.json"), "w", encoding="utf-8") as file:
        json.dump(seen, file)
    return 42


def check(argument: dict[str, Any]) -> int:
    """A task: print the argument as JSON."""
    print(json.dumps(argument))
    return 0


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
