"""How long a secret is remembered, and how long that there is none."""

import pytest

from mooring.adapters.ssm import (
    FAILED_SECONDS,
    FORGET_SECONDS,
    KEEP_SECONDS,
    REFUSED_SECONDS,
    RETRY_SECONDS,
    ParameterSecrets,
)
from mooring.core.errors import Failure, Reason
from tests.contract.aws_server import AwsServer, Fault
from tests.fakes.clock import FakeClock


class Setting:
    """A store with one secret in it, named after the test."""

    def __init__(self, aws: AwsServer, provider: str, jitter: float = 0.5) -> None:
        self._aws = aws
        self._provider = provider
        self.clock = FakeClock()
        self.secrets = ParameterSecrets(aws.ssm(), "dev", self.clock, lambda: jitter)
        self.store("old")

    def store(self, value: str) -> None:
        name = f"/mooring/dev/{self._provider}/client_secret"
        self._aws.ssm().put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)

    def read(self) -> str:
        return self.secrets.client_secret(self._provider)

    def asked(self) -> int:
        return len(self._aws.asked("GetParameter"))


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 300), (0.5, 600), (1.0, 900)])
def test_a_secret_lives_five_to_fifteen_minutes(aws: AwsServer, jitter: float, seconds: int) -> None:
    setting = Setting(aws, f"jitter-{seconds}", jitter)
    setting.read()
    setting.store("new")
    setting.clock.advance(seconds - 1)
    assert setting.read() == "old"
    setting.clock.advance(1)
    assert setting.read() == "new"


def test_an_outage_is_not_asked_about_at_every_read(aws: AwsServer) -> None:
    setting = Setting(aws, "outage")
    setting.read()
    setting.store("new")
    setting.clock.advance(KEEP_SECONDS[1])
    with aws.out("GetParameter", "InternalServerError", 500):
        before = setting.asked()
        assert [setting.read() for _ in range(5)] == ["old"] * 5
        assert setting.asked() == before + 1
        setting.clock.advance(RETRY_SECONDS)
        assert setting.read() == "old"
        assert setting.asked() == before + 2
    setting.clock.advance(RETRY_SECONDS)
    assert setting.read() == "new"


def failed(setting: Setting, provider: str, times: int = 1) -> str:
    """The detail with which each of so many reads fails."""
    details = set()
    for _ in range(times):
        with pytest.raises(Failure) as caught:
            setting.secrets.webhook_secrets(provider)
        assert caught.value.reason is Reason.SECRET_UNAVAILABLE
        details.add(caught.value.detail)
    (detail,) = details
    return detail


def test_a_flood_of_notices_is_no_flood_of_questions(aws: AwsServer) -> None:
    setting, before = Setting(aws, "flooded"), len(aws.asked("GetParameter"))
    assert "create it as a SecureString" in failed(setting, "flooded", 50)
    assert setting.asked() == before + 1
    setting.clock.advance(REFUSED_SECONDS - 1)
    failed(setting, "flooded")
    assert setting.asked() == before + 1
    setting.clock.advance(1)
    failed(setting, "flooded", 50)
    assert setting.asked() == before + 2


def test_a_failure_without_an_old_secret_is_remembered_for_seconds(aws: AwsServer) -> None:
    setting = Setting(aws, "unheard")
    before = setting.asked()
    with aws.out("GetParameter", "InternalServerError", 500):
        assert failed(setting, "unheard", 5) == "InternalServerError"
        setting.clock.advance(FAILED_SECONDS - 1)
        assert failed(setting, "unheard", 5) == "InternalServerError"
        assert setting.asked() == before + 1
        setting.clock.advance(1)
        failed(setting, "unheard", 5)
        assert setting.asked() == before + 2


def test_a_secret_that_is_refused_at_every_call_is_asked_for_twice_a_minute(aws: AwsServer) -> None:
    setting = Setting(aws, "wrong")
    setting.read()
    before = setting.asked()
    for _ in range(60):
        setting.secrets.forget("wrong")
        assert setting.read() == "old"
        setting.clock.advance(1)
    assert setting.asked() == before + 60 / FORGET_SECONDS


@pytest.mark.parametrize("wrong", ["refusal", "failure"])
def test_a_clock_that_is_set_back_lengthens_no_pause(aws: AwsServer, wrong: str) -> None:
    setting, provider = Setting(aws, f"set-back-{wrong}"), f"paused-{wrong}"
    faults = [Fault("GetParameter", "InternalServerError", 500)] if wrong == "failure" else []
    with aws.failing(*faults):
        failed(setting, provider)
    name = f"/mooring/dev/{provider}/webhook_secret"
    aws.ssm().put_parameter(Name=name, Value="new", Type="SecureString", Overwrite=True)
    setting.clock.advance(-7_200)
    assert setting.secrets.webhook_secrets(provider) == ("new",)


def test_a_clock_that_is_set_back_lets_a_secret_be_forgotten(aws: AwsServer) -> None:
    setting = Setting(aws, "set-back-forgetting")
    setting.read()
    setting.secrets.forget("set-back-forgetting")
    setting.clock.advance(-7_200)
    assert setting.read() == "old"
    setting.store("new")
    setting.secrets.forget("set-back-forgetting")
    assert setting.read() == "new"


def test_a_clock_that_is_set_back_lengthens_no_life(aws: AwsServer) -> None:
    setting = Setting(aws, "set-back")
    setting.read()
    setting.store("new")
    setting.clock.advance(-7_200)
    assert setting.read() == "new"


def test_a_missing_secret_is_named_so_that_it_can_be_made(aws: AwsServer) -> None:
    setting = Setting(aws, "named")
    with pytest.raises(Failure) as caught:
        setting.secrets.client_secret("absent")
    assert "/mooring/dev/absent/client_secret" in caught.value.detail
    assert "create it as a SecureString" in caught.value.detail


def test_a_failure_names_the_code_and_nothing_else(aws: AwsServer) -> None:
    setting = Setting(aws, "denied")
    with aws.failing(Fault("GetParameter", "AccessDeniedException")), pytest.raises(Failure) as caught:
        setting.read()
    assert str(caught.value) == "secret_unavailable: AccessDeniedException"
    assert caught.value.__suppress_context__


def test_webhook_secrets_live_as_long(aws: AwsServer) -> None:
    setting = Setting(aws, "webhook-life")
    name = "/mooring/dev/webhook-life/webhook_secret"
    aws.ssm().put_parameter(Name=name, Value="old", Type="SecureString", Overwrite=True)
    assert setting.secrets.webhook_secrets("webhook-life") == ("old",)
    aws.ssm().put_parameter(Name=name, Value="new\nold", Type="SecureString", Overwrite=True)
    before = setting.asked()
    setting.clock.advance(599)
    assert setting.secrets.webhook_secrets("webhook-life") == ("old",)
    assert setting.asked() == before
    setting.clock.advance(1)
    assert setting.secrets.webhook_secrets("webhook-life") == ("new", "old")
    assert aws.asked("GetParameter")[-1] == {"Name": name, "WithDecryption": True}


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "create it as a SecureString"), (" \n ", "is blank"), ("1\n2\n3", "more than 2 lines")],
)
def test_a_webhook_secret_that_is_amiss_is_named_and_not_shown(
    aws: AwsServer, text: str | None, said: str
) -> None:
    setting = Setting(aws, "webhook-amiss")
    name = f"/mooring/dev/amiss-{len(text or '')}/webhook_secret"
    if text is not None:
        aws.ssm().put_parameter(Name=name, Value=text, Type="SecureString", Overwrite=True)
    with pytest.raises(Failure) as caught:
        setting.secrets.webhook_secrets(name.split("/")[3])
    assert name in caught.value.detail
    assert said in caught.value.detail


def test_nothing_kept_shows_a_secret(aws: AwsServer) -> None:
    setting = Setting(aws, "shown")
    setting.store("canary-secret-77b1")
    setting.read()
    assert "canary-secret-77b1" not in repr(vars(setting.secrets))


def test_it_is_decrypted_on_the_way(aws: AwsServer) -> None:
    setting = Setting(aws, "decrypted")
    setting.read()
    assert aws.asked("GetParameter")[-1] == {
        "Name": "/mooring/dev/decrypted/client_secret",
        "WithDecryption": True,
    }
