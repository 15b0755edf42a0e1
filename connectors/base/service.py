"""Installing the service: writing its definition, and telling systemd or launchd."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from connectors.base import units
from connectors.base.errors import ConfigError, ConnectorError
from connectors.base.files import write_new
from connectors.base.home import Home, check_name
from connectors.base.units import Service

Kind = Literal["systemd", "launchd"]
Run = Callable[[Sequence[str]], None]


@dataclass(frozen=True)
class Plan:
    """What is written where, and the commands that make it take effect."""

    service: Service
    kind: Kind
    path: Path
    text: str
    start: tuple[tuple[str, ...], ...]
    stop: tuple[tuple[str, ...], ...]
    system: bool


def plan(home: Home, name: str, *, kind: Kind | None, system: bool, user: str | None, group: str | None) -> Plan:
    """The service of this home. `user`: as whom a system service runs; by default whom the home belongs to."""
    kind = kind or ("launchd" if sys.platform == "darwin" else "systemd")
    if any(c in str(home.root) for c in "\n\r\0"):
        raise ConfigError("a line break in the path of the home cannot be written into a service", hint="move the home")
    owner = (user or _owner(home)) if system else ""
    service = Service(check_name(name), home.root, _program(), owner, group)
    if kind == "launchd":
        folder = Path("/Library/LaunchDaemons") if system else Path.home() / "Library/LaunchAgents"
        path, domain = folder / f"{name}.plist", "system" if system else f"gui/{os.getuid()}"
        load = (("launchctl", "bootstrap", domain, str(path)),)
        unload = (("launchctl", "bootout", f"{domain}/{name}"),)
        return Plan(service, kind, path, units.launchd_plist(service), load, unload, system)
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    path = (Path("/etc/systemd/system") if system else config / "systemd/user") / f"{name}.service"
    control = ("systemctl",) if system else ("systemctl", "--user")
    start = ((*control, "daemon-reload"), (*control, "enable", "--now", path.name))
    stop = ((*control, "disable", "--now", path.name),)
    return Plan(service, kind, path, units.systemd_unit(service), start, stop, system)


def install(plan: Plan, *, start: bool, run: Run | None = None) -> None:
    """Write the definition and start the service. ConfigError for a service of another home under the same name, and
    where neither systemd nor launchd is there.
    """
    if start:
        _require(plan.start[0][0])
    _write(plan)
    for command in plan.start if start else ():
        (run or _run)(command)


def uninstall(plan: Plan, *, run: Run | None = None) -> list[str]:
    """Stop the service and delete its definition; returns what systemd or launchd complained about.

    ConfigError where there is none, or it is another home's.
    """
    if not plan.path.exists():
        raise ConfigError(f"there is no {plan.path}", hint="connectors service install makes it; see --name, --system")
    _check_ours(plan)
    complaints = _try(plan.stop, run or _run)
    plan.path.unlink()
    return complaints + _try(plan.start[:-1], run or _run)


def _try(commands: Sequence[Sequence[str]], run: Run) -> list[str]:
    """Run all of them; what went wrong is returned. The service may never have been started."""
    complaints = []
    for command in commands:
        try:
            run(command)
        except (ConnectorError, OSError) as error:
            complaints.append(str(error))
    return complaints


def _write(plan: Plan) -> None:
    _check_ours(plan)
    try:
        plan.path.parent.mkdir(parents=True, exist_ok=True)
        plan.path.unlink(missing_ok=True)
        write_new(plan.path, plan.text.encode(), 0o644)
    except PermissionError as error:
        raise ConfigError(f"{plan.path} cannot be written", hint="a system service needs sudo") from error


def _check_ours(plan: Plan) -> None:
    """A service of the same name for another home stays as it is."""
    try:
        found = plan.path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    sign = "WorkingDirectory"
    mine = [line for line in plan.text.splitlines() if sign in line]
    if plan.kind == "launchd":
        mine = [f"<string>{plan.service.home}</string>"]
    if not any(line in found for line in mine):
        raise ConfigError(f"{plan.path} is the service of another home", hint="give this one another name: --name")


def _require(program: str) -> None:
    if shutil.which(program) is None:
        raise ConfigError(
            f"{program} is not on this machine",
            hint="connectors service print shows the definition; --no-start only writes it",
        )


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise ConnectorError(f"{' '.join(command)}: {said or f'exit code {done.returncode}'}")


def _program() -> tuple[str, ...]:
    """This very installation, whatever the PATH of the service is."""
    script = Path(sys.executable).with_name("connectors")
    # -P: a folder connectors/ in the home must not stand before the package.
    return (str(script),) if os.access(script, os.X_OK) else (sys.executable, "-P", "-m", "connectors")


def _owner(home: Home) -> str:
    uid = home.root.stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
