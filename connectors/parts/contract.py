"""What an action promises: its name, the shapes of what goes in and comes out, who must agree, and what runs it.

    class CloseIssue(BaseModel):
        number: int
        comment: str = ""

    class Closed(BaseModel):
        state: str

    Action("close_issue", close_issue, description="Close an issue.", input=CloseIssue, output=Closed,
           idempotent=True, requires_approval=True)

The hints are those of the Model Context Protocol's tool annotations
(https://modelcontextprotocol.io/specification/2025-06-18/schema#toolannotations): they describe, and only
`idempotent` and `requires_approval` change what happens here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError

from connectors.base.errors import Rejected
from connectors.base.problems import did_you_mean, nearest

#: Actions of the base and of other parts.
TAKEN = frozenset({"send", "edit", "delete", "react", "typing", "fetch", "sync"})
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


class Nothing(BaseModel):
    """The input of an action that takes none."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Call:
    """What a handler is told besides its input.

    `key` is the same whenever this run is tried again: hand it to a platform that knows such keys. `ambiguous`: an
    earlier try was cut off, and may have done it (only idempotent actions are tried again then). `approved_by` is the
    person who agreed; None where nobody was asked.
    """

    action: str
    key: str
    ambiguous: bool = False
    approved_by: str | None = None


@dataclass(frozen=True)
class Action:
    """One action. `handler(connector, input, call)` runs it and returns the output: a model, a mapping, or None.

    It raises as `send_message` does: RetryLater when nothing was done (`ambiguous=True` when that is not known),
    Rejected when it can never be, AuthError and ConfigError. `idempotent`: doing it again changes nothing, also because
    the handler looks first; only then is a run that was cut off repeated. `requires_approval`: a person agrees first;
    by default so for what is `destructive`. `expires_after_s`: how long that person has; by default as the instance
    says.
    """

    name: str
    handler: Callable[[Any, Any, Call], Any]
    description: str = ""
    input: type[BaseModel] = Nothing
    output: type[BaseModel] | None = None
    requires_approval: bool | None = None
    destructive: bool | None = None
    idempotent: bool = False
    open_world: bool = True
    read_only: bool = False
    expires_after_s: float | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in TAKEN:
            raise ValueError(f"{self.name!r} cannot be an action's name: a-z, 0-9, _ . -, and none of {sorted(TAKEN)}")
        if self.read_only and self.destructive:
            raise ValueError(f"{self.name}: what only reads destroys nothing")
        if self.expires_after_s is not None and self.expires_after_s <= 0:
            raise ValueError(f"{self.name}: expires_after_s must be above 0")

    @property
    def asks(self) -> bool:
        """Whether a person must agree, if the instance's options do not say otherwise."""
        return bool(self.destructive) if self.requires_approval is None else self.requires_approval

    @property
    def hints(self) -> dict[str, bool]:
        destructive = self.asks and not self.read_only if self.destructive is None else self.destructive
        return {
            "destructive": destructive,
            "idempotent": self.idempotent,
            "open_world": self.open_world,
            "read_only": self.read_only,
        }

    def to_dict(self) -> dict[str, Any]:
        """For `connectors types --json`: all but the handler."""
        return {
            "name": self.name,
            "description": self.description,
            "input_schema": _schema(self.input, "validation"),
            "output_schema": None if self.output is None else _schema(self.output, "serialization"),
            "requires_approval": self.asks,
            "hints": self.hints,
        }

    def contract(self, version: str) -> str:
        """Changes when another version of the connector, or another shape, stands behind the same name."""
        return digest({**self.to_dict(), "version": version})

    def read_input(self, given: Mapping[str, Any]) -> BaseModel:
        """Raises Rejected that names every problem."""
        problems = list(_unknown(self.input, given))
        try:
            read = self.input.model_validate(dict(given))
        except ValidationError as error:
            problems += _problems(error, but={name for name, _ in problems})
        except RecursionError:
            problems.append(("", "is nested too deeply"))
        if problems:
            texts = "; ".join(f'input "{name}" {text}' if name else f"input {text}" for name, text in problems)
            raise Rejected(f"{self.name}: {texts}", hint=f"correct the input; it takes {self._takes()}")
        return read

    def read_output(self, answer: Any) -> dict[str, Any] | None:
        """What the handler returned, as JSON. Raises ValueError when it is not what is declared."""
        if self.output is None:
            data = answer.model_dump(mode="json", by_alias=True) if isinstance(answer, BaseModel) else answer
            if data is not None and not isinstance(data, Mapping):
                raise ValueError(f"the output is {type(answer).__name__}: return a mapping, a model or None")
        else:
            try:
                # Not `answer` as it is: pydantic does not look into what is an instance already.
                raw = answer.model_dump(by_alias=True, warnings=False) if isinstance(answer, BaseModel) else answer
                data = self.output.model_validate(raw).model_dump(mode="json", by_alias=True)
            except (ValidationError, PydanticSerializationError) as error:
                raise ValueError(_text(error)) from error
        if data is None:
            return None
        plain: dict[str, Any] = json.loads(canonical(dict(data)))
        return plain

    def _takes(self) -> str:
        fields = self.input.model_fields.items()
        named = [f"{field.alias or name}{'' if field.is_required() else '?'}" for name, field in fields]
        return f"{{{', '.join(named)}}} (`connectors types` shows the schema)" if named else "none"


def canonical(data: Any) -> str:
    """JSON, always the same for the same data. Raises ValueError for what is no JSON (NaN, a set)."""
    try:
        return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error


def digest(data: Any) -> str:
    return hashlib.sha256(canonical(data).encode()).hexdigest()


@cache
def _schema(model: type[BaseModel], mode: Any) -> dict[str, Any]:
    return model.model_json_schema(mode=mode)


def _unknown(model: type[BaseModel], given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Fields that the model does not know: a typing mistake must not do something else than was meant."""
    if model.model_config.get("extra") == "allow":
        return
    known: set[str] = set()
    for name, field in model.model_fields.items():
        aliases = {alias for alias in (field.alias, field.validation_alias) if isinstance(alias, str)}
        known |= aliases or {name}
        if aliases and (model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")):
            known.add(name)
    for name in given:
        if name not in known:
            yield name, f"is not known{did_you_mean(nearest(name, known))}"


def _problems(error: ValidationError, but: set[str]) -> list[tuple[str, str]]:
    found = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(map(str, item["loc"]))
        text = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        text = "is missing" if item["type"] == "missing" else text.replace("Input should be", "must be")
        if place not in but:
            found.append((place, text))
    return found


def _text(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{name}: {text}" if name else text for name, text in _problems(error, set()))
    return str(error)
