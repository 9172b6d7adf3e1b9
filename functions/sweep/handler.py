"""Every minute: queue the connections that fall due before the next firing."""

from typing import Any

from mooring.entry.invocation import time_left
from mooring.entry.observability import Observability
from mooring.entry.sweeping import run
from mooring.entry.wiring import providers, sweep_ports

OBSERVABILITY = Observability(metric="Swept")
PORTS, LIMIT = sweep_ports()


@OBSERVABILITY.wrap
def handler(_event: object, context: Any) -> dict[str, Any]:
    """Sweep once; says what was found."""
    return run(providers(), LIMIT, PORTS, time_left(context), OBSERVABILITY.emit)
