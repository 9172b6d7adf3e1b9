"""Disconnect: cut a connection off here, at once. Nothing reads or refreshes it from then on."""

from collections.abc import Callable
from typing import NamedTuple

from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Key
from mooring.core.upkeep_ports import Endings


class DisconnectPorts(NamedTuple):
    """What `disconnect` needs."""

    endings: Endings
    clock: Callable[[], float]


def disconnect(key: Key, ports: DisconnectPorts) -> bool:
    """Erase a connection's tokens and mark it `disconnected`; whether it was connected until now.

    Raises:
        Failure: CONNECTION_NOT_FOUND when there never was one, STORAGE_UNAVAILABLE.
    """
    if not key.is_possible:
        raise Failure(Reason.CONNECTION_NOT_FOUND)
    ended = ports.endings.disconnect(key, int(ports.clock()))
    if ended is None:
        raise Failure(Reason.CONNECTION_NOT_FOUND)
    return ended
