"""Deploy to AWS: guided the first time, without a question from then on.

    make deploy                 the one stage that samconfig.toml describes, or a guided first deployment
    make deploy STAGE=test      that stage
    make deploy ARGS=--dry-run  only say what would be done

Looks at mooring.yaml first, then checks the template, builds, and hands over to `sam deploy`, which takes
its credentials from the AWS environment (AWS_PROFILE and the like).
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

ROOT = Path(__file__).resolve().parent.parent


class DeployError(Exception):
    """The deployment cannot go on; the message says what to do."""


class Terminal(NamedTuple):
    """Who is asked, told, and runs programs: `run` returns a program's exit code."""

    ask: Callable[[str], str]
    say: Callable[[str], None]
    run: Callable[[Sequence[str]], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy as the command line says; 0, or 1 after a message that says what to do."""

    def run(command: Sequence[str]) -> int:
        return subprocess.run(command, cwd=ROOT, check=False).returncode

    return deploy(arguments, ROOT, Terminal(input, print, run))


def deploy(arguments: Sequence[str] | None, root: Path, terminal: Terminal) -> int:
    """`main` for the project in `root`."""
    parser = argparse.ArgumentParser(prog="make deploy", description="Deploy Mooring to AWS.")
    parser.add_argument("--stage", help="which installation; default: the only one in samconfig.toml")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    given = parser.parse_args(arguments)
    try:
        _deploy(given.stage or None, given.dry_run, root, terminal)
    except (DeployError, NotReadyError, SettingsError) as error:
        lines = str(error).splitlines()
        print("\n".join(f"deploy: {line}" for line in lines), file=sys.stderr)
        return 1
    except (EOFError, KeyboardInterrupt):
        print("\ndeploy: stopped before anything was deployed", file=sys.stderr)
        return 1
    return 0


def _deploy(stage: str | None, dry: bool, root: Path, terminal: Terminal) -> None:
    project = ready_project(root)
    settings = Settings(root)
    stage = stage or _only(settings.stages())
    answers = settings.answers(stage) if stage else None
    first = answers is None
    if answers is None:
        terminal.say(f"The first deployment{f' of {stage}' if stage else ''}. The answers go to {SAMCONFIG}.")
        answers = settings.ask(stage, terminal.ask, terminal.say)
        if settings.answers(answers["Stage"]) is not None:
            raise DeployError(f"{SAMCONFIG} describes {answers['Stage']} already: name it (STAGE=…)")
        if dry:
            terminal.say(f"\nwould be added to {SAMCONFIG}:\n\n{section(answers)}")
        else:
            settings.write(answers)
    for command in commands(answers["Stage"]):
        terminal.say(f"$ {' '.join(command)}")
        if not dry and (code := terminal.run(command)):
            raise DeployError(f"{' '.join(command)} ended with {code} (see above); nothing after it was done")
    if not dry:
        terminal.say(next_steps(answers, project) if first else _after(answers))


def _only(stages: Sequence[str]) -> str | None:
    if len(stages) > 1:
        raise DeployError(f"{SAMCONFIG} describes several stages: choose one, for example STAGE={stages[0]}")
    return stages[0] if stages else None


def commands(stage: str) -> list[list[str]]:
    """What a deployment runs, in this order."""
    make = ["make", "--no-print-directory"]
    sam = str(Path(sys.executable).with_name("sam"))
    return [[*make, "validate"], [*make, "build"], [sam, "deploy", "--config-env", stage]]


def next_steps(answers: Answers, project: Project) -> str:
    """What is left to do by hand after the first deployment."""
    stage, region, domain = answers["Stage"], answers["Region"], answers["DomainName"]
    outputs = f"sam list stack-outputs --stack-name mooring-{stage} --region {region}"
    target = "DomainTarget" if answers["CertificateArn"] else "ApiEndpoint"
    steps = [
        f"Point DNS for {domain} (or what answers there) at the output {target}: .venv/bin/{outputs}",
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


def _after(answers: Answers) -> str:
    return f"Check it from outside: make smoke URL=https://{answers['DomainName']}"


if __name__ == "__main__":
    sys.exit(main())
