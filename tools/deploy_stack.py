"""What AWS says before a deployment: how far the stack has come, and whether concurrency can be reserved."""

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from boto3 import Session
from botocore.exceptions import BotoCoreError, ClientError

_UNRESERVED = 100
"""Concurrency that Lambda keeps for functions without a reservation."""
_AFTER_ROLLBACK = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")
_UNFINISHED = ("CREATE_FAILED", "UPDATE_FAILED")


class StackError(Exception):
    """AWS does not answer, or nothing can be deployed to the stack as it is; the message says what to do."""


class Progress(Enum):
    """How far a stack has come: not made yet, broken off and to be gone on with, or running."""

    NONE = "none"
    UNFINISHED = "unfinished"
    RUNNING = "running"


class Cloud(NamedTuple):
    """AWS in one region: CloudFormation's word for a stack's state (None: no such stack), and Lambda's quota.

    `unreserved` is the concurrency that nothing in the account has reserved, or None when AWS does not say.
    """

    status: Callable[[str], str | None]
    unreserved: Callable[[], int | None]


def reach(region: str, profile: str | None) -> Cloud:
    """AWS with the credentials of the environment, or of a profile. Raises StackError when there are none."""
    try:
        session = Session(profile_name=profile, region_name=region)
        return cloud(session.client("cloudformation"), session.client("lambda"))
    except BotoCoreError as error:
        raise _unknown(error) from None


def cloud(cloudformation: Any, functions: Any) -> Cloud:
    """AWS behind two clients of boto3. `status` raises StackError when AWS does not say."""

    def status(stack: str) -> str | None:
        try:
            return str(cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and "does not exist" in error.response["Error"].get(
                "Message", ""
            ):
                return None
            raise _unknown(error) from None

    def unreserved() -> int | None:
        try:
            return int(functions.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"])
        except (BotoCoreError, ClientError):
            return None  # only a deployment that fails for it would have been spared

    return Cloud(status, unreserved)


def progress(aws: Cloud, stack: str) -> Progress:
    """How far a stack has come. Raises StackError when nothing can be deployed to it now."""
    status = aws.status(stack)
    if status is None or status == "REVIEW_IN_PROGRESS":
        return Progress.NONE
    if status in _AFTER_ROLLBACK:
        raise StackError(
            f"{stack} is {status}, and cannot be deployed to: docs/runbook.md#the-first-deployment-failed"
        )
    if status.endswith("_IN_PROGRESS"):
        raise StackError(f"{stack} is {status}: wait until that has ended")
    return Progress.UNFINISHED if status in _UNFINISHED else Progress.RUNNING


def can_reserve(aws: Cloud) -> bool:
    """Whether one concurrent execution can be reserved; also when AWS does not say."""
    unreserved = aws.unreserved()
    return unreserved is None or unreserved > _UNRESERVED


def _unknown(error: BotoCoreError | ClientError) -> StackError:
    told = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    return StackError(
        f"AWS does not say how far the stack is ({told}): choose credentials with AWS_PROFILE, or log in"
    )
