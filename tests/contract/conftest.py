"""One AWS server for all tests of a process: moto keeps its state there, so two would share it."""

import atexit
from functools import cache

import pytest

from tests.contract.aws_server import AwsServer, create_tables


@cache
def shared_server() -> AwsServer:
    """The running server, with both tables in it; it stops with the process."""
    server = AwsServer()
    atexit.register(server.stop)
    create_tables(server.dynamodb())
    return server


@pytest.fixture(scope="session")
def aws() -> AwsServer:
    """The server."""
    return shared_server()


@pytest.fixture(scope="session")
def token_key(aws: AwsServer) -> str:
    """Id of a KMS key."""
    return aws.kms().create_key(Description="token key")["KeyMetadata"]["KeyId"]
