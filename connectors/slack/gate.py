"""Whether an event may come in: what Slack said, in the words of the rules that all platforms share."""

from __future__ import annotations

from collections.abc import Callable

from connectors.parts.access import ANY, Access, AccessOptions, Approach, Verdict
from connectors.slack.incoming import Incoming, Known

#: Who does one of these speaks to the connector, and may be told how to be let in.
_SPEECH = frozenset({"message", "command", "button"})


class Gate:
    """`knows(event id)`: whether an event was let in before; who sees a post hears of its edits and reactions too."""

    def __init__(self, access: Access, options: AccessOptions, knows: Callable[[str], bool]) -> None:
        self._access = access
        self._options = options
        self.knows = knows

    def admit(self, incoming: Incoming, known: Known) -> Verdict:
        """The verdict of the rules; `known` are the names that are at hand."""
        if incoming.gate == "none":
            return Verdict(True)
        message = incoming.message
        sender, here = message.sender, message.conversation
        mentions, why = incoming.mentions_me, incoming.why
        if not mentions and incoming.about and self.knows(incoming.about):
            mentions, why = True, "known"
        place = here.name or (known.places[here.id].name if here.id in known.places else "")
        return self._access.admit(
            Approach(
                sender_id=sender.id if self._may_ask(incoming) else "",
                conversation_id=here.id,
                direct=incoming.direct,
                mentions_me=mentions or incoming.gate == "place",
                is_bot=sender.is_bot,
                sender_name=sender.display_name or (known.users[sender.id].shown if sender.id in known.users else ""),
                conversation_name=f"#{place}" if place and not incoming.direct else place,
                why=why,
                event_id=message.id,
            )
        )

    def _may_ask(self, incoming: Incoming) -> bool:
        """A stranger who only opens the bot's page, or reacts, is not sent a pairing code."""
        sender = incoming.message.sender.id
        if not incoming.direct or incoming.message.kind in _SPEECH or self._options.direct != "pair":
            return True
        users = self._options.allow.users
        return sender in users or ANY in users or self._access.pairing.is_paired(sender)
