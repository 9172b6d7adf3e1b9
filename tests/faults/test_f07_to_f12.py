"""F07 to F12: a provider that sends too much or elsewhere, does not prove itself, slows us, refuses us.

Each for the exchange of a code and for the refresh.
"""

import time
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mooring.adapters.http import OutboundHttp
from mooring.core.errors import Outcome, TokenCallFailure
from mooring.flows.watch import FAILURES
from mooring.providers.catalog import Catalog
from mooring.providers.oauth2 import OAuth2
from tests.e2e.running import FIFTH
from tests.e2e.service import Service
from tests.e2e.simulator import Simulator
from tests.e2e.story import Merchant, check_failure
from tests.e2e.upkeep import Upkeep, sweep, wait_for
from tests.faults.actions import Action, EndlessChunks, GzipBomb, Hold, RedirectLoop, Respond, TooBig
from tests.faults.crashes import rings, rung
from tests.faults.ends import LOCKSIDE, planted
from tests.faults.invariants import no_false_death, no_token_lost, opened
from tests.faults.kill import runtimes
from tests.faults.provider_side import (
    NOTHING_SENT,
    backed_off,
    connects_after_all,
    doubt_ends,
    exchange_at,
    exchange_fails,
    in_doubt,
    is_fresh,
    memory,
    old_token_serves,
    pause_passes,
    recovers,
    together,
)
from tests.faults.proxy import FaultProxy
from tests.faults.stack import TOKEN_PATH, BrokenStack, circuits
from tests.faults.tls import Kind

DOUBT, INVALID, UNAVAILABLE = "refresh_in_doubt", "provider_answer_invalid", "provider_unavailable"
MISCONFIGURED = "provider_misconfigured"
MEGABYTE = 1_000_000
TRIALS = 3


# F07: far more than anybody needs.


@pytest.mark.parametrize(
    "action",
    [TooBig(10 * MEGABYTE), GzipBomb(100 * MEGABYTE), EndlessChunks()],
    ids=lambda a: type(a).__name__,
)
def test_f07_a_flood_is_cut_off_and_costs_no_memory(
    broken: BrokenStack,
    living: Upkeep,
    merchant: Merchant,
    shop: str,
    service: Service,
    action: Action,
) -> None:
    before: dict[int, int] = {}
    for function in ("callback", "refresh"):
        for pid in memory(broken, function):
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak counts from here
        before |= memory(broken, function, "VmRSS")
    started = time.monotonic()
    exchange_fails(broken, merchant.other_browser(), f"{shop}-new", action, 502, INVALID)
    with broken.provider_proxy.fault(action, path=TOKEN_PATH):
        assert service.refresh(living.key).json()["reason"] == DOUBT
    assert time.monotonic() - started < 15
    after = memory(broken, "callback") | memory(broken, "refresh")
    grown = {pid: after[pid] - before[pid] for pid in after if pid in before}
    assert len(grown) >= 2
    assert max(grown.values()) < 8 * MEGABYTE, grown
    in_doubt(living)
    assert doubt_ends(living, service)["outcome"] == "refreshed"
    no_token_lost(broken, living)


# F08: somewhere else.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_f08_a_redirect_is_an_error_and_nobody_goes_there(
    broken: BrokenStack, living: Upkeep, merchant: Merchant, shop: str, service: Service, status: int
) -> None:
    with FaultProxy() as elsewhere:
        away = Respond(status, b"", {"Location": f"{elsewhere.url}/oauth/token"})
        exchange_fails(broken, merchant.other_browser(), f"{shop}-new", away, 502, INVALID)
        with broken.provider_proxy.fault(away, path=TOKEN_PATH, times=100) as planned:
            assert service.refresh(living.key).json()["reason"] == INVALID
            assert planned.hits == 1
        assert elsewhere.seen == []
    backed_off(living, service, INVALID)
    no_false_death(broken, living)
    pause_passes(living)
    recovers(living, service)


def test_f08_a_redirect_loop_is_one_request(
    broken: BrokenStack, living: Upkeep, merchant: Merchant, shop: str, service: Service
) -> None:
    exchange_fails(broken, merchant.other_browser(), f"{shop}-new", RedirectLoop(), 502, INVALID)
    before = len(broken.provider_proxy.seen)
    with broken.provider_proxy.fault(RedirectLoop(307), path="/", times=100) as planned:
        assert service.refresh(living.key).json()["reason"] == INVALID
        assert planned.hits == 1
    assert len(broken.provider_proxy.seen) == before + 1
    pause_passes(living)
    recovers(living, service)
    no_token_lost(broken, living)


# F09: TLS. The functions trust the authorities that ship with them and no other, so in the stack every end
# here is one that nobody vouches for; what is wrong besides is told apart through the real client below.


@pytest.mark.parametrize("kind", ["expired", "wrong_host", "handshake_cut", "good"])
def test_f09_no_proof_no_byte(
    broken: BrokenStack, living: Upkeep, merchant: Merchant, service: Service, kind: Kind
) -> None:
    end, locked = broken.ends.locked, planted(living, LOCKSIDE)
    end.turn(kind)
    connections = end.connections
    assert service.refresh(locked.key).json()["reason"] == UNAVAILABLE
    backed_off(locked, service, UNAVAILABLE)
    assert not NOTHING_SENT & locked.row().keys(), "nothing was sent, so nothing is in doubt"
    check_failure(broken, exchange_at(merchant.other_browser(), LOCKSIDE), 503, UNAVAILABLE)
    assert end.connections == connections + 2, "nobody tries again"
    assert (end.requests, end.plain_text) == ([], [])
    assert len(merchant.rows()) == 2
    assert opened(broken, locked) == opened(broken, living), "the old token is kept"
    service.disconnect(locked.key)


@pytest.mark.parametrize("kind", ["expired", "wrong_host", "handshake_cut"])
def test_f09_each_fault_alone_is_enough(broken: BrokenStack, kind: Kind) -> None:
    end = broken.ends.locked
    end.turn(kind)
    connections = end.connections
    compiled = broken.stack_dir / "build/layers/mooring/python/mooring/compiled"
    provider, now = Catalog(str(compiled)).get(LOCKSIDE), int(time.time())
    http = OutboundHttp(end.ca_file)
    server = OAuth2(http)
    for call in (
        partial(server.refresh, provider, "refresh-token", "secret", now),
        partial(server.exchange, provider, "code", "http://127.0.0.1/", "", "secret", now),
    ):
        with pytest.raises(TokenCallFailure) as raised:
            call()
        assert (raised.value.outcome, raised.value.reason) == (Outcome.TRANSIENT, UNAVAILABLE)
        assert raised.value.detail == "tls"
    http.close()
    assert end.connections == connections + 2
    assert (end.requests, end.plain_text) == ([], [])


# F10: slow down.


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("120", 120, 121),
        ("http-date", 300, 301),
        ("999999999999999999", 3_600, 3_601),
        ("-5", 15, 21),
        ("0", 15, 21),
        ("soon", 15, 21),
        ("9" * 5_000, 3_600, 3_601),
    ],
    ids=["number", "date", "absurd", "negative", "zero", "word", "digits"],
)
def test_f10_refresh_keeps_the_pause_that_the_provider_asks_for(
    broken: BrokenStack, living: Upkeep, service: Service, value: str, least: int, most: int
) -> None:
    old = service.token(living.key).json()
    said = formatdate(time.time() + 301, usegmt=True) if value == "http-date" else value
    slow = Respond(429, b'{"error":"slow_down"}', {"Retry-After": said})
    with broken.provider_proxy.fault(slow, path=TOKEN_PATH, times=100) as planned:
        old_token_serves(living, service, old)
        backed_off(living, service, UNAVAILABLE, least, most)
        # Neither a reader nor the sweep calls before.
        living.pass_time(least - 12)
        sweep(broken)
        service.token(living.key)
        assert planned.hits == 1
    no_false_death(broken, living)
    assert not NOTHING_SENT & living.row().keys()
    pause_passes(living)
    recovers(living, service)


def test_f10_exchange_ends_with_a_page_that_asks_the_merchant_to_wait_and_come_again(
    broken: BrokenStack, merchant: Merchant, shop: str
) -> None:
    """However long the provider wants: a code is never kept for later, so the pause is the merchant's own."""
    slow, pages = Respond(429, b"", {"Retry-After": "120"}), len(merchant.seen)
    exchange_fails(broken, merchant, shop, slow, 503, UNAVAILABLE)
    (page,) = [each for each in merchant.seen[pages:] if f"<code>{UNAVAILABLE}</code>" in each.text]
    assert "Wait a minute" in page.text
    assert page.all("retry-after") == [], "nobody is told to send the same code again"
    no_token_lost(broken, connects_after_all(merchant, shop))


@pytest.fixture
def several(merchant: Merchant, shop: str, service: Service) -> Iterator[list[Upkeep]]:
    """Six connected shops."""
    found = []
    for number in range(6):
        merchant.connect(FIFTH, store=f"{shop}-{number}")
        found.append(Upkeep.of(merchant, FIFTH, f"{shop}-{number}"))
    yield found
    for one in found:
        service.disconnect(one.key)


def not_before(broken: BrokenStack, moment: int) -> None:
    """Move the time until which the fifth provider wants to be left alone."""
    broken.aws("dynamodb").update_item(
        TableName=broken.info["tables"]["flows"],
        Key={"pk": {"S": f"circuit#{FIFTH}"}},
        UpdateExpression="SET not_before = :moment",
        ExpressionAttributeValues={":moment": {"N": str(moment)}},
    )


def circuit_opens(broken: BrokenStack, several: Sequence[Upkeep], service: Service) -> dict[str, Any]:
    """The circuit, once one process (there may be several) has met enough failures in a row."""
    for one in islice(cycle(several), FAILURES * (1 + len(runtimes(broken, "refresh")))):
        assert service.refresh(one.key).json()["reason"] == UNAVAILABLE
        if FIFTH in circuits(broken):
            break
    return circuits(broken)[FIFTH]


def test_f10_a_provider_that_slows_us_again_and_again_gets_a_few_trials_only(
    broken: BrokenStack, several: list[Upkeep], service: Service
) -> None:
    slow = Respond(429, b"", {"Retry-After": "300"})
    with broken.provider_proxy.fault(slow, path=TOKEN_PATH, times=100) as planned:
        circuit = circuit_opens(broken, several[:5], service)
        hits = planned.hits
        assert circuit["reason"]["S"] == UNAVAILABLE
        assert "closed_at" not in circuit
        assert time.time() + 290 < int(circuit["not_before"]["N"]) <= time.time() + 301
        for one in several:
            one.pass_time(7_200)
        said = sweep(broken)
        assert (said["open_circuits"], said["enqueued"]) == ([FIFTH], 0), "no trial before it is time"
        assert service.token(several[5].key).json()["generation"] == 1
        assert planned.hits == hits
        not_before(broken, int(time.time()) - 1)
        said = sweep(broken)
        assert 1 <= said["enqueued"] <= TRIALS
        wait_for(lambda: planned.hits == hits + said["enqueued"], "the trials")
    for one in several:
        no_false_death(broken, one)
    converge(broken, several)


def converge(broken: BrokenStack, several: list[Upkeep]) -> None:
    """I7: from now on all is well at the provider; minutes pass in the table, and sweeps do the rest."""

    def minutes_pass() -> bool:
        if circuits(broken).get(FIFTH, {}).get("not_before"):
            not_before(broken, int(time.time()) - 1)
        for one in several:
            row = one.row()
            if row["version"] == 1 and "lease_owner" not in row:
                one.pass_time(3_600)
        sweep(broken)
        time.sleep(2)  # or what is on its way would be queued a second time
        return all(one.version == 2 for one in several)

    # A process trusts what it saw of a circuit for ten seconds.
    wait_for(minutes_pass, "all of them", 60)
    assert "closed_at" in circuits(broken)[FIFTH]
    for one in several:
        wait_for(lambda one=one: not {"last_error", "retry_at", "failures"} & one.row().keys(), "a clean row")  # type: ignore[misc]
        no_token_lost(broken, one)


# F11: the grant is gone, says the provider.

GONE = Respond(400, b'{"error":"invalid_grant"}')


def test_f11_exchange_of_a_refused_code(broken: BrokenStack, merchant: Merchant, shop: str) -> None:
    exchange_fails(broken, merchant, shop, GONE, 400, "grant_refused")
    no_token_lost(broken, connects_after_all(merchant, shop))


def test_f11_refresh_a_lost_grant_is_told_once(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, merchant: Merchant
) -> None:
    simulator.revoke(account=living.key.account_id)
    calls = len(simulator.calls())
    living.fall_due()
    with rings(broken, "NeedsReconnect"):
        assert sweep(broken)["enqueued"] == 1
        wait_for(lambda: living.status == "needs_reconnect", "what the provider says of it")
        said = [service.refresh(living.key).json()["reason"] for _ in range(3)]
        sweep(broken)
    assert said == ["connection_not_active"] * 3
    assert len(simulator.calls()) == calls + 1
    row = living.row()
    assert row["last_error"] == "grant_refused"
    assert not {"due_at", "due_shard", "lease_owner"} & row.keys()
    assert service.token(living.key).json()["reason"] == "connection_not_active"
    assert [line["reason"] for line in living.lines(outcome="failed")] == ["grant_refused"]
    merchant.connect(FIFTH, store=living.key.account_id)
    is_fresh(living, service)


def test_f11_an_old_grant_that_is_refused_does_not_end_its_successor(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, merchant: Merchant
) -> None:
    first, gate, needed = opened(broken, living), Event(), rung(broken, "NeedsReconnect")
    with broken.provider_proxy.fault(Hold("before", gate), path=TOKEN_PATH) as planned:

        def reconnects() -> None:
            planned.wait_hit()
            merchant.other_browser().connect(FIFTH, store=living.key.account_id)
            simulator.revoke(token=first)
            gate.set()

        answer, _ = together(lambda: service.refresh(living.key), reconnects)
    assert simulator.calls()[-1]["outcome"] == "invalid_grant"
    row = living.row()
    assert (row["status"], row["generation"]) == ("active", 2)
    assert answer.json().get("reason") != "connection_not_active", answer.text
    assert rung(broken, "NeedsReconnect") == needed
    no_token_lost(broken, living)
    recovers(living, service)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error":"something_else","error_description":"invalid_grant"}'),
        (400, b"invalid_grant"),
        (400, b"{}"),
        (403, b'{"message":"invalid_grant"}'),
        (404, b""),
        (410, b"<html>invalid_grant"),
    ],
)
def test_f11_only_the_error_code_says_that_a_grant_is_gone(
    broken: BrokenStack, living: Upkeep, service: Service, status: int, body: bytes
) -> None:
    with broken.provider_proxy.fault(Respond(status, body), path=TOKEN_PATH):
        assert service.refresh(living.key).json()["reason"] in ("provider_error", INVALID)
    no_false_death(broken, living)
    assert "retry_at" in living.row()
    pause_passes(living)
    recovers(living, service)


# F12: we are refused, not the merchant.

REFUSED = Respond(401, b'{"error":"invalid_client"}')


def test_f12_exchange_by_a_refused_client(broken: BrokenStack, merchant: Merchant, shop: str) -> None:
    with rings(broken, "ProviderMisconfigured", "callback"):
        exchange_fails(broken, merchant, shop, REFUSED, 500, MISCONFIGURED)
    no_token_lost(broken, connects_after_all(merchant, shop))


def test_f12_refresh_by_a_refused_client_pauses_the_provider_and_kills_nobody(
    broken: BrokenStack, several: list[Upkeep], service: Service, simulator: Simulator
) -> None:
    with broken.provider_proxy.fault(REFUSED, path=TOKEN_PATH, times=100) as planned:
        with rings(broken, "ProviderMisconfigured"):
            assert service.refresh(several[0].key).json()["reason"] == MISCONFIGURED
        assert planned.hits == 1
        backed_off(several[0], service, MISCONFIGURED)
        circuit = circuits(broken)[FIFTH]
        assert (circuit["reason"]["S"], "closed_at" in circuit) == (MISCONFIGURED, False)
        for one in several:
            one.pass_time(3_600)
        said = sweep(broken)
        assert (said["open_circuits"], 1 <= said["enqueued"] <= TRIALS) == ([FIFTH], True), said
        wait_for(lambda: planned.hits == 1 + said["enqueued"], "the trials")
        for one in several:
            given = service.token(one.key).json()
            assert simulator.accepts(one.key.account_id, given["access_token"])
    assert "closed_at" not in circuits(broken)[FIFTH]
    for one in several:
        no_false_death(broken, one)
    converge(broken, several)
