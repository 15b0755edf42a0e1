"""Methods about who is who: api.test, auth.test, bots.info, apps.connections.open, users.*.

https://docs.slack.dev/reference/methods/auth.test, …/bots.info, …/users.info, …/users.list,
…/apps.connections.open (an app-level token with connections:write; the answer is a URL for one connection).
"""

from __future__ import annotations

from connectors.testing.slack.api import Args, SlackError, method, page
from connectors.testing.slack.state import Json, World


@method("api.test", owner="nobody")
def api_test(_world: World, args: Args) -> Json:
    """Says the arguments back; `error` makes it fail with that word."""
    if "error" in args:
        raise SlackError(args.text("error"), args=args.values)
    return {"args": args.values}


@method("auth.test")
def auth_test(world: World, _args: Args) -> Json:
    """Who the token belongs to."""
    return {
        "url": "https://fakes.slack.com/",
        "team": world.team_name,
        "user": world.bot_name,
        "team_id": world.team_id,
        "user_id": world.bot_user,
        "bot_id": world.bot_id,
        "is_enterprise_install": False,
    }


@method("bots.info", scope="users:read")
def bots_info(world: World, args: Args) -> Json:
    """What a bot id stands for."""
    bot = world.bots.get(args.text("bot", world.bot_id))
    if bot is None:
        raise SlackError("bot_not_found")
    return {"bot": bot}


@method("apps.connections.open", scope="connections:write", owner="app")
def apps_connections_open(world: World, _args: Args) -> Json:
    """A URL for one socket."""
    return {"url": world.new_socket_url()}


@method("users.info", scope="users:read")
def users_info(world: World, args: Args) -> Json:
    """One user."""
    user = world.users.get(args.text("user"))
    if user is None:
        raise SlackError("user_not_found")
    return {"user": user}


@method("users.list", scope="users:read")
def users_list(world: World, args: Args) -> Json:
    """All users, in pages."""
    members, cursor = page(list(world.users.values()), args, default=1000, most=1000)
    return {"members": members, "cache_ts": 0, "response_metadata": {"next_cursor": cursor}}
