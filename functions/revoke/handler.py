"""The queue of revocations: tell providers that tokens are no longer wanted."""

from typing import Any

from mooring.entry.http_api import Event
from mooring.entry.invocation import time_left
from mooring.entry.observability import Observability
from mooring.entry.revoking import run
from mooring.entry.wiring_revoke import revoke_doors

OBSERVABILITY = Observability(metric="Skipped")
DOORS = revoke_doors()


@OBSERVABILITY.wrap
def handler(event: Event, context: Any) -> dict[str, Any]:
    """Handle one SQS batch (partial batch response)."""
    return run(event, DOORS, time_left(context), OBSERVABILITY.emit)
