"""Runs the functions of one stack, whoever asks: queues, schedules, the Lambda API."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from local.processes import ProcessError
from local.runtime import InvocationResult, RuntimePool, ThrottledError

Reporter = Callable[[str, InvocationResult], None]
"""Told the logical id of a function and the result, after each invocation."""


class NoSuchFunctionError(Exception):
    """Nobody here has this name."""


class Invoker:
    """Functions by their names: the physical one, or an ARN with it.

    Args:
        report: told of each invocation.
    """

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._known: dict[str, tuple[str, RuntimePool]] = {}

    def add(self, logical_id: str, name: str, pool: RuntimePool) -> None:
        """Take a function in.

        Args:
            logical_id: in the template; the report names it.
            name: physical name.
            pool: its processes.
        """
        self._known[name] = (logical_id, pool)

    def pool(self, name: str) -> RuntimePool:
        """The processes of a function.

        Raises:
            NoSuchFunctionError: nobody has this name.
        """
        return self._find(name)[1]

    def invoke(self, name: str, event: bytes | Mapping[str, Any]) -> InvocationResult:
        """Run a function once.

        Raises:
            NoSuchFunctionError: nobody has this name.
            ThrottledError, ProcessError: as `RuntimePool.invoke`.
        """
        logical_id, pool = self._find(name)
        result = pool.invoke(event)
        self._report(logical_id, result)
        return result

    def attempt(self, name: str, event: bytes | Mapping[str, Any]) -> InvocationResult:
        """As `invoke`, for callers whom nobody asks: what keeps the function from running is its result."""
        try:
            return self.invoke(name, event)
        except (ThrottledError, ProcessError) as error:
            document = {"errorType": type(error).__name__, "errorMessage": str(error)}
            result = InvocationResult(json.dumps(document).encode(), type(error).__name__, (), 0.0, False)
            self._report(self._find(name)[0], result)
            return result

    def _find(self, name: str) -> tuple[str, RuntimePool]:
        parts = name.split(":")
        if "function" in parts[:-1]:
            # An ARN or its tail from the account on; a version may follow, and here there is only the latest.
            name, *version = parts[parts.index("function") + 1 :]
        else:
            name, *version = parts
        if name not in self._known or version not in ([], ["$LATEST"]):
            raise NoSuchFunctionError(name)
        return self._known[name]
