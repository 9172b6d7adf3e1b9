"""A listener on the event bus of a running stack, as a product has one: a rule and a queue behind it."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.running import RunningStack
from tests.e2e.upkeep import wait_for

PATIENCE_SECONDS = 60
"""An event follows within two seconds; a loaded machine, or a function that has just died, takes longer."""


class Inbox:
    """The events that came since it was made, in the order in which they came.

    Args:
        stack: the running stack.
        pattern: which events; all of Mooring's by default.
    """

    def __init__(self, stack: RunningStack, pattern: dict[str, Any] | None = None) -> None:
        self._stack, self._name = stack, f"inbox-{secrets.token_hex(6)}"
        (self.bus,) = stack.info["buses"]
        sqs, events = stack.aws("sqs"), stack.aws("events")
        self.url = sqs.create_queue(QueueName=self._name)["QueueUrl"]
        asked = sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        wanted = json.dumps(pattern or {"source": ["mooring"]})
        events.put_rule(Name=self._name, EventBusName=self.bus, EventPattern=wanted)
        target = {"Id": "queue", "Arn": asked["Attributes"]["QueueArn"]}
        events.put_targets(Rule=self._name, EventBusName=self.bus, Targets=[target])
        self._came: list[dict[str, Any]] = []

    def all(self) -> list[dict[str, Any]]:
        """Every event that has come so far."""
        sqs = self._stack.aws("sqs")
        while True:
            found = sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", [])
            if not found:
                return list(self._came)
            for message in found:
                self._came.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def about(self, merchant: str) -> list[dict[str, Any]]:
        """Those about a merchant."""
        return [event for event in self.all() if event["detail"]["merchant_id"] == merchant]

    def types(self, merchant: str) -> list[str]:
        """Types of those about a merchant, without the "Connection" that each begins with, each id once."""
        told = {event["detail"]["id"]: event["detail-type"] for event in self.about(merchant)}
        return [each.removeprefix("Connection ") for each in told.values()]

    def wait(self, merchant: str, *types: str) -> list[dict[str, Any]]:
        """Wait until exactly these were told about a merchant; the events, those that came twice included."""
        wait_for(
            lambda: self.types(merchant) == list(types),
            f"{types} of {merchant}; there is {self.types(merchant)}",
            PATIENCE_SECONDS,
        )
        return self.about(merchant)

    def close(self) -> None:
        """Listen no more."""
        events = self._stack.aws("events")
        events.remove_targets(Rule=self._name, EventBusName=self.bus, Ids=["queue"])
        events.delete_rule(Name=self._name, EventBusName=self.bus)
        self._stack.aws("sqs").delete_queue(QueueUrl=self.url)


@contextmanager
def listening(stack: RunningStack, pattern: dict[str, Any] | None = None) -> Iterator[Inbox]:
    """An inbox, for as long as the body lasts."""
    inbox = Inbox(stack, pattern)
    try:
        yield inbox
    finally:
        inbox.close()
