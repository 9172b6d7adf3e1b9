"""The flows table: burned states, one row per link (see `flow_transitions` for its shape)."""

from secrets import token_hex
from typing import TYPE_CHECKING

from mooring.adapters import flow_transitions
from mooring.adapters.aws_errors import failing_as
from mooring.adapters.expressions import Update
from mooring.adapters.flow_transitions import ALONE, Others
from mooring.adapters.items import Item, binary, flag, mapping, number, text
from mooring.adapters.rows import write
from mooring.core.errors import Failure, Reason
from mooring.core.link import FLOWS_PER_LINK, Link
from mooring.core.ports import Burn, BurnStatus
from mooring.core.tokens import SealedField

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_STATUSES = {
    flow_transitions.EXCHANGING: BurnStatus.EXCHANGING,
    flow_transitions.KEPT: BurnStatus.KEPT,
    flow_transitions.DONE: BurnStatus.DONE,
    flow_transitions.FAILED: BurnStatus.FAILED,
}


class DynamoFlows:
    """Burned states in DynamoDB; each method is one conditional update and no read.

    Only a flow that fails beside others of its link takes a second update.

    Args:
        client: a DynamoDB client.
        table: name of the flows table.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def burn(self, link: Link, state_hash: str, now: int) -> Burn:
        """Burn a state (`now` in epoch seconds); a loser learns from the old row what became of it.

        Raises:
            Failure: STORAGE_UNAVAILABLE.
        """
        by = token_hex(8)
        old = self._update(flow_transitions.state_burned(self._table, link, state_hash, now, by))
        return Burn(BurnStatus.BURNED, now) if old is None else _left_behind(old, state_hash, by)

    def fail(self, link: Link, state_hash: str, reason: str) -> None:
        """Note that a flow that was exchanging ended badly; any other is left as it is.

        Raises:
            Failure: STORAGE_UNAVAILABLE; INTERNAL for a row that cannot be understood.
        """
        others = ALONE
        for _ in range(FLOWS_PER_LINK):  # at most so many others can change meanwhile
            row = self._update(flow_transitions.flow_failed(self._table, link, state_hash, reason, others))
            if row is None or not _is_exchanging(row, state_hash):
                return
            others = _others(row, state_hash)

    def keep(self, link: Link, state_hash: str, kept: SealedField) -> None:
        """Keep a sealed token set in a flow that is exchanging, or renew the one it keeps.

        Raises:
            Failure: STORAGE_UNAVAILABLE.
        """
        self._update(flow_transitions.flow_kept(self._table, link, state_hash, kept))

    def stranded(self, since: int, until: int) -> int:
        """How many links have a flow that began from `since` until before `until` and has not ended.

        Raises:
            Failure: STORAGE_UNAVAILABLE.
        """
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            page = self._client.query(
                TableName=self._table,
                IndexName="open",
                Select="COUNT",
                KeyConditionExpression="#open_shard = :shard AND #open_at BETWEEN :since AND :last",
                ExpressionAttributeNames={"#open_shard": "open_shard", "#open_at": "open_at"},
                ExpressionAttributeValues={
                    ":shard": {"S": flow_transitions.OPEN_SHARD},
                    ":since": {"N": str(since)},
                    ":last": {"N": str(until - 1)},
                },
            )
        return page["Count"]

    def _update(self, update: Update) -> Item | None:
        """Write; None when it happened, the old row when its condition refused it."""
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            written = write(self._client, update)
        return None if written.done else written.row


def _is_exchanging(row: Item, state_hash: str) -> bool:
    name = flow_transitions.slot(state_hash)
    return name in row and text(mapping(row, name), "status") == flow_transitions.EXCHANGING


def _others(row: Item, state_hash: str) -> Others:
    """The other flows of a link. One that failed is told already: it is as if it never was."""
    prefix = flow_transitions.slot("")
    flows = {name.removeprefix(prefix): mapping(row, name) for name in row if name.startswith(prefix)}
    del flows[state_hash]
    left = {name: flow for name, flow in flows.items() if text(flow, "status") != flow_transitions.FAILED}
    latest = max(left, key=lambda name: (number(left[name], "at"), _is_open(left[name])), default=None)
    if latest is None or not _is_open(left[latest]):
        return Others(len(flows))
    return Others(len(flows), latest, number(left[latest], "at"))


def _is_open(flow: Item) -> bool:
    return text(flow, "status") in (flow_transitions.EXCHANGING, flow_transitions.KEPT)


def _left_behind(row: Item, state_hash: str, by: str) -> Burn:
    name = flow_transitions.slot(state_hash)
    if name not in row:
        return Burn(BurnStatus.EXHAUSTED, 0)
    found = mapping(row, name)
    status, burned_at = _STATUSES.get(text(found, "status")), number(found, "at")
    match status:
        case BurnStatus.EXCHANGING if text(found, "by") == by:
            # Our own update had happened; only its answer was lost, and the client repeated it.
            return Burn(BurnStatus.BURNED, burned_at)
        case BurnStatus.DONE:
            return Burn(status, burned_at, text(found, "account"), pending=flag(found, "pending"))
        case BurnStatus.KEPT:
            return Burn(
                status, burned_at, kept=SealedField(binary(found, "kept_access"), binary(found, "kept_key"))
            )
        case None:
            raise Failure(Reason.INTERNAL, "a burned state has an unknown status")
    return Burn(status, burned_at)
