"""The circuits of providers, in the flows table (see `flow_transitions`)."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any

from mooring.adapters import flow_transitions
from mooring.adapters.aws_errors import failing_as
from mooring.adapters.items import Item, number, number_or_none, text
from mooring.adapters.patience import Passing, Patience
from mooring.adapters.rows import write
from mooring.core.errors import Reason
from mooring.core.upkeep import Circuit

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_MOST_KEYS = 100


class DynamoCircuits:
    """Circuits in DynamoDB. Every method raises `Failure(STORAGE_UNAVAILABLE)`.

    Args:
        client: a DynamoDB client.
        table: name of the flows table.
        clock: epoch seconds; a circuit that nobody closed for thirty days counts as closed.
        patience: how keys that DynamoDB left unanswered are asked for again.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        clock: Callable[[], float] = time.time,
        patience: Patience | None = None,
    ) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._patience = patience or Patience()

    def known(self, providers: Sequence[str]) -> Mapping[str, Circuit]:
        """Those of `providers` whose circuit is open or was closed lately, read consistently."""
        now = self._clock()
        rows = [
            row
            for some in batched(dict.fromkeys(providers), _MOST_KEYS, strict=False)
            for row in self._get(some)
        ]
        circuits = [_circuit(row) for row in rows if number(row, "expires_at") > now]
        return {one.provider: one for one in circuits}

    def open(self, provider: str, reason: Reason, now: int, not_before: int = 0) -> None:
        """Open a circuit (times in epoch seconds), or leave it open; the latest `not_before` stays."""
        row = flow_transitions.circuit_opened(self._table, provider, reason, now, not_before)
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            try:
                self._client.put_item(**row)
            except self._client.exceptions.ConditionalCheckFailedException:
                if not_before:
                    self.put_off(provider, not_before)

    def put_off(self, provider: str, not_before: int) -> None:
        """Let an open circuit have no trials before `not_before` (epoch seconds)."""
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            write(self._client, flow_transitions.circuit_waits(self._table, provider, not_before))

    def close(self, provider: str, now: int) -> None:
        """Close a circuit (`now` in epoch seconds); one that is not open stays as it is."""
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            write(self._client, flow_transitions.circuit_closed(self._table, provider, now))

    def _get(self, providers: Sequence[str]) -> list[Item]:
        wanted: Any = [flow_transitions.circuit(provider) for provider in providers]
        found: list[Item] = []

        def attempt() -> None:
            nonlocal wanted
            asked: Any = {self._table: {"Keys": wanted, "ConsistentRead": True}}
            answer: Any = self._client.batch_get_item(RequestItems=asked)
            found.extend(answer["Responses"].get(self._table, []))
            wanted = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            if wanted:
                raise Passing("UnprocessedKeys")

        self._patience.until_done(attempt)
        return found


def _circuit(row: Item) -> Circuit:
    return Circuit(
        text(row, "provider"),
        text(row, "reason"),
        number(row, "opened_at"),
        number_or_none(row, "not_before") or 0,
        number_or_none(row, "closed_at"),
    )
