"""`connectors status`."""

from __future__ import annotations

from typing import Any

import typer

from connectors.base.errors import ConfigError
from connectors.base.home import Home
from connectors.base.overview import InstanceView, Overview, overview
from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import age, count, print_json, prose, say, table

_STYLES = {
    "connected": "green",
    "running": "green",
    "fatal": "red",
    "not running": "red",
    "backoff": "yellow",
    "backpressure": "yellow",
    "disabled": "dim",
}
#: Of one problem, on a terminal.
_MOST_LINES = 4


def status(seed_home: SeedHome = HERE, as_json: AsJson = False) -> None:
    """Reads files only, so it also works when nothing runs. Exit code 0 when all is well, 1 when something needs a
    person. In a pipe: name, type, state, since, pid, last received, last sent, waiting; then of each source, or feed:
    name, last run, next run, when its checkpoint moved, what the last run brought or why it failed.
    """
    home = home_of(seed_home)
    found, approvals = overview(home), _approvals(home)
    if as_json:
        print_json({**found.to_dict(), "approvals": approvals})
    else:
        _print(found, approvals)
    raise typer.Exit(0 if found.well else 1)


def _approvals(home: Home) -> int:
    """How many actions wait for a person; 0 where this user may not know."""
    from connectors.parts.approvals import Approvals

    folder = Approvals(home)
    try:
        return sum(folder.standing(request) == "waiting" for request in folder.requests()[0])
    except (ConfigError, OSError):
        return 0


def _print(found: Overview, approvals: int) -> None:
    manager = found.manager
    if manager["running"]:
        since = f" (pid {manager['pid']}, for {age(manager['started_at'])})" if manager["pid"] else ""
        say(f"manager: running{since}")
    else:
        say("manager: not running")
    mail = found.mail
    say(f"mail: {mail['inbox']} in the inbox, {mail['claimed']} claimed, {count(mail['failed'], 'dead letter')}")
    if approvals:
        say(f"approvals: {count(approvals, 'action')} to decide about (connectors approvals)")
    if found.instances:
        say()
        table(
            ("NAME", "TYPE", "STATE", "SINCE", "PID", "RECEIVED", "SENT", "WAITING"),
            [_row(instance) for instance in found.instances],
            [_STYLES.get(instance.state, "") for instance in found.instances],
        )
    _print_sources(found)
    _print_drops(found)
    for instance in found.instances:
        if instance.note and not instance.problem:
            say()
            prose(f"{instance.name}: ", instance.note, most_lines=_MOST_LINES)
    lines = [*found.problems]
    hints = [""] * len(lines)
    for instance in found.instances:
        if instance.problem:
            lines.append(f"{instance.name}: {instance.problem['text']}")
            hints.append(instance.problem["hint"])
    if lines:
        say()
    for line, hint in zip(lines, hints, strict=True):
        prose("! ", line, "red", most_lines=_MOST_LINES)
        if hint:
            prose("  ", hint, most_lines=_MOST_LINES)


def _print_sources(found: Overview) -> None:
    rows = [row for instance in found.instances for row in _runs(instance)]
    if rows:
        say()
        table(
            ("SOURCE", "LAST RUN", "NEXT RUN", "CHECKPOINT", "RESULT"),
            rows,
            ["red" if " failure" in row[-1].partition(":")[0] else "" for row in rows],
            one_line=True,
        )


def _runs(instance: InstanceView) -> list[tuple[str, str, str, str, str]]:
    """A row for the source, or for each of its feeds."""
    feeds = instance.source.get("feeds")
    named = {f"{instance.name}/{name}": feed for name, feed in feeds.items()} if isinstance(feeds, dict) else None
    alone = {instance.name: instance.source} if instance.source else {}
    return [_run(name, run, alive=instance.pid is not None) for name, run in (named or alone).items()]


def _run(name: str, run: dict[str, Any], *, alive: bool) -> tuple[str, str, str, str, str]:
    error, failures, last = run.get("error"), run.get("failures"), run.get("last_run") or {}
    brought = [f"{number} {what}" for what in ("new", "revised", "unchanged") if (number := last.get(what))]
    result = ", ".join(brought) or "-"
    if error:
        result = f"{count(failures, 'failure')}: {error}" if failures else f"waits: {error}"
    due = age(run.get("next_run")) if alive else "-"
    soon = due if due == "-" or due.startswith("in ") else "now"
    return name, age(run.get("last_failure") or run.get("last_success")), soon, age(run.get("checkpoint_moved")), result


def _print_drops(found: Overview) -> None:
    for instance in found.instances:
        drops = instance.drops
        if drops:
            reasons = ", ".join(f"{number} {reason}" for reason, number in drops["reasons"].items())
            say()
            prose(
                f"{instance.name}: ",
                f"{count(drops['total'], 'message')} not let in, the last one {age(drops['last'])} ago: {reasons}",
                most_lines=_MOST_LINES,
            )
            prose("  ", f"connectors explain {instance.name}")


def _row(instance: InstanceView) -> list[object]:
    return [
        instance.name,
        instance.type or "-",
        instance.state,
        age(instance.since),
        instance.pid or "-",
        age(instance.last_received),
        age(instance.last_sent),
        sum(instance.backlog.values()),
    ]
