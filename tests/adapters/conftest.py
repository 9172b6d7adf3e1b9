"""The adapters' own tests share the batteries' AWS server, and have HTTP servers of their own."""

from collections.abc import Iterator

import pytest

from mooring.adapters.http import OutboundHttp
from tests.adapters.http_client import Serve, servers
from tests.contract.conftest import aws, token_key

__all__ = ["aws", "client", "serve", "token_key"]


@pytest.fixture
def client() -> Iterator[OutboundHttp]:
    """A client that closes its connections."""
    client = OutboundHttp()
    yield client
    client.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers."""
    with servers() as start:
        yield start
