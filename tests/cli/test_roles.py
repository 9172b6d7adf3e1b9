"""Taking on a role: under its own name, in the name of who does it, for as long as it takes."""

from pathlib import Path

import pytest

from mooring_cli.arguments import parser
from mooring_cli.errors import CommandError
from mooring_cli.roles import taking_on
from mooring_cli.stage import Stage, find_stage
from tests.cli.aws_on_sockets import FakeAws
from tests.cli.stack_on_sockets import REGION, FakeStack, running_stack


def stage_of(name: str, folder: Path) -> Stage:
    return find_stage(parser().parse_args(["sweep", "--stage", name, "--region", REGION]), folder)


def test_a_role_is_taken_on_and_everything_is_done_as_it(deployed: FakeAws, tmp_path: Path) -> None:
    stage = taking_on(stage_of(deployed.stage, tmp_path), "export")
    caller = stage.client("sts").get_caller_identity()
    assert f":assumed-role/mooring-{deployed.stage}-export/" in caller["Arn"]
    assert stage.client("dynamodb").meta.region_name == REGION
    # Who has it already is not sent for it again.
    assert taking_on(stage, "export") is stage
    other = taking_on(stage, "reseal")
    assert f"-{'reseal'}/" in other.client("sts").get_caller_identity()["Arn"]


def test_the_local_stack_has_no_roles(local: FakeAws, stack: FakeStack, tmp_path: Path) -> None:
    here = find_stage(parser().parse_args(["sweep"]), tmp_path)
    assert taking_on(here, "export") is here


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("AccessDenied", "You may not take on the role mooring-prod-reseal, or it is not there. It is made"),
        ("ExpiredToken", "AWS does not take your credentials (ExpiredToken)."),
    ],
)
def test_a_refusal_says_what_to_do(
    code: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_stack(tmp_path / "elsewhere") as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.base_url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        body = f"<ErrorResponse><Error><Code>{code}</Code><Message>canary</Message></Error></ErrorResponse>"
        known = (
            "<GetCallerIdentityResponse><GetCallerIdentityResult>"
            "<Arn>arn:aws:iam::123456789012:user/somebody</Arn><Account>123456789012</Account>"
            "</GetCallerIdentityResult></GetCallerIdentityResponse>"
        )
        answers = iter([(200, known.encode()), (403, body.encode())])
        running.respond = lambda *_: next(answers)  # type: ignore[method-assign]
        with pytest.raises(CommandError) as caught:
            taking_on(stage_of("prod", tmp_path), "reseal")
    assert str(caught.value).startswith(text)
    assert "canary" not in str(caught.value)
