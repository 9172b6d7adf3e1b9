"""The evaluator decides as AWS documents it, also about what our own policies do not contain today.

Somebody may add it tomorrow, and must not get an answer that was guessed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.template.policy import Decision, PolicyError, Request, decide, matches

ROLE = "arn:aws:iam::111122223333:role/r"
TABLE, OTHER = (f"arn:aws:dynamodb:eu-central-1:111122223333:table/{name}" for name in ("t", "other"))
ALLOW = {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": TABLE}


def allowed(
    statement: dict[str, Any],
    action: str = "dynamodb:GetItem",
    context: Mapping[str, str | Sequence[str]] | None = None,
) -> bool:
    return decide(Request(ROLE, action, TABLE, context or {}), [statement]) is Decision.ALLOWED


@pytest.mark.parametrize(
    ("actions", "asked", "expected"),
    [
        ("dynamodb:Scan", "dynamodb:GetItem", True),
        ("dynamodb:Scan", "dynamodb:SCAN", False),
        (["dynamodb:*", "kms:*"], "dynamodb:GetItem", False),
        (["dynamodb:*", "kms:*"], "iam:PutRolePolicy", True),
    ],
)
def test_everything_but_some_actions(actions: str | list[str], asked: str, expected: bool) -> None:
    assert allowed({"Effect": "Allow", "NotAction": actions, "Resource": "*"}, asked) is expected


@pytest.mark.parametrize(("resource", "expected"), [(OTHER, True), ("arn:*", False), (TABLE, False)])
def test_everything_but_some_resources(resource: str, expected: bool) -> None:
    statement = {"Effect": "Allow", "Action": "dynamodb:GetItem", "NotResource": resource}
    assert allowed(statement) is expected


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("ForAllValues:StringEquals", ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "c"], False),
        ("ForAllValues:StringEquals", None, True),
        ("ForAllValues:StringNotEquals", ["c", "d"], True),
        ("ForAllValues:StringNotEquals", ["c", "a"], False),
        ("ForAnyValue:StringEquals", ["c", "a"], True),
        ("ForAnyValue:StringEquals", ["c", "d"], False),
        ("ForAnyValue:StringEquals", None, False),
        ("ForAnyValue:StringLike", ["bb"], False),
    ],
)
def test_conditions_on_keys_with_several_values(
    operator: str, values: list[str] | None, expected: bool
) -> None:
    statement = {**ALLOW, "Condition": {operator: {"some:key": ["a", "b"]}}}
    assert allowed(statement, context={} if values is None else {"some:key": values}) is expected


@pytest.mark.parametrize(
    ("wanted", "context", "expected"),
    [
        ("true", {"some:key": "TRUE"}, True),
        (True, {"some:key": "true"}, True),
        ("true", {"some:key": "false"}, False),
        ("false", {}, False),
    ],
)
def test_true_and_false(wanted: str | bool, context: dict[str, str], expected: bool) -> None:
    assert allowed({**ALLOW, "Condition": {"Bool": {"some:key": wanted}}}, context=context) is expected


@pytest.mark.parametrize(
    ("more", "unknown"),
    [
        ({"NotPrincipal": {"AWS": "*"}}, "NotPrincipal"),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, "IpAddress"),
        ({"Condition": {"StringLike": {"aws:SourceIp": "${aws:username}"}}}, "policy variables"),
    ],
)
def test_what_is_not_known_is_not_guessed(more: dict[str, Any], unknown: str) -> None:
    with pytest.raises(PolicyError, match=f"does not know.*{unknown}"):
        matches({**ALLOW, **more}, Request(ROLE, "dynamodb:GetItem", TABLE, {"aws:SourceIp": "10.1.1.1"}))


def test_a_key_with_several_values_needs_a_qualifier() -> None:
    statement = {**ALLOW, "Condition": {"StringEquals": {"some:key": "a"}}}
    with pytest.raises(PolicyError, match="needs ForAllValues or ForAnyValue"):
        allowed(statement, context={"some:key": ["a", "b"]})


TAGGED = {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "arn:t/${aws:PrincipalTag/team}/*"}


@pytest.mark.parametrize(
    ("tag", "resource", "expected"),
    [
        ("a", "arn:t/a/x", True),
        ("a", "arn:t/ab/x", False),
        ("ab", "arn:t/a/x", False),
        (None, "arn:t//x", False),
        (None, "arn:t/${aws:PrincipalTag/team}/x", False),
    ],
)
def test_a_tag_of_the_principal_stands_in_a_resource(tag: str | None, resource: str, expected: bool) -> None:
    context = {} if tag is None else {"aws:PrincipalTag/team": tag}
    decided = decide(Request(ROLE, "dynamodb:GetItem", resource, context), [TAGGED])
    assert (decided is Decision.ALLOWED) is expected


@pytest.mark.parametrize(
    ("operator", "context", "expected"),
    [
        ("StringEquals", {"some:key": "a", "aws:PrincipalTag/team": "a"}, True),
        ("StringEquals", {"some:key": "b", "aws:PrincipalTag/team": "a"}, False),
        ("StringEquals", {"some:key": "a"}, False),
        ("ForAllValues:StringEquals", {"some:key": ["a", "a"], "aws:PrincipalTag/team": "a"}, True),
        ("ForAllValues:StringEquals", {"some:key": ["a", "b"], "aws:PrincipalTag/team": "a"}, False),
        ("ForAllValues:StringEquals", {"some:key": ["a"]}, False),
        ("StringNotEquals", {"some:key": "b", "aws:PrincipalTag/team": "a"}, True),
    ],
)
def test_a_tag_of_the_principal_stands_in_a_condition(
    operator: str, context: dict[str, str | Sequence[str]], expected: bool
) -> None:
    statement = {**ALLOW, "Condition": {operator: {"some:key": "${aws:PrincipalTag/team}"}}}
    assert allowed(statement, context=context) is expected


@pytest.mark.parametrize(
    ("statement", "tag"),
    [
        (TAGGED, "*"),
        (TAGGED, "a?"),
        ({**ALLOW, "Condition": {"StringNotLike": {"some:key": "${aws:PrincipalTag/team}"}}}, None),
        ({**ALLOW, "Condition": {"ForAllValues:StringNotLike": {"k": "${aws:PrincipalTag/team}"}}}, None),
        ({"Effect": "Allow", "Action": "dynamodb:GetItem", "NotResource": "x/${aws:PrincipalTag/team}"}, "a"),
        ({**TAGGED, "Resource": "arn:t/${aws:userid}"}, "a"),
    ],
)
def test_what_aws_does_with_other_variables_is_not_guessed(
    statement: dict[str, Any], tag: str | None
) -> None:
    context = {"some:key": "x"} | ({} if tag is None else {"aws:PrincipalTag/team": tag})
    with pytest.raises(PolicyError, match="does not know"):
        matches(statement, Request(ROLE, "dynamodb:GetItem", TABLE, context))
