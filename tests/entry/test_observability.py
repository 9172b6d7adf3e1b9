"""Powertools' line and metrics, fed with lines only; other libraries kept silent."""

import json
import logging
from collections.abc import Iterator, Sequence
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
    (log,), (metrics,) = all_written([line], capsys)
    return log, metrics


def all_written(
    lines: Sequence[Line], capsys: pytest.CaptureFixture[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What one invocation writes: log lines, and metrics."""
    observability = Observability("FlowFinished")

    def handle(event: object, context: object) -> None:
        for line in lines:
            observability.emit(line)

    observability.wrap(handle)({"rawQueryString": "code=canary"}, Context())
    texts = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    return [text for text in texts if "_aws" not in text], [text for text in texts if "_aws" in text]


def counted(blob: dict[str, Any]) -> dict[str, tuple[float, str]]:
    """Value and unit of each metric in one blob."""
    (directive,) = blob["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Mooring"
    return {each["Name"]: (blob[each["Name"]][0], each["Unit"]) for each in directive["Metrics"]}


def dimensions(blob: dict[str, Any]) -> list[dict[str, str]]:
    """The sets of dimensions of one blob, each with its values."""
    (directive,) = blob["_aws"]["CloudWatchMetrics"]
    return [{name: blob[name] for name in names} for names in directive["Dimensions"]]


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


def test_each_line_of_an_invocation_has_metrics_of_its_own(
    service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        GOOD._replace(outcome="refreshed", provider="acme", counts=(("Refreshed", 1),)),
        GOOD._replace(
            outcome="failed", provider="other", alarm="LostRotation", counts=(("NeedsReconnect", 1),)
        ),
        GOOD._replace(outcome="swept", provider=None, counts=(("Swept", 1), ("OverdueSeconds", 70))),
        GOOD._replace(outcome="refreshed", provider="acme", counts=(("Refreshed", 1),)),
        GOOD._replace(outcome="connected", provider="third"),
    ]
    logs, blobs = all_written(lines, capsys)
    assert [(log["outcome"], log.get("provider")) for log in logs] == [
        ("refreshed", "acme"),
        ("failed", "other"),
        ("swept", None),
        ("refreshed", "acme"),
        ("connected", "third"),
    ]
    assert [counted(blob) for blob in blobs] == [
        {"Refreshed": (1, "Count")},
        {"NeedsReconnect": (1, "Count"), "LostRotation": (1, "Count")},
        {"Swept": (1, "Count"), "OverdueSeconds": (70, "Seconds")},
        {"Refreshed": (1, "Count")},
        {"FlowFinished": (1, "Count")},
    ]
    alone = {"service": service}
    assert [dimensions(blob) for blob in blobs] == [
        [alone, {**alone, "provider": "acme"}],
        [alone, {**alone, "provider": "other"}],
        [alone],
        [alone, {**alone, "provider": "acme"}],
        [alone, {**alone, "provider": "third"}],
    ]


def test_counts_stand_in_place_of_the_functions_own_metric(
    service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line("failed", 503, "0123456789", "message-1", "any_reason", counts=(("RefreshFailed", 1),))
    log, blob = written(line, capsys)
    assert set(counted(blob)) == {"RefreshFailed"}
    assert (log["level"], log["request_id"]) == ("WARNING", "message-1")
    assert {"counts", "RefreshFailed"} & set(log) == set()


def test_a_count_of_nothing_is_written_too(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, blob = written(GOOD._replace(counts=(("Swept", 1), ("Enqueued", 0))), capsys)
    assert counted(blob) == {"Swept": (1, "Count"), "Enqueued": (0, "Count")}


def test_an_alarm_that_is_among_the_counts_is_counted_once(
    service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line("failed", 500, "0123456789", "r", "x", alarm="LostRotation", counts=(("LostRotation", 2),))
    assert counted(written(line, capsys)[1]) == {"LostRotation": (2, "Count")}


def test_when_to_come_again_stands_in_the_line(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    log, _ = written(GOOD._replace(outcome="waiting", until=1_800_000_060), capsys)
    assert log["until"] == 1_800_000_060


def test_libraries_do_not_speak() -> None:
    quiet_libraries()
    for name in ("boto3", "botocore", "urllib3", "requests"):
        assert not logging.getLogger(name).isEnabledFor(logging.ERROR)
        assert not logging.getLogger(name).propagate
