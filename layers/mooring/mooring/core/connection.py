"""The connection: the record that a merchant granted us one account."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from mooring.core.tokens import SealedField, SealedTokens


class Status(StrEnum):
    """Where a connection stands."""

    ACTIVE = "active"
    NEEDS_RECONNECT = "needs_reconnect"
    UNINSTALLED = "uninstalled"
    DISCONNECTED = "disconnected"
    PENDING_CONFIRMATION = "pending_confirmation"


class Account(NamedTuple):
    """The account at the provider; `verified` once a call with the new token confirmed it."""

    account_id: str
    verified: bool


class Connection(NamedTuple):
    """A connection as readers see it: no token in it. Times are epoch seconds.

    `issued_at` is when its current tokens were issued; None in rows of an earlier release. `expiring_at`
    is when the grant ends and the merchant must have come back, once that is near; else None. `revocation`
    says of a disconnected one whether its provider revoked the tokens (see `revocation`), once that is known.
    """

    merchant_id: str
    provider: str
    account_id: str
    status: Status
    generation: int
    version: int
    scopes: tuple[str, ...]
    expires_at: int | None
    connected_at: int
    updated_at: int
    account_verified: bool
    last_error: str | None
    details: Mapping[str, str]
    issued_at: int | None = None
    expiring_at: int | None = None
    revocation: str | None = None


class ReadableConnection(NamedTuple):
    """A connection together with its sealed access token (None once it was erased)."""

    connection: Connection
    access: SealedField | None


class Wanted(NamedTuple):
    """Which of a merchant's connections are asked for.

    At most `limit` (from 1), of one provider, of one status, and of those only what stands after the sort
    key `after`; None leaves out nothing.
    """

    limit: int
    provider: str | None = None
    status: Status | None = None
    after: str | None = None


class Page(NamedTuple):
    """Some of a merchant's connections, in the order of their keys.

    `after` is the sort key from which the next page goes on, or None when this is the last one. A page that
    is not the last may hold fewer than were asked for, and even none.
    """

    connections: tuple[Connection, ...]
    after: str | None = None


class NewConnection(NamedTuple):
    """A finished code exchange, ready to be stored. Times are epoch seconds.

    `burned_at` is when this flow's state was burned: an uninstall notice that came later wins.
    """

    merchant_id: str
    provider: str
    account: Account
    tokens: SealedTokens
    connected_at: int
    burned_at: int
    due_at: int | None
    confirmation_hash: str | None = None
