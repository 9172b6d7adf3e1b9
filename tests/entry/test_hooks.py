"""Webhooks: the body as the bytes that were sent, 2xx only for what was taken, one line each."""

import hmac
import json
import re
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.connection import Status
from mooring.core.errors import ALARMS, Failure, Reason
from mooring.core.upkeep import Answer, Hint, Search
from mooring.entry.hooks import Hook
from mooring.entry.http_api import HEADERS, Line, Response
from mooring.flows.uninstall import Delivery
from tests.core.signing import NOW
from tests.entry.deployed import Deployed
from tests.entry.events import event
from tests.flows.upkeep_world import DOWN, KEY, PROBED, SIGNED, WEBHOOK_SECRET

SIGNED_KEY = KEY._replace(provider=SIGNED.id)
GONE: dict[str, Any] = {"type": "gone", "account": "shop-9", "id": "e-1", "at": NOW}


def notice(body: str | bytes, provider: str = SIGNED.id, **changes: Any) -> dict[str, Any]:
    """A signed notice as API Gateway hands it over; bytes come in base64, text as it is."""
    raw = body if isinstance(body, bytes) else body.encode()
    headers = {"X-Signature": hmac.digest(WEBHOOK_SECRET.encode(), raw, "sha256").hex()}
    text = b64encode(raw).decode() if isinstance(body, bytes) else body
    given = {"headers": headers, "body": text, "isBase64Encoded": isinstance(body, bytes)}
    return event(f"/uninstall/{provider}", method="POST", **{**given, **changes})


@pytest.fixture
def deployed() -> Deployed:
    deployed = Deployed()
    deployed.world.stands(SIGNED_KEY)
    return deployed


def problem(deployed: Deployed, response: Response, reason: str, status: int) -> dict[str, Any]:
    """A problem document, a line with the same reason, and nothing ended or queued."""
    body: dict[str, Any] = json.loads(response["body"])
    assert (response["statusCode"], body["status"], body["reason"]) == (status, status, reason)
    assert response["headers"] == {**HEADERS, "content-type": "application/problem+json"}
    (line,) = deployed.lines
    assert (line.outcome, line.reason, line.status, line.ref) == ("failed", reason, status, body["ref"])
    assert deployed.world.row(SIGNED_KEY).status is Status.ACTIVE
    assert not deployed.world.queue.messages
    assert not deployed.world.connections.tombstones
    return body


@pytest.mark.parametrize("body", [json.dumps(GONE), json.dumps(GONE).encode()], ids=["plain", "base64"])
def test_an_event_ends_the_connection_before_it_is_answered(deployed: Deployed, body: str | bytes) -> None:
    response = deployed.uninstall(notice(body))
    assert (response["statusCode"], json.loads(response["body"])) == (200, {"outcome": "uninstalled"})
    assert response["headers"] == {**HEADERS, "content-type": "application/json"}
    assert deployed.world.row(SIGNED_KEY).status is Status.UNINSTALLED
    (line,) = deployed.lines
    assert line == Line(
        "uninstalled",
        200,
        line.ref,
        "req-1",
        provider="signed",
        notice_id="e-1",
        counts=(("Uninstalled", 1),),
    )
    assert line.fields()["notice_id"] == "e-1"


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "gone",  "account":"shop-9","id":"e","at":%d}' % NOW,
        b'{"account":"shop-9","type":"gone","at":%d,"note":"\\u00e9"}' % NOW,
        json.dumps({**GONE, "note": "\u00e9\u2028\U0001f600"}, ensure_ascii=False),
        "\ufeff" + json.dumps(GONE),
        json.dumps(GONE) + "\r\n",
    ],
    ids=["blanks", "escaped", "unicode", "byte order mark", "line end"],
)
def test_the_signature_is_over_the_bytes_as_they_were_sent(deployed: Deployed, body: str | bytes) -> None:
    assert deployed.uninstall(notice(body))["statusCode"] == 200
    assert deployed.world.row(SIGNED_KEY).status is Status.UNINSTALLED


def test_bytes_that_are_no_text_reach_the_flow_unchanged() -> None:
    taken: list[Delivery] = []

    def flow(delivery: Delivery) -> Answer:
        taken.append(delivery)
        return Answer("ignored")

    hook = Hook("/uninstall/", bool, lambda _line: None, lambda _headers: True)
    raw = bytes(range(256))
    hook.respond(notice(raw), flow)
    hook.respond(notice("plain"), flow)
    assert [delivery.body for delivery in taken] == [raw, b"plain"]
    assert list(taken[0].headers) == ["x-signature"]
    assert "Delivery(signed)" in repr(taken)


@pytest.mark.parametrize("body", ["%%%", "YQ=", "\u00e9\u00e9\u00e9\u00e9"])
def test_a_body_that_only_says_it_is_base64(deployed: Deployed, body: str) -> None:
    sent = {**notice(b"x"), "body": body}
    problem(deployed, deployed.uninstall(sent), "notice_malformed", 400)
    assert deployed.lines[0].detail == "the gateway's body is not base64"


@pytest.mark.parametrize("body", ["not json", "[]", '"gone"', "null", "{}", '{"type":"gone"}'])
def test_what_is_signed_and_no_notice(deployed: Deployed, body: str) -> None:
    answered = deployed.uninstall(notice(body))
    if body == "{}":  # an event of another kind
        assert (answered["statusCode"], deployed.lines[0].outcome) == (200, "ignored")
        return
    problem(deployed, answered, "notice_malformed", 400)


@pytest.mark.parametrize("headers", [{}, None, {"X-Signature": ""}, {"X-Signature": "00" * 32}])
def test_what_is_not_signed_is_not_even_read(deployed: Deployed, headers: Any) -> None:
    response = deployed.uninstall(notice("not json", headers=headers))
    body = problem(deployed, response, "notice_forged", 401)
    assert body["detail"].endswith("Compare the webhook secret on both sides.")
    assert deployed.lines[0].alarm == "NoticeRefused"
    assert WEBHOOK_SECRET not in repr(response)


def test_a_time_that_has_not_come(deployed: Deployed) -> None:
    response = deployed.uninstall(notice(json.dumps({**GONE, "at": NOW + 900})))
    problem(deployed, response, "notice_time", 401)
    assert deployed.lines[0].alarm == "NoticeRefused"


def test_two_megabytes(deployed: Deployed) -> None:
    body = json.dumps({**GONE, "padding": "x" * 2_000_000})
    problem(deployed, deployed.uninstall(notice(body.encode())), "notice_too_large", 413)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "post", ""])
def test_other_methods_take_no_notice(deployed: Deployed, method: str) -> None:
    sent = notice(json.dumps(GONE))
    sent["requestContext"]["http"]["method"] = method
    problem(deployed, deployed.uninstall(sent), "method_not_allowed", 405)


def test_who_came_around_the_cdn_is_not_heard(deployed: Deployed) -> None:
    response = deployed.uninstall(notice(json.dumps(GONE)), welcome=False)
    problem(deployed, response, "origin_unknown", 403)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/uninstall/nobody", None),
        ("/uninstall/acme", "acme"),
        ("/uninstall/", None),
        ("/uninstall/../signed", None),
        ("/uninstall/signed/x", None),
        ("/callback/signed", None),
        ("", None),
    ],
)
def test_a_provider_that_sends_no_notices(deployed: Deployed, path: str, named: str | None) -> None:
    response = deployed.uninstall(notice(json.dumps(GONE), rawPath=path))
    problem(deployed, response, "provider_unknown", 404)
    assert deployed.lines[0].provider == named


@pytest.mark.parametrize(
    ("port", "method", "reason"),
    [
        ("secrets", "webhook_secrets", "secret_unavailable"),
        ("endings", "bury", "storage_unavailable"),
        ("endings", "holders", "storage_unavailable"),
        ("endings", "uninstall", "storage_unavailable"),
    ],
)
def test_what_is_not_durable_is_answered_503_so_that_it_comes_again(
    deployed: Deployed, port: str, method: str, reason: str
) -> None:
    getattr(deployed.world, port).broken[method] = Failure(Reason(reason))
    response = deployed.uninstall(notice(json.dumps(GONE)))
    assert (response["statusCode"], deployed.lines[0].reason) == (503, reason)
    getattr(deployed.world, port).broken.clear()
    assert deployed.uninstall(notice(json.dumps(GONE)))["statusCode"] == 200
    assert deployed.world.row(SIGNED_KEY).status is Status.UNINSTALLED


def test_a_hint_is_queued_and_believed_of_nobody(deployed: Deployed) -> None:
    deployed.world.stands(KEY._replace(provider=PROBED.id), refresh=None)
    sent = notice(json.dumps(GONE), PROBED.id, headers={})
    assert json.loads(deployed.uninstall(sent)["body"]) == {"outcome": "accepted"}
    assert deployed.world.queue.works == [Hint(PROBED.id, "shop-9")]
    assert (deployed.lines[0].counts, deployed.lines[0].notice_id) == ((), "e-1")
    deployed.world.queue.broken["put"] = DOWN
    assert deployed.uninstall(sent)["statusCode"] == 503


def test_an_account_that_nobody_has_is_looked_for_once_more(deployed: Deployed) -> None:
    sent = notice(json.dumps({**GONE, "account": "shop-8"}))
    assert json.loads(deployed.uninstall(sent)["body"]) == {"outcome": "accepted"}
    assert deployed.world.queue.works == [Search(SIGNED.id, "shop-8", NOW)]


@pytest.mark.parametrize("reason", list(Reason))
def test_each_failure_is_a_problem_document_with_its_reason(reason: Reason) -> None:
    lines: list[Line] = []

    def flow(delivery: Delivery) -> Answer:
        raise Failure(reason, "a fixed text")

    hook = Hook("/uninstall/", {"signed"}.__contains__, lines.append, lambda _headers: True)
    response = hook.respond(notice("{}"), flow)
    body = json.loads(response["body"])
    (line,) = lines
    assert (response["statusCode"], body["reason"], body["ref"]) == (line.status, reason.value, line.ref)
    assert (line.reason, line.detail, line.alarm) == (reason.value, "a fixed text", ALARMS.get(reason))


def test_the_unexpected_is_answered_without_its_text(deployed: Deployed) -> None:
    deployed.world.endings.broken["bury"] = OSError("canary-text")
    response = deployed.uninstall(notice(json.dumps(GONE)))
    (line,) = deployed.lines
    assert (response["statusCode"], line.reason, line.detail) == (500, "internal", "OSError")
    assert line.alarm == "Defect"
    assert re.search(r"faults\.py:\d+$", str(line.at))
    assert "canary" not in f"{response}{line}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["headers", "requestContext", "rawPath", "rawQueryString", "body", "isBase64Encoded"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_any_event_is_answered(changes: dict[str, Any]) -> None:
    deployed = Deployed()
    response = deployed.uninstall({**notice("{}"), **changes})
    assert (response["statusCode"], len(deployed.lines)) == (deployed.lines[0].status, 1)
    assert not deployed.world.queue.messages
