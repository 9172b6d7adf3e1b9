"""HTTP/1.1 on the wire, as far as a proxy needs it that changes nothing: where a message begins and ends."""

import json
import re
from asyncio import StreamReader
from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus
from typing import NamedTuple

PIECE = 65_536
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d+)", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:[ \t]*[^\r\n]*chunked", re.IGNORECASE | re.MULTILINE)
_CLOSE = re.compile(rb"^connection:[ \t]*[^\r\n]*close", re.IGNORECASE | re.MULTILINE)
_BODILESS = frozenset({204, 304})


class BrokenMessage(Exception):  # noqa: N818 - the peer broke it
    """A message ended before its end."""


class Request(NamedTuple):
    """A request, to the byte as it came."""

    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        """`GET`, `POST` …"""
        return self.head.partition(b" ")[0].decode("latin-1")

    @property
    def path(self) -> str:
        """The request target, query included."""
        return self.head.split(b" ", 2)[1].decode("latin-1")

    @property
    def keeps_alive(self) -> bool:
        """Whether another request may follow on the same connection."""
        return b" HTTP/1.1\r\n" in self.head and not _CLOSE.search(self.head)

    def header(self, name: str) -> str:
        """The first value of a header, or nothing."""
        found = re.search(rb"(?im)^" + re.escape(name.encode()) + rb":[ \t]*([^\r\n]*)", self.head)
        return found[1].decode("latin-1") if found else ""


async def read_request(reader: StreamReader) -> Request | None:
    """The next request of a connection; None when there is none.

    Raises:
        BrokenMessage: it ended in the middle.
    """
    head = await _head(reader)
    if not head:
        return None
    body = b"".join([piece async for piece in _body(reader, head, until_close=False)])
    return Request(head, body)


async def answer(reader: StreamReader, method: str) -> AsyncGenerator[bytes]:
    """An answer as it comes, unchanged: its head, then its body in pieces. Interim answers are passed over.

    Raises:
        BrokenMessage: it ended in the middle.
    """
    head, status = await _head(reader), 0
    while head and (status := int(head.split(b" ", 2)[1])) < HTTPStatus.OK:
        head = await _head(reader)
    if not head:
        raise BrokenMessage
    yield head
    if method != "HEAD" and status not in _BODILESS:
        async for piece in _body(reader, head, until_close=True):
            yield piece


def ends_connection(head: bytes) -> bool:
    """Whether an answer with this head is the last of its connection."""
    if int(head.split(b" ", 2)[1]) in _BODILESS:
        return bool(_CLOSE.search(head))
    http_10 = not head.startswith(b"HTTP/1.1") and b"keep-alive" not in head.lower()
    return http_10 or bool(_CLOSE.search(head)) or not (_LENGTH.search(head) or _CHUNKED.search(head))


def made(status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    """An answer with this body; its length stands in it unless `headers` say otherwise."""
    named = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def aws_error(status: int, code: str) -> bytes:
    """An error as AWS's JSON protocols write it."""
    body = json.dumps({"__type": code, "message": "made to fail"}).encode()
    named = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-ErrorType": code}
    return made(status, body, {**named, "x-amzn-RequestId": "made-to-fail"})


async def _head(reader: StreamReader) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = await reader.readline()
        if not line and not head:
            return b""
        if not line.endswith(b"\n"):
            raise BrokenMessage
        head += line
    return head


async def _body(reader: StreamReader, head: bytes, *, until_close: bool) -> AsyncGenerator[bytes]:
    if _CHUNKED.search(head):
        async for piece in _chunks(reader):
            yield piece
    elif length := _LENGTH.search(head):
        left = int(length[1])
        while left:
            piece = await reader.read(min(left, PIECE))
            if not piece:
                raise BrokenMessage
            left -= len(piece)
            yield piece
    elif until_close:
        while piece := await reader.read(PIECE):
            yield piece


async def _chunks(reader: StreamReader) -> AsyncGenerator[bytes]:
    """The chunks with their framing, the last one and the trailer included."""
    while True:
        line = await _line(reader)
        yield line
        left = int(line.split(b";")[0], 16)
        if left == 0:
            break
        left += 2
        while left:
            piece = await reader.read(min(left, PIECE))
            if not piece:
                raise BrokenMessage
            left -= len(piece)
            yield piece
    while (line := await _line(reader)) != b"\r\n":
        yield line
    yield line


async def _line(reader: StreamReader) -> bytes:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise BrokenMessage
    return line
