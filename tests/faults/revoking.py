"""Revocations in tests of faults: nothing is worked off but while a test lets it be (see `conftest`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.simulator import Simulator
from tests.e2e.upkeep import Upkeep, wait_for
from tests.faults.queues import Queue
from tests.faults.stack import BrokenStack

REVOKE_PATH = "/oauth/revoke"
"""The fifth provider's revocation endpoint."""
_TRIGGER = "queues/revoke"
_PATIENCE_SECONDS = 60


@contextmanager
def revoking(broken: BrokenStack) -> Iterator[Queue]:
    """While it lasts, revocations are worked off; what earlier tests have left is taken away first."""
    queue = Queue(broken, "revoke")
    queue.take()
    broken.trigger(f"{_TRIGGER}/resume")
    try:
        yield queue
    finally:
        broken.trigger(f"{_TRIGGER}/pause")


def revoked(broken: BrokenStack, one: Upkeep, times: int = 1) -> list[dict[str, Any]]:
    """Let what waits be worked off, until so much is told of this connection; the lines."""
    broken.trigger(f"{_TRIGGER}/resume")
    try:
        what = f"{times} revocations of {one.key}"
        return wait_for(lambda: _told(one, times), what, _PATIENCE_SECONDS)
    finally:
        broken.trigger(f"{_TRIGGER}/pause")


def is_forgotten(simulator: Simulator, shop: str) -> bool:
    """Whether the provider takes nothing any more that it ever issued for an account."""
    accepted = [*simulator.tokens(), *simulator.refresh_tokens()]
    return shop not in [token["account"] for token in accepted]


def _told(one: Upkeep, times: int) -> list[dict[str, Any]]:
    lines = one.lines("revoke")
    return lines if len(lines) >= times else []
