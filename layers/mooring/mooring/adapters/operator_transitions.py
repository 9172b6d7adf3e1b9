"""Every change of a row that an operator makes from the command line (see `transitions`).

None of them is announced: a product hears of what merchants, providers and itself did, not of how rows
are kept.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from mooring.adapters import flow_transitions, transitions
from mooring.adapters.expressions import Update
from mooring.adapters.items import Plain, attribute, attributes
from mooring.adapters.row_conditions import PREVIOUS, UNDER_WAY, connection_row, fall_due, row_key
from mooring.core.connection import Account, Connection, NewConnection, Status
from mooring.core.tokens import SealedTokens
from mooring.core.upkeep import Key

_ENDED = (Status.UNINSTALLED, Status.DISCONNECTED)
_NOT_CARRIED = (
    *UNDER_WAY,
    *PREVIOUS,
    "written_by",
    "unauthorized_at",
    "probed_at",
    "hinted_until",
    "revocation",
)
"""What belongs to the installation that a connection comes from, or speaks of what is replaced here."""


class Moved(NamedTuple):
    """A connection from an export, sealed for this installation. Times are epoch seconds.

    `tokens` None: it has ended, or its tokens could not be read where it comes from.
    """

    connection: Connection
    tokens: SealedTokens | None
    due_at: int | None
    uninstalled_at: int | None

    @property
    def key(self) -> Key:
        """Which connection."""
        return Key(self.connection.merchant_id, self.connection.provider, self.connection.account_id)


def resealed(
    table: str, merchant_id: str, connection: str, keys: Mapping[str, tuple[bytes, bytes]], now: int
) -> Update:
    """The same data keys, wrapped anew: `keys` has those before and after by attribute.

    Refused while somebody refreshes the connection: that one writes back the wrapped keys that it was given
    with its lease.
    """
    update = Update(table, row_key(merchant_id, connection)).remove("announce").silent()
    for name, (before, after) in keys.items():
        update.set(name, after).when(f"#{name} = :{name}_before", (), {f"{name}_before": before})
    return update.at_most("lease_until", now)


def kept_resealed(table: str, pk: str, slot: str, before: bytes, after: bytes) -> Update:
    """The same for a token set that a flow has kept in its slot."""
    update = Update(table, {"pk": pk}).set(f"{slot}.kept_key", after).silent()
    return update.when(f"#{slot}.#kept_key = :before", (), {"before": before})


def imported(table: str, moved: Moved, now: int) -> Update:
    """A connection as an export carries it, unless a newer one stands here, or what stands here ended since.

    Newer is what has the higher generation and version, or was connected later. A generation that ended here
    stays ended.
    """
    update = connection_row(table, moved.key).silent()
    for name, value in _carried(moved).items():
        update.set(name, value)
    update.set("updated_at", now).set("unauthorized_count", 0)
    fall_due(update, moved.key, moved.due_at).remove(*_NOT_CARRIED)
    update.when(
        "attribute_not_exists(#status) OR (#connected_at <= :connected_at AND "
        "((#status IN (:active, :given_up) AND "
        "(#generation < :generation OR (#generation = :generation AND #version < :version))) OR "
        "(#generation < :generation AND #updated_at < :connected_at)))",
        (),
        {"active": Status.ACTIVE.value, "given_up": Status.NEEDS_RECONNECT.value},
    )
    return update.at_most("lease_until", now)


def import_parts(connections: str, flows: str, moved: Moved, now: int) -> list[dict[str, Any]]:
    """The parts of the transaction that imports one connection.

    What lives gets its pointer, and is refused where an uninstall notice came after it was connected.
    """
    parts: list[dict[str, Any]] = [{"Update": imported(connections, moved, now).parameters()}]
    found = moved.connection
    if moved.tokens is None or found.status in _ENDED:
        return parts
    account = Account(found.account_id, found.account_verified)
    at = found.connected_at
    new = NewConnection(found.merchant_id, found.provider, account, moved.tokens, at, at, moved.due_at)
    parts.append({"ConditionCheck": flow_transitions.not_uninstalled(flows, new)})
    if transitions.has_pointer(new):
        parts.append({"Put": transitions.pointer(connections, new)})
    return parts


def forgotten(table: str, merchant_id: str, connection: str) -> dict[str, Any]:
    """A row goes, unless it is a connection that lives: that has to be disconnected first."""
    gone = {"uninstalled": Status.UNINSTALLED, "disconnected": Status.DISCONNECTED}
    values = {**gone, "waiting": Status.PENDING_CONFIRMATION}
    return {
        "TableName": table,
        "Key": attributes(dict(row_key(merchant_id, connection))),
        "ConditionExpression": (
            "attribute_not_exists(#status) OR #status IN (:uninstalled, :disconnected, :waiting)"
        ),
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {f":{name}": attribute(each.value) for name, each in values.items()},
    }


def flow_forgotten(table: str, pk: str, over: int) -> dict[str, Any]:
    """A row of the flows table goes, unless a flow that began at `over` or later may be under way in it."""
    return {
        "TableName": table,
        "Key": attributes({"pk": pk}),
        "ConditionExpression": "attribute_not_exists(#open_at) OR #open_at < :over",
        "ExpressionAttributeNames": {"#open_at": "open_at"},
        "ExpressionAttributeValues": {":over": attribute(over)},
    }


def _carried(moved: Moved) -> dict[str, Plain | None]:
    found, tokens = moved.connection, moved.tokens
    access, refresh = (tokens.access, tokens.refresh) if tokens else (None, None)
    return {
        "status": found.status.value,
        "generation": found.generation,
        "version": found.version,
        "access": access.ciphertext if access else None,
        "access_key": access.wrapped_key if access else None,
        "refresh": refresh.ciphertext if refresh else None,
        "refresh_key": refresh.wrapped_key if refresh else None,
        "scopes": found.scopes,
        "expires_at": found.expires_at,
        "refresh_expires_at": tokens.refresh_expires_at if tokens else None,
        "issued_at": found.issued_at,
        "expiring_at": found.expiring_at,
        "connected_at": found.connected_at,
        "account_verified": found.account_verified,
        "details": dict(found.details),
        "last_error": found.last_error,
        "uninstalled_at": moved.uninstalled_at,
    }
