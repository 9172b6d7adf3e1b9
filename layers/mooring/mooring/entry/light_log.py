"""One JSON log line an invocation, metrics included, by the standard library alone.

`authorize` logs with this because importing Powertools' logger would cost half its cold start
(`docs/adr`); the fields are those of a Powertools line. Metrics ride in the same line in
CloudWatch's embedded metric format. Only fields of `Line` are written: nothing else can leak.
"""

import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mooring.entry.http_api import Line

_LOGGER = logging.getLogger("mooring")


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON; its text fields are fixed words, its extra fields those of a `Line`."""

    def __init__(self, service: str, context: Mapping[str, str]) -> None:
        super().__init__()
        self._service = service
        self._context = dict(context)
        self._invocation: dict[str, Any] = {}
        self._cold = True

    def begin(self, context: Any) -> None:
        """Note which invocation the next lines belong to (`context` is Lambda's)."""
        self._invocation = {
            "cold_start": self._cold,
            "function_arn": context.invoked_function_arn,
            "function_request_id": context.aws_request_id,
        }
        self._cold = False

    def format(self, record: logging.LogRecord) -> str:
        """One line; an exception's text is never part of it."""
        fields: dict[str, Any] = {
            "level": record.levelname,
            "location": f"{record.funcName}:{record.lineno}",
            "message": record.msg,
            "timestamp": self._timestamp(record.created),
            "service": self._service,
            **self._context,
            **self._invocation,
            **getattr(record, "mooring", {}),
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None})

    @staticmethod
    def _timestamp(created: float) -> str:
        return (
            f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(created))},{int(created % 1 * 1000):03d}+0000"
        )


def start(environ: Mapping[str, str]) -> None:
    """Route our logger to standard output, once, at the start of a process."""
    names = {
        "function_name": "AWS_LAMBDA_FUNCTION_NAME",
        "function_memory_size": "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    }
    context = {key: environ[name] for key, name in names.items() if name in environ}
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(environ.get("POWERTOOLS_SERVICE_NAME", "mooring"), context))
    _LOGGER.handlers = [handler]
    _LOGGER.propagate = False
    _LOGGER.setLevel(logging.INFO)


def begin(context: Any) -> None:
    """Note which invocation the next line belongs to: its request id, and whether it is a cold start."""
    for handler in _LOGGER.handlers:
        if isinstance(handler.formatter, JsonFormatter):
            handler.formatter.begin(context)


def emitter(environ: Mapping[str, str], metric: str) -> Any:
    """A function that writes the one line of an invocation.

    `metric` counts invocations that did not fail; failed ones count as `Failed`, and as what they alarm of.
    """
    namespace = environ.get("POWERTOOLS_METRICS_NAMESPACE", "Mooring")

    def emit(line: Line) -> None:
        failed = line.outcome == "failed"
        counted = _embedded(namespace, ("Failed" if failed else metric, line.alarm), line.provider)
        level = logging.WARNING if failed else logging.INFO
        _LOGGER.log(level, line.outcome, extra={"mooring": {**line.fields(), **counted}})

    return emit


def _embedded(namespace: str, names: Sequence[str | None], provider: str | None) -> dict[str, Any]:
    counted = [name for name in names if name]
    directive = {
        "Namespace": namespace,
        "Dimensions": [["service"], ["service", "provider"]] if provider else [["service"]],
        "Metrics": [{"Name": name, "Unit": "Count"} for name in counted],
    }
    told = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    return {**dict.fromkeys(counted, 1), "_aws": told}
