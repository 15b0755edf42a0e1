"""`connectors pair list|approve|deny|revoke`."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connectors.base.dropped import named
from connectors.base.errors import ConfigError
from connectors.base.home import Home
from connectors.base.readers import Ambiguous, NotFound
from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import age, print_json, say, span, table

if TYPE_CHECKING:
    from connectors.parts.pairing import Pairing, Pending

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

Code = Annotated[str, typer.Argument(metavar="CODE", help="The code that the person got; any case, blanks and dashes.")]
Instance = Annotated[str | None, typer.Option("--instance", metavar="NAME", help="Only this instance.")]
_ASK_AGAIN = "the person gets a new code by writing again; connectors pair list shows what waits"
_NAME_SHOWN = 40


@app.command("list")
def list_(
    seed_home: SeedHome = HERE,
    instance: Instance = None,
    paired: Annotated[bool, typer.Option("--paired", help="Those who are paired, instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List who waits for an approval; with --paired, who has one."""
    home = home_of(seed_home)
    rows = list(_paired(home, instance) if paired else _waiting(home, instance))
    if as_json:
        print_json(rows)
    elif not rows and sys.stdout.isatty():
        nobody = "nobody waits for an approval; who has one: connectors pair list --paired"
        say("nobody is paired" if paired else nobody)
    elif paired:
        columns = ("USER", "PAIRED", "INSTANCE", "NAME")
        table(columns, [(r["user_id"], age(r["approved_at"]), r["instance"], _name(r)) for r in rows])
    else:
        table(
            ("CODE", "EXPIRES IN", "INSTANCE", "WHO"),
            [(r["code"], span(r["expires_in_s"]), r["instance"], named(r["user_id"], _name(r))) for r in rows],
        )


@app.command()
def approve(code: Code, seed_home: SeedHome = HERE, instance: Instance = None) -> None:
    """Let the person who got this code write directly.

    From the next message on.
    Only if you know on another way whose code it is: who got it is let in, not who names it.
    """
    name, pairing = _holder(home_of(seed_home), code, instance)
    paired = pairing.approve(code)
    if paired is None:
        raise NotFound(f"{code!r} has expired, or was denied", hint=_ASK_AGAIN)
    say(f"{_who(paired)} may write to {name}. What came before was not kept: ask for it again.")


@app.command()
def deny(code: Code, seed_home: SeedHome = HERE, instance: Instance = None) -> None:
    """Nobody gets in with this code, and who got it gets no other one until it would have expired."""
    name, pairing = _holder(home_of(seed_home), code, instance)
    denied = pairing.deny(code)
    if denied is None:
        raise NotFound(f"{code!r} has expired, or was denied before", hint="there is nothing left to deny")
    say(f"{_who(denied)} stays out of {name}")


@app.command()
def revoke(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user's id.")],
    seed_home: SeedHome = HERE,
    instance: Instance = None,
) -> None:
    """Undo an approval, in every instance or the one that is named."""
    gone = [(name, one) for name, pairing in _all(home_of(seed_home), instance) if (one := pairing.revoke(user))]
    if not gone:
        raise NotFound(f"no user with the id {user!r} is paired", hint="connectors pair list --paired")
    for name, one in gone:
        say(f"{_who(one)} may no longer write to {name}, unless allow.users there says so")


def _waiting(home: Home, instance: str | None) -> list[dict[str, Any]]:
    now = time.time()
    return [
        {
            "code": item.code,
            "user_id": item.user_id,
            "user_name": item.user_name,
            "conversation_id": item.conversation_id,
            "instance": name,
            "asked_at": item.asked_at,
            "expires_in_s": round(item.expires_at - now),
        }
        for name, pairing in _all(home, instance)
        for item in pairing.read().pending
        if not item.denied and not item.expired(now)
    ]


def _paired(home: Home, instance: str | None) -> list[dict[str, Any]]:
    return [
        {**asdict(item), "instance": name} for name, pairing in _all(home, instance) for item in pairing.read().paired
    ]


def _all(home: Home, instance: str | None) -> list[tuple[str, Pairing]]:
    """The instances that somebody asked for a pairing. ConfigError when the one that is named is none of them."""
    from connectors.parts.pairing import FILE, Pairing

    names = sorted(path.parent.name for path in home.state.glob(f"*/{FILE}"))
    if instance is not None and instance not in names:
        raise ConfigError(
            f"nobody has asked {instance!r} for a pairing", hint="connectors pair list, connectors status"
        )
    return [(name, Pairing(home.state_dir(name))) for name in names if instance in (None, name)]


def _holder(home: Home, code: str, instance: str | None) -> tuple[str, Pairing]:
    """The instance that gave this code away."""
    found: list[tuple[str, Pairing, Pending]] = []
    for name, pairing in _all(home, instance):
        pending = pairing.find(code)
        if pending is not None:
            found.append((name, pairing, pending))
    if not found:
        raise NotFound(f"there is no code {code!r}: mistyped, or expired", hint=_ASK_AGAIN)
    now = time.time()
    alive = [one for one in found if not one[2].denied and not one[2].expired(now)] or found[:1]
    if len(alive) > 1:
        raise Ambiguous(f"{', '.join(name for name, *_ in alive)} gave the code {code!r}", hint="say --instance NAME")
    return alive[0][:2]


def _who(person: Any) -> str:
    return named(person.user_id, person.user_name[:_NAME_SHOWN])


def _name(row: dict[str, Any]) -> str:
    return str(row["user_name"])[:_NAME_SHOWN]
