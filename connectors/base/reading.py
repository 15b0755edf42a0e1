"""One reading of connectors.yml and `.env`: the problems and the secret values that turn up on the way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectors.base.errors import ConfigError
from connectors.base.problems import DataPath, Problem, Severity, nearest
from connectors.base.secrets import is_secret_name, is_token_shaped
from connectors.base.variables import NOT_SET_HINT, parse_env, substitute
from connectors.base.yamltext import MAX_BYTES, Document

IN_THE_FILE = "a secret stands in the file"


class Reading:
    """`labels` are the names of the entries as written; `bad` the indexes of those that have an error."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path = path
        self.env: dict[str, str] = dict(environ)
        self.doc = Document()
        self.labels: list[str | None] = []
        self.bad: set[int] = set()
        self.problems: list[Problem] = []
        self.values: dict[str, None] = {}

    def expand(self, value: Any, path: DataPath) -> Any:
        """The value with its variables filled in; texts that have a problem stay as written."""
        if isinstance(value, dict):
            return {key: self.expand(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.expand(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        try:
            result = substitute(value, self.env)
        except ConfigError as error:
            self.say(path, f"{_dotted(path)}{error}: {error.hint}")
            return value
        for name in result.unset:
            near = nearest(name, self.env)
            self.say(path, f"{_dotted(path)}variable {name} is not set: {NOT_SET_HINT}", near, variable=name)
        self.values.update((use.value, None) for use in result.used if use.value)
        return value if result.unset else result.text

    def literal_secrets(self, value: Any, path: DataPath) -> None:
        """Warn of secrets that stand in the file itself, and redact them like the others."""
        if isinstance(value, dict | list):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in pairs:
                self.literal_secrets(item, (*path, key))
        elif isinstance(value, str) and value and "${" not in value:
            named = any(isinstance(step, str) and is_secret_name(step) for step in path[-2:])
            if named or is_token_shaped(value):
                self.values[value] = None
                advice = "move it to .env and write ${NAME} here"
                self.say(path, f"{_dotted(path)}{IN_THE_FILE}: {advice}", severity="warning")

    def values_by_name(self) -> None:
        # Connectors read variables by themselves too (`get_config(env_key=...)`), and may print what they
        # read.
        self.values.update((value, None) for name, value in self.env.items() if value and is_secret_name(name))

    def read_env(self, path: Path) -> None:
        try:
            if path.is_dir():  # a virtual environment may be called .env
                return
            found = parse_env(read_bytes(path).decode("utf-8-sig"))
        except FileNotFoundError:
            return
        except UnicodeDecodeError:
            self.problems.append(Problem(".env", 0, None, "not UTF-8: save the file in that encoding"))
            return
        except OSError as error:
            self.problems.append(Problem(".env", 0, None, f"{error.strerror or error}: {path}"))
            return
        self.env = {**found.values, **self.env}
        self.problems += [Problem(".env", line, None, text) for line, text in found.faults]
        for line, key in found.repeats:
            text = f"{key} is set twice, and this one counts: remove the other"
            self.problems.append(Problem(".env", line, None, text, severity="warning"))

    def say(
        self,
        path: DataPath,
        text: str,
        suggestion: str | None = None,
        *,
        line: int | None = None,
        severity: Severity = "error",
        variable: str | None = None,
    ) -> None:
        instance = None
        if len(path) > 1 and path[0] == "connectors" and isinstance(path[1], int):
            instance = self.labels[path[1]]
            if severity == "error":
                self.bad.add(path[1])
        at = self.doc.line(path) if line is None else line
        self.problems.append(Problem(self.path.name, at, instance, text, suggestion, severity, variable))

    def sorted(self) -> tuple[Problem, ...]:
        return tuple(sorted(self.problems, key=lambda problem: (problem.file, problem.line)))


def read_bytes(path: Path) -> bytes:
    """At most one byte more than is allowed, so that a huge file is noticed and not read."""
    if path.exists() and not path.is_file():
        raise OSError("is not a regular file")
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _dotted(path: DataPath) -> str:
    """Where below the entry or the section, as a prefix of a problem's text."""
    steps = path[2:] if path[:1] == ("connectors",) else path
    return "".join(f"{step}." for step in steps).rstrip(".") + ": " if steps else ""
