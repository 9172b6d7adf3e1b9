"""Looks at the rows of all connections: how belated they are, and whether a fault has left a trace."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mooring.core.upkeep import Key
from tests.soak.stack import SoakStack

ACTIVE = "active"


class Look(NamedTuple):
    """What one look at all rows found.

    Attributes:
        overdue_seconds: of the active connection that has been due, or failing, for longest; 0 for none.
        dead_seconds: of the active connection whose token has been out of its life for longest; 0 for none.
        troubled: how many active connections show a trace of a fault.
        busy: how many more are due or leased: they are being worked on.
        ended: how many are not active.
    """

    overdue_seconds: int
    dead_seconds: int
    troubled: int
    busy: int
    ended: int


def judge(rows: Iterable[Mapping[str, Any]], now: int) -> Look:
    """What rows say at a time (epoch seconds)."""
    overdue = dead = troubled = busy = ended = 0
    for row in rows:
        if row["status"]["S"] != ACTIVE:
            ended += 1
            continue
        late = _overdue(row, now)
        overdue, dead = max(overdue, late), max(dead, _lifeless(row, now))
        if is_troubled(row, now):
            troubled += 1
        elif late or _number(row, "lease_until", 0) > now:
            busy += 1
    return Look(overdue, dead, troubled, busy, ended)


def is_troubled(row: Mapping[str, Any], now: int) -> bool:
    """Whether its token has ended, or a fault has left a trace in it."""
    return _lifeless(row, now) > 0 or has_trace(row, now)


def has_trace(row: Mapping[str, Any], now: int) -> bool:
    """Whether a call failed, was lost, or died with its process, and nothing has mended it yet."""
    leased = _number(row, "lease_until", 0) > now
    attempts = len(row.get("attempts", {}).get("L", []))
    return "retry_at" in row or "failing_since" in row or attempts > int(leased)


def _overdue(row: Mapping[str, Any], now: int) -> int:
    since = min(_number(row, "due_at", now), _number(row, "failing_since", now))
    return max(0, now - since)


def _lifeless(row: Mapping[str, Any], now: int) -> int:
    return max(0, now - _number(row, "expires_at", now))


def _number(row: Mapping[str, Any], name: str, absent: int) -> int:
    return int(row[name]["N"]) if name in row else absent


class Watch:
    """Looks again and again, and remembers the worst.

    Args:
        stack: the running stack.
        keys: the connections.
    """

    def __init__(self, stack: SoakStack, keys: Sequence[Key]) -> None:
        self.overdue_seconds = 0
        self.dead_seconds = 0
        self._stack = stack
        self._keys = list(keys)

    def look(self) -> Look:
        """Look now."""
        found = judge(self._stack.look(self._keys).values(), int(time.time()))
        self.overdue_seconds = max(self.overdue_seconds, found.overdue_seconds)
        self.dead_seconds = max(self.dead_seconds, found.dead_seconds)
        return found
