"""From the template's functions to processes that run the staged code."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local import HOST, REGION
from local.event import http_event
from local.provision import CREDENTIALS, Function
from local.request import HttpRequest
from local.runtime import FunctionSpec, RuntimePool
from local.stack_dir import StackError
from local.template import Route

_PLACEHOLDER = "-"


def spec_of(function: Function, *, build: Path, endpoint_url: str, base_url: str) -> FunctionSpec:
    """How one function runs here.

    Args:
        function: as the template declares it.
        build: the staging folder.
        endpoint_url: the simulated AWS.
        base_url: ours; it stands in for the https address that the template makes of the domain name.
    """
    environment = {
        **function.environment,
        "AWS_ACCESS_KEY_ID": CREDENTIALS[0],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS[1],
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": REGION,
    }
    if "MOORING_BASE_URL" in environment:
        environment["MOORING_BASE_URL"] = base_url
    return FunctionSpec(
        name=function.name,
        # Lambda's order: the function, then its layers; last what the runtime itself brings.
        code=(
            build / "functions" / function.name,
            build / "layers/mooring/python",
            build / "layers/dependencies/python",
            build / "ric",
        ),
        environment=environment,
        timeout_seconds=function.timeout_seconds,
        memory_mb=function.memory_mb,
        handler=function.handler,
    )


def warm(pool: RuntimePool, routes: Sequence[Route], base_url: str, log: Path) -> None:
    """Start one process of a function by a request that names nothing and therefore changes nothing.

    Raises:
        StackError: the function cannot be loaded; names the log.
    """
    if not routes:
        return
    route = routes[0]
    names = [part.strip("{}+") for part in route.path.split("/") if part.startswith("{")]
    path = "/".join(_PLACEHOLDER if part.startswith("{") else part for part in route.path.split("/"))
    host = base_url.partition("://")[2]
    request = HttpRequest(route.method, path, (("host", host), ("user-agent", "warm-up")), source_ip=HOST)
    event = http_event(
        request, route_key=f"{route.method} {route.path}", path_parameters=dict.fromkeys(names, _PLACEHOLDER)
    )
    result = pool.invoke(event)
    if result.error is not None:
        said = f"{result.error}: {_message(result.payload)}"
        raise StackError(f"the function {pool.spec.name} does not run: {said} (see {log})")


def _message(payload: bytes) -> str:
    try:
        return str(json.loads(payload)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return payload.decode("utf-8", "replace")


def as_json(spec: FunctionSpec) -> dict[str, Any]:
    """A function's spec for `functions.json`."""
    return {
        "name": spec.name,
        "code": [str(folder) for folder in spec.code],
        "environment": dict(spec.environment),
        "timeout_seconds": spec.timeout_seconds,
        "memory_mb": spec.memory_mb,
        "handler": spec.handler,
    }


def from_json(said: Mapping[str, Any]) -> FunctionSpec:
    """The spec that `as_json` wrote."""
    return FunctionSpec(**{**said, "code": tuple(Path(folder) for folder in said["code"])})
