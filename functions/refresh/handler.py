"""Refresh, probe, recover: batches of the refresh and recovery queues, or one order at once."""

from typing import Any

from mooring.entry.http_api import Event
from mooring.entry.invocation import time_left
from mooring.entry.observability import Observability
from mooring.entry.wiring import refresh_doors
from mooring.entry.worker import run

OBSERVABILITY = Observability(metric="Skipped")
DOORS = refresh_doors()


@OBSERVABILITY.wrap
def handler(event: Event, context: Any) -> dict[str, Any]:
    """Handle one SQS batch (partial batch response) or one order (answered)."""
    return run(event, DOORS, time_left(context), OBSERVABILITY.emit)
