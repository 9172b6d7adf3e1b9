"""Every change of a row of the connections table, one named function each.

Here is how rows come to be and how their tokens are renewed, in `ending_transitions` how they are doubted
and ended, in `flow_transitions` the other table; nothing else in Mooring writes. Rows (`merchant_id`,
`connection`):

    m-1                         provider#account    a connection
    m-1                         @pending#hash       one that waits for the product's confirmation
    @account#provider#account   m-1                 pointer from a verified account to a merchant

A change that may be repeated after its answer was lost either finds its condition unmet and does no harm,
or knows its own mark and is made again with the same outcome.
"""

from typing import Any

from mooring.adapters.expressions import Update
from mooring.adapters.flow_transitions import CONFIRMATION_SECONDS
from mooring.adapters.items import Plain, attributes
from mooring.adapters.row_conditions import (
    ATTEMPTS,
    LEASE,
    PREVIOUS,
    UNDER_WAY,
    connection_row,
    fall_due,
    give_up,
    or_again,
    row_key,
    while_active,
    while_seen,
)
from mooring.core.announcement import Announce
from mooring.core.connection import NewConnection, Status
from mooring.core.errors import Reason
from mooring.core.names import DEFAULT_ACCOUNT, connection_key
from mooring.core.upkeep import (
    DOUBT_SECONDS,
    LEASE_SECONDS,
    READ_SECONDS,
    REPORT_SECONDS,
    Cause,
    Key,
    Leased,
    Order,
    Refreshed,
    Setback,
)

PENDING_PREFIX = "@pending#"
POINTER_PREFIX = "@account#"
CLOCK_SECONDS = 5
"""The clocks of two functions may differ by so much."""
KEPT_ATTEMPTS = 20

_LEFT_BEHIND = (
    *UNDER_WAY,
    *PREVIOUS,
    "last_error",
    "written_by",
    "unauthorized_at",
    "probed_at",
    "hinted_until",
    "uninstalled_at",
    "expiring_at",
    "revocation",
)
"""What belonged to the generation before: a new code exchange owes it nothing."""
_NOT_SO_SOON = {Cause.UNAUTHORIZED: REPORT_SECONDS, Cause.READ: READ_SECONDS}
_NOT_BEFORE_RETRY = (Cause.DUE, Cause.READ, Cause.HINT, Cause.UNAUTHORIZED)


def connected(table: str, new: NewConnection) -> Update:
    """A finished code exchange: a new generation, active, owing nothing to the one before."""
    key = Key(new.merchant_id, new.provider, new.account.account_id)
    update = connection_row(table, key, Announce.ESTABLISHED).count("generation").count("version")
    update.set("status", Status.ACTIVE.value).set("updated_at", new.connected_at)
    for name, value in _stored(new).items():
        update.set(name, value)
    if not new.account.verified:
        # Its name came unsigned through the browser: it may not take the place of a proven one.
        update.when(
            "attribute_not_exists(#account_verified) OR #account_verified = :unproven",
            (),
            {"unproven": False},
        )
    return fall_due(update.set("unauthorized_count", 0), key, new.due_at).remove(*_LEFT_BEHIND)


def restored(table: str, new: NewConnection) -> Update:
    """A finished code exchange, late: unless a later one stands there, or what stands there ended since."""
    return connected(table, new).when(
        "attribute_not_exists(#connected_at) OR (#connected_at < :connected_at "
        "AND (#status IN (:status, :given_up) OR #updated_at < :connected_at))",
        (),
        {"given_up": Status.NEEDS_RECONNECT.value},
    )


def pending(table: str, new: NewConnection) -> dict[str, Any]:
    """A finished code exchange that waits for the product's confirmation; touches no live row.

    `burned_at` stays with it, because a notice that arrives meanwhile must win at the confirmation.
    """
    waiting: dict[str, Plain | None] = {
        **row_key(new.merchant_id, f"{PENDING_PREFIX}{new.confirmation_hash}"),
        **_stored(new),
        "status": Status.PENDING_CONFIRMATION.value,
        "provider": new.provider,
        "account_id": new.account.account_id,
        "burned_at": new.burned_at,
        "due_at": None,
        "pending_until": new.connected_at + CONFIRMATION_SECONDS,
        "updated_at": new.connected_at,
    }
    return {"TableName": table, "Item": attributes(waiting)}


def pending_restored(table: str, new: NewConnection) -> dict[str, Any]:
    """The same, late: only where it does not wait already."""
    return pending(table, new) | {
        "ConditionExpression": "attribute_not_exists(#connection)",
        "ExpressionAttributeNames": {"#connection": "connection"},
    }


def has_pointer(new: NewConnection) -> bool:
    """Whether an account may lead back to its merchant: only one that a call confirmed and named."""
    account = new.account
    return account.verified and account.account_id != DEFAULT_ACCOUNT and new.confirmation_hash is None


def pointer(table: str, new: NewConnection) -> dict[str, Any]:
    """The pointer from a verified account to its merchant, by which notices find connections."""
    account = pointers_key(new.provider, new.account.account_id)
    return {"TableName": table, "Item": attributes(dict(row_key(account, new.merchant_id)))}


def pointers_key(provider: str, account_id: str) -> str:
    """Partition key of an account's pointers."""
    return f"{POINTER_PREFIX}{connection_key(provider, account_id)}"


def leased(table: str, order: Order, attempt_id: str, now: int, *, rotates: bool) -> Update:
    """Somebody may make one token call, and is noted before it; returns the row as it was.

    A process that dies in the call leaves the note behind, and so the connection in doubt. Where the
    provider never rotates, a lost answer took nothing away, and earlier notes are dropped.
    """
    update = connection_row(table, order.key).returning("ALL_OLD").set("attempt_at", now)
    update.set("lease_owner", attempt_id).set("lease_until", now + LEASE_SECONDS)
    while_active(update, order.seen).when("attribute_exists(#refresh)", ("refresh",), {})
    update.at_most("lease_until", now)
    if rotates:
        update.append("attempts", attempt_id).at_most("attempt_at", now - DOUBT_SECONDS)
    else:
        update.set("attempts", (attempt_id,))
    if order.cause in _NOT_BEFORE_RETRY:
        update.at_most("retry_at", now)
    if order.cause is Cause.DUE:
        update.when("#due_at <= :soon", ("due_at",), {"soon": now + CLOCK_SECONDS})
    if order.cause in _NOT_SO_SOON:
        update.at_most("issued_at", now - _NOT_SO_SOON[order.cause])
    return update


def refreshed(table: str, refreshed: Refreshed, now: int) -> Update:
    """New tokens, written by whoever holds the lease."""
    update = while_active(_fresh(table, refreshed, now), refreshed.seen)
    return _while_leased(update, refreshed.attempt_id)


def recovered(table: str, refreshed: Refreshed, now: int, last: int | None) -> Update:
    """New tokens that came late: while their attempt is noted, and nobody else is at it.

    A connection that was given up for this doubt alone is active again. `last`: its attempt's place in the
    list of notes, whose end it must be; None leaves the notes, because the answer to a newer attempt is
    missing, and it may have made these tokens worthless.
    """
    notes = ATTEMPTS if last is None else ()
    update = _fresh(table, refreshed, now, keep=notes, announce=Announce.RECOVERED)
    while_seen(update, refreshed.seen)
    update.set("status", Status.ACTIVE.value)
    if last is not None:
        update.when(f"attribute_not_exists(#attempts[{last + 1}])", (), {})
    given_up = {"given_up": Status.NEEDS_RECONNECT.value, "doubt": Reason.LOST_ROTATION.value}
    return (
        update.when(
            "#status = :status OR (#status = :given_up AND #last_error = :doubt)",
            ("status", "last_error"),
            given_up,
        )
        .when("contains(#attempts, :written_by)", ("attempts",), {})
        .when(
            "attribute_not_exists(#lease_until) OR #lease_until <= :now OR #lease_owner = :written_by",
            LEASE,
            {"now": now},
        )
    )


def put_off(table: str, leased: Leased, setback: Setback, now: int) -> Update:
    """A token call failed, and the grant may well live: come again at `retry_at`.

    `attempt_at` stays only while an answer may be on its way: it holds up the next lease, and tells it that
    nobody has looked since.
    """
    noted = (leased.attempts if setback.in_doubt else leased.attempts[:-1])[-KEPT_ATTEMPTS:]
    update = connection_row(table, leased.key).set("retry_at", setback.retry_at).count("failures")
    update.set("last_error", setback.reason.value).set("updated_at", now).remove(*LEASE)
    update.begin("failing_since", now)
    update.set("attempts", noted or None)
    if not (setback.in_doubt and setback.wait):
        # An earlier doubt was waited for before this lease was given; `retry_at` alone counts from here.
        update.remove("attempt_at")
    fall_due(update, leased.key, setback.retry_at)
    return _while_leased(while_active(update, leased.seen), leased.attempt_id)


def lost(table: str, leased: Leased, reason: Reason, now: int) -> Update:
    """The grant is lost. In doubt the earlier notes stay: their answer may yet come by the recovery queue."""
    update = give_up(connection_row(table, leased.key, Announce.NEEDS_RECONNECT), reason.value, now)
    if leased.in_doubt:
        update.set("attempts", leased.attempts[:-1])
    else:
        update.remove(*ATTEMPTS)
    update.when(
        or_again("#status = :active AND #lease_owner = :attempt", "last_error"),
        ("lease_owner",),
        {"active": Status.ACTIVE.value, "attempt": leased.attempt_id},
    )
    return while_seen(update, leased.seen)


def _fresh(
    table: str,
    refreshed: Refreshed,
    now: int,
    keep: tuple[str, ...] = (),
    announce: Announce | None = None,
) -> Update:
    fresh, key = refreshed.fresh, refreshed.key
    # Whether either is news, the stream's image of the row before tells (see `announcement`).
    expiring = None if fresh.expiring_at is None else Announce.EXPIRING
    update = connection_row(table, key, announce or expiring)
    if fresh.refresh is not None and fresh.previous_until is not None:
        update.copy("refresh", to="previous_refresh").copy("refresh_key", to="previous_refresh_key")
        update.set("previous_until", fresh.previous_until)
    else:
        update.remove(*PREVIOUS)
    update.set("access", fresh.access.ciphertext).set("access_key", fresh.access.wrapped_key)
    if fresh.refresh is not None:
        update.set("refresh", fresh.refresh.ciphertext).set("refresh_key", fresh.refresh.wrapped_key)
    if fresh.scopes is not None:
        update.set("scopes", fresh.scopes)
    update.set("expires_at", fresh.expires_at).set("refresh_expires_at", fresh.refresh_expires_at)
    update.set("expiring_at", fresh.expiring_at)
    update.set("details", dict(fresh.details)).set("issued_at", fresh.issued_at).set("updated_at", now)
    update.count("version").set("written_by", refreshed.attempt_id).set("unauthorized_count", 0)
    over = (name for name in UNDER_WAY if name not in keep)
    return fall_due(update, key, fresh.due_at).remove(*over, "unauthorized_at", "last_error")


def _while_leased(update: Update, attempt_id: str) -> Update:
    return update.when("#lease_owner = :attempt", ("lease_owner",), {"attempt": attempt_id})


def _stored(new: NewConnection) -> dict[str, Plain | None]:
    tokens = new.tokens
    return {
        "access": tokens.access.ciphertext,
        "access_key": tokens.access.wrapped_key,
        "refresh": tokens.refresh.ciphertext if tokens.refresh else None,
        "refresh_key": tokens.refresh.wrapped_key if tokens.refresh else None,
        "scopes": tokens.scopes,
        "expires_at": tokens.expires_at,
        "refresh_expires_at": tokens.refresh_expires_at,
        "issued_at": new.connected_at,
        "connected_at": new.connected_at,
        "account_verified": new.account.verified,
        "details": dict(tokens.details),
    }
