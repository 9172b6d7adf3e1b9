"""The queue of revocations: sealed tokens of generations that are gone, on their way to their provider.

A message holds ciphertext and names, nothing that opens without KMS. Writing and reading stand side by
side, because a worker of a later release reads what this one wrote; a change to the shape raises
`SCHEMA`, and `parse` goes on reading the old one.
"""

from typing import TYPE_CHECKING

from mooring.adapters.aws_errors import failing_as
from mooring.adapters.message_fields import (
    dump,
    key,
    load,
    malformed,
    number,
    sealed,
    sealed_or_none,
    text,
    text_map,
    written,
)
from mooring.core.errors import Reason
from mooring.core.revocation import Revocation

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

SCHEMA = 1
KIND = "revocation"
MAX_BYTES = 262_144


class SqsRevocations:
    """The queue of revocations in SQS.

    Args:
        client: an SQS client.
        queue_url: the queue's URL.
    """

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def ask(self, revocation: Revocation) -> None:
        """Queue it (ciphertext only). Raises `Failure(STORAGE_UNAVAILABLE)`."""
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=message(revocation))

    def again_in(self, receipt_handle: str, seconds: int) -> None:
        """Let a message that was received, and is left in the queue, come again in so many seconds.

        Args:
            receipt_handle: of this receipt of it.
            seconds: from now, 0 to 43,200.

        Raises:
            Failure: STORAGE_UNAVAILABLE; it comes again all the same, when its visibility timeout has passed.
        """
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            self._client.change_message_visibility(
                QueueUrl=self._queue_url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )


def message(revocation: Revocation) -> str:
    """The body of a message: one JSON object."""
    body = {
        "schema": SCHEMA,
        "kind": KIND,
        **revocation.key._asdict(),
        "generation": revocation.generation,
        "access": written(revocation.access),
        "refresh": written(revocation.refresh),
        "details": dict(revocation.details),
    }
    return dump(body)


def parse(body: str) -> Revocation:
    """Read a message's body.

    Raises:
        Failure: MESSAGE_MALFORMED for a message of another schema, kind or shape.
    """
    data = load(body, MAX_BYTES)
    if (number(data, "schema"), text(data, "kind")) != (SCHEMA, KIND):
        malformed("the schema or the kind is unknown")
    return Revocation(
        key=key(data),
        generation=number(data, "generation"),
        access=sealed(data, "access"),
        refresh=sealed_or_none(data, "refresh"),
        details=tuple(text_map(data, "details").items()),
    )
