"""`connectors status`."""

from __future__ import annotations

import typer

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
    person. In a pipe: name, type, state, since, pid, last received, last sent, waiting.
    """
    found = overview(home_of(seed_home))
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)
    raise typer.Exit(0 if found.well else 1)


def _print(found: Overview) -> None:
    manager = found.manager
    if manager["running"]:
        say(f"manager: running (pid {manager['pid']}, for {age(manager['started_at'])})")
    else:
        say("manager: not running")
    mail = found.mail
    say(f"mail: {mail['inbox']} in the inbox, {mail['claimed']} claimed, {count(mail['failed'], 'dead letter')}")
    if found.instances:
        say()
        table(
            ("NAME", "TYPE", "STATE", "SINCE", "PID", "RECEIVED", "SENT", "WAITING"),
            [_row(instance) for instance in found.instances],
            [_STYLES.get(instance.state, "") for instance in found.instances],
        )
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
