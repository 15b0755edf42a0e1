"""The section `routes:` of connectors.yml as an entry of its own: one more process under the manager.

What stands in it is declared, and checked, by that process's class, like the options of every connector. Here is what
only the file as a whole can say: whether the instances that it names are there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from connectors.base.problems import did_you_mean, nearest
from connectors.base.reading import Reading
from connectors.base.settings import DeliveryPolicy, Entry, Limits

#: The instance's name, and its type: the service of that name.
NAME = "routes"


def entry_of(
    reading: Reading, raw: Any, names: Collection[str], delivery: DeliveryPolicy, limits: Limits
) -> Entry | None:
    """The entry; None when there are no routes, or when they have an error that is reported. `names`: all instances."""
    if raw is None or raw == []:
        return None
    before = len(reading.problems)
    if not isinstance(raw, list):
        reading.say((NAME,), '"routes" must be a list: begin each with "- name: tell-the-team"')
        return None
    if NAME in names:
        reading.say((NAME,), f'the routes run as the instance "{NAME}": give the connector of that name another one')
    given = reading.expand(raw, (NAME,))
    for index, route in enumerate(given):
        _check_names(reading, route, index, names)
    if any(problem.severity == "error" for problem in reading.problems[before:]):
        return None
    return Entry(
        name=NAME,
        type=NAME,
        enabled=True,
        options={NAME: given},
        raw={NAME: raw},
        line=reading.doc.line((NAME,)),
        delivery=delivery,
        limits=limits,
        lines={at: line for at, line in reading.doc.lines.items() if at[:1] == (NAME,)},
    )


def _check_names(reading: Reading, route: Any, index: int, names: Collection[str]) -> None:
    for path, name in _named(route):
        if name not in names:
            near = did_you_mean(nearest(name, names))
            reading.say((NAME, index, *path), f'route {index + 1}: there is no instance "{name}"{near}')


def _named(route: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """The instances that a route names, where it has the shape for it; the rest is the class's to say."""
    if not isinstance(route, dict):
        return
    then, when = route.get("then"), route.get("when")
    if isinstance(then, dict) and isinstance(then.get("outbox"), str):
        yield ("then", "outbox"), then["outbox"]
    sources = when.get("source") if isinstance(when, dict) else None
    listed = sources.split(",") if isinstance(sources, str) else sources if isinstance(sources, list) else []
    for name in listed:
        if isinstance(name, str) and name.strip():
            yield ("when", "source"), name.strip()
