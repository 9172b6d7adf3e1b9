"""`mooring doctor` on tables and queues that really are there, local and deployed."""

import json
import logging
import os
import pty
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mooring.adapters.dynamodb_circuits import DynamoCircuits
from mooring.adapters.dynamodb_leases import DynamoLeases
from mooring.adapters.work_messages import message
from mooring.core.errors import Reason
from mooring.core.upkeep import Cause, Key, Leased, Order, Setback
from tests.cli.aws_on_sockets import FakeAws
from tests.cli.conftest import Command
from tests.cli.stack_on_sockets import REGION, FakeStack
from tests.docs.markdown import document


def levels(report: dict[str, Any]) -> dict[str, str]:
    return {finding["name"]: finding["level"] for finding in report["findings"]}


def ill(aws: FakeAws) -> None:
    """One of everything that can be wrong."""
    now = int(time.time())
    aws.put("m-1", "acme#late", due_at=now - 900)
    aws.put("m-1", "acme#doubt", attempts=["a", "b"], attempt_at=now - 700)
    aws.put("m-2", "acme#stuck", attempts=["a"], attempt_at=now - 700, lease_until=now - 650)
    aws.put("m-2", "acme#off", retry_at=now + 100, last_error="provider_timeout")
    aws.put("m-3", "other#gone", "uninstalled")
    aws.put("m-3", "other#lost", "needs_reconnect", last_error="grant_refused")
    aws.put("m-4", "other#ends", expiring_at=now + 7_260)
    aws.put("m-3", "@pending#0a", "pending_confirmation", pending_until=now + 60)
    aws.put("@account#acme#late", "m-1")
    aws.open_circuit("acme", now - 7200)
    aws.open_circuit("other", now - 40 * 86_400)
    aws.send("refresh", 2)
    aws.send("recovery-dead")


def test_a_healthy_stack(mooring: Command, local: FakeAws) -> None:
    local.put("m-1", "acme#shop-7", due_at=int(time.time()) + 600)
    answer = mooring("doctor")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0].startswith(f"Stage local in {REGION} at 2")
    assert lines[0].endswith(": 1 connection.")
    assert lines[2].split() == ["provider", "active", "needs_reconnect", "uninstalled", "disconnected"]
    assert lines[3].split() == ["acme", "1", "0", "0", "0"]
    assert lines[-1] == "Healthy: nothing needs attention."
    assert "sweep" not in answer.out


def test_an_empty_stack(mooring: Command, local: FakeAws) -> None:
    answer = mooring("doctor")
    assert (answer.code, answer.err) == (0, "")
    assert "0 connections." in answer.out
    assert "provider" not in answer.out.splitlines()[2]


def test_everything_wrong_at_once(mooring: Command, local: FakeAws) -> None:
    ill(local)
    answer = mooring("doctor")
    assert (answer.code, answer.err) == (1, "")
    assert answer.out.splitlines()[-1] == (
        "Not healthy: look after overdue, in doubt, stuck leases, circuits, queue recovery-dead."
    )
    for text in (
        "attention  overdue",
        "1 connection, the oldest for 15 min: m-1 acme late",
        "See docs/runbook.md#alarm-overdue",
        "2 connections, the oldest for 11 min: m-",
        "note       put off",
        "acme: open for 2 h (provider_misconfigured)",
        "note       queue refresh ",
        "2 messages",
        "1 pending",
        "1 connection must be reconnected within 2 h, the first in 2 h: m-4 other ends",
        "through once more: mooring redrive --queue recovery\n",
    ):
        assert text in answer.out
    assert "sealed" not in answer.out


def test_json(mooring: Command, local: FakeAws) -> None:
    ill(local)
    answer = mooring("doctor", "--json")
    assert (answer.code, answer.err, answer.out.count("\n")) == (1, "", 1)
    report = json.loads(answer.out)
    assert (report["stage"], report["region"], report["healthy"]) == ("local", REGION, False)
    assert abs(report["at"] - time.time()) < 60
    assert report["connections"] == {
        "acme": {"active": 4},
        "other": {"active": 1, "uninstalled": 1, "needs_reconnect": 1},
    }
    assert (report["expiring"]["count"], report["expiring"]["first"]) == (1, "m-4 other ends")
    assert report["expiring"]["first_seconds"] == pytest.approx(7_260, abs=60)
    assert (report["overdue"]["count"], report["overdue"]["oldest"]) == (1, "m-1 acme late")
    assert report["overdue"]["oldest_seconds"] == pytest.approx(900, abs=60)
    assert (report["in_doubt"]["count"], report["stuck_leases"]["count"]) == (2, 1)
    assert report["put_off"] == {"count": 1, "reasons": {"provider_timeout": 1}}
    assert report["needs_reconnect"] == {"count": 1, "reasons": {"grant_refused": 1}}
    assert report["confirmations"] == {"pending": 1, "lapsed": 0}
    assert [(circuit["provider"], circuit["reason"]) for circuit in report["circuits"]] == [
        ("acme", "provider_misconfigured")
    ]
    assert report["queues"]["refresh"] == {
        "name": "refresh",
        "waiting": 2,
        "in_work": 0,
        "delayed": 0,
        "oldest_seconds": None,
        "depth": 2,
    }
    assert report["sweep"] is None
    assert levels(report)["queue recovery-dead"] == "attention"
    assert "sealed" not in answer.out


def test_a_circuit_that_was_closed_is_no_trouble(mooring: Command, local: FakeAws) -> None:
    now = int(time.time())
    local.put("m-1", "acme#shop-7", due_at=now + 600)
    local.open_circuit("acme", now - 7_200)
    DynamoCircuits(local.client("dynamodb"), local.table("flows")).close("acme", now - 300)
    answer = mooring("doctor")
    assert (answer.code, answer.err) == (0, "")
    assert "acme: closed 5 min ago (provider_misconfigured); its share grows again" in answer.out
    (circuit,) = json.loads(mooring("doctor", "--json").out)["circuits"]
    assert (circuit["provider"], circuit["closed_at"]) == ("acme", now - 300)


def test_what_a_worker_leaves_behind(mooring: Command, local: FakeAws) -> None:
    now = int(time.time())
    leases = DynamoLeases(local.client("dynamodb"), local.table("connections"))
    for account, at in (("dead", now - 700), ("at-work", now), ("timeout", now - 60), ("refused", now - 60)):
        local.put("m-1", f"acme#{account}", due_at=at)
        order = Order(Key("m-1", "acme", account), None, Cause.DUE)
        leased = leases.lease(order, f"attempt-{account}", at, rotates=True)
        assert isinstance(leased, Leased)
        if account == "timeout":
            leases.put_off(leased, Setback(Reason.PROVIDER_TIMEOUT, now + 60, in_doubt=True), now)
        if account == "refused":
            leases.lose(leased, Reason.GRANT_REFUSED, now)
    report = json.loads(mooring("doctor", "--json").out)
    assert (report["in_doubt"]["count"], report["in_doubt"]["oldest"]) == (2, "m-1 acme dead")
    assert (report["stuck_leases"]["count"], report["stuck_leases"]["oldest"]) == (1, "m-1 acme dead")
    assert report["put_off"] == {"count": 1, "reasons": {"provider_timeout": 1}}
    assert report["needs_reconnect"] == {"count": 1, "reasons": {"grant_refused": 1}}
    assert report["overdue"]["count"] == 0


def test_refreshes_that_fail_and_fail(mooring: Command, local: FakeAws) -> None:
    """A dead provider: every row has its pause, the sweep runs, the queue is empty, and it is not well."""
    now = int(time.time())
    leases = DynamoLeases(local.client("dynamodb"), local.table("connections"))
    for account, since, reason in (
        ("days", now - 3 * 86_400, Reason.PROVIDER_UNAVAILABLE),
        ("hour", now - 7_200, Reason.PROVIDER_UNAVAILABLE),
        ("minute", now - 60, Reason.PROVIDER_TIMEOUT),
    ):
        local.put("m-1", f"acme#{account}", due_at=since, expires_at=since + 900)
        leased = leases.lease(Order(Key("m-1", "acme", account), None, Cause.DUE), "a-1", since, rotates=True)
        assert isinstance(leased, Leased)
        leases.put_off(leased, Setback(reason, now + 200, in_doubt=True, wait=False), since)
    answer = mooring("doctor")
    assert answer.code == 1
    assert answer.out.splitlines()[-1] == "Not healthy: look after failing."
    for text in (
        "2 connections, the oldest for 3 days: m-1 acme days; mostly provider_unavailable (2); 2 tokens dead",
        "Try the oldest, and see: mooring refresh m-1 acme days\n",
        "See docs/runbook.md#alarm-overdue",
        "note       in doubt             3 connections; the sweep tries again by itself",
    ):
        assert text in answer.out
    report = json.loads(mooring("doctor", "--json").out)
    assert (report["failing"]["count"], report["failing"]["oldest"]) == (2, "m-1 acme days")
    assert (report["failing_reasons"], report["dead_tokens"]) == ({"provider_unavailable": 2}, 2)
    assert report["in_doubt"] == {"count": 3, "oldest_seconds": None, "oldest": None}


def test_a_provider_that_is_not_enabled(mooring: Command, local: FakeAws, stack: FakeStack) -> None:
    stack.enables("other")
    local.put("m-1", "acme#late", due_at=int(time.time()) - 900)
    local.put("m-1", "other#shop-7")
    answer = mooring("doctor")
    assert answer.code == 1
    assert answer.out.splitlines()[-1] == "Not healthy: look after disabled."
    for text in (
        "are not enabled in the running stack: acme 1. Nothing refreshes them; ",
        "Enable acme again in mooring.yaml, or end what is left: mooring disconnect m-1 acme late\n",
    ):
        assert text in answer.out
    report = json.loads(mooring("doctor", "--json").out)
    assert (report["disabled"], report["forsaken"]["oldest"]) == ({"acme": 1}, "m-1 acme late")
    assert report["overdue"]["count"] == 0


@pytest.mark.parametrize(
    ("settings", "finding"),
    [
        ("providers: {other: {}}", "disabled"),
        ("providers: {acme: {}}", "overdue"),
        ("providers: [acme]", "overdue"),
        ("providers: {broken", "overdue"),
    ],
)
def test_what_a_deployed_stage_enables_is_read_from_the_project(
    settings: str, finding: str, mooring: Command, deployed: FakeAws, tmp_path: Path
) -> None:
    (tmp_path / "mooring.yaml").write_text(settings)
    deployed.put("m-1", "acme#late", due_at=int(time.time()) - 900)
    answer = mooring("doctor", "--stage", deployed.stage, "--region", REGION, "--json")
    report = json.loads(answer.out)
    bad = [
        found for found in report["findings"] if found["level"] == "attention" and found["name"] != "sweep"
    ]
    assert [found["name"] for found in bad] == [finding]
    assert ("not enabled in mooring.yaml: acme 1." in bad[0]["text"]) is (finding == "disabled")


def test_more_than_one_page_of_connections(mooring: Command, local: FakeAws) -> None:
    # DynamoDB ends a page at one megabyte.
    for number in range(8):
        local.put(f"m-{number}", "acme#shop-7", padding="x" * 300_000)
    assert json.loads(mooring("doctor", "--json").out)["connections"] == {"acme": {"active": 8}}


def test_a_deployed_stage(mooring: Command, deployed: FakeAws) -> None:
    deployed.put("m-1", "acme#shop-7")
    deployed.send("refresh")
    now = datetime.now(UTC)
    age = {
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{"Name": "QueueName", "Value": f"mooring-{deployed.stage}-refresh"}],
    }
    swept = {"MetricName": "Swept", "Dimensions": [{"Name": "service", "Value": "sweep"}], "Value": 1}
    cloudwatch = deployed.client("cloudwatch")
    for ago, value in ((300, 999), (60, 77)):
        at = now - timedelta(seconds=ago)
        cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=[{**age, "Timestamp": at, "Value": value}])
        ours = f"Mooring/{deployed.stage}"
        cloudwatch.put_metric_data(Namespace=ours, MetricData=[{**swept, "Timestamp": at}])
    answer = mooring("doctor", "--stage", deployed.stage, "--region", REGION, "--json")
    report = json.loads(answer.out)
    assert (answer.code, answer.err, report["stage"]) == (0, "", deployed.stage)
    assert report["connections"] == {"acme": {"active": 1}}
    assert report["queues"]["refresh"]["oldest_seconds"] == 77
    assert 60 <= report["sweep"]["seconds_ago"] <= 180
    assert levels(report)["sweep"] == "ok"


def test_a_queue_that_is_missing(mooring: Command, deployed: FakeAws) -> None:
    deployed.client("sqs").delete_queue(QueueUrl=deployed.queues["recovery-dead"])
    answer = mooring("doctor", "--stage", deployed.stage, "--region", REGION, "--json")
    report = json.loads(answer.out)
    assert (answer.code, report["queues"]["recovery-dead"]) == (1, None)
    assert levels(report)["queue recovery-dead"] == "attention"


def test_no_such_stage(mooring: Command, deployed: FakeAws) -> None:
    answer = mooring("doctor", "--stage", "nowhere", "--region", REGION)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(f"There is no stage nowhere in {REGION}, or it is not deployed whole: Scan")


def test_advice_leads_to_the_same_stage(mooring: Command, deployed: FakeAws) -> None:
    deployed.put("m-1", "acme#late", due_at=int(time.time()) - 900)
    answer = mooring("doctor", "--stage", deployed.stage, "--region", REGION)
    assert answer.code == 1
    assert f"mooring sweep --stage {deployed.stage} --region {REGION}\n" in answer.out


def test_the_runbook_allows_an_operator_what_it_asks_and_no_more(
    mooring: Command, deployed: FakeAws, caplog: pytest.LogCaptureFixture
) -> None:
    deployed.put("m-1", "acme#shop-7")
    deployed.send("refresh-dead")  # is not understood, and so released
    body = message(Order(Key("m-1", "acme", "shop-7"), None, Cause.DUE))
    deployed.client("sqs").send_message(QueueUrl=deployed.queues["refresh-dead"], MessageBody=body)
    caplog.set_level(logging.DEBUG, "botocore.endpoint")
    mooring("doctor", "--stage", deployed.stage, "--region", REGION)
    mooring("redrive", "--yes", "--stage", deployed.stage, "--region", REGION)
    asked = re.findall(r"Making request for OperationModel\(name=(\w+)\)", caplog.text)
    policy = document("docs/runbook.md").fences("json")[0]
    allowed = [action for one in json.loads(policy)["Statement"] for action in _texts(one["Action"])]
    of_others = {
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "lambda:InvokeFunction",
        "lambda:GetFunctionConfiguration",
        "execute-api:Invoke",
    }
    # IAM has no names of their own for SQS's batches.
    asked = [name.removesuffix("Batch") for name in asked]
    # DescribeTable is only asked for the bar that a terminal gets.
    assert set(asked) | {"DescribeTable"} == {name.partition(":")[2] for name in set(allowed) - of_others}
    assert of_others < set(allowed)


def _texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_circuits_that_cannot_be_read(mooring: Command, deployed: FakeAws) -> None:
    deployed.put("m-1", "acme#shop-7")
    deployed.client("dynamodb").delete_table(TableName=deployed.table("flows"))
    answer = mooring("doctor", "--stage", deployed.stage, "--region", REGION)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(f"The table {deployed.table('flows')} cannot be read (ResourceNotFound")


def on_a_terminal(command_name: str, stack_dir: Path, **environ: str) -> tuple[int, str]:
    """Run it with a terminal as its output; the exit code, and what was drawn."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mooring_cli.main", command_name, "--stack-dir", str(stack_dir)]
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    kept |= {"TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(command, env={**kept, **environ}, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        drawn = b""
        while piece := _piece(ours):
            drawn += piece
    os.close(ours)
    return process.returncode, drawn.decode()


def _piece(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says EIO when the last writer has gone
        return b""


def test_a_terminal_gets_colours_and_a_progress_bar(local: FakeAws, stack: FakeStack) -> None:
    ill(local)
    code, drawn = on_a_terminal("doctor", stack.stack_dir)
    assert code == 1
    assert "Reading connections" in drawn
    assert "\x1b[1;31mattention" in drawn
    assert "─" in drawn


def test_listing_everybody_shows_a_progress_bar(local: FakeAws, stack: FakeStack) -> None:
    local.put("m-1", "acme#shop-7")
    code, drawn = on_a_terminal("connections", stack.stack_dir)
    assert code == 0
    assert "Reading connections" in drawn
    assert "shop-7" in drawn


def test_no_color_is_honoured(local: FakeAws, stack: FakeStack) -> None:
    ill(local)
    code, drawn = on_a_terminal("doctor", stack.stack_dir, NO_COLOR="1")
    assert code == 1
    assert "attention" in drawn
    assert "\x1b[31m" not in drawn
    assert "\x1b[1;31m" not in drawn
