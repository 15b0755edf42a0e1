"""The process that carries out `routes:`: an independent reader of the inbox that writes into outboxes.

It reads as an observer: a cursor whose acknowledgement deletes nothing. An event is acknowledged when what its routes
made of it lies durably in the outboxes. The outgoing's id and file name come from the route and the event, so a process
that dies between the two sends nothing twice.

What cannot be sent on (a place of the template that the event has nothing for, an outbox or a prompt file that is not
there) is not acknowledged: it is tried again now and then, and when connectors.yml changes, and the state says why.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, cast

import yaml

from connectors.base.checks.finding import Finding, Level
from connectors.base.connector import Connector
from connectors.base.cursor import Observer
from connectors.base.errors import BadMessage, ConfigError, Rejected
from connectors.base.kept import retire
from connectors.base.message import OutgoingMessage, Receipt
from connectors.base.outgoings import answer, put
from connectors.base.readers import Event
from connectors.base.steps import step
from connectors.base.watch import Watch
from connectors.parts.templates import NothingThere, render
from connectors.services.routes.firsts import Firsts
from connectors.services.routes.rules import Route, RoutesOptions

#: The inbox is looked at anyway after this time; what could not be sent on is tried again after the shorter one.
LOOK_EVERY_S = 15.0
AGAIN_S = 2.0
#: So many events are acknowledged together.
_TOGETHER = 100
#: What keeps an event from being sent on until something is mended.
_TROUBLE = (NothingThere, BadMessage, ConfigError)


class RoutesConnector(Connector):
    """Routes: events that are sent on by the rules of connectors.yml, without an agent."""

    connector_type = "routes"
    version = "1"
    setup_help = "Write routes: into connectors.yml; its README has the keys."
    Options = RoutesOptions

    _cursor: Observer | None = None
    _firsts: Firsts | None = None

    def connect(self) -> None:
        """Open the cursor: at its first start it gets all that nobody has acknowledged."""
        self._cursor = Observer(self._home, self.name, logger=self.logger)
        self._firsts = Firsts(self.state_dir / "firsts.db")

    def disconnect(self) -> None:
        """Safe twice."""
        for part in (self._cursor, self._firsts):
            if part is not None:
                part.close()

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        """Nothing is sent here: routes write into the outboxes of others."""
        raise Rejected("routes send nothing themselves", hint="drop it into the outbox of an instance that sends")

    def stop(self) -> None:
        """Also out of the wait for the next event."""
        super().stop()
        self._news.set()

    def run_loop(self) -> None:
        """Route what is there and what arrives, until stopped."""
        watch = Watch([self._home.inbox], self._news.set, logger=self.logger)
        watch.start()
        try:
            while self._running:
                self._news.clear()
                self._pass()
                self._news.wait(AGAIN_S if self._stuck else LOOK_EVERY_S)
        finally:
            watch.stop()

    def diagnose(self) -> Iterator[Finding]:
        """Prompt files that are not there. (That the instances are there is `connectors validate`'s to say.)"""
        for route in self._routes:
            where = f"routes: {route.name}"
            try:
                self._prompt(route, {})
            except NothingThere:
                continue  # what it asks for comes with the event
            except ConfigError as error:
                yield Finding(Level.ERROR, "routes", str(error), where, error.hint or "mend prompt_file")

    @cached_property
    def _news(self) -> threading.Event:
        return threading.Event()

    @cached_property
    def _stuck(self) -> dict[str, str]:
        """File name of an event that could not be sent on -> why."""
        return {}

    @cached_property
    def _sent_on(self) -> dict[str, set[str]]:
        """File name of such an event -> the routes by which it has been sent on, which do it no second time."""
        return {}

    @property
    def _routes(self) -> list[Route]:
        return cast(RoutesOptions, self.options).routes

    # ── one look at the inbox ─────────────────────────────────────────────────────────────────────────────────

    def _pass(self) -> None:
        """Each event that was not acknowledged, in the order of their names."""
        if self._cursor is None:
            return
        done: list[Event] = []
        before, self._stuck = self._stuck, {}
        for event in self._cursor.events(again=before):
            if not self._running:
                break
            try:
                consumed = self._route(event)
            except _TROUBLE as error:
                self._stick(event, error, before)
                continue
            if consumed:
                retire(self._home, self._cursor.cursors, self._home.inbox / event.path.name)
                step("route.retired")
            done.append(event)
            if len(done) == _TOGETHER:
                self._cursor.ack_all(done)
                done.clear()
        self._cursor.ack_all(done)
        step("route.acked")
        self._sent_on = {name: sent for name, sent in self._sent_on.items() if name in self._stuck}
        self._tell(before)

    def _route(self, event: Event) -> bool:
        """Send the event on by every route that takes it; one that cannot keeps no other from it.

        Returns whether one of them consumes it. Raises the first trouble.
        """
        done = self._sent_on.setdefault(event.path.name, set())
        consumed, trouble = False, None
        for route in self._routes:
            if not route.when.takes(event.data):
                continue
            consumed |= route.consume
            if route.name in done:
                continue
            try:
                self._send_once(route, event)
                done.add(route.name)
            except _TROUBLE as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble
        return consumed

    def _send_once(self, route: Route, event: Event) -> None:
        """Unless it is like another event that was sent on."""
        key = route.dedupe.key(event.data) if route.dedupe is not None else None
        if route.dedupe is not None and key is not None and self._firsts is not None:
            first = self._firsts.first(route.name, key, event.id, route.dedupe.window_s)
            step("route.first")
            if first != event.id:
                self.logger.info("route %s: %s is like %s, which was sent on", route.name, event.id, first)
                return
        self._send_on(route, event)

    def _send_on(self, route: Route, event: Event) -> None:
        prompt = self._prompt(route, event.data)
        fields = route.then.outgoing({**event.data, **prompt, "route": {"name": route.name}})
        given = fields.pop("metadata", {})
        if not isinstance(given, dict):
            raise BadMessage("metadata must be a mapping")
        fields["metadata"] = {**given, "route": route.name, "event_id": event.id}
        outgoing_id = route.outgoing_id(event.data)
        outgoing = answer(event, {**fields, "id": outgoing_id})
        path = put(self._home, outgoing, event=event, name=f"{outgoing_id}.json")
        step("route.put")
        self.logger.info("route %s: %s to %s as %s", route.name, event.id, route.then.outbox, path.name)

    def _prompt(self, route: Route, data: Mapping[str, Any]) -> dict[str, Any]:
        """`prompt`, filled in, and `prompt_meta`, its front matter. Raises ConfigError for a file that is none."""
        if route.then.prompt_file is None:
            return {}
        path = self._home.root / route.then.prompt_file
        try:
            text = path.read_text(encoding="utf-8-sig")
            meta: Any = {}
            if text.startswith("---\n") and (end := text.find("\n---\n", 3)) >= 0:
                meta, text = yaml.safe_load(text[4 : end + 1]), text[end + 5 :]
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigError(
                f"the prompt file of route {route.name} cannot be read: {error}",
                hint=f"make {path}, or mend prompt_file in connectors.yml (it is relative to that file)",
            ) from None
        return {"prompt": render(text, data, strict=True), "prompt_meta": meta}

    # ── what cannot be sent on ────────────────────────────────────────────────────────────────────────────────

    def _stick(self, event: Event, error: Exception, before: Mapping[str, str]) -> None:
        why = str(error)
        self._stuck[event.path.name] = why
        if before.get(event.path.name) != why:
            hint = getattr(error, "hint", None)
            self.logger.warning("%s cannot be sent on: %s%s", event.id, why, f"; {hint}" if hint else "")

    def _tell(self, before: Mapping[str, str]) -> None:
        if self._stuck:
            count = len(self._stuck)
            why = next(iter(self._stuck.values()))
            note = f"{count} event{'s' if count > 1 else ''} cannot be sent on, the first: {why}"
            self.report_state("stuck", note)
        elif before:
            self.report_state("connected")
