"""The options against what the connector classes declare, in a process that may import them."""

from __future__ import annotations

import base64
import json
import os
import pickle
import selectors
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from connectors.base import process
from connectors.base.process import Child
from connectors.base.settings import Config

#: Importing the connectors' classes may take no longer.
CHECK_LIMIT_S = 20.0


@dataclass(frozen=True)
class Checked:
    """What the check of the options found: problems in words, by instance, and whose variables have changed."""

    problems: tuple[tuple[str | None, str], ...] = ()
    by_env: frozenset[str] = frozenset()


class Check:
    """One check, under way. `done(result)` is called from the loop, once, unless it is cancelled before."""

    def __init__(
        self,
        old: Config | None,
        new: Config,
        *,
        selector: selectors.BaseSelector,
        started_s: float,
        done: Callable[[Checked], None],
        error_fd: int,
        lifeline_fd: int,
        method: process.Method | None = None,
    ) -> None:
        self.new = new
        self._selector = selector
        self._done = done
        self._end_s = started_s + CHECK_LIMIT_S
        self._data = b""
        self._child: Child | None = None
        self._fd = -1
        configs = [base64.b64encode(pickle.dumps(config)).decode() for config in (old, new)]
        fd, write_fd = os.pipe()
        try:
            self._child = process.launch(
                "connectors.base.check:check_configs",
                {"configs": configs, "lifeline_fd": lifeline_fd},
                name="check-options",
                stdio=(None, write_fd, error_fd),
                keep=(lifeline_fd,),
                method=method,
            )
        except BaseException:
            os.close(fd)
            raise
        finally:
            os.close(write_fd)
        os.set_blocking(fd, False)
        self._fd = fd
        selector.register(fd, selectors.EVENT_READ, self._read)

    def look(self, now_s: float) -> None:
        """End it when its time is over."""
        if self._child is not None and now_s >= self._end_s:
            self.cancel()
            self._done(Checked(((None, f"the check of the options did not end within {CHECK_LIMIT_S:g} s"),)))

    def cancel(self) -> None:
        """Nobody wants to know any more; safe twice."""
        child, self._child = self._child, None
        if child is None:
            return
        self._selector.unregister(self._fd)
        os.close(self._fd)
        child.end()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65_536)
        except BlockingIOError:
            return
        self._data += data
        if not data and self._child is not None:
            self.cancel()
            self._done(self._result())

    def _result(self) -> Checked:
        try:
            # What a module prints when it is imported comes before it.
            found = json.loads(self._data.strip().splitlines()[-1])
            return Checked(tuple((who, text) for who, text in found["problems"]), frozenset(found["by_env"]))
        except (ValueError, KeyError, TypeError, IndexError):
            return Checked(((None, "the check of the options failed: see logs/manager.log"),))


def check_configs(argument: dict[str, Any]) -> int:
    """In the child: print the errors of the new config, and whose options differ though the files say the same."""
    from connectors.base.config import check_options
    from connectors.base.optioncheck import undeclared

    process.hold_lifeline(argument["lifeline_fd"])
    old, new = (pickle.loads(base64.b64decode(text)) for text in argument["configs"])  # noqa: S301 - our own parent's
    checked, problems = check_options(new, new.file.parent)
    by_env: list[str] = []
    if old is not None and dict(old.env) != dict(new.env):
        was, _ = check_options(replace(old, problems=()), old.file.parent)
        options = {entry.name: entry.options for entry in was.entries}
        by_env = [entry.name for entry in checked.entries if options.get(entry.name, entry.options) != entry.options]
        by_env += undeclared(checked, new.file.parent)
    errors = [(problem.instance, str(problem)) for problem in problems if problem.severity == "error"]
    sys.stdout.write("\n" + json.dumps({"problems": errors, "by_env": by_env}) + "\n")
    return 0
