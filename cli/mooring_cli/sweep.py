"""`mooring sweep`: run a sweep now instead of at the next minute."""

import argparse
import json
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from mooring.adapters.ending_transitions import reminded
from mooring.adapters.rows import write
from mooring.core.errors import Reason
from mooring_cli.errors import CommandError
from mooring_cli.output import number, progress, say, show_json, span
from mooring_cli.stage import Stage, asking, find_stage
from mooring_cli.surveying import enabled, surveyed

_READ_SECONDS = 60
"""Longer than a sweep may run."""
_MOST_BYTES = 1_000_000
_RUNBOOK = "docs/runbook.md#alarm-sweep-missing"
_SPREAD_SECONDS = 3_600
"""Over so long falls due what should have been looked at before."""


def run(options: argparse.Namespace) -> None:
    """Run a sweep, wait for it, and print what it did. Raises CommandError when it failed."""
    stage = find_stage(options, Path.cwd())
    adopted = _adopt(stage, int(time.time())) if options.adopt else None
    answer = _swept(_invoke(stage))
    if options.json:
        show_json(answer if adopted is None else {"adopted": adopted, **answer})
        return
    if adopted is not None:
        print(f"{number(adopted, 'connection')} given a time.")
    print(_line(answer))


def _adopt(stage: Stage, now: int) -> int:
    """Give a time to what has none and should; how many. Raises CommandError."""
    found = surveyed(stage, enabled(stage)[0], now).unwatched
    if found.unknown:
        left = number(found.unknown.total(), "connection")
        say(f"{left} left out: the descriptors are not at hand. Go to the project that it was deployed from")
    client, table, adopted = stage.client("dynamodb"), stage.connections_table, 0
    with asking(stage), progress("Giving times", lambda: len(found.due)) as step:
        for key, due in found.due.items():
            at = due if due > now else now + int(found.jitter() * _SPREAD_SECONDS)
            adopted += write(client, reminded(table, key, at)).done
            step(1)
    return adopted


def _invoke(stage: Stage) -> Mapping[str, Any]:
    # One attempt: a sweep that does not answer in time may be running still.
    client = stage.client("lambda", read_seconds=_READ_SECONDS, attempts=1)
    with asking(stage):
        try:
            return client.invoke(FunctionName=stage.sweep_function, Payload=b"{}")  # type: ignore[no-any-return]
        except ReadTimeoutError:
            raise CommandError(
                f"No answer within {_READ_SECONDS} s. See how things stand: mooring doctor{stage.options}"
            ) from None
        except ClientError as error:
            if error.response["Error"]["Code"] != "TooManyRequestsException":
                raise
            raise CommandError(
                "A sweep is running this moment, and only one may. Try again in a minute"
            ) from None


def _swept(answer: Mapping[str, Any]) -> dict[str, Any]:
    with closing(answer["Payload"]) as payload:
        content = payload.read(_MOST_BYTES)
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if answer.get("FunctionError"):
        why = _why(body) if isinstance(body, dict) else None
        raise CommandError(
            f"The sweep failed ({why or answer['FunctionError']}). Its log says more: {_RUNBOOK}"
        )
    if not isinstance(body, dict) or not isinstance(body.get("enqueued"), int):
        raise CommandError(f"The sweep did not say what it did. Its log says more: {_RUNBOOK}")
    return body


def _why(error: Mapping[str, Any]) -> str | None:
    """The reason word, or else the kind of error: no other text is known to be fit for a terminal."""
    message = error.get("errorMessage")
    return str(message) if message in {reason.value for reason in Reason} else error.get("errorType")


def _line(answer: Mapping[str, Any]) -> str:
    overdue, depth = answer.get("overdue_seconds") or 0, answer.get("queue_depth") or 0
    parts = [
        f"{number(answer['enqueued'], 'connection')} queued for refresh",
        f"the most belated has been due for {span(overdue)}" if overdue else "none is late",
        f"{number(depth, 'message')} waited in the queue" if depth else "the queue was empty",
    ]
    if circuits := answer.get("open_circuits"):
        names = ", ".join(map(str, circuits))
        parts.append(f"held back behind an open circuit: {names}")
    return f"Swept: {'; '.join(parts)}."
