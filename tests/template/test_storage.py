"""Tables, keys, queue and log groups: what must survive survives, and everything at rest is under our key."""

import pytest

from mooring.adapters.recovery_queue import AGAIN_SECONDS
from mooring.core.revocation import TRIES
from tests.template.policy import Decision, Request, decide
from tests.template.translated import ACCOUNT, REGION, Stack

STACK = Stack()
DATA_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/DataKey"
TABLES = ["ConnectionsTable", "FlowsTable"]
KEYS = ["TokenKey", "DataKey"]
GROUPS = {
    "AuthorizeLogGroup": "/aws/lambda/mooring-prod-authorize",
    "CallbackLogGroup": "/aws/lambda/mooring-prod-callback",
    "ConnectionsLogGroup": "/aws/lambda/mooring-prod-connections",
    "UninstallLogGroup": "/aws/lambda/mooring-prod-uninstall",
    "SweepLogGroup": "/aws/lambda/mooring-prod-sweep",
    "RefreshLogGroup": "/aws/lambda/mooring-prod-refresh",
    "RevokeLogGroup": "/aws/lambda/mooring-prod-revoke",
    "AnnounceLogGroup": "/aws/lambda/mooring-prod-announce",
    "AccessLogGroup": "/aws/vendedlogs/mooring-prod-access",
}
DAY = 24 * 3600
#: Queue, its dead-letter queue, and how often a message is tried.
QUEUES = [
    ("RecoveryQueue", "RecoveryDeadLetterQueue", 1000),
    ("RefreshQueue", "RefreshDeadLetterQueue", 5),
    ("RevokeQueue", "RevokeDeadLetterQueue", TRIES),
]
RETAINED = [name for queue, dead, _ in QUEUES if queue != "RefreshQueue" for name in (queue, dead)]
OUTLIVES = [*TABLES, *KEYS, *RETAINED, "UndeliveredBucket"]


@pytest.mark.parametrize("name", OUTLIVES)
def test_what_holds_tokens_outlives_the_stack(name: str) -> None:
    # Except what a first deployment made that then failed: with its fixed name it would end the second one.
    assert STACK.resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert STACK.resources[name]["UpdateReplacePolicy"] == "Retain"


def test_nothing_else_outlives_the_stack() -> None:
    policies = {name: resource.get("DeletionPolicy") for name, resource in STACK.resources.items()}
    kept = [name for name, policy in policies.items() if policy not in (None, "Delete")]
    assert sorted(kept) == sorted(OUTLIVES)


def test_there_are_no_other_tables_and_keys() -> None:
    assert sorted(STACK.of_type("AWS::DynamoDB::Table")) == sorted(TABLES)
    assert sorted(STACK.of_type("AWS::KMS::Key")) == sorted(KEYS)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_protected_recoverable_and_under_our_key(name: str) -> None:
    table = STACK.properties(name)
    assert table["DeletionProtectionEnabled"] is True
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": DATA_KEY}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_only_the_connections_table_has_a_stream_with_both_images() -> None:
    stream = STACK.properties("ConnectionsTable")["StreamSpecification"]
    assert stream == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert "StreamSpecification" not in STACK.properties("FlowsTable")


def test_what_could_not_be_told_lies_safe_and_out_of_sight() -> None:
    ((name, bucket),) = STACK.of_type("AWS::S3::Bucket").items()
    assert name in OUTLIVES
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": DATA_KEY,
    }
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 90)
    ((_, policy),) = STACK.of_type("AWS::S3::BucketPolicy").items()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    arn = f"arn:aws:s3:::mooring-prod-undelivered-{ACCOUNT}"
    assert statement["Resource"] == [arn, f"{arn}/*"]


def test_a_buckets_name_fits_with_the_longest_stage() -> None:
    assert len(Stack(Stage="s" * 16).properties("UndeliveredBucket")["BucketName"]) <= 63


def test_flows_expire_by_themselves_and_connections_never() -> None:
    ttl = {"AttributeName": "expires_at", "Enabled": True}
    assert STACK.properties("FlowsTable")["TimeToLiveSpecification"] == ttl
    assert "TimeToLiveSpecification" not in STACK.properties("ConnectionsTable")


def test_the_tables_keys_are_the_documented_ones() -> None:
    def keys(schema: list[dict[str, str]]) -> list[tuple[str, str]]:
        return [(key["AttributeName"], key["KeyType"]) for key in schema]

    connections = STACK.properties("ConnectionsTable")
    assert keys(connections["KeySchema"]) == [("merchant_id", "HASH"), ("connection", "RANGE")]
    (due,) = connections["GlobalSecondaryIndexes"]
    assert due["IndexName"] == "due"
    assert keys(due["KeySchema"]) == [("due_shard", "HASH"), ("due_at", "RANGE")]
    assert due["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    assert keys(STACK.properties("FlowsTable")["KeySchema"]) == [("pk", "HASH")]


@pytest.mark.parametrize("name", KEYS)
def test_a_key_rotates_and_takes_thirty_days_to_delete(name: str) -> None:
    assert STACK.properties(name)["EnableKeyRotation"] is True
    assert STACK.properties(name)["PendingWindowInDays"] == 30


def test_the_keys_have_their_aliases() -> None:
    aliases = {
        alias["AliasName"]: alias["TargetKeyId"] for alias in STACK.of_type("AWS::KMS::Alias").values()
    }
    assert aliases == {"alias/mooring-prod-token": "TokenKey", "alias/mooring-prod-data": "DataKey"}


def test_every_queue_is_under_our_key_and_named_after_its_stage() -> None:
    queues = STACK.of_type("AWS::SQS::Queue")
    assert set(queues) == {name for pair in QUEUES for name in pair[:2]}
    assert {queue["KmsMasterKeyId"] for queue in queues.values()} == {DATA_KEY}
    assert all(queue["QueueName"].startswith("mooring-prod-") for queue in queues.values())


def test_queues_keep_messages_as_long_as_they_are_of_use() -> None:
    kept = {name: queue["MessageRetentionPeriod"] for name, queue in STACK.of_type("AWS::SQS::Queue").items()}
    # A message's age counts from when it was first sent, also in a dead-letter queue.
    assert kept.pop("RefreshQueue") == 4 * DAY
    assert set(kept.values()) == {14 * DAY}


@pytest.mark.parametrize(("name", "dead", "tries"), QUEUES)
def test_what_fails_too_often_goes_to_a_dead_letter_queue_of_its_own(
    name: str, dead: str, tries: int
) -> None:
    queue, letters = STACK.properties(name), STACK.properties(dead)
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": arn + letters["QueueName"],
        "maxReceiveCount": tries,
    }
    assert letters["QueueName"] == f"{queue['QueueName']}-dead"
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [arn + queue["QueueName"]]}
    assert letters["RedriveAllowPolicy"] == allowed
    assert "RedrivePolicy" not in letters


def test_what_could_not_be_stored_is_tried_for_four_hours() -> None:
    tries = STACK.properties("RecoveryQueue")["RedrivePolicy"]["maxReceiveCount"]
    assert tries * AGAIN_SECONDS >= 4 * 3600
    assert tries <= 1000  # SQS counts no further


def test_every_log_group_has_a_retention_and_our_key() -> None:
    groups = STACK.of_type("AWS::Logs::LogGroup")
    assert {name: group["LogGroupName"] for name, group in groups.items()} == GROUPS
    assert all(group["RetentionInDays"] == 30 for group in groups.values())
    assert all(group["KmsKeyId"] == DATA_KEY for group in groups.values())
    other = Stack(LogRetentionDays=365)
    assert {group["RetentionInDays"] for group in other.of_type("AWS::Logs::LogGroup").values()} == {365}


def ask_as_logs(group: str, action: str) -> Decision:
    context = {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"}
    policy = STACK.properties("DataKey")["KeyPolicy"]["Statement"]
    return decide(Request(f"logs.{REGION}.amazonaws.com", action, DATA_KEY, context), [], policy)


@pytest.mark.parametrize("group", GROUPS.values())
def test_logs_encrypts_this_stacks_groups_with_the_data_key(group: str) -> None:
    for action in (
        "kms:GenerateDataKey",
        "kms:Decrypt",
        "kms:Encrypt",
        "kms:ReEncryptFrom",
        "kms:DescribeKey",
    ):
        assert ask_as_logs(group, action) is Decision.ALLOWED


def test_logs_encrypts_nothing_else_with_it() -> None:
    assert ask_as_logs("/aws/lambda/other", "kms:GenerateDataKey") is Decision.NOT_ALLOWED
    assert ask_as_logs("/aws/lambda/mooring-prod-callback2", "kms:Decrypt") is Decision.NOT_ALLOWED
    assert ask_as_logs(GROUPS["CallbackLogGroup"], "kms:CreateGrant") is Decision.NOT_ALLOWED


def test_grants_on_the_data_key_are_dynamodbs_alone() -> None:
    policy = STACK.properties("DataKey")["KeyPolicy"]["Statement"]
    deployer = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    role = f"arn:aws:iam::{ACCOUNT}:role/deployer"
    through = {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"}
    assert decide(Request(role, "kms:CreateGrant", DATA_KEY, through), deployer, policy) is Decision.ALLOWED
    assert decide(Request(role, "kms:CreateGrant", DATA_KEY), deployer, policy) is Decision.NOT_ALLOWED


def test_every_queue_is_reached_over_tls_only() -> None:
    policies = STACK.of_type("AWS::SQS::QueuePolicy")
    assert set(policies) == {f"{name}Policy" for name in STACK.of_type("AWS::SQS::Queue")}
    for name, policy in policies.items():
        queue = name.removesuffix("Policy")
        assert policy["Queues"] == [queue]
        (denial,) = policy["PolicyDocument"]["Statement"]
        assert (denial["Effect"], denial["Principal"]) == ("Deny", "*")
        assert denial["Resource"].endswith(f":{STACK.properties(queue)['QueueName']}")
        assert denial["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert {"sqs:SendMessage", "sqs:ReceiveMessage"} <= set(denial["Action"])
