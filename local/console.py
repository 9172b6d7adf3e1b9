"""What a person sees in the terminal: addresses once, then one line per invocation."""

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from local.emulator import InvocationResult

_WIDTHS = (12, 20, 16)
_FAILED = frozenset({"failed"})


class Console:
    """Prints lines, whole ones, from any thread.

    Args:
        out: where to; standard output when left out.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._turn = threading.Lock()
        self._listed = False
        self._colours = self._out.isatty()

    def say(self, text: str) -> None:
        """Print a line."""
        with self._turn:
            print(text, file=self._out, flush=True)

    def ready(self, addresses: Sequence[tuple[str, str]], seconds: float) -> None:
        """Print where everything is.

        Args:
            addresses: what and where, in order.
            seconds: how long the start took.
        """
        width = max(len(name) for name, _ in addresses) + 2
        lines = [f"  {name:{width}}{self._bold(address)}" for name, address in addresses]
        self.say("\n".join(["", f"Mooring is ready ({seconds:.0f} s).", "", *lines, ""]))

    def invocation(self, function: str, result: InvocationResult) -> None:
        """Print the line of one invocation; of lists in a row (a page that polls) only the first."""
        listed = result.error is None and last_line(result.log_lines).get("outcome") == "listed"
        again, self._listed = listed and self._listed, listed
        if not again:
            self.say(self.line(function, result))

    def line(self, function: str, result: InvocationResult) -> str:
        """Time, function, outcome or reason, provider, milliseconds, and the reference of a failure."""
        said = last_line(result.log_lines)
        if result.error is not None:
            outcome, failed = f"error: {result.error}", True
        else:
            failed = said.get("outcome") in _FAILED
            outcome = str((said.get("reason") if failed else None) or said.get("outcome") or "done")
        cells = (function, outcome, str(said.get("provider") or ""))
        text = "  ".join(f"{cell:{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))
        text = f"{time.strftime('%H:%M:%S')}  {text}{result.duration_ms:7.0f} ms"
        notes = [f"ref {said['ref']}"] if failed and said.get("ref") else []
        notes += ["cold start"] if result.cold else []
        text = f"{text}  {', '.join(notes)}".rstrip()
        return f"\033[31m{text}\033[0m" if failed and self._colours else text

    def _bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self._colours else text


def last_line(log_lines: Sequence[str]) -> Mapping[str, Any]:
    """The log line that ends an invocation, parsed; empty when the function wrote none."""
    for line in reversed(log_lines):
        if not line.startswith("{"):
            continue
        try:
            said = json.loads(line)
        except ValueError:
            continue
        # A metric may be a line of its own; only a log line has a level.
        if isinstance(said, dict) and "level" in said:
            return said
    return {}
