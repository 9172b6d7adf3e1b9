"""`mooring sweep`: run a sweep now instead of at the next minute."""

import argparse
import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from mooring.core.errors import Reason
from mooring_cli.errors import CommandError
from mooring_cli.output import number, show_json, span
from mooring_cli.stage import Stage, asking, find_stage

_READ_SECONDS = 60
"""Longer than a sweep may run."""
_MOST_BYTES = 1_000_000
_RUNBOOK = "docs/runbook.md#alarm-sweep-missing"


def run(options: argparse.Namespace) -> None:
    """Run a sweep, wait for it, and print what it did. Raises CommandError when it failed."""
    stage = find_stage(options, Path.cwd())
    answer = _swept(_invoke(stage))
    if options.json:
        show_json(answer)
    else:
        print(_line(answer))


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
