"""Tokens that end: refreshed when a reader, a report, an operator or the schedule asks, and once only."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from local.simulators.yotpo import STORES
from mooring.core.upkeep import READ_SECONDS
from tests.e2e.running import FIFTH, RunningStack
from tests.e2e.service import Service
from tests.e2e.story import Merchant
from tests.e2e.upkeep import Upkeep, sweep, wait_for

pytestmark = pytest.mark.usefixtures("by_hand")

READERS = 50
UPDATE, DECRYPT = "DynamoDB_20120810.UpdateItem", "TrentService.Decrypt"


def test_fifty_readers_of_a_dead_token_make_one_refresh(
    stack: RunningStack, merchant: Merchant, service: Service
) -> None:
    simulator = stack.simulator("whatconverts")
    with simulator.behaving(access_token_seconds=1):
        merchant.connect("whatconverts")
    one = Upkeep.of(merchant, "whatconverts")
    dead = one.row()
    calls = len(simulator.calls())
    wait_for(lambda: time.time() > dead["issued_at"] + READ_SECONDS + 1, "the token's end, and a read's turn")
    # Long enough for all of them to come while the provider still thinks.
    with simulator.behaving(delay_before_seconds=1.5), ThreadPoolExecutor(READERS) as readers:
        answers = list(readers.map(lambda _: service.token(one.key), range(READERS)))
    assert [answer.status_code for answer in answers] == [200] * READERS, answers[0].text
    assert [call["outcome"] for call in simulator.calls()[calls:]] == ["refreshed"]
    assert {answer.json()["version"] for answer in answers} == {2}
    (token,) = {answer.json()["access_token"] for answer in answers}
    assert simulator.accepts("default", token)
    assert not any("warning" in answer.json() for answer in answers)
    assert one.row()["version"] == 2


def test_what_falls_due_together_is_one_batch_and_a_line_each(
    stack: RunningStack, merchant: Merchant, shop: str
) -> None:
    connected = [f"{shop}-{number}" for number in range(5)]
    for name in connected:
        merchant.connect(FIFTH, store=name)
    due = [Upkeep.of(merchant, FIFTH, name) for name in connected]
    batches = len(stack.log_lines("refresh"))
    calls = len(stack.simulator(FIFTH).calls())
    with stack.paused("queues/refresh"):
        for one in due:
            one.fall_due()
        assert sweep(stack)["enqueued"] == 5
        assert sweep(stack)["enqueued"] == 0, "what is on its way is not queued again"
    lines = [one.line("refreshed") for one in due]
    assert len({line["request_id"] for line in lines}) == 5, "each names its own message"
    assert len({line["function_request_id"] for line in lines}) == 1, "one batch"
    new = [line for line in stack.log_lines("refresh")[batches:] if "outcome" in line]
    assert len(new) == 5
    assert [one.version for one in due] == [2] * 5
    assert len(stack.simulator(FIFTH).calls()) == calls + 5
    for name, one in zip(connected, due, strict=True):
        row = one.row()
        assert row["due_at"] > time.time() + 2000, name
        assert not {"lease_owner", "lease_until", "attempts", "attempt_at", "retry_at"} & row.keys()


def test_what_one_refresh_costs(stack: RunningStack, merchant: Merchant, service: Service, shop: str) -> None:
    merchant.connect(FIFTH, store=shop)
    one, simulator = Upkeep.of(merchant, FIFTH, shop), stack.simulator(FIFTH)
    assert service.refresh(one.key).json()["outcome"] == "refreshed"
    calls = len(simulator.calls())
    one.fall_due()
    sweep(stack)
    wait_for(lambda: one.version == 3, "the refresh from the queue")
    assert len(simulator.calls()) == calls + 1
    stack.control("DELETE", "calls")
    one.fall_due()
    sweep(stack)
    wait_for(lambda: one.version == 4, "the refresh from the queue")
    made = stack.calls("refresh")
    assert made[UPDATE] == 2, "the lease, and the new tokens"
    assert made[DECRYPT] <= 2
    assert set(made) <= {UPDATE, DECRYPT}, made
    stack.control("DELETE", "calls")
    assert service.refresh(one.key).json()["version"] == 5
    asked = stack.calls("refresh")
    assert asked[UPDATE] == 3, "what is asked for by hand closes the circuit besides"
    assert set(asked) <= {UPDATE, DECRYPT}, asked
    assert len(simulator.calls()) == calls + 3


def test_what_one_sweep_costs_when_nothing_is_due(stack: RunningStack, merchant: Merchant) -> None:
    merchant.connect("whatconverts")
    sweep(stack)
    stack.control("DELETE", "calls")
    said = sweep(stack)
    assert said["enqueued"] == 0
    made = stack.calls("sweep")
    providers, shards, stranded_flows = 7, 8, 1
    assert made == {
        "DynamoDB_20120810.Query": providers * shards + stranded_flows,
        "DynamoDB_20120810.BatchGetItem": 1,
        "AmazonSQS.GetQueueAttributes": 1,
    }


def test_a_reader_is_never_given_less_than_it_asked_for(
    stack: RunningStack, merchant: Merchant, service: Service
) -> None:
    """Tokens this short are kept fresh by those who read them alone."""
    simulator = stack.simulator("whatconverts")
    with simulator.behaving(access_token_seconds=6):
        merchant.connect("whatconverts")
        one, seen = Upkeep.of(merchant, "whatconverts"), set()
        assert "due_at" not in one.row()
        until = time.monotonic() + 9
        while time.monotonic() < until:
            given = service.token(one.key, min_ttl=2).json()
            assert simulator.accepts("default", given["access_token"]), given
            assert given["expires_at"] >= time.time() + 0.5, "two seconds when it was asked for"
            seen.add(given["version"])
            time.sleep(0.2)
    assert len(seen) >= 3
    assert seen == set(range(1, len(seen) + 1))
    assert simulator.calls()[-1]["outcome"] == "refreshed"


def test_nobody_can_ask_for_more_than_half_a_life(
    stack: RunningStack, merchant: Merchant, service: Service
) -> None:
    merchant.connect("whatconverts")
    given = service.token(Upkeep.of(merchant, "whatconverts").key, min_ttl=3600).json()
    assert (given["version"], "warning" in given) == (1, False)


def behind_our_back(stack: RunningStack, refresh_token: str) -> None:
    """Somebody else with our credentials refreshes at a provider that ends earlier access tokens then."""
    simulator = stack.simulator("whatconverts")
    body = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    client = {
        "client_id": "sample-whatconverts-client-id",
        "client_secret": stack.secrets["whatconverts"],
    }
    with simulator.behaving(ends_access_token=True):
        answer = requests.post(f"{simulator.base_url}/oauth/token", json={**body, **client}, timeout=10)
    assert answer.status_code == 200, answer.text


def test_a_401_has_the_token_renewed_at_once(
    stack: RunningStack, merchant: Merchant, service: Service
) -> None:
    simulator = stack.simulator("whatconverts")
    merchant.connect("whatconverts")
    one = Upkeep.of(merchant, "whatconverts")
    old = service.token(one.key).json()
    behind_our_back(stack, simulator.newest()["refresh_token"])
    assert not simulator.accepts("default", old["access_token"])
    # A token that was issued within the last minute is not taken for dead; this one is older.
    one.pass_time(61)
    calls = len(simulator.calls())
    answer = service.report(one.key, old)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "refreshed"), answer.text
    assert answer.json()["version"] == old["version"] + 1
    new = service.token(one.key).json()
    assert simulator.accepts("default", new["access_token"])
    assert len(simulator.calls()) == calls + 1

    for told in (old, new):  # one that is out of date, and one too soon
        again = service.report(one.key, told)
        assert (again.status_code, again.json()["outcome"]) == (200, "fresh"), again.text
        assert again.json()["version"] == new["version"]
    assert len(simulator.calls()) == calls + 1
    assert service.token(one.key).json()["access_token"] == new["access_token"]


def test_the_third_401_in_a_row_asks_a_provider_whose_tokens_never_end(
    stack: RunningStack, merchant: Merchant, service: Service
) -> None:
    store = list(STORES)[1]
    simulator = stack.simulator("yotpo")
    merchant.connect("yotpo", store=store)
    one = Upkeep.of(merchant, "yotpo", store)
    given = service.token(one.key).json()
    probes = len(simulator.calls("api"))

    def reports(count: int) -> list[tuple[int, str]]:
        """Reports a minute apart: the minute is taken out of the row."""
        said = []
        for _ in range(count):
            answer = service.report(one.key, given)
            body = answer.json()
            said.append((answer.status_code, body.get("outcome") or body["reason"]))
            if "unauthorized_at" in one.row():
                one.pass_time(61)
        return said

    assert service.report(one.key, given).json()["outcome"] == "reported"
    assert service.report(one.key, given).json()["outcome"] == "skipped", "one a minute counts"
    one.pass_time(61)
    assert reports(1) == [(200, "reported")]
    assert len(simulator.calls("api")) == probes
    assert reports(1) == [(200, "probed")], "the token works, so whoever reported it was wrong"
    assert len(simulator.calls("api")) == probes + 1
    assert (one.status, one.row()["unauthorized_count"]) == ("active", 0)
    simulator.revoke(account=store)
    assert reports(3) == [(200, "reported")] * 2 + [(409, "connection_not_active")]
    row = one.row()
    assert (row["status"], row["last_error"]) == ("needs_reconnect", "token_refused")
    assert service.token(one.key).json()["reason"] == "connection_not_active"
    merchant.connect("yotpo", store=store)
    assert simulator.accepts(store, service.token(one.key).json()["access_token"])


def test_an_operator_refreshes_now(stack: RunningStack, merchant: Merchant, service: Service) -> None:
    merchant.connect("whatconverts")
    one = Upkeep.of(merchant, "whatconverts")
    said = service.refresh(one.key).json()
    assert (said["outcome"], said["version"], said["status"]) == ("refreshed", 2, "active")
    stack.cli("refresh", merchant.name, "whatconverts", "default")
    assert one.version == 3
    assert stack.simulator("whatconverts").accepts("default", service.token(one.key).json()["access_token"])
    assert service.refresh(one.key._replace(account_id="nobody")).json()["reason"] == "connection_not_found"


def test_a_connection_without_a_refresh_token_cannot_be_refreshed(
    merchant: Merchant, service: Service
) -> None:
    merchant.connect("notifyvisitors")
    one = Upkeep.of(merchant, "notifyvisitors")
    said = service.refresh(one.key).json()
    assert (said["outcome"], said["version"], said["status"]) == ("skipped", 1, "active")


@pytest.mark.parametrize("provider", ["whatconverts", "notifyvisitors"])
def test_disconnected_and_connected_again(
    stack: RunningStack, merchant: Merchant, service: Service, provider: str
) -> None:
    merchant.connect(provider)
    one = Upkeep.of(merchant, provider)
    given = service.token(one.key).json()
    answer = service.disconnect(one.key)
    assert (answer.status_code, answer.json()) == (200, {"status": "disconnected"})
    row = one.row()
    sealed = {"access", "access_key", "refresh", "refresh_key", "due_at", "due_shard", "expires_at"}
    assert (row["status"], sealed & row.keys()) == ("disconnected", set())
    assert service.disconnect(one.key).status_code == 200, "twice is once"
    refusals: list[Any] = [service.token(one.key), service.refresh(one.key), service.report(one.key, given)]
    assert [answer.status_code for answer in refusals] == [409] * 3
    assert {answer.json()["reason"] for answer in refusals} == {"connection_not_active"}
    (listed,) = service.list(merchant.name)
    assert (listed["status"], listed["generation"]) == ("disconnected", 1)
    assert one.lines("connections", outcome="disconnected")
    merchant.connect(provider)
    (listed,) = service.list(merchant.name)
    assert (listed["status"], listed["generation"], listed["version"]) == ("active", 2, 2)
    assert stack.simulator(provider).accepts("default", service.token(one.key).json()["access_token"])
    assert service.disconnect(one.key._replace(provider="xeno")).status_code == 404
