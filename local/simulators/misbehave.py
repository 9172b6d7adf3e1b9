"""Misbehaviour on demand: what a provider's endpoint may do to us, on the wire.

`times` requests of an endpoint get the mode instead of its real work (so a code stays unspent). Two modes
do the real work first: `bom` puts a byte order mark in front of the answer, and `lost` resets the
connection instead of answering, so that only the provider knows what it has issued.
"""

import copy
import gzip
import json
import select
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from threading import Event, Lock
from typing import Any

from flask import Response, request

from local.simulators.server import reset_on_close

ENDPOINTS = frozenset({"token", "api", "revoke"})
HUGE_BYTES = 5_000_000
BOMB_BYTES = 64_000_000
DEPTH = 100_000
DRIP_SECONDS = 0.5
BOM = b"\xef\xbb\xbf"


class Sample:
    """What a misbehaving endpoint distorts: a good answer, the place of its main value, an error answer."""

    def __init__(self, answer: Mapping[str, Any], field: tuple[str, ...], error: Mapping[str, Any]) -> None:
        self.answer = answer
        self.field = field
        self.error = error

    def with_value(self, value: object) -> dict[str, Any]:
        """The good answer with another main value."""
        answer: dict[str, Any] = copy.deepcopy(dict(self.answer))
        self._holder(answer)[self.field[-1]] = value
        return answer

    def without_value(self) -> dict[str, Any]:
        """The good answer without its main value."""
        answer: dict[str, Any] = copy.deepcopy(dict(self.answer))
        del self._holder(answer)[self.field[-1]]
        return answer

    def _holder(self, answer: dict[str, Any]) -> dict[str, Any]:
        for name in self.field[:-1]:
            answer = answer[name]
        return answer


class Misbehaviour:
    """The misbehaviours that are waiting, per endpoint, first in first out."""

    def __init__(self) -> None:
        self.stopping = Event()
        self._lock = Lock()
        self._waiting: dict[str, deque[str]] = {name: deque() for name in ENDPOINTS}

    def plan(self, endpoint: str, mode: str, times: int) -> None:
        """Let the next `times` requests of `endpoint` misbehave; 0 forgets what was planned for it.

        Raises:
            ValueError: unknown endpoint or mode, or `times` outside 0 to 1,000.
        """
        if endpoint not in ENDPOINTS:
            raise ValueError(f"endpoint is one of: {', '.join(sorted(ENDPOINTS))}")
        if mode not in MODES:
            raise ValueError(f"mode is one of: {', '.join(sorted(MODES))}")
        if not 0 <= times <= 1_000:
            raise ValueError("times is between 0 and 1000")
        with self._lock:
            if times == 0:
                self._waiting[endpoint].clear()
            self._waiting[endpoint].extend([mode] * times)

    def take(self, endpoint: str) -> str | None:
        """The mode that the present request has to show, used up by this call; None for none."""
        with self._lock:
            waiting = self._waiting.get(endpoint)
            return waiting.popleft() if waiting else None

    def perform(self, mode: str, sample: Sample) -> Response:
        """The response that shows `mode`; raw modes take the socket over once it is being sent."""
        if mode in _SHAPES:
            return _SHAPES[mode](sample)
        return Response(_TakeOver(_RAW[mode], self.stopping))

    def distort(self, mode: str, response: Response) -> Response:
        """What becomes of a good response under one of the `WORKING` modes."""
        if mode == "lost":
            return Response(_TakeOver(_reset, self.stopping))
        response.set_data(BOM + response.get_data())
        return response

    def clear(self) -> None:
        """Forget what was planned."""
        with self._lock:
            for waiting in self._waiting.values():
                waiting.clear()


def _json(body: object, status: int = 200, **headers: str) -> Response:
    return Response(json.dumps(body), status, headers, mimetype="application/json")


def _raw_json(body: bytes, **headers: str) -> Response:
    return Response(body, 200, headers, mimetype="application/json")


def _html(_: Sample) -> Response:
    return Response("<!doctype html><title>Maintenance</title><p>We will be back soon.", 200)


def _wrong_types(sample: Sample) -> Response:
    return _json(sample.with_value({"not": ["a", "string"]}) | {"expires_in": "soon", "scope": 7})


def _redirect(_: Sample) -> Response:
    return Response("", 302, {"Location": "/elsewhere"})


def _truncated(sample: Sample) -> Response:
    body = json.dumps(dict(sample.answer)).encode()
    return _raw_json(body[: len(body) // 2])


def _deep(_: Sample) -> Response:
    return _raw_json(b'{"access_token":' + b"[" * DEPTH + b"]" * DEPTH + b"}")


@cache
def _bomb() -> bytes:
    return gzip.compress(b'{"access_token":"' + b"a" * BOMB_BYTES + b'"}', compresslevel=1)


def _gzip_bomb(_: Sample) -> Response:
    return _raw_json(_bomb(), **{"Content-Encoding": "gzip"})


def _error(status: int, code: str, **headers: str) -> Callable[[Sample], Response]:
    return lambda sample: _json({**sample.error, "error": code}, status, **headers)


_SHAPES: dict[str, Callable[[Sample], Response]] = {
    "error_200": lambda sample: _json(dict(sample.error)),
    "html_200": _html,
    "empty_token": lambda sample: _json(sample.with_value("")),
    "missing_token": lambda sample: _json(sample.without_value()),
    "huge": lambda sample: _json(sample.with_value("a" * HUGE_BYTES)),
    "redirect": _redirect,
    "http_500": _error(500, "server_error"),
    "http_503": _error(503, "temporarily_unavailable"),
    "http_429": _error(429, "rate_limited", **{"Retry-After": "2"}),
    "invalid_client": _error(401, "invalid_client"),
    "invalid_grant": _error(400, "invalid_grant"),
    "truncated_json": _truncated,
    "wrong_types": _wrong_types,
    "deep_json": _deep,
    "gzip_bomb": _gzip_bomb,
}


class _TakeOver:
    """A response body that writes to the socket itself and never yields: werkzeug sends no head then."""

    def __init__(self, act: Callable[[socket.socket, Event], None], stopping: Event) -> None:
        self._act = act
        self._connection: socket.socket = request.environ["werkzeug.socket"]
        self._stopping = stopping

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._act(self._connection, self._stopping)
        raise ConnectionAbortedError("this connection is done for")


def _drip(head: bytes) -> Callable[[socket.socket, Event], None]:
    def act(connection: socket.socket, stopping: Event) -> None:
        connection.sendall(head)
        while not stopping.wait(DRIP_SECONDS):
            connection.sendall(b"a")

    return act


def _silence(connection: socket.socket, stopping: Event) -> None:
    while not stopping.wait(0.1) and not _peer_gone(connection):
        pass


def _reset(connection: socket.socket, _: Event) -> None:
    reset_on_close(connection)


def _peer_gone(connection: socket.socket) -> bool:
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""


_DRIP_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

_RAW: dict[str, Callable[[socket.socket, Event], None]] = {
    "drip_body": _drip(_DRIP_HEAD + b"Content-Length: 1000000\r\n\r\n{"),
    "drip_headers": _drip(_DRIP_HEAD + b"X-Slow: "),
    "silence": _silence,
    "reset": _reset,
}

WORKING = frozenset({"bom", "lost"})
"""Modes that do the endpoint's real work first."""
MODES = frozenset(_SHAPES) | frozenset(_RAW) | WORKING
"""Every mode that can be planned."""
