"""Each recorded attack on refresh, queues and reads: the calls that the provider saw, the rows."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event
from typing import Any

import pytest

from mooring.adapters.work_messages import message
from mooring.core.connection import ReadableConnection, Status
from mooring.core.errors import Reason
from mooring.core.ports import HttpFault, HttpResponse
from mooring.core.tokens import TokenSet
from mooring.core.upkeep import DOUBT_SECONDS, LEASE_SECONDS, Cause, Key, Order
from mooring.entry.service_api import DISCONNECT_ROUTE, REFRESH_ROUTE, TOKEN_ROUTE, UNAUTHORIZED_ROUTE
from mooring.flows.connections import LISTED
from mooring.flows.refresh import LOOK_SECONDS
from mooring.providers.oauth2 import OAuth2
from tests.core.signing import NOW
from tests.entry.deployed import Deployed, batch
from tests.fakes.http import FakeHttp
from tests.fakes.token_keeper import REFRESHED, RefreshCall
from tests.flows.upkeep_world import (
    DOWN,
    EAGER,
    GRACE,
    KEY,
    LOST,
    SEEN,
    TRANSIENT,
    UpkeepWorld,
    provider_of,
)

DUE = Order(KEY, SEEN, Cause.DUE)
NEW = REFRESHED._replace(access_token="canary-access-1", refresh_token="canary-refresh-1")


@pytest.fixture
def deployed() -> Deployed:
    """One connection that is due."""
    deployed = Deployed()
    deployed.world.stands()
    return deployed


def behind(*answers: HttpResponse | HttpFault) -> tuple[Deployed, FakeHttp]:
    """One due connection; the provider answers from a script, through the real protocol code."""
    http = FakeHttp(*answers)
    deployed = Deployed(server=OAuth2(http))
    deployed.world.stands()
    return deployed, http


def run(deployed: Deployed, *orders: Order) -> list[tuple[str, str | None]]:
    """Deliver orders in one batch; outcome and reason of each, none of which comes again."""
    begun = len(deployed.lines)
    assert deployed.refresh(batch(*map(message, orders))) == {"batchItemFailures": []}
    return [(line.outcome, line.reason) for line in deployed.lines[begun:]]


def ask(deployed: Deployed, route: str, key: Key = KEY, **changes: Any) -> tuple[int, dict[str, Any]]:
    """A signed request."""
    names = key._asdict()
    request = {
        "routeKey": route,
        "rawPath": route.partition(" ")[2].format_map(names),
        "pathParameters": names,
    }
    response = deployed.connections({**request, **changes})
    return response["statusCode"], json.loads(response["body"])


@pytest.mark.parametrize("side_by_side", [True, False])
def test_ref_01_the_same_message_ten_times_is_one_call(deployed: Deployed, side_by_side: bool) -> None:
    acting = provider_of(deployed.world)
    if side_by_side:
        said = run(deployed, *[DUE] * 10)
    else:
        said = [ending for _ in range(10) for ending in run(deployed, DUE)]
    assert (acting.calls, acting.issued, deployed.world.row().version) == (1, 1, 6)
    assert [word for word, _ in said].count("refreshed") == 1
    assert {word for word, _ in said} <= {"refreshed", "fresh", "busy"}


class Stalling:
    """A provider that answers each call only when it is told to: `answers` in the order of the calls."""

    def __init__(self, world: UpkeepWorld, *answers: TokenSet | Exception) -> None:
        self._answers, self._numbers = answers, count()
        self.entered = [Event() for _ in answers]
        self.go = [Event() for _ in answers]
        world.keeper.tokens = self._answer

    def _answer(self, _call: RefreshCall) -> TokenSet:
        number = next(self._numbers)
        self.entered[number].set()
        assert self.go[number].wait(10)
        answer = self._answers[number]
        if isinstance(answer, Exception):
            raise answer
        return answer


def overtaken(deployed: Deployed, first_says: TokenSet | Exception) -> UpkeepWorld:
    """A first worker stalls past its lease, a second one takes over, then the first one goes on."""
    world = deployed.world
    provider = Stalling(world, first_says, NEW)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(run, deployed, DUE)
        assert provider.entered[0].wait(10)
        world.clock.advance(DOUBT_SECONDS + 1)
        assert run(deployed, DUE) == [("waiting", "refresh_in_doubt")]  # the look
        world.clock.advance(LOOK_SECONDS)
        second = pool.submit(run, deployed, DUE)
        assert provider.entered[1].wait(10)
        owner = world.rest().lease_owner
        provider.go[0].set()
        first.result(10)
        assert world.rest().lease_owner == owner
        provider.go[1].set()
        second.result(10)
    return world


def test_ref_02_who_outlives_the_lease_cannot_write(deployed: Deployed) -> None:
    world = overtaken(deployed, NEW._replace(access_token="canary-late"))
    assert (world.row().version, world.tokens()[0]) == (6, "canary-access-1")
    assert world.recovery.refreshed[0].attempt_id == "attempt-1"


def test_ref_02_nobody_spends_the_token_again_while_the_answer_may_come(deployed: Deployed) -> None:
    acting = provider_of(deployed.world, revokes=True)
    seen: list[tuple[str, str | None]] = []

    def meanwhile() -> None:
        acting.during = lambda: None
        deployed.world.clock.advance(LEASE_SECONDS + 1)
        seen.extend(run(deployed, DUE))

    acting.during = meanwhile
    assert run(deployed, DUE)[-1] == ("refreshed", None)
    assert seen == [("waiting", "refresh_in_doubt")]
    assert (acting.calls, acting.ended) == (1, False)


def test_ref_03_who_lost_the_lease_cannot_release_it(deployed: Deployed) -> None:
    world = overtaken(deployed, TRANSIENT)
    assert (world.row().version, world.row().last_error, world.rest().failures) == (6, None, 0)


class Killed(BaseException):
    """The process ends here and now."""


@pytest.mark.parametrize(
    ("provider", "ending"), [(EAGER, ("failed", "lost_rotation")), (GRACE, ("refreshed", None))]
)
def test_ref_04_killed_between_the_answer_and_the_store(
    provider: Any, ending: tuple[str, str | None]
) -> None:
    deployed, key = Deployed(), KEY._replace(provider=provider.id)
    world, order = deployed.world, DUE._replace(key=key)
    acting = provider_of(world, grace=600 if provider is GRACE else 0)
    world.stands(key)

    def die(call: RefreshCall) -> TokenSet:
        acting.refresh(call)
        raise Killed

    world.keeper.tokens = die
    with pytest.raises(Killed):
        run(deployed, order)
    world.keeper.tokens = acting.refresh
    said = []
    for _ in range(20):
        world.clock.advance(20)
        said += run(deployed, order)
    assert said[0] == ("busy", "refresh_busy")
    assert [word for word, _ in said].index("waiting") == 2
    assert ending in said
    assert acting.calls == 2
    alarms = [line.alarm for line in deployed.lines if line.alarm]
    assert alarms == (["LostRotation"] if provider is EAGER else [])


def test_ref_05_what_the_table_does_not_take_is_kept_sealed_and_stored_later(deployed: Deployed) -> None:
    world = deployed.world
    provider_of(world)
    world.leases.broken["store"] = DOWN
    assert run(deployed, DUE) == [("failed", "store_delayed")]
    assert world.row().version == 5
    world.leases.broken.clear()
    world.clock.advance(5)
    assert world.recover()[0][1].word == "recovered"
    assert (world.row().version, world.tokens()) == (6, ("access-1", "refresh-1"))


def test_ref_05_what_nothing_takes_rings(deployed: Deployed) -> None:
    provider_of(deployed.world)
    deployed.world.leases.broken["store"] = DOWN
    deployed.world.recovery.broken["put_refreshed"] = DOWN
    assert run(deployed, DUE) == [("failed", "token_lost")]
    assert deployed.lines[0].alarm == "TokenLost"


def test_ref_07_a_loser_who_is_refused_looks_again_before_believing(deployed: Deployed) -> None:
    world = deployed.world

    def too_late(_call: RefreshCall) -> TokenSet:
        world.reconnects()
        raise LOST

    world.keeper.tokens = too_late
    assert run(deployed, DUE) == [("fresh", None)]
    assert (world.row().status, world.row().generation) == (Status.ACTIVE, 3)


@pytest.mark.parametrize(
    ("status", "reason"), [(500, "lost_rotation"), (503, "lost_rotation"), (429, "grant_refused")]
)
def test_an_error_behind_which_a_token_was_issued_is_told_from_a_merchant_who_left(
    status: int, reason: str
) -> None:
    gone = HttpResponse(400, {}, b'{"error":"invalid_grant"}')
    deployed, _ = behind(HttpResponse(status, {}, b""), gone)
    assert run(deployed, DUE) == [("failed", "provider_unavailable")]
    deployed.world.clock.advance(20)
    assert run(deployed, DUE) == [("failed", reason)]
    assert deployed.lines[-1].counts == (("NeedsReconnect", 1),)


def test_a_refusal_that_nobody_knows_is_no_end() -> None:
    deployed, _ = behind(HttpResponse(403, {}, b'{"error":"try_the_other_door"}'))
    assert run(deployed, DUE) == [("failed", "provider_error")]
    assert deployed.lines[-1].counts == (("RefreshFailed", 1),)
    assert deployed.world.row().status is Status.ACTIVE


@pytest.mark.parametrize(
    "after", ["3600", "Wed, 21 Oct 2037 07:28:00 GMT", "soon", "1000000000", "-1", "9" * 5_000, ""]
)
@pytest.mark.parametrize(
    ("status", "body"), [(429, b""), (503, b"<html>"), (400, b'{"error":"temporarily_unavailable"}')]
)
def test_ref_10_come_again_later_and_not_in_a_year(status: int, body: bytes, after: str) -> None:
    deployed, http = behind(HttpResponse(status, {"retry-after": after}, body))
    before = deployed.world.tokens()
    assert run(deployed, DUE)[0][0] == "failed"
    world = deployed.world
    assert (world.row().status, world.tokens(), len(http.requests)) == (Status.ACTIVE, before, 1)
    pause = (world.rest().retry_at or 0) - NOW
    assert 0 < pause <= 3_600
    assert deployed.lines[0].counts == (("RefreshFailed", 1),)


def test_tok_07_an_empty_refresh_token_replaces_nothing() -> None:
    for body in (
        b'{"access_token":"a-1","refresh_token":""}',
        b'{"access_token":"a-1","refresh_token":null}',
    ):
        deployed, _ = behind(HttpResponse(200, {}, body))
        run(deployed, DUE)
        assert deployed.world.tokens()[1] == "canary-refresh-0"


def test_tok_10_another_accounts_token_is_not_stored() -> None:
    body = b'{"access_token":"a-1","refresh_token":"r-1","expires_in":3600,"team":"shop-6"}'
    deployed, _ = behind(HttpResponse(200, {}, body))
    named = EAGER._replace(response=EAGER.response._replace(account="team"))
    deployed.world.providers["acme"] = named
    before = deployed.world.tokens()
    assert run(deployed, DUE) == [("failed", "account_mismatch")]
    assert deployed.lines[0].alarm == "TokenDiscarded"
    assert (deployed.world.tokens(), deployed.world.row().version) == (before, 5)


FOREIGN = [
    message(DUE).replace('"m-1"', '"m-2"'),
    message(DUE).replace('"generation":2', '"generation":1'),
    message(DUE).replace('"version":5', '"version":4'),
    message(DUE).replace('"version":5', '"version":6'),
    message(DUE).replace('"shop-9"', '"shop-8"'),
    message(DUE).replace('"acme"', '"nobody"'),
    message(DUE).replace('"m-1"', '"@account#acme#shop-9"'),
    message(DUE).replace('"schema":1', '"schema":99'),
    message(DUE).replace('"kind":"refresh"', '"kind":"store","access_token":"canary-injected"'),
    json.dumps({"pad": "x" * 262_144}),
    "{" * 1_000,
    "\ud83d",
]  # fmt: skip


@pytest.mark.parametrize("poison", FOREIGN, ids=lambda body: body[:30])
def test_ref_12_an_injected_message_changes_nothing_and_spoils_no_batch(
    deployed: Deployed, poison: str
) -> None:
    acting, mate = provider_of(deployed.world), KEY._replace(merchant_id="m-9")
    deployed.world.stands(mate)
    before = deployed.world.snapshot()
    deployed.refresh(batch(poison, message(DUE._replace(key=mate))))
    assert deployed.world.snapshot() == before
    assert (acting.calls, deployed.world.row(mate).version) == (1, 6)
    assert "canary" not in repr(deployed.lines)


def test_ref_13_a_defect_in_one_record_is_that_records_alone(deployed: Deployed) -> None:
    keys = [deployed.world.stands(KEY._replace(merchant_id=f"m-{number}")) for number in range(10)]
    deployed.world.providers["broken"] = "no provider at all"  # type: ignore[assignment]
    orders = [DUE._replace(key=key) for key in keys]
    orders[4] = DUE._replace(key=deployed.world.stands(KEY._replace(provider="broken")))
    answered = deployed.refresh(batch(*map(message, orders)))
    assert answered == {"batchItemFailures": [{"itemIdentifier": "message-4"}]}
    assert [line.outcome for line in deployed.lines].count("refreshed") == 9


def test_disc_01_disconnected_twice(deployed: Deployed) -> None:
    assert [ask(deployed, DISCONNECT_ROUTE) for _ in range(2)] == [(200, {"status": "disconnected"})] * 2
    ended = deployed.world.snapshot()
    deployed.world.clock.advance(60)
    assert ask(deployed, DISCONNECT_ROUTE)[0] == 200
    assert deployed.world.snapshot() == ended


def test_disc_01_while_a_refresh_is_in_flight(deployed: Deployed) -> None:
    acting = provider_of(deployed.world)
    acting.during = lambda: ask(deployed, DISCONNECT_ROUTE)  # type: ignore[assignment]
    assert run(deployed, DUE)[-1] == ("failed", "uninstalled_meanwhile")
    assert deployed.world.tokens() == (None, None)
    assert ask(deployed, TOKEN_ROUTE)[0] == 409


@pytest.mark.parametrize("status", [status for status in LISTED if status is not Status.ACTIVE])
@pytest.mark.parametrize("route", [TOKEN_ROUTE, REFRESH_ROUTE, UNAUTHORIZED_ROUTE])
def test_read_05_nothing_comes_of_what_has_ended_though_the_ciphertext_is_there(
    deployed: Deployed, status: Status, route: str
) -> None:
    deployed.world.stands(status=status, expires_at=NOW + 3_600)
    report = json.dumps(SEEN._asdict())
    code, body = ask(deployed, route, body=report, rawQueryString="")
    assert (code, body["reason"]) == (409, "connection_not_active")
    assert "open" not in deployed.world.journal
    assert not deployed.world.keeper.refreshes
    assert "canary" not in json.dumps(body)


def test_read_05_what_ends_while_it_is_being_refreshed_is_not_handed_out(deployed: Deployed) -> None:
    acting = provider_of(deployed.world)
    acting.during = lambda: deployed.world.endings.disconnect(KEY, NOW)  # type: ignore[assignment]
    code, body = ask(deployed, TOKEN_ROUTE)
    assert (code, body["reason"]) == (409, "connection_not_active")
    row: ReadableConnection | None = deployed.world.connections.row(KEY)
    assert row is not None
    assert row.access is None


def test_dos_04_reports_and_reads_refresh_no_oftener_than_they_may(deployed: Deployed) -> None:
    acting, world = provider_of(deployed.world, lifetime=3_600), deployed.world
    for _ in range(300):
        row = world.row()
        report = json.dumps({"generation": row.generation, "version": row.version})
        ask(deployed, UNAUTHORIZED_ROUTE, body=report)
        ask(deployed, TOKEN_ROUTE, rawQueryString="min_ttl=999999")
        world.clock.advance(1)
    assert 1 < acting.calls <= 6


def test_dos_04_a_reader_cannot_ask_for_more_life_than_a_token_has(deployed: Deployed) -> None:
    acting = provider_of(deployed.world, lifetime=300)
    for _ in range(100):
        assert ask(deployed, TOKEN_ROUTE, rawQueryString="min_ttl=3600")[0] == 200
        deployed.world.clock.advance(1)
    assert acting.calls == 1


def test_dos_04_a_failing_provider_is_not_asked_by_every_reader(deployed: Deployed) -> None:
    deployed.world.keeper.tokens = TRANSIENT
    for _ in range(50):
        assert ask(deployed, TOKEN_ROUTE)[1]["reason"] in ("provider_unavailable", "refresh_put_off")
    assert len(deployed.world.keeper.refreshes) == 1


def test_log_05_a_name_with_a_line_break_is_no_name(deployed: Deployed) -> None:
    forged = Key('m-1\n{"level":"ERROR"}', "acme", "shop-9")
    assert ask(deployed, REFRESH_ROUTE, forged)[0] == 404
    assert deployed.refresh(batch(message(DUE._replace(key=forged))))["batchItemFailures"]
    assert [(line.merchant_id, line.reason) for line in deployed.lines] == [
        (None, Reason.CONNECTION_NOT_FOUND.value),
        (None, Reason.MESSAGE_MALFORMED.value),
    ]
