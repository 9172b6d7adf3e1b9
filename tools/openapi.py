"""Writes `docs/openapi.yaml`, the description of the services' routes, from their models.

python -m tools.openapi docs/openapi.yaml
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from mooring.core.errors import ConnectionFailure, Failure, Reason
from mooring.entry import service_models as models
from mooring.entry.http_api import HEADERS
from mooring.entry.problems import problem
from tools.openapi_routes import OPERATIONS, PATH_PARAMETERS, Operation

SCHEME = "aws.auth.sigv4"
_HEAD = "# Made from layers/mooring/mooring/entry/service_models.py by `make openapi`. Do not edit.\n"
_SCHEMAS = "#/components/schemas/"
_JSON, _PROBLEM = "application/json", "application/problem+json"
_MODELS: Sequence[type[BaseModel]] = (
    models.ConnectionList,
    models.Token,
    models.Report,
    models.Renewed,
    models.Disconnected,
    models.Problem,
    models.ConnectionProblem,
    models.GatewayMessage,
)
_GATEWAYS = {
    400: "The request is no HTTP that API Gateway understands.",
    403: "The signature is missing, wrong or more than five minutes old, or the caller's policy does not "
    "allow this path. API Gateway's own answer; no function was asked.",
    404: "No route has this path.",
    429: "Too many requests. API Gateway's own answer; try again with a growing pause.",
    500: "The function failed.",
    503: "The function did not answer in time, or none was free. Try again.",
}
"""What API Gateway answers by itself on any route."""
_MEANINGS = {
    400: "The path, the query or the body is wrong; `detail` says what.",
    404: "There never was such a connection.",
    409: "The connection is there and cannot give this. `connection_status` says where it stands, `detail` "
    "what to do.",
    500: "Something for the operator; tell them the `ref`.",
    502: "The provider answered with nonsense, or with an error of its own. Try again in a minute.",
    503: "Something that passes. Try again in a few seconds, or in a minute where the provider has trouble.",
    504: "The provider did not answer. Try again in a minute.",
}
_CONFLICT, _FIRST_ERROR = 409, 400
_PLAINLY_WRONG = {
    Reason.REQUEST_MALFORMED,
    Reason.PARAMETER_REPEATED,
    Reason.METHOD_NOT_ALLOWED,
    Reason.CONNECTION_NOT_FOUND,
}
"""What is said of a request; everything else is said of a connection that is there."""


def document() -> dict[str, Any]:
    """The whole description (OpenAPI 3.1)."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {"parameters": _path_parameters(operation.path)})
        paths[operation.path][operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mooring, for services",
            "version": "0.1.0",
            "summary": "Merchants' connections, and the access tokens of those that are active.",
            "description": "Every request is signed with AWS Signature Version 4 for the service "
            "`execute-api`; IAM policies on paths say who may call what. Times are epoch seconds. Answers "
            "may get further fields in later releases. docs/http-api.md says more.",
        },
        "servers": [
            {
                "url": "https://{host}",
                "variables": {
                    "host": {"default": "connect.example.com", "description": "Your installation."}
                },
            }
        ],
        "security": [{SCHEME: []}],
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": {SCHEME: _scheme()}},
    }


def status_of(reason: Reason) -> int:
    """The HTTP status with which a service is told a reason."""
    failure = Failure(reason) if reason in _PLAINLY_WRONG else ConnectionFailure(reason, "active")
    return failure.status if failure.status >= _FIRST_ERROR else 503


def text() -> str:
    """The description as its file holds it."""
    return _HEAD + yaml.dump(document(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)


class _Plain(yaml.SafeDumper):
    """YAML without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, **said}
        for name, said in PATH_PARAMETERS.items()
        if f"{{{name}}}" in path
    ]


def _operation(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.description,
    }
    if operation.query:
        found["parameters"] = [
            {"name": one.name, "in": "query", "description": one.description, "schema": dict(one.schema)}
            for one in operation.query
        ]
    if operation.takes:
        content = _content(_JSON, operation.takes, operation.body_example)
        found["requestBody"] = {"required": True, "content": content}
    return {**found, "responses": _responses(operation)}


def _responses(operation: Operation) -> dict[str, Any]:
    good = {
        "description": "Done.",
        "headers": {"Cache-Control": _no_store()},
        "content": _content(_JSON, operation.answers, operation.example),
    }
    reasons: dict[int, list[Reason]] = {}
    for reason in models.REASONS:
        if reason in operation.reasons:
            reasons.setdefault(status_of(reason), []).append(reason)
    found = {
        str(status): _refusal(status, reasons.get(status, ())) for status in sorted({*reasons, *_GATEWAYS})
    }
    return {"200": good, **found}


def _refusal(status: int, reasons: Sequence[Reason]) -> dict[str, Any]:
    """An answer that is none: problem details, API Gateway's own words, or either."""
    said: list[str] = []
    content: dict[str, Any] = {}
    if reasons:
        model = "ConnectionProblem" if status == _CONFLICT else "Problem"
        words = ", ".join(f"`{reason.value}`" for reason in reasons)
        said.append(f"{_MEANINGS[status]} Reasons: {words}.")
        content |= _content(_PROBLEM, model, _problem(status, reasons[0]))
    if status in _GATEWAYS:
        said.append(f"Or: {_GATEWAYS[status]}" if reasons else _GATEWAYS[status])
        content |= _content(_JSON, "GatewayMessage", None)
    return {"description": " ".join(said), "content": content}


def _problem(status: int, reason: Reason) -> dict[str, Any]:
    """What a service would be told."""
    failure = Failure(reason)
    if status == _CONFLICT:
        failure = ConnectionFailure(reason, "needs_reconnect", "its status is needs_reconnect")
    body: dict[str, Any] = json.loads(problem(failure, "3f9c0a7be2")["body"])
    return body


def _content(kind: str, model: str, example: Mapping[str, Any] | None) -> dict[str, Any]:
    said: dict[str, Any] = {"schema": {"$ref": f"{_SCHEMAS}{model}"}}
    return {kind: said | ({"example": dict(example)} if example else {})}


def _no_store() -> dict[str, Any]:
    return {
        "required": True,
        "description": "Nobody caches an answer.",
        "schema": {"type": "string", "const": HEADERS["cache-control"]},
    }


def _scheme() -> dict[str, Any]:
    return {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "description": "AWS Signature Version 4, service `execute-api`.",
        "x-amazon-apigateway-authtype": "awsSigv4",
    }


def _schemas() -> dict[str, Any]:
    _, found = models_json_schema(
        [(model, "serialization") for model in _MODELS], ref_template=_SCHEMAS + "{model}"
    )
    return {name: _tidy(schema) for name, schema in sorted(found["$defs"].items())}


def _tidy(schema: dict[str, Any]) -> dict[str, Any]:
    """A model's schema without titles; what may be left out is never null."""
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
        if field.get("default", ...) is None:
            del field["default"]
            (kind,) = [kind for kind in field.pop("anyOf") if kind != {"type": "null"}]
            field.update(kind)
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    return schema


def main(arguments: Sequence[str]) -> int:
    """Write the file that the arguments name; the exit code."""
    (path,) = arguments
    Path(path).write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
