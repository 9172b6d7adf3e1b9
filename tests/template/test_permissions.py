"""Each function's role allows what the function does and nothing else, asked request by request."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from mooring.adapters.dynamodb_connections import READER_ATTRIBUTES
from tests.template.policy import Decision, Request, decide
from tests.template.translated import ACCOUNT, REGION, Stack

STACK = Stack()
ROLES = {"authorize": "AuthorizeRole", "callback": "CallbackRole", "connections": "ConnectionsRole"}
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/mooring-prod-"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/"
PARAMETER = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/mooring/"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:mooring-prod-recovery"
LOG = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/mooring-prod-"
READ = {
    "dynamodb:Select": "SPECIFIC_ATTRIBUTES",
    "dynamodb:Attributes": ["merchant_id", "connection", "status"],
}
SEALING = {"merchant": "m-1", "provider": "p", "field": "access"}

Context = Mapping[str, str | Sequence[str]]


def allowed(function: str, action: str, resource: str, context: Context | None = None) -> bool:
    principal = f"arn:aws:iam::{ACCOUNT}:role/mooring-prod-{function}"
    key_policy = None
    if resource.startswith(KEY):
        key_policy = STACK.properties(resource.removeprefix(KEY))["KeyPolicy"]["Statement"]
    request = Request(principal, action, resource, context or {})
    return decide(request, STACK.statements(ROLES[function]), key_policy) is Decision.ALLOWED


def sealing(**fields: str) -> dict[str, str | Sequence[str]]:
    named: dict[str, str | Sequence[str]] = {
        f"kms:EncryptionContext:{name}": text for name, text in fields.items()
    }
    return {**named, "kms:EncryptionContextKeys": list(fields)}


def via(service: str, **context: str) -> dict[str, str | Sequence[str]]:
    return {"kms:ViaService": f"{service}.{REGION}.amazonaws.com", **context}


# -- every role ----------------------------------------------------------------------------------------------


def test_each_function_has_its_own_role_and_no_other_role_exists() -> None:
    used = [f["Role"] for f in STACK.of_type("AWS::Lambda::Function").values()]
    made = [f"arn:aws:iam::{ACCOUNT}:role/{r['RoleName']}" for r in STACK.of_type("AWS::IAM::Role").values()]
    assert len(set(used)) == len(used) == 3
    assert sorted(used) == sorted(made)


@pytest.mark.parametrize("role", ROLES.values())
def test_a_role_has_only_written_out_policies(role: str) -> None:
    assert set(STACK.properties(role)) == {"RoleName", "AssumeRolePolicyDocument", "Policies"}
    assert all(statement["Effect"] == "Allow" for statement in STACK.statements(role))
    assert not [s for s in STACK.statements(role) if "NotAction" in s or "NotResource" in s]


@pytest.mark.parametrize("role", ROLES.values())
def test_only_lambda_in_this_account_takes_a_role(role: str) -> None:
    (statement,) = STACK.properties(role)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert statement["Action"] == "sts:AssumeRole"
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def test_no_action_anywhere_has_a_wildcard() -> None:
    policies = [s for role in ROLES.values() for s in STACK.statements(role)]
    for key in STACK.of_type("AWS::KMS::Key").values():
        policies += key["KeyPolicy"]["Statement"]
    actions = [action for statement in policies for action in listed(statement["Action"])]
    assert len(actions) > 20
    assert not [action for action in actions if "*" in action or "?" in action]


#: Wildcards that AWS cannot narrow further: a log group's streams, and which providers are enabled.
ACCEPTED = (
    re.compile(re.escape(LOG) + r"[a-z]+:\*"),
    re.compile(re.escape(f"{PARAMETER}prod/*/client_secret")),
)


@pytest.mark.parametrize("role", ROLES.values())
def test_no_resource_of_a_role_has_a_wildcard_that_can_be_scoped(role: str) -> None:
    resources = [resource for s in STACK.statements(role) for resource in listed(s["Resource"])]
    assert resources
    assert not [r for r in resources if "*" in r and not any(accepted.fullmatch(r) for accepted in ACCEPTED)]


@pytest.mark.parametrize("function", ROLES)
@pytest.mark.parametrize("owner", ROLES)
def test_a_function_writes_its_own_log_and_no_other(function: str, owner: str) -> None:
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        assert allowed(function, action, f"{LOG}{owner}:log-stream:x") is (function == owner)
    assert not allowed(function, "logs:CreateLogGroup", f"{LOG}{owner}:log-stream:x")


# -- authorize -----------------------------------------------------------------------------------------------


def test_authorize_may_do_nothing_but_write_its_log() -> None:
    (statement,) = STACK.statements("AuthorizeRole")
    assert sorted(statement["Action"]) == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"] == f"{LOG}authorize:*"


# -- callback ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "table"),
    [
        ("dynamodb:UpdateItem", "flows"),
        ("dynamodb:PutItem", "flows"),
        ("dynamodb:ConditionCheckItem", "flows"),
        ("dynamodb:UpdateItem", "connections"),
        ("dynamodb:PutItem", "connections"),
    ],
)
def test_callback_writes_flows_and_connections(action: str, table: str) -> None:
    assert allowed("callback", action, TABLE + table)


@pytest.mark.parametrize(
    "action", ["dynamodb:Scan", "dynamodb:Query", "dynamodb:DeleteItem", "dynamodb:DeleteTable"]
)
@pytest.mark.parametrize("table", ["flows", "connections", "connections/index/due"])
def test_callback_neither_searches_nor_deletes(action: str, table: str) -> None:
    assert not allowed("callback", action, TABLE + table)


@pytest.mark.parametrize("field", ["access", "refresh"])
def test_callback_gets_both_data_keys(field: str) -> None:
    assert allowed(
        "callback", "kms:GenerateDataKey", f"{KEY}TokenKey", sealing(**{**SEALING, "field": field})
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"field": "access"},
        {"merchant": "m-1", "field": "access"},
        {"provider": "p", "field": "access"},
        {"merchant": "m-1", "provider": "p"},
        {**SEALING, "field": "other"},
        {**SEALING, "more": "x"},
    ],
)
def test_a_data_key_needs_the_whole_context_and_no_more(fields: dict[str, str]) -> None:
    assert not allowed("callback", "kms:GenerateDataKey", f"{KEY}TokenKey", sealing(**fields))


@pytest.mark.parametrize("function", ["callback", "connections"])
def test_access_opens_and_refresh_does_not(function: str) -> None:
    assert allowed(function, "kms:Decrypt", f"{KEY}TokenKey", sealing(**SEALING))
    assert not allowed(function, "kms:Decrypt", f"{KEY}TokenKey", sealing(**{**SEALING, "field": "refresh"}))
    assert not allowed(function, "kms:Decrypt", f"{KEY}TokenKey")


def test_callback_reads_client_secrets_of_its_stage_only() -> None:
    assert allowed("callback", "ssm:GetParameter", f"{PARAMETER}prod/yours/client_secret")
    assert not allowed("callback", "ssm:GetParameter", f"{PARAMETER}prod/yours/webhook_secret")
    assert not allowed("callback", "ssm:GetParameter", f"{PARAMETER}test/yours/client_secret")
    assert not allowed("callback", "ssm:GetParametersByPath", f"{PARAMETER}prod/yours/client_secret")
    assert not allowed("callback", "ssm:PutParameter", f"{PARAMETER}prod/yours/client_secret")


def test_callback_sends_to_the_recovery_queue_and_does_not_read_it() -> None:
    assert allowed("callback", "sqs:SendMessage", QUEUE)
    assert not allowed("callback", "sqs:ReceiveMessage", QUEUE)


@pytest.mark.parametrize("action", ["kms:Decrypt", "kms:GenerateDataKey"])
def test_the_data_key_is_used_only_through_the_services_it_is_for(action: str) -> None:
    secret = f"{PARAMETER}prod/yours/client_secret"
    assert allowed("callback", action, f"{KEY}DataKey", via("dynamodb"))
    assert allowed("callback", action, f"{KEY}DataKey", via("sqs"))
    assert not allowed("callback", action, f"{KEY}DataKey")
    assert not allowed("callback", action, f"{KEY}DataKey", via("s3"))
    by_parameter = via("ssm", **{"kms:EncryptionContext:PARAMETER_ARN": secret})
    assert allowed("callback", action, f"{KEY}DataKey", by_parameter) is (action == "kms:Decrypt")
    other = via("ssm", **{"kms:EncryptionContext:PARAMETER_ARN": f"{PARAMETER}other/x"})
    assert not allowed("callback", action, f"{KEY}DataKey", other)


# -- connections ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["dynamodb:GetItem", "dynamodb:Query"])
def test_connections_reads_named_attributes(action: str) -> None:
    assert allowed("connections", action, f"{TABLE}connections", READ)


def test_connections_may_name_what_its_reader_names_and_no_more() -> None:
    (statement,) = [s for s in STACK.statements("ConnectionsRole") if "dynamodb:Query" in s["Action"]]
    granted = statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"]
    assert sorted(granted) == sorted(READER_ATTRIBUTES)


@pytest.mark.parametrize("action", ["dynamodb:GetItem", "dynamodb:Query"])
@pytest.mark.parametrize("secret", ["refresh", "refresh_key", "refresh_previous", "refresh_expires_at"])
def test_connections_cannot_ask_for_a_refresh_attribute(action: str, secret: str) -> None:
    asked = {**READ, "dynamodb:Attributes": ["merchant_id", "connection", secret]}
    assert not allowed("connections", action, f"{TABLE}connections", asked)


@pytest.mark.parametrize("action", ["dynamodb:GetItem", "dynamodb:Query"])
@pytest.mark.parametrize("select", ["ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "COUNT", None])
def test_connections_cannot_ask_for_whole_rows(action: str, select: str | None) -> None:
    asked: dict[str, str | Sequence[str]] = {"dynamodb:Attributes": ["merchant_id", "connection"]}
    if select:
        asked["dynamodb:Select"] = select
    assert not allowed("connections", action, f"{TABLE}connections", asked)


@pytest.mark.parametrize(
    "action", ["PutItem", "UpdateItem", "DeleteItem", "Scan", "BatchGetItem", "PartiQLSelect"]
)
def test_connections_only_reads(action: str) -> None:
    assert not allowed("connections", f"dynamodb:{action}", f"{TABLE}connections", READ)


@pytest.mark.parametrize("table", ["flows", "connections/index/due"])
def test_connections_reads_no_other_table_and_no_index(table: str) -> None:
    assert not allowed("connections", "dynamodb:Query", TABLE + table, READ)


def test_connections_uses_keys_only_to_read() -> None:
    assert allowed("connections", "kms:Decrypt", f"{KEY}DataKey", via("dynamodb"))
    assert not allowed("connections", "kms:Decrypt", f"{KEY}DataKey", via("ssm"))
    assert not allowed("connections", "kms:Decrypt", f"{KEY}DataKey")
    assert not allowed("connections", "kms:GenerateDataKey", f"{KEY}TokenKey", sealing(**SEALING))
    assert not allowed("connections", "ssm:GetParameter", f"{PARAMETER}prod/yours/client_secret")
    assert not allowed("connections", "sqs:SendMessage", QUEUE)
