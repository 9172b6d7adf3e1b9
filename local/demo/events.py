"""What Mooring told Brightcart: its events, from a queue of Brightcart's own behind a rule of the event bus.

The same event may come twice, and is shown once: by the `id` in its detail.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_NAME = "brightcart-events"
_PATTERN = {"source": ["mooring"]}
_KEPT = 500
_AT_ONCE = 10
_LOOKS = 20
"""Batches that one look takes at most: whoever looks waits for it."""

Receive = Callable[[], Sequence[Mapping[str, Any]]]
"""Gives events that have come since the last call, as EventBridge writes them."""


class Said(NamedTuple):
    """One event of one merchant. `at` is epoch seconds."""

    event_id: str
    kind: str
    merchant: str
    provider: str
    account_id: str
    at: int


class Inbox:
    """The events of all merchants that have come so far, the latest few hundred."""

    def __init__(self) -> None:
        self._receive: Receive = tuple
        self._lock = Lock()
        self._said: deque[Said] = deque(maxlen=_KEPT)

    def listen(self, receive: Receive) -> None:
        """Take events from here."""
        self._receive = receive

    def of(self, merchant: str, most: int) -> tuple[Said, ...]:
        """A merchant's latest events, the newest first; takes what has come meanwhile."""
        with self._lock:
            for envelope in self._receive():
                self._take(envelope)
            return tuple(said for said in reversed(self._said) if said.merchant == merchant)[:most]

    def _take(self, envelope: Mapping[str, Any]) -> None:
        try:
            detail = envelope["detail"]
            names = (detail["merchant_id"], detail["provider"], detail["account_id"])
            said = Said(detail["id"], envelope["detail-type"], *names, int(detail["time"]))
        except (KeyError, TypeError, ValueError):
            return
        if all(known.event_id != said.event_id for known in self._said):
            self._said.append(said)


def subscribe(endpoint_url: str, region: str, credentials: tuple[str, str], bus: str) -> Receive:
    """Make a queue and a rule that fills it with Mooring's events.

    Args:
        endpoint_url: AWS.
        region: its region.
        credentials: access key id and secret access key.
        bus: name of Mooring's event bus.

    Returns:
        What takes the events out of the queue. It never raises: when AWS does not answer, there are none.
    """
    session = boto3.session.Session(*credentials, region_name=region)
    settings = Config(retries={"max_attempts": 1}, connect_timeout=5, read_timeout=10, proxies={})
    sqs = session.client("sqs", endpoint_url=endpoint_url, config=settings)
    events = session.client("events", endpoint_url=endpoint_url, config=settings)
    url = sqs.create_queue(QueueName=_NAME)["QueueUrl"]
    asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    events.put_rule(Name=_NAME, EventBusName=bus, EventPattern=json.dumps(_PATTERN))
    arn = asked["Attributes"]["QueueArn"]
    events.put_targets(Rule=_NAME, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return lambda: _drain(sqs, url)


def _drain(sqs: Any, url: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for _ in range(_LOOKS):
        try:
            some = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=_AT_ONCE).get("Messages", [])
            found += [json.loads(message["Body"]) for message in some]
            for message in some:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        except (ClientError, BotoCoreError, ValueError):
            return found
        if len(some) < _AT_ONCE:
            break
    return found
