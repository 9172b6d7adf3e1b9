"""Services of the local API: who is one, and what the policy of each allows."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.request import HttpRequest
from local.services import API_ARN, Service, allowed, read_services
from local.settings import read_options
from local.stack_dir import StackError

READ = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "API_ARN/GET/merchants/m-1/*"}
OTHER = {"Sid": "Table", "Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "TABLE_ARN"}


def services(folder: Path, *statements: dict[str, Any], named: object = None) -> Path:
    """A file of services with one, `orders`, whose policy has these statements."""
    (folder / "orders.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": statements}))
    file = folder / "services.json"
    file.write_text(json.dumps({"orders": "orders.json"} if named is None else named))
    return file


def may(folder: Path, target: str, *statements: dict[str, Any], key: str = "mooring-service-orders") -> bool:
    method, _, path = target.partition(" ")
    return allowed(read_services(services(folder, *statements)), key, HttpRequest(method, path))


def test_without_a_file_there_is_no_service_and_nobody_is_held_back() -> None:
    assert read_services(None) == {}
    assert allowed({}, "anybody", HttpRequest("DELETE", "/merchants/m-1/connections/p/a"))


def test_a_service_has_a_key_of_its_own_and_its_policys_statements(tmp_path: Path) -> None:
    (service,) = read_services(services(tmp_path, READ, OTHER)).values()
    assert service.credentials["access_key_id"] == "mooring-service-orders"
    assert list(service.credentials) == ["access_key_id", "secret_access_key", "session_token"]
    assert all(service.credentials.values())
    resource = [f"{API_ARN}/GET/merchants/m-1/*"]
    assert service.statements == [{**READ, "Resource": resource}], "only what speaks of the API counts"
    assert isinstance(service, Service)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("GET /merchants/m-1/connections", True),
        ("GET /merchants/m-1/connections?limit=1", True),
        ("POST /merchants/m-1/connections", False),
        ("GET /merchants/m-10/connections", False),
        ("GET /merchants/m-2/connections", False),
        # Allowed in one reading of the path only, as it was sent or decoded, is not allowed.
        ("GET /merchants/m%2D1/connections", False),
        ("GET /merchants/m-1/%63onnections", True),
    ],
)
def test_a_policy_decides_on_method_and_path(tmp_path: Path, target: str, expected: bool) -> None:
    assert may(tmp_path, target, READ) is expected


def test_a_denial_holds_in_either_reading(tmp_path: Path) -> None:
    everything = {**READ, "Resource": "*"}
    denial = {**READ, "Effect": "Deny", "Resource": "API_ARN/GET/merchants/m-2/*"}
    assert may(tmp_path, "GET /merchants/m-1/connections", everything, denial)
    for path in ("m-2", "m%2D2", "%6d-2"):
        assert not may(tmp_path, f"GET /merchants/{path}/connections", everything, denial)


def test_a_policy_that_does_not_speak_of_the_api_allows_nothing(tmp_path: Path) -> None:
    assert not may(tmp_path, "GET /merchants/m-1/connections", OTHER)
    assert not may(tmp_path, "GET /merchants/m-1/connections")
    assert may(tmp_path, "GET /merchants/m-1/connections", OTHER, key="mooring-local")


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (["orders.json"], "must hold policy files by service"),
        ({"orders": ["orders.json"]}, "must hold policy files by service"),
        ({"Orders/x": "orders.json"}, "must hold policy files by service"),
        ({"orders": "nowhere.json"}, "cannot read .*nowhere.json"),
        ({"orders": "services.json"}, "must be an IAM policy"),
    ],
)
def test_a_wrong_file_is_said_in_one_line(tmp_path: Path, named: object, message: str) -> None:
    with pytest.raises(StackError, match=f"MOORING_SERVICES: .*{message}") as raised:
        read_services(services(tmp_path, READ, named=named))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ({**READ, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, None),
        ({**READ, "Condition": {"ForNobody:StringLike": {"aws:PrincipalArn": "x"}}}, "ForNobody"),
        ({**READ, "Effect": "Perhaps"}, "Effect"),
        ({"Effect": "Allow", "Action": "execute-api:Invoke"}, "Resource"),
        ({**READ, "Resource": "API_ARN/${aws:username}"}, "aws:username"),
        ({**READ, "NotPrincipal": "*"}, "NotPrincipal"),
    ],
)
def test_a_policy_that_is_not_understood_is_said_at_the_start(
    tmp_path: Path, statement: dict[str, Any], message: str | None
) -> None:
    if message is None:
        # A condition on what no request here has: it never holds, as in AWS.
        assert not may(tmp_path, "GET /merchants/m-1/connections", statement)
        return
    with pytest.raises(StackError, match=rf"orders\.json: .*{message}"):
        read_services(services(tmp_path, statement))


def test_not_json_is_said_with_its_line(tmp_path: Path) -> None:
    file = services(tmp_path, READ)
    file.write_text('{\n"orders"')
    with pytest.raises(StackError, match=r"services\.json:2 is not JSON"):
        read_services(file)


def test_the_file_is_named_in_the_environment(tmp_path: Path) -> None:
    file = services(tmp_path, READ)
    assert read_options([], {"MOORING_SERVICES": str(file)}).services == file
    assert read_options([], {}).services is None
