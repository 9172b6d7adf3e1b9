"""What the template declares is what the simulated AWS has; what cannot be made is said out loud."""

import json
from pathlib import Path

import pytest

from local import ROOT
from local.aws import AwsProcess
from local.makers import bucket
from local.not_here import NOT_HERE
from local.provision import Provisioned, client, provision
from local.template import Intrinsics, TemplateError, routes, translate
from local.triggers import QueueTrigger, Schedule
from tests.local.toybox import PARAMETERS, TOYS


@pytest.fixture(scope="module")
def toys(aws_url: str) -> Provisioned:
    return provision(TOYS / "template.yaml", endpoint_url=aws_url, parameters=PARAMETERS)


def test_tables_have_keys_indexes_ttl_recovery_and_protection(aws_url: str, toys: Provisioned) -> None:
    assert toys.tables == {"Table": "toys-local"}
    dynamodb = client("dynamodb", aws_url)
    table = dynamodb.describe_table(TableName="toys-local")["Table"]
    assert table["DeletionProtectionEnabled"] is True
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    [index] = table["GlobalSecondaryIndexes"]
    assert (index["IndexName"], index["Projection"]) == ("due", {"ProjectionType": "KEYS_ONLY"})
    assert table["SSEDescription"]["KMSMasterKeyArn"] == toys.keys["Key"]
    ttl = dynamodb.describe_time_to_live(TableName="toys-local")["TimeToLiveDescription"]
    assert ttl == {"AttributeName": "expires_at", "TimeToLiveStatus": "ENABLED"}
    backups = dynamodb.describe_continuous_backups(TableName="toys-local")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_keys_have_their_policy_rotation_and_alias(aws_url: str, toys: Provisioned) -> None:
    kms = client("kms", aws_url)
    key_id = kms.describe_key(KeyId="alias/toys-local")["KeyMetadata"]["KeyId"]
    assert toys.keys["Key"].endswith(f"key/{key_id}")
    assert kms.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is True
    policy = kms.get_key_policy(KeyId=key_id, PolicyName="default")["Policy"]
    assert '"arn:aws:iam::123456789012:root"' in policy
    assert '{"StringEquals": {"aws:PrincipalAccount": "123456789012"}}' in policy


def test_queues_have_their_attributes(aws_url: str, toys: Provisioned) -> None:
    url = toys.queues["toys-local"]
    attributes = client("sqs", aws_url).get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    assert attributes["Attributes"]["MessageRetentionPeriod"] == "1209600"
    assert attributes["Attributes"]["KmsMasterKeyId"] == toys.keys["Key"]


def test_functions_get_their_environment_resolved(toys: Provisioned) -> None:
    [echo] = toys.functions
    assert (echo.name, echo.handler, echo.timeout_seconds, echo.memory_mb) == (
        "echo",
        "handler.handler",
        2,
        256,
    )
    assert (echo.physical_name, echo.reserved) == ("toys-local-echo", 3)
    assert echo.environment == {
        "TABLE": "toys-local",
        "TABLE_ARN": "arn:aws:dynamodb:us-east-1:123456789012:table/toys-local",
        "QUEUE": toys.queues["toys-local"],
        "KEY": toys.keys["Key"],
        "BASE_URL": "https://127.0.0.1",
        "JOINED": "a-l-y",
        "LITERAL": "${kept} local",
    }


def test_a_dead_letter_queue_is_tied_to_its_queue(aws_url: str, toys: Provisioned) -> None:
    # Who may use it as one (RedriveAllowPolicy) is taken and forgotten by the simulated SQS.
    sqs = client("sqs", aws_url)
    url = toys.queues["toys-local-work"]
    said = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    dead = "arn:aws:sqs:us-east-1:123456789012:toys-local-dead"
    assert json.loads(said["RedrivePolicy"]) == {"deadLetterTargetArn": dead, "maxReceiveCount": 2}


def test_what_starts_functions_is_read_from_the_template(toys: Provisioned) -> None:
    arn = "arn:aws:sqs:us-east-1:123456789012:toys-local-work"
    assert toys.queue_triggers == [QueueTrigger("toys-local-echo", arn, 3, 0, 4, partial=True)]
    function = "arn:aws:lambda:us-east-1:123456789012:function:toys-local-echo"
    assert toys.schedules == [Schedule("toys-local-tick", function, 120, '{"do": "tick"}')]


def test_what_is_not_made_is_listed_with_the_reason(toys: Provisioned) -> None:
    assert toys.left_out["ProdOnly"] == "condition IsProd does not hold"
    assert toys.left_out["EchoRole"] == NOT_HERE["AWS::IAM::Role"]
    assert toys.left_out["Alarm"] == NOT_HERE["AWS::CloudWatch::Alarm"]
    made = {"Table", "Queue", "Key", "Alias", "WorkSource", "Tick"}
    assert made.isdisjoint(toys.left_out)


def test_routes_say_what_needs_a_signature_and_how_long_the_api_waits(toys: Provisioned) -> None:
    by_key = {f"{route.method} {route.path}": route for route in toys.routes}
    assert {key for key, route in by_key.items() if route.iam} == {
        "GET /merchants/{merchant_id}/connections",
        "POST /merchants/{merchant_id}/connections",
    }
    assert by_key["GET /impatient"].timeout_ms == 300
    assert by_key["GET /open/{name}"].timeout_ms == 30_000
    assert {route.function for route in toys.routes} == {"EchoFunction"}


_MINIMAL = """
Transform: AWS::Serverless-2016-10-31
Conditions:
  Looped: !Equals [a, a]
Resources:
"""


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ("  Odd: {Type: AWS::Redshift::Cluster}", "AWS::Redshift::Cluster"),
        (
            "  B: {Type: AWS::S3::Bucket, Properties: {BucketName: odd-one, WebsiteConfiguration: {}}}",
            "B: .*WebsiteConfiguration",
        ),
        (
            "  Q: {Type: AWS::SQS::Queue, Properties: {QueueName: !ImportValue x}}",
            "Fn::ImportValue is not supported",
        ),
        ("  Q: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref Nobody}}", "Nobody"),
        ("  Q: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt Q.Arn}}", "needs itself"),
        (
            "  R: {Type: AWS::IAM::Role}\n  Q: {Type: AWS::SQS::Queue, Properties: {A: !GetAtt R.RoleId}}",
            r"R\.RoleId",
        ),
        ("  K: {Type: AWS::KMS::Key, Properties: {KeyColour: red}}", "K: .*KeyColour"),
        ("  Q: {Type: AWS::SQS::Queue, Condition: Missing}", "no condition Missing"),
    ],
)
def test_what_cannot_be_made_is_named(aws_url: str, tmp_path: Path, resources: str, message: str) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(_MINIMAL + resources)
    with pytest.raises(TemplateError, match=message) as raised:
        provision(template, endpoint_url=aws_url, parameters={})
    assert "\n" not in str(raised.value)


def test_a_parameter_without_a_value_is_named() -> None:
    with pytest.raises(TemplateError, match="DomainName"):
        Intrinsics({"Parameters": {"DomainName": {}}}, {}, ref=str, attribute=lambda *_: "")


def test_a_policy_condition_is_not_mistaken_for_a_template_condition() -> None:
    intrinsics = Intrinsics({}, {}, ref=str, attribute=lambda *_: "")
    statement = {"Condition": {"StringEquals": {"a": {"Ref": "AWS::Region"}}}}
    assert intrinsics.resolve(statement) == {"Condition": {"StringEquals": {"a": "us-east-1"}}}


def test_the_real_template_can_be_made(tmp_path: Path) -> None:
    process = AwsProcess(tmp_path / "aws.log")
    try:
        made = provision(ROOT / "template.yaml", endpoint_url=process.endpoint_url(), parameters=PARAMETERS)
    finally:
        process.stop()
    assert {"ConnectionsTable", "FlowsTable"} <= made.tables.keys()
    assert {"TokenKey", "DataKey"} <= made.keys.keys()
    assert {"authorize", "callback", "connections"} <= {function.name for function in made.functions}
    assert made.buses == {"EventBus": "mooring-local"}
    assert made.buckets == {"UndeliveredBucket": "mooring-local-undelivered-123456789012"}
    (stream,) = made.stream_triggers
    assert (stream.table, stream.bucket) == ("mooring-local-connections", *made.buckets.values())
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}
    assert {function.name for function in made.functions} == folders
    signed = {route.path for route in made.routes if route.iam}
    assert signed == {route.path for route in made.routes if route.path.startswith("/merchants/")}


def test_routes_are_those_of_the_translated_template() -> None:
    translated = translate(TOYS / "template.yaml", PARAMETERS)
    assert len(routes(translated)) == 6


def test_a_bucket_is_as_private_and_safe_as_it_is_declared(aws_url: str) -> None:
    s3 = client("s3", aws_url)
    declared = {
        "BucketName": "declared",
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {
                    "BucketKeyEnabled": True,
                    "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"},
                }
            ]
        },
        "LifecycleConfiguration": {
            "Rules": [
                {"Id": "a", "Status": "Enabled", "ExpirationInDays": 90},
                {
                    "Id": "b",
                    "Status": "Enabled",
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                },
            ]
        },
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "RestrictPublicBuckets": True},
        "VersioningConfiguration": {"Status": "Enabled"},
    }
    made = bucket("B", declared, s3)
    assert (made.ref, made.attributes) == ("declared", {"Arn": "arn:aws:s3:::declared"})
    assert s3.get_bucket_versioning(Bucket="declared")["Status"] == "Enabled"
    access = s3.get_public_access_block(Bucket="declared")["PublicAccessBlockConfiguration"]
    assert access["BlockPublicAcls"] is True
    (rule,) = s3.get_bucket_encryption(Bucket="declared")["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    rules = s3.get_bucket_lifecycle_configuration(Bucket="declared")["Rules"]
    assert [(rule["ID"], rule.get("Expiration", {}).get("Days")) for rule in rules] == [
        ("a", 90),
        ("b", None),
    ]
    assert "BucketName" in declared, "what the template says stays as it is"
