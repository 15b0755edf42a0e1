"""Programs that a connector runs, out of nixpkgs: its process is wrapped in `nix-shell -p PACKAGE …`.

    connectors:
      - name: videos
        type: ./videos.py
        nix: [ffmpeg]          # besides what the class declares; an empty list: whatever is on PATH will do

The wrapped process is the same one, seen from the manager: `nix-shell` replaces it, and is replaced by the connector.
(https://nix.dev/manual/nix/2.28/command-ref/nix-shell: `-p` takes Nix expressions, so that only names are let through.)
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
from collections.abc import Mapping, Sequence

from connectors.base.errors import ConfigError, MissingDependency
from connectors.base.registration import Tool, declared

PROGRAM = "nix-shell"
WHERE = "https://nixos.org/download"
#: An attribute path of nixpkgs: ffmpeg, python3Packages.numpy. Nothing else is a Nix expression that we hand on.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*){0,3}", re.ASCII)
_MOST_CHARS = 100


def check_packages(names: object) -> tuple[str, ...]:
    """The names, if they can be packages. Raises ConfigError."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ConfigError("must be a list of packages, as in [ffmpeg, imagemagick]")
    for name in names:
        if not isinstance(name, str) or len(name) > _MOST_CHARS or not _NAME.fullmatch(name):
            shown = repr(name)[:60]
            raise ConfigError(
                f"{shown} cannot be a package: write its attribute in nixpkgs, as in python3Packages.numpy"
            )
    return tuple(dict.fromkeys(names))


def declared_packages(cls: type) -> tuple[str, ...]:
    """What a class always wants. Raises ConfigError."""
    try:
        return check_packages(getattr(cls, "nix", None) or ())
    except ConfigError as error:
        raise ConfigError(f"{cls.__name__}.nix: {error}", hint="correct the class") from error


def tools_of(cls: type) -> tuple[Tool, ...]:
    """The programs that a class declares. Raises ConfigError."""
    tools = declared(cls, "tools", Tool, "command")
    for tool in tools:
        if tool.nix is not None:
            try:
                check_packages([tool.nix])
            except ConfigError as error:
                raise ConfigError(f"{cls.__name__}.tools: {error}", hint="correct the class") from error
    return tools


def packages(cls: type, given: Sequence[str] | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What the process of this class is to be wrapped in; nothing: it runs as it is. `given`: the entry's `nix:`.

    Raises MissingDependency for a program that is nowhere, and for packages where there is no nix-shell.
    """
    path = environ.get("PATH")
    absent = [tool for tool in tools_of(cls) if shutil.which(tool.command, path=path) is None]
    if given is not None and not given:
        wanted: tuple[str, ...] = ()
    else:
        found = [tool.nix for tool in absent if tool.nix and tool.required]
        wanted = tuple(dict.fromkeys((*(given or ()), *declared_packages(cls), *found)))
    nowhere = [tool for tool in absent if tool.required and tool.nix not in wanted]
    if nowhere:
        raise MissingDependency(f"it runs {nowhere[0].command}, which is not installed", install=how_to_get(nowhere[0]))
    if wanted and shutil.which(PROGRAM, path=path) is None:
        what = f"it needs {', '.join(wanted)} from nix, and {PROGRAM} is not installed"
        how = f'install nix ({WHERE}), or put the programs on PATH and write "nix: []"'
        raise MissingDependency(what, install=how)
    return wanted


def how_to_get(tool: Tool) -> str:
    """What to do for a program that is not there."""
    ways = [way for way in (tool.help_command, tool.help_url) if way]
    return ", ".join(ways) or f"install {tool.command}, so that it is on PATH"


def command(wanted: Sequence[str], run: Sequence[str]) -> list[str]:
    """`run` with these packages on PATH. `exec`: no shell stands between the manager's signals and it."""
    return [PROGRAM, "-p", *wanted, "--run", f"exec {shlex.join(run)}"]


def guard(lifeline_fd: int) -> int:
    """A process that ends this group with the manager, until `dismiss` is called with what is returned.

    nix-shell may have to fetch for minutes, and knows of no lifeline.
    """
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if os.fork() == 0:  # nobody's child, so that nobody has to bury it
                _watch(lifeline_fd, read_fd)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(read_fd)
    os.set_inheritable(write_fd, True)
    return write_fd


def dismiss(guard_fd: int) -> None:
    """The connector holds the lifeline itself now."""
    os.write(guard_fd, b".")
    os.close(guard_fd)


def _watch(lifeline_fd: int, dismissed_fd: int) -> None:
    low = 3
    for fd in sorted((lifeline_fd, dismissed_fd)):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, max(os.sysconf("SC_OPEN_MAX"), 1 << 16))
    if lifeline_fd in select.select([lifeline_fd, dismissed_fd], [], [])[0]:
        os.killpg(0, signal.SIGKILL)
