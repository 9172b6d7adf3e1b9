"""Child processes that cannot outlive this one, even when it is killed with SIGKILL.

Linux only: `setpriv --pdeathsig` asks the kernel to kill the child when its parent dies. The kernel
means the parent *thread*, so every child is started from one thread that lives as long as the process.
"""

import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO

from local import HOST

_STOP_SECONDS = 2.0
#: From <linux/prctl.h>; Python has no name for it.
_PR_SET_CHILD_SUBREAPER = 36
#: Below the range from which Linux takes the local ports of outgoing connections, so that a port found
#: free here is not taken by one of our own connections before the child binds it.
_PORTS = range(20_000, 32_000)
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
_random = random.SystemRandom()


class ProcessError(Exception):
    """A program that the stack needs cannot be started; the message is one line that says what to do."""


def guarded(argv: Sequence[str]) -> list[str]:
    """`argv` as a command whose process is killed as soon as the process that starts it dies.

    Raises:
        ProcessError: `setpriv` is not installed.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ProcessError("the program setpriv is missing; on Debian and Ubuntu: apt-get install util-linux")
    return [setpriv, "--pdeathsig", "KILL", *argv]


def spawn(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    stderr: IO[str] | int = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start a guarded child in this process group, its standard output in a pipe and its input closed.

    Args:
        argv: absolute program and arguments.
        environment: all of the child's environment; nothing is inherited.
        folder: working directory.
        stderr: where its standard error goes.

    Raises:
        ProcessError: the program cannot be started.
    """

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            guarded(argv),
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )

    try:
        return _spawner.submit(start).result()
    except OSError as error:
        raise ProcessError(f"cannot start {Path(argv[0]).name}: {error.strerror}") from error


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a child: SIGTERM first, SIGKILL after two seconds. Returns when it is gone."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that `end_descendants` finds them."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants() -> None:
    """Kill every process that descends from this one; the last word, after everybody was asked to stop."""
    # Again, because one that is just being started is not seen the first time.
    while found := _descendants(os.getpid()):
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, 0):
                pass


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


def free_port() -> int:
    """A loopback port that nobody listens on right now.

    Somebody else may take it before it is used: start again with another one then.
    """
    while True:
        port = _random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
