"""What AWS does in a role's name, or asks of it, besides the calls that the function itself makes.

No recording can show these, so they are written down here, each with the page that says so.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tests.iam.asked import Ask, Context
from tests.iam.ground import Ground
from tests.template.policy import Request
from tests.template.translated import ACCOUNT, REGION

_DOCS = "https://docs.aws.amazon.com"
TABLES = f"{_DOCS}/amazondynamodb/latest/developerguide/encryption.usagenotes.html"
QUEUES = f"{_DOCS}/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html"
PARAMETERS = f"{_DOCS}/kms/latest/developerguide/services-parameter-store.html"
QUEUE_SOURCES = f"{_DOCS}/lambda/latest/dg/services-sqs-configure.html"
STREAM_SOURCES = f"{_DOCS}/lambda/latest/dg/services-dynamodb-eventsourcemapping.html"
GIVEN_UP = f"{_DOCS}/lambda/latest/dg/services-dynamodb-errors.html"
BUCKETS = f"{_DOCS}/AmazonS3/latest/userguide/UsingKMSEncryption.html"
LOGS = f"{_DOCS}/lambda/latest/dg/monitoring-cloudwatchlogs.html"
SCHEDULES = f"{_DOCS}/scheduler/latest/UserGuide/setting-up.html"


class Behind(NamedTuple):
    """What KMS is asked in the caller's name, and the page that says so."""

    actions: tuple[str, ...]
    source: str


#: DynamoDB names one list for all work on a table under a customer managed key; here it stands less what only
#: whoever makes the table needs (describing the key, grants). Reading needs Decrypt alone.
_READ = Behind(("Decrypt",), TABLES)
_WRITE = Behind(("Decrypt", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo"), TABLES)

BEHIND = {
    "dynamodb:BatchGetItem": _READ,
    "dynamodb:ConditionCheckItem": _READ,
    "dynamodb:GetItem": _READ,
    "dynamodb:GetRecords": _READ,
    "dynamodb:Query": _READ,
    "dynamodb:Scan": _READ,
    "dynamodb:DeleteItem": _WRITE,
    "dynamodb:PutItem": _WRITE,
    "dynamodb:UpdateItem": _WRITE,
    "s3:PutObject": Behind(("GenerateDataKey",), BUCKETS),
    "sqs:ReceiveMessage": Behind(("Decrypt",), QUEUES),
    "sqs:SendMessage": Behind(("Decrypt", "GenerateDataKey"), QUEUES),
    "ssm:GetParameter": Behind(("Decrypt",), PARAMETERS),
}
"""By the action that touches something encrypted; every other one needs no key."""


def behind(found: Iterable[Ask], ground: Ground) -> Iterator[Ask]:
    """What a service asks of KMS in the name of whoever made these calls."""
    same: dict[tuple[str, str, str], Ask] = {}
    for ask in found:
        which = (ask.request.principal, ask.request.action, ask.request.resource)
        known_times = same[which].times if which in same else 0
        same[which] = ask._replace(times=known_times + ask.times)
    for ask in same.values():
        request = ask.request
        known = BEHIND.get(request.action)
        key = _key(request, ground)
        if known is None or key is None:
            continue
        service = request.action.partition(":")[0]
        context = {"kms:ViaService": f"{service}.{REGION}.amazonaws.com", **_encryption_context(request)}
        for action in known.actions:
            yield Ask(Request(request.principal, f"kms:{action}", key, context), known.source, ask.times)


def by_the_platform(ground: Ground) -> Iterator[Ask]:
    """What Lambda and Scheduler do with the roles that the template gives them."""
    stack = ground.stack
    for function in stack.of_type("AWS::Lambda::Function").values():
        group = function["LoggingConfig"]["LogGroup"]
        stream = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:2026/11/22/[$LATEST]0f"
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            yield Ask(Request(function["Role"], action, stream), LOGS)
    for source in stack.of_type("AWS::Lambda::EventSourceMapping").values():
        role = ground.principal(source["FunctionName"].removeprefix(f"mooring-{ground.stage}-"))
        if ":dynamodb:" in source["EventSourceArn"]:
            yield from _of_a_stream(role, source)
            continue
        for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"):
            context = {"aws:SecureTransport": "true"}
            yield Ask(Request(role, action, source["EventSourceArn"], context), QUEUE_SOURCES)
    for schedule in stack.of_type("AWS::Scheduler::Schedule").values():
        target = schedule["Target"]
        yield Ask(Request(target["RoleArn"], "lambda:InvokeFunction", target["Arn"]), SCHEDULES)


def _of_a_stream(role: str, source: Mapping[str, Any]) -> Iterator[Ask]:
    """What Lambda needs to feed a function from a table's stream, and to give up what it cannot feed it."""
    for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"):
        yield Ask(Request(role, f"dynamodb:{action}", source["EventSourceArn"]), STREAM_SOURCES)
    bucket = source["DestinationConfig"]["OnFailure"]["Destination"]
    context = {"aws:SecureTransport": "true"}
    yield Ask(Request(role, "s3:ListBucket", bucket, context), GIVEN_UP)
    yield Ask(Request(role, "s3:PutObject", f"{bucket}/aws/lambda/x", context), GIVEN_UP)


def _key(request: Request, ground: Ground) -> str | None:
    # Parameters are not in the template: operators put them in, under this key.
    if request.action == "ssm:GetParameter":
        return ground.logical_key("DataKey")
    return ground.key_behind(request.resource)


def _encryption_context(request: Request) -> Context:
    """What the services put into the encryption context, as far as conditions may speak of it."""
    service, arn = request.action.partition(":")[0], request.resource
    named = {
        "dynamodb": {
            "aws:dynamodb:tableName": arn.split("/")[1 if "/stream/" in arn else -1],
            "aws:dynamodb:subscriberId": ACCOUNT,
        },
        "sqs": {"aws:sqs:arn": arn},
        "ssm": {"PARAMETER_ARN": arn},
        "s3": {"aws:s3:arn": arn.partition("/")[0]},
    }[service]
    context: Context = {f"kms:EncryptionContext:{name}": value for name, value in named.items()}
    return {**context, "kms:EncryptionContextKeys": sorted(named)}
