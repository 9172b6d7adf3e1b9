"""A server that should speak TLS, with something wrong about it, and with an ear for plain text."""

import contextlib
import re
import socket
import ssl
import threading
from pathlib import Path
from typing import Literal, Self

from tests.contract.certificates import Authority

HOST = "localhost"
_HANDSHAKE = 22
"""The type of the record that begins TLS (RFC 8446 5.1)."""
_SECONDS = 20
_LENGTH = re.compile(rb"(?im)^content-length: *(\d+)")
_HEAD_BYTES = 65_536

Kind = Literal["expired", "wrong_host", "handshake_cut", "good"]


class TlsEnd:
    """An https end on loopback, with a certificate from an authority of its own.

    Args:
        kind: `expired` and `wrong_host` are about its certificate; `handshake_cut` hangs up after the first
            record; with `good` all is well.
        folder: an empty folder for keys and certificates.
        body: what it answers to every request.
    """

    def __init__(self, kind: Kind, folder: Path, body: bytes = b"{}") -> None:
        authority = Authority(folder)
        self.ca_file = authority.ca_file
        """What a client has to trust so that nothing but `kind` is wrong."""
        self.connections = 0
        self.requests: list[bytes] = []
        """The heads of the requests that came through TLS."""
        self.plain_text: list[bytes] = []
        """What came without TLS."""
        self._authority = authority
        self.turn(kind)
        self._body = body
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.netloc = f"{HOST}:{self.port}"
        self.url = f"https://{self.netloc}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def turn(self, kind: Kind) -> None:
        """Be of another kind from the next connection on."""
        self.kind: Kind = kind
        host = "elsewhere.example" if kind == "wrong_host" else HOST
        self._context = self._authority.server(host, days=-1 if kind == "expired" else 10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_SECONDS)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            connection.settimeout(_SECONDS)
            # One after the other: that is enough for a test, and keeps the lists in order.
            with contextlib.suppress(OSError), connection:
                self._meet(connection)

    def _meet(self, connection: socket.socket) -> None:
        first = connection.recv(1, socket.MSG_PEEK)
        if first and first[0] != _HANDSHAKE:
            self.plain_text.append(connection.recv(_HEAD_BYTES))
        elif self.kind == "handshake_cut":
            connection.recv(_HEAD_BYTES)
        elif first:
            with self._context.wrap_socket(connection, server_side=True) as secure:
                self._answer(secure)

    def _answer(self, secure: ssl.SSLSocket) -> None:
        got = b""
        while not _whole(got) and (piece := secure.recv(_HEAD_BYTES)):
            got += piece
        if not got:
            return
        self.requests.append(got.partition(b"\r\n\r\n")[0])
        named = b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close" % len(self._body)
        secure.sendall(b"HTTP/1.1 200 OK\r\n" + named + b"\r\n\r\n" + self._body)


def _whole(got: bytes) -> bool:
    """Whether a request is there with all of its body; what is left unread would reset the connection."""
    head, end, body = got.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)
