"""What the names of the running stack stand for in the translated template."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tests.template.policy import Statement
from tests.template.translated import ACCOUNT, REGION, Stack

KEYS = {"token": "TokenKey", "data": "DataKey"}
"""Logical ids of the keys, by the last part of their aliases."""


class Table(NamedTuple):
    """A table: its ARN, its key attributes and those of its indexes (partition first)."""

    arn: str
    keys: tuple[str, ...]
    indexes: Mapping[str, tuple[str, ...]]


class Ground:
    """The translated template of one stage, with ARNs as that stage has them.

    Args:
        stage: the stage whose names stand in the calls.
        keys: logical id of each KMS key by its key id.
    """

    def __init__(self, stage: str, keys: Mapping[str, str]) -> None:
        self.stage = stage
        self.stack = Stack(Stage=stage)
        self._keys = dict(keys)

    def principal(self, function: str) -> str:
        """ARN of the role of a function, by the function's short name."""
        return str(self._function(function)["Role"])

    def functions(self) -> dict[str, str]:
        """Every function's short name, by the ARN of its role."""
        prefix = f"mooring-{self.stage}-"
        made = self.stack.of_type("AWS::Lambda::Function").values()
        return {one["Role"]: one["FunctionName"].removeprefix(prefix) for one in made}

    def roles(self) -> dict[str, Sequence[Statement]]:
        """Statements of every role, by its ARN."""
        made = self.stack.of_type("AWS::IAM::Role")
        return {_role(each["RoleName"]): self.stack.statements(name) for name, each in made.items()}

    def resource_policies(self) -> dict[str, Sequence[Statement]]:
        """Statements of the policies of keys and queues, by the ARN of what they guard."""
        keys = self.stack.of_type("AWS::KMS::Key")
        found: dict[str, Sequence[Statement]] = {
            self.logical_key(name): each["KeyPolicy"]["Statement"] for name, each in keys.items()
        }
        for policy in self.stack.of_type("AWS::SQS::QueuePolicy").values():
            for name in policy["Queues"]:
                queue = self.stack.properties(name)["QueueName"]
                found[self.queue(queue)] = policy["PolicyDocument"]["Statement"]
        return found

    def table(self, name: str) -> Table:
        """A table by its name."""
        (found,) = [t for t in self.stack.of_type("AWS::DynamoDB::Table").values() if t["TableName"] == name]
        indexes = {index["IndexName"]: _key_names(index) for index in found.get("GlobalSecondaryIndexes", ())}
        return Table(f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}", _key_names(found), indexes)

    def queue(self, name: str) -> str:
        """ARN of a queue by its name."""
        known = [queue["QueueName"] for queue in self.stack.of_type("AWS::SQS::Queue").values()]
        assert name in known, f"the template has no queue {name}"
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def bus(self, name: str) -> str:
        """ARN of an event bus by its name."""
        known = [bus["Name"] for bus in self.stack.of_type("AWS::Events::EventBus").values()]
        assert name in known, f"the template has no event bus {name}"
        return f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}"

    def bucket(self, name: str) -> str:
        """ARN of a bucket by its name, which ends in the account's number."""
        stem = name.rpartition("-")[0]
        (found,) = [
            bucket["BucketName"]
            for bucket in self.stack.of_type("AWS::S3::Bucket").values()
            if bucket["BucketName"].rpartition("-")[0] == stem
        ]
        return f"arn:aws:s3:::{found}"

    def key(self, key_id: str) -> str:
        """ARN of a KMS key by its id or the running stack's ARN."""
        return self.logical_key(self._keys[key_id.rpartition("/")[2]])

    def parameter(self, name: str) -> str:
        """ARN of a parameter by its name, which begins with a slash."""
        return f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{name}"

    def function(self, name: str) -> str:
        """ARN of a function by its name or the running stack's ARN."""
        name = name.rpartition(":")[2]
        return str(self._arn(self._function(name.removeprefix(f"mooring-{self.stage}-"))["FunctionName"]))

    def key_behind(self, arn: str) -> str | None:
        """ARN of the key that a table, an index or stream of it, a queue or an object is encrypted with."""
        for table in self.stack.of_type("AWS::DynamoDB::Table").values():
            known = self.table(table["TableName"]).arn
            if arn == known or arn.startswith((f"{known}/index/", f"{known}/stream/")):
                return str(table["SSESpecification"]["KMSMasterKeyId"])
        for queue in self.stack.of_type("AWS::SQS::Queue").values():
            if arn == self.queue(queue["QueueName"]):
                return str(queue["KmsMasterKeyId"])
        for bucket in self.stack.of_type("AWS::S3::Bucket").values():
            if arn.startswith(f"arn:aws:s3:::{bucket['BucketName']}/"):
                (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
                return str(rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"])
        return None

    def _function(self, name: str) -> dict[str, Any]:
        wanted = f"mooring-{self.stage}-{name}"
        made = self.stack.of_type("AWS::Lambda::Function").values()
        found: list[dict[str, Any]] = [one for one in made if one["FunctionName"] == wanted]
        assert len(found) == 1, f"the template has no function {wanted}"
        return found[0]

    def _arn(self, function_name: str) -> str:
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function_name}"

    def logical_key(self, logical_id: str) -> str:
        """ARN of a KMS key by its name in the template."""
        return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{logical_id}"


def _role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def _key_names(owner: Mapping[str, Any]) -> tuple[str, ...]:
    by_kind = {part["KeyType"]: part["AttributeName"] for part in owner["KeySchema"]}
    return tuple(by_kind[kind] for kind in ("HASH", "RANGE") if kind in by_kind)
