"""What a service reads: a merchant's connections, and a token that is still good for a while."""

from collections.abc import Callable
from typing import NamedTuple

from mooring.core.connection import Connection, Status
from mooring.core.errors import Failure, Reason
from mooring.core.names import is_name, is_provider_id
from mooring.core.ports import Connections, Sealer

DEFAULT_MIN_TTL = 60
MAX_MIN_TTL = 3_600


class ReadPorts(NamedTuple):
    """What reading needs."""

    connections: Connections
    sealer: Sealer
    clock: Callable[[], float]


class AccessToken(NamedTuple):
    """A valid access token; `expires_at` in epoch seconds, None when it has no known end."""

    access_token: str
    connection: Connection

    def __repr__(self) -> str:
        return f"AccessToken({self.connection.provider}#{self.connection.account_id})"


def list_connections(merchant_id: str, ports: ReadPorts) -> list[Connection]:
    """All connections of a merchant, never a token.

    Raises:
        Failure: REQUEST_MALFORMED for an impossible merchant id.
    """
    if not is_name(merchant_id):
        raise Failure(Reason.REQUEST_MALFORMED, "the merchant id has characters outside A-Z a-z 0-9 . _ : -")
    return ports.connections.list(merchant_id)


def read_token(
    merchant_id: str, provider: str, account_id: str, min_ttl: int, ports: ReadPorts
) -> AccessToken:
    """A valid access token of one connection.

    Args:
        merchant_id: whose connection.
        provider: provider id.
        account_id: the account at the provider.
        min_ttl: seconds for which the token must still be valid; clamped to 0 .. 3,600.
        ports: the outside world.

    Raises:
        Failure: CONNECTION_NOT_FOUND, CONNECTION_NOT_ACTIVE, TOKEN_EXPIRED, TOKEN_UNREADABLE, or
            one of the *_UNAVAILABLE reasons.
    """
    if not (is_name(merchant_id) and is_provider_id(provider) and is_name(account_id)):
        raise Failure(Reason.CONNECTION_NOT_FOUND)
    found = ports.connections.read(merchant_id, provider, account_id)
    if found is None:
        raise Failure(Reason.CONNECTION_NOT_FOUND)
    connection = found.connection
    if connection.status is not Status.ACTIVE or found.access is None:
        raise Failure(Reason.CONNECTION_NOT_ACTIVE, f"its status is {connection.status.value}")
    ttl = max(0, min(min_ttl, MAX_MIN_TTL))
    if connection.expires_at is not None and connection.expires_at <= int(ports.clock()) + ttl:
        raise Failure(Reason.TOKEN_EXPIRED)
    token = ports.sealer.open(found.access, merchant_id, provider, account_id, "access")
    return AccessToken(token, connection)
