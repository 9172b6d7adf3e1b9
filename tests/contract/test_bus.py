"""The batteries of the event bus and of the bucket of the undelivered, on the fakes and on AWS."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import pytest

from mooring.adapters.event_bus import EventBridgeBus
from mooring.adapters.undelivered import S3Undelivered
from mooring.core.errors import Failure, Reason
from tests.contract.aws_server import AwsServer
from tests.contract.bus_battery import BusBattery, Ground, Store, UndeliveredBattery
from tests.contract.event_bridge import Refusing, client, queue_behind, received
from tests.fakes.bus import FakeBus, FakeUndelivered


class FakeGround:
    """A bus in memory."""

    def __init__(self) -> None:
        self.bus = FakeBus()

    def taken(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        return [(event.detail_type, event.detail) for event in self.bus.events]

    def refuse(self, merchant_id: str, reason: Reason) -> None:
        self.bus.refusing[merchant_id] = Failure(reason)


_CODES = {Reason.BUS_UNAVAILABLE: "ThrottlingException", Reason.EVENT_REFUSED: "MalformedDetail"}


class BridgeGround:
    """A bus in EventBridge, and a queue that a rule fills with all that it takes."""

    def __init__(self, aws: AwsServer) -> None:
        self._aws, name = aws, f"bus-{uuid4().hex}"
        self._queue = queue_behind(aws, name)
        self.refusing = Refusing(aws)
        self.bus = EventBridgeBus(self.refusing.client, name, sleep=lambda _: None)

    def taken(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        return [(event["detail-type"], event["detail"]) for event in received(self._aws, self._queue)]

    def refuse(self, merchant_id: str, reason: Reason) -> None:
        self.refusing.codes[merchant_id] = _CODES[reason]


class BucketStore:
    """A bucket in S3."""

    def __init__(self, aws: AwsServer) -> None:
        self._name = f"bucket-{uuid4().hex}"
        where: Any = {"LocationConstraint": "eu-west-1"}
        self._s3 = client(aws, "s3")
        self._s3.create_bucket(Bucket=self._name, CreateBucketConfiguration=where)
        self.undelivered = S3Undelivered(self._s3, self._name)

    def kept(self) -> list[Mapping[str, Any]]:
        names = [found["Key"] for found in self._s3.list_objects_v2(Bucket=self._name)["Contents"]]
        bodies = [
            json.loads(self._s3.get_object(Bucket=self._name, Key=name)["Body"].read()) for name in names
        ]
        return [record for body in bodies for record in json.loads(body["payload"])["Records"]]

    def fail(self) -> None:
        self._s3.delete_bucket(Bucket=self._name)


class FakeStore:
    """A bucket in memory."""

    def __init__(self) -> None:
        self.undelivered = FakeUndelivered()

    def kept(self) -> list[Mapping[str, Any]]:
        return [record for _, record in sorted(self.undelivered.records.items())]

    def fail(self) -> None:
        self.undelivered.broken["keep"] = Failure(Reason.STORAGE_UNAVAILABLE)


class TestFakeBus(BusBattery):
    @pytest.fixture
    def ground(self) -> Ground:
        return FakeGround()


class TestEventBridgeBus(BusBattery):
    @pytest.fixture
    def ground(self, aws: AwsServer) -> Ground:
        return BridgeGround(aws)


class TestFakeUndelivered(UndeliveredBattery):
    @pytest.fixture
    def store(self) -> Store:
        return FakeStore()


class TestS3Undelivered(UndeliveredBattery):
    @pytest.fixture
    def store(self, aws: AwsServer) -> Store:
        return BucketStore(aws)
