"""The `cli` connector's Unix socket, and the client that `connectors chat` is. JSON lines both ways: {"text": "…"}."""

from __future__ import annotations

import json
import logging
import os
import selectors
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

from connectors.base.errors import ConfigError
from connectors.base.logbook import visible
from connectors.base.message import OutgoingMessage

_LINE_MAX = 1_000_000
#: unix(7): sun_path holds 108 bytes on Linux, 104 on BSD and macOS.
_PATH_MAX = 100


def socket_path(folder: Path) -> Path:
    """Where an instance's socket is: in its state folder, or, when that path is too long, where a note there says."""
    path = folder / "chat.sock"
    if len(os.fsencode(path)) <= _PATH_MAX:
        return path
    note = folder / "chat.sock.path"
    return Path(note.read_text().strip()) if note.exists() else path


class ChatServer:
    """Serves all that attach; what they type is received, what is shown goes to all of them."""

    def __init__(
        self, folder: Path, receive: Callable[[str], None], *, on_attach: Callable[[], None], logger: logging.Logger
    ) -> None:
        self._folder = folder
        self._receive = receive
        self._on_attach = on_attach
        self._logger = logger
        self._lock = threading.Lock()
        self._clients: dict[socket.socket, bytes] = {}
        self._path: Path | None = None

    def serve(self, stop: threading.Event) -> None:
        """Until `stop` is set. Only the owner of the state folder (0700) can reach the socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server, selectors.DefaultSelector() as selector:
            self._path = self._bind(server)
            self._logger.info("listening on %s; attach with `connectors chat`", self._path)
            selector.register(server, selectors.EVENT_READ)
            while not stop.is_set():
                for key, _ in selector.select(timeout=0.5):
                    if key.fileobj is server:
                        client, _ = server.accept()
                        client.settimeout(5)
                        selector.register(client, selectors.EVENT_READ)
                        with self._lock:
                            self._clients[client] = b""
                        self._on_attach()
                    else:
                        client = cast(socket.socket, key.fileobj)
                        if not self._read(client):
                            selector.unregister(client)
                            self._drop(client)

    def show(self, msg: OutgoingMessage) -> bool:
        """Send to all that are attached; False when nobody is."""
        line = json.dumps({"text": msg.text, "reply_to": msg.reply_to, "conversation_id": msg.conversation_id})
        with self._lock:
            clients = list(self._clients)
        shown = False
        for client in clients:
            try:
                client.sendall(line.encode() + b"\n")
                shown = True
            except OSError:
                self._logger.debug("a chat client is gone")
        return shown

    def close(self) -> None:
        """Drop the clients and the socket's file; safe twice."""
        for client in list(self._clients):
            self._drop(client)
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _read(self, client: socket.socket) -> bool:
        try:
            data = client.recv(65536)
        except OSError:
            data = b""
        *lines, rest = (self._clients.get(client, b"") + data).split(b"\n")
        for line in lines:
            try:
                text = json.loads(line)["text"]
            except (ValueError, KeyError, TypeError):
                continue
            self._receive(str(text))
        with self._lock:
            if client in self._clients:
                self._clients[client] = rest
        return bool(data) and len(rest) < _LINE_MAX

    def _drop(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.pop(client, None)
        client.close()

    def _bind(self, server: socket.socket) -> Path:
        path = self._folder / "chat.sock"
        note = self._folder / "chat.sock.path"
        note.unlink(missing_ok=True)
        if len(os.fsencode(path)) > _PATH_MAX:
            path = Path(tempfile.mkdtemp(prefix="mailbox-")) / "chat.sock"  # mkdtemp makes it 0700
            note.write_text(f"{path}\n")
        path.unlink(missing_ok=True)  # a killed process leaves it; the instance's lock says that nobody else uses it
        server.bind(os.fspath(path))
        os.chmod(path, 0o600)
        server.listen(8)
        return path


def attach(folder: Path) -> None:
    """Talk to a running `cli` instance: lines of stdin go in, what it shows comes out. Ends with stdin or the server.

    Raises ConfigError when nothing listens.
    """
    path = socket_path(folder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        try:
            server.connect(os.fspath(path))
        except OSError as error:
            raise ConfigError(
                f"nothing listens on {path} ({error.strerror})",
                hint="start it: `connectors run </dev/null`; on a terminal `connectors run` is the chat itself",
            ) from error
        _talk(server)


def _talk(server: socket.socket) -> None:
    terminal = sys.stdin.isatty()
    buffered = {"in": b"", "out": b""}
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        try:
            selector.register(0, selectors.EVENT_READ)
        except PermissionError:  # epoll(7) takes no regular files: those are read at once
            _send_lines(server, sys.stdin.buffer.read())
        if terminal:
            _show("> ")
        while True:
            for key, _ in selector.select():
                if key.fileobj is server:
                    data = server.recv(65536)
                    if not data:
                        return
                    *lines, buffered["out"] = (buffered["out"] + data).split(b"\n")
                    for line in lines:
                        text = visible(json.loads(line)["text"], keep="\n\t")
                        _show(f"\r\x1b[K{text}\n> " if terminal else f"{text}\n")
                else:
                    data = os.read(0, 65536)
                    if not data:
                        _send_lines(server, buffered["in"])
                        if terminal:
                            _show("\n")
                        return
                    *lines, buffered["in"] = (buffered["in"] + data).split(b"\n")
                    _send_lines(server, b"\n".join(lines))
                    if terminal:
                        _show("> ")


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _send_lines(server: socket.socket, data: bytes) -> None:
    for line in data.split(b"\n"):
        if line:
            server.sendall(json.dumps({"text": line.decode("utf-8", "backslashreplace")}).encode() + b"\n")
