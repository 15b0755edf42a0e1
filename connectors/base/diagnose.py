"""Ask one platform: `python -m connectors.base.diagnose` reads a Spec from stdin and prints findings as JSON.

A process of its own, because it loads the connector and its SDK: what that does, or how long it takes, is not the
doctor's.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from connectors.base.checks.finding import Finding, Level
from connectors.base.connector import Connector
from connectors.base.errors import ConnectorError, RetryLater
from connectors.base.process import Spec
from connectors.base.registry import load_class

#: A platform that takes longer to answer is a finding.
LIMIT_S = 30.0
_NETWORK = "look at network, proxy and base_url; then ask again"


def start(spec: Spec) -> subprocess.Popen[bytes]:
    """Ask in a process; `spec` goes through its stdin, because the arguments of a process are no place for secrets."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None  # noqa: S101 - a PIPE was asked for
    try:
        process.stdin.write(json.dumps(spec.to_dict()).encode())
        process.stdin.close()
    except BrokenPipeError:
        pass  # it ended at once; `answer` says how
    process.stdin = None
    return process


def answer(process: subprocess.Popen[bytes], spec: Spec, where: str) -> list[Finding]:
    """What it found; or that it did not answer, or died."""
    try:
        out, err = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        what = f"{spec.name}: no answer from the platform within {LIMIT_S:g} s"
        return [Finding(Level.WARNING, "platform", what, where, _NETWORK)]
    try:
        return [Finding(**{**found, "level": Level(found["level"])}) for found in json.loads(out)]
    except (ValueError, TypeError, KeyError):
        last = err.decode(errors="replace").strip().rpartition("\n")[2]
        what = f"{spec.name}: asking the platform ended with {process.returncode}: {last}"
        return [Finding(Level.WARNING, "platform", what, where, "connectors logs " + spec.name)]


def _ask(spec: Spec) -> Iterator[Finding]:
    where = str(Path(spec.home) / "connectors.yml")
    try:
        cls = load_class(spec.type, Path(spec.home))
        if cls.diagnose is Connector.diagnose:
            return
        connector = cls(name=spec.name, seed_home=_home(spec), config=dict(spec.options))
        connector.redactor.add(spec.values)
        connector._expanded = True
        for found in connector.diagnose():
            yield Finding(**connector.redactor.redact_data(asdict(found)))
    except ConnectorError as error:
        otherwise = _NETWORK if isinstance(error, RetryLater) else f"edit {where}"
        yield Finding(Level.ERROR, "platform", f"{spec.name}: {error}", where, error.hint or otherwise)


def _home(spec: Spec) -> str:
    """The home; for somebody else than its owner a folder that is thrown away, since a connector makes its folders."""
    owner = os.stat(spec.home).st_uid == os.geteuid()
    return spec.home if owner else tempfile.mkdtemp(prefix="connectors-doctor-")


def main() -> None:
    """Never prints anything but the findings: what an SDK prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    data: dict[str, Any] = json.load(sys.stdin)
    spec = Spec.from_dict(data)
    os.environ.update(spec.environ)
    json.dump([asdict(found) for found in _ask(spec)], out)
    out.close()


if __name__ == "__main__":
    main()
