"""The functions: runtime, limits, environment, logs, layers."""

import json
import re

import pytest

from mooring.adapters.aws import CONNECTIONS
from mooring.adapters.event_bus import AT_ONCE, PAUSES
from mooring.adapters.http import IDLE_PER_ORIGIN
from mooring.core.upkeep import FUNCTION_SECONDS, LEASE_SECONDS
from mooring.flows.revoke import NOTE_SECONDS
from mooring.providers.revocation import REVOKE_CALL_SECONDS
from tests.template.translated import ACCOUNT, REGION, Stack, source

STACK = Stack()
FUNCTIONS = {
    "authorize": "AuthorizeFunction",
    "callback": "CallbackFunction",
    "connections": "ConnectionsFunction",
    "uninstall": "UninstallFunction",
    "sweep": "SweepFunction",
    "refresh": "RefreshFunction",
    "revoke": "RevokeFunction",
    "announce": "AnnounceFunction",
}
TABLES = {"MOORING_CONNECTIONS_TABLE", "MOORING_FLOWS_TABLE"}
EVERYWHERE = {
    "MOORING_STAGE": "prod",
    "MOORING_BASE_URL": "https://connect.example.com",
    "POWERTOOLS_METRICS_NAMESPACE": "Mooring/prod",
    "POWERTOOLS_LOG_LEVEL": "INFO",
}
BESIDES = {
    "authorize": set(),
    "callback": {
        *TABLES,
        "MOORING_TOKEN_KEY_ID",
        "MOORING_RECOVERY_QUEUE_URL",
        "MOORING_REVOKE_QUEUE_URL",
    },
    "connections": {"MOORING_CONNECTIONS_TABLE", "MOORING_TOKEN_KEY_ID", "MOORING_REFRESH_FUNCTION"},
    "uninstall": {*TABLES, "MOORING_REFRESH_QUEUE_URL"},
    "sweep": {*TABLES, "MOORING_REFRESH_QUEUE_URL", "MOORING_QUEUE_LIMIT"},
    "announce": {"MOORING_EVENT_BUS", "MOORING_UNDELIVERED_BUCKET", "MOORING_REVOKE_QUEUE_URL"},
    "refresh": {
        *TABLES,
        "MOORING_TOKEN_KEY_ID",
        "MOORING_REFRESH_QUEUE_URL",
        "MOORING_RECOVERY_QUEUE_URL",
        "MOORING_REVOKE_QUEUE_URL",
    },
    "revoke": {"MOORING_CONNECTIONS_TABLE", "MOORING_TOKEN_KEY_ID", "MOORING_REVOKE_QUEUE_URL"},
}
#: Types of resources that the template may have. A new one is a decision, not an accident.
TYPES = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudWatch::Alarm",
    "AWS::DynamoDB::Table",
    "AWS::Events::EventBus",
    "AWS::IAM::Role",
    "AWS::KMS::Alias",
    "AWS::KMS::Key",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
}


def test_the_template_has_these_functions_and_no_surprising_resource() -> None:
    assert sorted(STACK.of_type("AWS::Lambda::Function")) == sorted(FUNCTIONS.values())
    assert {resource["Type"] for resource in STACK.template["Resources"].values()} == TYPES


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_runs_python_on_arm_with_both_layers(name: str) -> None:
    function = STACK.properties(FUNCTIONS[name])
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == ["arm64"]
    assert function["Handler"] == "handler.handler"
    assert function["FunctionName"] == f"mooring-prod-{name}"
    assert function["Code"]["S3Key"] == f"build/functions/{name}"
    assert len(function["Layers"]) == 2


def test_the_layers_are_for_the_functions_runtime() -> None:
    layers = STACK.of_type("AWS::Lambda::LayerVersion").values()
    assert {layer["Content"]["S3Key"] for layer in layers} == {
        "build/layers/dependencies",
        "build/layers/mooring",
    }
    for layer in layers:
        assert layer["CompatibleRuntimes"] == ["python3.13"]
        assert layer["CompatibleArchitectures"] == ["arm64"]


@pytest.mark.parametrize(
    ("name", "seconds"), [("authorize", 5), ("callback", 28), ("connections", 28), ("uninstall", 10)]
)
def test_a_function_ends_before_the_api_stops_waiting(name: str, seconds: int) -> None:
    assert STACK.properties(FUNCTIONS[name])["Timeout"] == seconds
    waits = [
        operation["x-amazon-apigateway-integration"]["timeoutInMillis"]
        for operations in STACK.properties("HttpApi")["Body"]["paths"].values()
        for operation in operations.values()
        if f"mooring-prod-{name}/" in operation["x-amazon-apigateway-integration"]["uri"]
    ]
    assert waits
    assert all(seconds * 1000 < wait <= 30_000 for wait in waits)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_environment_holds_names_and_nothing_secret(name: str) -> None:
    variables = STACK.properties(FUNCTIONS[name])["Environment"]["Variables"]
    assert {key: variables[key] for key in EVERYWHERE} == EVERYWHERE
    assert variables["POWERTOOLS_SERVICE_NAME"] == name
    assert set(variables) - set(EVERYWHERE) - {"POWERTOOLS_SERVICE_NAME"} == BESIDES[name]
    assert not [key for key in variables if re.search("SECRET|PASSWORD|CREDENTIAL|PRIVATE", key)]
    # A name, an address or an ARN is made of words; a secret is a long run without a separator.
    runs = [run for value in variables.values() for run in re.split(r"[^A-Za-z0-9]+", str(value))]
    assert max(map(len, runs)) < 20


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_logs_to_its_own_group(name: str) -> None:
    function = STACK.properties(FUNCTIONS[name])
    assert function["LoggingConfig"] == {"LogGroup": f"/aws/lambda/mooring-prod-{name}"}
    groups = {group["LogGroupName"] for group in STACK.of_type("AWS::Logs::LogGroup").values()}
    assert function["LoggingConfig"]["LogGroup"] in groups


def test_nothing_is_traced() -> None:
    for function in STACK.of_type("AWS::Lambda::Function").values():
        assert function.get("TracingConfig", {}).get("Mode", "PassThrough") != "Active"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_concurrency_is_reserved_only_when_asked_for(name: str) -> None:
    parameter = f"{name.capitalize()}Concurrency"
    assert "ReservedConcurrentExecutions" not in Stack(**{parameter: -1}).properties(FUNCTIONS[name])
    reserved = Stack(**{parameter: 7})
    assert reserved.properties(FUNCTIONS[name])["ReservedConcurrentExecutions"] == 7
    off = Stack(**{parameter: 0})
    assert off.properties(FUNCTIONS[name])["ReservedConcurrentExecutions"] == 0


def test_there_is_one_sweep_at_a_time_unless_the_account_has_nothing_to_reserve() -> None:
    reserved = {
        name: STACK.properties(logical).get("ReservedConcurrentExecutions")
        for name, logical in FUNCTIONS.items()
    }
    assert {name: number for name, number in reserved.items() if number is not None} == {"sweep": 1}
    parameter = source()["Parameters"]["SweepConcurrency"]
    assert (parameter["MinValue"], parameter["MaxValue"]) == (-1, 1)


def test_lambda_stops_no_loop_that_is_meant() -> None:
    # A message that comes back to its queue is a chain for Lambda, which stops it after some sixteen.
    loops = {name for name in FUNCTIONS if fed_by(name) & writes_to(name)}
    assert loops == {"refresh"}
    allowed = {name for name in FUNCTIONS if STACK.properties(FUNCTIONS[name]).get("RecursiveLoop")}
    assert allowed == loops
    assert STACK.properties(FUNCTIONS["refresh"])["RecursiveLoop"] == "Allow"


def fed_by(name: str) -> set[str]:
    """The queues that start a function."""
    mappings = STACK.of_type("AWS::Lambda::EventSourceMapping").values()
    ours = [mapping for mapping in mappings if mapping["FunctionName"] == f"mooring-prod-{name}"]
    return {mapping["EventSourceArn"] for mapping in ours if ":sqs:" in mapping["EventSourceArn"]}


def writes_to(name: str) -> set[str]:
    """The queues that a function may send to."""
    sends = [
        said for said in STACK.statements(f"{name.capitalize()}Role") if "sqs:SendMessage" in said["Action"]
    ]
    return {
        arn
        for said in sends
        for arn in ([said["Resource"]] if isinstance(said["Resource"], str) else said["Resource"])
    }


def test_the_schedule_starts_the_sweep_every_minute_and_nothing_else() -> None:
    (schedule,) = STACK.of_type("AWS::Scheduler::Schedule").values()
    assert schedule["Name"] == "mooring-prod-sweep"
    assert (schedule["State"], schedule["ScheduleExpression"]) == ("ENABLED", "rate(1 minute)")
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    target = schedule["Target"]
    assert target["Arn"].endswith(":function:mooring-prod-sweep")
    assert target["RoleArn"].endswith(":role/mooring-prod-schedule")
    assert Stack(Stage="test").properties("SweepSchedule")["Name"] == "mooring-test-sweep"


def test_a_sweep_that_was_missed_is_not_made_up_for_later() -> None:
    retry = STACK.properties("SweepSchedule")["Target"]["RetryPolicy"]
    assert retry["MaximumEventAgeInSeconds"] == 60
    invocations = STACK.properties("SweepInvocations")
    assert invocations["FunctionName"] == "mooring-prod-sweep"
    assert (invocations["MaximumEventAgeInSeconds"], invocations["MaximumRetryAttempts"]) == (60, 0)
    assert STACK.properties("SweepFunction")["Timeout"] < 60


@pytest.mark.parametrize(
    ("source_name", "queue", "batch", "window", "workers"),
    [("RefreshQueueSource", "refresh", 25, 1, 10), ("RecoveryQueueSource", "recovery", 5, None, 2)],
)
def test_refresh_works_off_both_queues(
    source_name: str, queue: str, batch: int, window: int | None, workers: int
) -> None:
    mapping = STACK.properties(source_name)
    assert mapping["EventSourceArn"].endswith(f":mooring-prod-{queue}")
    assert mapping["FunctionName"] == "mooring-prod-refresh"
    assert mapping["BatchSize"] == batch
    assert mapping.get("MaximumBatchingWindowInSeconds") == window
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": workers}


def test_announce_gets_what_is_to_be_told_and_loses_nothing() -> None:
    mapping = STACK.properties("AnnounceSource")
    assert mapping["EventSourceArn"].startswith(
        f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/mooring-prod-connections/stream/"
    )
    assert mapping["FunctionName"] == "mooring-prod-announce"
    # What was written while nothing listened is told, too.
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    (wanted,) = mapping["FilterCriteria"]["Filters"]
    assert json.loads(wanted["Pattern"]) == {
        "dynamodb": {"NewImage": {"announce": {"S": [{"exists": True}]}}}
    }
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert (mapping["MaximumRetryAttempts"], mapping["MaximumRecordAgeInSeconds"]) == (-1, 6 * 3600)
    assert mapping["DestinationConfig"] == {
        "OnFailure": {"Destination": f"arn:aws:s3:::mooring-prod-undelivered-{ACCOUNT}"}
    }


def test_a_batch_of_events_is_put_within_the_time_of_its_function() -> None:
    # Ten calls, each of two attempts of three seconds at worst, cannot be waited for; the usual ones can.
    mapping, function = STACK.properties("AnnounceSource"), STACK.properties("AnnounceFunction")
    calls = mapping["BatchSize"] / AT_ONCE
    assert function["Timeout"] >= 2 * calls + sum(PAUSES)


def test_revoke_works_off_its_queue_without_flooding_a_provider() -> None:
    mapping, function = STACK.properties("RevokeQueueSource"), STACK.properties("RevokeFunction")
    assert mapping["EventSourceArn"].endswith(":mooring-prod-revoke")
    assert mapping["FunctionName"] == "mooring-prod-revoke"
    assert (mapping["BatchSize"], mapping["ScalingConfig"]) == (5, {"MaximumConcurrency": 2})
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    # Two calls, and for each a changed secret once more, would still leave the time for a note.
    assert function["Timeout"] >= 4 * REVOKE_CALL_SECONDS + NOTE_SECONDS
    assert STACK.properties("RevokeQueue")["VisibilityTimeout"] >= 6 * function["Timeout"]


def test_each_message_of_a_batch_has_its_own_connections() -> None:
    batch = STACK.properties("RefreshQueueSource")["BatchSize"]
    assert batch <= IDLE_PER_ORIGIN
    assert 2 * batch <= CONNECTIONS, "each asks KMS twice side by side"


def test_the_number_of_workers_is_the_operators() -> None:
    more = Stack(RefreshWorkers=40, QueueLimit=80_000)
    assert more.properties("RefreshQueueSource")["ScalingConfig"] == {"MaximumConcurrency": 40}
    assert more.properties("SweepFunction")["Environment"]["Variables"]["MOORING_QUEUE_LIMIT"] == 80_000
    assert source()["Parameters"]["RefreshWorkers"]["MinValue"] == 2
    given = {name: source()["Parameters"][name]["Default"] for name in ("RefreshWorkers", "QueueLimit")}
    assert given["QueueLimit"] == 2_000 * given["RefreshWorkers"]


def test_the_memory_of_the_sweep_is_the_operators() -> None:
    assert STACK.properties("SweepFunction")["MemorySize"] == 512
    assert Stack(SweepMemory=1_769).properties("SweepFunction")["MemorySize"] == 1_769
    parameter = source()["Parameters"]["SweepMemory"]
    assert (parameter["MinValue"], parameter["MaxValue"]) == (256, 10_240)


@pytest.mark.parametrize("queue", ["RefreshQueue", "RecoveryQueue"])
def test_a_message_stays_out_of_sight_for_six_times_as_long_as_its_worker_may_run(queue: str) -> None:
    """And for the time in which its batch is gathered: so AWS asks."""
    seconds = STACK.properties("RefreshFunction")["Timeout"]
    assert seconds == FUNCTION_SECONDS
    window = STACK.properties(f"{queue}Source").get("MaximumBatchingWindowInSeconds", 0)
    assert STACK.properties(queue)["VisibilityTimeout"] >= 6 * seconds + window


def test_a_lease_outlives_its_function() -> None:
    assert STACK.properties("RefreshFunction")["Timeout"] < LEASE_SECONDS
