"""The simulated EventBridge, which takes everything, made to refuse; and a queue that shows what it took."""

import io
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.session import Session

from tests.contract.aws_server import REGION, AwsServer

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


def client(aws: AwsServer, service: str) -> Any:
    """A client of the server of its own."""
    session = Session()
    session.set_credentials("test", "test")
    config = Config(retries={"mode": "standard", "total_max_attempts": 1}, proxies={})
    return session.create_client(service, region_name=REGION, endpoint_url=aws.endpoint, config=config)


def queue_behind(aws: AwsServer, bus: str) -> str:
    """Make a bus, and a queue that gets everything that is put on it; the queue's URL."""
    events = client(aws, "events")
    events.create_event_bus(Name=bus)
    url = aws.sqs().create_queue(QueueName=bus)["QueueUrl"]
    arn = aws.sqs().get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=bus, EventBusName=bus, EventPattern=json.dumps({"source": ["mooring"]}))
    events.put_targets(Rule=bus, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    events.close()
    return url


def received(aws: AwsServer, url: str) -> list[Mapping[str, Any]]:
    """The events in a queue, in order; they are gone then."""
    found: list[Mapping[str, Any]] = []
    while messages := aws.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"]) for message in messages]
        for message in messages:
            aws.sqs().delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


class _Raw(io.BytesIO):
    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()


class Refusing:
    """A client whose PutEvents refuses events of some merchants, as EventBridge says it, and puts the rest.

    `codes` has the error code by merchant; `times` how often each is refused before it is taken (for ever
    by default), and `calls` the number of entries of each call.

    Args:
        aws: the server.
    """

    def __init__(self, aws: AwsServer) -> None:
        self.client = cast("EventBridgeClient", client(aws, "events"))
        self.codes: dict[str, str] = {}
        self.times: dict[str, int] = {}
        self.calls: list[int] = []
        self._behind = client(aws, "events")
        self.client.meta.events.register("before-send.events.PutEvents", self._send)

    def _send(self, request: Any, **_: object) -> Any:
        entries = json.loads(request.body)["Entries"]
        self.calls.append(len(entries))
        answers = [self._put(entry) for entry in entries]
        failed = sum("ErrorCode" in answer for answer in answers)
        body = json.dumps({"FailedEntryCount": failed, "Entries": answers}).encode()
        headers: Any = {"content-type": "application/x-amz-json-1.1"}
        return AWSResponse(request.url, 200, headers, _Raw(body))

    def _put(self, entry: dict[str, Any]) -> dict[str, str]:
        merchant = json.loads(entry["Detail"])["merchant_id"]
        left = self.times.get(merchant, 1_000)
        if merchant in self.codes and left > 0:
            self.times[merchant] = left - 1
            return {"ErrorCode": self.codes[merchant], "ErrorMessage": "ordered"}
        return dict(self._behind.put_events(Entries=[entry])["Entries"][0])
