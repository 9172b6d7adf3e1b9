"""The sparse index `due`, and what the sweep asks of the rows that it leads to."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mooring.adapters.aws_errors import failing_as
from mooring.adapters.items import Item, number, number_or_none, text
from mooring.adapters.patience import Passing, Patience
from mooring.adapters.row_conditions import item_key
from mooring.adapters.rows import projection
from mooring.core.connection import Status
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import DuePage, DueRow, Key, Seen, Standing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SEEN_ATTRIBUTES = ("merchant_id", "connection", "status", "generation", "version", "failing_since")
"""What the sweep asks for; its policy must allow these attributes and no other."""

_INDEX = "due"


class DynamoDueIndex:
    """The index in DynamoDB. Every method raises `Failure(STORAGE_UNAVAILABLE)`.

    Args:
        client: a DynamoDB client.
        table: name of the connections table.
        patience: how keys that DynamoDB left unanswered are asked for again.
    """

    def __init__(self, client: "DynamoDBClient", table: str, patience: Patience | None = None) -> None:
        self._client = client
        self._table = table
        self._patience = patience or Patience()

    def due(self, shard: str, until: int, limit: int, start: Mapping[str, object] | None = None) -> DuePage:
        """One page of a shard, the earliest first; what was written a moment ago may be missing."""
        more: dict[str, Any] = {} if start is None else {"ExclusiveStartKey": dict(start)}
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            page = self._client.query(
                TableName=self._table,
                IndexName=_INDEX,
                KeyConditionExpression="#due_shard = :shard AND #due_at <= :until",
                ExpressionAttributeNames={"#due_shard": "due_shard", "#due_at": "due_at"},
                ExpressionAttributeValues={":shard": {"S": shard}, ":until": {"N": str(until)}},
                ScanIndexForward=True,
                Limit=limit,
                **more,
            )
        rows = tuple(DueRow(_key(row), number(row, "due_at")) for row in page["Items"])
        return DuePage(rows, page.get("LastEvaluatedKey"))

    def standing(self, keys: Sequence[Key]) -> Mapping[Key, Standing | Failure]:
        """How those of them stand that are active (at most 100 keys), as it was lately.

        A row that cannot be understood has its `Failure(INTERNAL)` in place of that, and harms no other.
        """
        wanted = [item_key(key) for key in dict.fromkeys(keys)]
        found: list[Item] = []

        def attempt() -> None:
            nonlocal wanted
            rows, wanted = self._get(wanted)
            found.extend(rows)
            if wanted:
                raise Passing("UnprocessedKeys")

        if wanted:
            self._patience.until_done(attempt)
        standings = ((_key(row), _standing(row)) for row in found)
        return {key: standing for key, standing in standings if standing is not None}

    def _get(self, wanted: list[dict[str, Any]]) -> tuple[list[Item], list[dict[str, Any]]]:
        """The rows that DynamoDB gave, and the keys that it did not come to."""
        asked: Any = {"Keys": wanted, **projection(SEEN_ATTRIBUTES)}
        answer = self._client.batch_get_item(RequestItems={self._table: asked})
        left: Any = answer.get("UnprocessedKeys", {})
        return list(answer["Responses"].get(self._table, [])), list(left.get(self._table, {}).get("Keys", []))


def _key(row: Item) -> Key:
    provider, _, account_id = text(row, "connection").partition("#")
    return Key(text(row, "merchant_id"), provider, account_id)


def _standing(row: Item) -> Standing | Failure | None:
    """None where it is not active."""
    try:
        if text(row, "status") != Status.ACTIVE.value:
            return None
        seen = Seen(number(row, "generation"), number(row, "version"))
        return Standing(seen, number_or_none(row, "failing_since"))
    except Failure as failure:
        return failure
