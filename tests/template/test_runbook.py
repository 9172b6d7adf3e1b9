"""Commands of the runbook that do by hand what the template says: whole, and in the right order."""

import json
import re
import shlex
import subprocess
from typing import Any

import pytest

from tests.docs.markdown import document
from tests.template.translated import ACCOUNT, Stack

STACK = Stack()
RUNBOOK = document("docs/runbook.md")
FENCES = RUNBOOK.fences("sh")


def fence(*words: str) -> str:
    """The one block of commands that has all these words."""
    (found,) = [block for block in FENCES if all(word in block for word in words)]
    return found


def options(command: str, block: str) -> dict[str, str | bool]:
    """The options of the one `aws` command in a block that begins like this."""
    joined = block.replace("\\\n", " ")
    (line,) = [line for line in joined.splitlines() if line.startswith(f"aws {command} ")]
    words = shlex.split(line)[3:]
    found: dict[str, str | bool] = {}
    for name, value in zip(words, [*words[1:], "--"], strict=True):
        if name.startswith("--"):
            found[name] = True if value.startswith("--") else value
    return found


@pytest.mark.parametrize("block", FENCES)
def test_commands_are_ones_that_a_shell_takes(block: str) -> None:
    subprocess.run(["bash", "-n", "-c", block], check=True, timeout=60)


# -- stopping ------------------------------------------------------------------------------------------------


def test_what_feeds_a_function_is_stopped_before_the_function_and_started_after_it() -> None:
    blocks = RUNBOOK.text.partition("## Stopping the sweep")[2].partition("\n## ")[0]
    order = [
        blocks.index(words)
        for words in (
            "--state DISABLED",
            "--no-enabled",
            "put-function-concurrency --function-name mooring-prod-refresh",
            "delete-function-concurrency --function-name mooring-prod-refresh",
            "--enabled",
            "--state ENABLED",
        )
    ]
    first_enabled = blocks.index("--enabled", blocks.index("delete-function-concurrency"))
    assert order[:4] == sorted(order[:4])
    assert order[3] < first_enabled < order[5]


@pytest.mark.parametrize("name", ["docs/runbook.md", "docs/leaving.md", "docs/keys.md"])
def test_no_function_that_a_queue_feeds_is_stopped_while_it_is_fed(name: str) -> None:
    # Lambda would go on receiving, and each time count for the dead-letter queue.
    text = document(name).text
    for stopped in re.finditer(
        r"put-function-concurrency\s+--function-name mooring-prod-(\w+)\s+--reserved-concurrent-executions 0",
        text,
    ):
        fed = f"--function-name mooring-prod-{stopped[1]}"
        before = text[: stopped.start()].rpartition("\n## ")[2]
        assert fed in before
        assert "--no-enabled" in before


# -- restoring -----------------------------------------------------------------------------------------------


def test_a_restored_tables_stream_is_read_as_the_template_says() -> None:
    given = options("lambda create-event-source-mapping", fence("create-event-source-mapping"))
    wanted: dict[str, Any] = STACK.properties("AnnounceSource")
    bucket = STACK.properties("UndeliveredBucket")["BucketName"]
    destination = str(given.pop("--destination-config")).replace("$BUCKET", bucket)
    assert json.loads(destination) == wanted["DestinationConfig"]
    assert f"BUCKET={bucket.replace(ACCOUNT, '$(aws sts')}" in fence("create-event-source-mapping")
    assert json.loads(str(given.pop("--filter-criteria"))) == wanted["FilterCriteria"]
    assert given == {
        "--function-name": wanted["FunctionName"],
        "--event-source-arn": "$STREAM",
        "--starting-position": wanted["StartingPosition"],
        "--batch-size": str(wanted["BatchSize"]),
        "--parallelization-factor": str(wanted["ParallelizationFactor"]),
        "--function-response-types": " ".join(wanted["FunctionResponseTypes"]),
        "--bisect-batch-on-function-error": wanted["BisectBatchOnFunctionError"],
        "--maximum-retry-attempts": str(wanted["MaximumRetryAttempts"]),
        "--maximum-record-age-in-seconds": str(wanted["MaximumRecordAgeInSeconds"]),
    }
    told = {"EventSourceArn", "FunctionName", "DestinationConfig", "FilterCriteria", "StartingPosition"}
    told |= {"BatchSize", "ParallelizationFactor", "FunctionResponseTypes", "BisectBatchOnFunctionError"}
    assert set(wanted) == told | {"MaximumRetryAttempts", "MaximumRecordAgeInSeconds"}


@pytest.mark.parametrize("name", ["ConnectionsTable", "FlowsTable"])
def test_what_a_restore_leaves_out_is_set_again(name: str) -> None:
    table = STACK.properties(name)
    block = fence("update-continuous-backups", f"--table-name {table['TableName']} ")
    assert f"update-table --table-name {table['TableName']} --deletion-protection-enabled" in block
    assert "PointInTimeRecoveryEnabled=true" in block
    stream, ttl = table.get("StreamSpecification"), table.get("TimeToLiveSpecification")
    assert (f"StreamViewType={stream['StreamViewType']}" in block) if stream else ("Stream" not in block)
    assert (f"AttributeName={ttl['AttributeName']}" in block) if ttl else ("time-to-live" not in block)


def test_a_deleted_table_is_restored_under_its_key_and_billing() -> None:
    given = options("dynamodb restore-table-from-backup", fence("restore-table-from-backup"))
    assert given["--billing-mode-override"] == STACK.properties("ConnectionsTable")["BillingMode"]
    alias = STACK.properties("DataKeyAlias")["AliasName"]
    assert given["--sse-specification-override"] == f"Enabled=true,SSEType=KMS,KMSMasterKeyId={alias}"


# -- deploying -----------------------------------------------------------------------------------------------


def test_a_deployment_is_not_said_to_mend_what_was_changed_by_hand() -> None:
    # CloudFormation compares templates; it changes nothing where they are the same.
    text = " ".join(RUNBOOK.text.split())
    (said,) = re.findall(r"[^.:;]*\bdeploy again\b", text)
    assert said.startswith(" If a later deployment fails")
