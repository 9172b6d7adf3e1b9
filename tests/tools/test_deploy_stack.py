"""What a deployment asks AWS, through boto3, without a network."""

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tools.deploy_stack import Cloud, Progress, StackError, can_reserve, cloud, progress, reach

NAME = "mooring-prod"


def clients() -> tuple[Any, Any]:
    session = boto3.Session("a", "b", region_name="eu-central-1")
    return session.client("cloudformation"), session.client("lambda")


def stack(status: str) -> dict[str, Any]:
    return {"Stacks": [{"StackName": NAME, "StackStatus": status, "CreationTime": "2026-11-22T00:00:00Z"}]}


def with_status(status: str) -> Cloud:
    cloudformation, functions = clients()
    stubber = Stubber(cloudformation)
    stubber.add_response("describe_stacks", stack(status), {"StackName": NAME})
    stubber.activate()
    return cloud(cloudformation, functions)


@pytest.mark.parametrize(
    ("status", "known"),
    [
        ("REVIEW_IN_PROGRESS", Progress.NONE),
        ("CREATE_FAILED", Progress.UNFINISHED),
        ("UPDATE_FAILED", Progress.UNFINISHED),
        ("CREATE_COMPLETE", Progress.RUNNING),
        ("UPDATE_COMPLETE", Progress.RUNNING),
        ("UPDATE_ROLLBACK_COMPLETE", Progress.RUNNING),
        ("IMPORT_COMPLETE", Progress.RUNNING),
    ],
)
def test_how_far_a_stack_has_come(status: str, known: Progress) -> None:
    assert progress(with_status(status), NAME) is known


@pytest.mark.parametrize(
    "status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "DELETE_IN_PROGRESS"]
)
def test_a_stack_that_takes_no_deployment(status: str) -> None:
    with pytest.raises(StackError, match=f"{NAME} is {status}"):
        progress(with_status(status), NAME)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ValidationError", f"Stack with id {NAME} does not exist"),
        ("AccessDenied", "User is not authorized"),
        ("ExpiredToken", "The security token is expired"),
    ],
)
def test_no_stack_is_not_the_same_as_no_answer(code: str, message: str) -> None:
    cloudformation, functions = clients()
    stubber = Stubber(cloudformation)
    stubber.add_client_error("describe_stacks", code, message)
    stubber.activate()
    aws = cloud(cloudformation, functions)
    if code == "ValidationError":
        assert progress(aws, NAME) is Progress.NONE
    else:
        with pytest.raises(StackError, match=f"{code}.*AWS_PROFILE"):
            progress(aws, NAME)


@pytest.mark.parametrize(("unreserved", "can"), [(10, False), (100, False), (101, True), (None, True)])
def test_whether_one_can_be_reserved(unreserved: int | None, can: bool) -> None:
    cloudformation, functions = clients()
    stubber = Stubber(functions)
    if unreserved is None:
        stubber.add_client_error("get_account_settings", "AccessDeniedException")
    else:
        limit = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": unreserved}
        stubber.add_response("get_account_settings", {"AccountLimit": limit})
    stubber.activate()
    assert can_reserve(cloud(cloudformation, functions)) is can


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(StackError, match="ProfileNotFound"):
        reach("eu-central-1", "nobodys-profile")
