"""What a revocation looks at of the connections table, and the one note that it writes there."""

from typing import TYPE_CHECKING, Any

from mooring.adapters import ending_transitions
from mooring.adapters.aws_errors import failing_as
from mooring.adapters.items import Item, number, text
from mooring.adapters.row_conditions import item_key
from mooring.adapters.rows import projection, write
from mooring.adapters.transitions import pointers_key
from mooring.core.connection import Status
from mooring.core.errors import Reason
from mooring.core.names import connection_key
from mooring.core.revocation import Revoked
from mooring.core.upkeep import Key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ATTRIBUTES = ("connection", "status", "generation")
_ENDED = (Status.UNINSTALLED.value, Status.DISCONNECTED.value)


class DynamoGenerations:
    """Generations in DynamoDB. Every method raises `Failure(STORAGE_UNAVAILABLE)`.

    Args:
        client: a DynamoDB client; it may try again by itself.
        table: name of the connections table.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def living(self, key: Key) -> int | None:
        """The generation of a connection that lives, read consistently; None where it does not."""
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            answer = self._client.get_item(
                TableName=self._table, Key=item_key(key), ConsistentRead=True, **projection(ATTRIBUTES)
            )
        row: Item = answer.get("Item", {})
        return number(row, "generation") if row and _lives(row) else None

    def has_relatives(self, key: Key) -> bool:
        """Whether this merchant has another connection at this provider, or another one this account."""
        own = connection_key(key.provider, key.account_id)
        for row in self._rows(key.merchant_id, connection_key(key.provider, "")):
            if text(row, "connection") != own and _lives(row):
                return True
        holders = (text(row, "connection") for row in self._rows(pointers_key(key.provider, key.account_id)))
        return any(
            self.living(key._replace(merchant_id=holder)) is not None
            for holder in holders
            if holder != key.merchant_id
        )

    def note(self, key: Key, generation: int, revoked: Revoked) -> bool:
        """Note what became of it, if this generation stands there as `disconnected`; whether it does."""
        update = ending_transitions.revoked(self._table, key, generation, revoked.value)
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            return write(self._client, update).done

    def _rows(self, partition: str, begins: str = "") -> list[Item]:
        """All rows of a partition whose sort key begins so, read consistently."""
        query = _query(self._table, partition, begins)
        found: list[Item] = []
        start: dict[str, Any] = {}
        while True:
            with failing_as(Reason.STORAGE_UNAVAILABLE):
                page = self._client.query(**query, **start)
            found.extend(page["Items"])
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _lives(row: Item) -> bool:
    return text(row, "status") not in _ENDED


def _query(table: str, partition: str, begins: str) -> dict[str, Any]:
    condition, values = "#merchant_id = :partition", {":partition": {"S": partition}}
    if begins:
        condition += " AND begins_with(#connection, :begins)"
        values[":begins"] = {"S": begins}
    asked = projection(ATTRIBUTES)
    return {
        **asked,
        "TableName": table,
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values,
        "ExpressionAttributeNames": {**asked["ExpressionAttributeNames"], "#merchant_id": "merchant_id"},
        "Select": "SPECIFIC_ATTRIBUTES",
        "ConsistentRead": True,
    }
