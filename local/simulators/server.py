"""A WSGI app on 127.0.0.1 in a daemon thread, without a line of log."""

import socket
import struct
from threading import Thread
from typing import TYPE_CHECKING, Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HOST = "127.0.0.1"
_LINGER = struct.Struct("ii")
_NO_LINGER = _LINGER.pack(1, 0)


def reset_on_close(connection: socket.socket) -> None:
    """Make the coming close of this connection a TCP reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: the terminal belongs to the stack's own lines."""

    def connection_dropped(self, *_: object, **__: object) -> None:
        """Do not wait for another request on a connection that is broken."""
        self.close_connection = True


class _Server(ThreadedWSGIServer):
    def shutdown_request(self, request: Any) -> None:
        """Close at once where a reset is wanted; an orderly shutdown would send FIN first."""
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.size) == _NO_LINGER:
            self.close_request(request)
        else:
            super().shutdown_request(request)


class LoopbackServer:
    """Serves an app until `stop`.

    Args:
        app: the WSGI app.
        port: TCP port on 127.0.0.1; 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, app: "WSGIApplication", port: int = 0) -> None:
        # Bound here and handed over, because werkzeug exits the whole process on a taken port.
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            listener.listen(128)
            self._server = _Server(HOST, 0, app, _QuietHandler, fd=listener.fileno())
        finally:
            listener.close()
        self.port: int = self._server.port
        self.url = f"http://{HOST}:{self.port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and free the port; a second call does nothing."""
        self._server.shutdown()
        self._thread.join(timeout=5)
