"""The HTTP API: its routes, who may call them, how often, what is logged, and its domain."""

import json
import re
from typing import Any

import pytest

from tests.template.translated import ACCOUNT, CERTIFICATE, REGION, Stack, source

STACK = Stack()
WITH_DOMAIN = Stack(CertificateArn=CERTIFICATE)
ROUTES = {
    "GET /authorize/{provider}": "authorize",
    "POST /authorize/{provider}": "authorize",
    "GET /callback/{provider+}": "callback",
    "POST /callback/{provider+}": "callback",
    "GET /merchants/{merchant_id}/connections": "connections",
    "GET /merchants/{merchant_id}/connections/{provider}/{account_id}": "connections",
    "GET /merchants/{merchant_id}/connections/{provider}/{account_id}/token": "connections",
    "POST /merchants/{merchant_id}/connections/{provider}/{account_id}/unauthorized": "connections",
    "POST /merchants/{merchant_id}/connections/{provider}/{account_id}/refresh": "connections",
    "DELETE /merchants/{merchant_id}/connections/{provider}/{account_id}": "connections",
    "POST /uninstall/{provider}": "uninstall",
}
#: All that an access log line says. The route's pattern stands for the path.
LOGGED = {
    "$context.error.responseType",
    "$context.identity.sourceIp",
    "$context.identity.userArn",
    "$context.integrationLatency",
    "$context.integrationStatus",
    "$context.requestId",
    "$context.requestTimeEpoch",
    "$context.responseLatency",
    "$context.responseLength",
    "$context.routeKey",
    "$context.status",
}


def operations(stack: Stack) -> dict[str, dict[str, Any]]:
    body = stack.properties("HttpApi")["Body"]
    return {
        f"{method.upper()} {path}": op for path, ops in body["paths"].items() for method, op in ops.items()
    }


def stage() -> dict[str, Any]:
    (found,) = STACK.of_type("AWS::ApiGatewayV2::Stage").values()
    properties: dict[str, Any] = found
    return properties


def test_the_routes_are_the_documented_ones_each_with_its_function() -> None:
    for route, function in ROUTES.items():
        integration = operations(STACK)[route]["x-amazon-apigateway-integration"]
        assert f"function:mooring-prod-{function}/invocations" in integration["uri"]
        assert integration["payloadFormatVersion"] == "2.0"
    assert set(operations(STACK)) == set(ROUTES)


def test_merchants_routes_need_iam_and_browser_routes_need_no_account() -> None:
    for route, operation in operations(STACK).items():
        expected: list[dict[str, list[str]]] | None = [{"AWS_IAM": []}] if " /merchants/" in route else None
        assert operation.get("security") == expected
    schemes = STACK.properties("HttpApi")["Body"]["components"]["securitySchemes"]
    assert schemes["AWS_IAM"]["x-amazon-apigateway-authtype"] == "awsSigv4"


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_is_throttled_by_itself(route: str) -> None:
    limits = stage()["RouteSettings"][route]
    assert 0 < limits["ThrottlingRateLimit"] <= limits["ThrottlingBurstLimit"] <= 1000


def test_a_route_that_is_added_without_limits_is_throttled_too() -> None:
    assert stage()["DefaultRouteSettings"] == {"ThrottlingBurstLimit": 20, "ThrottlingRateLimit": 10}
    assert set(stage()["RouteSettings"]) == set(ROUTES)


def test_the_access_log_is_json_without_query_path_headers_and_cookies() -> None:
    line = json.loads(stage()["AccessLogSettings"]["Format"])
    assert set(line.values()) == LOGGED
    assert stage()["AccessLogSettings"]["DestinationArn"].endswith(
        ":log-group:/aws/vendedlogs/mooring-prod-access:*"
    )


def test_only_this_api_invokes_the_functions() -> None:
    permissions = STACK.of_type("AWS::Lambda::Permission").values()
    assert len(permissions) >= len(ROUTES)
    for permission in permissions:
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert permission["SourceArn"].startswith(f"arn:aws:execute-api:{REGION}:{ACCOUNT}:HttpApi/")
        function = permission["FunctionName"].removeprefix("mooring-prod-")
        path = "/merchants/" if function == "connections" else f"/{function}/"
        assert path in permission["SourceArn"]


def test_the_greedy_route_has_a_permission_that_is_a_pattern() -> None:
    sources = [p["SourceArn"] for p in STACK.of_type("AWS::Lambda::Permission").values()]
    assert any(re.search(r"HttpApi/\*/\*/callback/\*$", source) for source in sources)


def test_without_a_certificate_there_is_no_domain_and_the_api_answers_itself() -> None:
    assert not STACK.of_type("AWS::ApiGatewayV2::DomainName")
    assert not STACK.of_type("AWS::ApiGatewayV2::ApiMapping")
    assert endpoint_is_off(STACK) is False


def test_with_a_certificate_the_domain_is_the_only_address() -> None:
    (domain,) = WITH_DOMAIN.of_type("AWS::ApiGatewayV2::DomainName").values()
    assert domain["DomainName"] == "connect.example.com"
    (configuration,) = domain["DomainNameConfigurations"]
    assert configuration == {
        "CertificateArn": CERTIFICATE,
        "EndpointType": "REGIONAL",
        "SecurityPolicy": "TLS_1_2",
    }
    (mapping,) = WITH_DOMAIN.of_type("AWS::ApiGatewayV2::ApiMapping").values()
    assert mapping["ApiId"] == "HttpApi"
    assert endpoint_is_off(WITH_DOMAIN) is True


def test_a_warning_of_the_import_does_not_fail_the_deployment() -> None:
    # SAM says in a server without a URL whether the address is off; API Gateway warns of that and goes on.
    for stack in (STACK, WITH_DOMAIN):
        api = stack.properties("HttpApi")
        if any("url" not in server for server in api["Body"].get("servers", ())):
            assert not api.get("FailOnWarnings", False)


def endpoint_is_off(stack: Stack) -> Any:
    (server,) = stack.properties("HttpApi")["Body"]["servers"]
    return server["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"]


@pytest.mark.parametrize("host", ["https://connect.example.com", "connect.example.com/path", "a b", ""])
def test_a_domain_name_is_a_host_and_nothing_more(host: str) -> None:
    parameter = source()["Parameters"]["DomainName"]
    assert "Default" not in parameter
    assert not re.fullmatch(parameter["AllowedPattern"], host)
    assert re.fullmatch(parameter["AllowedPattern"], "connect.example.com")


@pytest.mark.parametrize("stage_name", ["", "Prod", "1a", "a" * 17, "a_b", "a/b"])
def test_a_stage_is_a_short_plain_word(stage_name: str) -> None:
    pattern = source()["Parameters"]["Stage"]["AllowedPattern"]
    assert not re.fullmatch(pattern, stage_name)
    assert all(re.fullmatch(pattern, good) for good in ("prod", "local", "a" * 16, "eu-1"))
