"""What a service reads: a token that is still good for a while."""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from mooring.core.connection import Connection, Status
from mooring.core.errors import ConnectionFailure, Failure, Reason
from mooring.core.ports import Connections, Sealer
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Answer, Cause, Key, Order, Seen
from mooring.core.upkeep_ports import Refresher

DEFAULT_MIN_TTL = 60
MAX_MIN_TTL = 3_600
REFRESH_SECONDS = 22
"""Asking for a refresh may take so long; with less time left, the token is given as it is."""
WAIT_SECONDS = 13
"""One token call and its write take no longer; whoever holds the lease then has failed or died."""
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 2.0
_MARGIN_SECONDS = 3


class ReadPorts(NamedTuple):
    """What reading needs. `refreshes` tells whether a provider's tokens can be refreshed at all."""

    connections: Connections
    sealer: Sealer
    refresher: Refresher
    refreshes: Callable[[str], bool]
    clock: Callable[[], float]
    sleep: Callable[[float], None]


class AccessToken(NamedTuple):
    """A valid access token; `expires_at` in epoch seconds, None when it has no known end.

    `warning` is the reason why it was not refreshed although it should have been, now or at the latest try.
    """

    access_token: str
    connection: Connection
    warning: Reason | None = None

    def __repr__(self) -> str:
        return f"AccessToken({self.connection.provider}#{self.connection.account_id})"


def read_token(key: Key, min_ttl: int, ports: ReadPorts, left: Callable[[], float]) -> AccessToken:
    """A valid access token of one connection, refreshed first when it does not live long enough.

    Args:
        key: which connection.
        min_ttl: seconds for which the token must still be valid; clamped to 0 .. 3,600, and to half
            of the token's lifetime, so that no reader asks for more than a new token could give.
        ports: the outside world.
        left: tells the seconds until Lambda ends us.

    Raises:
        Failure: CONNECTION_NOT_FOUND, CONNECTION_NOT_ACTIVE, TOKEN_EXPIRED, TOKEN_UNREADABLE, or
            one of the *_UNAVAILABLE reasons; of a dead token that could not be refreshed, why. Where there
            is a connection and the token is what it cannot give, a ConnectionFailure.
    """
    connection, access = _active(key, ports)
    if not ends_within(connection, min_ttl, ports.clock()):
        return _open(key, connection, access, _failing(connection), ports)
    if not ports.refreshes(key.provider):
        raise ConnectionFailure(Reason.TOKEN_EXPIRED, connection.status)
    reason = _refresh(key, connection, ports, left)
    connection, access = _active(key, ports)
    if not ends_within(connection, min_ttl, ports.clock()):
        return _open(key, connection, access, _failing(connection), ports)
    if ends_within(connection, 0, ports.clock()):
        raise ConnectionFailure(reason or Reason.TOKEN_EXPIRED, connection.status)
    return _open(key, connection, access, reason or Reason.TOKEN_EXPIRED, ports)


def _active(key: Key, ports: ReadPorts) -> tuple[Connection, SealedField]:
    if not key.is_possible:
        raise Failure(Reason.CONNECTION_NOT_FOUND)
    row = ports.connections.read(*key)
    if row is None:
        raise Failure(Reason.CONNECTION_NOT_FOUND)
    if row.connection.status is not Status.ACTIVE or row.access is None:
        status = row.connection.status
        raise ConnectionFailure(Reason.CONNECTION_NOT_ACTIVE, status, f"its status is {status.value}")
    return row.connection, row.access


def _failing(connection: Connection) -> Reason | None:
    """Why its latest refresh failed, if nothing has mended that since; None for another release's word."""
    try:
        return Reason(connection.last_error) if connection.last_error else None
    except ValueError:
        return None


def ends_within(connection: Connection, seconds: int, now: float) -> bool:
    """Whether its token ends within so many seconds, which are clamped as `read_token` says."""
    if connection.expires_at is None:
        return False
    ttl = max(0, min(seconds, MAX_MIN_TTL))
    if connection.issued_at is not None:
        ttl = min(ttl, max(0, connection.expires_at - connection.issued_at) // 2)
    return connection.expires_at <= int(now) + ttl


def _refresh(key: Key, connection: Connection, ports: ReadPorts, left: Callable[[], float]) -> Reason | None:
    """Have it refreshed, or wait for whoever does so already; why it did not happen, or None."""
    if left() < REFRESH_SECONDS + _MARGIN_SECONDS:
        return Reason.OUT_OF_TIME
    seen = Seen(connection.generation, connection.version)
    try:
        answer = ports.refresher.refresh(Order(key, seen, Cause.READ))
    except Failure as failure:
        return failure.reason
    if answer.word == "busy":
        return _wait(key, seen, answer, ports, left)
    return answer.reason


def _wait(key: Key, seen: Seen, answer: Answer, ports: ReadPorts, left: Callable[[], float]) -> Reason | None:
    """Look at the row until it changes, the one who refreshes must have ended, or time is up."""
    pause, until = _PAUSE_SECONDS, min(answer.until, ports.clock() + WAIT_SECONDS)
    while ports.clock() < until and left() > pause + _MARGIN_SECONDS:
        ports.sleep(pause)
        with suppress(Failure):
            row = ports.connections.read(*key)
            if row is None or Seen(row.connection.generation, row.connection.version) != seen:
                return None
        pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)
    return answer.reason


def _open(
    key: Key, connection: Connection, access: SealedField, warning: Reason | None, ports: ReadPorts
) -> AccessToken:
    return AccessToken(ports.sealer.open(access, *key, "access"), connection, warning)
