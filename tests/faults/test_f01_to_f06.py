"""F01 to F06: a provider that fails, is silent, is slow, or answers what nobody can read.

Each for the exchange of a code and for the refresh. No connection dies of any of it, and what may have been
issued unheard is in doubt until the provider itself has said what it takes.
"""

import json
import secrets
import time

import pytest

from tests.e2e.running import FIFTH
from tests.e2e.service import Service
from tests.e2e.simulator import Simulator
from tests.e2e.story import Merchant, check_failure
from tests.e2e.upkeep import Upkeep
from tests.faults.actions import (
    Action,
    AwsErrorAfter,
    BlackHole,
    Cut,
    DelayAnswer,
    Drip,
    Garble,
    LoseAnswer,
    Reset,
    Respond,
)
from tests.faults.crashes import warm
from tests.faults.ends import DEADEND, planted
from tests.faults.invariants import no_false_death, no_token_lost, one_call_in_flight
from tests.faults.provider_side import (
    NOTHING_SENT,
    backed_off,
    connects_after_all,
    doubt_ends,
    exchange_at,
    exchange_fails,
    in_doubt,
    is_fresh,
    old_token_serves,
    pause_passes,
    recovers,
    together,
    written_anywhere,
)
from tests.faults.stack import TOKEN_PATH, BrokenStack

UNAVAILABLE, TIMEOUT = "provider_unavailable", "provider_timeout"
INVALID, DOUBT = "provider_answer_invalid", "refresh_in_doubt"
READ_SECONDS, DEADLINE_SECONDS, CONNECT_SECONDS = 8, 10, 3
SLACK_SECONDS = 4
"""How much longer than its limit a call may seem on a busy machine; far from Lambda's own 30 seconds."""


def others(merchant: Merchant, shop: str, number: int) -> list[Upkeep]:
    """Connected shops."""
    found = []
    for index in range(number):
        merchant.connect(FIFTH, store=f"{shop}-{index}")
        found.append(Upkeep.of(merchant, FIFTH, f"{shop}-{index}"))
    return found


# F01: the token endpoint answers 500, 502 or 503.


@pytest.mark.parametrize("status", [500, 502, 503])
def test_f01_exchange_a_server_error_is_a_page_and_a_fresh_start_works(
    broken: BrokenStack, merchant: Merchant, shop: str, status: int
) -> None:
    exchange_fails(broken, merchant, shop, Respond(status, b'{"error":"server_error"}'), 503, UNAVAILABLE)
    no_token_lost(broken, connects_after_all(merchant, shop))


@pytest.mark.parametrize("status", [500, 502, 503])
def test_f01_refresh_a_server_error_is_waited_out_while_the_old_token_serves(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, status: int
) -> None:
    old, calls = service.token(living.key).json(), len(simulator.calls())
    with broken.provider_proxy.fault(Respond(status), path=TOKEN_PATH) as planned:
        old_token_serves(living, service, old)
    backed_off(living, service, UNAVAILABLE)
    no_false_death(broken, living)
    assert (planned.hits, len(simulator.calls())) == (1, calls)
    pause_passes(living)
    recovers(living, service)
    no_token_lost(broken, living)
    assert len(simulator.calls()) == calls + 1


def test_f01_refresh_pauses_differ_and_grow(
    broken: BrokenStack, merchant: Merchant, shop: str, service: Service
) -> None:
    several = others(merchant, shop, 4)
    with broken.provider_proxy.fault(Respond(503), path=TOKEN_PATH, times=8):
        started = int(time.time())
        for one in several:
            service.refresh(one.key)
        first = [one.row()["retry_at"] - one.row()["updated_at"] for one in several]
        for one in several:
            pause_passes(one)
            service.refresh(one.key)
        second = [one.row()["retry_at"] - one.row()["updated_at"] for one in several]
    assert len({one.row()["retry_at"] - started for one in several}) > 1, "they come back one by one"
    assert all(15 <= pause <= 20 for pause in first), first
    assert all(30 <= pause <= 40 for pause in second), second
    for one in several:
        no_false_death(broken, one)
        service.disconnect(one.key)


@pytest.mark.parametrize("grace_seconds", [0, 600])
def test_f01_refresh_a_server_error_behind_which_tokens_were_issued(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, grace_seconds: int
) -> None:
    with simulator.behaving(grace_seconds=grace_seconds):
        with broken.provider_proxy.fault(AwsErrorAfter(502, "BadGateway"), path=TOKEN_PATH):
            assert service.refresh(living.key).json()["reason"] == UNAVAILABLE
        assert len(living.row()["attempts"]) == 1, "an invalid_grant that follows tells of a lost rotation"
        pause_passes(living)
        service.refresh(living.key)
        no_token_lost(broken, living)
        assert living.status == ("active" if grace_seconds else "needs_reconnect")
        one_call_in_flight(broken)


# F02: nobody answers a connection attempt.


def test_f02_connecting_in_vain_ends_soon_and_others_go_on(
    broken: BrokenStack, living: Upkeep, merchant: Merchant, service: Service
) -> None:
    lonely = planted(living, DEADEND)

    def fails(reason: str) -> float:
        started = time.monotonic()
        assert service.refresh(lonely.key).json()["reason"] == reason
        took = time.monotonic() - started
        backed_off(lonely, service, reason)
        assert not NOTHING_SENT & lonely.row().keys()
        lonely.set(failures=None, retry_at=None)
        return took

    assert fails(UNAVAILABLE) < SLACK_SECONDS, "refused at once"
    broken.ends.dead.fall_silent()
    warm(broken, 2)  # one waits in vain, one refreshes beside it

    silent, _, page = together(
        lambda: fails(TIMEOUT),
        lambda: recovers(living, service),
        lambda: exchange_at(merchant.other_browser(), DEADEND),
    )
    assert CONNECT_SECONDS - 0.5 < silent < CONNECT_SECONDS + SLACK_SECONDS
    check_failure(broken, page, 504, TIMEOUT)
    assert {row["connection"]["S"] for row in merchant.rows()} == {
        f"{key.provider}#{key.account_id}" for key in (living.key, lonely.key)
    }
    service.disconnect(lonely.key)


# F03 and F04: the request was sent, and no answer comes, or too slowly. The limits are real.


@pytest.mark.parametrize(
    ("action", "seconds", "issued"),
    [
        (BlackHole(), READ_SECONDS, False),
        (DelayAnswer(READ_SECONDS + 3), READ_SECONDS, True),
        (Drip(1), DEADLINE_SECONDS, True),
    ],
    ids=["f03-silence", "f03-late", "f04-drip"],
)
def test_f03_f04_no_answer_in_time(
    broken: BrokenStack,
    living: Upkeep,
    merchant: Merchant,
    shop: str,
    service: Service,
    simulator: Simulator,
    action: Action,
    seconds: int,
    issued: bool,
) -> None:
    tab, calls = merchant.other_browser(), broken.provider_proxy.count(path=TOKEN_PATH)
    reached = len(simulator.calls())
    back = tab.decide(FIFTH, store=f"{shop}-new")

    def exchange() -> float:
        started = time.monotonic()
        check_failure(broken, tab.browser.follow(back), 504, TIMEOUT)
        return time.monotonic() - started

    def refresh() -> float:
        started = time.monotonic()
        assert service.refresh(living.key).json()["reason"] == DOUBT
        return time.monotonic() - started

    with simulator.behaving(grace_seconds=600):
        with broken.provider_proxy.fault(action, path=TOKEN_PATH, times=100) as planned:
            took = together(exchange, refresh)
            assert planned.hits == 2, "neither is repeated"
        assert seconds - 0.5 < min(took), took
        assert max(took) < seconds + SLACK_SECONDS, took
        in_doubt(living)
        no_false_death(broken, living)
        assert [row["connection"]["S"] for row in merchant.rows()] == [f"{FIFTH}#{living.key.account_id}"]
        assert tab.browser.follow(back).status >= 400, "the code is not sent again"
        assert service.refresh(living.key).json()["reason"] == DOUBT, "and nobody calls before two minutes"
        assert broken.provider_proxy.count(path=TOKEN_PATH) == calls + 2
        assert len(simulator.calls()) == reached + (2 if issued else 0)
        assert "Task timed out" not in broken.output.read_text()
        assert doubt_ends(living, service)["outcome"] == "refreshed"
        is_fresh(living, service)
        no_token_lost(broken, living)
        one_call_in_flight(broken, reached + 2)


@pytest.mark.parametrize("action", [LoseAnswer(), Cut(0), Reset()], ids=lambda action: type(action).__name__)
@pytest.mark.parametrize("reuse", ["refuse", "revoke_family"])
def test_f03_a_lost_answer_without_grace_rings_and_ends_in_a_reconnect(
    broken: BrokenStack,
    living: Upkeep,
    merchant: Merchant,
    service: Service,
    simulator: Simulator,
    action: Action,
    reuse: str,
) -> None:
    with simulator.behaving(reuse=reuse):
        calls = len(simulator.calls())
        with broken.provider_proxy.fault(action, path=TOKEN_PATH):
            assert service.refresh(living.key).json()["reason"] == DOUBT
        in_doubt(living)
        lost = not isinstance(action, Reset)
        said = doubt_ends(living, service)
        if not lost:
            assert said["outcome"] == "refreshed", "the provider had not heard of it"
        no_token_lost(broken, living)
        assert (living.status, living.row().get("last_error")) == (
            ("needs_reconnect", "lost_rotation") if lost else ("active", None)
        )
        outcomes = [call["outcome"] for call in simulator.calls()[calls:]]
        assert outcomes == (["refreshed", "reused"] if lost else ["refreshed"])
        one_call_in_flight(broken, calls)
    merchant.connect(FIFTH, store=living.key.account_id)
    is_fresh(living, service)
    no_token_lost(broken, living)


@pytest.mark.parametrize("action", [LoseAnswer(), Reset(), Cut(30)], ids=lambda one: type(one).__name__)
def test_f03_exchange_a_lost_answer_is_not_asked_for_again(
    broken: BrokenStack, merchant: Merchant, shop: str, action: Action
) -> None:
    reason, status = (INVALID, 502) if isinstance(action, Cut) else (UNAVAILABLE, 503)
    exchange_fails(broken, merchant, shop, action, status, reason)
    no_token_lost(broken, connects_after_all(merchant, shop))


# F05 and F06: an answer that cannot be read. Forwarded or not, nobody here can tell.

GOOD = {"access_token": "a", "token_type": "Bearer", "expires_in": 60, "shop": {"id": "s"}}
UNREADABLE = {
    "empty": b"",
    "no-json": b"\xff\xfe\x00garbage",
    "truncated": json.dumps(GOOD).encode()[:-10],
    "a-list": b'["access_token"]',
    "a-text": b'"access_token"',
    "no-token": json.dumps({**GOOD, "access_token": None}).encode(),
    "number": json.dumps({**GOOD, "access_token": 7}).encode(),
    "object": json.dumps({**GOOD, "access_token": {"a": "b"}}).encode(),
    "control": json.dumps({**GOOD, "access_token": "a\nb"}).encode(),
    "token-type": json.dumps({**GOOD, "token_type": ["Bearer"]}).encode(),
    "deep": b'{"access_token":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nan": b'{"access_token": NaN}',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_f05_exchange_of_an_unreadable_answer_stores_nothing(
    broken: BrokenStack, merchant: Merchant, shop: str, body: bytes
) -> None:
    exchange_fails(broken, merchant, shop, Garble(body), 502, INVALID)


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_f05_refresh_keeps_the_old_token_when_the_answer_is_unreadable(
    broken: BrokenStack, living: Upkeep, service: Service, simulator: Simulator, body: bytes
) -> None:
    old, calls = service.token(living.key).json(), len(simulator.calls())
    before = {name: living.row()[name] for name in ("access", "refresh", "version")}
    with broken.provider_proxy.fault(Respond(200, body), path=TOKEN_PATH):
        assert service.refresh(living.key).json()["reason"] == DOUBT
    assert {name: living.row()[name] for name in before} == before, "nothing is stored"
    assert service.token(living.key).json()["access_token"] == old["access_token"]
    in_doubt(living)
    assert living.row()["last_error"] == INVALID
    assert doubt_ends(living, service)["outcome"] == "refreshed"
    assert len(simulator.calls()) == calls + 1
    no_token_lost(broken, living)


@pytest.mark.parametrize("action", [Garble(b"{"), Cut(60), Cut(300)], ids=["garbled", "in-head", "in-body"])
@pytest.mark.parametrize("grace_seconds", [0, 600])
def test_f05_refresh_whose_answer_was_spoilt_on_its_way(
    broken: BrokenStack,
    living: Upkeep,
    service: Service,
    simulator: Simulator,
    action: Action,
    grace_seconds: int,
) -> None:
    with simulator.behaving(grace_seconds=grace_seconds):
        with broken.provider_proxy.fault(action, path=TOKEN_PATH):
            assert service.refresh(living.key).json()["reason"] == DOUBT
        in_doubt(living)
        doubt_ends(living, service)
        no_token_lost(broken, living)
        assert living.status == ("active" if grace_seconds else "needs_reconnect")


def test_f06_a_page_instead_of_tokens_is_read_by_nobody(
    broken: BrokenStack,
    living: Upkeep,
    merchant: Merchant,
    shop: str,
    service: Service,
    simulator: Simulator,
) -> None:
    canary = f"canary-{secrets.token_hex(8)}"
    html = Respond(200, f"<!doctype html><title>{canary}</title>".encode(), {"Content-Type": "text/html"})
    tab = merchant.other_browser()
    back, calls = tab.decide(FIFTH, store=f"{shop}-new"), broken.provider_proxy.count(path=TOKEN_PATH)
    with broken.provider_proxy.fault(html, path=TOKEN_PATH, times=100) as planned:
        page = tab.browser.follow(back)
        check_failure(broken, page, 502, INVALID)
        said = service.refresh(living.key)
        assert said.json()["reason"] == DOUBT
        assert planned.hits == 2
    assert broken.provider_proxy.count(path=TOKEN_PATH) == calls + 2
    in_doubt(living)
    assert len(merchant.rows()) == 1
    assert doubt_ends(living, service)["outcome"] == "refreshed"
    no_token_lost(broken, living)
    assert canary not in page.text + said.text
    assert written_anywhere(broken, canary) == []
    rows = repr(broken.rows("connections") + broken.rows("flows"))
    assert canary not in rows
