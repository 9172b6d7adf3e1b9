"""TokenKey's own policy decides who opens a refresh token, whatever IAM policies say elsewhere."""

from typing import Any

import pytest

from tests.template.policy import Decision, Request, decide
from tests.template.translated import ACCOUNT, REGION, Stack

STACK = Stack()
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/TokenKey"
POLICY: list[dict[str, Any]] = STACK.properties("TokenKey")["KeyPolicy"]["Statement"]
#: The most careless IAM policy there is.
ADMINISTRATOR = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
NAMED = ("refresh", "revoke", "reseal", "export")
OPENING = ("kms:Decrypt", "kms:ReEncryptFrom")
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
STRANGERS = [
    ROOT,
    f"arn:aws:iam::{ACCOUNT}:user/admin",
    f"arn:aws:iam::{ACCOUNT}:role/admin",
    f"arn:aws:iam::{ACCOUNT}:role/mooring-prod-callback",
    f"arn:aws:iam::{ACCOUNT}:role/mooring-prod-connections",
    f"arn:aws:iam::{ACCOUNT}:role/mooring-prod-uninstall",
    f"arn:aws:iam::{ACCOUNT}:role/mooring-prod-sweep",
    f"arn:aws:iam::{ACCOUNT}:role/mooring-prod-schedule",
    f"arn:aws:iam::{ACCOUNT}:role/mooring-prod-refresh2",
    f"arn:aws:iam::{ACCOUNT}:role/path/mooring-prod-refresh",
    f"arn:aws:iam::{ACCOUNT}:role/mooring-test-refresh",
    f"arn:aws:iam::{ACCOUNT}:user/mooring-prod-refresh",
    "arn:aws:iam::999999999999:role/mooring-prod-refresh",
]


def role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/mooring-prod-{name}"


def context(field: str | None) -> dict[str, str]:
    fields = {"merchant": "m-1", "provider": "p", **({"field": field} if field is not None else {})}
    return {f"kms:EncryptionContext:{name}": value for name, value in fields.items()}


def decision(principal: str, action: str, field: str | None = None) -> Decision:
    return decide(Request(principal, action, KEY, context(field)), ADMINISTRATOR, POLICY)


@pytest.mark.parametrize("principal", STRANGERS)
@pytest.mark.parametrize("action", OPENING)
@pytest.mark.parametrize("field", ["refresh", "", "Access", "access ", "kept", None])
def test_nobody_else_opens_anything_but_access(principal: str, action: str, field: str | None) -> None:
    assert decision(principal, action, field) is Decision.DENIED


@pytest.mark.parametrize("principal", STRANGERS)
def test_a_request_without_any_context_is_denied(principal: str) -> None:
    assert decide(Request(principal, "kms:Decrypt", KEY), ADMINISTRATOR, POLICY) is Decision.DENIED


@pytest.mark.parametrize("principal", STRANGERS)
def test_nobody_else_makes_grants(principal: str) -> None:
    assert decision(principal, "kms:CreateGrant") is Decision.DENIED


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("action", OPENING)
def test_the_named_roles_may_be_allowed_to_open_refresh(name: str, action: str) -> None:
    assert decision(role(name), action, "refresh") is Decision.ALLOWED


@pytest.mark.parametrize("name", NAMED)
def test_the_named_roles_still_need_an_iam_policy(name: str) -> None:
    request = Request(role(name), "kms:Decrypt", KEY, context("refresh"))
    assert decide(request, [], POLICY) is Decision.NOT_ALLOWED


@pytest.mark.parametrize("name", NAMED)
def test_no_denial_stops_the_named_roles_from_grants_and_nothing_allows_them(name: str) -> None:
    assert decision(role(name), "kms:CreateGrant") is Decision.NOT_ALLOWED


@pytest.mark.parametrize("action", OPENING)
def test_access_opens_where_iam_allows_it(action: str) -> None:
    assert decision(role("connections"), action, "access") is Decision.ALLOWED


@pytest.mark.parametrize(
    "action", ["kms:PutKeyPolicy", "kms:DescribeKey", "kms:ScheduleKeyDeletion", "kms:RevokeGrant"]
)
def test_the_account_can_administer_the_key(action: str) -> None:
    assert decision(ROOT, action) is Decision.ALLOWED


@pytest.mark.parametrize(
    "action", ["kms:Encrypt", "kms:ReplicateKey", "kms:ImportKeyMaterial", "kms:DeriveSharedSecret"]
)
def test_the_key_does_nothing_but_wrap_data_keys(action: str) -> None:
    assert decision(role("admin"), action, "access") is Decision.NOT_ALLOWED


def test_a_principal_of_another_account_gets_nothing() -> None:
    assert decision("arn:aws:iam::999999999999:role/reader", "kms:Decrypt", "access") is Decision.NOT_ALLOWED


def test_the_named_roles_are_this_stages() -> None:
    other = Stack(Stage="test").properties("TokenKey")["KeyPolicy"]["Statement"]
    request = Request(role("refresh"), "kms:Decrypt", KEY, context("refresh"))
    assert decide(request, ADMINISTRATOR, other) is Decision.DENIED


@pytest.mark.parametrize("name", ["refresh", "revoke"])
def test_a_role_that_may_open_refresh_is_its_functions_and_nobody_elses(name: str) -> None:
    function = f"{name.capitalize()}Function"
    assert STACK.properties(function)["Role"] == role(name)
    users = [
        logical for logical, f in STACK.of_type("AWS::Lambda::Function").items() if f["Role"] == role(name)
    ]
    assert users == [function]
