"""`/callback/{provider+}`: finish the flow, store the connection, send the merchant back to the product."""

from typing import Any

from mooring.entry.http_api import Event, respond
from mooring.entry.invocation import time_left
from mooring.entry.observability import Observability
from mooring.entry.wiring import browser, callback_ports
from mooring.flows.callback import callback

OBSERVABILITY = Observability(metric="FlowFinished")
PORTS = callback_ports()
BROWSER = browser("/callback/", OBSERVABILITY.emit)


@OBSERVABILITY.wrap
def handler(event: Event, context: Any) -> dict[str, Any]:
    """Answer one HTTP API event (payload format 2.0)."""
    return respond(event, lambda visit, ref: callback(visit, PORTS, ref, time_left(context)), BROWSER)
