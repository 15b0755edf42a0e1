"""What waits in the folders and should not, and what nobody will ever read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from connectors.base.checks.finding import Finding, Level, Look, count, entries, is_folder, kind_of, one_by_one, shell
from connectors.base.errors import BadMessage
from connectors.base.failed import dead_letters
from connectors.base.overview import is_locked
from connectors.base.problems import did_you_mean, nearest
from connectors.base.readers import consumer_folders, event_files, read_event

#: A file that waits longer while its connector runs is stuck; younger dotfiles may be being written.
_STUCK_S = 600.0
_OLD_CLAIM_S = 86_400.0
#: So many inbox files are opened, the oldest first.
_MOST_READ = 2_000
#: Dropbox, Nextcloud and others; Syncthing.
_CONFLICT = re.compile(r"conflicted copy|\.sync-conflict-|\(Case Conflict", re.IGNORECASE)


def outboxes(look: Look) -> Iterator[Finding]:
    """Folders without an instance, and files beside the folders."""
    top, known = look.home.messages / "outbox", look.instances()
    for entry in entries(top):
        if not is_folder(entry):
            if not entry.name.startswith("."):
                what = f"{entry.name} is beside the outbox folders: nobody sends it"
                fix = shell("mv", entry.path, f"{top}/INSTANCE/") + " with the instance's name"
                yield Finding(Level.WARNING, "outbox", what, entry.path, fix)
            continue
        waiting = event_files(Path(entry.path))
        if entry.name in known or not (waiting or _is_new(look, entry.name)):
            continue
        near = nearest(entry.name, known)
        what = f"connectors.yml has no {entry.name}{did_you_mean(near)}: {count(len(waiting), 'file')} there"
        fix = (
            f"mv {shell(entry.path)}/*.json {shell(top / near)}/" if near and waiting else "add the entry, or delete it"
        )
        yield Finding(Level.WARNING if waiting else Level.INFO, "outbox", what, entry.path, fix)


def _is_new(look: Look, name: str) -> bool:
    """Nobody of this name has ever run: the folder was made by hand."""
    return not look.home.state_dir(name).exists()


def queues(look: Look) -> Iterator[Finding]:
    """Outgoings that wait though they should not."""
    home = look.home
    for name in look.instances():
        paths = [folder / file for folder in (home.outbox(name), home.sending(name)) for file in event_files(folder)]
        ages = [age for age in (_age(path, look.now) for path in paths) if age is not None]
        if not ages:
            continue
        runs = is_locked(home.state_dir(name) / "lock")
        if not runs:
            what = f"{name} does not run, with {count(len(ages), 'outgoing')} in its outbox"
            fix = shell("connectors", "run", "--seed-home", home.root)
            yield Finding(Level.WARNING, "outbox", what, str(home.outbox(name)), fix)
        elif max(ages) > _STUCK_S:
            oldest = max(paths, key=lambda path: _age(path, look.now) or 0.0)
            what = f"the oldest of {count(len(ages), 'outgoing')} of {name} waits for {max(ages) / 60:.0f} minutes"
            fix = shell("connectors", "explain", oldest.stem if oldest.parent == home.sending(name) else oldest.name)
            yield Finding(Level.WARNING, "outbox", what, str(oldest), fix)


def strays(look: Look) -> Iterator[Finding]:
    """What other programs left and every reader ignores: named one by one."""
    home = look.home
    folders = [home.inbox, *look.folders(home.messages / "outbox"), *consumer_folders(home)]
    for folder in folders:
        yield from one_by_one(_strays_in(folder, look))


def _strays_in(folder: Path, look: Look) -> Iterator[Finding]:
    area = "inbox" if folder == look.home.inbox else "outbox" if folder.parent.name == "outbox" else "claimed"
    for entry in entries(folder):
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        quoted = shell(entry.path)
        delete = f"rm -r {quoted}" if stat.S_ISDIR(status.st_mode) else f"rm {quoted}"
        if not stat.S_ISREG(status.st_mode):
            what = f"{entry.name} is {kind_of(status.st_mode)}: ignored"
            yield Finding(Level.WARNING, area, what, entry.path, delete)
        elif entry.name.startswith("."):
            if look.now - status.st_mtime > _STUCK_S:
                what = f"{entry.name} begins with a dot: ignored; some program's temporary file"
                yield Finding(Level.WARNING, area, what, entry.path, delete)
        elif not entry.name.endswith(".json"):
            what = f"{entry.name} does not end in .json: ignored"
            fix = shell("mv", entry.path, f"{entry.path}.json") if area == "outbox" else delete
            yield Finding(Level.WARNING, area, what, entry.path, fix)
        elif not os.access(entry.path, os.R_OK):
            what = f"{entry.name} cannot be read"
            yield Finding(Level.WARNING, area, what, entry.path, f"sudo chmod u+r {quoted}")


def inbox(look: Look) -> Iterator[Finding]:
    """How full it is, and files that are no events."""
    home, most = look.home, look.config.limits.inbox_max_files
    found = sorted(event_files(home.inbox))
    waiting = len(found) + sum(len(event_files(folder)) for folder in consumer_folders(home))
    where, agent = str(home.inbox), "start an agent: connectors agent -- COMMAND"
    if waiting >= most:
        what = f"{waiting} events wait; receiving pauses at {most} (limits.inbox_max_files)"
        yield Finding(Level.ERROR, "inbox", what, where, agent)
    elif waiting > 0.8 * most:
        what = f"{waiting} events wait; at {most} receiving pauses (limits.inbox_max_files)"
        yield Finding(Level.WARNING, "inbox", what, where, agent)
    yield from one_by_one(_no_events(home.inbox, found[:_MOST_READ]))


def _no_events(folder: Path, found: list[str]) -> Iterator[Finding]:
    for name in found:
        path = folder / name
        try:
            read_event(path)
        except BadMessage as error:
            if path.is_file() and not path.is_symlink():
                what = f"{name} is no event, and every reader skips it: {error}"
                yield Finding(Level.WARNING, "inbox", what, str(path), shell("rm", path))
        except OSError:
            continue  # gone meanwhile, or named among the strays


def failed(look: Look) -> Iterator[Finding]:
    """Dead letters that wait for a decision."""
    letters = dead_letters(look.home)
    if letters:
        what = f"{count(len(letters), 'dead letter')}; the newest: {letters[-1].reason.get('reason', letters[-1].file)}"
        fix = "connectors failed list; then connectors failed retry ID, or drop ID"
        yield Finding(Level.WARNING, "failed", what, str(look.home.failed), fix)


def claims(look: Look) -> Iterator[Finding]:
    """Events that a worker took long ago: their conversations wait with them."""
    for folder in consumer_folders(look.home):
        old = [name for name in event_files(folder) if (_age(folder / name, look.now) or 0) > _OLD_CLAIM_S]
        if old:
            what = f"{folder.name} holds {count(len(old), 'event')} for more than a day: {old[0]}"
            fix = f"mv {shell(folder)}/*.json {shell(look.home.inbox)}/ if that worker is gone"
            yield Finding(Level.WARNING, "claimed", what, str(folder), fix)


def copies(look: Look) -> Iterator[Finding]:
    """What a sync tool makes of files that two machines changed."""
    for top in (look.home.messages, look.home.state):
        for parent, _, names in os.walk(top):
            for name in names:
                if _CONFLICT.search(name):
                    what = f"{name} was made by a sync tool: keep the home out of synchronised folders"
                    yield Finding(
                        Level.WARNING, "sync", what, os.path.join(parent, name), shell("rm", f"{parent}/{name}")
                    )


def _age(path: Path, now: float) -> float | None:
    """Seconds since it came here; None when it is gone, or is not to be sent yet."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return now - status.st_ctime


def all_copies(look: Look) -> Iterator[Finding]:
    """`copies`, not more than a few one by one."""
    return one_by_one(copies(look))


CHECKS = (outboxes, queues, strays, inbox, failed, claims, all_copies)
