"""Powertools' line and metrics, fed with lines only; other libraries kept silent."""

import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from mooring.entry.http_api import Line
from mooring.entry.observability import Observability, quiet_libraries

GOOD = Line("connected", 303, "0123456789", "req-1", None, "acme", "m-1")


class Context:
    """What Lambda hands to a handler."""

    function_name = "mooring-callback"
    memory_limit_in_mb = "512"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:mooring-callback"
    aws_request_id = "req-1"
    tenant_id = None


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A service name of its own for each test, because Powertools keeps one logger per name."""
    name = f"callback-{uuid4().hex}"
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", name)
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Mooring")
    yield name
    logging.getLogger(name).handlers.clear()


def written(line: Line, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    observability = Observability("FlowFinished")

    def handle(event: object, context: object) -> None:
        observability.emit(line)

    observability.wrap(handle)({"rawQueryString": "code=canary"}, Context())
    log, metrics = (json.loads(text) for text in capsys.readouterr().out.splitlines())
    return log, metrics


def test_one_line_with_the_fields_of_the_line(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    log, metrics = written(GOOD, capsys)
    expected = {"outcome": "connected", "status": 303, "ref": "0123456789", "request_id": "req-1",
                "provider": "acme",
                "merchant_id": "m-1", "service": service, "level": "INFO",
                "message": "connected"}  # fmt: skip
    assert {name: log[name] for name in expected} == expected
    assert "canary" not in json.dumps([log, metrics])
    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["service"], ["service", "provider"]]
    assert directive["Metrics"] == [{"Name": "FlowFinished", "Unit": "Count"}]


@pytest.mark.parametrize("provider", ["acme", None])
@pytest.mark.parametrize("alarm", [None, "TokenLost", "TokenKept", "TokenDiscarded", "ExchangeInDoubt"])
def test_what_an_alarm_waits_for_is_counted_beside_the_failure(
    service: str, capsys: pytest.CaptureFixture[str], alarm: str | None, provider: str | None
) -> None:
    line = Line("failed", 500, "0123456789", "req-1", "any_reason", provider, alarm=alarm)
    log, metrics = written(line, capsys)
    assert (log["level"], log["reason"], log["service"]) == ("WARNING", "any_reason", service)
    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    names = ["Failed", alarm] if alarm else ["Failed"]
    assert [metric["Name"] for metric in directive["Metrics"]] == names
    assert all(metrics[name] == [1.0] for name in names)


@pytest.mark.parametrize("reason", ["token_lost", "account_mismatch", "provider_timeout"])
def test_a_reason_alone_rings_for_nothing(
    service: str, capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    _, metrics = written(Line("failed", 500, "0123456789", "req-1", reason), capsys)
    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert [metric["Name"] for metric in directive["Metrics"]] == ["Failed"]


def test_libraries_do_not_speak() -> None:
    quiet_libraries()
    for name in ("boto3", "botocore", "urllib3", "requests"):
        assert not logging.getLogger(name).isEnabledFor(logging.ERROR)
        assert not logging.getLogger(name).propagate
