"""The one outbound HTTP client, hardened: see `OutboundHttp` for what it refuses.

requests prepares and reads; it sends through its own adapter, never through a Session, because a
Session follows redirects, keeps cookies and reads the environment. Beneath it the sockets are ours:
they dial only where they may, and they know how much time is left (`http_socket`).

What remains: a server may close a kept-alive connection in the very moment a request is being sent
on it. A GET is then sent once more, on a new connection. A POST is never sent twice: it fails as
`broken` with `sent=True`, and the caller has to treat it as in doubt. To make that rare, a
connection is used again only within 20 seconds and only if the server has not closed it by then.
"""

import logging
import re
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPException
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as PoolTimeoutError

from mooring.adapters.http_address import is_loopback, is_public
from mooring.adapters.http_socket import CALL, Call, Limits, dial, secure, tls_context
from mooring.core.ports import HttpFault, HttpRequest, HttpResponse

BODY_BYTES = 262_144
IDLE_SECONDS = 20.0
ORIGINS, IDLE_PER_ORIGIN = 100, 25
"""As many as a batch of the refresh queue has messages: one provider may be called by each at once."""
_METHODS = ("GET", "POST", "DELETE")
_ENCODINGS = ("", "identity", "gzip", "x-gzip", "deflate")
_URL = re.compile(r"https?://[!-~]+")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OURS = (
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "expect",
    "te",
    "upgrade",
)


class _Plain(HTTPConnection):
    """An http connection over a socket of ours."""

    idle_since = (0.0, 0.0)

    def _new_conn(self) -> Any:
        return dial(self.host, self.port or 80, CALL.get())


class _Tls(HTTPSConnection):
    """An https connection over a socket of ours; one TLS context serves the whole process."""

    idle_since = (0.0, 0.0)

    def connect(self) -> None:
        """Dial, and prove who answers, before a byte of the request goes out."""
        call = CALL.get()
        plain = dial(self.host, self.port or 443, call)
        if self.ssl_context is None:  # never: the adapter gives every pool its context
            raise HttpFault("tls", sent=False)
        self.sock = secure(plain, self.ssl_context, self.host, call.limits)
        self.is_verified = True


class _Aging:
    """A pool that lets go of connections which waited too long for their next request."""

    idle_seconds = IDLE_SECONDS

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection: Any = super()._get_conn(timeout)  # type: ignore[misc]
        if connection.sock is not None and _idle(connection.idle_since) >= self.idle_seconds:
            connection.close()
        return connection

    def _put_conn(self, connection: Any) -> None:
        if connection is not None:
            connection.idle_since = _clocks()
        super()._put_conn(connection)  # type: ignore[misc]


class _PlainPool(_Aging, HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(_Aging, HTTPSConnectionPool):
    ConnectionCls = _Tls


class _Adapter(HTTPAdapter):
    """requests' adapter on our pools: no retry, no proxy, and one TLS context that is never reloaded."""

    def __init__(self, ca_file: str, idle_seconds: float) -> None:
        self._ca_file = ca_file
        self._idle_seconds = idle_seconds
        self._context: ssl.SSLContext | None = None
        self._lock = Lock()
        super().__init__(pool_connections=ORIGINS, pool_maxsize=IDLE_PER_ORIGIN, max_retries=0)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}

    def get_connection_with_tls_context(self, request: Any, *_args: Any, **_settings: Any) -> Any:
        """The pool of the request's origin."""
        if request.url.startswith("https:"):
            self.poolmanager.connection_pool_kw["ssl_context"] = self.context()
        pool: Any = self.poolmanager.connection_from_url(request.url)
        pool.idle_seconds = self._idle_seconds
        return pool

    def cert_verify(self, *_args: Any, **_settings: Any) -> None:
        """Nothing to set: the context always checks certificate and host name."""

    def context(self) -> ssl.SSLContext:
        """The TLS context of the process, made when the first call needs it."""
        with self._lock:
            # About 50 ms, so only once.
            self._context = self._context or tls_context(self._ca_file)
            return self._context


class OutboundHttp:
    """Calls providers. One per process: it holds the TLS context and the kept-alive connections.

    It refuses: any URL that is not https on a host the request names, addresses outside the public
    internet, bad certificates, header injection, bodies of more than 256 KiB (decompressed), and
    every call that takes longer in total than it may. It follows no redirect, keeps no cookie,
    repeats nothing but a GET on a connection that had gone stale, and reads no environment variable,
    proxy setting or netrc. A request marked local may use http, and reaches nothing but loopback.

    Args:
        ca_file: path of the trusted certificates (PEM); certifi's by default.
        idle_seconds: how long a connection may wait for its next request.
    """

    def __init__(self, ca_file: str | None = None, idle_seconds: float = IDLE_SECONDS) -> None:
        _quieten()
        self._adapter = _Adapter(ca_file or certifi.where(), idle_seconds)

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request once and read the whole answer; a 3xx is an answer like any other.

        Raises:
            HttpFault: without URL, header or body in it.
        """
        prepared = _prepared(request)
        call = Call(Limits(request.deadline), is_loopback if request.local else is_public)
        try:
            return self._send(prepared, call)
        except HttpFault as fault:
            stale = fault.kind == "broken" and not call.dialled and not call.limits.received
            if request.method != "GET" or not stale:
                raise
        return self._send(prepared, call)

    def close(self) -> None:
        """Close every connection that is kept alive."""
        self._adapter.close()

    def _send(self, prepared: requests.PreparedRequest, call: Call) -> HttpResponse:
        token = CALL.set(call)
        try:
            # No proxies, and no time limit of requests' own: each read and write has the call's.
            return _read(self._adapter.send(prepared, stream=True, timeout=None, proxies={}).raw)
        except HttpFault as fault:
            raise HttpFault(fault.kind, sent=fault.sent or call.limits.sent) from None
        except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            timeout = isinstance(error, (requests.Timeout, PoolTimeoutError, TimeoutError))
            raise HttpFault("timeout" if timeout else "broken", sent=call.limits.sent) from None
        finally:
            CALL.reset(token)


def _prepared(request: HttpRequest) -> requests.PreparedRequest:
    """The request as it goes out, if it may be sent at all."""
    if request.method not in _METHODS or not _clean(request.headers):
        raise HttpFault("refused_request", sent=False)
    try:
        parts = urlsplit(request.url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise HttpFault("refused_address", sent=False) from None
    if (
        not host
        or not _URL.fullmatch(request.url)
        or "\\" in request.url
        or parts.netloc not in request.hosts
    ):
        raise HttpFault("refused_address", sent=False)
    if parts.scheme != "https" and not request.local:
        raise HttpFault("refused_address", sent=False)
    headers = {"User-Agent": "Mooring", **request.headers, "Accept-Encoding": "identity"}
    try:
        return requests.Request(request.method, request.url, headers=headers, data=request.body).prepare()
    except (requests.RequestException, ValueError):
        raise HttpFault("refused_request", sent=False) from None


def _clean(headers: Mapping[str, str]) -> bool:
    return all(
        _HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value) and name.lower() not in _OURS
        for name, value in headers.items()
    )


def _read(response: HTTPResponse) -> HttpResponse:
    """The whole answer, within the cap; the connection goes back to its pool only when all was read."""
    whole = False
    try:
        if response.status < 200:
            # An interim answer: the real one is still to come, and would meet the next request.
            raise HTTPException
        found = {name.lower(): value for name, value in response.headers.items()}
        if any(_CONTROL.search(value) for value in found.values()):
            raise HTTPException
        # One layer at most: each further one multiplies what a small body can blow up to.
        if found.get("content-encoding", "").strip().lower() not in _ENCODINGS:
            raise HTTPException
        body = response.read(BODY_BYTES + 1, decode_content=True)
        if len(body) > BODY_BYTES:
            raise HttpFault("too_large", sent=True)
        whole = True
        # A cookie would be of no use to anybody here, and may be a secret.
        found.pop("set-cookie", None)
        return HttpResponse(response.status, found, body)
    finally:
        if not whole:
            response.close()
        response.release_conn()


def _clocks() -> tuple[float, float]:
    # A frozen Lambda may stop the one clock; an adjusted machine may set back the other.
    return time.monotonic(), time.time()


def _idle(since: tuple[float, float]) -> float:
    return max(now - then for now, then in zip(_clocks(), since, strict=True))


def _quieten() -> None:
    # Above WARNING, because urllib3 warns of malformed headers with URL and header in the message.
    for name in ("urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.ERROR)
