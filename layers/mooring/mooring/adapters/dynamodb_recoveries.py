"""Finished exchanges that come by the recovery queue, into the connections table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mooring.adapters import flow_transitions, transitions
from mooring.adapters.expressions import Update
from mooring.adapters.items import Item, binary, number
from mooring.adapters.patience import Patience, passing_cancellation, refused_part
from mooring.core.connection import NewConnection
from mooring.core.link import Link
from mooring.core.upkeep import Storing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_ROW, _TOMBSTONE, _FLOW = 0, 1, 2


class _FlowGoneError(Exception):
    """There is no such flow, or not any more."""


class DynamoRecoveries:
    """Recovered exchanges in DynamoDB.

    Args:
        client: a DynamoDB client that does not try again by itself.
        connections_table: name of the connections table.
        flows_table: name of the flows table.
        patience: how a store tries again.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        connections_table: str,
        flows_table: str,
        patience: Patience | None = None,
    ) -> None:
        self._client = client
        self._connections = connections_table
        self._flows = flows_table
        self._patience = patience or Patience()

    def restore(self, new: NewConnection, link: Link, state_hash: str) -> Storing:
        """Store an exchange, its pointer and the flow's end in one transaction.

        A flow is exchanged once, so what is done was stored before: by an earlier delivery, by a try of the
        callback whose answer was lost, or by another callback that found the same kept set. The flow's row
        may have expired while the message waited; then the exchange is stored without it.

        Returns:
            Storing: STORED, also when it was before; OBSOLETE when the connection has a later exchange of
            another flow, ended after this one, is verified while this one is not, or was uninstalled since
            the burn; SUPERSEDED when these tokens may be what lives there.

        Raises:
            Failure: STORAGE_UNAVAILABLE; INTERNAL for a row that cannot be understood.
        """
        done = flow_transitions.flow_restored(self._flows, link, state_hash, new)
        try:
            return self._store(new, flow_transitions.slot(state_hash), done)
        except _FlowGoneError:
            return self._store(new)

    def _store(self, new: NewConnection, slot: str = "", flow: Update | None = None) -> Storing:
        """One transaction, which also ends `flow`. Raises `_FlowGoneError` when that is not there."""
        items, token = self._transaction(new, flow), uuid4().hex

        def attempt() -> Storing:
            try:
                self._client.transact_write_items(TransactItems=items, ClientRequestToken=token)
            except self._client.exceptions.TransactionCanceledException as cancelled:
                return _refused(cancelled.response, new, slot)
            return Storing.STORED

        return self._patience.until_done(attempt)

    def _transaction(self, new: NewConnection, flow: Update | None) -> Sequence[Any]:
        confirmed = new.confirmation_hash is None
        items: list[dict[str, Any]] = [
            {"Update": transitions.restored(self._connections, new).parameters()}
            if confirmed
            else {"Put": transitions.pending_restored(self._connections, new)},
            {"ConditionCheck": flow_transitions.not_uninstalled(self._flows, new)},
        ]
        if flow is not None:
            items.append({"Update": flow.parameters()})
        if not confirmed:
            items.append({"Put": flow_transitions.confirmation(self._flows, new)})
        elif transitions.has_pointer(new):
            items.append({"Put": transitions.pointer(self._connections, new)})
        return items


def _refused(response: Any, new: NewConnection, slot: str) -> Storing:
    """What a cancelled transaction means; raises what may pass, and `_FlowGoneError`."""
    if refused_part(response, _TOMBSTONE):
        return Storing.OBSOLETE
    done = bool(slot) and refused_part(response, _FLOW)
    if slot and _is_gone(response["CancellationReasons"][_FLOW], slot):
        raise _FlowGoneError from None
    refused = refused_part(response, _ROW)
    if not done and not refused:
        raise passing_cancellation(response) from None
    if new.confirmation_hash is not None:
        return Storing.STORED
    row: Item = response["CancellationReasons"][_ROW].get("Item", {})
    return _standing(row, new, other=bool(slot) and not done) if refused else Storing.SUPERSEDED


def _is_gone(reason: Any, slot: str) -> bool:
    """By the row that refused it; or the flow's map was looked for before the condition was."""
    gone = reason.get("Code") == "ConditionalCheckFailed" and slot not in reason.get("Item", {})
    return bool(gone or reason.get("Code") == "ValidationError")


def _standing(row: Item, new: NewConnection, *, other: bool) -> Storing:
    """What an exchange is worth beside the row that refused it; `other`: that is surely of another flow.

    A refresh keeps a connection's data keys, so the wrapped key tells an exchange for as long as nobody
    reseals it. After that, and of what another callback stored of the same flow, nobody can say whether
    these tokens are what lives, and so they must not be taken for obsolete.
    """
    if "access_key" not in row:
        return Storing.OBSOLETE
    connected_at = number(row, "connected_at")
    if connected_at == new.connected_at:
        same = binary(row, "access_key") == new.tokens.access.wrapped_key
        return Storing.STORED if same else Storing.SUPERSEDED
    return Storing.OBSOLETE if other or connected_at < new.connected_at else Storing.SUPERSEDED
