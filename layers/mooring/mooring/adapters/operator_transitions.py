"""Every change of a row that an operator makes from the command line (see `transitions`).

None of them is announced: a product hears of what merchants, providers and itself did, not of how rows
are kept.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from mooring.adapters import flow_transitions, transitions
from mooring.adapters.expressions import Update
from mooring.adapters.items import Plain, attribute, attributes
from mooring.adapters.row_conditions import ATTEMPTS, PREVIOUS, UNDER_WAY, connection_row, fall_due, row_key
from mooring.core.connection import Account, Connection, NewConnection, Status
from mooring.core.errors import Reason
from mooring.core.tokens import SealedTokens
from mooring.core.upkeep import Key

ENDED = (Status.UNINSTALLED, Status.DISCONNECTED)
_LIVING: Mapping[str, Plain] = {"active": Status.ACTIVE.value, "given_up": Status.NEEDS_RECONNECT.value}
_ELSEWHERE = "elsewhere"
"""Stands among the attempts for those of the installation that a connection comes from."""
_NOT_CARRIED = (
    *(name for name in UNDER_WAY if name not in ATTEMPTS),
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

    `tokens` None: it has ended, or its tokens could not be read where it comes from. `in_doubt`: it lives,
    and the answer to its last refresh never came, so that its refresh token may be spent.
    """

    connection: Connection
    tokens: SealedTokens | None
    due_at: int | None
    uninstalled_at: int | None
    in_doubt: bool = False

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

    Newer is what has the higher generation and version, or was connected later; of two consents with the same
    numbers the later one counts. A generation that ended here stays ended. Of what stands here already only
    what became of it is taken over: that it ended, or that its tokens are refused or may be spent.
    """
    found = moved.connection
    update = connection_row(table, moved.key).silent()
    for name, value in _carried(moved).items():
        update.set(name, value)
    # When it ended tells which consents came later, here as there.
    update.set("updated_at", found.updated_at if found.status in ENDED else now).set("unauthorized_count", 0)
    # An answer that was lost there is looked after like one that was lost here.
    update.set("attempts", (_ELSEWHERE,) if moved.in_doubt else None)
    update.set("attempt_at", now if moved.in_doubt else None)
    fall_due(update, moved.key, moved.due_at).remove(*_NOT_CARRIED)
    return update.when(_unless_newer(moved), (), _LIVING).at_most("lease_until", now)


def says_given_up(found: Connection) -> bool:
    """Whether it tells that the merchant must come back: tokens that nobody could open say no such thing."""
    return found.status is Status.NEEDS_RECONNECT and found.last_error != Reason.TOKEN_UNREADABLE.value


def _unless_newer(moved: Moved) -> str:
    lives = "#status IN (:active, :given_up)"
    same = "#generation = :generation AND #version = :version"
    later = "#connected_at < :connected_at"
    newer = (
        "#generation < :generation OR (#generation = :generation AND "
        f"(#version < :version OR (#version = :version AND {later})))"
    )
    older = f"({lives} AND ({newer}))"
    ended_before = f"(#updated_at < :connected_at AND (#generation < :generation OR ({same})))"
    cases = [older, ended_before]
    if sequel := _sequel(moved):
        cases.append(f"({same} AND {sequel})")
    return f"attribute_not_exists(#status) OR (#connected_at <= :connected_at AND ({' OR '.join(cases)}))"


def _sequel(moved: Moved) -> str | None:
    """How a connection of the same numbers must stand here for what became of it elsewhere to be news.

    That tokens are refused or in doubt is said of those alone: they may have been refreshed here since.
    """
    found = moved.connection
    if found.status in ENDED:
        return "#status IN (:active, :given_up)"
    known = "attribute_not_exists(#issued_at)" if found.issued_at is None else "#issued_at = :issued_at"
    same_tokens = f"#status = :active AND {known}"
    if says_given_up(found):
        return same_tokens
    return f"{same_tokens} AND attribute_not_exists(#attempts)" if moved.in_doubt else None


def import_parts(connections: str, flows: str, moved: Moved, now: int) -> list[dict[str, Any]]:
    """The parts of the transaction that imports one connection.

    What lives gets its pointer, and is refused where an uninstall notice came after it was connected.
    """
    parts: list[dict[str, Any]] = [{"Update": imported(connections, moved, now).parameters()}]
    found = moved.connection
    if moved.tokens is None or found.status in ENDED:
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
