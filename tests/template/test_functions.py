"""The functions: runtime, limits, environment, logs, layers."""

import re

import pytest

from tests.template.translated import Stack

STACK = Stack()
FUNCTIONS = {
    "authorize": "AuthorizeFunction",
    "callback": "CallbackFunction",
    "connections": "ConnectionsFunction",
}
EVERYWHERE = {
    "MOORING_STAGE": "prod",
    "MOORING_BASE_URL": "https://connect.example.com",
    "POWERTOOLS_METRICS_NAMESPACE": "Mooring",
    "POWERTOOLS_LOG_LEVEL": "INFO",
}
BESIDES = {
    "authorize": set(),
    "callback": {
        "MOORING_CONNECTIONS_TABLE",
        "MOORING_FLOWS_TABLE",
        "MOORING_TOKEN_KEY_ID",
        "MOORING_RECOVERY_QUEUE_URL",
    },
    "connections": {"MOORING_CONNECTIONS_TABLE", "MOORING_TOKEN_KEY_ID"},
}
#: Types of resources that the template may have. A new one is a decision, not an accident.
TYPES = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::Stage",
    "AWS::DynamoDB::Table",
    "AWS::IAM::Role",
    "AWS::KMS::Alias",
    "AWS::KMS::Key",
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
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


@pytest.mark.parametrize(("name", "seconds"), [("authorize", 5), ("callback", 28), ("connections", 28)])
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
    runs = [run for value in variables.values() for run in re.split(r"[^A-Za-z0-9]+", value)]
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
    assert "ReservedConcurrentExecutions" not in STACK.properties(FUNCTIONS[name])
    reserved = Stack(**{parameter: 7})
    assert reserved.properties(FUNCTIONS[name])["ReservedConcurrentExecutions"] == 7
    off = Stack(**{parameter: 0})
    assert off.properties(FUNCTIONS[name])["ReservedConcurrentExecutions"] == 0
