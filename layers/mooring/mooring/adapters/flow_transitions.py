"""Every change of a row of the flows table, one named function each (see `transitions` for the other table).

Rows of the flows table (`pk`), all with `expires_at` for the table's TTL:

    link#merchant#jti           `states` (a set), and for each burned state a map `s_{hash}`
                                {status: exchanging | kept | done | failed, at, by, ...};
                                `open_shard`, `open_at`: the latest burn, until its flow ends; where it
                                fails, the latest one that is open still
    tombstone#provider#account  `at`: when the provider said that the account uninstalled us
    confirmation#hash           where a one-time code leads
    circuit#provider            since when and why nothing but trials is sent to a provider; `closed_at` once
                                that is over

`expires_at` of a link's row is late by design: it outlives every use of the link by a day.
"""

from typing import Any, NamedTuple

from mooring.adapters.expressions import Update
from mooring.adapters.items import Plain, attribute, attributes
from mooring.core.connection import NewConnection
from mooring.core.errors import Reason
from mooring.core.flow import LINK_GRACE_SECONDS
from mooring.core.link import FLOWS_PER_LINK, Link
from mooring.core.names import connection_key
from mooring.core.tokens import SealedField
from mooring.core.upkeep import RAMP_SECONDS

DAY_SECONDS = 86_400
CONFIRMATION_SECONDS = DAY_SECONDS
TOMBSTONE_SECONDS = 15 * DAY_SECONDS
"""A finished exchange may wait on the recovery queue for 14 days, and must still meet its tombstone."""
CIRCUIT_SECONDS = 30 * DAY_SECONDS
"""An open circuit that nobody closed for so long is tried anew, and opens again if it must."""
_OPEN_CIRCUIT = "attribute_exists(#pk) AND attribute_not_exists(#closed_at)"
OPEN_SHARD = "open"
_OPEN = ("open_shard", "open_at")
EXCHANGING, KEPT, DONE, FAILED = "exchanging", "kept", "done", "failed"


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
        .set("open_shard", OPEN_SHARD)
        .set("open_at", now)
        .when(
            "attribute_not_exists(#states) OR (NOT contains(#states, :state) AND size(#states) < :limit)",
            ("states",),
            {"state": state_hash, "limit": FLOWS_PER_LINK},
        )
    )


class Others(NamedTuple):
    """The other flows of a link: how many, and the state and time of the latest one, where that is open."""

    number: int = 0
    state_hash: str | None = None
    open_at: int = 0


ALONE = Others()


def flow_failed(table: str, link: Link, state_hash: str, reason: str, others: Others = ALONE) -> Update:
    """A burned flow ended badly; another one that is open goes on being counted.

    Refused where the others are not as `others` says; the row that comes back then tells how they are.
    """
    update = _link_row(table, link).set(f"{slot(state_hash)}.status", FAILED)
    update.set(f"{slot(state_hash)}.reason", reason)
    so_many = "attribute_exists(#states) AND size(#states) = :flows"
    update.when(so_many, ("states",), {"flows": others.number + 1})
    if others.state_hash is None:
        update.remove(*_OPEN)
    else:
        update.set("open_shard", OPEN_SHARD).set("open_at", others.open_at)
        _while_in(update, others.state_hash, EXCHANGING, KEPT)
    return _while_in(update, state_hash, EXCHANGING)


def flow_kept(table: str, link: Link, state_hash: str, kept: SealedField) -> Update:
    """A burned flow keeps its sealed token set until the account can be learnt."""
    name = slot(state_hash)
    update = _link_row(table, link).set(f"{name}.status", KEPT)
    update.set(f"{name}.kept_access", kept.ciphertext).set(f"{name}.kept_key", kept.wrapped_key)
    return _while_in(update, state_hash, EXCHANGING, KEPT)


def flow_done(table: str, link: Link, state_hash: str, new: NewConnection) -> Update:
    """A burned flow ended well; what it kept meanwhile is erased."""
    return _while_in(_done(table, link, state_hash, new), state_hash, EXCHANGING, KEPT)


def flow_restored(table: str, link: Link, state_hash: str, new: NewConnection) -> Update:
    """A burned flow whose callback could not store ended well after all."""
    update = _done(table, link, state_hash, new).remove(f"{slot(state_hash)}.reason")
    return _while_in(update, state_hash, EXCHANGING, KEPT, FAILED)


def confirmation(table: str, new: NewConnection) -> dict[str, Any]:
    """Where the one-time code of a waiting connection leads, for a day."""
    row: dict[str, Plain | None] = {
        "pk": f"confirmation#{new.confirmation_hash}",
        "merchant_id": new.merchant_id,
        "connection": connection_key(new.provider, new.account.account_id),
        "expires_at": new.connected_at + CONFIRMATION_SECONDS,
    }
    return {"TableName": table, "Item": attributes(row)}


def buried(table: str, provider: str, account_id: str, at: int, now: int) -> dict[str, Any]:
    """A tombstone: the account uninstalled us at `at`. The latest one stays."""
    row: dict[str, Plain | None] = {
        "pk": _tombstone(provider, account_id),
        "at": at,
        "expires_at": now + TOMBSTONE_SECONDS,
    }
    return {
        "TableName": table,
        "Item": attributes(row),
        "ConditionExpression": "attribute_not_exists(#pk) OR #at < :at",
        "ExpressionAttributeNames": {"#pk": "pk", "#at": "at"},
        "ExpressionAttributeValues": {":at": attribute(at)},
    }


def not_uninstalled(table: str, new: NewConnection) -> dict[str, Any]:
    """A condition: no uninstall notice for the account came at or after the burn."""
    return {
        "TableName": table,
        "Key": attributes({"pk": _tombstone(new.provider, new.account.account_id)}),
        "ConditionExpression": "attribute_not_exists(#pk) OR #at < :burned_at",
        "ExpressionAttributeNames": {"#pk": "pk", "#at": "at"},
        "ExpressionAttributeValues": {":burned_at": attribute(new.burned_at)},
    }


def circuit(provider: str) -> dict[str, Any]:
    """The key of a provider's circuit."""
    return attributes({"pk": f"circuit#{provider}"})


def circuit_opened(
    table: str, provider: str, reason: Reason, now: int, not_before: int = 0
) -> dict[str, Any]:
    """A provider refuses us or is silent since `now`, unless it was so before."""
    row: dict[str, Plain | None] = {
        "provider": provider,
        "reason": reason.value,
        "opened_at": now,
        "not_before": not_before,
        "expires_at": now + CIRCUIT_SECONDS,
    }
    names = ("pk", "expires_at", "closed_at")
    over = "#expires_at <= :now OR attribute_exists(#closed_at)"
    return {
        "TableName": table,
        "Item": circuit(provider) | attributes(row),
        "ConditionExpression": f"attribute_not_exists(#pk) OR {over}",
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": {":now": attribute(now)},
    }


def circuit_waits(table: str, provider: str, not_before: int) -> Update:
    """A provider whose circuit is open wants not to be asked before `not_before`."""
    update = _circuit_row(table, provider).at_most("not_before", not_before - 1)
    return update.set("not_before", not_before).when(_OPEN_CIRCUIT, ("pk", "closed_at"), {})


def circuit_closed(table: str, provider: str, now: int) -> Update:
    """A provider takes us again since `now`; that is remembered while its share grows."""
    update = _circuit_row(table, provider).set("closed_at", now).set("expires_at", now + RAMP_SECONDS)
    return update.remove("not_before").when(_OPEN_CIRCUIT, ("pk", "closed_at"), {})


def _circuit_row(table: str, provider: str) -> Update:
    return Update(table, {"pk": f"circuit#{provider}"}).silent()


def _tombstone(provider: str, account_id: str) -> str:
    return f"tombstone#{connection_key(provider, account_id)}"


def _link_row(table: str, link: Link) -> Update:
    return Update(table, {"pk": f"link#{link.merchant_id}#{link.jti}"})


def _done(table: str, link: Link, state_hash: str, new: NewConnection) -> Update:
    name = slot(state_hash)
    update = _link_row(table, link).set(f"{name}.status", DONE).set(f"{name}.account", new.account.account_id)
    update.set(f"{name}.pending", new.confirmation_hash is not None)
    return update.remove(f"{name}.kept_access", f"{name}.kept_key", *_OPEN)


def _while_in(update: Update, state_hash: str, *statuses: str) -> Update:
    names = {f"in_{status}": status for status in statuses}
    condition = f"#{slot(state_hash)}.#status IN ({', '.join(':' + name for name in names)})"
    return update.when(condition, (f"{slot(state_hash)}.status",), names)
