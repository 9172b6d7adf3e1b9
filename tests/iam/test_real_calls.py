"""Least privilege, proved: what the functions really asked of AWS, against the policies of the template.

`-s` prints who may do what, and how many calls used it.
"""

import pytest

from tests.e2e.running import RunningStack
from tests.e2e.visitor import Page
from tests.iam.asked import Ask, asks
from tests.iam.ground import KEYS, Ground
from tests.iam.implied import behind, by_the_platform
from tests.iam.roles import Roles, table
from tests.iam.scenario import Scenario, recorded

pytestmark = pytest.mark.e2e

#: What nobody here needs: a statement that has one of these as well allows too much.
FOREIGN = ["dynamodb:Scan", "dynamodb:*", "kms:CreateGrant", "sqs:PurgeQueue", "s3:GetObject"]
#: Two functions end connections under one list of attributes; of these one of them makes no use.
SHARED = {("connections", "Disconnect", "connected_at"), ("connections", "Disconnect", "uninstalled_at")}


@pytest.fixture(scope="module")
def ground(stack: RunningStack) -> Ground:
    aliases = stack.aws("kms").list_aliases()["Aliases"]
    named = {alias["AliasName"].rpartition("-")[2]: alias.get("TargetKeyId") for alias in aliases}
    return Ground("local", {named[name]: logical_id for name, logical_id in KEYS.items()})


@pytest.fixture(scope="module")
def roles(ground: Ground) -> Roles:
    return Roles(ground.roles(), ground.resource_policies())


@pytest.fixture(scope="module")
def asked(stack: RunningStack, seen: list[Page], ground: Ground) -> list[Ask]:
    """Everything that was asked of IAM, by calls and by what they imply."""
    Scenario(stack, seen).run()
    calls = [ask for record in recorded(stack) for ask in asks(record, ground)]
    found = [*calls, *by_the_platform(ground)]
    return [*found, *behind(found, ground)]


def test_every_call_is_allowed(asked: list[Ask], roles: Roles) -> None:
    assert len(asked) > 300
    assert roles.refused(asked) == []


def test_everything_that_is_allowed_is_used(asked: list[Ask], roles: Roles) -> None:
    print("\n" + table(roles.used(asked), roles.grants()))
    assert roles.unused(asked) == []


def test_each_permission_that_is_taken_away_is_missed(asked: list[Ask], roles: Roles) -> None:
    grants = roles.grants()
    assert len(grants) > 80
    assert [grant for grant in grants if not roles.misses(grant, asked)] == []


def test_each_value_that_is_taken_out_of_a_condition_is_missed(
    asked: list[Ask], roles: Roles, ground: Ground
) -> None:
    values = roles.values()
    assert len(values) > 70
    names = ground.functions()
    kept = [value for value in values if not roles.misses(value, asked)]
    assert {(names[value.principal], value.sid, value.value) for value in kept} == SHARED


def test_each_permission_that_is_added_is_reported(asked: list[Ask], roles: Roles) -> None:
    statements = dict.fromkeys((grant.principal, grant.sid) for grant in roles.grants())
    assert len(statements) > 30
    for principal, sid in statements:
        own = [ask for ask in asked if ask.request.principal == principal]
        unused = roles.with_actions(principal, sid, FOREIGN).unused(own)
        reported = {(grant.sid, grant.action) for grant in unused if grant.principal == principal}
        assert reported == {(sid, action) for action in FOREIGN}


def test_authorize_calls_nothing_and_could_make_nobody_elses_call(
    asked: list[Ask], roles: Roles, ground: Ground
) -> None:
    own = ground.principal("authorize")
    assert {ask.request.action for ask in asked if ask.request.principal == own} == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }
    others = [ask for ask in asked if ask.request.principal != own]
    tried = [ask._replace(request=ask.request._replace(principal=own)) for ask in others]
    assert roles.refused(tried) == tried
