"""Counting how connections stand: which are late, in doubt, put off. Rules only; reads nothing itself.

A row that heals by itself within the next sweeps is not a fault, so every tally keeps the age of its
oldest member for whoever judges. Times are epoch seconds.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring.core.connection import Status

ATTRIBUTES = (
    "merchant_id",
    "connection",
    "provider",
    "status",
    "due_at",
    "attempts",
    "attempt_at",
    "lease_until",
    "retry_at",
    "last_error",
    "pending_until",
)
"""What is read of each row: no token, sealed or not."""
LATE_SECONDS = 120
"""Two firings of the sweep: later than that, a due connection is overdue."""
STUCK_SECONDS = 60
UNNAMED = "no reason"


@dataclass(slots=True)
class Tally:
    """How many, for how long the oldest one (seconds), and which that is."""

    count: int = 0
    oldest_seconds: int = 0
    oldest: str = ""

    def add(self, row: Mapping[str, Any], seconds: int) -> None:
        """Count one more."""
        self.count += 1
        if not self.oldest or seconds > self.oldest_seconds:
            self.oldest_seconds = max(0, seconds)
            provider, _, account = str(row["connection"]).partition("#")
            self.oldest = f"{row['merchant_id']} {provider} {account}"


@dataclass(slots=True)
class Survey:
    """What a pass over all connections found.

    `statuses` counts by provider and status; `reasons` why connections were put off, and `lost` why
    they need their merchant. `waiting` and `lapsed` count sets of tokens that nobody confirmed yet.
    """

    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    overdue: Tally = field(default_factory=Tally)
    in_doubt: Tally = field(default_factory=Tally)
    stuck: Tally = field(default_factory=Tally)
    reasons: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    lapsed: int = 0

    @property
    def total(self) -> int:
        """How many connections there are, whatever their status."""
        return sum(counts.total() for counts in self.statuses.values())

    def add(self, row: Mapping[str, Any], now: int) -> None:
        """Count one row of the table; pointers to merchants are passed over."""
        if str(row["merchant_id"]).startswith("@"):
            return
        if row.get("status") == Status.PENDING_CONFIRMATION or str(row["connection"]).startswith("@"):
            self._add_pending(row, now)
            return
        provider, status = str(row["connection"]).partition("#")[0], str(row.get("status"))
        self.statuses.setdefault(provider, Counter())[status] += 1
        if status == Status.ACTIVE:
            self._add_active(row, now)
        elif status == Status.NEEDS_RECONNECT:
            self.lost[str(row.get("last_error") or UNNAMED)] += 1

    def _add_pending(self, row: Mapping[str, Any], now: int) -> None:
        if row.get("pending_until", now + 1) > now:
            self.waiting += 1
        else:
            self.lapsed += 1

    def _add_active(self, row: Mapping[str, Any], now: int) -> None:
        lease_until, due_at = row.get("lease_until"), row.get("due_at")
        if lease_until is not None and lease_until > now:
            return  # in work this moment
        if lease_until is not None and lease_until < now - STUCK_SECONDS:
            self.stuck.add(row, now - lease_until)
        if row.get("attempts"):
            self.in_doubt.add(row, now - row.get("attempt_at", now))
        if row.get("retry_at", 0) > now:
            self.reasons[str(row.get("last_error") or UNNAMED)] += 1
        elif due_at is not None and due_at + LATE_SECONDS < now and not row.get("attempts"):
            self.overdue.add(row, now - due_at)
