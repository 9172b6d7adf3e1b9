"""`docs/openapi.yaml` is what the code says: its routes, its models, its reasons; and it is valid."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from mooring.core.connection import Status
from mooring.core.errors import Reason
from mooring.entry import service_models as models
from tests.docs.markdown import document, names
from tests.entry.service_contract import ANSWERS
from tests.support import ROOT
from tests.template.translated import source
from tools.openapi import SCHEME, main, status_of, text
from tools.openapi_routes import OPERATIONS

FILE = ROOT / "docs/openapi.yaml"
API: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SCHEMAS = API["components"]["schemas"]


def operations() -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": said
        for path, methods in API["paths"].items()
        for method, said in methods.items()
        if method != "parameters"
    }


def contents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body that is described, with the place where it stands."""
    for route, operation in operations().items():
        places = {**operation["responses"], "request": operation.get("requestBody", {"content": {}})}
        for name, place in places.items():
            for kind, said in place["content"].items():
                yield f"{route} {name} {kind}", said


def test_the_file_is_what_the_models_say() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "write it again: make openapi"


def test_the_command_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "openapi.yaml"
    assert main([str(path)]) == 0
    assert path.read_text(encoding="utf-8") == text()


def test_it_is_valid_openapi() -> None:
    validate(API)
    assert API["openapi"].startswith("3.1.")


def test_its_routes_are_the_templates_that_need_iam() -> None:
    events = {
        (event["Properties"]["Method"], event["Properties"]["Path"])
        for resource in source()["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"].get("Events", {}).values()
        if event["Properties"].get("Auth") == {"Authorizer": "AWS_IAM"}
    }
    assert set(operations()) == {f"{method} {path}" for method, path in events} == set(ANSWERS)


def test_each_answers_with_the_model_that_its_tests_use() -> None:
    for route, operation in operations().items():
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{ANSWERS[route].__name__}"}
        header = operation["responses"]["200"]["headers"]["Cache-Control"]
        assert header["schema"]["const"] == "no-store"


def test_everybody_has_to_sign() -> None:
    scheme = API["components"]["securitySchemes"][SCHEME]
    assert API["security"] == [{SCHEME: []}]
    assert (scheme["in"], scheme["name"]) == ("header", "Authorization")
    assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert not [route for route, operation in operations().items() if "security" in operation]


def test_every_failure_is_a_problem_document_or_the_gateways_own_words() -> None:
    for route, operation in operations().items():
        assert {"403", "404", "429", "500", "503"} <= operation["responses"].keys()
        for status, said in operation["responses"].items():
            kinds = {
                kind: content["schema"]["$ref"].rpartition("/")[2]
                for kind, content in said["content"].items()
            }
            if status == "200":
                continue
            problem = "ConnectionProblem" if status == "409" else "Problem"
            allowed = {"application/problem+json": problem, "application/json": "GatewayMessage"}
            assert kinds.items() <= allowed.items(), (route, status)
            assert kinds


def test_no_model_is_described_for_nobody() -> None:
    used = set(re.findall(r"#/components/schemas/(\w+)", text()))
    assert used == set(SCHEMAS)


@pytest.mark.parametrize(("place", "said"), [pytest.param(*each, id=each[0]) for each in contents()])
def test_every_example_is_one(place: str, said: dict[str, Any]) -> None:
    if said["schema"]["$ref"].endswith("GatewayMessage"):
        return
    whole = {**said["schema"], "components": API["components"]}
    Draft202012Validator(whole).validate(said["example"])
    model = getattr(models, said["schema"]["$ref"].rpartition("/")[2])
    model.model_validate_json(json.dumps(said["example"]))
    assert (" 200 " in place or "request" in place) is ("reason" not in said["example"])


def test_what_may_be_absent_is_never_null_and_nothing_else_may_be_absent() -> None:
    absent = {
        (name, field)
        for name, schema in SCHEMAS.items()
        for field in schema.get("properties", {})
        if field not in schema["required"]
    }
    assert absent == {("Token", "warning"), ("Problem", "connection_status")}
    for name, field in absent:
        assert "$ref" in SCHEMAS[name]["properties"][field]


def test_no_answer_has_a_field_for_a_refresh_token() -> None:
    fields = {field for schema in SCHEMAS.values() for field in schema.get("properties", {})}
    assert "access_token" in fields
    assert not [field for field in fields if "refresh" in field]


def test_numbers_have_the_bounds_that_are_checked() -> None:
    """Where a validator stands before its bounds, pydantic writes them in words of its own."""
    assert SCHEMAS["Count"] == {"type": "integer", "minimum": 1, "maximum": models.MAX_COUNT}
    assert SCHEMAS["EpochSeconds"] == {"type": "integer", "minimum": 0, "format": "int64"}


def test_statuses_are_those_of_the_code_and_none_waits_for_confirmation() -> None:
    words = {status.value for status in Status} - {"pending_confirmation"}
    assert set(SCHEMAS["ConnectionStatus"]["enum"]) == words


def test_every_reason_is_one_that_some_route_can_tell() -> None:
    told = {reason for operation in OPERATIONS for reason in operation.reasons}
    assert set(models.REASONS) - told == {Reason.METHOD_NOT_ALLOWED}
    for operation in OPERATIONS:
        assert len(set(operation.reasons)) == len(operation.reasons)
        for reason in operation.reasons:
            said = operations()[operation.route]["responses"][str(status_of(reason))]["description"]
            assert f"`{reason.value}`" in said


_SPOKEN = (
    "flows/connections",
    "flows/disconnect",
    "flows/read",
    "flows/renew",
    "flows/refresh",
    "flows/token_sets",
    "flows/client_secret",
    "flows/work",
    "providers/answers",
    "adapters/kms",
    "adapters/sealing",
    "adapters/ssm",
    "adapters/refresher",
    "adapters/dynamodb_connections",
    "adapters/dynamodb_leases",
    "adapters/dynamodb_endings",
    "core/query",
    "entry/service_api",
)
"""Where what a service can be told is said."""


def test_every_reason_that_the_code_can_tell_a_service_is_described() -> None:
    layer = ROOT / "layers/mooring/mooring"
    said = {
        name
        for path in _SPOKEN
        for name in re.findall(r"Reason\.([A-Z_]+)", (layer / f"{path}.py").read_text(encoding="utf-8"))
    }
    assert len(said) > 20
    assert {Reason[name] for name in said} - set(models.REASONS) == set()


def test_the_document_for_people_has_the_same_reasons_and_routes() -> None:
    page = document("docs/http-api.md")
    rows = page.rows("status", "`reason`", "what to do")
    told = {(int(row[0]), name) for row in rows for name in names(row[1])}
    described = {
        (status_of(reason), reason.value) for operation in OPERATIONS for reason in operation.reasons
    }
    assert told == described
    routes = {names(row[0])[0] for row in page.rows("route", "what it does")}
    short = {
        route.replace("/merchants/{merchant_id}/connections/{provider}/{account_id}", "…")
        for route in ANSWERS
    }
    assert routes == short
