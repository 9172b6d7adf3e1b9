"""Disconnect: cut a connection off here, at once. Nothing reads or refreshes it from then on."""

from collections.abc import Callable
from typing import NamedTuple

from mooring.core.errors import Failure, Reason
from mooring.core.names import is_name, is_provider_id
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
    if not (is_name(key.merchant_id) and is_provider_id(key.provider) and is_name(key.account_id)):
        raise Failure(Reason.CONNECTION_NOT_FOUND)
    ended = ports.endings.disconnect(key, int(ports.clock()))
    if ended is None:
        raise Failure(Reason.CONNECTION_NOT_FOUND)
    return ended
