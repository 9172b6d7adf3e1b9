"""`/merchants/{merchant_id}/connections…`: what services read and ask for, behind IAM."""

from typing import Any

from mooring.entry.http_api import Event
from mooring.entry.invocation import time_left
from mooring.entry.observability import Observability
from mooring.entry.service_api import answer
from mooring.entry.wiring import service_ports

OBSERVABILITY = Observability(metric="Served")
PORTS = service_ports()


@OBSERVABILITY.wrap
def handler(event: Event, context: Any) -> dict[str, Any]:
    """Answer one HTTP API event (payload format 2.0)."""
    return answer(event, PORTS, OBSERVABILITY.emit, time_left(context))
