"""Service definitions: a systemd unit and a launchd property list that run the manager of one home. Pure texts.

Directives as in systemd.service(5), systemd.exec(5) and launchd.plist(5).
"""

from __future__ import annotations

import plistlib
from dataclasses import dataclass
from pathlib import Path

from connectors.base.errors import Exit

#: The manager stops within 10 s; the rest is for a machine that is busy shutting down.
_STOP_S = 20
_SYSTEMD_HARDENING = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""
#: What needs a mount namespace: a user's own systemd has none on machines that forbid user namespaces.
_SYSTEMD_SYSTEM = """\
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={paths}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
CapabilityBoundingSet=
AmbientCapabilities=
"""


@dataclass(frozen=True)
class Service:
    """What is to run. `user` is whom a system service runs as; empty for a user's own service."""

    name: str
    home: Path
    program: tuple[str, ...]
    user: str = ""
    group: str | None = None  #: `group:` of connectors.yml

    @property
    def command(self) -> list[str]:
        return [*self.program, "run", "--seed-home", str(self.home)]


def systemd_unit(service: Service) -> str:
    """A unit for `systemctl` (with a user) or `systemctl --user` (without)."""
    lines = [
        "# Made by `connectors service`.",
        "[Unit]",
        f"Description=Mailbox connectors of {_verbatim(service.home)}",
        "Wants=network-online.target",
        "After=network-online.target",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        f"ExecStart={' '.join(map(_argument, service.command))}",
        "ExecReload=/bin/kill -HUP $MAINPID",
        f"WorkingDirectory={_verbatim(service.home)}",
        "StandardInput=null",
        "WatchdogSec=60",
        "Restart=on-failure",
        "RestartSec=5",
        f"RestartPreventExitStatus={Exit.CONFIG:d}",
        "KillMode=mixed",
        f"TimeoutStopSec={_STOP_S}",
        "UMask=0077",
    ]
    if service.user:
        lines.append(f"User={service.user}")
    text = "\n".join(lines) + "\n" + _SYSTEMD_HARDENING
    if service.group is None:
        text += "RestrictSUIDSGID=yes\n"  # with a group, folders are setgid on purpose
    if service.user:
        text += _SYSTEMD_SYSTEM.format(paths=f"{_quoted(str(service.home))} -/run/lock")
    target = "multi-user.target" if service.user else "default.target"
    return f"{text}\n[Install]\nWantedBy={target}\n"


def launchd_plist(service: Service) -> str:
    """A property list for `launchctl bootstrap`."""
    data = {
        "Label": service.name,
        "ProgramArguments": service.command,
        "WorkingDirectory": str(service.home),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 30,
        "ExitTimeOut": _STOP_S,
        "ProcessType": "Background",
        "Umask": 0o077,
        "StandardErrorPath": str(service.home / "logs" / "launchd.log"),
    }
    if service.user:
        data["UserName"] = service.user
    return plistlib.dumps(data).decode()


def _argument(text: str) -> str:
    """For ExecStart=: `$` begins a variable there."""
    return _quoted(text.replace("$", "$$"))


def _quoted(text: str) -> str:
    """systemd.syntax(7): quotes and C-style escapes; `%` begins a specifier."""
    text = text.replace("%", "%%")
    if text and all(c.isalnum() or c in "/._-+:@,=%$" for c in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _verbatim(path: Path) -> str:
    """For settings that take the rest of the line."""
    return str(path).replace("%", "%%")
