"""The secrets battery, on the fake and on the parameter store."""

from collections.abc import Iterator

import pytest

from mooring.adapters.ssm import ParameterSecrets
from tests.contract.aws_server import AwsServer, Fault
from tests.contract.secrets_battery import SecretsBattery, Store
from tests.fakes.clock import FakeClock
from tests.fakes.secrets import FakeSecrets


class FakeStore:
    """Secrets in memory."""

    def __init__(self) -> None:
        self.secrets = FakeSecrets()

    def put(self, provider: str, value: str) -> None:
        self.secrets.values[provider] = value

    def put_webhook(self, provider: str, value: str) -> None:
        self.secrets.webhooks[provider] = value

    def delete(self, provider: str) -> None:
        del self.secrets.values[provider]

    def fail(self) -> None:
        self.secrets.outage = True

    def work(self) -> None:
        self.secrets.outage = False

    def pass_time(self, seconds: int) -> None:
        self.secrets.now += seconds


class SsmStore:
    """Secrets in the parameter store."""

    def __init__(self, aws: AwsServer) -> None:
        self._aws = aws
        self._clock = FakeClock()
        self.secrets = ParameterSecrets(aws.ssm(), "test", self._clock, lambda: 0.5)

    def put(self, provider: str, value: str) -> None:
        self._put(_name(provider), value)

    def put_webhook(self, provider: str, value: str) -> None:
        self._put(f"/mooring/test/{provider}/webhook_secret", value)

    def delete(self, provider: str) -> None:
        self._aws.ssm().delete_parameter(Name=_name(provider))

    def _put(self, name: str, value: str) -> None:
        self._aws.ssm().put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)

    def fail(self) -> None:
        self._aws.faults = [Fault("GetParameter", "ThrottlingException")] * 10

    def work(self) -> None:
        self._aws.faults = []

    def pass_time(self, seconds: int) -> None:
        self._clock.advance(seconds)


def _name(provider: str) -> str:
    return f"/mooring/test/{provider}/client_secret"


class TestFakeSecrets(SecretsBattery):
    @pytest.fixture
    def store(self) -> Store:
        return FakeStore()


class TestParameterSecrets(SecretsBattery):
    @pytest.fixture
    def store(self, aws: AwsServer) -> Iterator[Store]:
        with aws.failing():
            yield SsmStore(aws)
