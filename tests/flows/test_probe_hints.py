"""Hints: uninstall notices that anybody may have sent. The provider is asked, and nobody else believed."""

from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from threading import Barrier
from typing import Any

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Reason
from mooring.core.provider import Probe
from mooring.core.tokens import TokenSet
from mooring.core.upkeep import (
    CONFIRM_SECONDS,
    EXPIRING_SECONDS,
    LATE_SECONDS,
    PROBE_SECONDS,
    Answer,
    Cause,
    Confirm,
    Delayed,
    Hint,
    Key,
    Order,
    Seen,
    Work,
)
from mooring.flows.probe import SECOND_LOOK_SECONDS, SECOND_PAUSE_SECONDS
from mooring.flows.probe import hinted as ask
from tests.core.signing import NOW
from tests.fakes.token_keeper import REFRESHED, RefreshCall
from tests.flows.upkeep_world import DOWN, KEY, LOST, PROBED, SEEN, TRANSIENT, UpkeepWorld, provider_of
from tests.flows.world import refusal

DAY = 86_400
PROBED_KEY, SILENT_KEY = KEY._replace(provider="probed"), KEY._replace(provider="silent")
REFUSED = Answer("probed", Reason.TOKEN_REFUSED)
SECOND = Confirm(PROBED_KEY, SEEN, NOW, uninstall=True)
HINT, AGAIN = Hint("probed", "shop-9"), Hint("probed", "shop-9", again=True)


def stands(upkeep: UpkeepWorld, **changes: Any) -> None:
    upkeep.stands(PROBED_KEY, refresh=None, **{"expires_at": None, **changes})


def hinted(upkeep: UpkeepWorld, provider: str = "probed") -> list[Answer]:
    return [answer for _, answer in upkeep.work(Hint(provider, "shop-9"))]


def test_a_hint_that_the_provider_confirms_twice_uninstalls(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.REFUSED
    assert hinted(upkeep) == [REFUSED]
    assert upkeep.queue.messages == [Delayed(SECOND, CONFIRM_SECONDS + 1)]
    assert upkeep.deliver() == [(PROBED_KEY, Answer("uninstalled"))]
    row = upkeep.row(PROBED_KEY)
    assert (row.status, row.last_error) == (Status.UNINSTALLED, "token_refused")
    assert upkeep.tokens(PROBED_KEY) == (None, None)
    assert upkeep.connections.tombstones == {}


@pytest.mark.parametrize(
    "said",
    [
        [Probe.LIVE, Probe.LIVE],
        [Probe.LIVE, Probe.UNKNOWN],
        [Probe.UNKNOWN, Probe.LIVE],
        [Probe.UNKNOWN, Probe.UNKNOWN],
        [Probe.LIVE, Probe.REFUSED, Probe.LIVE],
        [Probe.REFUSED, Probe.LIVE],
        [Probe.REFUSED, Probe.UNKNOWN, Probe.LIVE],
    ],
)
def test_a_forged_hint_changes_nothing(upkeep: UpkeepWorld, said: list[Probe]) -> None:
    stands(upkeep)
    before = upkeep.row(PROBED_KEY)
    upkeep.keeper.said = list(said)
    hinted(upkeep)
    while upkeep.queue.messages:
        upkeep.deliver()
    assert (upkeep.row(PROBED_KEY), upkeep.tokens(PROBED_KEY)) == (before, ("canary-access-0", None))
    assert len(upkeep.keeper.probes) == len(said)


def test_every_merchant_of_the_account_is_asked_for_on_its_own(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    other = PROBED_KEY._replace(merchant_id="m-2")
    stranger = PROBED_KEY._replace(merchant_id="m-3", account_id="shop-1")
    upkeep.stands(other, refresh=None, access="canary-access-of-m-2", expires_at=None)
    upkeep.stands(stranger, refresh=None)
    upkeep.keeper.said = lambda call: Probe.REFUSED if "m-2" in call.access_token else Probe.LIVE
    assert upkeep.work(HINT) == [(PROBED_KEY, Answer("accepted")), (other, Answer("accepted"))]
    assert upkeep.keeper.probes == []
    each = [HINT._replace(merchant_id=key.merchant_id) for key in (PROBED_KEY, other)]
    assert upkeep.queue.messages == [Delayed(hint) for hint in each]
    assert upkeep.deliver() == [(PROBED_KEY, Answer("probed"))]
    assert upkeep.deliver() == [(other, REFUSED)]
    assert upkeep.queue.messages[0] == Delayed(each[0]._replace(again=True), SECOND_LOOK_SECONDS)
    assert upkeep.deliver() == [(PROBED_KEY, Answer("probed"))]
    assert upkeep.deliver() == [(other, Answer("uninstalled"))]
    assert upkeep.queue.messages == []
    assert upkeep.row(PROBED_KEY).status is Status.ACTIVE
    assert upkeep.rest(stranger).probed_at is None


def test_a_hint_about_nobody(upkeep: UpkeepWorld) -> None:
    assert upkeep.work(HINT) == []
    assert upkeep.keeper.probes == []


def test_an_account_that_was_never_verified_is_not_found(upkeep: UpkeepWorld) -> None:
    stands(upkeep, account_verified=False)
    assert hinted(upkeep) == []


def test_many_hints_make_one_round_and_one_of_them_waits_for_the_next(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    said = []
    for _ in range(5):
        said += hinted(upkeep)
        upkeep.clock.advance(10)
    assert said == [Answer("probed"), Answer("waiting"), *[Answer("skipped")] * 3]
    assert len(upkeep.keeper.probes) == 1
    assert upkeep.queue.messages == [Delayed(AGAIN, SECOND_LOOK_SECONDS), Delayed(AGAIN, PROBE_SECONDS)]
    assert upkeep.rest(PROBED_KEY).hinted_until == NOW + 10 + PROBE_SECONDS


@pytest.mark.parametrize("provider", ["probed", "both"])
def test_five_hints_in_parallel_make_one_round(upkeep: UpkeepWorld, provider: str) -> None:
    upkeep.stands(
        KEY._replace(provider=provider), refresh=None if provider == "probed" else "canary-refresh-0"
    )
    everybody = Barrier(5)

    def one(_: int) -> str:
        everybody.wait(timeout=10)
        return hinted(upkeep, provider)[0].word

    with ThreadPoolExecutor(5) as pool:
        words = sorted(pool.map(one, range(5)))
    assert words == [{"probed": "probed", "both": "refreshed"}[provider], *["skipped"] * 3, "waiting"]
    assert len(upkeep.keeper.probes) + len(upkeep.keeper.refreshes) == 1


def test_a_notice_that_comes_before_its_token_dies_is_looked_into_again(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = [Probe.LIVE, Probe.REFUSED, Probe.REFUSED]
    assert hinted(upkeep) == [Answer("probed")]
    assert upkeep.queue.messages == [Delayed(AGAIN, SECOND_LOOK_SECONDS)]
    assert upkeep.deliver() == [(PROBED_KEY, REFUSED)]
    assert upkeep.deliver() == [(PROBED_KEY, Answer("uninstalled"))]
    assert upkeep.clock() - NOW == SECOND_LOOK_SECONDS + CONFIRM_SECONDS + 1


def test_there_is_no_third_look(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.UNKNOWN
    hinted(upkeep)
    assert upkeep.deliver() == [(PROBED_KEY, Answer("probed"))]
    assert (len(upkeep.keeper.probes), upkeep.queue.messages) == (2, [])


@pytest.mark.parametrize(("late", "word"), [(SECOND_PAUSE_SECONDS - 1, "skipped"), (30, "probed")])
def test_second_looks_are_half_a_minute_apart(upkeep: UpkeepWorld, late: int, word: str) -> None:
    stands(upkeep, probed_at=NOW - late)
    assert upkeep.work(AGAIN) == [(PROBED_KEY, Answer(word))]
    assert upkeep.queue.messages == []
    assert upkeep.rest(PROBED_KEY).hinted_until is None


def test_a_false_hint_cannot_hide_a_true_one(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    assert hinted(upkeep) == [Answer("probed")]
    assert upkeep.deliver() == [(PROBED_KEY, Answer("probed"))]
    upkeep.keeper.said = Probe.REFUSED  # now the merchant really removes us
    assert hinted(upkeep) == [Answer("waiting")]
    assert upkeep.deliver() == [(PROBED_KEY, REFUSED)]
    assert upkeep.deliver() == [(PROBED_KEY, Answer("uninstalled"))]
    assert upkeep.clock() - NOW == SECOND_LOOK_SECONDS + PROBE_SECONDS + CONFIRM_SECONDS + 1


def test_false_hints_do_not_touch_the_schedule(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    hinted(upkeep)
    due_at = upkeep.rest(PROBED_KEY).due_at
    for _ in range(5):
        upkeep.clock.advance(60)
        hinted(upkeep)
    assert upkeep.rest(PROBED_KEY).due_at == due_at == NOW + 6 * 3_600


@pytest.mark.parametrize("key", [PROBED_KEY, SILENT_KEY])
def test_however_many_hints_an_end_is_told_and_comes(upkeep: UpkeepWorld, key: Key) -> None:
    """A hint every five minutes, around the day on which it is told and around its end."""
    end = NOW + 5 * DAY
    around = [range(day - 3_600, day + 3_600, 300) for day in (end - EXPIRING_SECONDS, end)]
    upkeep.stands(key, refresh=None, expires_at=end, due_at=end - EXPIRING_SECONDS)
    upkeep.keeper.said = lambda _: Probe.LIVE if upkeep.clock() < end else Probe.REFUSED
    provider = upkeep.providers[key.provider]
    at: dict[str, int] = {}
    for now in chain(*around):
        upkeep.clock.now = now
        upkeep.queue.messages.insert(0, Delayed(Hint(key.provider, key.account_id)))
        upkeep.sweep(provider)
        for message in list(upkeep.queue.messages):
            upkeep.queue.messages.remove(message)
            for _, answer in upkeep.work(message.work):
                told = "expiring" if answer.expiring else upkeep.row(key).status.value
                at.setdefault(told, now)
    assert at["expiring"] - (end - EXPIRING_SECONDS) <= 300
    assert upkeep.row(key).status is Status.NEEDS_RECONNECT
    assert at["needs_reconnect"] - end <= 2 * PROBE_SECONDS


@pytest.mark.parametrize("left", [LATE_SECONDS, 0, -1, -30 * DAY])
def test_a_token_that_ran_out_by_itself_was_not_uninstalled(upkeep: UpkeepWorld, left: int) -> None:
    """Anybody can send a hint at that moment; and from ten minutes before, because clocks differ."""
    stands(upkeep, expires_at=NOW + CONFIRM_SECONDS + 1 + left)
    upkeep.keeper.said = Probe.REFUSED
    assert hinted(upkeep) == [REFUSED]
    assert upkeep.deliver() == [(PROBED_KEY, Answer("failed", Reason.TOKEN_REFUSED))]
    row = upkeep.row(PROBED_KEY)
    assert (row.status, row.last_error) == (Status.NEEDS_RECONNECT, "token_refused")
    assert upkeep.tokens(PROBED_KEY) == ("canary-access-0", None)


def test_a_token_with_time_to_live_that_is_refused_was_uninstalled(upkeep: UpkeepWorld) -> None:
    stands(upkeep, expires_at=NOW + CONFIRM_SECONDS + 1 + LATE_SECONDS + 1)
    upkeep.keeper.said = Probe.REFUSED
    hinted(upkeep)
    assert upkeep.deliver() == [(PROBED_KEY, Answer("uninstalled"))]


@pytest.mark.parametrize("due_at", [None, NOW - 9, NOW + 999])
def test_where_nobody_can_be_asked_a_hint_puts_nothing_off(upkeep: UpkeepWorld, due_at: int | None) -> None:
    upkeep.stands(SILENT_KEY, refresh=None, expires_at=NOW - LATE_SECONDS, due_at=due_at)
    upkeep.keeper.said = Probe.UNKNOWN
    assert hinted(upkeep, "silent") == [Answer("probed")]
    assert upkeep.rest(SILENT_KEY).due_at == due_at


def test_a_hint_that_waited_leaves_the_next_one_its_turn(upkeep: UpkeepWorld) -> None:
    stands(upkeep, probed_at=NOW)
    assert hinted(upkeep) == [Answer("waiting")]
    upkeep.clock.advance(PROBE_SECONDS - 1)
    assert hinted(upkeep) == [Answer("skipped")]
    upkeep.rest(PROBED_KEY).probed_at = NOW + PROBE_SECONDS
    upkeep.clock.advance(1)
    assert hinted(upkeep) == [Answer("waiting")]
    assert upkeep.queue.messages == [Delayed(AGAIN, PROBE_SECONDS)] * 2


def test_a_wait_that_cannot_be_noted_makes_the_hint_come_again(upkeep: UpkeepWorld) -> None:
    stands(upkeep, probed_at=NOW)
    upkeep.endings.broken["postpone"] = DOWN
    assert refusal(lambda: hinted(upkeep)).reason is Reason.STORAGE_UNAVAILABLE
    upkeep.endings.broken.clear()
    assert hinted(upkeep) == [Answer("waiting")]


def test_what_cannot_be_queued_for_the_end_of_the_pause_is_left_to_the_schedule(upkeep: UpkeepWorld) -> None:
    """The message comes again, and finds that one waits already."""
    stands(upkeep, probed_at=NOW, due_at=NOW + 20_000)
    upkeep.queue.broken["put"] = DOWN
    assert refusal(lambda: hinted(upkeep)).reason is Reason.STORAGE_UNAVAILABLE
    upkeep.queue.broken.clear()
    assert hinted(upkeep) == [Answer("skipped")]
    assert upkeep.rest(PROBED_KEY).due_at == NOW + PROBE_SECONDS
    upkeep.keeper.said = Probe.REFUSED
    upkeep.clock.advance(PROBE_SECONDS)
    assert upkeep.sweep(PROBED).enqueued == 1
    assert upkeep.deliver() == [(PROBED_KEY, REFUSED)]


@pytest.mark.parametrize("hint", [HINT, AGAIN])
def test_a_hint_about_what_has_ended_waits_for_nothing(upkeep: UpkeepWorld, hint: Hint) -> None:
    stands(upkeep, status=Status.DISCONNECTED, due_at=None)
    before = upkeep.snapshot(PROBED_KEY)
    assert upkeep.work(hint) == [(PROBED_KEY, Answer("skipped"))]
    assert (upkeep.snapshot(PROBED_KEY), upkeep.queue.messages) == (before, [])


def test_where_there_is_a_refresh_token_a_refresh_is_the_question(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="both"), due_at=NOW + 900)
    upkeep.keeper.tokens = LOST
    assert hinted(upkeep, "both") == [Answer("failed", Reason.GRANT_REFUSED)]
    assert upkeep.row(key).status is Status.NEEDS_RECONNECT
    assert upkeep.keeper.probes == []


def test_a_refresh_that_succeeds_refutes_the_hint(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="both"), due_at=NOW + 900)
    assert hinted(upkeep, "both") == [Answer("refreshed")]
    assert upkeep.row(key).status is Status.ACTIVE
    assert upkeep.keeper.probes == []


@pytest.mark.parametrize("provider", ["both", "probed"])
def test_a_flood_of_forged_hints_makes_us_ask_a_few_times_an_hour(upkeep: UpkeepWorld, provider: str) -> None:
    key = KEY._replace(provider=provider)
    upkeep.stands(key, due_at=NOW + 900, **({} if provider == "both" else {"refresh": None}))
    waiting: list[tuple[float, Work]] = []
    for second in range(0, 3_600, 5):
        upkeep.clock.now = NOW + second
        hinted(upkeep, provider)
        for work in [work for at, work in waiting if at <= upkeep.clock()]:
            upkeep.work(work)
        waiting = [(at, work) for at, work in waiting if at > upkeep.clock()]
        waiting += [(upkeep.clock() + each.delay, each.work) for each in upkeep.queue.messages]
        assert len(waiting) <= 2
        upkeep.queue.messages.clear()
    assert 6 <= len(upkeep.keeper.refreshes) + len(upkeep.keeper.probes) <= 3 * 6
    assert upkeep.row(key).status is Status.ACTIVE


def test_a_false_hint_cannot_hide_a_true_one_from_a_refresh(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="both"))
    acting = provider_of(upkeep, lifetime=86_400)
    assert hinted(upkeep, "both") == [Answer("refreshed")]
    acting.end()
    upkeep.clock.advance(60)
    assert hinted(upkeep, "both") == [Answer("waiting")]
    assert upkeep.deliver() == [(key, Answer("failed", Reason.GRANT_REFUSED))]
    assert upkeep.row(key).status is Status.NEEDS_RECONNECT


def test_a_hint_leaves_the_schedule_of_refreshes_alone(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="both"), due_at=NOW + 900)
    upkeep.leases.broken["lease"] = DOWN
    assert refusal(lambda: hinted(upkeep, "both")).reason is Reason.STORAGE_UNAVAILABLE
    upkeep.leases.broken.clear()
    assert hinted(upkeep, "both") == [Answer("waiting")]  # the message came again
    assert upkeep.rest(key).due_at == NOW + 900
    assert upkeep.deliver() == [(key, Answer("refreshed"))]


@pytest.mark.parametrize(
    ("answer", "unclear"),
    [
        (Answer("busy", Reason.REFRESH_BUSY, NOW + 9), True),
        (Answer("waiting", Reason.REFRESH_IN_DOUBT, NOW + 9), True),
        (Answer("waiting", Reason.REFRESH_PUT_OFF, NOW + 9), True),
        (Answer("skipped", Reason.CONNECTION_NOT_FOUND), False),
        (Answer("refreshed"), False),
        (Answer("fresh"), False),
        (Answer("failed", Reason.GRANT_REFUSED), False),
        (Answer("failed", Reason.PROVIDER_UNAVAILABLE, NOW + 9), False),
    ],
    ids=lambda value: f"{value.word} {value.reason}" if isinstance(value, Answer) else None,
)
@pytest.mark.parametrize("again", [False, True])
def test_a_refresh_that_could_not_be_made_now_is_asked_for_once_more(
    upkeep: UpkeepWorld, answer: Answer, unclear: bool, again: bool
) -> None:
    key = upkeep.stands(KEY._replace(provider="both"))
    hint, ports = Hint("both", "shop-9", again), upkeep.work_ports().probe
    assert upkeep.hear(lambda: ask(hint, ports, lambda _order: answer)) == [(key, answer)]
    second = [Delayed(Hint("both", "shop-9", again=True), SECOND_LOOK_SECONDS)]
    assert upkeep.queue.messages == (second if unclear and not again else [])


@pytest.mark.parametrize("hint", [Hint("both", "shop-9"), Hint("both", "shop-9", again=True)])
def test_while_its_provider_is_paused_the_same_hint_waits(upkeep: UpkeepWorld, hint: Hint) -> None:
    """However often: nobody was asked, and the second look is not used up."""
    key = upkeep.stands(KEY._replace(provider="both"))
    upkeep.circuits.open("both", Reason.PROVIDER_UNAVAILABLE, NOW, NOW + 2 * PROBE_SECONDS - 1)
    upkeep.watch.failed("both", TRANSIENT)
    for _ in range(2):
        ((_, answer),) = upkeep.work(hint)
        assert (answer.word, answer.reason) == ("waiting", Reason.PROVIDER_PAUSED)
        assert upkeep.queue.messages == [Delayed(hint, PROBE_SECONDS)]
        assert upkeep.queue.take() == hint
        upkeep.clock.advance(PROBE_SECONDS)
    assert upkeep.keeper.refreshes == []
    assert upkeep.work(hint) == [(key, Answer("refreshed"))]
    assert upkeep.queue.messages == []


def test_eight_holders_of_one_account_are_each_asked_once(upkeep: UpkeepWorld) -> None:
    """However long each takes: all of them together would not fit into one function's time."""
    keys = [upkeep.stands(KEY._replace(provider="both", merchant_id=f"m-{number}")) for number in range(8)]

    def slow(_: RefreshCall) -> TokenSet:
        upkeep.clock.advance(9)
        return REFRESHED

    upkeep.keeper.tokens = slow
    assert upkeep.work(Hint("both", "shop-9")) == [(key, Answer("accepted")) for key in keys]
    done = []
    while upkeep.queue.messages:
        done += upkeep.deliver()
    assert done == [(key, Answer("refreshed")) for key in keys]
    assert len(upkeep.keeper.refreshes) == len(keys)


def test_a_holder_who_fails_keeps_no_other_from_being_asked(upkeep: UpkeepWorld) -> None:
    keys = [PROBED_KEY._replace(merchant_id=f"m-{number}") for number in range(3)]
    for key in keys:
        upkeep.stands(key, refresh=None, expires_at=None)
    upkeep.work(HINT)
    upkeep.endings.broken["probing"] = DOWN
    assert refusal(upkeep.deliver).reason is DOWN.reason
    upkeep.endings.broken.clear()
    assert [upkeep.deliver() for _ in range(2)] == [[(key, Answer("probed"))] for key in keys[1:]]


def test_holders_that_cannot_be_queued_make_the_hint_come_again(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.stands(PROBED_KEY._replace(merchant_id="m-2"), refresh=None)
    upkeep.queue.broken["put"] = DOWN
    assert refusal(lambda: upkeep.work(HINT)).reason is DOWN.reason
    assert (upkeep.keeper.probes, upkeep.rest(PROBED_KEY).probed_at) == ([], None)


def test_the_refresh_is_asked_about_the_generation_that_the_hint_found(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="both"))
    orders: list[Order] = []

    def fresh(order: Order) -> Answer:
        orders.append(order)
        return Answer("fresh")

    ports = upkeep.work_ports().probe
    found = upkeep.hear(lambda: ask(Hint("both", "shop-9"), ports, fresh))
    assert (found, orders) == ([(key, Answer("fresh"))], [Order(key, SEEN, Cause.HINT)])


def test_a_connection_without_a_refresh_token_is_probed_although_its_provider_refreshes(
    upkeep: UpkeepWorld,
) -> None:
    key = upkeep.stands(KEY._replace(provider="both"), refresh=None, expires_at=None)
    upkeep.keeper.said = Probe.REFUSED
    assert hinted(upkeep, "both") == [REFUSED]
    assert upkeep.deliver() == [(key, Answer("uninstalled"))]


def test_without_a_probe_a_hint_finds_nothing_out(upkeep: UpkeepWorld) -> None:
    upkeep.stands(KEY._replace(provider="silent"), refresh=None)
    upkeep.keeper.said = Probe.UNKNOWN
    assert hinted(upkeep, "silent") == [Answer("probed")]
    assert upkeep.deliver()[0][1] == Answer("probed")
    assert upkeep.queue.messages == []


def test_a_hint_says_nothing_about_a_later_generation(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.REFUSED
    hinted(upkeep)
    upkeep.clock.advance(5)
    upkeep.reconnects(PROBED_KEY)
    assert upkeep.deliver() == [(PROBED_KEY, Answer("skipped"))]
    row = upkeep.row(PROBED_KEY)
    assert (row.status, Seen(row.generation, row.version)) == (Status.ACTIVE, Seen(3, 6))
