"""Times the handler of a staged function from within: run by `warm.py`, in the process that it times.

Standard library only, for it runs on the function's module path. Reads one JSON object from standard input
(`event`, `batches`, `calls`, `warm_up`), answers with the times of every batch in nanoseconds: `clock` as
they pass, `processor` as this thread was on a processor.
"""

import importlib
import json
import os
import sys
import time
from types import SimpleNamespace
from typing import Any


def main() -> None:
    """Time the handler; what it prints goes nowhere, as Lambda reads it from a pipe beside the call."""
    told = json.load(sys.stdin)
    answer = os.dup(1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    handler = importlib.import_module("handler").handler
    context = SimpleNamespace(
        aws_request_id="bench",
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:bench",
        get_remaining_time_in_millis=lambda: 5_000,
    )
    text = json.dumps(told["event"])
    _batch(handler, text, context, told["warm_up"])
    batches = [_batch(handler, text, context, told["calls"]) for _ in range(told["batches"])]
    times = {"clock": [clock for clock, _ in batches], "processor": [processor for _, processor in batches]}
    os.write(answer, json.dumps(times).encode())


def _batch(handler: Any, text: str, context: Any, calls: int) -> tuple[list[int], list[int]]:
    """Nanoseconds of each of so many calls, by both clocks; each gets an event of its own."""
    times: tuple[list[int], list[int]] = ([], [])
    for _ in range(calls):
        event = json.loads(text)
        clock, processor = time.perf_counter_ns(), time.thread_time_ns()
        answer = handler(event, context)
        times[1].append(time.thread_time_ns() - processor)
        times[0].append(time.perf_counter_ns() - clock)
        if answer["statusCode"] != 302:
            raise SystemExit(f"answered {answer['statusCode']}")
    return times


if __name__ == "__main__":
    main()
