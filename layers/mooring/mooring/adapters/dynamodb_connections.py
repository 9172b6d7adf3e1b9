"""The connections table: finished exchanges in, connections out (see `transitions` for its rows).

Readers ask for named attributes only, so that their policies can forbid every `refresh` attribute
(`dynamodb:Attributes` together with `dynamodb:Select`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mooring.adapters import flow_transitions, transitions
from mooring.adapters.aws_errors import failing_as
from mooring.adapters.items import Item, mapping, text
from mooring.adapters.patience import Patience, passing_cancellation, refused_part
from mooring.adapters.row_conditions import item_key
from mooring.adapters.rows import connection, projection, readable
from mooring.core.connection import Connection, NewConnection, Page, ReadableConnection, Wanted
from mooring.core.errors import Failure, Reason
from mooring.core.link import Link
from mooring.core.names import connection_key
from mooring.core.upkeep import Key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LIST_ATTRIBUTES = (
    "merchant_id",
    "connection",
    "status",
    "generation",
    "version",
    "scopes",
    "expires_at",
    "issued_at",
    "expiring_at",
    "connected_at",
    "updated_at",
    "account_verified",
    "last_error",
    "revocation",
    "details",
)
"""What a list of connections asks for: no token, sealed or not."""

READER_ATTRIBUTES = (*LIST_ATTRIBUTES, "access", "access_key")
"""What a reader asks for; its policy must allow these attributes and no other."""

_ROW, _FLOW, _TOMBSTONE = 0, 1, 2
_FIRST, _LAST = "a", "{"
"""Provider ids begin with a letter, so all connections lie between these; rows of our own begin with "@"."""
_AFTER_HASH, _BEFORE_NAMES = "$", "!"
"""What sorts right after the "#" between provider and account, and before all that an account may hold."""
_MOST_QUERIES = 10
"""One page of a filtered list looks through at most so many megabytes of rows."""


class DynamoConnections:
    """Connections in DynamoDB.

    Args:
        client: a DynamoDB client; for `connect`, one that does not try again by itself.
        connections_table: name of the connections table.
        flows_table: name of the flows table, or empty in a function that only reads.
        patience: how `connect` tries again.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        connections_table: str,
        flows_table: str = "",
        patience: Patience | None = None,
    ) -> None:
        self._client = client
        self._connections = connections_table
        self._flows = flows_table
        self._patience = patience or Patience()

    def connect(self, new: NewConnection, link: Link, state_hash: str) -> None:
        """Store a finished exchange, its pointer and the flow's end in one transaction.

        What may pass (a conflict with another write, throttling, the network) is tried again for
        three seconds. One token names all tries, and the flow can end only once, so a try whose
        answer was lost is not stored twice: the next one finds the flow done with this account.

        Raises:
            Failure: UNINSTALLED_MEANWHILE when a notice for the account came after the burn;
                ACCOUNT_MISMATCH when an unverified account would replace a verified one;
                STORAGE_UNAVAILABLE otherwise.
        """
        items, token = self._transaction(new, link, state_hash), uuid4().hex

        def attempt() -> None:
            try:
                self._client.transact_write_items(TransactItems=items, ClientRequestToken=token)
            except self._client.exceptions.TransactionCanceledException as cancelled:
                if not _was_stored(cancelled.response, new, state_hash):
                    raise passing_cancellation(cancelled.response) from None

        self._patience.until_done(attempt)

    def read(self, merchant_id: str, provider: str, account_id: str) -> ReadableConnection | None:
        """One connection, read consistently, or None when there never was one.

        Raises:
            Failure: STORAGE_UNAVAILABLE; INTERNAL for a row that cannot be understood.
        """
        key = item_key(Key(merchant_id, provider, account_id))
        if merchant_id.startswith("@") or provider.startswith("@"):
            return None
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            answer = self._client.get_item(
                TableName=self._connections, Key=key, ConsistentRead=True, **projection(READER_ATTRIBUTES)
            )
        row: Item = answer.get("Item", {})
        return readable(row) if row else None

    def list(self, merchant_id: str, wanted: Wanted) -> Page:
        """Some connections of a merchant, in the order of their keys.

        Raises:
            Failure: STORAGE_UNAVAILABLE; INTERNAL for a row that cannot be understood.
        """
        if merchant_id.startswith("@"):
            return Page(())
        found: list[Connection] = []
        start: dict[str, Any] = {}
        for _ in range(_MOST_QUERIES):
            with failing_as(Reason.STORAGE_UNAVAILABLE):
                page = self._client.query(**_query(self._connections, merchant_id, wanted), **start)
            found.extend(connection(row) for row in page["Items"])
            if len(found) > wanted.limit:
                last = found[wanted.limit - 1]
                return Page(tuple(found[: wanted.limit]), connection_key(last.provider, last.account_id))
            if "LastEvaluatedKey" not in page:
                return Page(tuple(found))
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        return Page(tuple(found), text(start["ExclusiveStartKey"], "connection"))

    def _transaction(self, new: NewConnection, link: Link, state_hash: str) -> Sequence[Any]:
        confirmed = new.confirmation_hash is None
        items: list[dict[str, Any]] = [
            {"Update": transitions.connected(self._connections, new).parameters()}
            if confirmed
            else {"Put": transitions.pending(self._connections, new)},
            {"Update": flow_transitions.flow_done(self._flows, link, state_hash, new).parameters()},
            {"ConditionCheck": flow_transitions.not_uninstalled(self._flows, new)},
        ]
        if not confirmed:
            items.append({"Put": flow_transitions.confirmation(self._flows, new)})
        elif transitions.has_pointer(new):
            items.append({"Put": transitions.pointer(self._connections, new)})
        return items


def _was_stored(response: Any, new: NewConnection, state_hash: str) -> bool:
    """Whether a cancelled transaction had nothing left to do.

    A state is exchanged at most once, so a flow that is done with this account was done with these
    very tokens: by an earlier try of ours, or by a second callback that found the same kept set.

    Raises:
        Failure: UNINSTALLED_MEANWHILE; ACCOUNT_MISMATCH when the row's own condition refused it;
            STORAGE_UNAVAILABLE when the flow ended in another way.
    """
    if refused_part(response, _TOMBSTONE):
        raise Failure(Reason.UNINSTALLED_MEANWHILE) from None
    if not refused_part(response, _FLOW):
        if refused_part(response, _ROW):
            raise Failure(Reason.ACCOUNT_MISMATCH) from None
        return False
    row: Item = response["CancellationReasons"][_FLOW].get("Item", {})
    name = flow_transitions.slot(state_hash)
    found = mapping(row, name) if name in row else {}
    done = {"status": {"S": flow_transitions.DONE}, "account": {"S": new.account.account_id}}
    if any(found.get(key) != value for key, value in done.items()):
        raise Failure(Reason.STORAGE_UNAVAILABLE, "the flow was not open any more") from None
    return True


def _query(table: str, merchant_id: str, wanted: Wanted) -> dict[str, Any]:
    first, last = _FIRST, _LAST
    if wanted.provider is not None:
        first, last = connection_key(wanted.provider, ""), f"{wanted.provider}{_AFTER_HASH}"
    if wanted.after is not None:
        first = f"{wanted.after}{_BEFORE_NAMES}"  # a bound, so the row that it names may be gone
    query = {
        "TableName": table,
        "KeyConditionExpression": "#merchant_id = :merchant AND #connection BETWEEN :first AND :last",
        "ExpressionAttributeValues": {
            ":merchant": {"S": merchant_id},
            ":first": {"S": first},
            ":last": {"S": last},
        },
        "Select": "SPECIFIC_ATTRIBUTES",
        "ConsistentRead": True,
        **projection(LIST_ATTRIBUTES),
    }
    if wanted.status is None:
        return query | {"Limit": wanted.limit + 1}  # one more tells whether there are more
    query["ExpressionAttributeValues"][":status"] = {"S": wanted.status.value}
    return query | {"FilterExpression": "#status = :status"}
