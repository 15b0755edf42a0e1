"""Programs in any language as connectors: what they print comes in, what they read goes out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from connectors.base.checks.finding import Finding, Level
from connectors.base.declaration import Capabilities
from connectors.base.errors import ConfigError, Rejected, RetryLater
from connectors.base.message import Message, OutgoingMessage, Receipt
from connectors.base.sending import Sending
from connectors.command import running
from connectors.command.files import Files
from connectors.command.lines import TooLong
from connectors.command.options import CommandOptions, Words, check_program
from connectors.command.program import Program
from connectors.command.protocol import Reader, start_line
from connectors.command.refused import Refused
from connectors.command.streaming import Stream
from connectors.parts.emitting import Counts
from connectors.parts.polling import PollResult, SourceConnector
from connectors.parts.runs import Report


class CommandConnector(SourceConnector):
    """Any program that prints JSON lines is a source, any that reads them is a target: connectors in any language."""

    connector_type = "command"
    version = "1"
    capabilities = Capabilities(attachments_in=True, attachments_out=True)
    parallel_sends = 4
    setup_help = "Nothing is needed but a program; the README has examples in bash, awk, Node and Python."
    Options = CommandOptions

    # ── the contract ──────────────────────────────────────────────────────────────────────────────────────────

    def connect(self) -> None:
        """Look whether the programs are there. Raises ConfigError."""
        for _, words in self._commands():
            check_program(words, self.folder, self._environment())
            if any(self.redactor.redact(word) != word for word in words):
                self.logger.warning("a command has the value of a variable: others can see it; see the option env")

    def diagnose(self) -> Iterable[Finding]:
        """Whether the programs, and the folder that they run in, are there."""
        where = str(self._home.config_file)
        for option, words in self._commands():
            try:
                check_program(words, self.folder, self._given.environment(os.environ))
            except ConfigError as error:
                yield Finding(Level.ERROR, "platform", f"{self.name}: {option}: {error}", where, error.hint)

    def run_loop(self) -> None:
        """Keep the program running, or run it when it is due, until stopped."""
        if self._given.command is None:
            self.wait()
        elif self._stream is None:
            super().run_loop()
        else:
            emitter = self._turns[0].emitter
            emitter.open()
            try:
                self._stream.loop()
            finally:
                emitter.close()

    def stop(self) -> None:
        """Also wakes who listens to the program."""
        super().stop()
        stream = self.__dict__.get("_stream")
        if stream is not None:
            stream.wake()

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        """Give it to the program. Raises what the program says became of it."""
        given = self._given
        if given.send_command is not None:
            try:
                program = self._start(given.send_command, {})
            except OSError as error:
                raise RetryLater(f"{self.send_program} cannot be started: {error}") from error
            with program:
                return running.send(self, program, msg, given.send_timeout_s)
        if given.send_lines and self._stream is not None:
            return self._stream.send(msg, given.send_timeout_s)
        raise Rejected(
            f"{self.name} sends nothing",
            hint="set send_lines: true, if its program also reads outgoings, or send_command",
        )

    def sends_once(self) -> bool:
        """As the operator says of the program."""
        return bool(self.get_config("idempotent"))

    def poll(self, checkpoint: Any) -> PollResult:
        """One run of the program; of one that runs all the time, one life."""
        command = self._given.command
        if command is None:
            raise ConfigError(f"{self.name} has no command that brings anything in", hint="set command")
        if self._stream is not None:
            self._stream.live(checkpoint)
        else:
            with self._start_source(checkpoint) as program:
                running.poll(self, program, self._given.run_limit_s)
        return PollResult()

    # ── for its parts ─────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def reader(self) -> Reader:
        """What its lines mean."""
        return Reader(self.connector_type, self.name, self._given.fields)

    @cached_property
    def folder(self) -> Path:
        """Where the programs run. Raises ConfigError."""
        return self._given.folder(Path(os.path.abspath(self.seed_home)))

    @cached_property
    def attachable(self) -> Files:
        """What they may hand over. Raises ConfigError."""
        return Files.of(self._home, self.folder, self._files_dir, self._given.attachment_roots)

    @property
    def program(self) -> str:
        """The name of what brings events."""
        return _name(self._given.command)

    @property
    def send_program(self) -> str:
        """The name of what takes outgoings."""
        return _name(self._given.send_command)

    def run_once(self) -> Report:
        """One life of the program that runs all the time. Raises how it ended."""
        return self._turns[0].once.run()

    def take_messages(self, messages: Sequence[Message], checkpoint: tuple[str, Any] | None) -> None:
        """Events as the mailbox has them: each comes once."""
        self.write_all_to_inbox(messages, checkpoint)
        known = self._open_runtime().intake.known
        new = sum(message.id not in known for message in messages)
        self._turns[0].once.count(Counts(new, 0, len(messages) - new))

    def refuse(self, line: bytes | TooLong, why: str) -> None:
        """A line that means nothing, while all others do."""
        self.keep_refused(line, why)
        if self._refused.is_worth_a_line():
            self.logger.error("line refused: it %s (%d so far, see %s)", why, self._refused.count, self._refused.path)
        self._open_runtime().status.error(
            f"{self.program}: a line was refused: it {why}", hint=f"it is kept in {self._refused.path}", kind="BadLine"
        )

    def keep_refused(self, line: bytes | TooLong, why: str) -> None:
        """Keep what a program printed in vain."""
        with suppress(OSError):  # the disk is full: then the log has to do
            self._refused.keep(line, why)
        self._open_runtime().status.count("refused")

    def show_program(self, pid: int) -> None:
        """In the status: which process it is."""
        self._open_runtime().status.update(program={"name": self.program, "pid": pid})

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def _stream(self) -> Stream | None:
        given = self._given
        if given.command is None or given.schedule is not None:
            return None
        return Stream(self, self._start_source, grace_s=given.stop_grace_s)

    @cached_property
    def _refused(self) -> Refused:
        return Refused(self.state_dir)

    @property
    def _files_dir(self) -> Path:
        return self.state_dir / "files"

    def _commands(self) -> list[tuple[str, list[str]]]:
        """The options, and what is started."""
        both = {"command": self._given.command, "send_command": self._given.send_command}
        return [(name, self._given.words(command)) for name, command in both.items() if command is not None]

    @property
    def _given(self) -> CommandOptions:
        return cast(CommandOptions, self.options)

    def _start_source(self, checkpoint: Any) -> Program:
        """Start the program that brings events. Raises OSError when the system has no process left."""
        program = self._start(self._given.command or "", {"checkpoint": json.dumps(checkpoint)})
        program.write(start_line(self.name, checkpoint))
        return program

    def _start(self, command: Words, variables: dict[str, str]) -> Program:
        name = _name(command)
        return Program(
            self._given.words(command),
            cwd=self.folder,
            environment=self._environment(**variables),
            on_error=lambda line: self.logger.info("%s: %s", name, line),
            max_line_bytes=self._given.max_line_bytes,
        )

    def _environment(self, **more: str) -> dict[str, str]:
        state = self.state_dir / "program"
        self._home.make(state, self._files_dir, private=True)
        home, files = os.path.abspath(self.seed_home), self._files_dir.absolute()
        return self._given.environment(
            os.environ, home=home, instance=self.name, state=state.absolute(), files=files, **more
        )

    def _sending(self) -> Sending:
        """With the actions that the operator names. What runs all the time is never due: `sync` has nothing to do."""
        own = super()._sending()
        sending = replace(own, actions=own.actions | set(self._given.actions))
        if self._stream is None:
            return sending

        def send(msg: OutgoingMessage) -> object:
            return Receipt(metadata=Report().to_dict()) if msg.action == "sync" else own.send(msg)

        return replace(sending, send=send, pace=None)


def _name(command: Words | None) -> str:
    words = command.split() if isinstance(command, str) else command
    return os.path.basename(words[0]) if words else "the program"


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=CommandConnector.__doc__)
    parser.add_argument("--seed-home", default=".")
    parser.add_argument("--name", default="command")
    args = parser.parse_args()
    CommandConnector(name=args.name, seed_home=args.seed_home).run()
