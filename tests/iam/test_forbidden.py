"""What nobody, or not this one, may do: a list, each entry denied by the policies of the template."""

from collections.abc import Mapping, Sequence

import pytest

from tests.iam.ground import Ground
from tests.iam.roles import Roles
from tests.template.policy import Decision, Request, decide
from tests.template.translated import ACCOUNT, REGION

GROUND = Ground("prod", {})
ROLES = Roles(GROUND.roles(), GROUND.resource_policies())
FUNCTIONS = sorted(GROUND.functions().values())
PRINCIPALS = sorted(GROUND.roles())
TOKEN_KEY, DATA_KEY = GROUND.logical_key("TokenKey"), GROUND.logical_key("DataKey")
CONNECTIONS = GROUND.table("mooring-prod-connections").arn
FLOWS = GROUND.table("mooring-prod-flows").arn
TABLES = (CONNECTIONS, f"{CONNECTIONS}/index/due", FLOWS)
CARRYING = ("refresh", "recovery", "revoke")
QUEUES = [
    GROUND.queue(f"mooring-prod-{name}") for name in (*CARRYING, *(f"{name}-dead" for name in CARRYING))
]
FIELDS: Sequence[Mapping[str, str]] = (
    {},
    {"field": "access"},
    {"merchant": "m", "provider": "p", "field": "access"},
)
REFRESH_FIELDS = {"merchant": "m", "provider": "p", "field": "refresh"}
#: A principal whose own policy allows everything: what is denied to it, only a key's policy denies.
ANYTHING = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]

#: Uses of a key; managing one is among what nobody may do.
KMS = (
    "Decrypt",
    "DeriveSharedSecret",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "GetPublicKey",
    "ReEncryptFrom",
    "ReEncryptTo",
    "Sign",
    "Verify",
    "VerifyMac",
)
LOGS = [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/mooring-prod-{name}:*" for name in FUNCTIONS]
SECRETS = [GROUND.parameter(f"/mooring/prod/p/{name}_secret") for name in ("client", "webhook")]
#: To read in bulk, to change what guards us, to become somebody else.
NOBODY: list[tuple[Sequence[str], str, str]] = [
    (TABLES, "dynamodb", "Scan PartiQLSelect PartiQLUpdate PartiQLInsert PartiQLDelete BatchWriteItem"),
    (TABLES, "dynamodb", "DeleteTable UpdateTable UpdateTimeToLive PutResourcePolicy CreateBackup"),
    (TABLES, "dynamodb", "ExportTableToPointInTime RestoreTableToPointInTime UpdateContinuousBackups"),
    ((TOKEN_KEY, DATA_KEY), "kms", "PutKeyPolicy CreateGrant RevokeGrant RetireGrant ListGrants"),
    (
        (TOKEN_KEY, DATA_KEY),
        "kms",
        "ScheduleKeyDeletion DisableKey DisableKeyRotation UpdateAlias TagResource",
    ),
    (QUEUES, "sqs", "PurgeQueue SetQueueAttributes DeleteQueue AddPermission StartMessageMoveTask"),
    (SECRETS, "ssm", "PutParameter DeleteParameter GetParametersByPath GetParameterHistory"),
    (
        [GROUND.function(f"mooring-prod-{name}") for name in FUNCTIONS],
        "lambda",
        "UpdateFunctionCode UpdateFunctionConfiguration AddPermission PutFunctionConcurrency",
    ),
    (PRINCIPALS, "iam", "PutRolePolicy AttachRolePolicy UpdateAssumeRolePolicy PassRole"),
    (PRINCIPALS, "sts", "AssumeRole"),
    (LOGS, "logs", "CreateLogGroup DeleteLogGroup FilterLogEvents GetLogEvents PutRetentionPolicy"),
    (
        [f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/mooring-prod-sweep"],
        "scheduler",
        "UpdateSchedule",
    ),
    ([f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/mooring-prod/1"], "cloudformation", "UpdateStack"),
]
EACH = [
    pytest.param(f"{service}:{name}", resources, id=f"{service}:{name}")
    for resources, service, names in NOBODY
    for name in names.split()
]

Context = Mapping[str, str | Sequence[str]]


def may(principal: str, action: str, resource: str, context: Context | None = None) -> bool:
    return ROLES.decide(Request(principal, action, resource, context or {})) is Decision.ALLOWED


def of(function: str) -> str:
    return GROUND.principal(function)


def encryption(fields: Mapping[str, str]) -> dict[str, str | Sequence[str]]:
    named: dict[str, str | Sequence[str]] = {
        f"kms:EncryptionContext:{name}": value for name, value in fields.items()
    }
    return {**named, "kms:EncryptionContextKeys": list(fields)} if fields else named


@pytest.mark.parametrize(("action", "resources"), EACH)
def test_nobody_may(action: str, resources: Sequence[str]) -> None:
    # Whatever a condition may look at is given the value that a statement would like best.
    liked: Context = {
        "dynamodb:Select": "SPECIFIC_ATTRIBUTES",
        "dynamodb:Attributes": ["merchant_id"],
        "dynamodb:LeadingKeys": ["circuit#p"],
        "kms:ViaService": f"dynamodb.{REGION}.amazonaws.com",
        "aws:SecureTransport": "true",
        **encryption(FIELDS[2]),
    }
    assert len(resources) > 0
    for principal in PRINCIPALS:
        for resource in resources:
            assert not may(principal, action, resource, liked), (principal, resource)


@pytest.mark.parametrize("action", KMS)
@pytest.mark.parametrize("function", ["authorize", "uninstall", "sweep", "schedule"])
def test_who_handles_no_token_uses_no_key_directly(function: str, action: str) -> None:
    principal = of("refresh").replace("refresh", function)
    for key in (TOKEN_KEY, DATA_KEY):
        for fields in (
            *FIELDS,
            REFRESH_FIELDS,
            {"PARAMETER_ARN": GROUND.parameter("/mooring/prod/p/webhook_secret")},
        ):
            assert not may(principal, f"kms:{action}", key, encryption(fields))


@pytest.mark.parametrize("action", KMS)
@pytest.mark.parametrize("function", ["authorize", "uninstall", "sweep", "schedule"])
@pytest.mark.parametrize("service", ["dynamodb", "sqs", "ssm", "lambda"])
def test_nor_the_key_of_tokens_through_any_service(function: str, action: str, service: str) -> None:
    principal = of("refresh").replace("refresh", function)
    via = {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}
    for fields in (*FIELDS, REFRESH_FIELDS):
        assert not may(principal, f"kms:{action}", TOKEN_KEY, {**via, **encryption(fields)})


def test_authorize_may_do_nothing_that_any_other_may_but_write_its_log() -> None:
    own = [grant for grant in ROLES.grants() if grant.principal == of("authorize")]
    assert {grant.action for grant in own} == {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert {grant.resource.rpartition("-")[2] for grant in own} == {"authorize:*"}


@pytest.mark.parametrize(
    "attribute",
    ["refresh", "refresh_key", "refresh_expires_at", "previous_refresh", "previous_refresh_key", "attempts"],
)
@pytest.mark.parametrize("action", ["GetItem", "Query", "BatchGetItem"])
@pytest.mark.parametrize("function", ["authorize", "callback", "connections", "revoke", "sweep", "uninstall"])
def test_only_refresh_may_ask_for_what_is_about_refreshing(
    function: str, action: str, attribute: str
) -> None:
    for attributes in ([attribute], ["merchant_id", "connection", "status", attribute]):
        for select in ("SPECIFIC_ATTRIBUTES", "ALL_ATTRIBUTES"):
            asked = {"dynamodb:Attributes": attributes, "dynamodb:Select": select}
            for leading in ({}, {"dynamodb:LeadingKeys": ["m-1"]}):
                assert not may(of(function), f"dynamodb:{action}", CONNECTIONS, {**asked, **leading})


@pytest.mark.parametrize("action", ["GetItem", "Query", "BatchGetItem"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_nobody_reads_a_whole_row(function: str, action: str) -> None:
    """A read without a projection names no attribute but the keys."""
    for select in ("ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "COUNT", None):
        asked: dict[str, str | Sequence[str]] = {"dynamodb:Attributes": ["connection", "merchant_id"]}
        asked |= {} if select is None else {"dynamodb:Select": select}
        for leading in ({}, {"dynamodb:LeadingKeys": ["m-1"]}):
            assert not may(of(function), f"dynamodb:{action}", CONNECTIONS, {**asked, **leading})


@pytest.mark.parametrize("returned", ["ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"])
@pytest.mark.parametrize("function", ["authorize", "connections", "revoke", "sweep", "uninstall"])
def test_no_write_brings_a_row_to_whoever_may_not_read_it(function: str, returned: str) -> None:
    for action in ("UpdateItem", "PutItem", "DeleteItem"):
        asked = {
            "dynamodb:Attributes": ["connection", "merchant_id", "status"],
            "dynamodb:ReturnValues": returned,
        }
        context = {**asked, "dynamodb:LeadingKeys": ["m-1"]}
        assert not may(of(function), f"dynamodb:{action}", CONNECTIONS, context)


@pytest.mark.parametrize("action", ["UpdateItem", "PutItem", "DeleteItem", "ConditionCheckItem"])
@pytest.mark.parametrize("leading", ["m-1", "@account#p#a", "circuit#p", "tombstone#p#a"])
def test_the_sweep_writes_no_row(action: str, leading: str) -> None:
    for table in TABLES:
        context = {"dynamodb:LeadingKeys": [leading], "dynamodb:Attributes": ["merchant_id", "status"]}
        assert not may(of("sweep"), f"dynamodb:{action}", table, context)


@pytest.mark.parametrize("action", ["kms:Decrypt", "kms:ReEncryptFrom"])
def test_only_four_roles_open_refresh_whatever_their_own_policies_say(action: str) -> None:
    roles = (*FUNCTIONS, "schedule", "reseal", "export", "portal", "admin", "refresh-2")
    opened = []
    for name in roles:
        principal = of("refresh").replace("refresh", name, 1)
        request = Request(principal, action, TOKEN_KEY, encryption(REFRESH_FIELDS))
        if decide(request, ANYTHING, GROUND.resource_policies()[TOKEN_KEY]) is Decision.ALLOWED:
            opened.append(name)
    assert sorted(opened) == ["export", "refresh", "reseal", "revoke"]


def test_of_the_functions_only_refresh_and_revoke_open_refresh() -> None:
    opened = [
        name for name in FUNCTIONS if may(of(name), "kms:Decrypt", TOKEN_KEY, encryption(REFRESH_FIELDS))
    ]
    assert opened == ["refresh", "revoke"]


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_nobody_uses_a_queue_without_tls(function: str, queue: str) -> None:
    for action in ("SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility"):
        assert not may(of(function), f"sqs:{action}", queue, {"aws:SecureTransport": "false"})


def test_what_is_allowed_stands_in_the_roles_and_nowhere_else() -> None:
    """Everything above would not see a managed policy, or one of a resource that lets somebody in."""
    resources = GROUND.stack.resources.values()
    kinds = {each["Type"] for each in resources if each["Type"].startswith("AWS::IAM::")}
    assert kinds == {"AWS::IAM::Role"}
    for role in GROUND.stack.of_type("AWS::IAM::Role").values():
        assert not {"ManagedPolicyArns", "PermissionsBoundary"} & role.keys()
    for table in GROUND.stack.of_type("AWS::DynamoDB::Table").values():
        assert "ResourcePolicy" not in table
    for permission in GROUND.stack.of_type("AWS::Lambda::Permission").values():
        assert permission["Principal"] == "apigateway.amazonaws.com"
