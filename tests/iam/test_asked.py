"""What a recorded call asks of IAM is what AWS would make of it; otherwise the proof would prove nothing."""

from typing import Any

import pytest

from tests.iam.asked import Ask, asks
from tests.iam.expressions import attributes_in, partition_value
from tests.iam.ground import Ground
from tests.iam.implied import BEHIND, behind, by_the_platform
from tests.template.policy import Request
from tests.template.translated import ACCOUNT, REGION

GROUND = Ground("local", {"k-1": "TokenKey"})
CONNECTIONS = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/mooring-local-connections"
FLOWS = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/mooring-local-flows"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:mooring-local-refresh"
ROW = {"merchant_id": {"S": "m-1"}, "connection": {"S": "xeno#a-1"}}


def record(
    service: str, operation: str, left_out: list[str] | None = None, **parameters: Any
) -> dict[str, Any]:
    return {
        "caller": "refresh",
        "service": service,
        "operation": operation,
        "parameters": parameters,
        "left_out": left_out or [],
    }


def one(service: str, operation: str, **parameters: Any) -> Request:
    (ask,) = asks(record(service, operation, **parameters), GROUND)
    return ask.request


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("", set()),
        ("#a, #b", {"A", "B"}),
        (
            "SET #a = if_not_exists(#a, :nought) + :one, #b.#a = :b REMOVE #c[0] ADD #d :d",
            {"A", "B", "C", "D"},
        ),
        ("attribute_not_exists(#a) OR (NOT contains(#b, :b) AND size(#b) < :size)", {"A", "B"}),
        ("plain = :plain and begins_with(other, :set)", {"plain", "other"}),
        ("#a IN (:in, :and) AND #b BETWEEN :b AND :c", {"A", "B"}),
    ],
)
def test_the_attributes_of_an_expression(expression: str, named: set[str]) -> None:
    assert attributes_in(expression, {"#a": "A", "#b": "B", "#c": "C", "#d": "D"}) == named


def test_an_alias_that_stands_for_nothing_is_no_guess() -> None:
    with pytest.raises(KeyError):
        attributes_in("#unknown = :a", {})


def test_a_query_that_names_no_partition_is_no_guess() -> None:
    query = {"KeyConditionExpression": "pk > :a", "KeyConditionValues": {":a": {"S": "x"}}}
    with pytest.raises(AssertionError, match="does not say which pk"):
        partition_value(query, "pk")


def test_an_update() -> None:
    request = one(
        "dynamodb",
        "UpdateItem",
        TableName="mooring-local-connections",
        Key=ROW,
        UpdateExpression="SET #s = :s",
        ConditionExpression="#v = :v",
        ExpressionAttributeNames={"#s": "status", "#v": "version"},
        ReturnValues="ALL_OLD",
    )
    assert request.principal.endswith(":role/mooring-local-refresh")
    assert (request.action, request.resource) == ("dynamodb:UpdateItem", CONNECTIONS)
    assert request.context == {
        "dynamodb:LeadingKeys": ["m-1"],
        "dynamodb:Attributes": ["connection", "merchant_id", "status", "version"],
        "dynamodb:ReturnValues": "ALL_OLD",
    }


def test_a_write_that_asks_for_nothing_back_says_so() -> None:
    request = one("dynamodb", "DeleteItem", TableName="mooring-local-flows", Key={"pk": {"S": "circuit#p"}})
    assert request.context["dynamodb:ReturnValues"] == "NONE"


def test_a_put_names_all_that_it_writes() -> None:
    request = one(
        "dynamodb",
        "PutItem",
        TableName="mooring-local-flows",
        Key={"pk": {"S": "tombstone#p#a"}},
        ItemAttributes=["at", "expires_at", "pk"],
    )
    assert request.context["dynamodb:Attributes"] == ["at", "expires_at", "pk"]
    assert request.context["dynamodb:LeadingKeys"] == ["tombstone#p#a"]


@pytest.mark.parametrize(
    ("asked", "selected"),
    [
        ({}, "ALL_ATTRIBUTES"),
        ({"ProjectionExpression": "generation"}, "SPECIFIC_ATTRIBUTES"),
        ({"Select": "COUNT"}, "COUNT"),
    ],
)
def test_what_a_read_selects(asked: dict[str, str], selected: str) -> None:
    request = one("dynamodb", "GetItem", TableName="mooring-local-connections", Key=ROW, **asked)
    assert request.context["dynamodb:Select"] == selected


def test_a_query_of_an_index_leads_with_the_indexs_key() -> None:
    request = one(
        "dynamodb",
        "Query",
        TableName="mooring-local-connections",
        IndexName="due",
        KeyConditionExpression="#s = :s AND #a <= :a",
        KeyConditionValues={":s": {"S": "xeno#3"}, ":a": {"N": "9"}},
        ExpressionAttributeNames={"#s": "due_shard", "#a": "due_at"},
    )
    assert request.resource == f"{CONNECTIONS}/index/due"
    assert request.context == {
        "dynamodb:LeadingKeys": ["xeno#3"],
        "dynamodb:Attributes": ["due_at", "due_shard"],
        "dynamodb:Select": "ALL_PROJECTED_ATTRIBUTES",
    }


def test_a_transaction_asks_for_each_of_its_parts() -> None:
    parts = [
        {
            "Update": {
                "TableName": "mooring-local-connections",
                "Key": ROW,
                "UpdateExpression": "SET version = :v",
            }
        },
        {"ConditionCheck": {"TableName": "mooring-local-flows", "Key": {"pk": {"S": "tombstone#x"}}}},
        {"Put": {"TableName": "mooring-local-flows", "Key": {"pk": {"S": "confirmation#x"}}}},
    ]
    found = [
        ask.request for ask in asks(record("dynamodb", "TransactWriteItems", TransactItems=parts), GROUND)
    ]
    assert [(request.action, request.resource) for request in found] == [
        ("dynamodb:UpdateItem", CONNECTIONS),
        ("dynamodb:ConditionCheckItem", FLOWS),
        ("dynamodb:PutItem", FLOWS),
    ]
    assert {request.context["dynamodb:EnclosingOperation"] for request in found} == {"TransactWriteItems"}
    assert found[1].context["dynamodb:LeadingKeys"] == ["tombstone#x"]


def test_a_batch_asks_for_each_table() -> None:
    tables = {
        "mooring-local-flows": {"Keys": [{"pk": {"S": "circuit#p"}}, {"pk": {"S": "circuit#q"}}]},
        "mooring-local-connections": {"Keys": [ROW], "ProjectionExpression": "version"},
    }
    flows, connections = (
        ask.request for ask in asks(record("dynamodb", "BatchGetItem", RequestItems=tables), GROUND)
    )
    assert flows.context["dynamodb:LeadingKeys"] == ["circuit#p", "circuit#q"]
    assert flows.context["dynamodb:Select"] == "ALL_ATTRIBUTES"
    assert connections.context["dynamodb:Select"] == "SPECIFIC_ATTRIBUTES"


def test_kms_shows_its_context() -> None:
    request = one("kms", "Decrypt", KeyId="arn:aws:kms:x:1:key/k-1", EncryptionContext={"field": "access"})
    assert request.resource == f"arn:aws:kms:{REGION}:{ACCOUNT}:key/TokenKey"
    assert request.context == {
        "kms:EncryptionContext:field": "access",
        "kms:EncryptionContextKeys": ["field"],
    }


def test_kms_without_a_context_has_no_such_keys() -> None:
    assert one("kms", "Decrypt", KeyId="k-1").context == {}


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "action", "resource"),
    [
        (
            "sqs",
            "SendMessageBatch",
            {"QueueUrl": "http://x/1/mooring-local-refresh"},
            "sqs:SendMessage",
            QUEUE,
        ),
        (
            "sqs",
            "ChangeMessageVisibility",
            {"QueueUrl": "http://x/1/mooring-local-refresh", "VisibilityTimeout": 15},
            "sqs:ChangeMessageVisibility",
            QUEUE,
        ),
        (
            "ssm",
            "GetParameter",
            {"Name": "/mooring/local/p/client_secret", "WithDecryption": True},
            "ssm:GetParameter",
            f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/mooring/local/p/client_secret",
        ),
        (
            "lambda",
            "Invoke",
            {"FunctionName": "mooring-local-refresh"},
            "lambda:InvokeFunction",
            f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:mooring-local-refresh",
        ),
    ],
)
def test_other_services(
    service: str, operation: str, parameters: dict[str, Any], action: str, resource: str
) -> None:
    request = one(service, operation, **parameters)
    assert (request.action, request.resource) == (action, resource)


def test_which_receipt_a_call_is_about_is_nothing_that_iam_decides_on() -> None:
    queue = "http://x/1/mooring-local-refresh"
    hurried = record("sqs", "ChangeMessageVisibility", ["ReceiptHandle"], QueueUrl=queue)
    assert [ask.request.resource for ask in asks(hurried, GROUND)] == [QUEUE]


@pytest.mark.parametrize(
    ("service", "operation", "left_out"),
    [
        ("s3", "GetObject", []),
        ("dynamodb", "ExecuteStatement", []),
        ("lambda", "UpdateFunctionCode", []),
        ("dynamodb", "GetItem", ["ReturnConsumedCapacity"]),
    ],
)
def test_what_is_not_understood_fails(service: str, operation: str, left_out: list[str]) -> None:
    with pytest.raises(AssertionError, match=r"nobody here knows|left out"):
        asks(record(service, operation, left_out, TableName="mooring-local-connections", Key=ROW), GROUND)


def test_what_touches_something_encrypted_touches_its_key() -> None:
    own = GROUND.principal("refresh")
    calls = [
        Ask(Request(own, "dynamodb:GetItem", CONNECTIONS), "x", 2),
        Ask(Request(own, "dynamodb:GetItem", CONNECTIONS, {"dynamodb:Select": "COUNT"}), "x", 3),
        Ask(Request(own, "sqs:SendMessage", QUEUE), "x"),
        Ask(Request(own, "sqs:DeleteMessage", QUEUE), "x"),
        Ask(Request(own, "sqs:ChangeMessageVisibility", QUEUE), "x"),
        Ask(Request(own, "lambda:InvokeFunction", "f"), "x"),
    ]
    found = [
        (ask.request.action, ask.request.context["kms:ViaService"], ask.times)
        for ask in behind(calls, GROUND)
    ]
    assert found == [
        ("kms:Decrypt", f"dynamodb.{REGION}.amazonaws.com", 5),
        ("kms:Decrypt", f"sqs.{REGION}.amazonaws.com", 1),
        ("kms:GenerateDataKey", f"sqs.{REGION}.amazonaws.com", 1),
    ]


def test_every_implied_call_says_where_that_is_written() -> None:
    sources = [known.source for known in BEHIND.values()] + [ask.why for ask in by_the_platform(GROUND)]
    assert len(sources) > 15
    assert all(source.startswith("https://docs.aws.amazon.com/") for source in sources)


def test_lambda_writes_logs_and_reads_queues_and_scheduler_starts_the_sweep() -> None:
    found = [
        (ask.request.principal.rpartition("-")[2], ask.request.action) for ask in by_the_platform(GROUND)
    ]
    assert found.count(("authorize", "logs:PutLogEvents")) == 1
    assert found.count(("refresh", "sqs:ReceiveMessage")) == 2
    assert found.count(("schedule", "lambda:InvokeFunction")) == 1
    sources = GROUND.stack.of_type("AWS::Lambda::EventSourceMapping").values()
    queues = [each for each in sources if ":sqs:" in each["EventSourceArn"]]
    # A stream: four for reading it, two for what is given up.
    assert len(found) == 2 * len(GROUND.functions()) + 3 * len(queues) + 6 * (len(sources) - len(queues)) + 1


def test_events_are_put_on_a_bus() -> None:
    request = one("events", "PutEvents", EventBusNames=["mooring-local"])
    assert (request.action, request.resource) == (
        "events:PutEvents",
        f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/mooring-local",
    )
    with pytest.raises(AssertionError, match="no event bus"):
        one("events", "PutEvents", EventBusNames=["default"])
    with pytest.raises(AssertionError, match="nobody here knows"):
        one("events", "PutRule", EventBusNames=["mooring-local"])


def test_an_object_is_put_into_a_bucket() -> None:
    request = one("s3", "PUT /mooring-local-undelivered-123456789012/mooring/announce/x.json")
    assert (request.action, request.resource) == (
        "s3:PutObject",
        f"arn:aws:s3:::mooring-local-undelivered-{ACCOUNT}/mooring/announce/x.json",
    )
    for other in ("GET /mooring-local-undelivered-1/x", "PUT /mooring-local-undelivered-1"):
        with pytest.raises(AssertionError, match="nobody here knows"):
            one("s3", other)


def test_an_object_is_encrypted_for_its_bucket() -> None:
    put = Ask(one("s3", "PUT /mooring-local-undelivered-1/x"), "called")
    (asked,) = behind([put], GROUND)
    assert (asked.request.action, asked.request.resource) == (
        "kms:GenerateDataKey",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/DataKey",
    )
    assert asked.request.context["kms:ViaService"] == f"s3.{REGION}.amazonaws.com"
