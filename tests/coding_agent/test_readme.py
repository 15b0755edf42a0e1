"""What the README tells to put into each tool works as it stands: the tool's side of it is played, the rest is real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from connectors.base.home import Home
from connectors.base.message import Message
from connectors.coding_agent.connector import CodingAgentConnector
from connectors.testing import RunningConnector, wait_for
from tests.docs.blocks import ROOT, blocks
from tests.helpers import requires
from tests.webhook.live import free_port

README = ROOT / "connectors" / "coding_agent" / "README.md"
FILES = {block.directive[1]: block.text for block in blocks(README) if block.says("file")}
TYPES = {"claude": "claude-code", "codex": "codex", "opencode": "opencode", "pi": "pi"}


class Machine:
    """A home with these instances, of which one runs, and a shell as the tools have it."""

    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        self.port = free_port()
        entries = [{"name": name, "type": kind, "port": self.port} for name, kind in TYPES.items()]
        self.home.config_file.write_text(json.dumps({"connectors": entries}))
        self.home.env_file.write_text("".join(f"{name.upper()}_WEBHOOK_SECRET=a {name} secret\n" for name in TYPES))
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        self.environ = {**os.environ, "PATH": path}

    def run(self, name: str) -> RunningConnector:
        place = f"connectors.coding_agent.connector:{TYPES[name].title().replace('-', '')}Connector"
        return RunningConnector(place, self.home.root, name)

    def text(self, name: str) -> str:
        return FILES[name].replace("/home/me/agent", str(self.home.root))

    def shell(self, command: str | list[str], said: Any = None) -> None:
        text = "" if said is None else json.dumps(said)
        done = subprocess.run(
            command,
            shell=isinstance(command, str),
            input=text,
            env=self.environ,
            cwd=self.home.root.parent,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=True,
        )
        assert (done.stdout, done.stderr) == ("", "")

    def node(self, file: str, program: str) -> None:
        """Run a program of the tool's that imports the README's file as `it`."""
        script = self.home.root / f"{file.partition('.')[0]}.mjs"
        script.write_text(self.text(file))
        self.shell([requires("node"), "--input-type=module", "-e", f'import * as it from "{script}"\n{program}'])

    @property
    def phases(self) -> list[str]:
        events = [Message.from_file(path) for path in sorted(self.home.inbox.glob("*.json"))]
        return [event.event.payload["lifecycle"]["phase"] for event in events if event.event is not None]


@pytest.fixture
def machine(home: Path) -> Machine:
    return Machine(home)


@pytest.mark.parametrize(
    ("name", "file", "phases"),
    [
        ("claude", "settings.json", {"SessionStart": "started", "Stop": "active", "SessionEnd": "completed"}),
        ("codex", "hooks.json", {"SessionStart": "started", "Stop": "active"}),
    ],
)
def test_the_settings_of_a_tool_tell_of_its_session(
    machine: Machine, name: str, file: str, phases: dict[str, str]
) -> None:
    """Weakness: a hook that was shipped posted to a port on which nobody listened."""
    hooks = json.loads(machine.text(file))["hooks"]
    assert list(hooks) == list(phases)
    with machine.run(name) as running:
        running.connected()
        for event, groups in hooks.items():
            for group in groups:
                for hook in group["hooks"]:
                    machine.shell(hook["command"], {"session_id": "s1", "cwd": "/w", "hook_event_name": event})
        assert machine.phases == list(phases.values())


def test_codex_s_notify_tells_of_a_turn(machine: Machine) -> None:
    command = tomllib.loads(machine.text("config.toml"))["notify"]
    said = {"type": "agent-turn-complete", "thread-id": "t1", "last-assistant-message": "Done."}
    with machine.run("codex") as running:
        running.connected()
        machine.shell([*command, json.dumps(said)])
        assert machine.phases == ["active"]


def test_the_plugin_of_opencode_tells_of_its_session(machine: Machine) -> None:
    program = """
    const { event } = await it.Mailbox({ directory: "/w" })
    for (const type of ["session.created", "file.edited", "session.deleted"])
        await event({ event: { type, properties: { info: { id: "s1" } } } })
    await event({ event: { type: "session.idle", properties: { sessionID: "s1" } } })
    """
    with machine.run("opencode") as running:
        running.connected()
        machine.node("mailbox.js", program)
        wait_for(lambda: sorted(machine.phases) == ["active", "completed", "started"])


def test_the_extension_of_pi_tells_of_its_session(machine: Machine) -> None:
    program = """
    import { promisify } from "node:util"
    import { execFile } from "node:child_process"
    const handlers = {}
    it.default({ on: (name, handler) => (handlers[name] = handler), exec: promisify(execFile) })
    const ctx = { cwd: "/w", sessionManager: { getSessionId: () => "s1" } }
    for (const name of ["session_start", "agent_end", "session_shutdown"]) await handlers[name]({}, ctx)
    """
    with machine.run("pi") as running:
        running.connected()
        machine.node("mailbox.ts", program)
        assert machine.phases == ["started", "active", "completed"]


def test_a_tool_goes_on_where_nothing_is_installed(machine: Machine) -> None:
    machine.environ["PATH"] = os.path.dirname(requires("node"))
    machine.node(
        "mailbox.js",
        """
    const { event } = await it.Mailbox({ directory: "/w" })
    await event({ event: { type: "session.idle", properties: { sessionID: "s1" } } })
    """,
    )


def test_every_option_is_in_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in CodingAgentConnector.Options.model_fields if f"`{name}`" not in text] == []
