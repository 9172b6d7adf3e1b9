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
#: Outcomes that say nothing new when they come again.
_QUIET = frozenset({"listed", "swept"})


class Console:
    """Prints lines, whole ones, from any thread.

    Args:
        out: where to; standard output when left out.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._turn = threading.Lock()
        self._quiet: set[tuple[str, str]] = set()
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
        """Print one invocation: a line, or a line for each record where the function wrote several.

        What repeats by itself and does nothing (a page that polls, a sweep that finds nothing due) is printed
        only the first time after something else happened.
        """
        if (quiet := _quiet(result)) is None:
            self._quiet.clear()
        elif (function, quiet) in self._quiet:
            return
        else:
            self._quiet.add((function, quiet))
        self.say("\n".join(self.lines(function, result)))

    def lines(self, function: str, result: InvocationResult) -> list[str]:
        """Time, function, outcome or reason, provider, milliseconds, and the reference of a failure.

        The milliseconds of the whole invocation stand in its last line.
        """
        written = [said for said in log_lines(result.log_lines) if "outcome" in said]
        if result.error is not None:
            # Records were worked on one after the other; the one that broke off has written nothing.
            written = (
                [*written, {"outcome": f"error: {result.error}"}]
                if len(written) > 1
                else [{**last_line(result.log_lines), "outcome": f"error: {result.error}"}]
            )
        shown = [self._line(function, said) for said in written[:-1]]
        return [*shown, self._line(function, written[-1] if written else {}, result)]

    def _line(self, function: str, said: Mapping[str, Any], result: InvocationResult | None = None) -> str:
        outcome = str(said.get("outcome") or "done")
        failed = outcome in _FAILED or outcome.startswith("error: ")
        if outcome in _FAILED:
            outcome = str(said.get("reason") or outcome)
        cells = (function, outcome, str(said.get("provider") or ""))
        text = "  ".join(f"{cell:{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))
        text = f"{time.strftime('%H:%M:%S')}  {text}"
        text += f"{result.duration_ms:7.0f} ms" if result else " " * 10
        notes = [f"ref {said['ref']}"] if failed and said.get("ref") else []
        notes += ["cold start"] if result and result.cold else []
        text = f"{text}  {', '.join(notes)}".rstrip()
        return f"\033[31m{text}\033[0m" if failed and self._colours else text

    def _bold(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self._colours else text


def log_lines(lines: Sequence[str]) -> list[Mapping[str, Any]]:
    """The log lines among everything that an invocation wrote, parsed."""
    found: list[Mapping[str, Any]] = []
    for line in lines:
        if not line.startswith("{"):
            continue
        try:
            said = json.loads(line)
        except ValueError:
            continue
        # A metric may be a line of its own; only a log line has a level.
        if isinstance(said, dict) and "level" in said:
            found.append(said)
    return found


def last_line(lines: Sequence[str]) -> Mapping[str, Any]:
    """The log line that ends an invocation, parsed; empty when the function wrote none."""
    found = log_lines(lines)
    return found[-1] if found else {}


def _quiet(result: InvocationResult) -> str | None:
    """The outcome of an invocation that did nothing; None for any other."""
    outcome = last_line(result.log_lines).get("outcome")
    return outcome if result.error is None and outcome in _QUIET and not _enqueued(result) else None


def _enqueued(result: InvocationResult) -> object:
    """How many messages a sweep says it queued, in its answer."""
    try:
        answer = result.json()
    except ValueError:
        return None
    return answer.get("enqueued") if isinstance(answer, dict) else None
