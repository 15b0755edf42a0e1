"""connectors.yml, .env, secrets, git."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from connectors.base.checks.finding import Finding, Level, Look, shell
from connectors.base.errors import ConfigError
from connectors.base.home import FORMAT, Home
from connectors.base.needs import Need, Needs

#: What must never be committed.
_PRIVATE = (".env", "state", "logs", "messages/inbox", "messages/sent", "messages/failed")


def configuration(look: Look) -> Iterator[Finding]:
    """Every problem that `connectors validate` finds: variables that are not set, secrets in the file, and so on."""
    file = look.home.config_file
    if not file.exists():
        fix = shell("connectors", "init", "--seed-home", look.home.root)
        yield Finding(Level.ERROR, "configuration", "there is no connectors.yml", str(file), fix)
        return
    needs = _needs(look.home)
    for problem in look.config.problems:
        level = Level.ERROR if problem.severity == "error" else Level.WARNING
        place = file.with_name(problem.file)
        where = f"{place}:{problem.line}" if problem.line else str(place)
        who = f"{problem.instance}: " if problem.instance else ""
        if (need := needs.get(problem.variable or "")) is not None:
            fix = f"put it into {look.home.env_file}" + (f": {need.help}" if need.help else "")
            yield Finding(level, "variables", f"{who}✗ {need}", where, fix)
            continue
        suggestion = f'write "{problem.suggestion}"' if problem.suggestion else f"edit {place.name}"
        yield Finding(level, "configuration", f"{who}{problem.text}", where, suggestion)
    if look.config.usable and not any(entry.enabled for entry in look.config.entries) and not look.config.errors:
        yield Finding(Level.INFO, "configuration", "no connector is enabled", str(file), "connectors add TYPE")


def _needs(home: Home) -> dict[str, Need]:
    """The variables of which the connectors' classes say what they are."""
    try:
        return {need.variable: need for need in Needs(home).of_home() if need.description}
    except ConfigError:
        return {}  # the file cannot be read, which is a problem of its own


def version(look: Look) -> Iterator[Finding]:
    """The number of the folder's format."""
    file = look.home.state / "format"
    try:
        found = int(file.read_text().strip() or "0")
    except FileNotFoundError:
        found = 0
    except ValueError:
        found = 0
        fix = f"echo {FORMAT} > {shell(file)}"
        yield Finding(
            Level.WARNING, "configuration", "the number of the folder's format cannot be read", str(file), fix
        )
    if found > FORMAT:
        what = f"the folder was written in format {found}; this program knows up to {FORMAT}"
        yield Finding(Level.ERROR, "configuration", what, str(file), "pip install --upgrade mailbox-connectors")


def git(look: Look) -> Iterator[Finding]:
    """Secrets and mail in a repository."""
    root = look.home.root
    if shutil.which("git") is None or _git(root, "rev-parse", "--is-inside-work-tree") is None:
        return
    tracked = (_git(root, "ls-files", "--", *_PRIVATE) or "").splitlines()
    secret = [name for name in tracked if Path(name).name == ".env"]
    if secret:
        fix = shell("git", "-C", root, "rm", "--cached", *secret) + ", commit, and renew every secret that is in it"
        yield Finding(Level.ERROR, "secrets", ".env is in git", str(look.home.env_file), fix)
    others = sorted({name.partition("/")[0] for name in tracked if name not in secret})
    if others:
        fix = shell("git", "-C", root, "rm", "-r", "--cached", *others)
        yield Finding(Level.WARNING, "secrets", "mail or private state is in git", ", ".join(others), fix)
    if not secret and look.home.env_file.exists() and _git(root, "check-ignore", ".env") is None:
        fix = f"echo .env >> {shell(root / '.gitignore')}"
        yield Finding(Level.WARNING, "secrets", "git does not ignore .env", str(look.home.env_file), fix)


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; None when it fails."""
    try:
        done = subprocess.run(
            # Without locks: the doctor changes nothing, not even git's index.
            ["git", "--no-optional-locks", "-C", root, *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


CHECKS = (configuration, version, git)
