"""Programs out of nixpkgs: the wrapped process is ended, killed and orphaned like every other one.

A real nix is not needed: a `nix-shell` of ours puts a folder before PATH and becomes what `--run` says, as it does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connectors.base import nix
from connectors.base.config import load
from connectors.base.errors import ConfigError, MissingDependency
from connectors.base.home import Home
from connectors.base.registration import Tool
from connectors.base.status import StatusFile
from tests.commands.program import connectors, done, manager
from tests.helpers import wait_for

NIX_SHELL = """\
#!/bin/sh
printf '%s\\n' "$@" > {folder}/arguments
{before}
PATH={folder}/tools:$PATH
while [ "$1" != --run ]; do shift; done
{become} sh -c "$2"
"""
FFMPEG = "#!/bin/sh\necho converted\n"
VIDEOS = """
import json, os, shutil, subprocess, sys
from connectors.base.connector import Connector

class Videos(Connector):
    connector_type = "videos"
    def connect(self):
        said = subprocess.run(["ffmpeg"], capture_output=True, text=True) if shutil.which("ffmpeg") else None
        facts = {"pid": os.getpid(), "pgid": os.getpgid(0), "ffmpeg": said and said.stdout.strip(),
                 "how": self.get_config("how", "well"), "argv": sys.orig_argv}
        self.state_dir.joinpath("facts.json").write_text(json.dumps(facts))
    def disconnect(self):
        self.state_dir.joinpath("disconnected").write_text("")
    def send_message(self, msg): return True
    def run_loop(self):
        how = self.get_config("how", "well")
        if how == "crash": raise ValueError("a bug")
        if how == "deaf":
            import signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if how == "child": self.state_dir.joinpath("child").write_text(str(subprocess.Popen(["sleep", "600"]).pid))
        while how == "deaf": __import__("threading").Event().wait(1)
        self.wait()
"""
ENTRY = "connectors:\n  - name: videos\n    type: ./videos.py\n"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Store:
    """A nix-shell of ours, and a home with a connector that wants it."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home = home
        self.folder = folder
        (folder / "tools").mkdir(parents=True)
        self._program(folder / "tools/ffmpeg", FFMPEG)
        self.has_nix()
        (home / "videos.py").write_text(VIDEOS)
        self.write("    nix: [ffmpeg, imagemagick]\n")

    def has_nix(self, before: str = "", become: str = "exec") -> None:
        (self.folder / "bin").mkdir(exist_ok=True)
        text = NIX_SHELL.format(folder=self.folder, before=before, become=become)
        self._program(self.folder / "bin/nix-shell", text)

    def write(self, text: str) -> None:
        (self.home / "connectors.yml").write_text(ENTRY + text)

    @staticmethod
    def _program(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def facts(self) -> dict[str, Any]:
        path = self.home / "state/videos/facts.json"
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError):
            return {}
        return found

    def status(self) -> dict[str, Any]:
        return StatusFile(Home(self.home), "videos").read()

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        with manager(self.home) as process:
            wait_for(lambda: self.status().get("state") == "connected", deadline_s=30, what="it is connected")
            yield process


@pytest.fixture
def store(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    found = Store(home, tmp_path / "nix")
    monkeypatch.setenv("PATH", f"{found.folder}/bin:/usr/bin:/bin")
    return found


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["ffmpeg", "SDL2", "_7zz", "gtk4-layer-shell", "python3Packages.numpy", "a.b.c.d"])
def test_an_attribute_of_nixpkgs_is_a_package(name: str) -> None:
    assert nix.check_packages([name]) == (name,)


ODD: list[Any] = [
    7,
    None,
    ["a"],
    "",
    " ",
    "a b",
    "a..b",
    ".a",
    "a.",
    "1a",
    "a.b.c.d.e",
    "a" * 101,
    "ffmpeg\n",
    "ffmpég",
]


@pytest.mark.parametrize(
    "name", [*ODD, "ffmpeg;id", "$(id)", "(import ./x.nix)", "-p", "--run", "../x", "'x'", "<nixpkgs>"]
)
def test_whatever_else_could_be_a_nix_expression_is_refused(name: object) -> None:
    with pytest.raises(ConfigError, match="cannot be a package"):
        nix.check_packages([name])


def test_validate_refuses_odd_names_with_their_line(store: Store) -> None:
    store.write("    nix:\n      - ffmpeg\n      - $$(id)\n")
    result = connectors("validate", home=store.home)
    assert result.returncode == 78
    assert result.stdout == (
        "connectors.yml:4: videos: nix: '$$(id)' cannot be a package: write its attribute in nixpkgs, "
        "as in python3Packages.numpy\n"
    )
    store.write("    nix: ffmpeg\n")
    assert [problem.text for problem in load(Home(store.home)).errors] == [
        "nix: must be a list of packages, as in [ffmpeg, imagemagick]"
    ]


# ── what is wanted ────────────────────────────────────────────────────────────────────────────────────────────


class Declares:
    nix = ("imagemagick",)
    tools: ClassVar[tuple[Tool, ...]] = (
        Tool("ffmpeg", nix="ffmpeg"),
        Tool("sox", required=False, nix="sox"),
        Tool("sh", nix="bash"),
    )


def test_declared_packages_entry_and_tools_that_are_not_on_path_come_together(store: Store) -> None:
    environ = {"PATH": os.environ["PATH"]}
    assert nix.packages(Declares, ("jq",), environ) == ("jq", "imagemagick", "ffmpeg")
    assert nix.packages(Declares, None, {"PATH": f"{store.folder}/tools:{environ['PATH']}"}) == ("imagemagick",)


def test_an_empty_list_is_for_who_has_all_programs_on_path(store: Store) -> None:
    assert nix.packages(Declares, (), {"PATH": f"{store.folder}/tools:/usr/bin:/bin"}) == ()
    with pytest.raises(MissingDependency, match="it runs ffmpeg, which is not installed"):
        nix.packages(Declares, (), {"PATH": "/usr/bin:/bin"})


def test_a_missing_program_without_a_package_says_how_to_get_it() -> None:
    class Bare:
        tools = (Tool("no-such-program", help_command="apt install it"),)

    with pytest.raises(MissingDependency, match="no-such-program, which is not installed: apt install it"):
        nix.packages(Bare, None, {"PATH": "/usr/bin:/bin"})


def test_the_command_is_nix_shells_and_nothing_stands_between(store: Store) -> None:
    assert nix.command(("a", "b"), ["python", "-c", "it's"]) == [
        "nix-shell", "-p", "a", "b", "--run", """exec python -c 'it'"'"'s'""",
    ]  # fmt: skip


# ── the process ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wrapped_connector_is_the_managers_own_process_with_the_packages_on_its_path(store: Store) -> None:
    with store.running():
        facts = store.facts()
        assert facts["ffmpeg"] == "converted"
        assert facts["pid"] == facts["pgid"] == store.status()["pid"]
        assert (store.folder / "arguments").read_text().splitlines()[:4] == ["-p", "ffmpeg", "imagemagick", "--run"]
        assert "nix-shell provides ffmpeg, imagemagick" in (store.home / "logs/videos.log").read_text()
        assert not any("token" in argument for argument in facts["argv"])
    wait_for(lambda: not alive(facts["pid"]))
    assert (store.home / "state/videos/disconnected").exists()
    assert store.status()["state"] == "stopped"


def test_its_secrets_are_in_no_command_line(store: Store) -> None:
    (store.home / ".env").write_text("VIDEO_TOKEN=t0psecret-value\n")
    (store.home / ".env").chmod(0o600)
    store.write("    nix: [ffmpeg]\n    token: ${VIDEO_TOKEN}\n")
    with store.running():
        assert "t0psecret" not in (store.folder / "arguments").read_text()
        assert "t0psecret" not in Path(f"/proc/{store.facts()['pid']}/cmdline").read_text()


def test_a_declared_package_wraps_as_one_of_the_entry_does(store: Store) -> None:
    store.write("")
    path = store.home / "videos.py"
    path.write_text(VIDEOS.replace('connector_type = "videos"', 'connector_type = "videos"\n    nix = ("ffmpeg",)'))
    with store.running():
        assert store.facts()["ffmpeg"] == "converted"


def test_without_nix_shell_it_never_starts_and_says_what_to_do(store: Store) -> None:
    (store.folder / "bin/nix-shell").unlink()
    said = "it needs ffmpeg, imagemagick from nix, and nix-shell is not installed: install nix (https://nixos.org/download)"
    result = connectors("validate", home=store.home)
    assert (result.returncode, said in result.stdout) == (78, True)
    assert result.stdout.startswith("connectors.yml:4: videos: ")
    with manager(store.home):
        wait_for(lambda: store.status().get("state") == "fatal")
    assert said in store.status()["last_error"]["text"]
    assert store.status()["exit"] == "exit 2 (dependency)"
    assert not store.facts()


def test_a_crash_has_its_exit_code_through_the_wrapper(store: Store) -> None:
    store.write("    nix: [ffmpeg]\n    how: crash\n")
    with manager(store.home):
        wait_for(lambda: store.status().get("state") == "backoff")
    assert "a bug" in store.status()["last_error"]["text"]


def test_a_package_that_does_not_exist_is_nix_shells_own_text(store: Store) -> None:
    store.has_nix(before="echo \"error: undefined variable 'ffmpegg'\" >&2; exit 1")
    with manager(store.home):
        wait_for(lambda: store.status().get("state") == "backoff")
    assert "undefined variable 'ffmpegg'" in store.status()["last_error"]["text"]


def test_what_it_started_ends_with_it(store: Store) -> None:
    store.write("    nix: [ffmpeg]\n    how: child\n")
    child = store.home / "state/videos/child"
    with store.running():
        pid = int(wait_for(lambda: child.exists() and child.read_text()))
        os.kill(store.facts()["pid"], signal.SIGKILL)
        wait_for(lambda: not alive(pid))


def test_one_that_ignores_a_stop_is_killed_within_ten_seconds(store: Store) -> None:
    store.write("    nix: [ffmpeg]\n    how: deaf\n")
    with store.running():
        pid = store.facts()["pid"]
    assert not alive(pid)


@pytest.mark.parametrize("become", ["exec", ""], ids=["nix-shell", "a-wrapper-that-stays"])
def test_no_orphan_is_left_when_the_manager_is_killed(store: Store, become: str) -> None:
    store.has_nix(become=become)
    with store.running() as process:
        pid = store.facts()["pid"]
        process.kill()
        wait_for(lambda: not alive(pid) and not alive(store.facts()["pgid"]), deadline_s=10)


def test_nothing_is_left_either_while_nix_shell_still_fetches(store: Store) -> None:
    store.has_nix(before=f"sleep 600 & echo $$ $! > {store.folder}/pids.part; mv {store.folder}/pids.part "
                  f"{store.folder}/pids; wait")  # fmt: skip
    pids = store.folder / "pids"
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "connectors", "run"], cwd=store.home, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(pids.exists, deadline_s=30)
        fetching = [int(pid) for pid in pids.read_text().split()]
        process.kill()
        process.wait()
        wait_for(lambda: not any(map(alive, fetching)), deadline_s=10)
    finally:
        process.kill()
        process.wait()


def test_a_stop_does_not_wait_for_nix_shell(store: Store) -> None:
    store.has_nix(before=f"echo $$ > {store.folder}/pid.part; mv {store.folder}/pid.part {store.folder}/pid; sleep 600")
    pid_file = store.folder / "pid"
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "connectors", "run"], cwd=store.home, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(pid_file.exists, deadline_s=30)
        pid = int(pid_file.read_text())
        done("stop", home=store.home)
        assert process.wait(20) == 0
        assert not alive(pid)
    finally:
        process.kill()
        process.wait()
