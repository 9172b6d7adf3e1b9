"""Deploying: refused with the samples, guided once, and then the same commands without a question."""

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from tools.deploy import Reach, Terminal, commands, deploy
from tools.deploy_settings import Settings, SettingsError
from tools.deploy_stack import Cloud, StackError

ROOT = Path(__file__).resolve().parents[2]
CERTIFICATE = "arn:aws:acm:eu-central-1:111122223333:certificate/0f0f"
TOPIC = "arn:aws:sns:eu-central-1:111122223333:alarms"
GOOD = ["prod", "connect.shop.test", "eu-central-1", CERTIFICATE, TOPIC]
SETTINGS = """
branding:
  product: Shop Tools
return_to_origins:
  - https://app.shop.test
link_keys:
  - kid: backend-1
    public_key: lJhsnnnyOTeyydERlrejd5pliE7A7ow7BKYIVJA1x6E
providers:
  xeno:
    client_id: ours-at-xeno
"""


class Desk:
    """Somebody at a terminal: gives the answers in order, keeps what was said and run."""

    def __init__(self, *answers: str, ends_with: int = 0, at: str = "") -> None:
        self._answers: Iterator[str] = iter(answers)
        self._ends_with, self._at = ends_with, at
        self.asked: list[str] = []
        self.said: list[str] = []
        self.ran: list[list[str]] = []

    def terminal(self) -> Terminal:
        return Terminal(self._ask, self.said.append, self._run)

    def _ask(self, prompt: str) -> str:
        self.asked.append(prompt.partition(" ")[0].rstrip(":"))
        try:
            return next(self._answers)
        except StopIteration:
            raise EOFError from None

    def _run(self, command: Sequence[str]) -> int:
        self.ran.append(list(command))
        return self._ends_with if self._at in command or not self._at else 0


def aws(status: str | None = None, unreserved: int | None = 1000) -> Reach:
    """AWS with a stack in this state, and an account with so much concurrency that nobody has reserved."""
    return lambda _region, _profile: Cloud(lambda _stack: status, lambda: unreserved)


def out_of_reach(_region: str, _profile: str | None) -> Cloud:
    raise StackError("no credentials")


NEW, RUNNING = aws(), aws("UPDATE_COMPLETE")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose settings are an operator's own, never deployed before."""
    (tmp_path / "mooring.yaml").write_text(SETTINGS)
    for name in ("template.yaml", "samconfig.toml", "layers"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "samconfig.toml").unlink()
    (tmp_path / "samconfig.toml").write_text((ROOT / "samconfig.toml").read_text())
    return tmp_path


def deployed(project: Path, *answers: str) -> Desk:
    desk = Desk(*(answers or GOOD))
    assert deploy([], project, desk.terminal(), NEW) == 0
    return desk


# -- before anything is asked --------------------------------------------------------------------------------


def test_a_client_id_of_ones_own_may_look_like_a_sample(project: Path) -> None:
    (project / "mooring.yaml").write_text(SETTINGS.replace("ours-at-xeno", "sample-store-prod"))
    deployed(project)


def test_the_settings_as_they_ship_are_refused_line_by_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "mooring.yaml").write_text((ROOT / "mooring.yaml").read_text())
    desk = Desk(*GOOD)
    assert deploy([], project, desk.terminal(), NEW) == 1
    said = capsys.readouterr().err.splitlines()
    for provider in yaml.safe_load((ROOT / "mooring.yaml").read_text())["providers"]:
        (line,) = [line for line in said if f"providers.{provider}.client_id" in line]
        assert "sample" in line
    assert [line for line in said if "link_keys is empty" in line]
    assert [line for line in said if "https://app.example.com" in line]
    assert all(line.startswith("deploy: mooring.yaml: ") for line in said)
    assert (desk.asked, desk.ran) == ([], [])


def test_settings_that_are_wrong_are_refused_with_their_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "mooring.yaml").write_text(SETTINGS + "colour: red\n")
    assert deploy([], project, Desk(*GOOD).terminal(), NEW) == 1
    assert f"mooring.yaml:{len(SETTINGS.splitlines()) + 1}" in capsys.readouterr().err


# -- the first time ------------------------------------------------------------------------------------------


def test_the_first_time_everything_is_asked_with_its_explanation_and_kept(project: Path) -> None:
    before = (project / "samconfig.toml").read_text()
    desk = deployed(project)
    assert desk.asked == ["Stage", "DomainName", "Region", "CertificateArn", "AlarmTopicArn"]
    assert len([text for text in desk.said if len(text) > 40]) >= len(desk.asked)
    written = (project / "samconfig.toml").read_text()
    assert written.startswith(before.rstrip())
    stage = tomllib.loads(written)["prod"]
    assert stage["global"]["parameters"]["stack_name"] == "mooring-prod"
    assert stage["deploy"]["parameters"]["region"] == "eu-central-1"
    assert stage["deploy"]["parameters"]["parameter_overrides"].split() == [
        "Stage=prod",
        "DomainName=connect.shop.test",
        f"CertificateArn={CERTIFICATE}",
        f"AlarmTopicArn={TOPIC}",
    ]


def test_template_and_build_come_before_the_deployment(project: Path) -> None:
    desk = deployed(project)
    assert desk.ran == commands("prod", first=True)
    assert [command[-1] for command in desk.ran[:2]] == ["validate", "build"]
    assert desk.ran[2][1:] == ["deploy", "--config-env", "prod", "--disable-rollback"]
    assert Path(desk.ran[2][0]).name == "sam"


def test_what_is_left_to_do_is_said_once(project: Path) -> None:
    (*_, last) = deployed(project).said
    for needed in (
        "DomainTarget",
        "/mooring/prod/xeno/client_secret",
        "https://connect.shop.test/callback/xeno",
        "make smoke URL=https://connect.shop.test",
    ):
        assert needed in last
    assert "MOORING_API_URL" not in last
    desk = Desk()
    assert deploy([], project, desk.terminal(), RUNNING) == 0
    (*_, again) = desk.said
    assert again == "Check it from outside: make smoke URL=https://connect.shop.test"


def test_answers_may_be_left_empty_where_that_means_something(project: Path) -> None:
    deployed(project, "", "connect.shop.test", "eu-central-1", "", "")
    kept = Settings(project).answers("prod")
    assert kept is not None
    assert (kept["Stage"], kept["CertificateArn"], kept["AlarmTopicArn"]) == ("prod", "", "")
    overrides = tomllib.loads((project / "samconfig.toml").read_text())["prod"]["deploy"]["parameters"]
    assert overrides["parameter_overrides"] == "Stage=prod DomainName=connect.shop.test"


@pytest.mark.parametrize(
    ("position", "wrong", "said"),
    [
        (0, "Prod", "lower-case letters, digits and hyphens"),
        (0, "default", "SAM uses default for itself"),
        (1, "https://connect.shop.test", "without scheme"),
        (1, "", "not empty"),
        (2, "europe", "for example eu-central-1"),
        (2, "cn-north-1", "none of those in China"),
        (2, "us-iso-east-1", "or of the isolated ones"),
        (3, "arn:aws:acm:us-east-1:111122223333:certificate/0f0f", "of another region than eu-central-1"),
        (3, "my certificate", "CertificateArn must be"),
        (4, "arn:aws:sns:eu-central-1:1:alarms", "the ARN of an SNS topic"),
        (4, "arn:aws:sns:eu-west-1:111122223333:alarms", "of another region than eu-central-1"),
    ],
)
def test_an_answer_that_cannot_be_right_is_asked_for_again(
    project: Path, position: int, wrong: str, said: str
) -> None:
    desk = deployed(project, *GOOD[:position], wrong, *GOOD[position:])
    assert [text for text in desk.said if said in text]
    assert len(desk.asked) == len(GOOD) + 1


def test_a_stage_on_the_command_line_is_not_asked_for(project: Path) -> None:
    desk = Desk(*GOOD[1:])
    assert deploy(["--stage", "test"], project, desk.terminal(), NEW) == 0
    assert "Stage" not in desk.asked
    assert desk.ran == commands("test", first=True)


@pytest.mark.parametrize("stage", ["Prod", "version", "default", "a_b"])
def test_a_stage_of_no_use_is_refused(project: Path, stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy(["--stage", stage], project, Desk(*GOOD).terminal(), NEW) == 1
    assert "Stage must be" in capsys.readouterr().err


def test_whoever_stops_answering_deploys_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (project / "samconfig.toml").read_text()
    desk = Desk(*GOOD[:2])
    assert deploy([], project, desk.terminal(), NEW) == 1
    assert "stopped before anything was deployed" in capsys.readouterr().err
    assert desk.ran == []
    assert (project / "samconfig.toml").read_text() == before


def test_without_a_certificate_services_are_given_an_address_that_their_signature_fits(project: Path) -> None:
    (*_, last) = deployed(project, "", "connect.shop.test", "eu-central-1", "", "").said
    assert "at connect.shop.test ask the output ApiEndpoint" in last
    assert "ApiEndpoint, not connect.shop.test, as MOORING_API_URL and --url" in last
    assert "https://connect.shop.test/callback/xeno" in last
    assert "DomainTarget" not in last


@pytest.mark.parametrize("status", [None, "REVIEW_IN_PROGRESS", "CREATE_FAILED", "UPDATE_FAILED"])
def test_a_first_deployment_is_not_rolled_back_and_goes_on_where_it_stopped(
    project: Path, status: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(*GOOD, ends_with=1, at="deploy")
    assert deploy([], project, desk.terminal(), aws(status)) == 1
    assert desk.ran[-1][-1] == "--disable-rollback"
    assert "make deploy goes on where it stopped" in capsys.readouterr().err
    again = Desk()
    assert deploy([], project, again.terminal(), aws("CREATE_FAILED")) == 0
    assert (again.asked, again.ran) == ([], commands("prod", first=True))
    assert "/mooring/prod/xeno/client_secret" in again.said[-1]


def test_a_later_deployment_that_fails_is_rolled_back(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed(project)
    desk = Desk(ends_with=1, at="deploy")
    assert deploy([], project, desk.terminal(), RUNNING) == 1
    assert "--disable-rollback" not in desk.ran[-1]
    assert "goes on where" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("ROLLBACK_COMPLETE", "docs/runbook.md#the-first-deployment-failed"),
        ("ROLLBACK_FAILED", "docs/runbook.md#the-first-deployment-failed"),
        ("UPDATE_IN_PROGRESS", "wait until"),
    ],
)
def test_a_stack_that_takes_no_deployment_is_left_alone(
    project: Path, status: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed(project)
    desk = Desk()
    assert deploy([], project, desk.terminal(), aws(status)) == 1
    assert desk.ran == []
    assert f"mooring-prod is {status}" in (told := capsys.readouterr().err)
    assert said in told


def test_answers_are_kept_when_aws_cannot_be_asked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(*GOOD)
    assert deploy([], project, desk.terminal(), out_of_reach) == 1
    assert desk.ran == []
    assert "deploy: no credentials" in capsys.readouterr().err
    assert Settings(project).answers("prod") is not None


@pytest.mark.parametrize("unreserved", [10, 100])
def test_an_account_with_nothing_to_reserve_gets_a_stack_that_reserves_nothing(
    project: Path, unreserved: int
) -> None:
    desk = Desk(*GOOD)
    assert deploy([], project, desk.terminal(), aws(None, unreserved)) == 0
    assert (Settings(project).answers("prod") or {})["SweepConcurrency"] == "-1"
    assert [line for line in desk.said if "SweepConcurrency=-1 goes to samconfig.toml" in line]


@pytest.mark.parametrize("unreserved", [101, 1000, None])
def test_an_account_that_can_reserve_does(project: Path, unreserved: int | None) -> None:
    assert deploy([], project, Desk(*GOOD).terminal(), aws(None, unreserved)) == 0
    assert "SweepConcurrency" not in (Settings(project).answers("prod") or {})


def test_settings_by_hand_that_reserve_too_much_are_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed(project)
    assert deploy([], project, Desk().terminal(), aws(None, 10)) == 1
    assert "add SweepConcurrency=-1 to parameter_overrides" in capsys.readouterr().err
    path = project / "samconfig.toml"
    path.write_text(path.read_text().replace("Stage=prod ", "Stage=prod SweepConcurrency=-1 "))
    assert deploy([], project, Desk().terminal(), aws(None, 10)) == 0


def test_aws_is_asked_in_the_region_and_with_the_profile_of_the_stage(project: Path) -> None:
    deployed(project)
    path = project / "samconfig.toml"
    asked = []

    def reach(region: str, profile: str | None) -> Cloud:
        asked.append((region, profile))
        return RUNNING(region, profile)

    for line in ("", 'profile = "shop"\n'):
        path.write_text(path.read_text() + line)
        assert deploy([], project, Desk().terminal(), reach) == 0
    assert asked == [("eu-central-1", None), ("eu-central-1", "shop")]


# -- from then on --------------------------------------------------------------------------------------------


def test_from_then_on_nothing_is_asked(project: Path) -> None:
    deployed(project)
    before = (project / "samconfig.toml").read_text()
    desk = Desk()
    assert deploy([], project, desk.terminal(), RUNNING) == 0
    assert (desk.asked, desk.ran) == ([], commands("prod", first=False))
    assert desk.ran[2][1:] == ["deploy", "--config-env", "prod"]
    assert (project / "samconfig.toml").read_text() == before


def test_of_several_stages_one_must_be_chosen(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deployed(project)
    assert deploy(["--stage", "test"], project, Desk(*GOOD[1:]).terminal(), NEW) == 0
    assert deploy([], project, Desk().terminal(), NEW) == 1
    assert "choose one" in capsys.readouterr().err
    desk = Desk()
    assert deploy(["--stage", "test"], project, desk.terminal(), RUNNING) == 0
    assert desk.ran == commands("test", first=False)


def test_a_section_changed_by_hand_is_checked_like_an_answer(project: Path) -> None:
    deployed(project)
    path = project / "samconfig.toml"
    right = path.read_text()
    for old, new, said in (
        ("DomainName=connect.shop.test", "DomainName=https://connect.shop.test", "without scheme"),
        ('region = "eu-central-1"', 'region = "eu-west-1"', "of another region than eu-west-1"),
        ("Stage=prod", "Stage=test", "must say Stage=prod"),
        (right, "[prod", "cannot be read"),
    ):
        path.write_text(right.replace(old, new))
        with pytest.raises(SettingsError, match=said):
            Settings(project).answers("prod")
    path.write_text(
        right.replace("LogRetentionDays", "").replace("Stage=prod ", "Stage=prod RefreshWorkers=20 ")
    )
    assert Settings(project).answers("prod") is not None


def test_what_fails_stops_the_rest(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(*GOOD, ends_with=2)
    assert deploy([], project, desk.terminal(), NEW) == 1
    assert desk.ran == commands("prod", first=True)[:1]
    assert "validate ended with 2" in capsys.readouterr().err


def test_a_dry_run_writes_and_runs_nothing(project: Path) -> None:
    before = (project / "samconfig.toml").read_text()
    desk = Desk(*GOOD)
    assert deploy(["--dry-run"], project, desk.terminal(), out_of_reach) == 0
    assert desk.ran == []
    assert (project / "samconfig.toml").read_text() == before
    said = "\n".join(desk.said)
    assert "[prod.deploy.parameters]" in said
    assert [line for line in said.splitlines() if line.startswith("$ make ")]
    assert "deploy --config-env prod" in said
