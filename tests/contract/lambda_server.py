"""Lambda's invoke API on a socket: one function that answers as a test says."""

import json
from typing import TYPE_CHECKING, cast

from botocore.config import Config
from botocore.session import Session

from mooring.adapters.work_messages import answer_of, parse_order
from mooring.core.upkeep import Answer, Order
from tests.contract.aws_server import REGION
from tests.contract.socket_server import SocketServer, response

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

NAME = "mooring-test-refresh"


class LambdaServer:
    """A running server and a client that makes one attempt and waits two seconds.

    `http` is the server of sockets underneath, for answers that no function would give.
    """

    def __init__(self) -> None:
        self.http = SocketServer(response())
        self.endpoint = f"http://{self.http.host}"
        session = Session()
        session.set_credentials("test", "test")
        config = Config(retries={"total_max_attempts": 1}, proxies={}, read_timeout=2)
        self.client: LambdaClient = cast(
            "LambdaClient",
            session.create_client("lambda", region_name=REGION, endpoint_url=self.endpoint, config=config),
        )

    def stop(self) -> None:
        """Stop the server and close the client."""
        self.client.close()
        self.http.stop()

    def answers(self, answer: Answer) -> None:
        """What the function returns from now on."""
        self.returns(json.dumps(answer_of(answer)).encode())

    def returns(self, body: bytes, error: str | None = None) -> None:
        """The bytes that come back from now on; with `error`, as of a function that failed."""
        headers = {"Content-Type": "application/json", "X-Amz-Executed-Version": "$LATEST"}
        headers |= {"X-Amz-Function-Error": error} if error else {}
        self.http.answers = [response(200, body, headers)]

    def refuses(self, status: int, code: str) -> None:
        """Let Lambda itself refuse from now on."""
        body = json.dumps({"Type": "User", "message": "ordered"}).encode()
        headers = {"Content-Type": "application/json", "X-Amzn-ErrorType": code}
        self.http.answers = [response(status, body, headers)]

    def asked(self) -> list[Order]:
        """The orders that it got."""
        return [parse_order(json.loads(body)) for body in self.http.bodies]
