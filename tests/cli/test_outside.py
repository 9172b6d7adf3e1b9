"""What the commands ask CloudWatch for a deployed stage."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from boto3 import Session
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from mooring_cli.outside import metrics
from mooring_cli.stage import Stage
from tests.template.translated import REGION
from tests.template.translated import Stack as Template

NOW = 1_790_000_000


def asked_of(stage: str) -> list[dict[str, Any]]:
    """The metrics that `doctor` asks for; nobody is called."""
    session = Session("a", "b", region_name=REGION)
    asked: list[dict[str, Any]] = []
    answer = {"Id": "swept", "Timestamps": [datetime.fromtimestamp(NOW - 61, UTC)], "Values": [1.0]}

    def keep(params: dict[str, Any], **_: Any) -> None:
        asked.extend(query["MetricStat"]["Metric"] for query in params["MetricDataQueries"])

    def reply(**_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        return AWSResponse("", 200, HTTPHeaders(), SimpleNamespace()), {"MetricDataResults": [answer]}

    session.events.register("before-parameter-build.cloudwatch.GetMetricData", keep)
    session.events.register("before-call.cloudwatch.GetMetricData", cast(Any, reply))
    known = metrics(Stage(stage, REGION, session, "connections", "flows", {}, "sweep"), NOW)
    assert known is not None
    assert (known.known, known.swept_seconds) == (True, 61)
    return asked


def test_a_sweep_of_another_stage_says_nothing_of_this_one() -> None:
    for stage in ("prod", "test"):
        (swept,) = [metric for metric in asked_of(stage) if metric["MetricName"] == "Swept"]
        function = Template(Stage=stage).properties("SweepFunction")
        namespace = function["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]
        assert (swept["Namespace"], namespace) == (f"Mooring/{stage}", f"Mooring/{stage}")
