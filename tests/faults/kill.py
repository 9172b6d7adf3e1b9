"""Killing and pausing the real runtime processes of functions, at points that have a name.

The process is `python -m awslambdaric`, the one in which the handler runs; its emulator sees it end and
tells whoever invoked the function, as Lambda does.
"""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.e2e.running import RunningStack, session_members
from tests.faults.actions import Hold
from tests.faults.proxy import FaultProxy, Planned
from tests.faults.stack import TOKEN_PATH, BrokenStack

_SECONDS = 20
_ESTABLISHED = "01"


def runtimes(stack: RunningStack, function: str) -> list[int]:
    """Process ids of the live runtimes of a function, in ascending order."""
    members = [int(member.split()[0]) for member in session_members(stack.process.pid)]
    return sorted(pid for pid in members if _runs(pid, function))


def kill(stack: RunningStack, function: str) -> list[int]:
    """SIGKILL every runtime of a function; their process ids, when they are gone."""
    return kill_these(runtimes(stack, function))


def kill_these(pids: Sequence[int]) -> list[int]:
    """SIGKILL these processes and wait until they are gone, and so their sockets closed."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    _until(lambda: not any(map(_lives, pids)), f"the end of {pids}")
    return list(pids)


def cool(stack: RunningStack, function: str) -> None:
    """Kill every runtime of a function that is idle now; whoever comes next gets a cold one.

    The pool learns of a death by the next invocation, which is lost. Those are spent here, so that no
    message and no reader is.
    """
    for _ in kill(stack, function):
        if _does_nothing(stack, function):
            return


def renew(stack: RunningStack, function: str) -> None:
    """Have a fresh runtime of a function that takes batches: it remembers nothing, and it is warm.

    The emulator counts a cold start as time of the invocation; what needs nearly all of it needs a warm one.
    """
    cool(stack, function)
    _until(lambda: _does_nothing(stack, function), f"a runtime of {function}")


def _does_nothing(stack: RunningStack, function: str) -> bool:
    """Invoke a function with an empty batch; whether a runtime was there."""
    name = stack.info["functions"][function]
    answer = stack.aws("lambda").invoke(FunctionName=name, Payload=b'{"Records": []}')
    said = json.loads(answer["Payload"].read())
    return not str(said.get("errorType", "")).startswith(("Runtime.", "Sandbox."))


def stop(stack: RunningStack, function: str) -> list[int]:
    """SIGSTOP every runtime of a function; their process ids, for `cont`."""
    return stop_these(runtimes(stack, function))


def stop_these(pids: Sequence[int]) -> list[int]:
    """SIGSTOP these processes."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    _until(lambda: all(_state(pid) == "T" for pid in pids), f"the pause of {pids}")
    return list(pids)


def cont(pids: Sequence[int]) -> None:
    """SIGCONT these processes; those that are gone stay gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def caller_of(stack: RunningStack, planned: Planned) -> int:
    """The process whose request a fault has hit last, while its connection lasts: a runtime's id."""
    port = planned.ports[-1]
    sockets = _sockets_from(port)
    for member in session_members(stack.process.pid):
        pid = int(member.split()[0])
        with contextlib.suppress(OSError):
            if sockets & {str(link.readlink()) for link in Path("/proc", str(pid), "fd").iterdir()}:
                return pid
    raise AssertionError(f"nobody has the port {port} any more")


@contextlib.contextmanager
def before_the_call(broken: BrokenStack) -> Iterator[Planned]:
    """Whoever makes the next token call dies before the provider hears of it.

    Start the work in the body, in a thread: at the body's end the caller is waited for and killed. The same
    holds for the other points.
    """
    with _dying(broken, broken.provider_proxy, "before", path=TOKEN_PATH) as planned:
        yield planned


@contextlib.contextmanager
def after_the_answer(broken: BrokenStack) -> Iterator[Planned]:
    """Whoever makes the next token call dies when the provider has answered, and before it hears of it."""
    with _dying(broken, broken.provider_proxy, "after", path=TOKEN_PATH) as planned:
        yield planned


@contextlib.contextmanager
def after_the_write(broken: BrokenStack, function: str = "refresh") -> Iterator[Planned]:
    """A function dies when its tokens are written, and before it hears of it.

    Args:
        broken: the stack.
        function: `refresh`, whose second update is the store, or `callback`, whose transaction is.
    """
    target, skip = {"refresh": ("UpdateItem", 1), "callback": ("TransactWriteItems", 0)}[function]
    with _dying(broken, broken.aws_proxy, "after", target=target, caller=function, skip=skip) as planned:
        yield planned


@contextlib.contextmanager
def _dying(
    broken: BrokenStack,
    proxy: FaultProxy,
    when: str,
    *,
    path: str = "",
    target: str = "",
    caller: str | None = None,
    skip: int = 0,
) -> Iterator[Planned]:
    gate = threading.Event()
    hold = Hold("after" if when == "after" else "before", gate)
    try:
        with proxy.fault(hold, path=path, target=target, caller=caller, skip=skip) as planned:
            yield planned
            planned.wait_hit(_SECONDS)
            kill_these([caller_of(broken, planned)])
    finally:
        gate.set()


def _runs(pid: int, function: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    # The emulator has the same words in its command line, after its own.
    python = b"python" in Path(words[0].decode()).name.encode() and b"awslambdaric" in words
    return python and f"AWS_LAMBDA_FUNCTION_NAME={function}".encode() in environment


def _sockets_from(port: int) -> set[str]:
    """Connected sockets from a port of this machine, as /proc/PID/fd shows them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {
        f"socket:[{row[9]}]" for row in rows if row[3] == _ESTABLISHED and row[1] == f"0100007F:{port:04X}"
    }


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _lives(pid: int) -> bool:
    return _state(pid) not in ("X", "Z")


def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not done():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
