"""`python -m connectors.testing.declared module:Class`: which foreign packages reading a declaration imports (JSON)."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

from connectors.base.declaration import declaration_of
from connectors.testing.run import find_class

DISTRIBUTION = "mailbox-connectors"


def foreign_packages(place: str) -> list[str]:
    """Distributions that were imported, and that neither the base needs nor the connector is part of."""
    before = {name.partition(".")[0] for name in sys.modules}
    cls = find_class(place)
    declaration_of(cls)
    after = {name.partition(".")[0] for name in list(sys.modules)}
    owners = packages_distributions()
    own = set(owners.get(cls.__module__.partition(".")[0], ()))
    found = {_plain(owner) for top in after - before for owner in owners.get(top, ()) if owner not in own}
    return sorted(found - _needed())


def _needed() -> set[str]:
    """What the package requires without any extra, and what that requires."""
    needed: set[str] = set()
    todo = [DISTRIBUTION, "pytest", "hypothesis"]  # a connector may be defined in the module of its test
    while todo:
        name = todo.pop()
        if name in needed:
            continue
        needed.add(name)
        try:
            wanted = requires(name) or []
        except PackageNotFoundError:
            continue
        todo += [_plain(_name(text)) for text in wanted if "extra ==" not in text]
    return needed


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return found[0] if found else requirement


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    print(json.dumps(foreign_packages(sys.argv[1])))  # noqa: T201 - a program: this is its result
