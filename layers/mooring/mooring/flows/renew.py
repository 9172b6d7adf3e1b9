"""Look after a connection now: a service reports a 401, or an operator asks for a refresh."""

from typing import NamedTuple

from mooring.core.connection import Connection, Status
from mooring.core.errors import ConnectionFailure, Failure, Reason
from mooring.core.ports import Connections
from mooring.core.upkeep import Answer, Order
from mooring.core.upkeep_ports import Refresher

_DONE = ("refreshed", "fresh", "reported", "probed", "skipped")


class RenewPorts(NamedTuple):
    """What renewing needs."""

    connections: Connections
    refresher: Refresher


def renew(order: Order, ports: RenewPorts) -> tuple[Answer, Connection]:
    """Have a connection looked after; what became of it, and how it stands.

    Args:
        order: which one, as it was seen, and why. A report about an older version changes nothing.
        ports: the outside world.

    Raises:
        Failure: CONNECTION_NOT_FOUND, CONNECTION_NOT_ACTIVE when it is not, or not any more;
            the reason why it could not be refreshed now.
    """
    key = order.key
    if not key.is_possible:
        raise Failure(Reason.CONNECTION_NOT_FOUND)
    answer = ports.refresher.refresh(order)
    row = ports.connections.read(*key)
    if row is None:
        raise Failure(Reason.CONNECTION_NOT_FOUND)
    status = row.connection.status
    if status is not Status.ACTIVE:
        raise ConnectionFailure(Reason.CONNECTION_NOT_ACTIVE, status, f"its status is {status.value}")
    if answer.word not in _DONE:
        raise ConnectionFailure(answer.reason or Reason.INTERNAL, status)
    return answer, row.connection
