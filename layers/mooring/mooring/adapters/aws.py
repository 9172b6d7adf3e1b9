"""The AWS clients of one process: one boto3 session, each client made when it is first needed.

A second client on the same session costs a few milliseconds; a second session would load everything
anew. Only clients are used, never boto3's resources.

Limits, so that one sick service cannot use up the 28 seconds a flow has: 1 s to connect, 2 s to the
next byte (answers inside a region take milliseconds), two attempts, hence at most about 7 s a call.
Whoever tries again by itself takes a client that does not. Lambda's client waits for a function to
finish its work, and never asks twice: the first call may still be running.
"""

import logging
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from boto3.session import Session
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

CONNECT_SECONDS = 1
READ_SECONDS = 2
ATTEMPTS = 2
CONNECTIONS = 50
"""Kept alive per service: 25 messages are worked on at once, and each asks KMS twice side by side."""
INVOKE_SECONDS = 22
"""How long an invoked function is waited for: an API's answer is due after 28 seconds."""


class Aws:
    """Clients of one region, made lazily and shared by all threads.

    Args:
        region: the AWS region, such as `eu-west-1`. Credentials and `AWS_ENDPOINT_URL` are read by
            boto3 from the environment as usual, unless the next two say otherwise.
        session: with whose credentials; one of its own by default.
        endpoint_url: where AWS is, such as the simulated one of a local stack.
    """

    def __init__(self, region: str, session: Session | None = None, endpoint_url: str | None = None) -> None:
        _quieten()
        self._region = region
        self._session = session
        self._endpoint_url = endpoint_url
        self._clients: dict[tuple[str, int, int], Any] = {}
        self._lock = Lock()

    def dynamodb(self, attempts: int = ATTEMPTS) -> "DynamoDBClient":
        """The DynamoDB client that makes so many attempts."""
        return cast("DynamoDBClient", self._client("dynamodb", attempts))

    def kms(self) -> "KMSClient":
        """The KMS client."""
        return cast("KMSClient", self._client("kms"))

    def ssm(self) -> "SSMClient":
        """The Systems Manager client."""
        return cast("SSMClient", self._client("ssm"))

    def sqs(self) -> "SQSClient":
        """The SQS client."""
        return cast("SQSClient", self._client("sqs"))

    def events(self) -> "EventBridgeClient":
        """The EventBridge client."""
        return cast("EventBridgeClient", self._client("events"))

    def s3(self) -> "S3Client":
        """The S3 client."""
        return cast("S3Client", self._client("s3"))

    def lambda_(self) -> "LambdaClient":
        """The Lambda client: one attempt, 22 seconds for the answer."""
        return cast("LambdaClient", self._client("lambda", 1, INVOKE_SECONDS))

    def close(self) -> None:
        """Close the kept-alive connections of every client made so far."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _client(self, service: str, attempts: int = ATTEMPTS, seconds: int = READ_SECONDS) -> Any:
        # Clients may be shared by threads, but making one is not safe in two threads at once.
        with self._lock:
            name = (service, attempts, seconds)
            if name not in self._clients:
                self._session = self._session or Session(region_name=self._region)
                more = {"config": _config(attempts, seconds), "endpoint_url": self._endpoint_url}
                self._clients[name] = self._session.client(service, region_name=self._region, **more)  # type: ignore[call-overload]
            return self._clients[name]


def _config(attempts: int, seconds: int) -> Config:
    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=seconds,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": attempts},
        user_agent_extra="mooring",
    )


def _quieten() -> None:
    # At DEBUG botocore writes data keys, secrets and rows as they come off the wire.
    for name in ("botocore", "boto3"):
        logging.getLogger(name).setLevel(logging.WARNING)
