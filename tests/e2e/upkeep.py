"""What tests of upkeep do to a running stack: look at a row, move its times, start a sweep, wait.

Minutes and hours are not waited for: a test that needs a past sets it in the table, and says so.
"""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from local.simulators.yotpo import TOPIC
from mooring.core.schedule import due_shard
from mooring.core.upkeep import DOUBT_SECONDS, Key
from mooring.flows.refresh import LOOK_SECONDS
from tests.e2e.running import RunningStack
from tests.e2e.service import Service
from tests.e2e.story import Merchant

_PATIENCE_SECONDS = 20
_UPDATE = "DynamoDB_20120810.UpdateItem"


def wait_for[T](look: Callable[[], T], what: str, seconds: float = _PATIENCE_SECONDS) -> T:
    """What `look` returns, as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds} seconds in vain for {what}"
        time.sleep(0.05)
    return found


class Upkeep:
    """One connection of a stack, and the hands of its clock.

    Args:
        stack: the running stack.
        key: which connection.
    """

    def __init__(self, stack: RunningStack, key: Key) -> None:
        self.stack = stack
        self.key = key
        self._table = stack.info["tables"]["connections"]
        connection = f"{key.provider}#{key.account_id}"
        self._where = {"merchant_id": {"S": key.merchant_id}, "connection": {"S": connection}}

    @classmethod
    def of(cls, merchant: Merchant, provider: str, account: str = "default") -> "Upkeep":
        """A connection of a merchant."""
        return cls(merchant.stack, Key(merchant.name, provider, account))

    def row(self) -> dict[str, Any]:
        """The row with plain values; sealed fields are bytes."""
        answer = self.stack.aws("dynamodb").get_item(
            TableName=self._table, Key=self._where, ConsistentRead=True
        )
        return {name: _plain(value) for name, value in answer.get("Item", {}).items()}

    @property
    def status(self) -> str:
        """The connection's status."""
        return str(self.row()["status"])

    @property
    def version(self) -> int:
        """The connection's version."""
        return int(self.row()["version"])

    def set(self, **values: int | None) -> None:
        """Write numbers into the row, as if time had passed; None takes one out."""
        kept = {name: value for name, value in values.items() if value is not None}
        gone = [f"#{name}" for name in values if name not in kept]
        update = f"SET {', '.join(f'#{name} = :{name}' for name in kept)}" if kept else ""
        update += f" REMOVE {', '.join(gone)}" if gone else ""
        numbers = {f":{name}": {"N": str(value)} for name, value in kept.items()}
        self.stack.aws("dynamodb").update_item(
            TableName=self._table,
            Key=self._where,
            UpdateExpression=update,
            ExpressionAttributeNames={f"#{name}": name for name in values},
            **({"ExpressionAttributeValues": numbers} if numbers else {}),
        )

    def pass_time(self, seconds: int) -> None:
        """Move every time in the row that a refresh, a probe or a report waits for `seconds` back."""
        row = self.row()
        names = (
            "lease_until",
            "attempt_at",
            "retry_at",
            "due_at",
            "probed_at",
            "hinted_until",
            "unauthorized_at",
            "issued_at",
        )
        self.set(**{name: int(row[name]) - seconds for name in names if name in row})

    def fall_due(self) -> None:
        """Be due now."""
        assert self.row()["due_shard"] == due_shard(
            self.key.provider, self.key.merchant_id, self.key.account_id
        )
        self.set(due_at=int(time.time()))

    def lines(self, function: str = "refresh", **wanted: str) -> list[dict[str, Any]]:
        """The lines that a function has logged about this connection, those with these fields only."""
        about = {"merchant_id": self.key.merchant_id, "provider": self.key.provider, **wanted}
        about["account_id"] = self.key.account_id
        return [
            line
            for line in self.stack.log_lines(function)
            if all(line.get(name) == value for name, value in about.items())
        ]

    def line(self, outcome: str, seconds: float = _PATIENCE_SECONDS) -> dict[str, Any]:
        """The one line of `refresh` about this connection with this outcome, once it is there."""
        found = wait_for(
            lambda: self.lines(outcome=outcome), f"{outcome} of {self.key}: {self.lines()}", seconds
        )
        assert len(found) == 1, found
        return found[0]


def sweep(stack: RunningStack) -> dict[str, Any]:
    """Sweep now; what it said."""
    fired = stack.trigger("schedules/sweep/fire")
    assert fired["error"] is None, fired
    said: dict[str, Any] = json.loads(fired["payload"])
    return said


def doubt_passes(one: Upkeep, service: Service) -> None:
    """After a lost answer: two minutes, the first look, which calls nobody, and half a minute."""
    simulator = one.stack.simulator(one.key.provider)
    one.pass_time(DOUBT_SECONDS + 1)  # instead of waiting
    calls = len(simulator.calls())
    looked = service.refresh(one.key)
    assert (looked.status_code, looked.json()["reason"]) == (503, "refresh_in_doubt")
    row = one.row()
    assert row["due_at"] == row["retry_at"] <= time.time() + LOOK_SECONDS
    assert not {"lease_owner", "attempt_at"} & row.keys()
    assert len(simulator.calls()) == calls
    one.pass_time(LOOK_SECONDS + 1)


def hint(stack: RunningStack, store: str, topic: str = TOPIC) -> requests.Response:
    """Say that a Yotpo store was disconnected, as anybody can; our answer."""
    headers = {"Content-Type": "application/json", "X-Yotpo-Webhooks-Event-Type": topic}
    body = json.dumps({"app_key": store}).encode()
    return requests.post(f"{stack.base_url}/uninstall/yotpo", data=body, headers=headers, timeout=20)


def refresh_unstored(one: Upkeep, service: Service, *more: str) -> requests.Response:
    """Refresh, with the table out of order from the provider's answer on, and `more` AWS calls with it."""
    with (
        one.stack.simulator(one.key.provider).behaving(delay_after_seconds=1),
        ThreadPoolExecutor(1) as asking,
    ):
        answer = asking.submit(service.refresh, one.key)
        wait_for(lambda: "lease_owner" in one.row(), "the lease")
        # The first write after the lease is the store, and the second one the recovery's.
        with one.stack.failing(_UPDATE, *more, function="refresh", times=1):
            return answer.result()


def _plain(value: dict[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    if kind == "N":
        return int(inner)
    if kind == "L":
        return [_plain(one) for one in inner]
    if kind == "M":
        return {name: _plain(one) for name, one in inner.items()}
    return bytes(inner) if kind == "B" else inner
