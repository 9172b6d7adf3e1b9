"""docs/events.md and its schemas say what the code puts; the patterns match what they say."""

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

from mooring.core.announcement import DETAIL_TYPES, SOURCE, Announce, events_of
from mooring.core.connection import Status
from tests.contract.aws_server import AwsServer
from tests.contract.conftest import aws, token_key
from tests.contract.event_bridge import client, received
from tests.core.test_announcement import NOW, change, row
from tests.docs.markdown import ROOT, document, names
from tests.docs.schemas import FOLDER, check_event, file_of, schema_of

__all__ = ["aws", "token_key"]

EVENTS = document("docs/events.md")
_STATUSES = {
    Announce.NEEDS_RECONNECT: Status.NEEDS_RECONNECT,
    Announce.UNINSTALLED: Status.UNINSTALLED,
    Announce.DISCONNECTED: Status.DISCONNECTED,
}


def envelope(word: Announce, **more: Any) -> dict[str, Any]:
    """An event as a rule's target gets it."""
    reason = "grant_refused" if word is Announce.NEEDS_RECONNECT else None
    after = row(_STATUSES.get(word, Status.ACTIVE), last_error=reason, **more)
    if word is Announce.EXPIRING:
        after = after._replace(expiring_at=NOW + 60)
    event = next(
        each
        for each in events_of(change(word, after, row(Status.NEEDS_RECONNECT)))
        if each.detail_type == DETAIL_TYPES[word]
    )
    detail = dict(event.detail)
    return {"version": "0", "source": SOURCE, "detail-type": event.detail_type, "detail": detail}


def blocks() -> list[dict[str, Any]]:
    return [json.loads(block) for block in EVENTS.fences("json")]


def test_there_is_a_schema_for_each_event_and_no_other() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {file_of(kind) for kind in DETAIL_TYPES.values()}
    for kind in DETAIL_TYPES.values():
        Draft202012Validator.check_schema(schema_of(kind))
        assert schema_of(kind)["title"] == kind


@pytest.mark.parametrize("word", list(Announce))
def test_what_the_code_makes_is_what_the_schema_says(word: Announce) -> None:
    check_event(envelope(word))


@pytest.mark.parametrize(
    "wrong",
    [{"generation": 0}, {"merchant_id": "a b"}, {"id": "x"}, {"status": "needs_reconnect"}, {"time": "now"}],
)
def test_a_schema_bites(wrong: dict[str, Any]) -> None:
    event = envelope(Announce.ESTABLISHED)
    event["detail"].update(wrong)
    with pytest.raises(AssertionError):
        check_event(event)


def test_the_table_names_every_event_with_its_schema() -> None:
    rows = EVENTS.rows("detail-type", "when")
    assert [names(cells[0])[0] for cells in rows] == list(DETAIL_TYPES.values())
    for cells, kind in zip(rows, DETAIL_TYPES.values(), strict=True):
        assert re.findall(r"\]\(events/(.+)\)", cells[3]) == [file_of(kind)]


def test_the_fields_are_told() -> None:
    told = {name for cells in EVENTS.rows("field of `detail`") for name in names(cells[0])}
    assert told == envelope(Announce.EXPIRING)["detail"].keys()


def test_the_example_is_one() -> None:
    (example,) = [block for block in blocks() if "detail" in block and "id" in block]
    check_event(example)


def test_the_patterns_match_what_they_are_for(aws: AwsServer) -> None:
    """On the simulated bus: each pattern of the page, and the events that come through it."""
    patterns = [block for block in blocks() if "id" not in block]
    came = [through(aws, pattern) for pattern in patterns]
    assert came == [
        {
            (kind, *who)
            for kind in ("Connection Established", "Connection Recovered")
            for who in (("m-1", "prov-a"), ("m-9", "yotpo"))
        },
        {
            (kind, "m-9", "yotpo")
            for kind in ("Connection Needs Reconnect", "Connection Uninstalled", "Connection Disconnected")
        },
        {(kind, "m-1", "prov-a") for kind in DETAIL_TYPES.values()},
    ]


def through(aws: AwsServer, pattern: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Type, merchant and provider of the events that a rule with this pattern lets through."""
    events, name = client(aws, "events"), f"docs-{uuid4().hex}"
    events.create_event_bus(Name=name)
    url = aws.sqs().create_queue(QueueName=name)["QueueUrl"]
    arn = aws.sqs().get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "queue", "Arn": arn}])
    made = [envelope(word) for word in Announce]
    made += [envelope(word, merchant_id="m-9", provider="yotpo") for word in Announce]
    for event in made:
        entry = {"Source": SOURCE, "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
        events.put_events(Entries=[{"EventBusName": name, **entry}])
    events.close()
    return {
        (event["detail-type"], event["detail"]["merchant_id"], event["detail"]["provider"])
        for event in received(aws, url)
    }


def test_the_bus_has_the_name_that_the_page_says() -> None:
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    assert "Name: !Sub mooring-${Stage}" in template.partition("  EventBus:\n")[2].partition("\n\n")[0]
