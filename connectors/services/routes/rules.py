"""The section `routes:` of connectors.yml, and what becomes of one event by it. Pure: no I/O.

routes:
  - name: review
    when:
      source: github-main                       # instances; left out: any
      type: resource.changed                    # the event's `event.type`
      filter: {event.provenance.author_type: team_member}
    then:
      outbox: team-slack                        # all other keys are fields of the outgoing
      conversation_id: C0123456789
      text: "{{ event.payload.title }}: {{ event.source_url | no link }}"
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, get_args

from pydantic import ConfigDict, ValidationInfo, field_validator, model_validator

from connectors.base import options
from connectors.base.message import Kind, OutgoingMessage
from connectors.base.options import option
from connectors.base.problems import did_you_mean, nearest
from connectors.parts.bodies import look_up
from connectors.parts.events import TYPES
from connectors.parts.schedule import ScheduleError, parse_interval
from connectors.parts.templates import as_text, render
from connectors.services.routes.conditions import Test, all_hold, any_holds, compile_conditions

#: What an outgoing itself gives rise to: a route that took it by default would answer its own answers.
NOT_BY_DEFAULT = frozenset({"delivery", "action_result"})
#: The route makes these itself.
_OWN = frozenset({"id", "connector_instance", "ambiguous", "idempotency_key"})
_FIELDS = frozenset(OutgoingMessage.model_fields) - _OWN


class When(options.Options):
    """Which events a route takes: all that is given has to hold."""

    source: list[str] = option([], description="Instances; left out: any.")
    type: list[str] = option([], description="Of the event's event.type, such as resource.changed; left out: any.")
    kind: list[str] = option([], description="Of the event's kind; left out: any but delivery and action_result.")
    filter: dict[str, Any] = option({}, description="Dotted path: value, list of values, /pattern/ or null.")
    exclude: dict[str, Any] = option({}, description="Like filter; one that holds is enough to leave the event out.")

    @field_validator("type", "kind")
    @classmethod
    def _exists(cls, value: list[str], info: ValidationInfo) -> list[str]:
        known = TYPES if info.field_name == "type" else get_args(Kind)
        for word in value:
            if word not in known:
                near = did_you_mean(nearest(word, known))
                raise ValueError(f'no event has the {info.field_name} "{word}"{near}; there are: {", ".join(known)}')
        return value

    @field_validator("filter", "exclude")
    @classmethod
    def _can_be_asked(cls, value: dict[str, Any]) -> dict[str, Any]:
        compile_conditions(value)
        return value

    @cached_property
    def _filter(self) -> dict[str, Test]:
        return compile_conditions(self.filter)

    @cached_property
    def _exclude(self) -> dict[str, Test]:
        return compile_conditions(self.exclude)

    def takes(self, data: Mapping[str, Any]) -> bool:
        """Whether an event, as its file has it, is one of these."""
        kind = data.get("kind") or "message"
        return (
            (not self.source or look_up(data, "connector.instance") in self.source)
            and (not self.type or look_up(data, "event.type") in self.type)
            and (kind in self.kind if self.kind else kind not in NOT_BY_DEFAULT)
            and not any_holds(self._exclude, data)
            and all_hold(self._filter, data)
        )


class Then(options.Options):
    """Where to, and with what: `outbox`, `prompt_file`, and the fields of the outgoing as templates."""

    model_config = ConfigDict(extra="allow")

    outbox: str = option(description="The instance that sends.")
    prompt_file: str | None = option(
        None, description="A text file, relative to connectors.yml; {{ prompt }}, and the text where none is given."
    )

    @model_validator(mode="after")
    def _are_fields(self) -> Then:
        for name in self.model_extra or {}:
            if name not in _FIELDS:
                raise ValueError(f'"{name}" is no field of an outgoing; there are: {", ".join(sorted(_FIELDS))}')
        return self

    def outgoing(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of the outgoing. Raises NothingThere for a place that the event has nothing for."""
        fields = render(dict(self.model_extra or {}), context, strict=True)
        if not {"text", "action", "attachments"} & fields.keys():
            prompt = context.get("prompt")
            fields["text"] = look_up(context, "content.text") or "" if prompt is None else prompt
        if fields.get("text") is not None:
            fields["text"] = as_text(fields["text"])
        return {"connector_instance": self.outbox, **fields}


class Dedupe(options.Options):
    """Of the events that have the same values at these paths, only the first is sent on."""

    by: list[str] = option(description="Dotted paths.")
    window: str | None = option(None, description="For so long after the first, such as 5m; left out: 30 days.")

    @field_validator("window")
    @classmethod
    def _is_interval(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_interval(value)
            except ScheduleError as error:
                raise ValueError(str(error)) from None
        return value

    @property
    def window_s(self) -> float:
        return 30 * 86_400.0 if self.window is None else parse_interval(self.window)

    def key(self, data: Mapping[str, Any]) -> str | None:
        """None when the event has nothing at any of the paths: then it is like no other."""
        values = [look_up(data, path) for path in self.by]
        return None if all(value is None for value in values) else json.dumps(values, sort_keys=True, default=str)


class Route(options.Options):
    """One rule."""

    name: str = option(description="In logs, and part of the outgoings' ids.", pattern=r"^[A-Za-z0-9][\w.-]{0,63}$")
    when: When = option(When(), description="Which events.")
    then: Then = option(description="Where they go, as what.")
    dedupe: Dedupe | None = option(None, description="By what events count as the same.")
    consume: bool = option(False, description="Whether the event is done with then, so that no agent gets it.")

    def outgoing_id(self, data: Mapping[str, Any]) -> str:
        """The same in every run, so that an event is sent on once."""
        named = json.dumps([self.name, look_up(data, "connector.instance"), data.get("id")])
        return "route-" + hashlib.sha256(named.encode()).hexdigest()[:32]


class RoutesOptions(options.Options):
    """The section as a whole."""

    routes: list[Route] = option(description="The rules, each asked about each event.")

    @field_validator("routes")
    @classmethod
    def _have_names(cls, value: list[Route]) -> list[Route]:
        names = [route.name for route in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f'two routes are named "{name}": outgoings take their ids from the name')
        return value
