"""What the simulated AWS remembers of its calls: what a policy decides on, and no value that is written."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local.aws_requests import note_call
from local.callers import credentials_of
from local.provision import client
from tests.local.toybox import call

CANARY = "canary-value"
FUNCTION = "refresh"


class Aws:
    """Clients with a function's own credentials, and what was seen of them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])

    def client(self, service: str) -> Any:
        session = boto3.session.Session(*credentials_of(FUNCTION), region_name="us-east-1")
        settings = Config(proxies={}, retries={"max_attempts": 0})
        return session.client(service, endpoint_url=self.url, config=settings)  # type: ignore[call-overload]

    def get(self, target: str) -> list[dict[str, Any]]:
        answer = call(self.port, "GET", f"/_local/{target}")
        assert answer.status == 200
        found: list[dict[str, Any]] = json.loads(answer.body)
        return found

    def calls(self, query: str = "") -> list[str]:
        answer = call(self.port, "GET", f"/_local/calls{query}")
        found: list[str] = json.loads(answer.body)
        return found

    def last(self) -> dict[str, Any]:
        """The parameters of the function's last call, in which nothing that was written may stand."""
        last = self.get(f"requests?function={FUNCTION}")[-1]
        assert CANARY not in json.dumps(last)
        parameters: dict[str, Any] = last["parameters"]
        return parameters


@pytest.fixture(scope="module")
def table(aws_url: str) -> str:
    client("dynamodb", aws_url).create_table(
        TableName="remembered",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("merchant_id", "connection")
        ],
        KeySchema=[
            {"AttributeName": "merchant_id", "KeyType": "HASH"},
            {"AttributeName": "connection", "KeyType": "RANGE"},
        ],
    )
    return "remembered"


@pytest.fixture
def aws(aws_url: str, table: str) -> Iterator[Aws]:
    seen = Aws(aws_url)
    yield seen
    for name in ("requests", "calls"):
        assert call(seen.port, "DELETE", f"/_local/{name}").status == 200


KEY = {"merchant_id": {"S": "m-1"}, "connection": {"S": "yotpo#s"}}


def test_a_call_is_known_by_its_caller_service_and_operation(aws: Aws, table: str) -> None:
    aws.client("dynamodb").get_item(TableName=table, Key=KEY, ProjectionExpression="expires_at")
    client("dynamodb", aws.url).get_item(TableName=table, Key=KEY)
    [own] = aws.get(f"requests?function={FUNCTION}")
    assert (own["caller"], own["service"], own["operation"]) == (FUNCTION, "dynamodb", "GetItem")
    assert own["target"] == "DynamoDB_20120810.GetItem"
    assert own["parameters"] == {"TableName": table, "Key": KEY, "ProjectionExpression": "expires_at"}
    assert [record["caller"] for record in aws.get("requests")][-2:] == [FUNCTION, None]
    assert aws.get("requests?function=sweep") == []
    assert aws.calls()[-2:] == ["DynamoDB_20120810.GetItem"] * 2
    assert aws.calls(f"?function={FUNCTION}") == ["DynamoDB_20120810.GetItem"]


def test_written_values_are_left_out_and_attribute_names_are_not(aws: Aws, table: str) -> None:
    dynamodb = aws.client("dynamodb")
    dynamodb.put_item(TableName=table, Item={**KEY, "access": {"S": CANARY}})
    assert aws.last() == {
        "TableName": table,
        "Key": KEY,
        "ItemAttributes": ["access", "connection", "merchant_id"],
    }
    dynamodb.update_item(
        TableName=table,
        Key=KEY,
        UpdateExpression="SET #a = :a REMOVE lease_owner",
        ConditionExpression="attribute_exists(merchant_id)",
        ExpressionAttributeNames={"#a": "access"},
        ExpressionAttributeValues={":a": {"S": CANARY}},
        ReturnValues="ALL_OLD",
    )
    said = aws.last()
    assert said["UpdateExpression"] == "SET #a = :a REMOVE lease_owner"
    assert said["ExpressionAttributeNames"] == {"#a": "access"}
    assert said["ReturnValues"] == "ALL_OLD"


def test_a_query_keeps_its_index_and_the_values_of_its_key_only(aws: Aws, table: str) -> None:
    aws.client("dynamodb").query(
        TableName=table,
        KeyConditionExpression="merchant_id = :m",
        FilterExpression="#s = :s",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":m": {"S": "m-1"}, ":s": {"S": CANARY}},
        Select="COUNT",
    )
    said = aws.last()
    assert said["KeyConditionValues"] == {":m": {"S": "m-1"}}
    assert (said["Select"], said["FilterExpression"]) == ("COUNT", "#s = :s")


def test_transactions_and_batches_are_kept_part_by_part(aws: Aws, table: str) -> None:
    dynamodb = aws.client("dynamodb")
    update = {
        "TableName": table,
        "Key": KEY,
        "UpdateExpression": "SET access = :a",
        "ExpressionAttributeValues": {":a": {"S": CANARY}},
    }
    other = {**KEY, "connection": {"S": "xeno#s"}}
    put = {"TableName": table, "Item": {**other, "refresh": {"S": CANARY}}}
    dynamodb.transact_write_items(TransactItems=[{"Update": update}, {"Put": put}])
    first, second = aws.last()["TransactItems"]
    assert first == {"Update": {"TableName": table, "Key": KEY, "UpdateExpression": "SET access = :a"}}
    assert second["Put"]["Key"] == other
    assert second["Put"]["ItemAttributes"] == ["connection", "merchant_id", "refresh"]
    asked = {table: {"Keys": [KEY], "ProjectionExpression": "generation"}}
    dynamodb.batch_get_item(RequestItems=asked)
    assert aws.last()["RequestItems"] == asked
    dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": put["Item"]}}]})
    [written] = aws.last()["RequestItems"][table]
    assert written["PutRequest"]["Key"] == other


def test_keys_of_kms_are_known_even_where_the_caller_names_none(aws: Aws) -> None:
    kms = aws.client("kms")
    key_id = client("kms", aws.url).create_key()["KeyMetadata"]["KeyId"]
    context = {"field": "access", "merchant_id": "m-1"}
    made = kms.generate_data_key(KeyId=key_id, KeySpec="AES_256", EncryptionContext=context)
    assert aws.last() == {"KeyId": key_id, "KeySpec": "AES_256", "EncryptionContext": context}
    kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=context)
    assert aws.last() == {"KeyId": key_id, "EncryptionContext": context}


def test_parameters_and_queues_are_known_by_name_and_messages_are_not_kept(aws: Aws) -> None:
    client("ssm", aws.url).put_parameter(Name="/a/b", Value=CANARY, Type="SecureString", Overwrite=True)
    aws.client("ssm").get_parameter(Name="/a/b", WithDecryption=True)
    assert aws.last() == {"Name": "/a/b", "WithDecryption": True}
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="kept")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=CANARY, DelaySeconds=7)
    assert aws.last() == {"QueueUrl": url, "DelaySeconds": 7}
    assert aws.get(f"requests?function={FUNCTION}")[-1]["left_out"] == ["MessageBody"]
    assert CANARY not in json.dumps(aws.get("requests"))


def test_other_protocols_are_seen_as_well(aws: Aws) -> None:
    aws.client("sts").get_caller_identity()
    assert aws.get(f"requests?function={FUNCTION}")[-1]["operation"] == "GetCallerIdentity"
    aws.client("s3").list_buckets()
    seen = aws.get(f"requests?function={FUNCTION}")[-1]
    assert (seen["service"], seen["operation"]) == ("s3", "GET /")


def test_lambdas_own_polls_are_no_calls_and_stand_once(aws: Aws) -> None:
    poller = client("sqs", aws.url, poller_of=FUNCTION)
    url = poller.create_queue(QueueName="looked-into")["QueueUrl"]
    call(aws.port, "DELETE", "/_local/calls")
    for _ in range(3):
        poller.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    polls = [
        record
        for record in aws.get(f"requests?function={FUNCTION}")
        if record["operation"] == "ReceiveMessage"
    ]
    assert [(record["polled"], record["parameters"]["QueueUrl"]) for record in polls] == [(True, url)]
    assert aws.calls() == []


def test_a_long_poll_is_one_call(aws: Aws) -> None:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="waited-for")["QueueUrl"]
    call(aws.port, "DELETE", "/_local/calls")
    sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)
    assert aws.calls() == ["AmazonSQS.ReceiveMessage"]


def test_a_call_made_elsewhere_can_be_added(aws: Aws) -> None:
    record = {"caller": FUNCTION, "target": "Lambda.Invoke", "parameters": {"FunctionName": "f"}}
    note_call(aws.url, record)
    assert aws.calls()[-1] == "Lambda.Invoke"
    assert aws.get(f"requests?function={FUNCTION}")[-1] == record
    assert call(aws.port, "POST", "/_local/requests", body=b"[]").status == 400


def test_a_note_to_nobody_is_no_error(aws: Aws) -> None:
    before = len(aws.get("requests"))
    note_call("http://127.0.0.1:9", {"target": "Lambda.Invoke"})
    assert len(aws.get("requests")) == before


def test_a_call_that_is_made_to_fail_is_seen(aws: Aws, table: str) -> None:
    fault = [{"target": "DynamoDB_20120810.GetItem", "status": 400, "code": "AccessDeniedException"}]
    call(aws.port, "POST", "/_local/faults", body=json.dumps(fault).encode())
    with pytest.raises(aws.client("dynamodb").exceptions.ClientError):
        aws.client("dynamodb").get_item(TableName=table, Key=KEY)
    assert aws.last()["TableName"] == table


def test_a_fault_can_be_one_functions_own(aws: Aws, table: str) -> None:
    target = "DynamoDB_20120810.GetItem"
    fault = [{"target": target, "status": 400, "code": "AccessDeniedException", "function": FUNCTION}]
    call(aws.port, "POST", "/_local/faults", body=json.dumps(fault).encode())
    client("dynamodb", aws.url).put_item(TableName=table, Item=KEY)
    assert "Item" in client("dynamodb", aws.url).get_item(TableName=table, Key=KEY)
    with pytest.raises(aws.client("dynamodb").exceptions.ClientError):
        aws.client("dynamodb").get_item(TableName=table, Key=KEY)
    assert "Item" in aws.client("dynamodb").get_item(TableName=table, Key=KEY)
