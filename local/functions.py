"""From the template's functions to processes that run the staged code."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local import HOST, REGION
from local.callers import credentials_of
from local.event import http_event
from local.provision import Function, Provisioned
from local.request import HttpRequest
from local.runtime import FunctionSpec, RuntimePool
from local.stack_dir import StackError
from local.template import Route
from local.timetable import event_of

_PLACEHOLDER = "-"
_MORE_STARTS = 3


def spec_of(
    function: Function, *, build: Path, endpoint_url: str, lambda_url: str, base_url: str
) -> FunctionSpec:
    """How one function runs here.

    Args:
        function: as the template declares it.
        build: the staging folder.
        endpoint_url: where it reaches the simulated AWS.
        lambda_url: the Lambda API.
        base_url: ours; it stands in for the https address that the template makes of the domain name.
    """
    access_key_id, secret = credentials_of(function.name)
    environment = {
        **function.environment,
        "AWS_ACCESS_KEY_ID": access_key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ENDPOINT_URL_LAMBDA": lambda_url,
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


def warm(pool: RuntimePool, event: Mapping[str, Any] | bytes, log: Path) -> None:
    """Start one process of a function.

    Args:
        pool: of the function.
        event: what it gets, from `first_event`.
        log: where the function writes.

    Raises:
        StackError: the function cannot be loaded, or takes too long for it again and again; names the log.
    """
    result = pool.invoke(event)
    for _ in range(_MORE_STARTS):
        if result.error != "Sandbox.Timedout":
            break
        # All functions start at once; on a machine that has other work too, that may take too long for one.
        result = pool.invoke(event)
    if result.error is not None:
        said = f"{result.error}: {_message(result.payload)}"
        raise StackError(f"the function {pool.spec.name} does not run: {said} (see {log})")


def first_event(
    function: Function, resources: Provisioned, base_url: str
) -> Mapping[str, Any] | bytes | None:
    """An event that a function takes and that changes nothing; None when nothing ever starts the function.

    Behind a route it is a request that names nothing, behind a queue or stream an empty batch, and what a
    schedule starts just runs: while the stack starts there is nothing to do yet.

    Args:
        function: which one.
        resources: the provisioned template: what starts it.
        base_url: ours.
    """
    routes = [route for route in resources.routes if route.function == function.logical_id]
    if routes:
        # One that only reads, if there is any.
        return _nameless(min(routes, key=lambda route: route.method != "GET"), base_url)
    queues = [trigger.function for trigger in resources.queue_triggers]
    streams = [trigger.function for trigger in resources.stream_triggers]
    if any(_names(name, function) for name in (*queues, *streams)):
        return {"Records": []}
    for schedule in resources.schedules:
        if _names(schedule.function, function):
            return event_of(schedule, datetime.now(UTC))
    return None


def _names(name: str, function: Function) -> bool:
    return name.rpartition(":")[2] == function.physical_name


def _nameless(route: Route, base_url: str) -> dict[str, Any]:
    names = [part.strip("{}+") for part in route.path.split("/") if part.startswith("{")]
    path = "/".join(_PLACEHOLDER if part.startswith("{") else part for part in route.path.split("/"))
    host = base_url.partition("://")[2]
    request = HttpRequest(route.method, path, (("host", host), ("user-agent", "warm-up")), source_ip=HOST)
    parameters = dict.fromkeys(names, _PLACEHOLDER)
    return http_event(request, route_key=f"{route.method} {route.path}", path_parameters=parameters)


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
