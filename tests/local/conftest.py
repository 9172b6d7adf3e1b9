"""Toys for the local stack's own tests: one function, one template, one simulated AWS per session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.aws import AwsProcess
from local.runtime import FunctionSpec, RuntimePool
from tests.local.toybox import PACKAGES, TOYS, PoolMaker


@pytest.fixture
def make_pool(tmp_path: Path) -> Iterator[PoolMaker]:
    """Makes pools of the toy function; ends them."""
    pools: list[RuntimePool] = []

    def make(*, timeout_seconds: int = 5, limit: int = 8, wait_seconds: float = 10) -> RuntimePool:
        spec = FunctionSpec(
            name="toy",
            code=(TOYS / "echo", PACKAGES),
            environment={"AWS_REGION": "us-east-1", "OWN": "value"},
            timeout_seconds=timeout_seconds,
            memory_mb=256,
        )
        pool = RuntimePool(spec, log_path=tmp_path / "toy.log", limit=limit, wait_seconds=wait_seconds)
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.stop()


@pytest.fixture(scope="session")
def aws_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a simulated AWS."""
    process = AwsProcess(tmp_path_factory.mktemp("aws") / "aws.log")
    yield process.endpoint_url()
    process.stop()
