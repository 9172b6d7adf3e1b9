"""What the batteries of the queues see of SQS, whatever lies in them."""

from typing import TYPE_CHECKING
from uuid import uuid4

from tests.contract.aws_server import AwsServer, Fault

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsWorld:
    """A queue of its own in SQS."""

    def __init__(self, aws: AwsServer) -> None:
        self._aws = aws
        self.client: SQSClient = aws.sqs()
        self.url = self.client.create_queue(QueueName=f"queue-{uuid4().hex}")["QueueUrl"]

    def next_body(self) -> str:
        """Receive the next message and delete it; what it says."""
        message = self.client.receive_message(QueueUrl=self.url)["Messages"][0]
        self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return message["Body"]

    def receive(self) -> str:
        """Receive the next message and leave it; its receipt handle."""
        return self.client.receive_message(QueueUrl=self.url)["Messages"][0]["ReceiptHandle"]

    def comes_again(self) -> list[tuple[str, int]]:
        """Which receipts were told to come again, and after how many seconds."""
        asked = self._aws.asked("ChangeMessageVisibility")
        return [
            (each["ReceiptHandle"], each["VisibilityTimeout"])
            for each in asked
            if each["QueueUrl"] == self.url
        ]

    def fail(self) -> None:
        """Let the queue be unreachable from now on."""
        self._aws.faults = [
            Fault("SendMessage", "KmsThrottled"),
            Fault("ChangeMessageVisibility", "RequestThrottled"),
        ]
