"""What CloudFormation needs to take over what outlived a deleted stack.

Writes two files here: import-template.json, which is template.yaml with nothing but what the stack retains,
and import-resources.json, which names the real thing behind each. Asks AWS nothing. How to use them is in
docs/runbook.md#the-stack-was-deleted.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from samtranslator.yaml_helper import yaml_parse

TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"
RETAINED = "RetainExceptOnCreate"
TEMPLATE_FILE, RESOURCES_FILE = "import-template.json", "import-resources.json"


class Place(NamedTuple):
    """The installation whose stack was deleted. Key ids or ARNs stand under the keys' logical ids."""

    stage: str
    region: str
    account: str
    keys: Mapping[str, str]


#: The property that names a resource in the template, and the one that CloudFormation knows it by.
_NAMES = {
    "AWS::DynamoDB::Table": ("TableName", "TableName"),
    "AWS::S3::Bucket": ("BucketName", "BucketName"),
    "AWS::SQS::Queue": ("QueueName", "QueueUrl"),
    "AWS::KMS::Key": (None, "KeyId"),
}


def reduced(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template with nothing but what outlives its stack."""
    resources = {name: r for name, r in template["Resources"].items() if r.get("DeletionPolicy") == RETAINED}
    return {
        "AWSTemplateFormatVersion": template["AWSTemplateFormatVersion"],
        "Parameters": {"Stage": template["Parameters"]["Stage"]},
        "Resources": resources,
    }


def identified(template: Mapping[str, Any], place: Place) -> list[dict[str, Any]]:
    """Each resource of a reduced template with what it is in the account."""
    return [
        {
            "ResourceType": resource["Type"],
            "LogicalResourceId": name,
            "ResourceIdentifier": dict(_identifier(name, resource, place)),
        }
        for name, resource in template["Resources"].items()
    ]


def _identifier(name: str, resource: Mapping[str, Any], place: Place) -> Iterator[tuple[str, str]]:
    named, known = _NAMES[resource["Type"]]
    if named is None:
        yield known, place.keys[name].rpartition("/")[2]
        return
    values = {"Stage": place.stage, "AWS::AccountId": place.account}
    value = re.sub(
        r"\$\{([\w:]+)\}", lambda found: values[found[1]], resource["Properties"][named]["Fn::Sub"]
    )
    if known == "QueueUrl":
        value = f"https://sqs.{place.region}.amazonaws.com/{place.account}/{value}"
    yield known, value


def main(arguments: Sequence[str] | None = None, folder: Path = Path()) -> int:
    """Write both files into a folder; 0. A command line of no use raises SystemExit(2)."""
    parser = argparse.ArgumentParser(
        prog="tools.deploy_import", description=(__doc__ or "").partition("\n")[0]
    )
    for option in ("stage", "region", "account", "token-key", "data-key"):
        parser.add_argument(f"--{option}", required=True)
    given = parser.parse_args(arguments)
    place = Place(
        given.stage, given.region, given.account, {"TokenKey": given.token_key, "DataKey": given.data_key}
    )
    template = reduced(yaml_parse(TEMPLATE.read_text(encoding="utf-8")))
    for name, content in ((TEMPLATE_FILE, template), (RESOURCES_FILE, identified(template, place))):
        (folder / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
