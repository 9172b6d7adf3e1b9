"""The connections table's stream: tell the product what became of connections."""

from typing import Any

from mooring.entry.announcing import run
from mooring.entry.observability import Observability
from mooring.entry.wiring_announce import announce_doors

OBSERVABILITY = Observability(metric="Skipped")
DOORS = announce_doors()


@OBSERVABILITY.wrap
def handler(event: object, _context: Any) -> dict[str, Any]:
    """Handle one batch of the stream (partial batch response)."""
    return run(event, DOORS, OBSERVABILITY.emit)
