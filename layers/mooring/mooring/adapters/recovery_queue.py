"""The recovery queue: where a sealed token set goes when the table will not take it.

A message holds ciphertext and names, nothing that opens without KMS, and not the link itself. Of kind
`connected` it is a finished code exchange, of kind `refreshed` a refreshed token set.
Writing and reading stand side by side, because a worker of a later release reads what this one wrote;
a change to the shape raises `SCHEMA`, and `parse` goes on reading the old one.
"""

from mooring.adapters.message_fields import (
    Fields,
    dump,
    flag,
    key,
    load,
    malformed,
    member,
    missing,
    named,
    number,
    number_or_none,
    sealed,
    sealed_or_none,
    seen,
    text,
    text_map,
    text_or_none,
    texts,
    written,
)
from mooring.adapters.sqs_queue import SqsQueue
from mooring.core.connection import Account, NewConnection
from mooring.core.link import Link
from mooring.core.tokens import SealedTokens
from mooring.core.upkeep import FreshTokens, Recovered, Refreshed

SCHEMA = 1
AGAIN_SECONDS = 15
"""When a message that could not be stored comes again: well within the time for which a lost answer is waited
for (`upkeep.DOUBT_SECONDS`), which the queue's own visibility timeout of 210 seconds is not."""
CONNECTED, REFRESHED = "connected", "refreshed"
MAX_BYTES = 262_144


class SqsRecoveryQueue(SqsQueue):
    """The recovery queue in SQS."""

    def put(self, new: NewConnection, link: Link, state_hash: str) -> None:
        """Queue a finished exchange (ciphertext only). Raises `Failure(STORAGE_UNAVAILABLE)`."""
        self._send(message(new, link, state_hash))

    def put_refreshed(self, refreshed: Refreshed) -> None:
        """Queue a refreshed token set (ciphertext only). Raises `Failure(STORAGE_UNAVAILABLE)`."""
        self._send(refreshed_message(refreshed))

    def again_soon(self, receipt_handle: str) -> None:
        """Let a message come again in `AGAIN_SECONDS`; see `again_in`."""
        self.again_in(receipt_handle, AGAIN_SECONDS)


def message(new: NewConnection, link: Link, state_hash: str) -> str:
    """The body of a message of kind `connected`: one JSON object."""
    tokens = new.tokens
    body = {
        "schema": SCHEMA,
        "kind": CONNECTED,
        "merchant_id": new.merchant_id,
        "provider": new.provider,
        "account_id": new.account.account_id,
        "account_verified": new.account.verified,
        "access": written(tokens.access),
        "refresh": written(tokens.refresh),
        "scopes": list(tokens.scopes),
        "expires_at": tokens.expires_at,
        "refresh_expires_at": tokens.refresh_expires_at,
        "details": dict(tokens.details),
        "connected_at": new.connected_at,
        "burned_at": new.burned_at,
        "due_at": new.due_at,
        "confirmation_hash": new.confirmation_hash,
        "state_hash": state_hash,
        "link": {
            "jti": link.jti,
            "use": link.use,
            "issued_at": link.issued_at,
            "expires_at": link.expires_at,
        },
    }
    return dump(body)


def refreshed_message(refreshed: Refreshed) -> str:
    """The body of a message of kind `refreshed`: one JSON object."""
    fresh = refreshed.fresh
    body = {
        "schema": SCHEMA,
        "kind": REFRESHED,
        **refreshed.key._asdict(),
        **refreshed.seen._asdict(),
        "attempt_id": refreshed.attempt_id,
        "access": written(fresh.access),
        "refresh": written(fresh.refresh),
        "scopes": None if fresh.scopes is None else list(fresh.scopes),
        "expires_at": fresh.expires_at,
        "refresh_expires_at": fresh.refresh_expires_at,
        "details": dict(fresh.details),
        "issued_at": fresh.issued_at,
        "due_at": fresh.due_at,
        "previous_until": fresh.previous_until,
        "expiring_at": fresh.expiring_at,
    }
    return dump(body)


def parse(body: str) -> Recovered | Refreshed:
    """Read a message's body.

    Raises:
        Failure: MESSAGE_MALFORMED for a message of another schema, kind or shape.
    """
    data = load(body, MAX_BYTES)
    what = number(data, "schema"), text(data, "kind")
    if what == (SCHEMA, CONNECTED):
        return Recovered(_new(data), _link(data), text(data, "state_hash"))
    if what != (SCHEMA, REFRESHED):
        malformed("the schema or the kind is unknown")
    return Refreshed(key(data), seen(data), text(data, "attempt_id"), _fresh(data))


def _new(data: Fields) -> NewConnection:
    where = key(data)
    return NewConnection(
        merchant_id=where.merchant_id,
        provider=where.provider,
        account=Account(where.account_id, flag(data, "account_verified")),
        tokens=_tokens(data),
        connected_at=number(data, "connected_at"),
        burned_at=number(data, "burned_at"),
        due_at=number_or_none(data, "due_at"),
        confirmation_hash=text_or_none(data, "confirmation_hash"),
    )


def _tokens(data: Fields) -> SealedTokens:
    return SealedTokens(
        access=sealed(data, "access"),
        refresh=sealed_or_none(data, "refresh"),
        scopes=texts(data, "scopes"),
        expires_at=number_or_none(data, "expires_at"),
        refresh_expires_at=number_or_none(data, "refresh_expires_at"),
        details=text_map(data, "details"),
    )


def _fresh(data: Fields) -> FreshTokens:
    return FreshTokens(
        access=sealed(data, "access"),
        refresh=sealed_or_none(data, "refresh"),
        scopes=None if missing(data, "scopes") else texts(data, "scopes"),
        expires_at=number_or_none(data, "expires_at"),
        refresh_expires_at=number_or_none(data, "refresh_expires_at"),
        details=text_map(data, "details"),
        issued_at=number(data, "issued_at"),
        due_at=number_or_none(data, "due_at"),
        previous_until=number_or_none(data, "previous_until"),
        # An earlier release did not write it, and its messages may still wait.
        expiring_at=number_or_none(data, "expiring_at") if "expiring_at" in data else None,
    )


def _link(data: Fields) -> Link:
    link = member(data, "link")
    where = key(data)
    return Link(
        token="",
        merchant_id=where.merchant_id,
        use=text(link, "use"),
        provider=where.provider,
        return_to="",
        jti=named(link, "jti"),
        issued_at=number(link, "issued_at"),
        expires_at=number(link, "expires_at"),
        scopes=None,
        account_id=None,
        confirm=text_or_none(data, "confirmation_hash") is not None,
    )
