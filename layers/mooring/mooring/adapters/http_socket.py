"""Sockets that know their limits: one total deadline and a cap on what they read.

The deadline is set anew before every single read and write, to what is left of the whole call. So
it ends a server that drips its headers or its body byte by byte, without a thread to watch over it.
Only looking up a name needs one (the resolver knows no deadline); it ends with the resolver's own
timeout at the latest, and nobody waits for it longer than the call may take.
"""

import socket
import ssl
import time
from collections.abc import Callable
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, cast

from mooring.core.ports import HttpFault

if TYPE_CHECKING:
    from collections.abc import Buffer

CONNECT_SECONDS = 3.0
READ_SECONDS = 8.0
WIRE_BYTES = 1_048_576
MAX_ADDRESSES = 4

type Address = tuple[socket.AddressFamily, tuple[Any, ...]]


class Limits:
    """What one call may still do, and what it has done so far.

    Args:
        seconds: the total time, from now to the last byte.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self.sent = False
        self.received = 0

    def left(self, at_most: float) -> float:
        """Seconds left, but not more than `at_most`. Raises `TimeoutError` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, at_most)

    def count(self, received: int) -> int:
        """Note bytes that came off the wire. Raises `HttpFault` (too_large) past the cap."""
        self.received += received
        if self.received > WIRE_BYTES:
            raise HttpFault("too_large", sent=True)
        return received


class Call:
    """The call under way: its limits, the addresses it may reach, and whether it dialled anew."""

    def __init__(self, limits: Limits, permitted: Callable[[str], bool]) -> None:
        self.limits = limits
        self.permitted = permitted
        self.dialled = False


CALL: ContextVar[Call] = ContextVar("call")
"""The call under way in this thread; sockets ask it for the time that is left."""


class LimitedSocket(socket.socket):
    """A TCP socket under the limits of the call that uses it now; outside of a call it does nothing."""

    def recv_into(self, buffer: "Buffer", nbytes: int | None = None, flags: int = 0) -> int:
        """Read, no longer and no more than the call may."""
        limits = self._arm()
        return limits.count(super().recv_into(buffer, nbytes or memoryview(buffer).nbytes, flags))

    def send(self, data: "Buffer", flags: int = 0) -> int:
        """Write some of `data`, no longer than the call may."""
        self._arm().sent = True
        return super().send(data, flags)

    def sendall(self, data: "Buffer", flags: int = 0) -> None:
        """Write all of `data`, no longer than the call may."""
        self._arm().sent = True
        super().sendall(data, flags)

    def _arm(self) -> Limits:
        call = CALL.get(None)
        if call is None:
            raise TimeoutError
        self.settimeout(call.limits.left(READ_SECONDS))
        return call.limits


class LimitedTlsSocket(LimitedSocket, ssl.SSLSocket):
    """The same over TLS."""


def tls_context(ca_file: str) -> ssl.SSLContext:
    """A client context: certificate and host name checked, TLS 1.2 at least, no environment read.

    `ssl.create_default_context` would honour `SSLKEYLOGFILE` and `SSL_CERT_FILE`; this does not.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    context.sslsocket_class = LimitedTlsSocket
    context.set_alpn_protocols(["http/1.1"])
    context.load_verify_locations(cafile=ca_file)
    return context


def dial(host: str, port: int, call: Call) -> LimitedSocket:
    """A connected socket, to an address that the call may reach.

    Raises:
        HttpFault: refused_address, connect or timeout; nothing was sent.
    """
    limits, permitted = call.limits, call.permitted
    call.dialled = True
    until = time.monotonic() + CONNECT_SECONDS
    addresses = [address for address in _resolve(host, port, limits) if permitted(address[1][0])][
        :MAX_ADDRESSES
    ]
    if not addresses:
        raise HttpFault("refused_address", sent=False)
    fault = HttpFault("connect", sent=False)
    for position, address in enumerate(addresses):
        # A silent first address leaves an equal share of the time for each of the others.
        share = (until - time.monotonic()) / (len(addresses) - position)
        try:
            return _connected(address, limits.left(max(share, 0.001)), permitted)
        except TimeoutError:
            fault = HttpFault("timeout", sent=False)
        except OSError:
            fault = HttpFault("connect", sent=False)
    raise fault


def secure(plain: LimitedSocket, context: ssl.SSLContext, host: str, limits: Limits) -> LimitedSocket:
    """The same connection under TLS, once the server has proved to be `host`.

    Raises:
        HttpFault: tls or timeout; nothing was sent.
    """
    try:
        plain.settimeout(limits.left(CONNECT_SECONDS))
        tls = context.wrap_socket(plain, server_hostname=host)
    except (OSError, ValueError) as error:
        plain.close()
        raise HttpFault("timeout" if isinstance(error, TimeoutError) else "tls", sent=False) from None
    return cast(LimitedTlsSocket, tls)


def _connected(address: Address, seconds: float, permitted: Callable[[str], bool]) -> LimitedSocket:
    family, where = address
    sock = LimitedSocket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect(where)
        # Head and body leave in two writes; Nagle's algorithm would hold back the second.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not permitted(sock.getpeername()[0]):
            raise HttpFault("refused_address", sent=False)
    except BaseException:
        sock.close()
        raise
    return sock


def _resolve(host: str, port: int, limits: Limits) -> list[Address]:
    answers: SimpleQueue[list[Address] | None] = SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([(family, where) for family, _, _, _, where in found])
        except (OSError, UnicodeError):
            answers.put(None)

    try:
        seconds = limits.left(CONNECT_SECONDS)
        Thread(target=look_up, name="mooring-resolver", daemon=True).start()
        answer = answers.get(timeout=seconds)
    except (Empty, TimeoutError):
        raise HttpFault("timeout", sent=False) from None
    if answer is None:
        raise HttpFault("connect", sent=False)
    return answer
