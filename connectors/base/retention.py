"""What need not be kept any longer goes: receipts, dead letters, the stores' rows, attachments, logs, leftovers.

Bounded by count, age and size (`limits:` in connectors.yml). Nothing that is still referred to goes: not the dead
letter whose sending goes on, not the attachment that any kept event or outgoing names.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.base import queries
from connectors.base.errors import Exit
from connectors.base.files import read_json
from connectors.base.home import INSTANCE_NAME, Home
from connectors.base.intake import KEEP_IDS
from connectors.base.overview import is_locked
from connectors.base.settings import Config, Limits
from connectors.base.store import Store

_DAY_S = 86_400.0
#: Younger than this nothing unreferred goes: its message may be about to be written.
_GRACE_S = _DAY_S
_REASON = ".reason.json"
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_ROTATED = re.compile(r"(.+\.log)\.(\d+)")


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
    logs, leftovers. Other programs may work on the home meanwhile. Raises OSError only for a home that cannot be read.
    """
    run = _Run(home, dry_run, clock())
    names = _instances(home)
    limits = {entry.name: entry.limits for entry in config.entries}
    for name in names:
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

    `argument` is {"home": folder, "lifeline_fd": descriptor or None}. Prints the counts as a line of JSON. Deletes
    nothing when connectors.yml cannot be read.
    """
    from connectors.base import config as configuration
    from connectors.base.process import hold_lifeline

    if argument.get("lifeline_fd") is not None:
        hold_lifeline(argument["lifeline_fd"])
    home = Home(argument["home"])
    config = configuration.load(home)
    counts = prune(home, config) if config.usable else {}
    sys.stdout.write(json.dumps(counts) + "\n")
    return Exit.OK


def _receipts(run: _Run, name: str, limits: Limits) -> None:
    """Older than keep_days, or beyond the newest keep_receipts: both at once would lose a quiet home's few."""
    found = _files(run.home.sent(name), lambda n: n.endswith(".json"))
    before = run.now - limits.keep_days * _DAY_S
    for number, (path, status) in enumerate(found):
        if number >= limits.keep_receipts or status.st_mtime < before:
            run.delete("receipts", path)


def _dead_letters(run: _Run, limits: Limits, names: Iterable[str]) -> None:
    under_way = _keys_under_way(run.home, names)
    before = run.now - limits.keep_days * _DAY_S
    letters = _files(run.home.failed, lambda n: not n.endswith(_REASON))
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
        outgoings = store.prune_outgoings(keep=limits.keep_receipts, before=before)
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
    """Temporary files of programs that died, a day later. A connector's own staging is cleared by itself at start."""
    home = run.home
    folders = [home.inbox, home.failed, home.root, home.state, home.attachments, *_folders(home.attachments)]
    folders += [home.staging(name) for name in names if not is_locked(home.state_dir(name) / "lock")]
    folders += [home.state_dir(name) for name in names] + [home.staging(".readers")]
    for folder in folders:
        for path, status in _files(folder, _is_temporary, hidden=True):
            if status.st_mtime < run.now - _GRACE_S:
                run.delete("leftovers", path)


def _is_temporary(name: str) -> bool:
    return name.endswith(".tmp") or re.fullmatch(r"\..+\.\d+\.[0-9a-f]{8}", name) is not None


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


def _files(folder: Path, wanted: Callable[[str], bool], *, hidden: bool = False) -> list[tuple[Path, os.stat_result]]:
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
