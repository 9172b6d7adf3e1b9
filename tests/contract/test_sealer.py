"""The sealer battery, on the fake and on AES-GCM under KMS."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from mooring.adapters.kms import Kms
from mooring.adapters.sealing import EnvelopeSealer
from mooring.core.errors import Failure, Reason
from tests.contract.aws_server import AwsServer
from tests.contract.sealer_battery import Outage, SealerBattery
from tests.fakes.clock import FakeClock
from tests.fakes.sealer import FakeSealer


class TestFakeSealer(SealerBattery):
    @pytest.fixture
    def sealer(self) -> FakeSealer:
        return FakeSealer()

    @pytest.fixture
    def outage(self, sealer: FakeSealer) -> Outage:
        down = Failure(Reason.SEALING_UNAVAILABLE)
        return lambda: sealer.broken.update(prepare=down, open=down, reuse=down)


class TestEnvelopeSealer(SealerBattery):
    @pytest.fixture
    def sealer(self, aws: AwsServer, token_key: str) -> EnvelopeSealer:
        return EnvelopeSealer(Kms(aws.kms(), token_key), FakeClock())

    @pytest.fixture
    def outage(self, aws: AwsServer) -> Iterator[Outage]:
        with ExitStack() as stack:

            def begin() -> None:
                stack.enter_context(aws.out("Decrypt", "ThrottlingException"))
                aws.faults += [aws.faults[0]._replace(operation="GenerateDataKey")] * 10

            yield begin
