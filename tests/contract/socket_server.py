"""An HTTP server made of bare sockets, so that a test decides every byte and every pause."""

import contextlib
import socket
import ssl
from collections.abc import Callable
from threading import Event, Thread

type Answer = Callable[[socket.socket], bool]
"""Writes an answer to the connection; False hangs up, True waits for the next request."""


class SocketServer:
    """Answers each request with the next of its `answers`, and the last one for ever.

    `heads` and `bodies` are the requests it read, `connections` how many were accepted.
    """

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answers = list(answers)
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.hung_up = Event()
        self._tls = tls
        self._stopped = Event()
        self._open: list[socket.socket] = []
        self._threads: list[Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self._start(self._accept)

    def stop(self) -> None:
        """Stop, whatever a connection is waiting for."""
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def pause(self, seconds: float) -> bool:
        """Wait; False once the server stops."""
        return not self._stopped.wait(seconds)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            while self._read(connection) and self._next()(connection):
                pass
        except OSError:
            pass
        finally:
            connection.close()
            self.hung_up.set()

    def _next(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def _read(self, connection: socket.socket) -> bool:
        """Read one request. False when the client has gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65_536)
            if not more:
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].split(b":")[1]) if lengths else 0
        while len(body) < length:
            body += connection.recv(65_536)
        self.heads.append(head)
        self.bodies.append(body)
        return True


def plain(data: bytes, *, stay: bool = False) -> Answer:
    """Write `data` as it is, then hang up (or stay)."""

    def answer(connection: socket.socket) -> bool:
        connection.sendall(data)
        return stay

    return answer


def response(
    status: int = 200, body: bytes = b"{}", headers: dict[str, str] | None = None, *, stay: bool = True
) -> Answer:
    """A proper response, after which the connection stays open."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.title()}: {value}" for name, value in (headers or {}).items()]
    return plain("\r\n".join([*lines, "", ""]).encode() + body, stay=stay)


def hang_up(connection: socket.socket) -> bool:
    """Close the connection without a word."""
    del connection
    return False
