"""The alarms: each watches something that exists, rings when it should, and has its entry in the runbook."""

import re
from collections.abc import Iterable
from typing import Any

import pytest

from mooring.adapters.recovery_queue import AGAIN_SECONDS
from mooring.core.errors import ALARMS
from mooring.core.schedule import retry_at
from mooring.core.upkeep import PROBE_SECONDS
from mooring.flows.sweep import FIRING_SECONDS
from tests.docs.markdown import document
from tests.template.translated import Stack, source

TOPIC = "arn:aws:sns:eu-central-1:111122223333:alarms"
STACK = Stack()
PREFIX = "mooring-prod-"
OURS = "Mooring/prod"
ALL: dict[str, dict[str, Any]] = {
    alarm["AlarmName"].removeprefix(PREFIX): alarm
    for alarm in STACK.of_type("AWS::CloudWatch::Alarm").values()
}
RUNBOOK = document("docs/runbook.md")
NAMES = {
    "announce-failed",
    "announce-late",
    "defect",
    "event-set-aside",
    "key-denied",
    "lost-rotation",
    "notice-refused",
    "overdue",
    "provider-misconfigured",
    "recovery-dead",
    "recovery-queue",
    "refresh-dead",
    "refresh-queue",
    "revoke-dead",
    "secret-unavailable",
    "server-errors",
    "stranded-flows",
    "sweep-missing",
    "throttles",
    "token-lost",
    "token-unreadable",
}
FUNCTIONS = {"announce", "authorize", "callback", "connections", "uninstall", "sweep", "refresh", "revoke"}
each_alarm = pytest.mark.parametrize("name", sorted(NAMES))


def metrics(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """Every metric that an alarm watches: namespace, name and dimensions."""
    if "Metrics" not in alarm:
        return [alarm]
    return [query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query]


def dimensions(metric: dict[str, Any]) -> dict[str, str]:
    return {dimension["Name"]: dimension["Value"] for dimension in metric["Dimensions"]}


def test_there_is_an_alarm_for_everything_that_somebody_must_hear_of() -> None:
    assert set(ALL) == NAMES
    assert len(STACK.of_type("AWS::CloudWatch::Alarm")) == len(ALL)


# -- the runbook ---------------------------------------------------------------------------------------------


def entries() -> dict[str, str]:
    """Entries of the runbook, by the alarm's name."""
    parts = re.split(r"^#{2,3} ", RUNBOOK.text, flags=re.MULTILINE)
    found = [part.partition("\n") for part in parts if part.startswith("Alarm ")]
    return {title.removeprefix("Alarm "): text for title, _, text in found}


def test_every_alarm_has_an_entry_and_every_entry_an_alarm() -> None:
    assert set(entries()) == set(ALL)


@each_alarm
def test_an_entry_says_what_it_means_how_to_look_and_what_to_do(name: str) -> None:
    entry = entries()[name]
    places = [entry.find(f"**{word}.** ") for word in ("Means", "Look", "Do")]
    assert -1 not in places
    assert places == sorted(places)
    look = entry[places[1] : places[2]]
    assert re.search(r"^(aws|URL=\$\(aws|filter|for name in) ", look, re.MULTILINE)


@each_alarm
def test_an_alarm_leads_to_its_entry(name: str) -> None:
    (anchor,) = re.findall(r"docs/runbook\.md#(\S+)$", ALL[name]["AlarmDescription"])
    assert anchor == f"alarm-{name}"
    assert anchor in RUNBOOK.anchors()


@each_alarm
def test_an_entry_that_lists_functions_lists_all_that_ring_the_alarm(name: str) -> None:
    rings = {dimensions(metric).get("service") for metric in metrics(ALL[name])} - {None}
    rings |= {
        dimensions(metric).get("FunctionName", "").removeprefix(PREFIX) for metric in metrics(ALL[name])
    }
    for found in re.findall(r"in the log groups of ([^:;]+)[:;]|for name in ([a-z ]+); do", entries()[name]):
        listed = set(re.findall(r"`([a-z]+)`", found[0])) | set(found[1].split())
        assert listed == rings - {""}


def test_the_runbook_commands_name_what_the_template_makes() -> None:
    commands = "\n".join(RUNBOOK.fences("sh", ""))
    made = set(re.findall(r"!Sub (?:alias/|/aws/lambda/)?(mooring-\$\{Stage\}-[a-z-]+)", template()))
    named = set(re.findall(r"mooring-prod-[a-z]+(?:-dead)?", commands))
    known = {name.replace("${Stage}", "prod").rstrip("-") for name in made}
    assert {name for name in named if name != "mooring-prod-connections-restored"} <= known


def template() -> str:
    return document("template.yaml").text


# -- what is watched -----------------------------------------------------------------------------------------


@each_alarm
def test_an_alarm_watches_what_exists(name: str) -> None:
    queues = {queue["QueueName"] for queue in STACK.of_type("AWS::SQS::Queue").values()}
    told = {row[0].strip("`") for row in RUNBOOK.rows("metric", "from", "means")}
    for metric in metrics(ALL[name]):
        where = dimensions(metric)
        match metric["Namespace"]:
            case namespace if namespace == OURS:
                assert metric["MetricName"] in told
                assert set(where) == {"service"}
                assert where["service"] in FUNCTIONS
            case "AWS/SQS":
                assert where["QueueName"] in queues
            case "AWS/Lambda":
                assert where["FunctionName"].removeprefix(PREFIX) in FUNCTIONS
            case "AWS/ApiGateway":
                assert where == {"ApiId": "HttpApi"}
            case other:
                raise AssertionError(f"{other} is watched by nobody else here")


def test_every_service_that_counts_a_metric_is_watched() -> None:
    rows = RUNBOOK.rows("metric", "from", "means", "alarm")
    told = {row[0].strip("`"): set(row[1].split(", ")) for row in rows if re.search(r"\(#alarm-", row[3])}
    watched: dict[str, set[str]] = {}
    for alarm in ALL.values():
        for metric in metrics(alarm):
            if metric["Namespace"] == OURS:
                watched.setdefault(metric["MetricName"], set()).add(dimensions(metric)["service"])
    assert {name: told[name] for name in watched} == watched
    assert {name for name in told if name not in watched} == {"RefreshFailed", "RevokeFailed"}


def test_every_alarm_word_of_the_code_is_watched_or_said_not_to_be() -> None:
    rows = RUNBOOK.rows("metric", "from", "means", "alarm")
    alarmed = {row[0].strip("`"): row[3] for row in rows}
    watched = {metric["MetricName"] for alarm in ALL.values() for metric in metrics(alarm)}
    for word in {*ALARMS.values()}:
        assert word in watched or alarmed[word].startswith("no; look at the rate"), word


def test_throttles_are_those_of_every_function_and_dead_letters_of_every_queue() -> None:
    throttled = {dimensions(m)["FunctionName"].removeprefix(PREFIX) for m in metrics(ALL["throttles"])}
    assert throttled == FUNCTIONS
    for name in ("refresh-dead", "recovery-dead", "revoke-dead"):
        (metric,) = metrics(ALL[name])
        assert dimensions(metric) == {"QueueName": f"{PREFIX}{name}"}


# -- when it rings -------------------------------------------------------------------------------------------


@each_alarm
def test_only_silence_of_the_sweep_is_alarming(name: str) -> None:
    missing = "breaching" if name == "sweep-missing" else "notBreaching"
    assert ALL[name]["TreatMissingData"] == missing


def queries(name: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """The expression of an alarm over several metrics, and its statistics by id."""
    (expression,) = [query["Expression"] for query in ALL[name]["Metrics"] if "Expression" in query]
    return expression, {
        query["Id"]: query["MetricStat"] for query in ALL[name]["Metrics"] if "MetricStat" in query
    }


def test_the_dead_mans_alarm_rings_after_five_minutes_without_a_sweep() -> None:
    alarm = ALL["sweep-missing"]
    expression, found = queries("sweep-missing")
    # Were a silent minute no value, CloudWatch would look further back for one and ring late.
    assert expression == "FILL(swept, 0)"
    assert (found["swept"]["Metric"]["MetricName"], found["swept"]["Stat"]) == ("Swept", "Sum")
    assert found["swept"]["Period"] * alarm["EvaluationPeriods"] == 300
    assert "DatapointsToAlarm" not in alarm
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert source()["Resources"]["SweepMissingAlarm"]["DependsOn"] == "SweepSchedule"


def test_overdue_rings_after_ten_minutes() -> None:
    alarm = ALL["overdue"]
    assert (alarm["Statistic"], alarm["ComparisonOperator"]) == ("Maximum", "GreaterThanThreshold")
    assert alarm["Threshold"] == 600


@pytest.mark.parametrize("failures", [0, 1, 5, 50])
def test_overdue_hears_of_a_connection_that_goes_on_failing_in_every_period(failures: int) -> None:
    alarm, longest_pause = ALL["overdue"], retry_at(0, failures, 1.0)
    # It is due once in such a pause, the next sweep sees it, and all others in between report nothing.
    assert alarm["Period"] >= longest_pause + FIRING_SECONDS
    assert (alarm["EvaluationPeriods"], alarm.get("DatapointsToAlarm", 1)) == (1, 1)


@pytest.mark.parametrize("name", ["overdue", "stranded-flows"])
def test_one_sighting_is_enough_of_what_the_sweep_sees_now_and_then(name: str) -> None:
    alarm = ALL[name]
    assert (alarm["Statistic"], alarm["EvaluationPeriods"]) == ("Maximum", 1)


def test_a_waiting_token_set_rings_also_when_it_is_tried_again_and_again() -> None:
    # SQS leaves a message out of the age of the oldest once it was received three times.
    assert 3 * AGAIN_SECONDS < 300
    alarm, (expression, found) = ALL["recovery-queue"], queries("recovery-queue")
    watched = {stat["Metric"]["MetricName"] for stat in found.values()}
    # Between two tries it is hidden.
    assert watched == {"ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"}
    assert {stat["Metric"]["Dimensions"][0]["Value"] for stat in found.values()} == {f"{PREFIX}recovery"}
    assert {(stat["Stat"], stat["Period"]) for stat in found.values()} == {("Maximum", 60)}
    assert (expression, alarm["ComparisonOperator"], alarm["Threshold"]) == (
        "SUM(METRICS())",
        "GreaterThanThreshold",
        0,
    )
    assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (5, 6)


def test_late_events_ring_long_before_the_stream_forgets_them() -> None:
    alarm, mapping = ALL["announce-late"], STACK.properties("AnnounceSource")
    assert (alarm["MetricName"], alarm["Statistic"]) == ("IteratorAge", "Maximum")
    assert alarm["Threshold"] / 1000 + 60 * alarm["EvaluationPeriods"] < mapping["MaximumRecordAgeInSeconds"]
    assert mapping["MaximumRecordAgeInSeconds"] < 24 * 3600


def test_a_hint_that_has_to_wait_rings_nothing() -> None:
    # Anybody can send one, and it is not said whether the age of a queue counts what is delayed in it.
    alarm = ALL["refresh-queue"]
    assert alarm["MetricName"] == "ApproximateAgeOfOldestMessage"
    assert alarm["Threshold"] >= PROBE_SECONDS + 300


def test_an_open_circuit_rings_for_as_long_as_it_is_open() -> None:
    _, found = queries("provider-misconfigured")
    assert found["circuits"]["Metric"]["MetricName"] == "OpenCircuits"
    # Every sweep tells how many there are: one of them that fails to does not end the alarm.
    assert (found["circuits"]["Stat"], found["circuits"]["Period"]) == ("Maximum", 300)
    assert {stat["Stat"] for name, stat in found.items() if name != "circuits"} == {"Sum"}


@pytest.mark.parametrize(
    "name",
    [
        "defect",
        "event-set-aside",
        "key-denied",
        "lost-rotation",
        "provider-misconfigured",
        "secret-unavailable",
        "token-lost",
        "token-unreadable",
    ],
)
def test_one_is_enough(name: str) -> None:
    alarm = ALL[name]
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanOrEqualToThreshold", 1)
    assert alarm["EvaluationPeriods"] == 1


@each_alarm
def test_a_sum_over_functions_holds_when_some_counted_nothing(name: str) -> None:
    listed = ALL[name].get("Metrics", [])
    if listed:
        (expression,) = [query for query in listed if "Expression" in query]
        assert expression["Expression"] == ("FILL(swept, 0)" if name == "sweep-missing" else "SUM(METRICS())")
        assert all(query["ReturnData"] is False for query in listed if query is not expression)
        assert len({query["MetricStat"]["Period"] for query in listed if query is not expression}) == 1
        assert len(listed) <= 10  # CloudWatch takes no more in one alarm
    else:
        assert {"MetricName", "Statistic", "Period"} <= set(ALL[name])


# -- whom it tells -------------------------------------------------------------------------------------------


def test_alarms_tell_the_topic_when_they_start_and_when_they_end() -> None:
    for alarm in Stack(AlarmTopicArn=TOPIC).of_type("AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC]


def test_without_a_topic_they_tell_nobody() -> None:
    assert not [alarm for alarm in ALL.values() if "AlarmActions" in alarm or "OKActions" in alarm]


@pytest.mark.parametrize(
    ("topic", "right"),
    [
        ("", True),
        (TOPIC, True),
        (f"{TOPIC}.fifo", False),
        ("alarms", False),
        ("arn:aws:sqs:eu-central-1:111122223333:alarms", False),
    ],
)
def test_a_topic_is_a_standard_topic_or_none(topic: str, right: bool) -> None:
    pattern = source()["Parameters"]["AlarmTopicArn"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, topic)) is right


OTHER = Stack(Stage="test").of_type("AWS::CloudWatch::Alarm")


def test_alarms_are_named_after_their_stage() -> None:
    assert {alarm["AlarmName"] for alarm in OTHER.values()} == {f"mooring-test-{name}" for name in NAMES}


def test_no_alarm_hears_another_stage_of_the_same_account_and_region() -> None:
    def watched(alarms: Iterable[dict[str, Any]]) -> set[tuple[str, str, str]]:
        # An API has an id of its own, which this test does not know.
        found = [metric for alarm in alarms for metric in metrics(alarm)]
        return {
            (metric["Namespace"], metric["MetricName"], str(dimensions(metric)))
            for metric in found
            if metric["Namespace"] != "AWS/ApiGateway"
        }

    assert not watched(ALL.values()) & watched(OTHER.values())
    for stack, namespace in ((STACK, OURS), (Stack(Stage="test"), "Mooring/test")):
        for function in stack.of_type("AWS::Lambda::Function").values():
            assert function["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"] == namespace
