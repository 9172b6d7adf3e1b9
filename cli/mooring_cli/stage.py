"""Finding an installation and its AWS: the local stack by its file, a deployed stage by its names.

The names of a stage's tables, queues and functions are fixed by `template.yaml`, so nobody has to be
asked for them. Credentials are the operator's own, found as every AWS tool finds them.
"""

import argparse
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from boto3 import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, ProfileNotFound

from mooring_cli.errors import CommandError, UsageError
from mooring_cli.stack import Stack, find_stack

LOCAL = "local"
QUEUES = ("refresh", "refresh-dead", "recovery", "recovery-dead", "revoke", "revoke-dead")
RESTART = "Stop the local stack and start it again: make run"

_STAGE = re.compile(r"[a-z][a-z0-9-]{0,15}")
_CONNECT_SECONDS, _READ_SECONDS = 3, 10
_ABSENT = frozenset({"ResourceNotFoundException", "AWS.SimpleQueueService.NonExistentQueue"})
_EXPIRED = ("Expired", "Unrecognized", "InvalidClientToken", "InvalidSignature", "InvalidAccessKey")
_LOG_IN = "Log in again (such as aws sso login), or choose other credentials with AWS_PROFILE"


class Stage(NamedTuple):
    """An installation. `queues` has URLs by short name, as far as they are known without asking."""

    name: str
    region: str
    session: Session
    connections_table: str
    flows_table: str
    queues: Mapping[str, str]
    sweep_function: str
    stack: Stack | None = None

    @property
    def options(self) -> str:
        """What leads another command here, with a space before it; nothing for the local stack."""
        return "" if self.stack else f" --stage {self.name} --region {self.region}"

    def client(self, service: str, *, read_seconds: int = _READ_SECONDS, attempts: int = 3) -> Any:
        """A boto3 client of this installation's AWS. Raises CommandError without region or credentials."""
        if self.stack is None:
            config = _config(read_seconds, attempts)
            with asking(self):
                return self.session.client(service, config=config)  # type: ignore[call-overload]
        address = self.stack.lambda_endpoint if service == "lambda" else self.stack.aws_endpoint_url
        config = _config(read_seconds, 1, proxies={})
        return self.session.client(service, endpoint_url=address, config=config)  # type: ignore[call-overload]

    def queue_url(self, name: str, sqs: Any) -> str:
        """The URL of a queue by its short name. Raises botocore's errors."""
        found = self.queues.get(name)
        return found or str(sqs.get_queue_url(QueueName=physical(self.name, name))["QueueUrl"])


def find_stage(options: argparse.Namespace, start: Path) -> Stage:
    """The installation that `--stage`, `--region` and `--stack-dir` name; without them the local stack.

    Raises:
        UsageError: a name that no stage can have.
        CommandError: no such local stack is running, or there is no region.
    """
    if options.stage == LOCAL:
        return local_stage(find_stack(options.stack_dir, start))
    if not _STAGE.fullmatch(options.stage):
        raise UsageError("--stage must be a stage's name: a-z 0-9 -, up to 16, beginning with a letter")
    try:
        session = Session(region_name=options.region)
    except ProfileNotFound:
        raise CommandError("AWS_PROFILE names a profile that is not in your AWS configuration") from None
    if not session.region_name:
        raise UsageError("Name the region of the stage: --region eu-central-1 (or set AWS_REGION)")
    name = options.stage
    tables = physical(name, "connections"), physical(name, "flows")
    return Stage(name, session.region_name, session, *tables, {}, physical(name, "sweep"))


def local_stage(stack: Stack) -> Stage:
    """The local stack as an installation."""
    session = Session(*stack.credentials, region_name=stack.region)
    tables = stack.connections_table, stack.flows_table
    sweep = stack.functions.get("sweep") or physical(LOCAL, "sweep")
    return Stage(LOCAL, stack.region, session, *tables, stack.queues, sweep, stack)


@cache
def physical(stage: str, name: str) -> str:
    """The physical name of a table, queue or function: `mooring-{stage}-{name}`."""
    return f"mooring-{stage}-{name}"


@contextmanager
def asking(stage: Stage) -> Iterator[None]:
    """Turn what goes wrong with AWS into one text that says what to do. Raises CommandError."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise CommandError(_explain(error, stage)) from None


def is_absent(error: ClientError) -> bool:
    """Whether AWS says that there is no such table, queue or function."""
    return error.response["Error"]["Code"] in _ABSENT


def _config(read_seconds: int, attempts: int, **more: Any) -> Config:
    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        user_agent_extra="mooring",
        **more,
    )


def _explain(error: BotoCoreError | ClientError, stage: Stage) -> str:
    """Fixed texts and AWS's own words for operation and error, never its message: that may hold names."""
    if stage.stack is not None:
        return f"The local AWS does not answer as it should. {RESTART}"
    if isinstance(error, ClientError):
        return _refused(error, stage)
    if isinstance(error, NoRegionError):
        return "Name the region of the stage: --region eu-central-1 (or set AWS_REGION)"
    kind = type(error).__name__
    if isinstance(error, NoCredentialsError) or any(word in kind for word in ("SSO", "Login", "Credential")):
        return f"There are no usable AWS credentials ({kind}). {_LOG_IN}"
    return f"AWS does not answer in {stage.region} ({kind}). Look at the network, and at --region"


def _refused(error: ClientError, stage: Stage) -> str:
    code, operation = error.response["Error"]["Code"], error.operation_name
    if is_absent(error):
        return (
            f"There is no stage {stage.name} in {stage.region}, or it is not deployed whole: {operation} "
            "found nothing. Look at --stage and --region, then: make deploy"
        )
    if "AccessDenied" in code or "NotAuthorized" in code:
        return f"Your AWS credentials may not do {operation} in stage {stage.name}. Use an operator's"
    if code.startswith(_EXPIRED):
        return f"AWS does not take your credentials ({code}). {_LOG_IN}"
    if "Throttl" in code or "TooManyRequests" in code:
        return f"AWS has too much to do for {operation} ({code}). Try again in a minute"
    return f"AWS refused {operation} ({code}). Try again; if it persists, docs/runbook.md#by-reason"
