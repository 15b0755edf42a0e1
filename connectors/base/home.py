"""The folder: what lies where below a home, under which names and modes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from connectors.base.errors import ConfigError

#: The number that the format carries (docs/mailbox-format.md).
FORMAT = 1
#: An instance's name is a folder's name on every file system: ASCII, no separators, no leading dot.
INSTANCE_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
#: Names that other things have in `state/` and `logs/` (compared without case).
RESERVED_NAMES = frozenset({"approvals", "format", "manager", "manager.json", "manager.lock", "manager.sock"})


@dataclass(frozen=True)
class Modes:
    """Who may read: private unless a group is configured (then setgid folders, so that new files keep the group)."""

    folder: int = 0o700
    file: int = 0o600
    gid: int = -1

    @classmethod
    def for_group(cls, gid: int) -> Modes:
        return cls(folder=0o2770, file=0o660, gid=gid)


class Home:
    """The paths below the folder that holds `connectors.yml` and `messages/`. Makes nothing by itself."""

    def __init__(self, root: str | os.PathLike[str], modes: Modes | None = None) -> None:
        # One absolute spelling, so that a connector which changes its working folder still finds its mail.
        self.root = Path(os.path.abspath(root))
        self.modes = modes or Modes()
        self.messages = self.root / "messages"
        self.inbox = self.messages / "inbox"
        self.failed = self.messages / "failed"
        self.claimed = self.messages / "claimed"
        self.attachments = self.messages / "attachments"
        self.logs = self.root / "logs"
        self.state = self.root / "state"
        self.config_file = self.root / "connectors.yml"
        self.env_file = self.root / ".env"

    def outbox(self, name: str) -> Path:
        return self.messages / "outbox" / name

    def sent(self, name: str) -> Path:
        return self.messages / "sent" / name

    def staging(self, name: str) -> Path:
        return self.messages / ".staging" / name

    def sending(self, name: str) -> Path:
        return self.messages / ".sending" / name

    def state_dir(self, name: str) -> Path:
        return self.state / name

    def log_file(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def make(self, *folders: Path, private: bool = False) -> None:
        """Make folders, and those above them up to the home, with the home's modes.

        `private=True` ignores the group: state and logs are the operator's alone.
        """
        for folder in folders:
            if self.modes.gid >= 0 and not private:
                self._share(folder)
            missing = []
            while not folder.is_dir():
                missing.append(folder)
                if folder in (self.root, folder.parent):
                    break
                folder = folder.parent
            for path in reversed(missing):
                self._make_one(path, Modes() if private or path == self.root else self.modes)

    def _share(self, folder: Path) -> None:
        """Give our own folders below messages/ to the group: they may have been made before it was known."""
        for path in (folder, *folder.parents):
            if not path.is_relative_to(self.messages):
                return
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            right = status.st_mode & 0o7777 == self.modes.folder and status.st_gid == self.modes.gid
            if not right and status.st_uid == os.geteuid():
                os.chown(path, -1, self.modes.gid)
                path.chmod(self.modes.folder)

    def make_common(self) -> None:
        """The folders that every program on this home relies on, and the format's number."""
        self.make(self.inbox, self.failed, self.claimed, self.attachments, self.messages / "outbox")
        self.make(self.logs, self.state, private=True)
        self.check_format()

    def check_format(self) -> None:
        """Write the format's number where there is none. Raises ConfigError when a newer program wrote the folder."""
        path = self.state / "format"
        try:
            found = int(path.read_text().strip() or "0")
        except FileNotFoundError:
            path.write_text(f"{FORMAT}\n")
            return
        except ValueError:
            found = 0
        if found > FORMAT:
            raise ConfigError(
                f"{self.root} was written in format {found}; this program knows up to {FORMAT}",
                hint="install the newer mailbox-connectors again, or restore a backup from before the upgrade",
            )
        if found < FORMAT:
            path.write_text(f"{FORMAT}\n")

    @staticmethod
    def _make_one(path: Path, modes: Modes) -> None:
        try:
            path.mkdir(mode=modes.folder & 0o777)
        except FileExistsError:
            if not path.is_dir():
                raise ConfigError(f"{path} is needed as a folder and is a file", hint=f"move {path} away") from None
            return
        except FileNotFoundError:
            path.mkdir(mode=modes.folder & 0o777, parents=True, exist_ok=True)
        if modes.gid >= 0:
            os.chown(path, -1, modes.gid)
            path.chmod(modes.folder)


def check_new_name(name: str) -> str:
    """The name, if an instance can have it. Raises ConfigError otherwise, and for what the program needs itself."""
    if name.lower() in RESERVED_NAMES:
        raise ConfigError(f'"{name}" is a name that the program uses itself', hint="choose another one")
    return check_name(name)


def check_name(name: str) -> str:
    """The name, if it can be an instance's. Raises ConfigError otherwise."""
    if not INSTANCE_NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be an instance's name",
            hint="use 1 to 64 of the characters A-Z a-z 0-9 . _ - and begin with a letter or a digit",
        )
    return name
