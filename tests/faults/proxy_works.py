"""What the proxy does with one request under each action."""

import asyncio
import contextlib
import gzip
import io
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import lru_cache, singledispatchmethod

from tests.faults import actions
from tests.faults.proxy_wire import PIECE, BrokenMessage, Request, answer, aws_error, made

_LINE_BYTES = 1_048_576
_LOOK_SECONDS, _GONE_SECONDS = 0.01, 0.1
_DRIPS_PER_SECOND = 10
_CHUNK = b"1000\r\n" + b" " * 4096 + b"\r\n"
_NO_LINGER = struct.pack("ii", 1, 0)


def reset(writer: StreamWriter) -> None:
    """End a connection with a TCP RST."""
    with contextlib.suppress(OSError):
        own: socket.socket = writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


class Exchange:
    """One request on its way.

    Args:
        request: as it came.
        reader: from the caller; at its end when the caller has hung up.
        writer: to the caller.
        upstream: host and port of the other side.
        reach: called when a `Hold` holds it.
    """

    def __init__(
        self,
        request: Request,
        reader: StreamReader,
        writer: StreamWriter,
        upstream: tuple[str, int],
        reach: Callable[[], None],
    ) -> None:
        self._request = request
        self._reader = reader
        self._writer = writer
        self._upstream = upstream
        self._reach = reach

    async def run(self, action: actions.Action | None) -> bytes:
        """Do it; the answer's head, or nothing when the connection is not to be used any more."""
        return await (self._pass_on() if action is None else self._do(action))

    @singledispatchmethod
    async def _do(self, action: object) -> bytes:
        raise TypeError(f"there is no such action: {action}")

    @_do.register
    async def _(self, action: actions.Delay) -> bytes:
        await asyncio.sleep(action.seconds)
        return await self._send(await self._forward())

    @_do.register
    async def _(self, action: actions.DelayAnswer) -> bytes:
        whole = await self._forward()
        await asyncio.sleep(action.seconds)
        return await self._send(whole)

    @_do.register
    async def _(self, _: actions.BlackHole) -> bytes:
        # Until the caller hangs up; what it still says is swallowed.
        while await self._reader.read(PIECE):
            pass
        return b""

    @_do.register
    async def _(self, action: actions.Drip) -> bytes:
        whole = await self._forward()
        size = max(1, int(action.bytes_per_second / _DRIPS_PER_SECOND))
        for start in range(0, len(whole), size):
            if self._gone():
                return b""
            await self._send(whole[start : start + size])
            await asyncio.sleep(size / action.bytes_per_second)
        return _head(whole)

    @_do.register
    async def _(self, action: actions.Cut) -> bytes:
        await self._send((await self._forward())[: action.after_bytes])
        return b""

    @_do.register
    async def _(self, _: actions.Reset) -> bytes:
        reset(self._writer)
        return b""

    @_do.register
    async def _(self, _: actions.LoseAnswer) -> bytes:
        await self._forward()
        reset(self._writer)
        return b""

    @_do.register
    async def _(self, action: actions.Respond) -> bytes:
        return await self._send(made(action.status, action.body, action.headers))

    @_do.register
    async def _(self, action: actions.Garble) -> bytes:
        await self._forward()
        return await self._send(made(200, action.body, action.headers))

    @_do.register
    async def _(self, action: actions.TooBig) -> bytes:
        await self._forward_if(action.forward)
        return await self._send(made(200, await asyncio.to_thread(_big, action.n_bytes), {}))

    @_do.register
    async def _(self, action: actions.GzipBomb) -> bytes:
        await self._forward_if(action.forward)
        # Packing takes a while, and other requests are not to wait for it.
        packed = await asyncio.to_thread(_bomb, action.n_bytes)
        return await self._send(made(200, packed, {"Content-Encoding": "gzip"}))

    @_do.register
    async def _(self, action: actions.EndlessChunks) -> bytes:
        await self._forward_if(action.forward)
        await self._send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not self._gone():
            await self._send(_CHUNK)
            await asyncio.sleep(0)
        return b""

    @_do.register
    async def _(self, action: actions.RedirectLoop) -> bytes:
        where = f"http://{self._request.header('Host')}{self._request.path}"
        return await self._send(made(action.status, b"", {"Location": where}))

    @_do.register
    async def _(self, action: actions.AwsError) -> bytes:
        return await self._send(aws_error(action.status, action.code))

    @_do.register
    async def _(self, action: actions.AwsErrorAfter) -> bytes:
        await self._forward()
        return await self._send(aws_error(action.status, action.code))

    @_do.register
    async def _(self, action: actions.Hold) -> bytes:
        whole = await self._forward() if action.when == "after" else b""
        self._reach()
        while not action.gate.is_set():  # noqa: ASYNC110 - the gate belongs to another thread
            await asyncio.sleep(_LOOK_SECONDS)
        # By now the end of a killed caller has arrived, if it was killed before the gate was opened.
        await asyncio.sleep(_LOOK_SECONDS)
        if self._gone():
            return b""
        return await (self._send(whole) if whole else self._pass_on())

    async def _forward_if(self, wanted: bool) -> None:
        if wanted:
            await self._forward()

    async def _forward(self) -> bytes:
        """The whole answer of the other side; the caller has none of it yet."""
        return b"".join([piece async for piece in self._pieces()])

    async def _pass_on(self) -> bytes:
        """The answer as it comes, unless the caller hangs up meanwhile; gives back its head."""
        head = b""
        async with aclosing(self._pieces()) as pieces:
            while piece := await self._next(pieces):
                head = head or piece
                await self._send(piece)
        return head

    async def _next(self, pieces: AsyncGenerator[bytes]) -> bytes:
        coming = asyncio.ensure_future(anext(pieces, b""))
        while not coming.done():
            await asyncio.wait({coming}, timeout=_GONE_SECONDS)
            if not coming.done() and self._gone():
                coming.cancel()
                await asyncio.wait({coming})
                raise BrokenMessage
        return coming.result()

    async def _pieces(self) -> AsyncGenerator[bytes]:
        reader, writer = await asyncio.open_connection(*self._upstream, limit=_LINE_BYTES)
        try:
            writer.write(self._request.head + self._request.body)
            await writer.drain()
            async for piece in answer(reader, self._request.method):
                yield piece
        finally:
            writer.close()

    def _gone(self) -> bool:
        """Whether the caller has hung up."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def _send(self, some: bytes) -> bytes:
        """Send bytes of an answer; gives back its head if they begin with it."""
        self._writer.write(some)
        await self._writer.drain()
        return _head(some)


def _head(whole: bytes) -> bytes:
    head, end, _ = whole.partition(b"\r\n\r\n")
    return head + end if end else b""


@lru_cache(maxsize=2)
def _big(n_bytes: int) -> bytes:
    return b'{"access_token":"' + b"a" * (n_bytes - 19) + b'"}'


@lru_cache(maxsize=2)
def _bomb(n_bytes: int) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6) as writing:
        writing.write(b'{"access_token":"')
        for _ in range(n_bytes // 1_000_000):
            writing.write(b"a" * 1_000_000)
        writing.write(b'"}')
    return packed.getvalue()
