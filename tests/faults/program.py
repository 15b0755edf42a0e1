"""The connector that the fault tests kill: its platform is a folder of append-only files, so that a test can count.

    offered   the ids of the events that the platform has, one a line
    acked     the ids that were acknowledged; what is not here is delivered again at the next connect
    sends     what was sent, one text a line; a line is one write(2), so that a killed process leaves it whole or not

`python -m tests.faults.program JSON` runs one; `python -m tests.faults.program` forks one for every line of JSON on
stdin and answers with its wait status, which is much faster.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from connectors.base import steps
from connectors.base.connector import Connector
from connectors.base.errors import Rejected
from connectors.base.held import give_up
from connectors.base.message import ConnectorInfo, Content, Conversation, Message, OutgoingMessage, Receipt, Sender
from connectors.base.runtime import Settings
from connectors.base.settings import DeliveryPolicy, Limits

NAME = "fake-main"


def append(path: Path, line: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(fd, line.encode() + b"\n")
    finally:
        os.close(fd)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


class FolderConnector(Connector):
    """Receives what is offered and not acknowledged; sends by appending."""

    connector_type = "folder"
    platform: Path
    pad = 0

    def connect(self) -> None:
        """Nothing to acquire."""

    def disconnect(self) -> None:
        """Nothing to release."""

    def split(self, msg: OutgoingMessage) -> list[str]:
        return msg.text.split("|")

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        if msg.text.startswith("reject"):
            raise Rejected("the platform does not want it", hint="write something else")
        append(self.platform / "sends", msg.text)
        return Receipt(ids=[f"id-{msg.text}"])

    def receive(self) -> None:
        """Every event that was not acknowledged. Those called `held…` are held and released, as one with files is;
        those called `batch…` come all at once."""
        runtime = self._open_runtime()
        give_up(runtime.intake, all_of_it=True)
        acked = set(lines(self.platform / "acked"))
        new = [name for name in lines(self.platform / "offered") if name not in acked]
        batch = [name for name in new if name.startswith("batch")]
        if batch:
            self.write_all_to_inbox([self.event(name) for name in batch], ("main", {"after": batch[-1]}))
            for name in batch:
                append(self.platform / "acked", name)
        for name in new:
            if name in batch:
                continue
            message = self.event(name)
            if name.startswith("held"):
                fresh = runtime.intake.hold(message)
                append(self.platform / "acked", name)
                if fresh:
                    runtime.intake.release(message)
            else:
                self.write_all_to_inbox([message], ("main", {"after": name}))
                append(self.platform / "acked", name)

    def event(self, name: str) -> Message:
        return Message(
            id=name,
            connector=ConnectorInfo(type=self.connector_type, instance=self.name),
            sender=Sender(id="U1"),
            content=Content(text=f"text of {name}" + "." * self.pad),
            conversation=Conversation(id="C1"),
        )

    def run_loop(self) -> None:
        while self._running:
            self.receive()
            self.wait(0.02)


def make(scenario: dict[str, Any]) -> FolderConnector:
    connector = FolderConnector(scenario.get("name", NAME), scenario["home"])
    connector.platform = Path(scenario["platform"])
    connector.pad = scenario.get("pad", 0)
    policy = DeliveryPolicy(
        quiet_s=scenario.get("quiet_s", 0.0),
        initial_delay_s=0.01,
        max_delay_s=0.02,
        on_ambiguous=scenario.get("on_ambiguous", "resend"),
    )
    limits = Limits(min_free_bytes=scenario.get("min_free_bytes", 0))
    connector._settings = Settings(policy, limits, lock_wait_s=scenario.get("lock_wait_s", 5.0))
    connector._expanded = True
    return connector


def once(connector: FolderConnector) -> int:
    """Receive all and deliver all, in this thread, and end: what happens when is then the same in every run."""
    connector.receive()
    runtime = connector._open_runtime()
    while not connector._stop.is_set():
        connector.process_outbox()
        due = runtime.delivery.next_due_s()
        if due is None:
            break
        connector.wait(due)
    fatal = connector._fatal
    if fatal is not None:
        raise fatal
    runtime.close()
    return 0


def run(scenario: dict[str, Any]) -> int:
    """`kill`: {"step", "nth"}: SIGKILL there. `loop`: as under the manager, until SIGTERM. Else `once`."""
    kill = scenario.get("kill")
    if kill:
        left = [int(kill["nth"])]

        def listener(name: str) -> None:
            if name == kill["step"]:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        steps.listener = listener
    try:
        connector = make(scenario)
        return connector._run() if scenario.get("loop") else once(connector)
    except BaseException:  # noqa: BLE001 - the exit code says it, and the text is for who reads the failed test
        traceback.print_exc()
        return 1


def nursery() -> None:
    """Fork a child for every line; its standard error goes to the file that the scenario names."""
    for line in sys.stdin:
        scenario = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                log = os.open(scenario["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                os.dup2(log, 2)
                code = run(scenario)
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(run(json.loads(sys.argv[1])))
    nursery()
