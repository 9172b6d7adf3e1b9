"""What a deployment must know: asked once, kept in samconfig.toml, checked by the template's own rules."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

SAMCONFIG, TEMPLATE = "samconfig.toml", "template.yaml"
NOT_A_STAGE = frozenset({"default", "version"})
"""Names that mean something else in samconfig.toml."""
Answers = dict[str, str]


class SettingsError(Exception):
    """An answer or a section of samconfig.toml is of no use; the message says what to do."""


class Rule(NamedTuple):
    """What a value must look like: a regular expression for all of it, and the same in words."""

    pattern: str
    words: str


class Question(NamedTuple):
    """One thing to ask. An empty `default` means that the answer may be empty if its rule allows that."""

    name: str
    text: str
    default: str = ""


QUESTIONS = (
    Question(
        "Stage",
        "Name of this installation. It becomes part of every name: tables, keys, functions, secrets. A\n"
        "second one in the same account needs another name, in whatever region. It cannot be changed later.",
        "prod",
    ),
    Question(
        "DomainName",
        "Host name at which merchants' browsers and your services reach Mooring, for example\n"
        "connect.example.com. Redirect URIs registered at providers contain it: choose one that stays.",
    ),
    Question("Region", "AWS region to deploy to, such as eu-central-1."),
    Question(
        "CertificateArn",
        "ARN of an ACM certificate for that host name, in that region. With one, the API answers there.\n"
        "Leave it empty only if something else (CloudFront) does: docs/hardening.md.",
    ),
    Question(
        "AlarmTopicArn",
        "ARN of an SNS topic in that region that tells a person when an alarm rings. Leave it empty, and\n"
        "alarms ring where nobody hears them.",
    ),
)
# Elsewhere services have names that do not end in amazonaws.com, and the template's policies speak of those.
_REGION = Rule(
    r"(?!cn-|us-iso)[a-z]{2}(-[a-z]+)+-[0-9]",
    "an AWS region, for example eu-central-1, and none of those in China or of the isolated ones",
)
_IN_REGION = ("CertificateArn", "AlarmTopicArn")


class Settings:
    """The stages of one project.

    Args:
        root: folder with samconfig.toml and template.yaml.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / SAMCONFIG
        self._rules = _rules(root / TEMPLATE)

    def stages(self) -> list[str]:
        """Names of the stages that samconfig.toml describes."""
        return [name for name in self._read() if name not in NOT_A_STAGE]

    def answers(self, stage: str) -> Answers | None:
        """What is kept for a stage, or None when nothing is.

        Raises:
            SettingsError: what is kept is incomplete or wrong.
        """
        section = self._read().get(stage)
        if section is None or stage in NOT_A_STAGE:
            return None
        parameters = section.get("deploy", {}).get("parameters", {})
        given = parameters.get("parameter_overrides", "")
        words = given if isinstance(given, list) else str(given).split()
        kept = {name: value.strip('"') for name, _, value in (str(word).partition("=") for word in words)}
        answers = {**kept, "Region": str(parameters.get("region", ""))}
        if answers.get("Stage") != stage:
            raise SettingsError(f"{SAMCONFIG}: [{stage}] must say Stage={stage} in parameter_overrides")
        for question in QUESTIONS:
            self._keep(question, answers.get(question.name, ""), answers, f"{SAMCONFIG}: [{stage}] ")
        return answers

    def ask(self, stage: str | None, ask: Callable[[str], str], say: Callable[[str], None]) -> Answers:
        """Ask for everything, again and again until each answer can be right.

        Raises:
            SettingsError: the stage given is of no use.
            EOFError: nobody answers.
        """
        answers: Answers = {}
        for question in QUESTIONS:
            if question.name == "Stage" and stage is not None:
                self._keep(question, stage, answers, "")
                continue
            say(f"\n{question.text}")
            while question.name not in answers:
                hint = f" [{question.default}]" if question.default else ""
                try:
                    given = ask(f"{question.name}{hint}: ").strip() or question.default
                    self._keep(question, given, answers, "")
                except SettingsError as error:
                    say(str(error))
        return answers

    def profile(self, stage: str) -> str | None:
        """The AWS profile that `sam` takes for a stage, where samconfig.toml names one."""
        kept = self._read().get(stage, {})
        for command in ("deploy", "global"):
            if found := kept.get(command, {}).get("parameters", {}).get("profile"):
                return str(found)
        return None

    def write(self, answers: Answers) -> None:
        """Add a section for a stage that has none; what stands in the file stays as it is."""
        old = self._path.read_text(encoding="utf-8") if self._path.exists() else "version = 0.1\n"
        self._path.write_text(f"{old.rstrip()}\n\n{section(answers)}", encoding="utf-8")

    def _keep(self, question: Question, value: str, answers: Answers, where: str) -> None:
        rule = self._rules[question.name]
        if not re.fullmatch(rule.pattern, value):
            raise SettingsError(f"{where}{question.name} must be {rule.words}, not {value or 'empty'}")
        if question.name == "Stage" and value in NOT_A_STAGE:
            raise SettingsError(f"{where}{question.name} must be another name: SAM uses {value} for itself")
        region = answers.get("Region", "")
        if question.name in _IN_REGION and value and value.split(":")[3] != region:
            raise SettingsError(f"{where}{question.name} is of another region than {region}")
        answers[question.name] = value

    def _read(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{SAMCONFIG} cannot be read: {error}") from None


def section(answers: Mapping[str, str]) -> str:
    """The tables of samconfig.toml for one stage."""
    stage = answers["Stage"]
    overrides = " ".join(f"{name}={value}" for name, value in answers.items() if value and name != "Region")
    return f"""# Stage {stage}, written by `make deploy`. Change it here, or delete it to be asked again.
[{stage}.global.parameters]
stack_name = {json.dumps(f"mooring-{stage}")}

[{stage}.deploy.parameters]
template_file = "template.yaml"
region = {json.dumps(answers["Region"])}
capabilities = "CAPABILITY_NAMED_IAM"
resolve_s3 = true
s3_prefix = {json.dumps(f"mooring-{stage}")}
fail_on_empty_changeset = false
# true: show what a deployment would change, and ask, each time.
confirm_changeset = false
parameter_overrides = {json.dumps(overrides)}
"""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, whose meaning does not matter here."""


_Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


def _rules(template: Path) -> dict[str, Rule]:
    """How each answer must look; the template says it for its parameters."""
    parameters = _Loader(template.read_text(encoding="utf-8")).get_single_data()["Parameters"]
    rules = {
        name: Rule(declared["AllowedPattern"], str(declared.get("ConstraintDescription", "")))
        for name, declared in parameters.items()
        if "AllowedPattern" in declared
    }
    return {**rules, "Region": _REGION}
