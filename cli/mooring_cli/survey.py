"""Counting how connections stand: late, in doubt, put off, failing. Rules only; reads nothing itself.

A row that heals by itself within the next sweeps is not a fault, so every tally keeps the age of its
oldest member for whoever judges. Times are epoch seconds.
"""

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring.core.connection import Status
from mooring.core.revocation import Revoked
from mooring_cli.unwatched import Unwatched

ATTRIBUTES = (
    "merchant_id",
    "connection",
    "provider",
    "status",
    "due_at",
    "issued_at",
    "updated_at",
    "refresh_expires_at",
    "attempts",
    "attempt_at",
    "lease_until",
    "retry_at",
    "failing_since",
    "expires_at",
    "expiring_at",
    "last_error",
    "revocation",
    "pending_until",
)
"""What is read of each row: no token, sealed or not."""
LATE_SECONDS = 120
"""Two firings of the sweep: later than that, a due connection is overdue."""
STUCK_SECONDS = 60
FAILING_SECONDS = 600
"""A connection that no refresh mended for longer does not heal by itself."""
UNNAMED = "no reason"


@dataclass(slots=True)
class Tally:
    """How many, for how long the oldest one (seconds), and which that is; no name where no age is known."""

    count: int = 0
    oldest_seconds: int = 0
    oldest: str = ""

    def add(self, row: Mapping[str, Any], seconds: int | None) -> None:
        """Count one more; `seconds` is its age, or None where nobody knows it."""
        self.count += 1
        if seconds is not None and (not self.oldest or seconds > self.oldest_seconds):
            self.oldest_seconds = max(0, seconds)
            self.oldest = _name(row)


@dataclass(slots=True)
class Ending:
    """How many whose grant ends soon: in how many seconds the first and the last, and which is the first."""

    count: int = 0
    first_seconds: int = 0
    last_seconds: int = 0
    first: str = ""

    def add(self, row: Mapping[str, Any], seconds: int) -> None:
        """Count one more, which ends in `seconds`."""
        if not self.count or seconds < self.first_seconds:
            self.first_seconds, self.first = seconds, _name(row)
        self.last_seconds = max(seconds, self.last_seconds)
        self.count += 1


@dataclass(slots=True)
class Survey:
    """What a pass over all connections found.

    `statuses` counts by provider and status; `reasons` why connections were put off, `lost` why they need
    their merchant, and `failing_reasons` why no refresh mends those of `failing`, of which `ended` have a
    dead token. `disabled` counts active connections of providers that are not enabled, by provider;
    `forsaken` are those of them that are late or have a dead token. They are in no other tally, because
    no sweep looks for them; in `unwatched` are those for which one should. `expiring` are those whose
    merchant must come back before their grant ends. `waiting` and `lapsed` count sets of tokens that nobody
    confirmed yet. `unrevoked` counts by provider those whose tokens the provider did not revoke when they
    were cut off.

    Args:
        enabled: the ids of the enabled providers, or None where they are not known.
        unwatched: with what is known of those providers.
    """

    enabled: Container[str] | None = None
    unwatched: Unwatched = field(default_factory=Unwatched)
    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    overdue: Tally = field(default_factory=Tally)
    in_doubt: Tally = field(default_factory=Tally)
    stuck: Tally = field(default_factory=Tally)
    failing: Tally = field(default_factory=Tally)
    failing_reasons: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    forsaken: Tally = field(default_factory=Tally)
    disabled: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    expiring: Ending = field(default_factory=Ending)
    waiting: int = 0
    lapsed: int = 0
    unrevoked: Counter[str] = field(default_factory=Counter)

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
        if status == Status.DISCONNECTED and row.get("revocation") == Revoked.FAILED:
            self.unrevoked[provider] += 1
        if status == Status.NEEDS_RECONNECT:
            self.lost[_reason(row)] += 1
        elif status != Status.ACTIVE:
            return
        elif self.enabled is not None and provider not in self.enabled:
            self._add_disabled(provider, row, now)
        else:
            if "expiring_at" in row:
                self.expiring.add(row, max(0, row["expiring_at"] - now))
            self._add_failing(row, now)
            self._add_active(row, now)

    def _add_pending(self, row: Mapping[str, Any], now: int) -> None:
        if row.get("pending_until", now + 1) > now:
            self.waiting += 1
        else:
            self.lapsed += 1

    def _add_disabled(self, provider: str, row: Mapping[str, Any], now: int) -> None:
        self.disabled[provider] += 1
        since = min(row.get("due_at", now) + LATE_SECONDS, row.get("expires_at", now))
        if since < now:
            self.forsaken.add(row, now - since)

    def _add_failing(self, row: Mapping[str, Any], now: int) -> None:
        since, ended = row.get("failing_since"), row.get("expires_at", now + 1) <= now
        if since is None or not (ended or now - since > FAILING_SECONDS):
            return
        self.failing.add(row, now - since)
        self.failing_reasons[_reason(row)] += 1
        self.ended += ended

    def _add_active(self, row: Mapping[str, Any], now: int) -> None:
        lease_until, due_at, attempt_at = row.get("lease_until"), row.get("due_at"), row.get("attempt_at")
        if lease_until is not None and lease_until > now:
            return  # in work this moment
        if due_at is None:
            self.unwatched.add(row)
        if lease_until is not None and lease_until < now - STUCK_SECONDS:
            self.stuck.add(row, now - lease_until)
        if row.get("attempts"):
            # Without a time somebody has looked since; for how long it fails is told by another tally.
            self.in_doubt.add(row, None if attempt_at is None else now - attempt_at)
        if row.get("retry_at", 0) > now:
            self.reasons[_reason(row)] += 1
        elif due_at is not None and due_at + LATE_SECONDS < now and attempt_at is None:
            self.overdue.add(row, now - due_at)


def _name(row: Mapping[str, Any]) -> str:
    provider, _, account = str(row["connection"]).partition("#")
    return f"{row['merchant_id']} {provider} {account}"


def _reason(row: Mapping[str, Any]) -> str:
    return str(row.get("last_error") or UNNAMED)
