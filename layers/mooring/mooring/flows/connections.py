"""What a service sees of a merchant's connections: a page of a list, or one of them; never a token."""

from base64 import b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import NamedTuple

from mooring.core.connection import Connection, Status, Wanted
from mooring.core.errors import Failure, Reason
from mooring.core.names import is_name, is_provider_id
from mooring.core.ports import Connections
from mooring.core.upkeep import Key

DEFAULT_LIMIT, MAX_LIMIT = 50, 100
LISTED = (Status.ACTIVE, Status.NEEDS_RECONNECT, Status.UNINSTALLED, Status.DISCONNECTED)
"""What a list can be narrowed to. What waits for confirmation is no connection yet, and in no list."""
_MARK_BYTES = 9


class Asked(NamedTuple):
    """Which list a service asks for; `next` is the cursor that the page before came with, or None."""

    merchant_id: str
    provider: str | None = None
    status: Status | None = None
    limit: int = DEFAULT_LIMIT
    next: str | None = None


class Listed(NamedTuple):
    """One page; `next` is the cursor of the next one, or None when this is the last."""

    connections: tuple[Connection, ...]
    next: str | None


def list_connections(asked: Asked, connections: Connections) -> Listed:
    """One page of a merchant's connections, in the order of provider and account.

    A cursor says after which connection to go on, and of which list it is: it leads to no other merchant.

    Raises:
        Failure: REQUEST_MALFORMED for an impossible merchant or provider id, a limit outside of 1 to 100, a
            status that no listed connection has, or a cursor of another list; STORAGE_UNAVAILABLE.
    """
    if not is_name(asked.merchant_id):
        raise _malformed("the merchant id has characters outside A-Z a-z 0-9 . _ : -")
    if asked.provider is not None and not is_provider_id(asked.provider):
        raise _malformed("the provider is not a provider id")
    if asked.status is not None and asked.status not in LISTED:
        raise _malformed("no listed connection has this status")
    if not 1 <= asked.limit <= MAX_LIMIT:
        raise _malformed("the limit must be a whole number from 1 to 100")
    after = None if asked.next is None else _after(asked.next, asked)
    page = connections.list(asked.merchant_id, Wanted(asked.limit, asked.provider, asked.status, after))
    return Listed(page.connections, None if page.after is None else _cursor(page.after, asked))


def show_connection(key: Key, connections: Connections) -> Connection:
    """One connection, whatever its status.

    Raises:
        Failure: CONNECTION_NOT_FOUND when there never was one, STORAGE_UNAVAILABLE.
    """
    if not key.is_possible:
        raise Failure(Reason.CONNECTION_NOT_FOUND)
    row = connections.read(*key)
    if row is None:
        raise Failure(Reason.CONNECTION_NOT_FOUND)
    return row.connection


def _malformed(detail: str) -> Failure:
    return Failure(Reason.REQUEST_MALFORMED, detail)


def _mark(asked: Asked) -> bytes:
    """Tells lists apart. No secret: who makes a cursor up gets no more than what the list holds anyway."""
    which = f"{asked.merchant_id}\n{asked.provider or ''}\n{asked.status or ''}"
    return sha256(which.encode()).digest()[:_MARK_BYTES]


def _cursor(after: str, asked: Asked) -> str:
    return urlsafe_b64encode(_mark(asked) + after.encode()).rstrip(b"=").decode()


def _after(cursor: str, asked: Asked) -> str:
    try:
        padding = "=" * (-len(cursor) % 4)
        content = b64decode(cursor + padding, altchars=b"-_", validate=True)
        mark, after = content[:_MARK_BYTES], content[_MARK_BYTES:].decode("ascii")
    except ValueError:
        mark, after = b"", ""
    provider, _, account_id = after.partition("#")
    named = is_provider_id(provider) and is_name(account_id) and asked.provider in (None, provider)
    if mark != _mark(asked) or not named:
        raise _malformed("next must be the value that the previous page returned, for the same list")
    return after
