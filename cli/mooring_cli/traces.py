"""Everything that both tables hold of one merchant: found by reading them whole, erased row by row."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from mooring.adapters.items import mapping, text
from mooring.adapters.operator_transitions import flow_forgotten, forgotten
from mooring.adapters.row_conditions import row_key
from mooring.adapters.rows import projection, sealed_field
from mooring.adapters.transitions import PENDING_PREFIX, POINTER_PREFIX, pointers_key
from mooring.core.connection import Status
from mooring.core.revocation import Revocation
from mooring.core.upkeep import Key
from mooring_cli.output import progress
from mooring_cli.rows import about, pages
from mooring_cli.stage import Stage

LIVING = (Status.ACTIVE.value, Status.NEEDS_RECONNECT.value)
UNDER_WAY_SECONDS = 60
"""A callback ends within half a minute; so long after a flow came back nobody works on it any more."""
_ROW, _POINTER = ("merchant_id", "connection", "status"), "attribute_not_exists(#status)"
_NEVER_STORED = 0
"""The generation of an exchange that nobody confirmed (see `Revocation`)."""
_REFUSED = "ConditionalCheckFailedException"

type Row = Mapping[str, Mapping[str, Any]]


class Trace(NamedTuple):
    """A connection of the merchant, by its row's key."""

    connection: str
    status: str

    @property
    def provider(self) -> str:
        """Its provider."""
        return self.connection.partition("#")[0]

    @property
    def account_id(self) -> str:
        """Its account."""
        return self.connection.partition("#")[2]


class Traces(NamedTuple):
    """The rows of one merchant: connections, and by their keys the rest.

    `waiting` wait for confirmation, `pointers` lead from accounts to the merchant, `flows` are rows of the
    flows table (links that came back, confirmations).
    """

    connections: tuple[Trace, ...]
    waiting: tuple[str, ...]
    pointers: tuple[str, ...]
    flows: tuple[str, ...]

    @property
    def total(self) -> int:
        """How many rows."""
        return sum(map(len, self))

    def counts(self) -> dict[str, int]:
        """How many of each kind."""
        links = sum(pk.startswith("link#") for pk in self.flows)
        return {
            "connections": len(self.connections),
            "waiting": len(self.waiting),
            "pointers": len(self.pointers),
            "links": links,
            "confirmations": len(self.flows) - links,
        }


class Eraser:
    """Finds and erases the rows of one merchant. Every method raises botocore's errors.

    Args:
        stage: the installation.
        merchant_id: whose.
    """

    def __init__(self, stage: Stage, merchant_id: str) -> None:
        self._client = stage.client("dynamodb")
        self._connections = stage.connections_table
        self._flows = stage.flows_table
        self._merchant_id = merchant_id

    def find(self, what: str) -> Traces:
        """Read both tables whole and consistently. `what` stands beside the progress bar."""
        connections, waiting, pointers = list[Trace](), list[str](), list[str]()
        for row in self._found(self._connections, what, _ROW, self._of_connections()):
            key, connection = row["merchant_id"]["S"], row["connection"]["S"]
            if key.startswith(POINTER_PREFIX):
                pointers.append(key)
            elif connection.startswith(PENDING_PREFIX):
                waiting.append(connection)
            else:
                connections.append(Trace(connection, row["status"]["S"]))
        flows = [row["pk"]["S"] for row in self._found(self._flows, what, ("pk",), self._of_flows())]
        return Traces(
            tuple(sorted(connections)), tuple(sorted(waiting)), tuple(sorted(pointers)), tuple(sorted(flows))
        )

    def erase(self, found: Traces, now: int) -> None:
        """Erase rows; what lives, or is under way, is left. `now` is epoch seconds."""
        for trace in found.connections:
            self._erase_connection(trace)
        for connection in found.waiting:
            self._delete(forgotten(self._connections, self._merchant_id, connection))
        for account in found.pointers:
            self._erase_pointer(account)
        for pk in found.flows:
            self._delete(flow_forgotten(self._flows, pk, now - UNDER_WAY_SECONDS))

    def revocation(self, trace: Trace) -> str | None:
        """What became of telling the provider, as the row says; None where it does not say."""
        found = self._client.get_item(
            TableName=self._connections,
            Key=self._key(self._merchant_id, trace.connection),
            ConsistentRead=True,
            **projection(("revocation",)),
        )
        item: Row = found.get("Item", {})
        return str(item["revocation"]["S"]) if "revocation" in item else None

    def unconfirmed(self, connection: str) -> Revocation | None:
        """The sealed tokens of a row that waits for confirmation, for their revocation; None: it is gone."""
        found = self._client.get_item(
            TableName=self._connections, Key=self._key(self._merchant_id, connection), ConsistentRead=True
        )
        row: Row = found.get("Item", {})
        if "access" not in row:
            return None
        details = mapping(row, "details")
        return Revocation(
            key=Key(self._merchant_id, text(row, "provider"), text(row, "account_id")),
            generation=_NEVER_STORED,
            access=sealed_field(row, "access"),
            refresh=sealed_field(row, "refresh") if "refresh" in row else None,
            details=tuple((name, text(details, name)) for name in details),
        )

    def _erase_connection(self, trace: Trace) -> None:
        """The row and its pointer go together, so that a notice never finds one without the other."""
        account = pointers_key(trace.provider, trace.account_id)
        pointer = {"TableName": self._connections, "Key": self._key(account, self._merchant_id)}
        row = forgotten(self._connections, self._merchant_id, trace.connection)
        self._together([{"Delete": row}, {"Delete": pointer}])

    def _erase_pointer(self, account: str) -> None:
        """One whose connection is gone already, unless the account was connected again this moment."""
        _, provider, account_id = account.split("#", 2)
        connection = self._key(self._merchant_id, f"{provider}#{account_id}")
        check = {
            "TableName": self._connections,
            "Key": connection,
            "ConditionExpression": _POINTER,
            "ExpressionAttributeNames": {"#status": "status"},
        }
        pointer = {"TableName": self._connections, "Key": self._key(account, self._merchant_id)}
        self._together([{"ConditionCheck": check}, {"Delete": pointer}])

    def _together(self, writes: list[Any]) -> None:
        """All of it, or nothing where a condition does not hold any more."""
        try:
            self._client.transact_write_items(TransactItems=writes)
        except self._client.exceptions.TransactionCanceledException as cancelled:
            reasons = [each.get("Code") for each in cancelled.response["CancellationReasons"]]
            if "ConditionalCheckFailed" not in reasons:
                raise

    def _delete(self, parameters: dict[str, Any]) -> None:
        try:
            self._client.delete_item(**parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] != _REFUSED:
                raise

    def _found(self, table: str, what: str, names: tuple[str, ...], wanted: dict[str, Any]) -> Iterator[Row]:
        with progress(what, lambda: about(self._client, table)) as step:
            for page in pages(self._client, table, names, step=step, **wanted):
                yield from page

    def _of_connections(self) -> dict[str, Any]:
        """The merchant's own rows, and pointers to it."""
        return {
            "FilterExpression": (
                "#merchant_id = :merchant OR "
                "(#connection = :merchant AND begins_with(#merchant_id, :pointer))"
            ),
            "ExpressionAttributeValues": {
                ":merchant": {"S": self._merchant_id},
                ":pointer": {"S": POINTER_PREFIX},
            },
        }

    def _of_flows(self) -> dict[str, Any]:
        return {
            "FilterExpression": "begins_with(#pk, :link) OR #merchant_id = :merchant",
            "ExpressionAttributeNames": {"#merchant_id": "merchant_id"},
            "ExpressionAttributeValues": {
                ":merchant": {"S": self._merchant_id},
                ":link": {"S": f"link#{self._merchant_id}#"},
            },
        }

    @staticmethod
    def _key(merchant_id: str, connection: str) -> dict[str, Any]:
        return {name: {"S": value} for name, value in row_key(merchant_id, connection).items()}
