"""A proxy that stands between Mooring and whom it calls, and breaks what a test wants broken.

It is a reverse proxy on a port of its own: callers take its address for the other side's. Where no fault
is planned it passes requests and answers on to the byte, the Host header included.
"""

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from local.callers import function_of
from tests.faults.actions import Action, Hold
from tests.faults.proxy_wire import BrokenMessage, Request, ends_connection, made, read_request
from tests.faults.proxy_works import Exchange, reset

HOST = "127.0.0.1"
_START_SECONDS = 10
_LINE_BYTES = 1_048_576
_CREDENTIAL = re.compile(r"\bCredential=([^/,\s]+)/")


class Seen(NamedTuple):
    """One request as it arrived.

    Attributes:
        method: `GET`, `POST` …
        path: the request target, query included.
        target: `X-Amz-Target`, or nothing.
        caller: the function whose access key signed it, or None.
        at: when its last byte came, on the monotonic clock.
    """

    method: str
    path: str
    target: str
    caller: str | None
    at: float


def fits(seen: Seen, path: str, target: str, caller: str | None) -> bool:
    """Whether a request is one of those (see `FaultProxy.fault`)."""
    asked = seen.path.startswith(path) and seen.target.endswith(target)
    return asked and caller in (None, seen.caller)


class Planned:
    """A planned fault: which requests it hits, and how often it did.

    Args:
        action: what happens to them.
        path: what the request target begins with.
        target: what `X-Amz-Target` ends with.
        caller: the function, or None for anybody.
        times: so many requests at most.
        skip: so many that it would hit pass first.
    """

    def __init__(
        self, action: Action, path: str, target: str, caller: str | None, times: int, skip: int
    ) -> None:
        self.action = action
        self.hits = 0
        self.seen: list[Seen] = []
        """The requests that were hit."""
        self.ports: list[int] = []
        """The callers' ports of the requests that were hit: who they are is found in /proc."""
        self._reached = 0
        self._path, self._target, self._caller = path, target, caller
        self._left, self._skip = times, skip
        self._changed = threading.Condition()

    def take(self, seen: Seen, port: int) -> bool:
        """Whether this request is hit; counted if it is."""
        if self._left <= 0 or not fits(seen, self._path, self._target, self._caller):
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        with self._changed:
            self._left -= 1
            self.hits += 1
            self.seen.append(seen)
            self.ports.append(port)
        if not isinstance(self.action, Hold):
            self.reach()
        return True

    def reach(self) -> None:
        """A request has come to where its fault is, which for a `Hold` may be after the answer."""
        with self._changed:
            self._reached += 1
            self._changed.notify_all()

    def wait_hit(self, seconds: float = 20, hits: int = 1) -> None:
        """Return when it has hit so often; requests of a `Hold` are held by then.

        Raises:
            AssertionError: it has not within that time.
        """
        with self._changed:
            hit = self._changed.wait_for(lambda: self._reached >= hits, seconds)
        assert hit, f"{self.action} hit {self._reached} requests in {seconds} seconds, not {hits}"


class FaultProxy:
    """The proxy, running in a thread of its own from the beginning.

    Args:
        upstream: origin that requests are passed on to (http); until there is one they get a 502.
    """

    def __init__(self, upstream: str | None = None) -> None:
        self.upstream = upstream
        self.seen: list[Seen] = []
        """Every request, oldest first."""
        self.chance: Callable[[Seen], Action | None] | None = None
        """Asked about each request that no plan hits; it runs in the proxy's thread."""
        self._plans: list[Planned] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        ready: Future[asyncio.Server] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="fault-proxy", daemon=True)
        self._thread.start()
        self._server = ready.result(_START_SECONDS)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @contextlib.contextmanager
    def fault(
        self,
        action: Action,
        *,
        path: str = "",
        target: str = "",
        caller: str | None = None,
        times: int = 1,
        skip: int = 0,
    ) -> Iterator[Planned]:
        """While it lasts, requests that fit meet `action`; of several plans the first that fits wins.

        Args:
            action: what happens to them.
            path: what the request target begins with.
            target: what `X-Amz-Target` ends with, such as `UpdateItem`.
            caller: the short name of a function.
            times: so many requests at most.
            skip: so many that fit pass first, of those that no earlier plan hit.
        """
        planned = Planned(action, path, target, caller, times, skip)
        with self._lock:
            self._plans.append(planned)
        try:
            yield planned
        finally:
            with self._lock:
                self._plans.remove(planned)

    @property
    def plans(self) -> list[Planned]:
        """What is planned now."""
        with self._lock:
            return list(self._plans)

    def count(self, *, path: str = "", target: str = "", caller: str | None = None) -> int:
        """How many requests fitted so far (see `fault`)."""
        return sum(fits(seen, path, target, caller) for seen in list(self.seen))

    def stop(self) -> None:
        """Close everything; a second call does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_START_SECONDS)

    def _run(self, ready: "Future[asyncio.Server]") -> None:
        asyncio.set_event_loop(self._loop)
        starting = asyncio.start_server(self._serve, HOST, 0, limit=_LINE_BYTES, backlog=256)
        ready.set_result(self._loop.run_until_complete(starting))
        try:
            self._loop.run_forever()
        finally:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
            self._loop.run_until_complete(asyncio.sleep(0.01))  # connections are closed one turn later
            self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except BrokenMessage:
            pass  # the caller or the other side ended in the middle: nothing more to say
        except OSError:
            reset(writer)  # one side was reset: so is the other
        except asyncio.CancelledError:
            reset(writer)  # the proxy stops
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether another may follow."""
        request = await read_request(reader)
        if request is None:
            return False
        action, reach = self._planned(request, writer.get_extra_info("peername")[1])
        if self.upstream is None and action is None:
            writer.write(made(502, b"", {"Connection": "close"}))
            return False
        address = urlsplit(self.upstream or "http://127.0.0.1:1")
        exchange = Exchange(request, reader, writer, (address.hostname or HOST, address.port or 80), reach)
        head = await exchange.run(action)
        return bool(head) and request.keeps_alive and not ends_connection(head)

    def _planned(self, request: Request, port: int) -> tuple[Action | None, Callable[[], None]]:
        seen = _seen(request)
        with self._lock:
            self.seen.append(seen)
            for plan in self._plans:
                if plan.take(seen, port):
                    return plan.action, plan.reach
        return (self.chance(seen) if self.chance else None), _nothing


def _nothing() -> None:
    """What was not planned reaches nobody's plan."""


def _seen(request: Request) -> Seen:
    signed = _CREDENTIAL.search(request.header("Authorization"))
    caller = function_of(signed[1]) if signed else None
    return Seen(request.method, request.path, request.header("X-Amz-Target"), caller, time.monotonic())
