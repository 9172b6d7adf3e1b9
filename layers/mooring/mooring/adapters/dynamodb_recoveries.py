"""Finished exchanges that come by the recovery queue, into the connections table."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mooring.adapters import flow_transitions, transitions
from mooring.adapters.aws_errors import failing_as
from mooring.adapters.items import Item, binary, number
from mooring.adapters.patience import Patience, passing_cancellation, refused_part
from mooring.adapters.rows import write
from mooring.core.connection import NewConnection
from mooring.core.errors import Failure, Reason
from mooring.core.link import Link
from mooring.core.upkeep import Storing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_ROW, _TOMBSTONE = 0, 1


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
        """Store an exchange and its pointer in one transaction, then note the flow's end where it is open.

        The flow stands outside the transaction: its row may have expired while the message waited.

        Returns:
            Storing: STORED, also when it was before; OBSOLETE when the connection has a later exchange, ended
            after this one, is verified while this one is not, or was uninstalled since the burn; SUPERSEDED
            when an exchange of the same second lives there under other data keys, which may be this one.

        Raises:
            Failure: STORAGE_UNAVAILABLE; INTERNAL for a row that cannot be understood.
        """
        items, token = self._transaction(new), uuid4().hex

        def attempt() -> Storing:
            try:
                self._client.transact_write_items(TransactItems=items, ClientRequestToken=token)
            except self._client.exceptions.TransactionCanceledException as cancelled:
                return _refused(cancelled.response, new)
            return Storing.STORED

        stored = self._patience.until_done(attempt)
        if stored is Storing.STORED:
            self._end_flow(new, link, state_hash)
        return stored

    def _transaction(self, new: NewConnection) -> Sequence[Any]:
        confirmed = new.confirmation_hash is None
        items: list[dict[str, Any]] = [
            {"Update": transitions.restored(self._connections, new).parameters()}
            if confirmed
            else {"Put": transitions.pending_restored(self._connections, new)},
            {"ConditionCheck": flow_transitions.not_uninstalled(self._flows, new)},
        ]
        if not confirmed:
            items.append({"Put": flow_transitions.confirmation(self._flows, new)})
        elif transitions.has_pointer(new):
            items.append({"Put": transitions.pointer(self._connections, new)})
        return items

    def _end_flow(self, new: NewConnection, link: Link, state_hash: str) -> None:
        # Only a reload of the callback looks at it, and the tokens are safe.
        with suppress(Failure), failing_as(Reason.STORAGE_UNAVAILABLE):
            write(self._client, flow_transitions.flow_restored(self._flows, link, state_hash, new))


def _refused(response: Any, new: NewConnection) -> Storing:
    """What a cancelled transaction means; raises what may pass.

    A refresh keeps a connection's data keys, so the wrapped key tells an exchange for as long as nobody
    reseals it. After that its second alone is left to tell by, which may be another exchange's: nobody can
    say then whether these tokens are what lives, and so they must not be taken for obsolete.
    """
    if refused_part(response, _TOMBSTONE):
        return Storing.OBSOLETE
    if not refused_part(response, _ROW):
        raise passing_cancellation(response) from None
    if new.confirmation_hash is not None:
        return Storing.STORED
    row: Item = response["CancellationReasons"][_ROW].get("Item", {})
    if "access_key" not in row or number(row, "connected_at") != new.connected_at:
        return Storing.OBSOLETE
    same = binary(row, "access_key") == new.tokens.access.wrapped_key
    return Storing.STORED if same else Storing.SUPERSEDED
