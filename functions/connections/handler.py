"""`/merchants/{merchant_id}/connections…`: what services read, behind IAM."""

from typing import Any

from mooring.entry.http_api import Event
from mooring.entry.observability import Observability
from mooring.entry.service_api import answer
from mooring.entry.wiring import enabled, read_ports

OBSERVABILITY = Observability(metric="Served")
PORTS = read_ports()


@OBSERVABILITY.wrap
def handler(event: Event, _context: Any) -> dict[str, Any]:
    """Answer one HTTP API event (payload format 2.0)."""
    return answer(event, PORTS, enabled, OBSERVABILITY.emit)
