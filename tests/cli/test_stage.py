"""Reaching a deployed stage: which names, which credentials, and what every refusal says."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.aws_on_sockets import running_aws
from tests.cli.conftest import Command
from tests.cli.stack_on_sockets import KEY_ID, REGION, SECRET, TOKEN, FakeStack, connection, running_stack

ANSWER: dict[str, object] = {
    "access_token": TOKEN,
    "scopes": [],
    "expires_at": None,
    "generation": 1,
    "version": 1,
}
SWEEP = "POST /2015-03-31/functions/mooring-prod-sweep/invocations"
CONFIGURATION = "/2015-03-31/functions/mooring-prod-connections/configuration"
ROUTE = "/merchants/m-1/connections/acme/shop-7"
PROD = ("--stage", "prod", "--region", REGION)


@pytest.fixture
def prod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStack]:
    """A server that is both the AWS and the API of a stage `prod`; no local stack is running."""
    with running_stack(tmp_path / "elsewhere") as running:
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.base_url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        yield running


def test_names_follow_from_the_stage(mooring: Command, prod: FakeStack) -> None:
    prod.answers[SWEEP] = (200, {"enqueued": 1, "overdue_seconds": 0, "open_circuits": [], "queue_depth": 0})
    answer = mooring("sweep", *PROD)
    assert (answer.code, prod.asked) == (0, [SWEEP])
    assert answer.out.startswith("Swept: 1 connection queued")


def test_the_region_of_the_environment(
    mooring: Command, prod: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    prod.answers[SWEEP] = (200, {"enqueued": 0})
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    assert mooring("sweep", "--stage", "prod").code == 0


@pytest.mark.parametrize("command", [("sweep",), ("doctor",), ("token", "m-1", "acme")])
def test_a_region_is_needed(command: tuple[str, ...], mooring: Command, prod: FakeStack) -> None:
    answer = mooring(*command, "--stage", "prod")
    assert (answer.code, answer.out, prod.asked) == (2, "", [])
    assert answer.err.startswith("Name the region of the stage: --region")


@pytest.mark.parametrize("stage", ["", "Prod", "-x", "a_b", "seventeen-letters", "a/b"])
def test_what_no_stage_is_called(stage: str, mooring: Command, prod: FakeStack) -> None:
    answer = mooring("sweep", f"--stage={stage}", "--region", REGION)
    assert (answer.code, answer.out, prod.asked) == (2, "", [])
    assert answer.err.startswith("--stage must be a stage's name")


def test_an_unknown_profile(mooring: Command, prod: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    answer = mooring("sweep", *PROD)
    assert answer == (1, "", "AWS_PROFILE names a profile that is not in your AWS configuration\n")


@pytest.mark.parametrize("command", [("sweep",), ("doctor",), ("token", "m-1", "acme")])
def test_no_credentials(
    command: tuple[str, ...], mooring: Command, prod: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    answer = mooring(*command, *PROD)
    assert (answer.code, answer.out, prod.asked) == (1, "", [])
    assert answer.err.startswith("There are no usable AWS credentials (NoCredentialsError). Log in again")


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (403, "AccessDeniedException", "Your AWS credentials may not do Invoke in stage prod."),
        (403, "ExpiredTokenException", "AWS does not take your credentials (ExpiredTokenException). Log in"),
        (403, "UnrecognizedClientException", "AWS does not take your credentials (Unrecognized"),
        (403, "InvalidSignatureException", "AWS does not take your credentials (InvalidSignature"),
        (
            404,
            "ResourceNotFoundException",
            f"There is no stage prod in {REGION}, or it is not deployed whole",
        ),
        (400, "ThrottlingException", "AWS has too much to do for Invoke (ThrottlingException)."),
        (500, "ServiceException", "AWS refused Invoke (ServiceException). Try again"),
    ],
)
def test_refusals(status: int, code: str, text: str, mooring: Command, prod: FakeStack) -> None:
    prod.answers[SWEEP] = (status, {"message": "a message that names somebody"})
    prod.headers = {"x-amzn-ErrorType": code}
    answer = mooring("sweep", *PROD)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(text)
    assert "somebody" not in answer.err


def test_nobody_answers(mooring: Command, prod: FakeStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    answer = mooring("sweep", *PROD)
    assert answer.code == 1
    assert answer.err.startswith(f"AWS does not answer in {REGION} (EndpointConnectionError).")


def test_the_api_is_where_the_stage_was_deployed(mooring: Command, prod: FakeStack) -> None:
    prod.answers[CONFIGURATION] = (200, {"Environment": {"Variables": {"MOORING_BASE_URL": prod.base_url}}})
    prod.lists("m-1", connection("acme", "shop-7"))
    prod.answers[f"{ROUTE}/token"] = (200, ANSWER)
    assert mooring("token", "m-1", "acme", *PROD) == (0, f"{TOKEN}\n", "")
    assert mooring("connections", "m-1", *PROD).code == 0


def test_the_api_at_an_address(mooring: Command, prod: FakeStack) -> None:
    prod.answers[f"POST {ROUTE}/refresh"] = (200, {"outcome": "refreshed", "version": 2})
    answer = mooring("refresh", "m-1", "acme", "shop-7", *PROD, "--url", f"{prod.base_url}/")
    assert (answer.code, prod.asked) == (0, [f"POST {ROUTE}/refresh"])


def test_a_stage_that_does_not_say_where_its_api_is(mooring: Command, prod: FakeStack) -> None:
    prod.answers[CONFIGURATION] = (200, {})
    answer = mooring("token", "m-1", "acme", *PROD)
    assert answer == (1, "", "Stage prod does not say where its API is. Name it with --url https://...\n")


def test_no_token_over_plain_http(mooring: Command, prod: FakeStack) -> None:
    answer = mooring("token", "m-1", "acme", *PROD, "--url", "http://connect.brightcart.example")
    assert (answer.code, prod.asked) == (2, [])
    assert answer.err.startswith("--url must begin with https://")


def test_the_api_refuses_the_caller(mooring: Command, prod: FakeStack) -> None:
    prod.answers[f"{ROUTE}/token"] = (403, {"message": "Forbidden"})
    answer = mooring("token", "m-1", "acme", "shop-7", *PROD, "--url", prod.base_url)
    assert answer.code == 1
    assert answer.err.startswith("The API refused your credentials. They need execute-api:Invoke")


def test_the_log_is_named_with_the_ref(mooring: Command, prod: FakeStack) -> None:
    prod.answers[f"{ROUTE}/token"] = (503, {"title": "storage unavailable", "ref": "4be3f0d19c"})
    answer = mooring("token", "m-1", "acme", "shop-7", *PROD, "--url", prod.base_url)
    assert answer.err.startswith("storage unavailable. The log says more, ref 4be3f0d19c: docs/runbook.md#")


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("lost_rotation", "The merchant has to connect it again, with a new link from your product"),
        ("refresh_busy", f"mooring connections m-1 --stage prod --region {REGION}"),
        ("refresh_in_doubt", f"mooring doctor --stage prod --region {REGION}"),
        ("storage_unavailable", "If it persists, the log says more, ref 4be3f0d19c: docs/runbook.md#"),
    ],
)
def test_advice_is_for_the_stage(reason: str, advice: str, mooring: Command, prod: FakeStack) -> None:
    status = 409 if reason == "lost_rotation" else 503
    prod.answers[f"POST {ROUTE}/refresh"] = (
        status,
        {"title": "no", "reason": reason, "ref": "4be3f0d19c"},
    )
    answer = mooring("refresh", "m-1", "acme", "shop-7", *PROD, "--url", prod.base_url)
    assert advice in answer.err
    assert "local" not in answer.err


def test_nothing_connected_at_a_stage(mooring: Command, prod: FakeStack) -> None:
    prod.lists("m-1", connection("acme", "shop-7"), connection("acme", "shop-8"))
    several = mooring("token", "m-1", "acme", *PROD, "--url", prod.base_url)
    assert several.err.endswith(f"Name one: mooring token m-1 acme shop-7 --stage prod --region {REGION}\n")
    none = mooring("token", "m-1", "other", *PROD, "--url", prod.base_url)
    assert none.err == (
        "m-1 has no connection to other. The merchant has to connect it, with a new link from your product\n"
    )


def test_a_deployed_stage_lists_one_merchant_at_a_time(mooring: Command, prod: FakeStack) -> None:
    answer = mooring("connections", *PROD, "--url", prod.base_url)
    assert answer == (2, "", "Name a merchant: a deployed Mooring lists one merchant at a time\n")
    assert prod.asked == []


def test_temporary_credentials_are_signed_with_their_token(
    mooring: Command, prod: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-of-a-role")
    prod.answers[f"{ROUTE}/token"] = (200, ANSWER)
    answer = mooring("token", "m-1", "acme", "shop-7", *PROD, "--url", prod.base_url)
    assert (answer.code, answer.err) == (0, "")
    assert prod.session_tokens == ["session-of-a-role"]


def test_metrics_that_may_not_be_read_are_no_fault(
    mooring: Command, prod: FakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_aws() as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", prod.base_url)
        answer = mooring("doctor", "--stage", aws.stage, "--region", REGION, "--json")
    findings = {found["name"]: found for found in json.loads(answer.out)["findings"]}
    assert answer.code == 0
    assert findings["sweep"]["level"] == "note"
