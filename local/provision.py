"""Creates in the simulated AWS what template.yaml declares, and nothing from any other list.

moto's own CloudFormation leaves out what matters here (key specs, TTL, point-in-time recovery), so each
resource is created through its service's API. CloudFormation's property names are nearly those of boto3.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local import REGION
from local.callers import POLLER, credentials_of
from local.makers import Made, bucket, bus, call, queue_attributes
from local.not_here import NOT_HERE, OWN_NAME, stand_in
from local.template import Intrinsics, Route, TemplateError, routes, translate
from local.triggers import QueueTrigger, Schedule, StreamTrigger, queue_trigger, schedule, stream_trigger

_NAME_PREFIX = "mooring-local-"
CREDENTIALS = ("mooring-local", "mooring-local")
"""Access key id and secret of the local stack: fixed dummies, good for nothing else."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function as the template declares it, resolved.

    Attributes:
        logical_id: its name in the template.
        name: its code folder's name, for example `authorize`.
        handler: `module.function`.
        environment: its variables.
        timeout_seconds: its time limit.
        memory_mb: its memory.
        physical_name: what AWS calls it.
        reserved: how many of it may run at once; None without a limit of its own.
    """

    logical_id: str
    name: str
    handler: str
    environment: dict[str, str]
    timeout_seconds: int
    memory_mb: int
    physical_name: str
    reserved: int | None = None


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What the template became.

    Attributes:
        tables: physical table name by logical id.
        queues: URL by queue name.
        keys: key ARN by logical id.
        functions: every function of the template.
        routes: every route of the HTTP API.
        buses: name of each event bus by logical id.
        buckets: name of each bucket by logical id.
        queue_triggers: queues that feed functions.
        stream_triggers: table streams that feed functions.
        schedules: what starts functions again and again.
        left_out: logical ids that were not created, with the reason.
    """

    tables: dict[str, str] = field(default_factory=dict)
    queues: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    functions: list[Function] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    buses: dict[str, str] = field(default_factory=dict)
    buckets: dict[str, str] = field(default_factory=dict)
    queue_triggers: list[QueueTrigger] = field(default_factory=list)
    stream_triggers: list[StreamTrigger] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def short_name(name: str) -> str:
    """A physical name without what all of them start with: how people and tests call it."""
    return name.removeprefix(_NAME_PREFIX)


def client(service: str, endpoint_url: str, *, poller_of: str | None = None) -> Any:
    """A boto3 client of the simulated AWS.

    Args:
        service: as boto3 calls it.
        endpoint_url: the simulated AWS.
        poller_of: the function in whose name calls are made, when it is Lambda that makes them.
    """
    credentials = CREDENTIALS if poller_of is None else credentials_of(poller_of)
    # A session of its own: boto3's default one is shared, and its creation is not safe between threads.
    session = boto3.session.Session(*credentials, region_name=REGION)
    settings = Config(
        retries={"max_attempts": 1},
        connect_timeout=5,
        read_timeout=30,
        proxies={},
        user_agent_extra=None if poller_of is None else POLLER,
    )
    return session.client(service, endpoint_url=endpoint_url, config=settings)  # type: ignore[call-overload]


def provision(template: Path, *, endpoint_url: str, parameters: Mapping[str, str]) -> Provisioned:
    """Create every resource of the template.

    Args:
        template: template.yaml.
        endpoint_url: the simulated AWS, fresh.
        parameters: the template's parameters.

    Raises:
        TemplateError: the template asks for something that cannot be made here; named.
    """
    translated = translate(template, parameters)
    return _Provisioner(translated, parameters, endpoint_url).run()


class _Provisioner:
    """Creates resources in the order in which they need each other."""

    def __init__(
        self, translated: Mapping[str, Any], parameters: Mapping[str, str], endpoint_url: str
    ) -> None:
        self._template = translated
        self._endpoint_url = endpoint_url
        self._clients: dict[str, Any] = {}
        self._made: dict[str, Made | None] = {}
        self._result = Provisioned(routes=routes(translated))
        self._intrinsics = Intrinsics(translated, parameters, ref=self._ref, attribute=self._attribute)
        self._makers: dict[str, Callable[[str, dict[str, Any]], Made]] = {
            "AWS::DynamoDB::Table": self._table,
            "AWS::Events::EventBus": self._bus,
            "AWS::KMS::Alias": self._alias,
            "AWS::KMS::Key": self._key,
            "AWS::Lambda::EventSourceMapping": self._trigger,
            "AWS::S3::Bucket": self._bucket,
            "AWS::SQS::Queue": self._queue,
            "AWS::Scheduler::Schedule": self._schedule,
        }

    def run(self) -> Provisioned:
        for name, resource in self._template["Resources"].items():
            condition = resource.get("Condition")
            if condition and not self._intrinsics.condition(condition):
                self._result.left_out[name] = f"condition {condition} does not hold"
                continue
            self._make(name)
            if resource["Type"] == "AWS::Lambda::Function":
                self._result.functions.append(self._function(name, resource["Properties"]))
        return self._result

    def _ref(self, name: str) -> str:
        return self._make(name).ref

    def _attribute(self, name: str, attribute: str) -> str:
        attributes = self._make(name).attributes
        if attribute not in attributes:
            raise TemplateError(f"the local stack does not know the attribute {name}.{attribute}")
        return attributes[attribute]

    def _make(self, name: str) -> Made:
        if name in self._made:
            made = self._made[name]
            if made is None:
                raise TemplateError(f"{name} needs itself, directly or through others")
            return made
        if name not in self._template["Resources"]:
            raise TemplateError(f"{name} is neither a parameter nor a resource")
        self._made[name] = None
        resource = self._template["Resources"][name]
        kind = resource["Type"]
        if kind in NOT_HERE:
            self._result.left_out[name] = NOT_HERE[kind]
            properties = resource.get("Properties", {})
            ref = str(self._intrinsics.resolve(properties.get(OWN_NAME.get(kind, ""), name)))
            made = Made(ref, stand_in(kind, ref))
        elif kind in self._makers:
            made = self._makers[kind](name, self._intrinsics.resolve(resource.get("Properties", {})))
        else:
            raise TemplateError(
                f"{name}: the local stack cannot make a {kind}; teach it to local/provision.py, or list "
                f"the type in NOT_HERE with the reason why one machine does not need it"
            )
        self._made[name] = made
        return made

    def _function(self, name: str, properties: Mapping[str, Any]) -> Function:
        resolved = self._intrinsics.resolve(
            {
                key: properties[key]
                for key in ("Code", "Handler", "Timeout", "MemorySize", "ReservedConcurrentExecutions")
                if key in properties
            }
        )
        reserved = resolved.get("ReservedConcurrentExecutions")
        variables = self._intrinsics.resolve(properties.get("Environment", {}).get("Variables", {}))
        return Function(
            logical_id=name,
            name=str(resolved["Code"]["S3Key"]).rstrip("/").rpartition("/")[2],
            handler=resolved["Handler"],
            environment={key: str(value) for key, value in variables.items()},
            timeout_seconds=int(resolved.get("Timeout", 3)),
            memory_mb=int(resolved.get("MemorySize", 128)),
            physical_name=self._ref(name),
            reserved=None if reserved is None else int(reserved),
        )

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = client(service, self._endpoint_url)
        return self._clients[service]

    def _table(self, name: str, properties: dict[str, Any]) -> Made:
        dynamodb = self._client("dynamodb")
        ttl = properties.pop("TimeToLiveSpecification", None)
        recovery = properties.pop("PointInTimeRecoverySpecification", None)
        if stream := properties.get("StreamSpecification"):
            stream["StreamEnabled"] = True
        if encryption := properties.get("SSESpecification"):
            encryption["Enabled"] = encryption.pop("SSEEnabled")
        properties.setdefault("TableName", f"mooring-local-{name}")
        table = call(name, dynamodb.create_table, properties)["TableDescription"]
        if ttl:
            call(
                name,
                dynamodb.update_time_to_live,
                {"TableName": table["TableName"], "TimeToLiveSpecification": ttl},
            )
        if recovery:
            call(
                name,
                dynamodb.update_continuous_backups,
                {"TableName": table["TableName"], "PointInTimeRecoverySpecification": recovery},
            )
        self._result.tables[name] = table["TableName"]
        arns = {"Arn": table["TableArn"], "StreamArn": table.get("LatestStreamArn")}
        return Made(table["TableName"], {key: arn for key, arn in arns.items() if arn})

    def _key(self, name: str, properties: dict[str, Any]) -> Made:
        kms = self._client("kms")
        rotate = properties.pop("EnableKeyRotation", False)
        # Says how long a key lives on after the stack is gone; this one goes with its process.
        properties.pop("PendingWindowInDays", None)
        if policy := properties.pop("KeyPolicy", None):
            properties["Policy"] = json.dumps(policy)
        if tags := properties.pop("Tags", None):
            properties["Tags"] = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags]
        key = call(name, kms.create_key, properties)["KeyMetadata"]
        if rotate:
            call(name, kms.enable_key_rotation, {"KeyId": key["KeyId"]})
        self._result.keys[name] = key["Arn"]
        return Made(key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]})

    def _alias(self, name: str, properties: dict[str, Any]) -> Made:
        call(name, self._client("kms").create_alias, properties)
        return Made(properties["AliasName"], {})

    def _queue(self, name: str, properties: dict[str, Any]) -> Made:
        sqs = self._client("sqs")
        queue_name = properties.pop("QueueName", f"mooring-local-{name}")
        tags = {tag["Key"]: tag["Value"] for tag in properties.pop("Tags", [])}
        given = {"QueueName": queue_name, "Attributes": queue_attributes(properties), "tags": tags}
        url = call(name, sqs.create_queue, given)["QueueUrl"]
        wanted = {"QueueUrl": url, "AttributeNames": ["QueueArn"]}
        arn = call(name, sqs.get_queue_attributes, wanted)["Attributes"]["QueueArn"]
        self._result.queues[queue_name] = url
        return Made(url, {"Arn": arn, "QueueName": queue_name, "QueueUrl": url})

    def _bus(self, name: str, properties: dict[str, Any]) -> Made:
        made = bus(name, properties, self._client("events"))
        self._result.buses[name] = made.ref
        return made

    def _bucket(self, name: str, properties: dict[str, Any]) -> Made:
        made = bucket(name, properties, self._client("s3"))
        self._result.buckets[name] = made.ref
        return made

    def _trigger(self, name: str, properties: dict[str, Any]) -> Made:
        if ":dynamodb:" in properties["EventSourceArn"]:
            if changes := stream_trigger(name, properties):
                self._result.stream_triggers.append(changes)
        elif messages := queue_trigger(name, properties):
            self._result.queue_triggers.append(messages)
        return Made(name, {})

    def _schedule(self, name: str, properties: dict[str, Any]) -> Made:
        if found := schedule(name, properties):
            self._result.schedules.append(found)
        return Made(properties.get("Name", name), {})
