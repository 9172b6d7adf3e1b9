"""`POST /uninstall/{provider}`: take a provider's uninstall notice; 2xx only once it is durable."""

from typing import Any

from mooring.entry.http_api import Event
from mooring.entry.observability import Observability
from mooring.entry.wiring import hook, uninstall_ports
from mooring.flows.uninstall import uninstall

OBSERVABILITY = Observability(metric="NoticeTaken")
PORTS = uninstall_ports()
HOOK = hook("/uninstall/", OBSERVABILITY.emit)


@OBSERVABILITY.wrap
def handler(event: Event, _context: Any) -> dict[str, Any]:
    """Answer one HTTP API event (payload format 2.0)."""
    return HOOK.respond(event, lambda delivery: uninstall(delivery, PORTS))
