"""One function in the real Lambda runtime, in one process, without a container.

AWS's Runtime Interface Emulator (it comes with the aws-sam-cli package) starts `awslambdaric`, the same
client that runs inside Lambda, which imports the handler and feeds it events. It serves one event at a
time: two at once crash it.

Not like Lambda: memory is not enforced, the function's ARN is made up, and a process starts its runtime
with the first event it gets, not before.
"""

import http.client
import importlib.util
import json
import platform
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local import HOST
from local.logs import FunctionLog
from local.processes import ProcessError, free_port, guarded, spawn, stop

_PATH = "/2015-03-31/functions/function/invocations"
_START_ATTEMPTS = 5
_START_SECONDS = 10.0
_INIT_SECONDS = 15.0
_MACHINES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


class EmulatorLostError(Exception):
    """The emulator itself ended or does not answer; the invocation's outcome is unknown."""


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """What Lambda knows of a function.

    Attributes:
        name: its name, for logs and `context.function_name`.
        code: folders that go on the module path, in this order; the handler's own folder first.
        environment: the function's variables; its process sees these and Lambda's own, nothing else.
        timeout_seconds: after that an invocation is cut off and its process replaced.
        memory_mb: reported to the function, not enforced.
        handler: `module.function`.
    """

    name: str
    code: tuple[Path, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: int = 10
    memory_mb: int = 512
    handler: str = "handler.handler"


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """What one invocation gave.

    Attributes:
        payload: the answer's bytes: JSON, or Lambda's error document.
        error: None, or the type of what went wrong: the exception's name, `Runtime.ExitError` (the process
            ended), `Runtime.InitError` (it ended while importing), `Sandbox.Timedout`, `Runtime.Lost`
            (the emulator ended).
        log_lines: what the function wrote to its standard output and error meanwhile.
        duration_ms: from sending the event to the whole answer, process start included when `cold`.
        cold: whether this event was the first of its process.
        init_ms: the emulator's measure of the runtime's start, only when `cold`.
    """

    payload: bytes
    error: str | None
    log_lines: tuple[str, ...]
    duration_ms: float
    cold: bool
    init_ms: float | None = None

    def json(self) -> Any:
        """The answer, parsed.

        Raises:
            ValueError: it is not JSON.
        """
        return json.loads(self.payload)


def emulator_path() -> Path:
    """The Runtime Interface Emulator for this machine.

    Raises:
        ProcessError: not Linux, an unknown processor, or aws-sam-cli is not installed.
    """
    machine = _MACHINES.get(platform.machine())
    if platform.system() != "Linux" or machine is None:
        raise ProcessError(
            f"the Lambda runtime emulator needs Linux on x86-64 or arm64, this is "
            f"{platform.system()} on {platform.machine()}; use a virtual machine or a container with Linux"
        )
    # Found, not imported: importing samcli takes seconds, and the emulator is only a file in its folder.
    package = importlib.util.find_spec("samcli")
    origin = package.origin if package else None
    path = Path(origin or "").parent / "local/rapid" / f"aws-lambda-rie-{machine}"
    if not path.is_file():
        raise ProcessError("aws-sam-cli is not installed in this environment; run `make setup`")
    return path


class Emulator:
    """One emulator process with one function in it; serves one event at a time.

    Args:
        spec: the function.
        log: takes every line that the function writes.

    Raises:
        ProcessError: it does not start.
    """

    def __init__(self, spec: FunctionSpec, log: FunctionLog) -> None:
        self._spec = spec
        self._log = log
        self.served = 0
        for _ in range(_START_ATTEMPTS):
            self._port = free_port()
            self._process = spawn(self._command(), environment=_environment(spec), folder=spec.code[0])
            self._reader = log.follow(self._process)
            connection = self._connect()
            if connection is not None:
                self._connection = connection
                return
            # Most likely somebody took a port between our look and the emulator's bind.
            self._end_process()
        raise ProcessError(f"the runtime emulator of {spec.name} does not start; see {log.path}")

    def invoke(self, event: bytes) -> InvocationResult:
        """Send one event and wait for the answer.

        Raises:
            EmulatorLostError: no answer came.
        """
        cold = self.served == 0
        self.served += 1
        invocation = self._reader.begin()
        started = time.perf_counter()
        try:
            self._connection.request("POST", _PATH, body=event)
            payload = self._connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            raise EmulatorLostError(type(error).__name__) from error
        duration_ms = (time.perf_counter() - started) * 1000
        error_type = _error_type(payload)
        # A process that ended writes no closing line: its output is complete when its pipes are quiet.
        invocation.wait(0.1 if process_ended(error_type) else 1.0)
        self._reader.end()
        return InvocationResult(
            payload, error_type, invocation.lines(), duration_ms, cold, invocation.init_ms if cold else None
        )

    @property
    def alive(self) -> bool:
        """Whether the function's process is there, or will be with the first event.

        The emulator notices only with the next event that it was killed while it had nothing to do, and that
        event would be lost. Lambda gives it a new sandbox.
        """
        return self._process.poll() is None and (self.served == 0 or _has_child(self._process.pid))

    def stop(self) -> None:
        """End the emulator and the function's process in it."""
        self._connection.close()
        self._end_process()

    def _end_process(self) -> None:
        stop(self._process)
        self._reader.join()

    def _command(self) -> list[str]:
        # -S: no site-packages of this environment, so that the function sees what ships and nothing else.
        python = [getattr(sys, "_base_executable", sys.executable), "-S", "-m", "awslambdaric"]
        return [
            str(emulator_path()),
            "--log-level",
            "info",
            "--runtime-interface-emulator-address",
            f"{HOST}:{self._port}",
            "--runtime-api-address",
            f"{HOST}:{free_port()}",
            *guarded([*python, self._spec.handler]),
        ]

    def _connect(self) -> http.client.HTTPConnection | None:
        """A connection that is kept for all events, or None when the process ended or does not listen."""
        deadline = time.monotonic() + _START_SECONDS
        timeout = self._spec.timeout_seconds + _INIT_SECONDS
        connection = http.client.HTTPConnection(HOST, self._port, timeout=timeout)
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                connection.connect()
            except OSError:
                time.sleep(0.005)
            else:
                return connection
        return None


def _has_child(pid: int) -> bool:
    """Whether a process has a child that runs."""
    children: list[str] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread ended meanwhile
            children += thread.read_text().split()
    return any(_runs(child) for child in children)


def _runs(pid: str) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def process_ended(error_type: str | None) -> bool:
    """Whether an error means that the function's process is gone, and not just that the function raised."""
    return error_type is not None and error_type.startswith(("Runtime.", "Sandbox."))


def _environment(spec: FunctionSpec) -> dict[str, str]:
    """All that the function's process sees: as on Lambda, nothing of ours leaks in."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        # No settings file of this machine's user is to change what the function does.
        "HOME": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(spec.timeout_seconds),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "LAMBDA_TASK_ROOT": str(spec.code[0]),
        # The code folders on Lambda are read-only: what was staged without byte code stays without.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": ":".join(str(folder) for folder in spec.code),
        **spec.environment,
    }


def _error_type(payload: bytes) -> str | None:
    """The emulator answers errors with status 200 as well, so they are told by their shape."""
    if not payload:
        # The process ended while it was importing; not even the emulator has words for it.
        return "Runtime.InitError"
    if payload.startswith(b"Task timed out after "):
        return "Sandbox.Timedout"
    if b'"errorType"' not in payload:
        return None
    with suppress(ValueError):
        answer = json.loads(payload)
        if isinstance(answer, dict) and {"errorType", "errorMessage"} <= answer.keys():
            return None if "statusCode" in answer else str(answer["errorType"])
    return None
