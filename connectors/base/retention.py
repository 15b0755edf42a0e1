"""What need not be kept any longer goes: receipts, dead letters, the stores' rows, attachments, logs, leftovers.

Bounded by `limits:` of connectors.yml: receipts by count alone (the newest say what was sent, however long ago), dead
letters by count and age, bodies of events by count and age, attachments by size and age. Nothing that is still
referred to goes: not the dead letter whose sending goes on, not the attachment that any kept event or outgoing names.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import re
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.base import queries
from connectors.base.errors import ConfigError, Exit
from connectors.base.files import read_json
from connectors.base.home import INSTANCE_NAME, Home
from connectors.base.intake import KEEP_IDS
from connectors.base.overview import is_locked
from connectors.base.readers import private_folder
from connectors.base.settings import Config, Limits
from connectors.base.store import Store

_DAY_S = 86_400.0
#: Younger than this nothing unreferred goes: its message may be about to be written.
_GRACE_S = _DAY_S
_REASON = ".reason.json"
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_ROTATED = re.compile(r"(.+\.log)\.(\d+)")
# The names that our own programs give to what they are about to rename, by where they do so.
_PUBLISHED = re.compile(r"([0-9a-f]{8}|[0-9a-f]{16})\.[0-9a-f]{8}\.tmp")  # files.publish, keys of claims and others
_PUBLISHED_HERE = re.compile(r"\..+\.json\.[0-9a-f]{8}\.tmp", re.DOTALL)  # files.publish_here: Message.write_to
_REPLACED = re.compile(r"\..+\.[0-9]+\.[0-9a-f]{8}")  # files.replace_private
_ARRIVING = re.compile(r"\.[0-9a-f]{16}\.tmp")  # attachments.save_incoming
_EDITED = re.compile(r"\.(connectors\.yml|\.env)\.[0-9a-f]{8}\.tmp")  # addition.add


@dataclass
class _Run:
    """One run: what it would do is counted, and done unless `dry`."""

    home: Home
    dry: bool
    now: float
    counts: dict[str, int] = field(default_factory=dict)

    def delete(self, what: str, path: Path) -> bool:
        """Delete and count; a file that is gone, or may not be deleted, is not counted."""
        if not self.dry:
            try:
                path.unlink()
            except OSError:
                return False
        self.counts[what] = self.counts.get(what, 0) + 1
        return True


def prune(
    home: Home, config: Config, *, dry_run: bool = False, clock: Callable[[], float] = time.time
) -> dict[str, int]:
    """Delete what the limits do not keep; returns {what: how many}, with `dry_run` what it would be.

    What: receipts, dead_letters, reasons, events (ids forgotten), outgoings (rows), attachments, attachment_bytes,
    logs, leftovers. Other programs may work on the home meanwhile. The receipts and the store of an instance whose
    entry has an error are left alone. Raises ConfigError when the limits cannot be known, OSError only for a home
    that cannot be read.
    """
    broken = {problem.instance for problem in config.errors}
    if not config.usable or None in broken:
        raise ConfigError("connectors.yml has errors: its limits are not known", hint="connectors validate")
    run = _Run(home, dry_run, clock())
    names = _instances(home)
    limits = {entry.name: entry.limits for entry in config.entries}
    for name in names:
        if name not in broken:
            own = limits.get(name, config.limits)
            _receipts(run, name, own)
            _store(run, name, own)
    _dead_letters(run, config.limits, names)
    _attachments(run, config.limits)
    _logs(run, config.limits, limits)
    _leftovers(run, names)
    return run.counts


def prune_home(argument: dict[str, Any]) -> int:
    """`prune` in a child of the manager, which itself stays small.

    `argument` is {"home": folder, "lifeline_fd": descriptor or None, "config": the manager's, pickled, in base64, or
    None for what connectors.yml says}. Prints the counts as a line of JSON. Returns 1 after printing what went wrong.
    """
    from connectors.base import config as configuration
    from connectors.base.process import hold_lifeline

    if argument.get("lifeline_fd") is not None:
        hold_lifeline(argument["lifeline_fd"])
        os.nice(10)  # the connectors come first
    home = Home(argument["home"])
    given = argument.get("config")
    try:
        config = configuration.load(home) if given is None else pickle.loads(base64.b64decode(given))  # noqa: S301 - our own parent's
        counts = prune(home, config)
    except (ConfigError, OSError, sqlite3.Error) as error:
        sys.stderr.write(f"not pruned: {error}\n")
        return Exit.CRASH
    sys.stdout.write(json.dumps(counts) + "\n")
    return Exit.OK


def _receipts(run: _Run, name: str, limits: Limits) -> None:
    """Beyond the newest keep_receipts, whatever their age: a quiet home keeps its few."""
    for path, _ in _files(run.home.sent(name), lambda n: n.endswith(".json"))[limits.keep_receipts :]:
        run.delete("receipts", path)


def _dead_letters(run: _Run, limits: Limits, names: Iterable[str]) -> None:
    under_way = _keys_under_way(run.home, names)
    before = run.now - limits.keep_days * _DAY_S
    letters = _files(run.home.failed, lambda n: n.endswith(".json") and not n.endswith(_REASON))
    # Moving keeps the file's own times; when it came here is the reason's time, or ctime.
    letters.sort(key=lambda item: -item[1].st_ctime)
    for number, (path, status) in enumerate(letters):
        if number < limits.keep_failed and status.st_ctime >= before:
            continue
        reason = path.with_name(f"{path.name}{_REASON}")
        if read_json(reason).get("key") not in under_way and run.delete("dead_letters", path):
            run.delete("reasons", reason)
    for path, status in _files(run.home.failed, lambda n: n.endswith(_REASON)):
        # A reason without its file: its burial is under way, or the file was deleted by hand.
        alone = not path.with_name(path.name.removesuffix(_REASON)).exists()
        if alone and status.st_mtime < run.now - _GRACE_S and read_json(path).get("key") not in under_way:
            run.delete("reasons", path)


def _keys_under_way(home: Home, names: Iterable[str]) -> set[str]:
    keys: set[str] = set()
    for name in names:
        store = Store.open_readonly(home, name)
        if store is not None:
            with closing(store):
                keys.update(row.key for row in store.under_way())
                keys.update(store.revived_keys())
    return keys


def _store(run: _Run, name: str, limits: Limits) -> None:
    path = run.home.state_dir(name) / "store.db"
    if run.dry or not path.exists():
        return
    before = run.now - limits.keep_days * _DAY_S
    with closing(Store(path)) as store:
        events = store.prune_events(keep_bodies=limits.keep_events, keep_ids=KEEP_IDS, before=before)
        # As long as their receipts: an id that was sent is recognised, and `explain` knows it.
        outgoings = store.prune_outgoings(keep=limits.keep_receipts, before=0.0)
    for what, count in (("events", events), ("outgoings", outgoings)):
        if count:
            run.counts[what] = run.counts.get(what, 0) + count


def _attachments(run: _Run, limits: Limits) -> None:
    """The oldest first, down to attachments_max_bytes, and what is older than keep_days; never one that is named."""
    found = list(_walk(run.home.attachments))
    total = sum(status.st_size for _, status in found)
    before = run.now - limits.keep_days * _DAY_S
    old = [item for item in found if item[1].st_mtime < run.now - _GRACE_S and not item[0].name.startswith(".")]
    if not old or (total <= limits.attachments_max_bytes and all(s.st_mtime >= before for _, s in old)):
        return
    named = _named_in(run.home)
    for path, status in sorted(old, key=lambda item: item[1].st_mtime):
        if total <= limits.attachments_max_bytes and status.st_mtime >= before:
            continue
        if os.fsencode(path.name) in named or _spelling(run.home, path) in named:
            continue
        if run.delete("attachments", path):
            run.counts["attachment_bytes"] = run.counts.get("attachment_bytes", 0) + status.st_size
            total -= status.st_size


def _named_in(home: Home) -> set[bytes]:
    """Every attachment that a kept message names: digests, and paths below attachments/."""
    named: set[bytes] = set()
    for data in _bodies(home):
        named.update(_DIGEST.findall(data))
        if b"attachments" in data:
            named.update(_paths(home, data))
    return named


def _bodies(home: Home) -> Iterator[bytes]:
    """The contents of all files and kept bodies that may name an attachment."""
    messages = home.messages
    parents = (home.claimed, messages / "outbox", messages / ".sending", messages / ".staging")
    folders = [home.inbox, home.failed, messages / ".acked", *(f for parent in parents for f in _folders(parent))]
    for folder in folders:
        for path, status in _files(folder, lambda n: n.endswith(".json"), hidden=True):
            if status.st_size <= 50_000_000:
                try:
                    yield path.read_bytes()
                except OSError:
                    continue
    for name in _instances(home):
        yield from queries.bodies(home, name)


def _paths(home: Home, data: bytes) -> Iterator[bytes]:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(message, dict):
        return
    content = message.get("content")
    for owner in (message, content if isinstance(content, dict) else {}):
        files = owner.get("attachments")
        for item in files if isinstance(files, list) else []:
            if isinstance(item, dict) and isinstance(item.get("path"), str):
                yield _spelling(home, home.root / item["path"])


def _spelling(home: Home, path: Path) -> bytes:
    return os.fsencode(os.path.relpath(os.path.normpath(path), home.root))


def _logs(run: _Run, limits: Limits, own: dict[str, Limits]) -> None:
    """Rotated files beyond log_files: after the number was lowered; and logs of instances that are long gone."""
    before = run.now - limits.keep_days * _DAY_S
    for path, status in _files(run.home.logs, lambda n: _ROTATED.fullmatch(n) is not None):
        found = _ROTATED.fullmatch(path.name)
        if found is None:
            continue
        files = own.get(found[1].removesuffix(".log"), limits).log_files
        if int(found[2]) >= files or status.st_mtime < before:
            run.delete("logs", path)


def _leftovers(run: _Run, names: Iterable[str]) -> None:
    """Temporary files of our own programs that died, a day later; never what somebody else calls so."""
    home = run.home
    idle = [name for name in names if not is_locked(home.state_dir(name) / "lock")]  # the others clear their own
    places = [
        (_PUBLISHED, [home.staging(name) for name in (".readers", *idle)]),
        (_PUBLISHED_HERE, [home.inbox, *_folders(home.messages / "outbox")]),
        (_REPLACED, [home.state, private_folder(home), *_folders(private_folder(home))]),
        (_REPLACED, [home.state_dir(name) for name in names]),
        (_ARRIVING, [home.attachments]),
        (_EDITED, [home.root]),
    ]
    for pattern, folders in places:
        for folder in folders:
            for path, status in _files(folder, pattern.fullmatch, hidden=True):
                if status.st_mtime < run.now - _GRACE_S:
                    run.delete("leftovers", path)


def _instances(home: Home) -> list[str]:
    """Everybody who has a folder, configured or not."""
    parents = (home.state, home.messages / "sent", home.messages / "outbox")
    return sorted(
        {folder.name for parent in parents for folder in _folders(parent) if INSTANCE_NAME.match(folder.name)}
    )


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return sorted(Path(e.path) for e in entries if e.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _files(folder: Path, wanted: Callable[[str], object], *, hidden: bool = False) -> list[tuple[Path, os.stat_result]]:
    """Regular files, the newest first."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if (hidden or not entry.name.startswith(".")) and wanted(entry.name):
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if stat.S_ISREG(status.st_mode):
                        found.append((Path(entry.path), status))
    except OSError:
        return []
    return sorted(found, key=lambda item: -item[1].st_mtime)


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every regular file below; links are not followed."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in names:
            path = Path(parent, name)
            try:
                status = path.lstat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, status
