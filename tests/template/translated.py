"""template.yaml as CloudFormation will see it: translated by SAM, and with its intrinsics resolved."""

import functools
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import boto3
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

ROOT = Path(__file__).resolve().parents[2]
REGION, ACCOUNT, STAGE = "eu-central-1", "111122223333", "prod"
PSEUDO = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws", "AWS::NoValue": None}
GIVEN = {"Stage": STAGE, "DomainName": "connect.example.com"}
STREAM = "2026-11-22T00:00:00.000"
"""The label of a table's stream, which AWS makes of the time."""
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0f0f"

Json = dict[str, Any]

#: ARN and naming property of what has a name of ours, by type.
_ARNS = {
    "AWS::DynamoDB::Table": (f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{{name}}", "TableName"),
    "AWS::SQS::Queue": (f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{name}}", "QueueName"),
    "AWS::S3::Bucket": ("arn:aws:s3:::{name}", "BucketName"),
    "AWS::Events::EventBus": (f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{{name}}", "Name"),
    "AWS::Logs::LogGroup": (f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{name}}:*", "LogGroupName"),
    "AWS::IAM::Role": (f"arn:aws:iam::{ACCOUNT}:role/{{name}}", "RoleName"),
    "AWS::Lambda::Function": (f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{name}}", "FunctionName"),
}


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags."""


def _short_tag(loader: _Loader, suffix: str, node: yaml.Node) -> Json:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        raise AssertionError(f"unexpected !{suffix} on a mapping")
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_tag)


def source() -> Json:
    """template.yaml as written."""
    loaded: Json = yaml.load((ROOT / "template.yaml").read_text(), Loader=_Loader)
    return deepcopy(loaded)


@functools.cache
def _translated() -> Json:
    template = source()
    for resource in template["Resources"].values():
        for uri in ("CodeUri", "ContentUri"):
            if uri in resource.get("Properties", {}):
                resource["Properties"][uri] = f"s3://bucket/{resource['Properties'][uri]}"
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    out: Json = translator.translate(template, parameter_values=dict(GIVEN))
    return out


class Stack:
    """The translated template with parameters applied.

    What only exists after a deployment gets an ARN made from its name, so that policies can be evaluated
    against concrete requests.
    """

    def __init__(self, **parameters: str | int) -> None:
        self.template = deepcopy(_translated())
        defaults = {name: spec.get("Default") for name, spec in self.template["Parameters"].items()}
        self.values: Json = {**defaults, **GIVEN, **parameters, **PSEUDO}
        for name, spec in self.template["Parameters"].items():
            if spec["Type"] == "CommaDelimitedList":
                self.values[name] = self.values[name].split(",")
        self.resources: Json = {
            name: self.resolve({key: value for key, value in resource.items() if key != "Condition"})
            for name, resource in self.template["Resources"].items()
            if "Condition" not in resource or self.condition(resource["Condition"])
        }

    def of_type(self, kind: str) -> Json:
        """Properties of all resources of one type, by logical id."""
        return {name: r["Properties"] for name, r in self.resources.items() if r["Type"] == kind}

    def properties(self, name: str) -> Json:
        """Properties of one resource."""
        found: Json = self.resources[name]["Properties"]
        return found

    def statements(self, role: str) -> list[Json]:
        """All statements of a role's inline policies."""
        policies = self.properties(role)["Policies"]
        return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]

    def condition(self, name: str) -> bool:
        """Whether a condition holds with these parameters."""
        return bool(self._condition(self.template["Conditions"][name]))

    def resolve(self, value: Any) -> Any:
        """`value` without intrinsics; what resolves to AWS::NoValue is left out."""
        if isinstance(value, list):
            return [resolved for item in value if (resolved := self.resolve(item)) is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._intrinsic(name, argument)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not None}

    def _intrinsic(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return self.values[argument] if argument in self.values else self._reference(argument)
            case "Fn::GetAtt":
                return self._attribute(*argument)
            case "Fn::Sub":
                return self._substitute(argument)
            case "Fn::If":
                return self.resolve(argument[1] if self.condition(argument[0]) else argument[2])
            case "Fn::Join":
                return argument[0].join(str(part) for part in self.resolve(argument[1]))
        raise AssertionError(f"the template uses {name}, which this test cannot resolve")

    def _condition(self, expression: Json) -> bool:
        ((name, argument),) = expression.items()
        match name:
            case "Fn::Not":
                return not self._condition(argument[0])
            case "Fn::Equals":
                left, right = (str(self.resolve(side)) for side in argument)
                return left == right
        raise AssertionError(f"the template uses {name} in a condition, which this test cannot resolve")

    def _substitute(self, argument: Any) -> str:
        text, extra = argument if isinstance(argument, list) else (argument, {})

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in extra:
                return str(self.resolve(extra[name]))
            owner, dot, attribute = name.partition(".")
            return str(self._attribute(owner, attribute) if dot else self._intrinsic("Ref", name))

        return re.sub(r"\$\{([^}!]+)\}", value, text)

    def _reference(self, name: str) -> str:
        properties = self.template["Resources"][name].get("Properties", {})
        named = ("TableName", "LogGroupName", "FunctionName", "RoleName", "BucketName")
        for key in named + (("Name",) if self._type(name) == "AWS::Events::EventBus" else ()):
            if key in properties:
                return str(self.resolve(properties[key]))
        return name

    def _type(self, name: str) -> str:
        return str(self.template["Resources"][name]["Type"])

    def _attribute(self, name: str, attribute: str) -> str:
        resource = self.template["Resources"][name]
        properties: Mapping[str, Any] = resource.get("Properties", {})
        if attribute == "QueueName":
            return str(self.resolve(properties["QueueName"]))
        if attribute == "StreamArn":
            return f"{self._attribute(name, 'Arn')}/stream/{STREAM}"
        if attribute != "Arn":
            return f"{name}.{attribute}"
        if resource["Type"] == "AWS::KMS::Key":
            return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{name}"
        if resource["Type"] in _ARNS:
            arn, key = _ARNS[resource["Type"]]
            return arn.format(name=self.resolve(properties[key]))
        raise AssertionError(f"no ARN is known for {name} of type {resource['Type']}")
