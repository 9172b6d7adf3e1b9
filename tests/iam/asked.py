"""What a recorded call asks of IAM: action, resource, and the condition keys that AWS derives from it.

Which keys an action has: https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
What DynamoDB's mean: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
What KMS's mean: https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.iam.expressions import attributes_in, partition_value
from tests.iam.ground import Ground, Table
from tests.template.policy import Request

Context = dict[str, str | list[str]]
View = Mapping[str, Any]

_READS = frozenset({"GetItem", "Query", "BatchGetItem", "Scan"})
_WRITES = frozenset({"UpdateItem", "PutItem", "DeleteItem"})
_PARTS = {
    "Update": "UpdateItem",
    "Put": "PutItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
_ONE_BY_ONE = {"SendMessageBatch": "SendMessage", "DeleteMessageBatch": "DeleteMessage"}
_EXPRESSIONS = (
    "ProjectionExpression",
    "KeyConditionExpression",
    "UpdateExpression",
    "ConditionExpression",
    "FilterExpression",
)
#: What the recording leaves out, and no condition key speaks of.
_IMMATERIAL = {
    "dynamodb": {
        "ClientRequestToken",
        "ExclusiveStartKey",
        "ExpressionAttributeValues",
        "Item",
        "RequestItems",
        "TransactItems",
    },
    "kms": {"CiphertextBlob"},
    "sqs": {"Entries", "MessageBody", "ReceiptHandle"},
    "lambda": {"Payload"},
    "events": {"Entries"},
    "s3": {"version", "requestContext", "payload"},
    "ssm": set[str](),
}


class Ask(NamedTuple):
    """One thing that was asked of IAM.

    Attributes:
        request: what was asked.
        why: the call that was made, or the page that says what implies it.
        times: how often.
    """

    request: Request
    why: str
    times: int = 1


def asks(record: View, ground: Ground) -> list[Ask]:
    """What one call of a function asks of IAM; several things where it has several parts.

    Args:
        record: as the simulated AWS remembers it; `times` where it stands for several.
        ground: what the names in it stand for.

    Raises:
        AssertionError: a call, or a parameter of it, that this test does not understand.
    """
    service, operation = str(record["service"]), str(record["operation"])
    assert service in _IMMATERIAL, f"nobody here knows what {service}:{operation} asks of IAM"
    unknown = set(record["left_out"]) - _IMMATERIAL[service]
    assert not unknown, f"{service}:{operation} has parameters that the recording left out: {unknown}"
    principal, given = ground.principal(record["caller"]), record["parameters"]
    return [
        Ask(Request(principal, f"{service}:{action}", resource, context), operation, record.get("times", 1))
        for action, resource, context in _DERIVED[service](operation, given, ground)
    ]


_Asked = Iterator[tuple[str, str, Context]]


def _dynamodb(operation: str, given: View, ground: Ground) -> _Asked:
    """A transaction needs the permission of each of its parts, a batch that of the batch on each table."""
    match operation:
        case "TransactWriteItems":
            for part in given["TransactItems"]:
                ((kind, view),) = part.items()
                yield _on_table(_PARTS[kind], view, ground, {"dynamodb:EnclosingOperation": operation})
        case "BatchGetItem":
            for name, view in given["RequestItems"].items():
                yield _on_table(operation, {**view, "TableName": name}, ground, {})
        case "DescribeTable":
            yield operation, ground.table(given["TableName"]).arn, {}
        case _:
            assert operation in _READS | _WRITES, f"nobody here knows what dynamodb:{operation} asks of IAM"
            yield _on_table(operation, given, ground, {})


def _on_table(operation: str, view: View, ground: Ground, context: Context) -> tuple[str, str, Context]:
    table = ground.table(view["TableName"])
    index = view.get("IndexName")
    context = {**context, **_fine_grained(operation, view, table, index)}
    return operation, f"{table.arn}/index/{index}" if index else table.arn, context


def _fine_grained(operation: str, view: View, table: Table, index: str | None) -> Context:
    """DynamoDB's condition keys. An attribute inside of another counts as the outer one."""
    partition = table.indexes[index][0] if index else table.keys[0]
    keys = view.get("Keys") or ([view["Key"]] if "Key" in view else [])
    leading = [str(next(iter(key[partition].values()))) for key in keys]
    if "KeyConditionExpression" in view:
        leading = [partition_value(view, partition)]
    named = {name for key in keys for name in key} | set(view.get("ItemAttributes", ()))
    for expression in _EXPRESSIONS:
        named |= attributes_in(view.get(expression, ""), view.get("ExpressionAttributeNames", {}))
    context: Context = {"dynamodb:LeadingKeys": sorted(set(leading)), "dynamodb:Attributes": sorted(named)}
    if operation in _READS:
        context["dynamodb:Select"] = _selected(view, index)
    elif operation in _WRITES:
        context["dynamodb:ReturnValues"] = str(view.get("ReturnValues", "NONE"))
    return context


def _selected(view: View, index: str | None) -> str:
    """`Select` as given, or what it is when only a projection, or nothing, says what to return."""
    whole = "ALL_PROJECTED_ATTRIBUTES" if index else "ALL_ATTRIBUTES"
    return str(view.get("Select") or ("SPECIFIC_ATTRIBUTES" if "ProjectionExpression" in view else whole))


def _kms(operation: str, given: View, ground: Ground) -> _Asked:
    """ReEncrypt needs one permission on each of its keys, with the context that it names for that one."""
    if operation == "ReEncrypt":
        yield "ReEncryptFrom", ground.key(given["KeyId"]), _sealing(given["SourceEncryptionContext"])
        to = ground.key(given["DestinationKeyId"])
        yield "ReEncryptTo", to, _sealing(given["DestinationEncryptionContext"])
        return
    yield operation, ground.key(given["KeyId"]), _sealing(given.get("EncryptionContext", {}))


def _sealing(fields: Mapping[str, str]) -> Context:
    context: Context = {f"kms:EncryptionContext:{name}": str(value) for name, value in fields.items()}
    if fields:
        context["kms:EncryptionContextKeys"] = sorted(fields)
    return context


def _sqs(operation: str, given: View, ground: Ground) -> _Asked:
    name = str(given["QueueUrl"]).rpartition("/")[2]
    yield _ONE_BY_ONE.get(operation, operation), ground.queue(name), {"aws:SecureTransport": "true"}


def _ssm(operation: str, given: View, ground: Ground) -> _Asked:
    assert given.get("WithDecryption") is True, "every parameter of ours is a SecureString"
    yield operation, ground.parameter(given["Name"]), {}


def _lambda(operation: str, given: View, ground: Ground) -> _Asked:
    assert operation == "Invoke", f"nobody here knows what lambda:{operation} asks of IAM"
    yield "InvokeFunction", ground.function(given["FunctionName"]), {}


def _events(operation: str, given: View, ground: Ground) -> _Asked:
    assert operation == "PutEvents", f"nobody here knows what events:{operation} asks of IAM"
    for name in given["EventBusNames"]:
        yield operation, ground.bus(name), {}


def _s3(operation: str, _given: View, ground: Ground) -> _Asked:
    """S3 has no targets: the operation is method and path, and a PUT of a key puts an object."""
    method, _, path = operation.partition(" /")
    bucket, _, key = path.partition("/")
    assert (method, bool(key)) == ("PUT", True), f"nobody here knows what s3: {operation} asks of IAM"
    yield "PutObject", f"{ground.bucket(bucket)}/{key}", {"aws:SecureTransport": "true"}


_DERIVED = {
    "events": _events,
    "s3": _s3,
    "dynamodb": _dynamodb,
    "kms": _kms,
    "sqs": _sqs,
    "ssm": _ssm,
    "lambda": _lambda,
}
