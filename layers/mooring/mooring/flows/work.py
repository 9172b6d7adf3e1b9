"""What the refresh function does with one piece of work, whichever it is."""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from mooring.core.errors import Failure, Reason
from mooring.core.schedule import PROBE_EVERY_SECONDS
from mooring.core.upkeep import Answer, Cause, Confirm, Expiry, Hint, Key, Order, Work
from mooring.flows.probe import ProbePorts, confirm, hinted, probe, report, searched
from mooring.flows.refresh import RefreshPorts, refresh

Done = list[tuple[Key, Answer]]


class WorkPorts(NamedTuple):
    """What working needs."""

    refresh: RefreshPorts
    probe: ProbePorts


def work(item: Work, ports: WorkPorts, left: Callable[[], float]) -> Done:
    """Do one piece of work; what became of each connection that it concerned.

    Raises:
        Failure: nothing was done, or not all of it; doing it again is safe.
    """
    match item:
        case Order():
            return [(item.key, keep(item, ports, left))]
        case Confirm():
            return [(item.key, confirm(item, ports.probe))]
        case Hint():
            return hinted(item, ports.probe, lambda order: refresh(order, ports.refresh, left))
        case _:
            return searched(item, ports.probe)


def _unrefreshable(order: Order, ports: ProbePorts) -> Answer:
    """What nothing can refresh runs out some day; where there is a probe, that tells whether it is taken."""
    now, probed = int(ports.clock()), ports.provider(order.key.provider).probe is not None
    expiry = ports.endings.expire(order.key, order.seen, now, ends=not probed)
    if expiry is Expiry.OVER:
        return Answer("failed", Reason.TOKEN_EXPIRED)
    if expiry is Expiry.NEAR:
        with suppress(Failure):  # it falls due at its end in any case
            ports.endings.remind(order.key, now + PROBE_EVERY_SECONDS)
        return Answer("expiring", expiring=True)
    return probe(order.key, order.seen, ports)


def keep(order: Order, ports: WorkPorts, left: Callable[[], float]) -> Answer:
    """Refresh a connection, or, where there is nothing to refresh it with, look after it otherwise.

    Raises:
        Failure: as `refresh` and `probe` do.
    """
    answer = refresh(order, ports.refresh, left)
    if answer.reason is not Reason.TOKEN_EXPIRED:
        return answer
    if order.cause is Cause.DUE:
        return _unrefreshable(order, ports.probe)
    if order.cause is Cause.UNAUTHORIZED:
        return report(order, ports.probe)
    return answer
