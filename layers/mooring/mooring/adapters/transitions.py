"""Every change of a row, one named function each. Nothing else in Mooring writes to the tables.

Rows of the connections table (`merchant_id`, `connection`):

    m-1                         provider#account    a connection
    m-1                         @pending#hash       one that waits for the product's confirmation
    @account#provider#account   m-1                 pointer from a verified account to a merchant

Rows of the flows table (`pk`), all with `expires_at` for the table's TTL:

    link#merchant#jti           `states` (a set), and for each burned state a map `s_{hash}`
                                {status: exchanging | kept | done | failed, at, by, ...}
    tombstone#provider#account  `at`: when the provider said that the account uninstalled us
    confirmation#hash           where a one-time code leads

`expires_at` of a flows row is late by design: a link's row outlives every use of the link by a day.
"""

from collections.abc import Mapping
from typing import Any

from mooring.adapters.expressions import Update
from mooring.adapters.items import Plain, attribute, attributes
from mooring.core.connection import NewConnection, Status
from mooring.core.flow import LINK_GRACE_SECONDS
from mooring.core.link import FLOWS_PER_LINK, Link
from mooring.core.names import DEFAULT_ACCOUNT, connection_key
from mooring.core.schedule import due_shard
from mooring.core.tokens import SealedField

DAY_SECONDS = 86_400
CONFIRMATION_SECONDS = DAY_SECONDS
EXCHANGING, KEPT, DONE, FAILED = "exchanging", "kept", "done", "failed"
PENDING_PREFIX = "@pending#"
POINTER_PREFIX = "@account#"

_LEFT_BEHIND = (
    "lease_owner",
    "lease_until",
    "attempt_id",
    "attempt_at",
    "last_error",
    "previous_refresh",
    "previous_refresh_key",
)
"""What belonged to the generation before: a new code exchange owes it nothing."""


def slot(state_hash: str) -> str:
    """Name of the attribute that holds one burned state."""
    return f"s_{state_hash}"


def state_burned(table: str, link: Link, state_hash: str, now: int, by: str) -> Update:
    """Burn a state: refused when it was burned before, or when ten others of the link were.

    `by` names this very attempt, so that a repetition of it (an answer that got lost on the way)
    knows its own mark.
    """
    burned: dict[str, Plain] = {"status": EXCHANGING, "at": now, "by": by}
    return (
        _link_row(table, link)
        .include("states", state_hash)
        .set(slot(state_hash), burned)
        .set("expires_at", link.expires_at + LINK_GRACE_SECONDS + DAY_SECONDS)
        .when(
            "attribute_not_exists(#states) OR (NOT contains(#states, :state) AND size(#states) < :limit)",
            ("states",),
            {"state": state_hash, "limit": FLOWS_PER_LINK},
        )
    )


def flow_failed(table: str, link: Link, state_hash: str, reason: str) -> Update:
    """A burned flow ended badly."""
    update = _link_row(table, link).set(f"{slot(state_hash)}.status", FAILED)
    return _while_in(update.set(f"{slot(state_hash)}.reason", reason), state_hash, EXCHANGING)


def flow_kept(table: str, link: Link, state_hash: str, kept: SealedField) -> Update:
    """A burned flow keeps its sealed token set until the account can be learnt."""
    name = slot(state_hash)
    update = _link_row(table, link).set(f"{name}.status", KEPT)
    update.set(f"{name}.kept_access", kept.ciphertext).set(f"{name}.kept_key", kept.wrapped_key)
    return _while_in(update, state_hash, EXCHANGING, KEPT)


def flow_done(table: str, link: Link, state_hash: str, new: NewConnection) -> Update:
    """A burned flow ended well; what it kept meanwhile is erased."""
    name = slot(state_hash)
    update = _link_row(table, link).set(f"{name}.status", DONE).set(f"{name}.account", new.account.account_id)
    update.set(f"{name}.pending", new.confirmation_hash is not None)
    update.remove(f"{name}.kept_access", f"{name}.kept_key")
    return _while_in(update, state_hash, EXCHANGING, KEPT)


def connected(table: str, new: NewConnection) -> Update:
    """A finished code exchange: a new generation, active, owing nothing to the one before."""
    account_id = new.account.account_id
    shard = due_shard(new.provider, new.merchant_id, account_id) if new.due_at is not None else None
    update = Update(table, _row(new.merchant_id, connection_key(new.provider, account_id)))
    update.count("generation").count("version").set("status", Status.ACTIVE.value).set(
        "updated_at", new.connected_at
    )
    for name, value in _stored(new).items():
        update.set(name, value)
    if not new.account.verified:
        # Its name came unsigned through the browser: it may not take the place of a proven one.
        update.when(
            "attribute_not_exists(#account_verified) OR #account_verified = :unproven",
            (),
            {"unproven": False},
        )
    return (
        update.set("unauthorized_count", 0)
        .set("due_shard", shard)
        .set("due_at", new.due_at)
        .remove(*_LEFT_BEHIND)
    )


def pending(table: str, new: NewConnection) -> dict[str, Any]:
    """A finished code exchange that waits for the product's confirmation; touches no live row.

    `burned_at` stays with it, because a notice that arrives meanwhile must win at the confirmation.
    """
    waiting: dict[str, Plain | None] = {
        **_row(new.merchant_id, f"{PENDING_PREFIX}{new.confirmation_hash}"),
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


def confirmation(table: str, new: NewConnection) -> dict[str, Any]:
    """Where the one-time code of a waiting connection leads, for a day."""
    row: dict[str, Plain | None] = {
        "pk": f"confirmation#{new.confirmation_hash}",
        "merchant_id": new.merchant_id,
        "connection": connection_key(new.provider, new.account.account_id),
        "expires_at": new.connected_at + CONFIRMATION_SECONDS,
    }
    return {"TableName": table, "Item": attributes(row)}


def has_pointer(new: NewConnection) -> bool:
    """Whether an account may lead back to its merchant: only one that a call confirmed and named."""
    account = new.account
    return account.verified and account.account_id != DEFAULT_ACCOUNT and new.confirmation_hash is None


def pointer(table: str, new: NewConnection) -> dict[str, Any]:
    """The pointer from a verified account to its merchant, by which notices find connections."""
    account = f"{POINTER_PREFIX}{connection_key(new.provider, new.account.account_id)}"
    return {"TableName": table, "Item": attributes(dict(_row(account, new.merchant_id)))}


def not_uninstalled(table: str, new: NewConnection) -> dict[str, Any]:
    """A condition: no uninstall notice for the account came at or after the burn."""
    return {
        "TableName": table,
        "Key": attributes({"pk": f"tombstone#{connection_key(new.provider, new.account.account_id)}"}),
        "ConditionExpression": "attribute_not_exists(#pk) OR #at < :burned_at",
        "ExpressionAttributeNames": {"#pk": "pk", "#at": "at"},
        "ExpressionAttributeValues": {":burned_at": attribute(new.burned_at)},
    }


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
        "connected_at": new.connected_at,
        "account_verified": new.account.verified,
        "details": dict(tokens.details),
    }


def _row(merchant_id: str, connection: str) -> Mapping[str, str]:
    return {"merchant_id": merchant_id, "connection": connection}


def _link_row(table: str, link: Link) -> Update:
    return Update(table, {"pk": f"link#{link.merchant_id}#{link.jti}"})


def _while_in(update: Update, state_hash: str, *statuses: str) -> Update:
    names = {f"in_{status}": status for status in statuses}
    condition = f"#{slot(state_hash)}.#status IN ({', '.join(':' + name for name in names)})"
    return update.when(condition, (f"{slot(state_hash)}.status",), names)
