"""One queue in SQS: messages go in one at a time, and a received one may be told when to come again."""

from typing import TYPE_CHECKING

from mooring.adapters.aws_errors import failing_as
from mooring.core.errors import Reason

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsQueue:
    """A queue in SQS, for those who know its messages.

    Args:
        client: an SQS client.
        queue_url: the queue's URL.
    """

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

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

    def _send(self, body: str) -> None:
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=body)
