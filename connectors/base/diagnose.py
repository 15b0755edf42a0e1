"""Ask one platform: `python -m connectors.base.diagnose` reads a Spec from stdin and prints findings as JSON: what the
class's validators say of its credentials, and what its `diagnose` finds.

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
from connectors.base.credentials import Verdict, check
from connectors.base.declaration import Declaration, declaration_of
from connectors.base.errors import ConnectorError, RetryLater
from connectors.base.process import Spec
from connectors.base.registry import load_class

#: A platform that takes longer to answer is a finding.
LIMIT_S = 30.0
_NETWORK = "look at network, proxy and base_url; then ask again"


def start(spec: Spec, *, credentials_only: bool = False) -> subprocess.Popen[bytes]:
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
        question = {"spec": spec.to_dict(), "credentials_only": credentials_only}
        process.stdin.write(json.dumps(question).encode())
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


def _ask(spec: Spec, *, credentials_only: bool) -> Iterator[Finding]:
    where = str(Path(spec.home) / "connectors.yml")
    try:
        cls = load_class(spec.type, Path(spec.home))
        declared = declaration_of(cls)
        asks = cls.diagnose is not Connector.diagnose and not credentials_only
        if not asks and not declared.validators:
            return
        connector = cls(name=spec.name, seed_home=_home(spec), config=dict(spec.options))
        connector.redactor.add(spec.values)
        connector._expanded = True
        options = None if declared.options is None else connector.options
        for verdict in check(cls, options, os.environ):
            finding = _of_credential(verdict, declared, spec.name, where)
            yield Finding(**connector.redactor.redact_data(asdict(finding)))
        for found in connector.diagnose() if asks else ():
            yield Finding(**connector.redactor.redact_data(asdict(found)))
    except ConnectorError as error:
        otherwise = _NETWORK if isinstance(error, RetryLater) else f"edit {where}"
        yield Finding(Level.ERROR, "platform", f"{spec.name}: {error}", where, error.hint or otherwise)


def _of_credential(verdict: Verdict, declared: Declaration, instance: str, where: str) -> Finding:
    """`facts` has its name, whether it works (None: nobody can tell), and what the platform says of it."""
    variable = next((info for info in declared.env if verdict.name in (info.option, info.name)), None)
    label = f"{instance}: {verdict.name}"
    if variable is not None and variable.option is not None:
        label += f" ({variable.name})"
    facts: dict[str, Any] = {"credential": verdict.name, "instance": instance, "works": None}
    found = verdict.credential
    if found is None and verdict.unknown:
        what, facts["error"] = f"{label} could not be checked: {verdict.error}", verdict.error
        return Finding(Level.WARNING, "credentials", what, where, verdict.hint or _NETWORK, facts)
    renew = f"get a new one: {variable.help}" if variable is not None and variable.help else "renew it"
    if found is None:
        facts |= {"works": False, "error": verdict.error}
        what = f"{label} is refused: {verdict.error}"
        return Finding(Level.ERROR, "credentials", what, where, verdict.hint or renew, facts)
    said = {"identity": found.identity, "scopes": list(found.scopes), "missing": list(found.missing)}
    facts |= {"works": not found.missing, **said, "note": found.note}
    if found.missing:
        what = f"{label} lacks {', '.join(found.missing)}" + (f" ({found})" if str(found) else "")
        return Finding(Level.ERROR, "credentials", what, where, f"give it these scopes, or {renew}", facts)
    what = f"{label} works: {found}" if str(found) else f"{label} works"
    return Finding(Level.INFO, "credentials", what, where, "nothing to do", facts)


def _home(spec: Spec) -> str:
    """The home; for somebody else than its owner a folder that is thrown away, since a connector makes its folders."""
    owner = os.stat(spec.home).st_uid == os.geteuid()
    return spec.home if owner else tempfile.mkdtemp(prefix="connectors-doctor-")


def main() -> None:
    """Never prints anything but the findings: what an SDK prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    question: dict[str, Any] = json.load(sys.stdin)
    spec = Spec.from_dict(question["spec"])
    os.environ.update(spec.environ)
    found = _ask(spec, credentials_only=question["credentials_only"])
    json.dump([asdict(finding) for finding in found], out)
    out.close()


if __name__ == "__main__":
    main()
