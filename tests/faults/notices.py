"""Uninstall notices in tests of faults: sent at once or one by one, to connections old enough for them."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal

from tests.e2e.fifth.events import Event, send
from tests.e2e.running import FIFTH, RunningStack
from tests.e2e.upkeep import Upkeep, wait_for
from tests.faults.actions import Hold
from tests.faults.proxy import FaultProxy, Planned

SEALED = {"access", "access_key", "refresh", "refresh_key", "previous_refresh", "previous_refresh_key"}
UNDER_WAY = {"lease_owner", "lease_until", "attempts", "attempt_at", "retry_at", "due_at", "due_shard"}
_WARM_SECONDS = 40


def deliver(stack: RunningStack, event: Event) -> tuple[int, str]:
    """Send an event to us once: the status, and the outcome or the reason ("" where we have no words)."""
    answer = send(stack.base_url, event, FIFTH)
    try:
        said: Mapping[str, Any] = answer.json()
    except json.JSONDecodeError:
        said = {}
    return answer.status_code, str(said.get("outcome") or said.get("reason") or "")


def warm(stack: RunningStack, several: int = 1) -> None:
    """Have so many processes of `uninstall` started, by events of another kind, which change nothing.

    Several that start at once on a busy machine may not get their secret in time; they have started then.
    """

    def all_ignored() -> bool:
        made = [stack.fifth.event("nobody", type="app.renamed") for _ in range(several)]
        with ThreadPoolExecutor(several) as senders:
            return set(senders.map(lambda one: deliver(stack, one), made)) == {(200, "ignored")}

    wait_for(all_ignored, f"{several} processes of uninstall", _WARM_SECONDS)


def aged(one: Upkeep, seconds: int = 60) -> int:
    """Have it connected so long ago, because an event of the very second may be older; when that was."""
    at = int(time.time()) - seconds
    one.set(connected_at=at)
    return at


def is_over(row: Mapping[str, Any], status: str) -> bool:
    """Whether a row has ended with this status: nothing sealed is left, nothing is planned or under way."""
    return row["status"] == status and not (SEALED | UNDER_WAY) & row.keys()


class Held:
    """Requests that are held up until `go`.

    Args:
        planned: the plan.
        gate: what opens when they may go on.
    """

    def __init__(self, planned: Planned, gate: threading.Event) -> None:
        self.planned = planned
        self.go = gate.set
        self.wait_hit = planned.wait_hit


@contextmanager
def holding(
    proxy: FaultProxy, when: Literal["before", "after"], times: int = 1, **which: str
) -> Iterator[Held]:
    """While it lasts, requests (`target`, `path`, `caller`) are held up; at its end all go on.

    Enter it after the threads that will wait: they are ended the other way round.
    """
    gate = threading.Event()
    with proxy.fault(Hold(when, gate), times=times, **which) as planned:  # type: ignore[arg-type]
        try:
            yield Held(planned, gate)
        finally:
            gate.set()
