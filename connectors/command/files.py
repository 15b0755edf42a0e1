"""The files that a program may hand over: those below a few folders, and nothing that is linked to from there.

A program may take the name of a file from a stranger. So a path means a file only where the operator wants it to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from connectors.base.home import Home

_FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY
#: Not blocking: a named pipe that nobody writes to must not hold up everything.
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class NotAllowed(OSError):
    """A path that is not the program's to hand over."""


@dataclass(frozen=True)
class Files:
    """`folder`: where relative paths begin. `own`: the program's private folder for files, always allowed; `roots` are
    allowed as well, without what the mailbox keeps of its own."""

    folder: Path
    own: Path
    roots: tuple[Path, ...]
    kept: tuple[Path, ...]  #: never handed over, whatever they are called from below a root

    @classmethod
    def of(cls, home: Home, folder: Path, own: Path, roots: Sequence[str]) -> Files:
        """The folder that the programs run in is one, unless the home is in it, which is nobody's attachment."""
        root = Path(os.path.abspath(home.root))
        allowed = [Path(os.path.abspath(root / os.path.expanduser(text))) for text in roots]
        if not Path(os.path.realpath(root)).is_relative_to(os.path.realpath(folder)):
            allowed.append(folder)
        kept = (home.env_file, home.config_file, home.state, home.messages, home.logs)
        return cls(folder, Path(os.path.abspath(own)), tuple(allowed), tuple(map(Path, map(os.path.abspath, kept))))

    def open(self, text: str) -> int:
        """A file descriptor to read from. Raises OSError and ValueError, which say why not."""
        path = Path(os.path.abspath(self.folder / text))
        fitting = [root for root in (self.own, *self.roots) if path != root and path.is_relative_to(root)]
        if not fitting:
            raise NotAllowed("it is in no folder that files may come from (attachment_roots)")
        root = max(fitting, key=lambda one: len(one.parts))
        kept = set() if root == self.own else {found for one in self.kept if (found := _identity(one))}
        if any(_identity(folder) in kept for folder in (root.resolve(), *root.resolve().parents)):
            raise NotAllowed("it is the mailbox's own")
        return self._walk(root, path.relative_to(root).parts, kept)

    def _walk(self, root: Path, parts: Sequence[str], kept: set[tuple[int, int]]) -> int:
        """One step after the other, so that no link leads elsewhere, also none that is made meanwhile."""
        if parts[-1].lower().startswith(".env"):
            raise NotAllowed("a file of this name is for secrets")
        fd = os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        for number, part in enumerate(parts, 1):
            last, above = number == len(parts), fd
            try:
                if stat.S_ISLNK(os.stat(part, dir_fd=above, follow_symlinks=False).st_mode):
                    raise NotAllowed("a link is not followed")
                fd = os.open(part, _FILE if last else _FOLDER, dir_fd=above)
            finally:
                os.close(above)
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) in kept or (last and not stat.S_ISREG(found.st_mode)):
                os.close(fd)
                own = (found.st_dev, found.st_ino) in kept
                raise NotAllowed("it is the mailbox's own" if own else "it is no file")
        return fd


def _identity(path: Path) -> tuple[int, int] | None:
    """By which it is known under any name."""
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None
