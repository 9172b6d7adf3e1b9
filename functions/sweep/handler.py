"""Every minute: queue the connections that fall due before the next firing."""

from typing import Any

from mooring.entry.observability import Observability
from mooring.entry.sweeping import run
from mooring.entry.wiring import providers, sweep_ports

OBSERVABILITY = Observability(metric="Swept")
PORTS, LIMIT = sweep_ports()


@OBSERVABILITY.wrap
def handler(_event: object, context: Any) -> dict[str, Any]:
    """Sweep once; says what was found."""

    def left() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    return run(providers(), LIMIT, PORTS, left, OBSERVABILITY.emit)
