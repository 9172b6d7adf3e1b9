"""Functions in the real Lambda runtime: as many processes per function as there are concurrent requests.

`local/emulator.py` says what one process is and is not.
"""

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.emulator import Emulator, EmulatorLostError, FunctionSpec, InvocationResult, process_ended
from local.logs import FunctionLog

__all__ = ["FunctionSpec", "InvocationResult", "RuntimePool", "ThrottledError"]


class ThrottledError(Exception):
    """Every process of a pool stayed busy; Lambda would answer "rate exceeded"."""


class RuntimePool:
    """The processes of one function: grows with concurrent requests up to a limit, keeps what is warm.

    Args:
        spec: the function.
        log_path: every line that the function writes is appended there.
        limit: processes at most; a request that finds all busy waits for one.
        wait_seconds: how long such a request waits.
    """

    def __init__(
        self, spec: FunctionSpec, *, log_path: Path, limit: int = 8, wait_seconds: float = 30.0
    ) -> None:
        self.spec = spec
        self._log = FunctionLog(log_path)
        self._limit = limit
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._idle: list[Emulator] = []
        self._all: set[Emulator] = set()
        self._starting = 0
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def size(self) -> int:
        """Processes alive now."""
        with self._changed:
            return len(self._all)

    def invoke(self, event: bytes | Mapping[str, Any]) -> InvocationResult:
        """Run the function once, in a warm process if there is one.

        Args:
            event: JSON bytes, or what becomes JSON.

        Raises:
            ThrottledError: all processes stayed busy, or the pool is stopped.
            ProcessError: a new process does not start.
        """
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        emulator = self._take()
        while not emulator.alive:
            self._give_back(emulator, keep=False)
            emulator = self._take()
        started = time.perf_counter()
        keep = False
        try:
            result = emulator.invoke(body)
            # After a crash or a timeout Lambda gives the next request a new sandbox; so do we.
            keep = not process_ended(result.error)
        except EmulatorLostError as lost:
            duration_ms = (time.perf_counter() - started) * 1000
            document = json.dumps({"errorType": "Runtime.Lost", "errorMessage": str(lost)})
            cold = emulator.served == 1
            result = InvocationResult(document.encode(), "Runtime.Lost", (), duration_ms, cold)
        finally:
            self._give_back(emulator, keep=keep)
        return result

    def stop(self) -> None:
        """End every process; later invocations raise `ThrottledError`."""
        with self._changed:
            self._stopped = True
            emulators, self._all = self._all, set()
            self._idle.clear()
            self._changed.notify_all()
        for emulator in emulators:
            emulator.stop()
        self._log.close()

    def _take(self) -> Emulator:
        with self._changed:
            free = self._changed.wait_for(
                lambda: self._stopped or self._idle or len(self._all) + self._starting < self._limit,
                self._wait_seconds,
            )
            if not free or self._stopped:
                raise ThrottledError(self.spec.name)
            if self._idle:
                return self._idle.pop()
            self._starting += 1
        return self._start()

    def _start(self) -> Emulator:
        emulator = None
        try:
            emulator = Emulator(self.spec, self._log)
        finally:
            with self._changed:
                self._starting -= 1
                late = self._stopped
                if emulator is not None and not late:
                    self._all.add(emulator)
                self._changed.notify()
        if late:
            emulator.stop()
            raise ThrottledError(self.spec.name)
        return emulator

    def _give_back(self, emulator: Emulator, *, keep: bool) -> None:
        with self._changed:
            known = emulator in self._all
            if known and keep:
                self._idle.append(emulator)
            elif known:
                self._all.remove(emulator)
            self._changed.notify()
        if not keep and known:
            emulator.stop()
