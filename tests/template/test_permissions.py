"""Each function's role allows what the function does and nothing else, asked request by request."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from mooring.adapters import ending_transitions
from mooring.adapters.dynamodb_connections import READER_ATTRIBUTES
from mooring.adapters.dynamodb_due import SEEN_ATTRIBUTES
from mooring.core.upkeep import Key
from tests.template.policy import Decision, Request, decide
from tests.template.translated import ACCOUNT, REGION, STREAM, Stack

STACK = Stack()
ROLES = {
    name: f"{name.capitalize()}Role"
    for name in (
        "authorize",
        "callback",
        "connections",
        "uninstall",
        "sweep",
        "refresh",
        "revoke",
        "announce",
    )
}
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/mooring-prod-"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/"
PARAMETER = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/mooring/"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:mooring-prod-recovery"
REFRESH_QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:mooring-prod-refresh"
REVOKE_QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:mooring-prod-revoke"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:mooring-prod-"
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


def test_each_function_has_its_own_role_and_only_the_schedule_has_one_besides() -> None:
    used = [f["Role"] for f in STACK.of_type("AWS::Lambda::Function").values()]
    made = [f"arn:aws:iam::{ACCOUNT}:role/{r['RoleName']}" for r in STACK.of_type("AWS::IAM::Role").values()]
    assert len(set(used)) == len(used) == len(ROLES)
    assert sorted([*used, f"arn:aws:iam::{ACCOUNT}:role/mooring-prod-schedule"]) == sorted(made)


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
    policies = [s for role in STACK.of_type("AWS::IAM::Role") for s in STACK.statements(role)]
    for key in STACK.of_type("AWS::KMS::Key").values():
        policies += key["KeyPolicy"]["Statement"]
    actions = [action for statement in policies for action in listed(statement["Action"])]
    assert len(actions) > 20
    assert not [action for action in actions if "*" in action or "?" in action]


#: Wildcards that AWS cannot narrow further: a log group's streams, which providers are enabled, the label of
#: a table's stream, the objects of a bucket.
ACCEPTED = (
    re.compile(re.escape(f"{TABLE}connections/stream/*")),
    re.compile(re.escape(f"arn:aws:s3:::mooring-prod-undelivered-{ACCOUNT}/*")),
    re.compile(re.escape(LOG) + r"[a-z]+:\*"),
    re.compile(re.escape(f"{PARAMETER}prod/*/") + "(client|webhook)_secret"),
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


NEVER = ("Scan", "PartiQLSelect", "ExportTableToPointInTime", "DeleteTable", "UpdateTable", "BatchWriteItem")


@pytest.mark.parametrize("function", ROLES)
@pytest.mark.parametrize("action", NEVER)
@pytest.mark.parametrize("table", ["flows", "connections", "connections/index/due"])
def test_nobody_scans_exports_or_changes_a_table(function: str, action: str, table: str) -> None:
    assert not allowed(function, f"dynamodb:{action}", TABLE + table, READ)


def test_only_refresh_and_revoke_open_a_refresh_token() -> None:
    fields = sealing(**{**SEALING, "field": "refresh"})
    openers = [name for name in ROLES if allowed(name, "kms:Decrypt", f"{KEY}TokenKey", fields)]
    assert openers == ["refresh", "revoke"]


def test_only_who_answers_with_a_token_or_needs_one_opens_access() -> None:
    openers = [name for name in ROLES if allowed(name, "kms:Decrypt", f"{KEY}TokenKey", sealing(**SEALING))]
    assert openers == ["callback", "connections", "refresh", "revoke"]


def test_only_callback_makes_data_keys_and_nobody_reencrypts() -> None:
    fields = sealing(**SEALING)
    makers = [name for name in ROLES if allowed(name, "kms:GenerateDataKey", f"{KEY}TokenKey", fields)]
    assert makers == ["callback"]
    for action in ("kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:Encrypt", "kms:CreateGrant"):
        assert not [name for name in ROLES if allowed(name, action, f"{KEY}TokenKey", fields)]


@pytest.mark.parametrize(
    ("secret", "readers"),
    [("client_secret", ["callback", "refresh", "revoke"]), ("webhook_secret", ["uninstall"]), ("other", [])],
)
def test_each_secret_is_read_by_those_who_use_it(secret: str, readers: list[str]) -> None:
    parameter = f"{PARAMETER}prod/yours/{secret}"
    assert [name for name in ROLES if allowed(name, "ssm:GetParameter", parameter)] == readers
    key = via("ssm", **{"kms:EncryptionContext:PARAMETER_ARN": parameter})
    assert [name for name in ROLES if allowed(name, "kms:Decrypt", f"{KEY}DataKey", key)] == readers


@pytest.mark.parametrize(
    ("queue", "senders", "reader", "hurried"),
    [
        (QUEUE, ["callback", "refresh"], "refresh", ["refresh"]),
        (REFRESH_QUEUE, ["uninstall", "sweep", "refresh"], "refresh", []),
        (REVOKE_QUEUE, ["callback", "refresh", "announce"], "revoke", ["revoke"]),
    ],
)
def test_each_queue_has_its_senders_and_one_reader(
    queue: str, senders: list[str], reader: str, hurried: list[str]
) -> None:
    assert [name for name in ROLES if allowed(name, "sqs:SendMessage", queue)] == senders
    for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage"):
        assert [name for name in ROLES if allowed(name, action, queue)] == [reader]
    assert [name for name in ROLES if allowed(name, "sqs:ChangeMessageVisibility", queue)] == hurried
    for action in ("sqs:PurgeQueue", "sqs:SetQueueAttributes", "sqs:StartMessageMoveTask"):
        assert not [name for name in ROLES if allowed(name, action, queue)]


@pytest.mark.parametrize("function", ROLES)
@pytest.mark.parametrize("queue", [f"{QUEUE}-dead", f"{REFRESH_QUEUE}-dead", f"{REVOKE_QUEUE}-dead"])
def test_dead_letters_are_the_operators(function: str, queue: str) -> None:
    for action in ("SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility"):
        assert not allowed(function, f"sqs:{action}", queue)


def test_connections_invokes_refresh_the_schedule_invokes_sweep_and_that_is_all() -> None:
    for function in ROLES:
        callers = [name for name in ROLES if allowed(name, "lambda:InvokeFunction", f"{FUNCTION}{function}")]
        assert callers == (["connections"] if function == "refresh" else [])
    (statement,) = STACK.statements("ScheduleRole")
    assert (statement["Action"], statement["Resource"]) == ("lambda:InvokeFunction", f"{FUNCTION}sweep")


def test_only_scheduler_in_this_account_takes_the_schedules_role() -> None:
    role = STACK.properties("ScheduleRole")
    assert set(role) == {"RoleName", "AssumeRolePolicyDocument", "Policies"}
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


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


@pytest.mark.parametrize("action", ["PutItem", "DeleteItem", "Scan", "BatchGetItem", "PartiQLSelect"])
def test_connections_reads_one_by_one_and_updates(action: str) -> None:
    assert not allowed("connections", f"dynamodb:{action}", f"{TABLE}connections", READ)


@pytest.mark.parametrize("table", ["flows", "connections/index/due"])
def test_connections_reads_no_other_table_and_no_index(table: str) -> None:
    assert not allowed("connections", "dynamodb:Query", TABLE + table, READ)


def test_connections_opens_access_and_reads_no_secret() -> None:
    assert allowed("connections", "kms:Decrypt", f"{KEY}DataKey", via("dynamodb"))
    assert not allowed("connections", "kms:Decrypt", f"{KEY}DataKey", via("ssm"))
    assert not allowed("connections", "kms:Decrypt", f"{KEY}DataKey")
    assert not allowed("connections", "kms:GenerateDataKey", f"{KEY}TokenKey", sealing(**SEALING))
    assert not allowed("connections", "ssm:GetParameter", f"{PARAMETER}prod/yours/client_secret")
    assert not allowed("connections", "sqs:SendMessage", QUEUE)


# -- ending a connection: connections (disconnect) and uninstall ---------------------------------------------

ENDERS = pytest.mark.parametrize("function", ["connections", "uninstall"])
ENDED = ["merchant_id", "connection", "status", "updated_at", "access", "refresh", "refresh_key", "due_at"]


def ending(**context: str | list[str]) -> Context:
    return {"dynamodb:Attributes": ENDED, "dynamodb:LeadingKeys": ["m-1"], **context}


def test_an_ending_may_name_what_the_endings_name_and_no_more() -> None:
    ended = [
        ending_transitions.disconnected("t", Key("m-1", "p", "a-1"), 1),
        ending_transitions.uninstalled("t", Key("m-1", "p", "a-1"), 1, 2),
    ]
    named = {name for each in ended for name in each.parameters()["ExpressionAttributeNames"].values()}
    for role in ("ConnectionsRole", "UninstallRole"):
        (statement,) = [s for s in STACK.statements(role) if s["Action"] == "dynamodb:UpdateItem"]
        granted = statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"]
        assert sorted(granted) == sorted({*named, "merchant_id", "connection"})


@ENDERS
def test_no_ending_asks_for_what_a_refused_update_would_return(function: str) -> None:
    # No condition key of IAM forbids this, so the code is asked.
    key = Key("m-1", "p", "a-1")
    for ended in (
        ending_transitions.disconnected("t", key, 1),
        ending_transitions.uninstalled("t", key, 1, 2),
    ):
        asked = ended.parameters()
        assert asked.get("ReturnValues", "NONE") == "NONE"
        assert asked.get("ReturnValuesOnConditionCheckFailure", "NONE") == "NONE"
        names = list(asked["ExpressionAttributeNames"].values())
        context = ending(**{"dynamodb:Attributes": [*names, "merchant_id", "connection"]})
        assert allowed(function, "dynamodb:UpdateItem", f"{TABLE}connections", context)


@ENDERS
def test_a_connection_is_ended_by_naming_what_is_erased(function: str) -> None:
    assert allowed(function, "dynamodb:UpdateItem", f"{TABLE}connections", ending())
    quiet = ending(**{"dynamodb:ReturnValues": "NONE"})
    assert allowed(function, "dynamodb:UpdateItem", f"{TABLE}connections", quiet)


@ENDERS
@pytest.mark.parametrize("returned", ["ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"])
def test_what_is_erased_does_not_come_back(function: str, returned: str) -> None:
    asked = ending(**{"dynamodb:ReturnValues": returned})
    assert not allowed(function, "dynamodb:UpdateItem", f"{TABLE}connections", asked)


@ENDERS
@pytest.mark.parametrize(
    "attribute", ["account_verified", "details", "scopes", "pending_until", "unheard_of"]
)
def test_an_ending_touches_nothing_else(function: str, attribute: str) -> None:
    asked = ending(**{"dynamodb:Attributes": [*ENDED, attribute]})
    assert not allowed(function, "dynamodb:UpdateItem", f"{TABLE}connections", asked)


@ENDERS
def test_an_ending_touches_no_pointer(function: str) -> None:
    asked = ending(**{"dynamodb:LeadingKeys": ["@account#p#a-1"]})
    assert not allowed(function, "dynamodb:UpdateItem", f"{TABLE}connections", asked)


# -- uninstall -----------------------------------------------------------------------------------------------


def test_uninstall_finds_merchants_by_account_and_reads_no_row() -> None:
    table, pointers = f"{TABLE}connections", {"dynamodb:LeadingKeys": ["@account#p#a-1"]}
    assert allowed("uninstall", "dynamodb:Query", table, pointers)
    assert not allowed("uninstall", "dynamodb:Query", table, {"dynamodb:LeadingKeys": ["m-1"]})
    assert not allowed("uninstall", "dynamodb:Query", table, {})
    assert not allowed("uninstall", "dynamodb:Query", f"{table}/index/due", pointers)
    assert not allowed("uninstall", "dynamodb:GetItem", table, {**READ, "dynamodb:LeadingKeys": ["m-1"]})


def test_uninstall_puts_tombstones_and_no_other_flow() -> None:
    for key, right in (("tombstone#p#a-1", True), ("link#m-1#j", False), ("circuit#p", False)):
        asked = {"dynamodb:LeadingKeys": [key]}
        assert allowed("uninstall", "dynamodb:PutItem", f"{TABLE}flows", asked) is right
    assert not allowed("uninstall", "dynamodb:PutItem", f"{TABLE}flows")
    assert not allowed("uninstall", "dynamodb:DeleteItem", f"{TABLE}flows", {"dynamodb:LeadingKeys": ["t"]})


@pytest.mark.parametrize("action", ["Decrypt", "GenerateDataKey", "Encrypt", "ReEncryptFrom", "DescribeKey"])
@pytest.mark.parametrize("function", ["announce", "authorize", "uninstall", "sweep"])
def test_some_never_touch_the_token_key(function: str, action: str) -> None:
    assert not allowed(function, f"kms:{action}", f"{KEY}TokenKey", sealing(**SEALING))


# -- sweep ---------------------------------------------------------------------------------------------------

DUE = list(SEEN_ATTRIBUTES)


def test_sweep_reads_the_index_and_of_rows_what_is_not_sealed() -> None:
    assert allowed("sweep", "dynamodb:Query", f"{TABLE}connections/index/due")
    assert not allowed("sweep", "dynamodb:Query", f"{TABLE}connections")
    named = {"dynamodb:Attributes": DUE, "dynamodb:Select": "SPECIFIC_ATTRIBUTES"}
    assert allowed("sweep", "dynamodb:BatchGetItem", f"{TABLE}connections", named)
    for sealed in ("access", "access_key", "refresh", "refresh_key", "details"):
        more = {**named, "dynamodb:Attributes": [*DUE, sealed]}
        assert not allowed("sweep", "dynamodb:BatchGetItem", f"{TABLE}connections", more)
    whole = {"dynamodb:Select": "ALL_ATTRIBUTES"}
    assert not allowed("sweep", "dynamodb:BatchGetItem", f"{TABLE}connections", whole)


def test_sweep_reads_circuits_and_writes_nothing() -> None:
    circuits = {"dynamodb:LeadingKeys": ["circuit#p", "circuit#q"]}
    assert allowed("sweep", "dynamodb:BatchGetItem", f"{TABLE}flows", circuits)
    mixed = {"dynamodb:LeadingKeys": ["circuit#p", "link#m-1#j"]}
    assert not allowed("sweep", "dynamodb:BatchGetItem", f"{TABLE}flows", mixed)
    for table in ("flows", "connections"):
        for action in ("PutItem", "UpdateItem", "DeleteItem"):
            assert not allowed("sweep", f"dynamodb:{action}", TABLE + table, circuits)


def test_sweep_sees_how_full_the_queue_is() -> None:
    assert allowed("sweep", "sqs:GetQueueAttributes", REFRESH_QUEUE)
    assert not allowed("sweep", "sqs:GetQueueAttributes", QUEUE)


# -- refresh -------------------------------------------------------------------------------------------------


def test_refresh_leases_rows_and_never_touches_a_pointer_but_to_store_one() -> None:
    table, row, pointer = f"{TABLE}connections", ["m-1"], ["@account#p#a-1"]
    whole = {"dynamodb:LeadingKeys": row, "dynamodb:ReturnValues": "ALL_OLD"}
    assert allowed("refresh", "dynamodb:UpdateItem", table, whole)
    assert not allowed("refresh", "dynamodb:UpdateItem", table, {**whole, "dynamodb:LeadingKeys": pointer})
    assert allowed("refresh", "dynamodb:PutItem", table, {"dynamodb:LeadingKeys": pointer})
    assert allowed("refresh", "dynamodb:Query", table, {"dynamodb:LeadingKeys": pointer})
    assert not allowed("refresh", "dynamodb:Query", table, {"dynamodb:LeadingKeys": row})
    assert not allowed("refresh", "dynamodb:DeleteItem", table, {"dynamodb:LeadingKeys": row})


@pytest.mark.parametrize(
    ("action", "keys"),
    [
        ("UpdateItem", {"link", "circuit"}),
        ("PutItem", {"confirmation", "circuit"}),
        ("DeleteItem", set()),
        ("ConditionCheckItem", {"tombstone"}),
        ("GetItem", set()),
        ("Query", set()),
        ("BatchGetItem", {"circuit"}),
    ],
)
def test_refresh_does_to_each_kind_of_flow_row_what_it_must(action: str, keys: set[str]) -> None:
    kinds = ("link", "confirmation", "circuit", "tombstone", "other")
    found = {
        kind
        for kind in kinds
        if allowed(
            "refresh", f"dynamodb:{action}", f"{TABLE}flows", {"dynamodb:LeadingKeys": [f"{kind}#p#x"]}
        )
    }
    assert found == keys


@pytest.mark.parametrize("fields", [{"field": "access"}, {"field": "refresh", "merchant": "m-1"}, {}])
def test_refresh_opens_only_what_names_merchant_provider_and_field(fields: dict[str, str]) -> None:
    assert not allowed("refresh", "kms:Decrypt", f"{KEY}TokenKey", sealing(**fields))
    kept = sealing(**{**SEALING, "field": "kept"})
    assert not allowed("refresh", "kms:Decrypt", f"{KEY}TokenKey", kept)


# -- revoke --------------------------------------------------------------------------------------------------

LOOKED_AT = ["merchant_id", "connection", "status", "generation"]


def test_revoke_sees_of_any_row_whether_it_lives_and_nothing_sealed() -> None:
    table, looked = f"{TABLE}connections", {**READ, "dynamodb:Attributes": LOOKED_AT}
    for action in ("GetItem", "Query"):
        assert allowed("revoke", f"dynamodb:{action}", table, looked)
        assert not allowed("revoke", f"dynamodb:{action}", table, {"dynamodb:Select": "ALL_ATTRIBUTES"})
        for other in ("access", "access_key", "refresh", "refresh_key", "details"):
            asked = {**looked, "dynamodb:Attributes": [*LOOKED_AT, other]}
            assert not allowed("revoke", f"dynamodb:{action}", table, asked)
    assert not allowed("revoke", "dynamodb:Query", f"{table}/index/due", looked)
    assert not allowed("revoke", "dynamodb:GetItem", f"{TABLE}flows", looked)


def test_revoke_notes_the_outcome_and_writes_nothing_else() -> None:
    update = ending_transitions.revoked("t", Key("m-1", "p", "a-1"), 1, "revoked").parameters()
    names = [*update["ExpressionAttributeNames"].values(), "merchant_id", "connection"]
    asked = {"dynamodb:Attributes": names, "dynamodb:LeadingKeys": ["m-1"]}
    table = f"{TABLE}connections"
    assert update.get("ReturnValuesOnConditionCheckFailure", "NONE") == "NONE"
    assert allowed("revoke", "dynamodb:UpdateItem", table, asked)
    for other in ("access", "refresh", "due_at", "version", "details"):
        more = {**asked, "dynamodb:Attributes": [*names, other]}
        assert not allowed("revoke", "dynamodb:UpdateItem", table, more)
    pointer = {**asked, "dynamodb:LeadingKeys": ["@account#p#a-1"]}
    assert not allowed("revoke", "dynamodb:UpdateItem", table, pointer)
    assert not allowed("revoke", "dynamodb:UpdateItem", table, {**asked, "dynamodb:ReturnValues": "ALL_OLD"})
    for action in ("PutItem", "DeleteItem"):
        assert not allowed("revoke", f"dynamodb:{action}", table, asked)


@pytest.mark.parametrize("field", ["access", "refresh"])
def test_revoke_opens_both_fields_and_makes_no_data_key(field: str) -> None:
    fields = sealing(**{**SEALING, "field": field})
    assert allowed("revoke", "kms:Decrypt", f"{KEY}TokenKey", fields)
    assert not allowed("revoke", "kms:Decrypt", f"{KEY}TokenKey", sealing(field=field))
    assert not allowed("revoke", "kms:GenerateDataKey", f"{KEY}TokenKey", fields)


# -- announce ------------------------------------------------------------------------------------------------

BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/mooring-prod"
BUCKET = f"arn:aws:s3:::mooring-prod-undelivered-{ACCOUNT}"


def test_announce_reads_the_stream_and_no_row() -> None:
    stream = f"{TABLE}connections/stream/{STREAM}"
    for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"):
        assert allowed("announce", f"dynamodb:{action}", stream)
        # A restored table has another stream.
        assert allowed("announce", f"dynamodb:{action}", f"{TABLE}connections/stream/2027-01-01T00:00:00.000")
        assert not allowed("announce", f"dynamodb:{action}", f"{TABLE}flows/stream/{STREAM}")
    for action in ("GetItem", "Query", "Scan", "UpdateItem", "PutItem", "DeleteItem"):
        for table in ("connections", "flows"):
            assert not allowed("announce", f"dynamodb:{action}", TABLE + table)


def test_announce_puts_events_on_our_bus_alone() -> None:
    assert allowed("announce", "events:PutEvents", BUS)
    for bus in ("default", "mooring-test"):
        assert not allowed("announce", "events:PutEvents", BUS.replace("mooring-prod", bus))
    for action in ("PutRule", "PutTargets", "DeleteEventBus"):
        assert not allowed("announce", f"events:{action}", BUS)


def test_announce_puts_into_the_bucket_and_takes_nothing_out() -> None:
    assert allowed("announce", "s3:PutObject", f"{BUCKET}/mooring/announce/x.json")
    assert allowed("announce", "s3:ListBucket", BUCKET)
    for action in ("GetObject", "DeleteObject", "GetObjectVersion"):
        assert not allowed("announce", f"s3:{action}", f"{BUCKET}/mooring/announce/x.json")
    assert allowed("announce", "kms:GenerateDataKey", f"{KEY}DataKey", via("s3"))
    assert not allowed("announce", "kms:Decrypt", f"{KEY}DataKey", via("s3"))


def test_announce_queues_revocations_and_opens_nothing() -> None:
    revoke = QUEUE.replace("recovery", "revoke")
    assert allowed("announce", "sqs:SendMessage", revoke)
    assert not allowed("announce", "sqs:ReceiveMessage", revoke)
    assert not allowed("announce", "sqs:SendMessage", QUEUE)
    for field in ("access", "refresh"):
        asked = sealing(**{**SEALING, "field": field})
        assert not allowed("announce", "kms:Decrypt", f"{KEY}TokenKey", asked)
    assert not allowed("announce", "ssm:GetParameter", f"{PARAMETER}prod/yours/client_secret")
