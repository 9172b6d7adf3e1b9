"""What CloudFormation is given to take over what outlived a deleted stack."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.docs.markdown import document
from tests.template.translated import ACCOUNT, REGION, Stack, source
from tools.deploy_import import RESOURCES_FILE, RETAINED, TEMPLATE_FILE, main

STACK = Stack()
KEPT = {name: r for name, r in STACK.resources.items() if r.get("DeletionPolicy") == RETAINED}
TOKEN_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1111"


@pytest.fixture
def written(tmp_path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    where = ["--stage", "prod", "--region", REGION, "--account", ACCOUNT]
    assert main([*where, "--token-key", TOKEN_KEY, "--data-key", "2222"], tmp_path) == 0
    template, resources = (
        json.loads((tmp_path / name).read_text()) for name in (TEMPLATE_FILE, RESOURCES_FILE)
    )
    return template, resources


def references(value: Any) -> set[str]:
    """Everything that a part of a template refers to."""
    if isinstance(value, list):
        return {name for item in value for name in references(item)}
    if not isinstance(value, dict):
        return set()
    if "Ref" in value:
        return {value["Ref"]}
    if "Fn::GetAtt" in value:
        return {value["Fn::GetAtt"][0]}
    return {name for item in value.values() for name in references(item)}


def test_the_template_is_what_outlives_the_stack_as_it_stands_and_nothing_else(
    written: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    template, _ = written
    # An import takes no other resources, no outputs, and is spared the transform.
    assert set(template) == {"AWSTemplateFormatVersion", "Parameters", "Resources"}
    assert template["Parameters"] == {"Stage": source()["Parameters"]["Stage"]}
    assert template["Resources"] == {name: source()["Resources"][name] for name in KEPT}
    known = {*template["Resources"], "Stage"}
    assert references(template["Resources"]) <= known
    assert len(json.dumps(template)) < 51_200, "CloudFormation takes no longer one from a file"


def test_each_resource_is_named_as_in_the_account(
    written: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    _, resources = written
    assert {one["LogicalResourceId"]: one["ResourceType"] for one in resources} == {
        name: resource["Type"] for name, resource in KEPT.items()
    }
    found = {one["LogicalResourceId"]: one["ResourceIdentifier"] for one in resources}
    assert (found["TokenKey"], found["DataKey"]) == ({"KeyId": "1111"}, {"KeyId": "2222"})
    for table in ("ConnectionsTable", "FlowsTable"):
        assert found[table] == {"TableName": STACK.properties(table)["TableName"]}
    assert found["UndeliveredBucket"] == {"BucketName": f"mooring-prod-undelivered-{ACCOUNT}"}
    for name, queue in STACK.of_type("AWS::SQS::Queue").items():
        if name in KEPT:
            url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{queue['QueueName']}"
            assert found[name] == {"QueueUrl": url}


def test_the_runbook_lists_what_is_still_there() -> None:
    rows = document("docs/runbook.md").rows("logical id", "type", "name")
    listed = {logical.strip("`"): (kind.strip("`"), name.strip("`")) for logical, kind, name in rows}
    assert {name: kind for name, (kind, _) in listed.items()} == {
        name: resource["Type"] for name, resource in KEPT.items()
    }
    for name, (_, physical) in listed.items():
        properties = KEPT[name]["Properties"]
        named = [properties[key] for key in ("TableName", "QueueName", "BucketName") if key in properties]
        assert [physical.replace("ACCOUNT", ACCOUNT)] == (named or [properties.get("Description")])
