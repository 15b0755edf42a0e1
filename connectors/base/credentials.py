"""Whether a credential works, and whose it is: the validators that a connector class declares.

    def check_token(token, options):
        answer = ask(options.base_url, token)             # the SDK is imported in here, or in client.py
        if answer.status == 401:
            raise AuthError("the token is refused", hint="make a new one")
        return Credential(identity=answer.login, scopes=answer.scopes, missing=("repo",) if …)

    class ShopConnector(Connector):
        validators = {"token": check_token}               # an option, or a variable that `env` declares

They run in a process of their own (`connectors.base.diagnose`), for `connectors doctor` and `validate --credentials`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.base.errors import AuthError, ConfigError, ConnectorError, RetryLater
from connectors.base.registration import EnvVar, declared
from connectors.base.secrets import Secret

#: (value, the instance's options) -> what the platform says. Raises AuthError for one that is refused, RetryLater
#: where nobody can tell now.
Validator = Callable[[str, Any], "Credential"]


@dataclass(frozen=True)
class Credential:
    """A credential that works. `identity` is whose it is there; `missing` are scopes that the connector needs too."""

    identity: str = ""
    scopes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        parts = (self.identity, f"scopes {', '.join(self.scopes)}" if self.scopes else "", self.note)
        return "; ".join(part for part in parts if part)


@dataclass(frozen=True)
class Verdict:
    """What came of one validator. `credential` is None when it was refused, or could not be checked (`unknown`)."""

    name: str
    credential: Credential | None = None
    error: str = ""
    hint: str = ""
    unknown: bool = False


def validators_of(cls: type, known: Collection[str]) -> dict[str, Validator]:
    """Those that a class declares, by option or variable. Raises ConfigError for one of something else."""
    given = getattr(cls, "validators", None) or {}
    if not isinstance(given, Mapping):
        raise ConfigError(f"{cls.__name__}.validators must map options to functions", hint="correct the class")
    for name in given:
        if name not in known:
            what = f"{cls.__name__}.validators names {name}, which is no option and no variable of it"
            raise ConfigError(what, hint="correct the class")
    return dict(given)


def check(cls: type, options: Any, environ: Mapping[str, str]) -> Iterator[Verdict]:
    """Ask the platform about every credential that is set. What the author's function raises is told, not raised."""
    variables = {variable.name for variable in declared(cls, "env", EnvVar, "name")}
    for name, validator in (getattr(cls, "validators", None) or {}).items():
        value = environ.get(name) if name in variables else getattr(options, name, None)
        text = value.reveal() if isinstance(value, Secret) else str(value or "")
        if text:
            yield _ask(name, validator, text, options)


def _ask(name: str, validator: Validator, text: str, options: Any) -> Verdict:
    try:
        found = validator(text, options)
    except (RetryLater, OSError) as error:
        return Verdict(name, error=str(error) or type(error).__name__, unknown=True)
    except AuthError as error:
        return Verdict(name, error=str(error) or "it is refused", hint=error.hint)
    except ConnectorError as error:
        return Verdict(name, error=str(error), hint=error.hint)
    except Exception as error:  # noqa: BLE001 - it is the author's; one that fails must not hide what others find
        return Verdict(name, error=f"its check failed: {type(error).__name__}: {error}", unknown=True)
    if not isinstance(found, Credential):
        said = f"its check returned {type(found).__name__}, not a Credential"
        return Verdict(name, error=said, unknown=True)
    return Verdict(name, found)
