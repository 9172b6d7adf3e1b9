"""The sweep's door: one line, its metrics, and an answer for whoever asked for it by hand."""

from collections.abc import Sequence
from secrets import token_hex
from typing import Any

from mooring.core.errors import Failure
from mooring.entry.http_api import Emit, Line
from mooring.entry.invocation import Left
from mooring.flows.sweep import SweepPorts, sweep


def run(providers: Sequence[str], limit: int, ports: SweepPorts, left: Left, emit: Emit) -> dict[str, Any]:
    """Sweep once.

    Raises:
        RuntimeError: it could not be finished; the line has the reason, and the dead-man alarm counts it.
    """
    ref = token_hex(5)
    try:
        done = sweep(providers, limit, ports, left)
    except Failure as failure:
        emit(Line("failed", failure.status, ref, "", failure.reason.value, detail=failure.detail or None))
        raise RuntimeError(failure.reason.value) from None
    counts = (
        ("Swept", 1),
        ("Enqueued", done.enqueued),
        ("OverdueSeconds", done.overdue_seconds),
        ("StrandedFlows", done.stranded_flows),
        ("OpenCircuits", len(done.refusing)),
    )
    line = Line("swept", 200, ref, "", detail=_said(done.enqueued, done.queue_depth, done.open_circuits))
    emit(line._replace(counts=counts))
    for provider, seconds in done.overdue.items():
        if seconds:
            late = Line("overdue", 200, ref, "", provider=provider, detail=f"{seconds} seconds")
            emit(late._replace(counts=(("OverdueSeconds", seconds),)))
    return {
        "enqueued": done.enqueued,
        "overdue_seconds": done.overdue_seconds,
        "queue_depth": done.queue_depth,
        "open_circuits": list(done.open_circuits),
    }


def _said(enqueued: int, depth: int, opened: Sequence[str]) -> str:
    circuits = f", circuits open: {' '.join(opened)}" if opened else ""
    return f"{enqueued} queued, {depth} were waiting{circuits}"
