"""The one line of `authorize`: Powertools' fields, CloudWatch's metrics, nothing besides."""

import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from mooring.entry import light_log
from mooring.entry.http_api import Line

ENVIRON = {
    "POWERTOOLS_SERVICE_NAME": "authorize",
    "POWERTOOLS_METRICS_NAMESPACE": "Mooring",
    "AWS_LAMBDA_FUNCTION_NAME": "mooring-authorize",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_SECRET_ACCESS_KEY": "canary",
}
GOOD = Line("redirected", 302, "0123456789", "req-1", None, "acme", "m-1")
BAD = Line("failed", 403, "0123456789", "req-1", "link_forged", detail="")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    logger = logging.getLogger("mooring")
    before = (logger.handlers, logger.propagate, logger.level)
    yield
    logger.handlers, logger.propagate = before[0], before[1]
    logger.setLevel(before[2])


def written(*lines: Line, environ: dict[str, str] | None = None) -> list[dict[str, Any]]:
    out = io.StringIO()
    with redirect_stdout(out):
        light_log.start(ENVIRON if environ is None else environ)
        emit = light_log.emitter(ENVIRON if environ is None else environ, "FlowStarted")
        for line in lines:
            emit(line)
    return [json.loads(text) for text in out.getvalue().splitlines()]


def test_one_invocation_one_line() -> None:
    (fields,) = written(GOOD)
    expected = {"outcome": "redirected", "status": 302, "ref": "0123456789", "request_id": "req-1",
                "provider": "acme",
                "merchant_id": "m-1", "service": "authorize", "level": "INFO", "message": "redirected",
                "function_name": "mooring-authorize", "function_memory_size": "512",
                "FlowStarted": 1}  # fmt: skip
    assert {name: fields.pop(name) for name in expected} == expected
    assert set(fields) == {"location", "timestamp", "_aws"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\+0000", fields["timestamp"])


def test_the_fields_are_named_as_powertools_names_them() -> None:
    out = io.StringIO()
    logger = Logger(service="authorize", stream=out, utc=True, logger_handler=logging.StreamHandler(out))
    logger.info("redirected", extra={key: value for key, value in GOOD._asdict().items() if value})
    theirs = json.loads(out.getvalue().splitlines()[0])
    ours = written(GOOD, environ={"POWERTOOLS_SERVICE_NAME": "authorize"})[0]
    assert set(ours) - set(theirs) == {"_aws", "FlowStarted"}
    assert set(theirs) - set(ours) == set()
    assert (theirs["level"], theirs["message"], theirs["service"]) == (
        ours["level"],
        ours["message"],
        ours["service"],
    )
    assert re.sub(r"\d", "9", theirs["timestamp"]) == re.sub(r"\d", "9", ours["timestamp"])


def test_a_failure_is_a_warning_with_its_reason_and_counts_as_failed() -> None:
    (fields,) = written(BAD)
    assert (fields["level"], fields["outcome"], fields["reason"], fields["Failed"]) == (
        "WARNING", "failed", "link_forged", 1,
    )  # fmt: skip
    assert {"FlowStarted", "provider", "merchant_id", "detail", "at"} & set(fields) == set()


@pytest.mark.parametrize(("line", "metrics", "dimensions"), [
    (GOOD, ["FlowStarted"], [["service"], ["service", "provider"]]), (BAD, ["Failed"], [["service"]]),
    (BAD._replace(alarm="Defect"), ["Failed", "Defect"], [["service"]]),
])  # fmt: skip
def test_metrics_are_valid_embedded_metrics(
    line: Line, metrics: list[str], dimensions: list[list[str]]
) -> None:
    (fields,) = written(line)
    (directive,) = fields["_aws"]["CloudWatchMetrics"]
    counted = [{"Name": name, "Unit": "Count"} for name in metrics]
    assert directive == {"Namespace": "Mooring", "Dimensions": dimensions, "Metrics": counted}
    assert all(isinstance(fields[name], str) for group in dimensions for name in group)
    assert [fields[name] for name in metrics] == [1] * len(metrics)
    assert isinstance(fields["_aws"]["Timestamp"], int)
    assert fields["_aws"]["Timestamp"] > 1_600_000_000_000


def test_a_field_with_a_line_break_stays_inside_its_line() -> None:
    (fields,) = written(GOOD._replace(merchant_id='m-1\n{"level":"FAKE"}\u2028'))
    assert fields["merchant_id"].startswith("m-1\n")


def test_nothing_of_the_environment_but_the_two_names() -> None:
    assert "canary" not in json.dumps(written(GOOD, BAD))


def test_an_exception_on_a_record_is_not_formatted() -> None:
    formatter = light_log.JsonFormatter("authorize", {})
    error = ValueError("canary")
    record = logging.LogRecord("mooring", 40, "x.py", 1, "internal", ("canary",), (ValueError, error, None))
    assert "canary" not in formatter.format(record)


def test_without_an_environment_there_are_names_all_the_same() -> None:
    (fields,) = written(GOOD, environ={})
    assert (fields["service"], fields["_aws"]["CloudWatchMetrics"][0]["Namespace"]) == ("mooring", "Mooring")


class Context:
    """What Lambda hands to a handler."""

    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:mooring-authorize"
    aws_request_id = "lambda-1"


def test_a_line_names_its_invocation_and_only_the_first_one_is_cold() -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        light_log.start(ENVIRON)
        emit = light_log.emitter(ENVIRON, "FlowStarted")
        for _ in range(2):
            light_log.begin(Context())
            emit(GOOD)
    first, second = (json.loads(text) for text in out.getvalue().splitlines())
    assert (first["cold_start"], second["cold_start"]) == (True, False)
    assert first["function_request_id"] == "lambda-1"
    assert first["function_arn"] == Context.invoked_function_arn
