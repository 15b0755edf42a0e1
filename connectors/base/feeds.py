"""Feeds: what one connector polls several of, each with options, a schedule and a checkpoint of its own.

    feeds = (FeedType("articles", ArticleFeed, description="what a site publishes", schedule="30m"),)

In connectors.yml they are a list of mappings, each with a name; `feed:` says which type it is, where a connector has
several. They are polled by `connectors.parts.feeds`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from connectors.base.declaration import FeedInfo
from connectors.base.home import INSTANCE_NAME
from connectors.base.optioninfo import describe
from connectors.base.options import OptionProblem, read_options
from connectors.base.problems import nearest


@dataclass(frozen=True)
class FeedType:
    """One kind of feed. `options` has the fields `name` and `feed`; `kinds` as a source's.

    `shared_ids`: the same origin id in two feeds is the same record. Otherwise every feed has ids of its own.
    """

    name: str
    options: type[BaseModel]
    description: str = ""
    schedule: str | None = None
    kinds: Any = ()
    shared_ids: bool = False

    def __post_init__(self) -> None:
        if wrong := [info.name for info in describe(self.options) if info.env]:
            raise ValueError(f"feed {self.name}: {wrong[0]} can have no variable of its own: all feeds would share it")

    def info(self) -> FeedInfo:
        """For people and JSON."""
        described = tuple(describe(self.options))
        return FeedInfo(self.name, self.description, self.schedule, tuple(self.kinds), self.shared_ids, described)


@dataclass(frozen=True)
class GivenFeed:
    """One feed as it was configured. `at`: where below the entry."""

    name: str
    type: FeedType
    options: BaseModel
    at: tuple[str | int, ...]


def feeds_of(cls: type, given: Mapping[str, Any]) -> tuple[list[GivenFeed], list[OptionProblem]]:
    """The feeds that the options of an entry, expanded, give a connector class; and all that is wrong with them.

    A class without feeds has none, and no problem.
    """
    types: Sequence[FeedType] = getattr(cls, "feeds", ())
    if not types:
        return [], []
    listed = given.get("feeds")
    items = cls.feeds_given(given) if hasattr(cls, "feeds_given") else listed
    if not isinstance(items, list):
        return [], []  # the option itself has said so
    if not items:
        return [], [OptionProblem(("feeds",), 'there are no feeds: add "feeds:", and below it "- name: …" for each')]
    found: list[GivenFeed] = []
    problems: list[OptionProblem] = []
    taken: set[str] = set()
    for number, item in enumerate(items, 1):
        at = next((("feeds", i) for i, one in enumerate(listed or ()) if one is item), ())
        if not isinstance(item, Mapping):
            continue  # the same
        feed, wrong = _read(types, item, at)
        label = str(item.get("name") or "") or f"number {number}"
        problems += [replace(problem, text=f"feed {label}: {problem.text}") for problem in wrong]
        problems += _wrong_name(item.get("name"), at, taken)
        if feed is not None:
            found.append(feed)
    return found, problems


def feed_secrets(cls: type, given: Mapping[str, Any]) -> Iterator[str]:
    """The values of the options of feeds that are declared secret, however wrong the rest may be."""
    kinds: Sequence[FeedType] = getattr(cls, "feeds", ())
    secret = {info.name for kind in kinds for info in describe(kind.options) if info.secret}
    items = given.get("feeds")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping):
            yield from (value for name in secret if isinstance(value := item.get(name), str) and value)


def _read(
    types: Sequence[FeedType], item: Mapping[str, Any], at: tuple[str | int, ...]
) -> tuple[GivenFeed | None, list[OptionProblem]]:
    names = [kind.name for kind in types]
    wanted = item.get("feed", names[0] if len(names) == 1 else None)
    if wanted not in names:
        what = "has no type: add" if wanted is None else f'has no type "{wanted}": write'
        near = nearest(wanted, names) if isinstance(wanted, str) else None
        unnamed = [] if item.get("name") else [OptionProblem(at, 'option "name" is missing: give it')]
        return None, [OptionProblem((*at, "feed"), f'{what} "feed: {"|".join(names)}"', near), *unnamed]
    kind = types[names.index(wanted)]
    options, _, problems = read_options(kind.options, item, {})
    problems = [replace(problem, path=(*at, *problem.path)) for problem in problems]
    if options is None:
        return None, problems
    return GivenFeed(str(item.get("name")), kind, options, at), problems


def _wrong_name(name: object, at: tuple[str | int, ...], taken: set[str]) -> Iterator[OptionProblem]:
    if not isinstance(name, str | int) or isinstance(name, bool):
        return  # the option itself has said so
    key = str(name).lower()
    if not INSTANCE_NAME.fullmatch(str(name)):
        rule = "use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or a digit"
        yield OptionProblem((*at, "name"), f"feed {name}: cannot be a name: {rule}")
    elif key in taken:
        yield OptionProblem((*at, "name"), f"feed {name}: the name is used twice")
    taken.add(key)
