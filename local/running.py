"""A whole stack as a child process, for tests and scripts: the same `python -m local` that people start."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local import ROOT
from local.stack_dir import StackDir, StackError

_READY = "Mooring is ready"
_STOP_SECONDS = 15.0


class RunningStack:
    """A stack that was started by `running_stack`.

    Args:
        process: `python -m local`, its standard output and error in one pipe.
        state: its folder.
    """

    def __init__(self, process: subprocess.Popen[str], state: StackDir) -> None:
        self.process = process
        self.state = state
        self._lines: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def info(self) -> dict[str, Any]:
        """The content of its stack.json."""
        said: dict[str, Any] = json.loads(self.state.stack_file.read_text(encoding="utf-8"))
        return said

    @property
    def lines(self) -> list[str]:
        """What it has printed so far."""
        return list(self._lines)

    def wait_until_ready(self, seconds: float) -> None:
        """Return when it is ready.

        Raises:
            StackError: it ended, or is not ready in time; with what it printed.
        """
        self._ready.wait(seconds)
        if not any(_READY in line for line in self._lines):
            raise StackError("the stack did not start:\n" + "\n".join(self._lines))

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """End it as Ctrl-C does, with force after 15 seconds; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        code = self.process.wait()
        self._reader.join(1)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe
        with self.process.stdout as pipe:
            for line in pipe:
                self._lines.append(line.rstrip("\n"))
                if _READY in line:
                    self._ready.set()
        self._ready.set()


@contextmanager
def running_stack(
    stack_dir: Path, *, port: int = 0, environ: Mapping[str, str] | None = None, seconds: float = 90
) -> Iterator[RunningStack]:
    """Start a stack, hand it out when it is ready, and stop it.

    Args:
        stack_dir: its folder; one per stack.
        port: of the HTTP API; 0 takes a free one.
        environ: added to this process's environment, for example MOORING_CONFIG.
        seconds: how long the start may take.

    Raises:
        StackError: it does not become ready.
    """
    stack = start_stack(stack_dir, port=port, environ=environ)
    try:
        stack.wait_until_ready(seconds)
        yield stack
    finally:
        stack.stop()


def start_stack(stack_dir: Path, *, port: int = 0, environ: Mapping[str, str] | None = None) -> RunningStack:
    """Start a stack and do not wait. Arguments as for `running_stack`; the caller stops it."""
    command = [sys.executable, "-m", "local", "--stack-dir", str(stack_dir.resolve()), "--port", str(port)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return RunningStack(process, StackDir(stack_dir))
