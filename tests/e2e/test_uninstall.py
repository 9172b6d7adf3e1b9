"""Uninstall events of a provider that signs: what proves itself ends a connection, nothing else does."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.e2e.fifth.events import KIND, SIGNATURE, Event, body_of, send
from tests.e2e.running import FIFTH, RunningStack
from tests.e2e.service import Service
from tests.e2e.story import Merchant, check_failure
from tests.e2e.upkeep import Upkeep, hint, wait_for

pytestmark = pytest.mark.usefixtures("by_hand")

NOT_UTF8 = b'{"type": "\xff"}'
TWO_MEGABYTES = 2 * 1024 * 1024


@pytest.fixture
def living(merchant: Merchant, shop: str) -> Upkeep:
    """A connected shop, of a second that is over: an event of the same second might be older."""
    merchant.connect(FIFTH, store=shop)
    one = Upkeep.of(merchant, FIFTH, shop)
    connected_at = one.row()["connected_at"]
    wait_for(lambda: time.time() >= connected_at + 1, "the next second")
    return one


def deliver(stack: RunningStack, event: Event, provider: str = FIFTH) -> tuple[int, str]:
    """Send an event to us once: status, and the outcome or the reason, which is also in the log."""
    answer = send(stack.base_url, event, provider)
    body = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    if answer.ok:
        return answer.status_code, body["outcome"]
    assert answer.headers["content-type"].startswith("application/problem+json")
    line = stack.log_line("uninstall", body["ref"])
    assert (line["outcome"], line["reason"], line["level"]) == ("failed", body["reason"], "WARNING")
    return answer.status_code, body["reason"]


BAD: dict[str, tuple[Callable[[RunningStack, str], Event], tuple[int, str]]] = {
    "not JSON": (lambda stack, _: stack.fifth.signed(b"<html>"), (400, "notice_malformed")),
    "no object": (lambda stack, _: stack.fifth.signed(b'["app.uninstalled"]'), (400, "notice_malformed")),
    "empty": (lambda stack, _: stack.fifth.signed(b""), (400, "notice_malformed")),
    "a key twice": (
        lambda stack, shop: stack.fifth.signed(body_of(shop)[:-1] + b', "shop": {"id": "other"}}'),
        (400, "notice_malformed"),
    ),
    "not UTF-8": (
        lambda stack, _: stack.fifth.signed(NOT_UTF8).with_header("Content-Type", "application/octet-stream"),
        (400, "notice_malformed"),
    ),
    # An HTTP API hands JSON on as text, and what is none becomes other bytes than were signed.
    "not UTF-8, said to be JSON": (
        lambda stack, _: stack.fifth.signed(NOT_UTF8),
        (401, "notice_forged"),
    ),
    "two megabytes": (
        lambda stack, shop: stack.fifth.event(shop, padding="x" * TWO_MEGABYTES),
        (413, "notice_too_large"),
    ),
    "no signature": (
        lambda stack, shop: stack.fifth.event(shop).with_header(SIGNATURE, None),
        (401, "notice_forged"),
    ),
    "an empty signature": (
        lambda stack, shop: stack.fifth.event(shop).with_header(SIGNATURE, ""),
        (401, "notice_forged"),
    ),
    "a wrong secret": (lambda stack, shop: stack.fifth.event(shop, secret="guessed"), (401, "notice_forged")),
    "the client secret": (
        lambda stack, shop: stack.fifth.event(shop, secret=stack.fifth.secrets["client_secret"]),
        (401, "notice_forged"),
    ),
    "another body": (
        lambda stack, shop: stack.fifth.event("other").with_body(body_of(shop)),
        (401, "notice_forged"),
    ),
    "upper case": (
        lambda stack, shop: _shouting(stack.fifth.event(shop)),
        (401, "notice_forged"),
    ),
    "no time": (lambda stack, shop: stack.fifth.event(shop, occurred_at=None), (401, "notice_time")),
    "the future": (
        lambda stack, shop: stack.fifth.event(shop, at=int(time.time()) + 3600),
        (401, "notice_time"),
    ),
    "a time in words": (lambda stack, shop: stack.fifth.event(shop, at="soon"), (401, "notice_time")),
    "no account": (
        lambda stack, _: stack.fifth.signed(_body_without_account()),
        (400, "notice_malformed"),
    ),
    "an account that is none": (
        lambda stack, _: stack.fifth.event("a b"),
        (400, "notice_malformed"),
    ),
    "another kind": (lambda stack, shop: stack.fifth.event(shop, type="app.renamed"), (200, "ignored")),
    "from before the reinstall": (
        lambda stack, shop: stack.fifth.event(shop, at=int(time.time()) - 3600),
        (200, "ignored"),
    ),
}


def _body_without_account() -> bytes:
    return json.dumps({"type": KIND, "occurred_at": int(time.time())}).encode()


def _shouting(event: Event) -> Event:
    return event.with_header(SIGNATURE, event.headers[SIGNATURE].upper())


def test_what_does_not_prove_itself_or_is_stale_changes_nothing(
    stack: RunningStack, living: Upkeep, service: Service
) -> None:
    before, token = living.row(), service.token(living.key).json()
    calls = [len(stack.simulator(FIFTH).calls(endpoint)) for endpoint in ("token", "api")]
    shop = living.key.account_id
    answers = {name: deliver(stack, make(stack, shop)) for name, (make, _) in BAD.items()}
    assert answers == {name: expected for name, (_, expected) in BAD.items()}
    assert living.row() == before
    assert service.token(living.key).json() == token
    assert [len(stack.simulator(FIFTH).calls(endpoint)) for endpoint in ("token", "api")] == calls
    stack.control("DELETE", "calls")
    assert deliver(stack, stack.fifth.event(shop, secret="guessed")) == (401, "notice_forged")
    assert stack.calls("uninstall") == Counter(), "who cannot prove it costs nothing"


def test_a_hint_of_another_kind_or_about_nobody_changes_nothing(
    stack: RunningStack, merchant: Merchant
) -> None:
    merchant.connect("yotpo")
    (before,) = merchant.rows()
    answers = [
        hint(stack, "nobody"),
        hint(stack, before["connection"]["S"].partition("#")[2], topic="orders.created"),
        hint(stack, "no name"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 400]
    assert [answer.json()["outcome"] for answer in answers[:2]] == ["accepted", "ignored"]
    assert answers[2].json()["reason"] == "notice_malformed"
    assert merchant.rows() == [before]


@pytest.mark.parametrize(
    ("provider", "expected"),
    [("whatconverts", 404), ("nobody", 404), ("quayside/x", 404), ("Quayside", 404)],
)
def test_providers_that_send_no_notices(stack: RunningStack, shop: str, provider: str, expected: int) -> None:
    assert send(stack.base_url, stack.fifth.event(shop), provider).status_code == expected


def test_only_by_post(stack: RunningStack) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = requests.request(method, f"{stack.base_url}/uninstall/{FIFTH}", timeout=10)
        assert answer.status_code in (404, 405), method


def test_uninstalled_there_is_uninstalled_here_and_can_come_back_at_once(
    stack: RunningStack, merchant: Merchant, service: Service, living: Upkeep, shop: str
) -> None:
    simulator = stack.simulator(FIFTH)
    message = simulator.disconnect(shop)
    wait_for(lambda: living.status == "uninstalled", "the event")
    row = living.row()
    sealed = {"access", "access_key", "refresh", "refresh_key", "due_at", "due_shard", "expires_at"}
    assert sealed & row.keys() == set()
    assert row["uninstalled_at"] >= row["connected_at"]
    told = [line["outcome"] for line in stack.log_lines("uninstall") if line.get("notice_id") == message]
    assert told[0] == "uninstalled", "a delivery is found in our log by the id that the provider gave it"
    assert service.token(living.key).json()["reason"] == "connection_not_active"
    (listed,) = service.list(merchant.name)
    assert (listed["status"], listed["generation"]) == ("uninstalled", 1)
    # The provider sends everything twice; then the merchant returns, and the old event comes once more.
    wait_for(lambda: len(simulator.deliveries(message)) == 2, "the duplicate")
    assert {one["status"] for one in simulator.deliveries(message)} == {200}
    wait_for(lambda: time.time() >= row["uninstalled_at"] + 1, "the next second")
    merchant.connect(FIFTH, store=shop)
    back = living.row()
    assert (back["status"], back["generation"], back["version"]) == ("active", 2, 2)
    assert simulator.redeliver(message) == 200
    assert living.row() == back
    assert simulator.accepts(shop, service.token(living.key).json()["access_token"])


def test_five_at_once_and_once_more(stack: RunningStack, living: Upkeep) -> None:
    event = stack.fifth.event(living.key.account_id)
    others = [stack.fifth.event(living.key.account_id) for _ in range(2)]
    with ThreadPoolExecutor(5) as senders:
        answers = list(senders.map(lambda one: deliver(stack, one), [event, event, event, *others]))
    assert (200, "uninstalled") in answers
    assert set(answers) <= {(200, "uninstalled"), (200, "ignored")}, "whoever came second changed nothing"
    row = living.row()
    assert (row["status"], row["generation"], row["version"]) == ("uninstalled", 1, 1)
    time.sleep(1.1)  # within the second it would be taken for the same write made again
    assert deliver(stack, event) == (200, "ignored")
    assert living.row() == row


def test_an_account_that_nobody_has(stack: RunningStack, shop: str) -> None:
    connections = stack.connections()
    assert deliver(stack, stack.fifth.event(shop)) == (200, "accepted")
    assert stack.connections() == connections
    assert any(row["pk"]["S"] == f"tombstone#{FIFTH}#{shop}" for row in stack.rows("flows"))


def test_uninstalled_before_the_connection_is_stored(
    stack: RunningStack, merchant: Merchant, service: Service, shop: str
) -> None:
    """The merchant agrees, and takes it back while we still exchange the code."""
    simulator = stack.simulator(FIFTH)
    back, calls = merchant.decide(FIFTH, store=shop), len(simulator.calls())
    burned = len(stack.rows("flows"))
    with simulator.behaving(delay_before_seconds=2):
        exchange = threading.Thread(target=merchant.browser.follow, args=(back,))
        exchange.start()
        wait_for(lambda: len(stack.rows("flows")) > burned, "the burned state")
        assert deliver(stack, stack.fifth.event(shop)) == (200, "accepted")
        exchange.join()
    check_failure(stack, merchant.browser.seen[-1], 409, "uninstalled_meanwhile")
    assert len(simulator.calls()) == calls + 1
    assert merchant.rows() == []
    # A flow that begins later has nothing to do with it.
    stone = next(row for row in stack.rows("flows") if row["pk"]["S"] == f"tombstone#{FIFTH}#{shop}")
    wait_for(lambda: time.time() >= int(stone["at"]["N"]) + 1, "the next second")
    merchant.connect(FIFTH, store=shop)
    one = Upkeep.of(merchant, FIFTH, shop)
    assert one.status == "active"
    assert simulator.accepts(shop, service.token(one.key).json()["access_token"])


def test_what_one_event_costs(stack: RunningStack, merchant: Merchant, living: Upkeep, shop: str) -> None:
    other = Merchant(stack, merchant.seen)
    other.connect(FIFTH, store=shop)
    second = Upkeep.of(other, FIFTH, shop)
    connected_at = second.row()["connected_at"]
    wait_for(lambda: time.time() >= connected_at + 1, "the next second")
    stack.control("DELETE", "calls")
    assert deliver(stack, stack.fifth.event(shop)) == (200, "uninstalled")
    assert stack.calls("uninstall") == {
        "DynamoDB_20120810.PutItem": 1,
        "DynamoDB_20120810.Query": 1,
        "DynamoDB_20120810.UpdateItem": 2,
    }
    assert {living.status, second.status} == {"uninstalled"}
