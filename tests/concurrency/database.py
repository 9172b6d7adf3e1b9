"""One DynamoDB with Mooring's tables, and clients of it that share nothing."""

from typing import TYPE_CHECKING

from botocore.session import Session

from tests.contract.aws_server import create_tables
from tests.support.ministack import client_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Database:
    """A server's two tables."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._session = Session()
        self._clients: list[DynamoDBClient] = []
        self._shared = self.client()
        create_tables(self._shared)

    def client(self) -> "DynamoDBClient":
        """A new client with connections of its own."""
        self._clients.append(client_of("dynamodb", self.endpoint, self._session))
        return self._clients[-1]

    def dynamodb(self) -> "DynamoDBClient":
        """One client for all, as the batteries of the ports ask for it."""
        return self._shared

    def close(self) -> None:
        """Close every client."""
        for client in self._clients:
            client.close()
