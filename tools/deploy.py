"""Deploy to AWS: guided the first time, without a question from then on.

    make deploy                 the one stage that samconfig.toml describes, or a guided first deployment
    make deploy STAGE=test      that stage
    make deploy ARGS=--dry-run  only say what would be done

Looks at mooring.yaml and at the stack first, then checks the template, builds, and hands over to `sam
deploy`, which takes its credentials from the AWS environment (AWS_PROFILE and the like). A first deployment
that fails is not rolled back: the next one goes on where it stopped.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mooring.providers.compiler import Project
from tools.deploy_ready import NotReadyError, ready_project
from tools.deploy_settings import SAMCONFIG, Answers, Settings, SettingsError, section
from tools.deploy_stack import Cloud, Progress, StackError, can_reserve, progress, reach

ROOT = Path(__file__).resolve().parent.parent
RESERVING = "SweepConcurrency"
"""The one parameter that reserves concurrency by itself."""


class DeployError(Exception):
    """The deployment cannot go on; the message says what to do."""


class Terminal(NamedTuple):
    """Who is asked, told, and runs programs: `run` returns a program's exit code."""

    ask: Callable[[str], str]
    say: Callable[[str], None]
    run: Callable[[Sequence[str]], int]


Reach = Callable[[str, str | None], Cloud]
"""AWS in a region, with the credentials of a profile or of the environment."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy as the command line says; 0, or 1 after a message that says what to do."""

    def run(command: Sequence[str]) -> int:
        return subprocess.run(command, cwd=ROOT, check=False).returncode

    return deploy(arguments, ROOT, Terminal(input, print, run), reach)


def deploy(arguments: Sequence[str] | None, root: Path, terminal: Terminal, aws: Reach) -> int:
    """`main` for the project in `root`."""
    parser = argparse.ArgumentParser(prog="make deploy", description="Deploy Mooring to AWS.")
    parser.add_argument("--stage", help="which installation; default: the only one in samconfig.toml")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    given = parser.parse_args(arguments)
    try:
        if given.dry_run:
            _only_say(given.stage or None, root, terminal)
        else:
            _deploy(given.stage or None, root, terminal, aws)
    except (DeployError, NotReadyError, SettingsError, StackError) as error:
        lines = str(error).splitlines()
        print("\n".join(f"deploy: {line}" for line in lines), file=sys.stderr)
        return 1
    except (EOFError, KeyboardInterrupt):
        print("\ndeploy: stopped before anything was deployed", file=sys.stderr)
        return 1
    return 0


def _deploy(stage: str | None, root: Path, terminal: Terminal, aws: Reach) -> None:
    project = ready_project(root)
    settings = Settings(root)
    answers, asked = _answers(stage, settings, terminal)
    name = f"mooring-{answers['Stage']}"
    try:
        reached = aws(answers["Region"], settings.profile(answers["Stage"]))
        done = progress(reached, name)
        if done is Progress.NONE:
            answers = _fitted(answers, asked, reached, terminal)
    finally:
        if asked:
            settings.write(answers)
    first = done is not Progress.RUNNING
    for command in commands(answers["Stage"], first):
        terminal.say(f"$ {' '.join(command)}")
        if code := terminal.run(command):
            raise DeployError(_stopped(command, code, first))
    terminal.say(next_steps(answers, project) if first else _after(answers))


def _only_say(stage: str | None, root: Path, terminal: Terminal) -> None:
    ready_project(root)
    answers, asked = _answers(stage, Settings(root), terminal)
    if asked:
        terminal.say(f"\nwould be added to {SAMCONFIG}:\n\n{section(answers)}")
    for command in commands(answers["Stage"], first=asked):
        terminal.say(f"$ {' '.join(command)}")


def _answers(stage: str | None, settings: Settings, terminal: Terminal) -> tuple[Answers, bool]:
    """What is kept for the stage, or what is answered now, and which of the two it is."""
    stage = stage or _only(settings.stages())
    kept = settings.answers(stage) if stage else None
    if kept is not None:
        return kept, False
    terminal.say(f"The first deployment{f' of {stage}' if stage else ''}. The answers go to {SAMCONFIG}.")
    answers = settings.ask(stage, terminal.ask, terminal.say)
    if settings.answers(answers["Stage"]) is not None:
        raise DeployError(f"{SAMCONFIG} describes {answers['Stage']} already: name it (STAGE=…)")
    return answers, True


def _fitted(answers: Answers, asked: bool, aws: Cloud, terminal: Terminal) -> Answers:
    """The answers for this account's quota: with nothing to reserve, a stack that reserves is not made."""
    if answers.get(RESERVING, "1") != "1" or can_reserve(aws):
        return answers
    missing = f"Lambda's quota in {answers['Region']} leaves this account nothing to reserve"
    if not asked:
        raise DeployError(
            f"{missing}: add {RESERVING}=-1 to parameter_overrides in {SAMCONFIG} (docs/hardening.md)"
        )
    terminal.say(f"{missing}: {RESERVING}=-1 goes to {SAMCONFIG}, too (docs/hardening.md).")
    return {**answers, RESERVING: "-1"}


def _stopped(command: Sequence[str], code: int, first: bool) -> str:
    told = f"{' '.join(command)} ended with {code} (see above); nothing after it was done"
    if first and "deploy" in command:
        told += "\nNothing was rolled back: mend the cause, and make deploy goes on where it stopped"
        told += "\n(docs/runbook.md#the-first-deployment-failed)"
    return told


def _only(stages: Sequence[str]) -> str | None:
    if len(stages) > 1:
        raise DeployError(f"{SAMCONFIG} describes several stages: choose one, for example STAGE={stages[0]}")
    return stages[0] if stages else None


def commands(stage: str, first: bool) -> list[list[str]]:
    """What a deployment runs, in this order. `first`: the stack is not there yet, or not whole."""
    make = ["make", "--no-print-directory"]
    sam = str(Path(sys.executable).with_name("sam"))
    # What a rollback would leave behind has fixed names and would end the next attempt.
    kept = ["--disable-rollback"] if first else []
    return [[*make, "validate"], [*make, "build"], [sam, "deploy", "--config-env", stage, *kept]]


def next_steps(answers: Answers, project: Project) -> str:
    """What is left to do by hand after the first deployment."""
    stage, domain = answers["Stage"], answers["DomainName"]
    steps = [
        *_addresses(answers),
        f"Store each client secret, encrypted with alias/mooring-{stage}-data (docs/quickstart.md):",
        *(f"    /mooring/{stage}/{provider}/client_secret" for provider in project.config.providers),
        "Register at each provider the redirect URI, exactly so:",
        *(f"    https://{domain}/callback/{provider}" for provider in project.config.providers),
    ]
    proving = [
        name
        for name in project.config.providers
        if (uninstall := project.descriptors[name].uninstall) and uninstall.proof != "none"
    ]
    if proving:
        steps += [
            "Store the secrets that prove uninstall notices:",
            *(f"    /mooring/{stage}/{name}/webhook_secret" for name in proving),
        ]
    return "\n".join(["\nDeployed. What is left:", *(f"  {step}" for step in steps), f"  {_after(answers)}"])


def _addresses(answers: Answers) -> list[str]:
    stage, region, domain = answers["Stage"], answers["Region"], answers["DomainName"]
    outputs = f".venv/bin/sam list stack-outputs --stack-name mooring-{stage} --region {region}"
    if answers["CertificateArn"]:
        return [f"Point DNS for {domain} (or what answers there) at the output DomainTarget: {outputs}"]
    return [
        f"Let what answers at {domain} ask the output ApiEndpoint: {outputs}",
        f"Give services and the mooring command ApiEndpoint, not {domain}, as MOORING_API_URL and --url:",
        "    their signatures cover the host name, which changes on the way (docs/hardening.md)",
    ]


def _after(answers: Answers) -> str:
    return f"Check it from outside: make smoke URL=https://{answers['DomainName']}"


if __name__ == "__main__":
    sys.exit(main())
