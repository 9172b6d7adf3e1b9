"""Two implementations of DynamoDB, each in a process of its own with Mooring's tables, and a KMS."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from local.aws import AwsProcess
from mooring.adapters.kms import Kms
from tests.concurrency.database import Database
from tests.concurrency.provider import CountingProvider
from tests.support.ministack import Ministack, client_of

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

NAMES = ("moto", "ministack")


@pytest.fixture(scope="session")
def moto_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The simulated AWS of `make run`, one request at a time."""
    process = AwsProcess(tmp_path_factory.mktemp("moto") / "aws.log")
    yield process.endpoint_url()
    process.stop()


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The other implementation."""
    process = Ministack(tmp_path_factory.mktemp("ministack"))
    database = Database(process.endpoint)
    yield database
    database.close()
    process.stop()


@pytest.fixture(scope="session")
def moto(moto_endpoint: str) -> Iterator[Database]:
    """The first implementation."""
    database = Database(moto_endpoint)
    yield database
    database.close()


@pytest.fixture(params=NAMES)
def database(request: pytest.FixtureRequest) -> Database:
    """Either of them."""
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def data_keys(moto_endpoint: str) -> Iterator[Callable[[], Kms]]:
    """KMS with one key; moto's, because ministack's opens what was tampered with."""
    client: KMSClient = client_of("kms", moto_endpoint)
    key_id = client.create_key(Description="token key")["KeyMetadata"]["KeyId"]
    yield lambda: Kms(client, key_id)
    client.close()


@pytest.fixture
def provider() -> Iterator[CountingProvider]:
    """A provider on a socket."""
    running = CountingProvider()
    yield running
    running.stop()
