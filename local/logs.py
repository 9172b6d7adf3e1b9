"""What functions write: all of it into a file per function, an invocation's lines to its caller."""

import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

_PLATFORM = re.compile(r"(?:START|END|REPORT) RequestId: [0-9a-f-]{36}\b")
_INIT = re.compile(r"INIT REPORT\(durationMs: ([0-9.]+)\)")
#: What the emulator says of itself while all is well, and when it is told to end.
_CHATTER = re.compile(r"\[(?:INFO|DEBUG)\] \(rapid\)|Reset initiated: SandboxTerminated")


class Invocation:
    """The lines that one invocation has written so far."""

    def __init__(self) -> None:
        self.init_ms: float | None = None
        self._lines: list[str] = []
        self._complete = threading.Event()

    def add(self, line: str) -> None:
        """Take one line of output, without its end of line."""
        if line.startswith("REPORT RequestId: "):
            self._complete.set()
        if not _PLATFORM.match(line):
            self._lines.append(line)

    def wait(self, seconds: float) -> None:
        """Return when the emulator has reported the end of the invocation, or after `seconds`."""
        self._complete.wait(seconds)

    def lines(self) -> tuple[str, ...]:
        """The lines, oldest first, without the emulator's own."""
        return tuple(self._lines)


class FunctionLog:
    """The log file of one function; safe for many threads.

    Args:
        path: the file; it and its folder are made if they are not there, and lines are appended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._turn = threading.Lock()
        self._file: IO[str] | None = path.open("a", encoding="utf-8", buffering=1)

    def write(self, line: str) -> None:
        """Append one line; nothing once the log is closed."""
        with self._turn:
            if self._file is not None:
                self._file.write(line + "\n")

    def follow(self, process: subprocess.Popen[bytes]) -> "Follower":
        """Read a process's output until it ends."""
        return Follower(self, process)

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            if self._file is not None:
                self._file.close()
                self._file = None


class Follower:
    """Reads the output of one emulator in two threads.

    Args:
        log: where every line goes.
        process: the emulator, with pipes for standard output (the function's) and error (the emulator's own).
    """

    def __init__(self, log: FunctionLog, process: subprocess.Popen[bytes]) -> None:
        self._log = log
        self._current: Invocation | None = None
        pipes = ((process.stdout, self._function_said), (process.stderr, self._emulator_said))
        self._threads = [
            threading.Thread(target=_each_line, args=(pipe, take), daemon=True)
            for pipe, take in pipes
            if pipe
        ]
        for thread in self._threads:
            thread.start()

    def begin(self) -> Invocation:
        """Collect the lines that come from now on."""
        self._current = Invocation()
        return self._current

    def end(self) -> None:
        """Collect no longer."""
        self._current = None

    def join(self) -> None:
        """Wait until the process's pipes are closed; call it after the process has ended."""
        for thread in self._threads:
            thread.join(1)

    def _function_said(self, line: str) -> None:
        self._log.write(line)
        if (current := self._current) is not None:
            current.add(line)

    def _emulator_said(self, line: str) -> None:
        if (init := _INIT.search(line)) and (current := self._current) is not None:
            current.init_ms = float(init[1])
        if not _CHATTER.search(line):
            self._log.write(line)


def _each_line(pipe: IO[bytes], take: Callable[[str], None]) -> None:
    with pipe:
        for raw in pipe:
            take(raw.decode("utf-8", "replace").rstrip("\r\n"))
