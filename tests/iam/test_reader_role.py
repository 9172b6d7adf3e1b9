"""The role for services in other accounts: who may assume it, and that it reads and does nothing else."""

import re
from typing import Any

import pytest

from mooring.adapters.dynamodb_connections import READER_ATTRIBUTES
from tests.iam.documented import statements
from tests.iam.service_paths import READS, every_call
from tests.template.policy import Decision, Request, Statement, decide
from tests.template.translated import ACCOUNT, REGION, Stack, source

OTHER = "arn:aws:iam::444455556666:role/orders"
ABSENT = Stack()
STACK = Stack(ReaderPrincipals=f"{OTHER},777788889999", ReaderExternalId="orders-7c1e9a40")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/mooring-prod-reader"
API = str(STACK.resolve(STACK.template["Outputs"]["ApiArn"]["Value"]))
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/mooring-prod-connections"
OWN = STACK.statements("ReaderRole")
LEFT_TO_IAM = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Resource": "*"}


def trust(stack: Stack) -> Statement:
    """The one statement of the role's trust policy."""
    (statement,) = stack.properties("ReaderRole")["AssumeRolePolicyDocument"]["Statement"]
    return dict(statement)


def may(action: str, resource: str, **context: str | list[str]) -> bool:
    """Whether the role's own policy allows it; of a key, whose policy leaves everything to IAM."""
    guard = [{**LEFT_TO_IAM, "Action": action}] if action.startswith("kms:") else None
    return decide(Request(ROLE, action, resource, context), OWN, guard) is Decision.ALLOWED


def test_without_readers_there_is_no_role() -> None:
    assert "ReaderRole" not in ABSENT.resources
    assert "ReaderRole" not in Stack(ReaderExternalId="orders-7c1e9a40").resources
    assert ABSENT.template["Outputs"]["ReaderRoleArn"]["Condition"] == "CreateReader"


def test_the_named_ones_assume_it_with_the_external_id() -> None:
    assert STACK.properties("ReaderRole")["RoleName"] == "mooring-prod-reader"
    statement = trust(STACK)
    assert statement["Principal"] == {"AWS": [OTHER, "777788889999"]}
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
    assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": "orders-7c1e9a40"}}


@pytest.mark.parametrize("said", ["anything", "orders-7c1e9a4", None])
@pytest.mark.parametrize("external_id", ["orders-7c1e9a40", ""])
def test_without_the_external_id_nobody_assumes_it(external_id: str, said: str | None) -> None:
    statement = trust(Stack(ReaderPrincipals=OTHER, ReaderExternalId=external_id))
    context = {} if said is None else {"sts:ExternalId": said}
    asked = Request(OTHER, "sts:AssumeRole", ROLE, context)
    decided = decide(asked, [{**statement, "Resource": ROLE}])
    assert decided is Decision.NOT_ALLOWED


@pytest.mark.parametrize(
    ("principal", "fits"),
    [
        ("444455556666", True),
        (OTHER, True),
        ("arn:aws:iam::444455556666:root", True),
        ("arn:aws-cn:iam::444455556666:role/a/path/orders", True),
        ("*", False),
        ("arn:aws:iam::444455556666:role/*", False),
        ("arn:aws:iam::*:root", False),
        ("arn:aws:sts::444455556666:assumed-role/orders/x", False),
        ("lambda.amazonaws.com", False),
    ],
)
def test_a_reader_is_named_and_never_a_pattern(principal: str, fits: bool) -> None:
    pattern = source()["Parameters"]["ReaderPrincipals"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, principal)) is fits


def test_it_calls_what_reads_and_nothing_else() -> None:
    for call in every_call():
        method, _, path = call.target.partition(" ")
        assert may("execute-api:Invoke", f"{API}/{method}{path}") is (call.route in READS), call
    assert not may("execute-api:Invoke", f"{API.replace('$default', 'test')}/GET/merchants/m-1/connections")


def test_it_asks_the_table_for_what_the_library_asks_and_no_more() -> None:
    asked: dict[str, Any] = {
        "dynamodb:LeadingKeys": ["m-1"],
        "dynamodb:Attributes": list(READER_ATTRIBUTES),
        "dynamodb:Select": "SPECIFIC_ATTRIBUTES",
    }
    for action in ("GetItem", "Query"):
        assert may(f"dynamodb:{action}", TABLE, **asked)
        for attribute in ("refresh", "refresh_key", "previous_refresh", "lease_owner", "attempts"):
            more = {**asked, "dynamodb:Attributes": [*READER_ATTRIBUTES, attribute]}
            assert not may(f"dynamodb:{action}", TABLE, **more)
        assert not may(f"dynamodb:{action}", TABLE, **{**asked, "dynamodb:Select": "ALL_ATTRIBUTES"})
        assert not may(f"dynamodb:{action}", TABLE, **{**asked, "dynamodb:LeadingKeys": ["@account#p#a"]})
        assert not may(f"dynamodb:{action}", f"{TABLE}/index/due", **asked)
    for action in ("Scan", "BatchGetItem", "UpdateItem", "PutItem", "DeleteItem", "PartiQLSelect"):
        assert not may(f"dynamodb:{action}", TABLE, **asked)


def test_it_opens_access_tokens_and_nothing_else() -> None:
    keys = {name: f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{name}" for name in ("TokenKey", "DataKey")}
    for field, right in (("access", True), ("refresh", False), ("", False)):
        assert may("kms:Decrypt", keys["TokenKey"], **{"kms:EncryptionContext:field": field}) is right
    assert not may("kms:Decrypt", keys["TokenKey"])
    guard = STACK.properties("TokenKey")["KeyPolicy"]["Statement"]
    asked = Request(ROLE, "kms:Decrypt", keys["TokenKey"], {"kms:EncryptionContext:field": "access"})
    assert decide(asked, OWN, guard) is Decision.ALLOWED, "the key's own policy lets it"
    for service, right in (("dynamodb", True), ("sqs", False), ("ssm", False)):
        via = {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}
        assert may("kms:Decrypt", keys["DataKey"], **via) is right
    assert not may("kms:Decrypt", keys["DataKey"])
    for action in ("Encrypt", "GenerateDataKey", "ReEncryptFrom", "CreateGrant"):
        assert not may(f"kms:{action}", keys["TokenKey"], **{"kms:EncryptionContext:field": "access"})


def test_it_may_no_less_than_the_documented_policies_of_a_reader() -> None:
    """Its sessions are narrowed by those policies: what these allow must not be lost on the way."""
    documented = [*statements("client-library", STACK), *statements("read-only", STACK)]
    resources = {arn for each in OWN for arn in listed(each["Resource"])}
    wanted = {arn for each in documented for arn in listed(each["Resource"])}
    narrower = {arn for arn in wanted if arn.endswith("/*/*/token")}
    assert wanted - narrower == resources


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
