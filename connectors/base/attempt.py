"""One attempt: files copied, text split, the attempt committed, sent; and what each answer of the platform means."""

from __future__ import annotations

import sqlite3
from typing import Any

from connectors.base.aftermath import Aftermath
from connectors.base.attachments import copy_outgoing
from connectors.base.errors import AuthError, ConfigError, Rejected, RetryLater
from connectors.base.files import check_writable
from connectors.base.lanes import Item
from connectors.base.logbook import visible
from connectors.base.outbound import Outbound
from connectors.base.queue import Queue
from connectors.base.sending import Paced, Progress, Sender, WrongReturn
from connectors.base.steps import step
from connectors.base.store import OutState, PartRow

#: A wait for the platform's pace of so long is worth telling.
_SHOWN_S = 2.0
_RETURN_HINT = "return True, False or a Receipt from send_message; then look on the platform whether it was sent"


class Attempts:
    """Makes them; raises OSError and sqlite3.OperationalError when one could not be recorded."""

    def __init__(self, outbound: Outbound, queue: Queue, aftermath: Aftermath, sender: Sender) -> None:
        self._out = outbound
        self._queue = queue
        self._aftermath = aftermath
        self._sender = sender
        home, name = outbound.home, outbound.name
        self._folder = home.sending(name)
        self._needed = (home.sent(name), home.staging(name), self._folder)

    def make(self, item: Item, progress: Progress) -> Exception | bool:
        """Send what was not sent yet of one outgoing. True when that was all; an error that ends the process."""
        row, store = progress.row, self._out.store
        check_writable(*self._needed)  # what cannot be recorded is not sent
        progress.attempts += 1
        parts = self._prepare(item, progress)
        if parts is None:
            return False
        begin: dict[str, Any] = {"begin_part": progress.parts_sent} if parts else {}
        store.update_outgoing(
            row.key,
            durable=True,
            state=OutState.SENDING,
            attempts=progress.attempts,
            id=progress.message.id,
            conversation_id=progress.message.conversation_id,
            **begin,
        )
        step("outbox.committed")
        return self._send(item, progress, parts)

    def _send(self, item: Item, progress: Progress, parts: list[PartRow]) -> Exception | bool:
        """What becomes of the committed attempt, by what `send_message` returns or raises."""
        row, store = progress.row, self._out.store
        try:
            self._sender.send(progress, parts)
        except Paced as pause:
            # Not a failure: the attempt goes on with the next part when its time has come.
            store.update_outgoing(
                row.key, durable=True, state=OutState.QUEUED, attempts=progress.attempts - 1, next_at=0.0, wait_s=0.0
            )
            self._queue.wait(item, pause.wait_s)
        except RetryLater as error:
            self._aftermath.failed(item, progress, error, ambiguous=error.ambiguous, after_s=error.after_s)
        except Rejected as error:
            self._aftermath.give_up(item, progress, error.reason_class, str(error), error.hint)
        except (AuthError, ConfigError) as error:
            # Not this outgoing's fault: it stays queued and the process ends with the error's code.
            store.update_outgoing(
                row.key, durable=True, state=OutState.QUEUED, attempts=progress.attempts - 1, error=str(error)
            )
            self._queue.wait(item, self._out.policy.max_delay_s)
            return error
        except WrongReturn as error:
            self._aftermath.give_up(item, progress, "bug", str(error), _RETURN_HINT)
        except Exception as error:  # the loop that owns recovery: a bug costs this outgoing an attempt
            self._out.logger.exception("send_message failed for %s", visible(row.file))
            self._aftermath.failed(item, progress, error, ambiguous=True)
        else:
            step("outbox.sent")
            receipt = self._sender.receipt(progress)
            if self._aftermath.sent(item, receipt):
                self._out.on_event("sent", conversation=receipt.conversation_id, file=row.file)
                return True
        return False

    def _prepare(self, item: Item, progress: Progress) -> list[PartRow] | None:
        """Its files copied, its text split. None: it ended, or it waits."""
        out, row = self._out, progress.row
        try:
            progress.message = copy_outgoing(out.home, out.limits, progress.message, self._folder, row.key)
            parts = self._sender.parts(row, progress.message)
            progress.parts_sent = sum(1 for part in parts if part.state == "sent")
            progress.ids = [i for part in parts if part.state == "sent" for i in part.ids]
            wait_s = 0.0 if parts and progress.parts_sent == len(parts) else self._sender.wait_s(progress, parts)
        except Rejected as error:
            self._aftermath.bury(item, row, error.reason_class, str(error), error.hint)
            return None
        except (OSError, sqlite3.Error):
            raise
        except Exception as error:  # a bug in the connector's `split`, say: it costs this outgoing an attempt
            out.logger.exception("%s could not be prepared", visible(row.file))
            self._aftermath.failed(item, progress, error, ambiguous=False)
            return None
        if wait_s > 0:
            if wait_s >= _SHOWN_S:
                out.store.update_outgoing(row.key, next_at=out.clock() + wait_s)  # for who asks: explain
            self._queue.wait(item, wait_s)
            return None
        return parts
