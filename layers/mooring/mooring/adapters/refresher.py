"""The refresh function, invoked and waited for: whoever reads cannot open refresh tokens, and asks it."""

from contextlib import closing
from typing import TYPE_CHECKING

from mooring.adapters.aws_errors import failing_as
from mooring.adapters.work_messages import MAX_BYTES, order_payload, parse_answer
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Answer, Order

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class LambdaRefresher:
    """The refresh function of this deployment.

    Args:
        client: a Lambda client that waits longer than a refresh takes and never asks twice: what
            it could not hear the end of may still be running.
        function_name: name or ARN of the refresh function.
    """

    def __init__(self, client: "LambdaClient", function_name: str) -> None:
        self._client = client
        self._function_name = function_name

    def refresh(self, order: Order) -> Answer:
        """Have one connection refreshed now.

        Raises:
            Failure: STORAGE_UNAVAILABLE, with the AWS error code, `FunctionError` or `MalformedAnswer`
                as its detail, when the function could not be asked, failed, or said nothing of use.
        """
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            answer = self._client.invoke(
                FunctionName=self._function_name,
                InvocationType="RequestResponse",
                Payload=order_payload(order),
            )
            with closing(answer["Payload"]) as payload:
                body = payload.read(MAX_BYTES + 1)
        if answer.get("FunctionError"):
            # The payload is then an exception's text; nobody needs to know it here.
            raise Failure(Reason.STORAGE_UNAVAILABLE, "FunctionError")
        try:
            return parse_answer(body)
        except Failure:
            raise Failure(Reason.STORAGE_UNAVAILABLE, "MalformedAnswer") from None
