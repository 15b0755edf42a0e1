"""What runs, what is locked, and whether the stores are whole."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.base import queries
from connectors.base.checks.finding import Finding, Level, Look, shell
from connectors.base.files import read_json
from connectors.base.obstacle import Obstacle
from connectors.base.overview import is_locked, overview


def manager(look: Look) -> Iterator[Finding]:
    """Whether one runs, and whether the last one was killed."""
    home = look.home
    if is_locked(home.state / "manager.lock"):
        return
    pid = read_json(home.state / "manager.json").get("pid")
    if pid is not None:
        what = f"no manager runs; the last one (pid {pid}) was killed"
    elif any(entry.enabled for entry in look.config.entries):
        what = "no manager runs"
    else:
        return
    fix = shell("connectors", "run", "--seed-home", home.root)
    yield Finding(Level.INFO, "processes", what, str(home.state / "manager.json"), fix)


def instances(look: Look) -> Iterator[Finding]:
    """Every connector that does not do well, with the hint that it gave."""
    home = look.home
    running = is_locked(home.state / "manager.lock")
    for view in overview(home).instances:
        where = str(home.log_file(view.name))
        if view.problem is not None:
            fix = view.problem["hint"] or shell("connectors", "logs", view.name, "--seed-home", home.root)
            what = f"{view.name} is {view.state}: {view.problem['text']}"
            yield Finding(Level.ERROR, "processes", what, where, fix)
        elif view.pid is not None and not running:
            what = f"{view.name} runs (pid {view.pid}) without a manager"
            yield Finding(Level.INFO, "processes", what, where, f"if that is not wanted: kill {view.pid}")
        elif view.state == "disabled" and view.pid is not None:
            what = f"{view.name} is disabled and runs (pid {view.pid})"
            yield Finding(Level.WARNING, "processes", what, where, f"kill {view.pid}")


def stores(look: Look) -> Iterator[Finding]:
    """SQLite's own quick check of every store."""
    for name in queries.stores(look.home):
        said = queries.quick_check(look.home, name)
        path = look.home.state_dir(name) / "store.db"
        if isinstance(said, Obstacle):
            what = f"the store of {name} cannot be looked at: {said.text}"
            yield Finding(Level.WARNING, "stores", what, str(path), said.hint)
        elif said != "ok":
            fix = (
                f"{shell('connectors', 'stop', name)}, then put the file of a backup there; or move it away: then "
                "redelivered events come twice, and outgoings in .sending/ may be sent twice"
            )
            yield Finding(Level.ERROR, "stores", f"the store of {name} is damaged: {said}", str(path), fix)


CHECKS = (manager, instances, stores)
