"""Probes, reports, tombstones and endings (see `ending_transitions` and `flow_transitions`)."""

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from mooring.adapters import ending_transitions, flow_transitions, transitions
from mooring.adapters.aws_errors import failing_as
from mooring.adapters.expressions import Update
from mooring.adapters.items import number, number_or_none, text
from mooring.adapters.row_conditions import item_key
from mooring.adapters.rows import Written, projection, readable, write
from mooring.core.connection import ReadableConnection
from mooring.core.errors import Reason
from mooring.core.token_end import next_look
from mooring.core.upkeep import Expiry, Key, Seen

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoEndings:
    """Endings in DynamoDB. Every method raises `Failure(STORAGE_UNAVAILABLE)`; times are epoch seconds.

    Args:
        client: a DynamoDB client; it may try again by itself.
        connections_table: name of the connections table.
        flows_table: name of the flows table, or empty in a function that buries nobody.
    """

    def __init__(self, client: "DynamoDBClient", connections_table: str, flows_table: str = "") -> None:
        self._client = client
        self._connections = connections_table
        self._flows = flows_table

    def probing(
        self, key: Key, seen: Seen | None, now: int, *, pause: int, due_at: int | None
    ) -> ReadableConnection | None:
        """Begin a round of probes, if it is active, as seen, and was not probed within `pause` seconds.

        One write says all of it, so that whoever dies afterwards has hidden no end. None also when it took
        place and only the answer was lost.
        """
        begins = partial(ending_transitions.probing, self._connections, key, seen, now, pause=pause)
        found = self._write(begins(due_at=due_at))
        end = None if found.done else number_or_none(found.row, "expires_at")
        if due_at is not None and end is not None:
            found = self._write(begins(due_at=next_look(end, now, due_at), expires_at=end))
        return readable(found.row) if found.done else None

    def remind(self, key: Key, due_at: int) -> None:
        """Let an active connection fall due at `due_at`, unless it does so earlier."""
        self._write(ending_transitions.reminded(self._connections, key, due_at))

    def postpone(self, key: Key, until: int, now: int) -> bool:
        """Note that a hint waits until `until`. False when one waits already or the connection is not active.

        Also False when it was noted and only the answer was lost.
        """
        return self._write(ending_transitions.postponed(self._connections, key, until, now)).done

    def report(self, key: Key, seen: Seen, now: int) -> int | None:
        """Count a 401; None when it speaks of an old token, or one was counted within a minute.

        Whether the reports before are forgotten is for the table to say, not for a row that was read: two
        reports at once must not both begin the count.
        """
        if self._write(ending_transitions.reported_anew(self._connections, key, seen, now)).done:
            return 1
        found = self._write(ending_transitions.reported(self._connections, key, seen, now))
        return number(found.row, "unauthorized_count") if found.done else None

    def expire(self, key: Key, seen: Seen | None, now: int, *, ends: bool) -> Expiry:
        """See to a token that nothing can refresh: over, near its end, or neither."""
        if ends and self._write(ending_transitions.expired(self._connections, key, seen, now)).done:
            return Expiry.OVER
        near = self._write(ending_transitions.expiring(self._connections, key, seen, now)).done
        return Expiry.NEAR if near else Expiry.LIVES

    def alive(self, key: Key, seen: Seen) -> None:
        """Forget counted 401s."""
        self._write(ending_transitions.alive(self._connections, key, seen))

    def refused(self, key: Key, seen: Seen, reason: Reason, now: int, *, uninstall: bool) -> bool:
        """End it (`uninstall`) or wait for the merchant, if it is active and as seen; whether it was."""
        update = ending_transitions.refused(self._connections, key, seen, reason, now, uninstall=uninstall)
        return self._write(update).done

    def bury(self, provider: str, account_id: str, at: int, now: int) -> None:
        """Put a tombstone of `at`, unless a later one lies there."""
        stone = flow_transitions.buried(self._flows, provider, account_id, at, now)
        with (
            failing_as(Reason.STORAGE_UNAVAILABLE),
            suppress(self._client.exceptions.ConditionalCheckFailedException),
        ):
            self._client.put_item(**stone)

    def holders(self, provider: str, account_id: str) -> list[str]:
        """The merchants who connected this verified account, in the order of their ids, read consistently."""
        account = transitions.pointers_key(provider, account_id)
        found: list[str] = []
        start: dict[str, Any] = {}
        while True:
            with failing_as(Reason.STORAGE_UNAVAILABLE):
                page = self._client.query(**_pointers(self._connections, account), **start)
            found.extend(text(row, "connection") for row in page["Items"])
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def uninstall(self, key: Key, at: int, now: int) -> bool:
        """Mark it `uninstalled` and erase its tokens, if it was connected before `at`; whether it was."""
        return self._write(ending_transitions.uninstalled(self._connections, key, at, now)).done

    def disconnect(self, key: Key, now: int) -> bool | None:
        """Mark it `disconnected` and erase its tokens. False: it had ended already; None: it never was.

        A refused update says nothing of the row, so that no sealed field comes here; the second question
        asks for the status alone.
        """
        if self._write(ending_transitions.disconnected(self._connections, key, now)).done:
            return True
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            answer = self._client.get_item(
                TableName=self._connections, Key=item_key(key), ConsistentRead=True, **projection(("status",))
            )
        return False if answer.get("Item") else None

    def _write(self, update: Update) -> Written:
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            return write(self._client, update)


def _pointers(table: str, account: str) -> dict[str, Any]:
    return {
        "TableName": table,
        "KeyConditionExpression": "#merchant_id = :account",
        "ExpressionAttributeValues": {":account": {"S": account}},
        "ExpressionAttributeNames": {"#merchant_id": "merchant_id", "#connection": "connection"},
        "ProjectionExpression": "#connection",
        "ConsistentRead": True,
    }
