"""What a worker process remembers of a provider: when its circuit opens, who looks, and who closes it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.tokens import TokenSet
from mooring.core.upkeep import Answer, Cause, Circuit, Order
from mooring.flows.watch import FAILURES, LOOK_SECONDS, TRIAL_SECONDS, Watch
from tests.core.signing import NOW
from tests.fakes.token_keeper import REFRESHED, RefreshCall
from tests.flows.upkeep_world import (
    BROKEN,
    DOWN,
    IN_DOUBT,
    KEY,
    LOST,
    MISCONFIGURED,
    NEVER,
    SEEN,
    TRANSIENT,
    UpkeepWorld,
    failing,
)

DUE = Order(KEY, SEEN, Cause.DUE)
INVALID = failing(Outcome.TRANSIENT, Reason.PROVIDER_ANSWER_INVALID)
ODD = failing(Outcome.TRANSIENT, Reason.PROVIDER_ERROR)
HELD = [cause for cause in Cause if cause is not Cause.ASKED]


def merchants(upkeep: UpkeepWorld, count: int, provider: str = "acme") -> list[Order]:
    """Orders of so many due connections of as many merchants."""
    keys = [KEY._replace(merchant_id=f"m-{number}", provider=provider) for number in range(count)]
    return [Order(upkeep.stands(key), SEEN, Cause.DUE) for key in keys]


def looks(upkeep: UpkeepWorld) -> int:
    return upkeep.journal.count("known")


def paused(answer: Answer) -> bool:
    return (answer.word, answer.reason) == ("waiting", Reason.PROVIDER_PAUSED)


def held(upkeep: UpkeepWorld, order: Order = DUE) -> bool:
    """Whether this process keeps the order from being tried now."""
    return isinstance(upkeep.watch.admit(order), Circuit)


def asks_for(seconds: int) -> TokenCallFailure:
    """A failure with a `Retry-After`."""
    return TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, retry_after=seconds)


def another_process(upkeep: UpkeepWorld) -> Watch:
    return Watch(upkeep.circuits, upkeep.clock)


# When it opens.


@pytest.mark.parametrize("failure", [TRANSIENT, BROKEN, IN_DOUBT, INVALID])
def test_five_failures_in_a_row_open_it(upkeep: UpkeepWorld, failure: TokenCallFailure) -> None:
    *before, fifth, sixth = merchants(upkeep, FAILURES + 1)
    upkeep.keeper.tokens = failure
    for each in before:
        assert upkeep.refresh(each).word == "failed"
        assert upkeep.circuits.circuits == {}
    assert upkeep.refresh(fifth).word == "failed"
    assert upkeep.circuits.circuits == {"acme": Circuit("acme", failure.reason.value, NOW)}
    assert paused(upkeep.refresh(sixth))
    assert len(upkeep.keeper.refreshes) == FAILURES


@pytest.mark.parametrize("answer", [REFRESHED, LOST])
def test_an_answer_in_between_begins_the_row_anew(upkeep: UpkeepWorld, answer: TokenSet | Failure) -> None:
    """A grant that is refused is an answer, too."""
    upkeep.keeper.tokens = [TRANSIENT] * (FAILURES - 1) + [answer] + [TRANSIENT] * FAILURES
    *before, last = merchants(upkeep, 2 * FAILURES)
    for each in before:
        assert not paused(upkeep.refresh(each))
    assert upkeep.circuits.circuits == {}
    upkeep.refresh(last)
    assert "acme" in upkeep.circuits.circuits


def test_what_is_said_of_one_connection_does_not_count(upkeep: UpkeepWorld) -> None:
    upkeep.keeper.tokens = ODD
    for each in merchants(upkeep, 3 * FAILURES):
        assert upkeep.refresh(each).reason is Reason.PROVIDER_ERROR
    assert upkeep.circuits.circuits == {}
    assert "known" not in upkeep.journal


def test_faults_of_ours_do_not_count(upkeep: UpkeepWorld) -> None:
    upkeep.sealer.broken["open"] = Failure(Reason.SEALING_UNAVAILABLE)
    for each in merchants(upkeep, 2 * FAILURES):
        assert upkeep.refresh(each).reason is Reason.SEALING_UNAVAILABLE
    assert upkeep.circuits.circuits == {}


def test_each_provider_is_counted_by_itself(upkeep: UpkeepWorld) -> None:
    upkeep.keeper.tokens = TRANSIENT
    for each in [*merchants(upkeep, FAILURES - 1), *merchants(upkeep, FAILURES - 1, NEVER.id)]:
        upkeep.refresh(each)
    assert upkeep.circuits.circuits == {}
    (last,) = merchants(upkeep, 1)
    upkeep.refresh(last._replace(key=upkeep.stands(KEY._replace(merchant_id="m-last"))))
    assert list(upkeep.circuits.circuits) == ["acme"]
    (other,) = merchants(upkeep, 1, NEVER.id)
    upkeep.clock.advance(600)
    assert not paused(upkeep.refresh(other))


def test_each_process_counts_by_itself(upkeep: UpkeepWorld) -> None:
    processes = [upkeep.watch, another_process(upkeep)]
    for number in range(2 * (FAILURES - 1)):
        processes[number % 2].failed("acme", TRANSIENT)
    assert upkeep.circuits.circuits == {}
    processes[1].failed("acme", TRANSIENT)
    assert list(upkeep.circuits.circuits) == ["acme"]


def test_a_refused_client_opens_it_at_once(upkeep: UpkeepWorld) -> None:
    upkeep.watch.failed("acme", MISCONFIGURED)
    assert upkeep.circuits.circuits == {"acme": Circuit("acme", "provider_misconfigured", NOW)}
    assert upkeep.watch.admit(DUE) == Circuit("acme", "provider_misconfigured", NOW)


def test_an_open_one_is_not_opened_again_and_again(upkeep: UpkeepWorld) -> None:
    for _ in range(FAILURES + 10):
        upkeep.watch.failed("acme", TRANSIENT)
    assert upkeep.journal.count("open") == 1


# What the provider asks for.


def test_a_pause_that_the_provider_asked_for_holds_trials_too(upkeep: UpkeepWorld) -> None:
    for later in (TRANSIENT, TRANSIENT, TRANSIENT, asks_for(9), asks_for(30)):
        upkeep.watch.failed("acme", later)
    expected = Circuit("acme", "provider_unavailable", NOW, NOW + 30)
    assert upkeep.circuits.circuits == {"acme": expected}
    assert upkeep.watch.admit(DUE) == expected
    upkeep.stands()
    assert upkeep.refresh() == Answer("waiting", Reason.PROVIDER_PAUSED, NOW + 30, "provider_unavailable")


@pytest.mark.parametrize("trial", [True, False])
def test_a_trial_that_is_put_off_longer_moves_the_pause(upkeep: UpkeepWorld, trial: bool) -> None:
    """As does a call that was under way when the circuit opened."""
    for _ in range(FAILURES):
        upkeep.watch.failed("acme", TRANSIENT)
    upkeep.clock.advance(60)
    upkeep.watch.failed("acme", asks_for(300), trial=trial)
    upkeep.watch.failed("acme", asks_for(30), trial=trial)
    assert upkeep.circuits.circuits == {"acme": Circuit("acme", "provider_unavailable", NOW, NOW + 360)}
    assert (upkeep.journal.count("open"), upkeep.journal.count("put_off")) == (1, 2)
    upkeep.clock.advance(299)
    assert held(upkeep)
    upkeep.clock.advance(1)
    assert not held(upkeep)


def test_a_pause_does_not_open_again_what_somebody_closed(upkeep: UpkeepWorld) -> None:
    """The trials were sent together: one was answered, another came too early."""
    for _ in range(FAILURES):
        upkeep.watch.failed("acme", TRANSIENT)
    another_process(upkeep).answered("acme", closes=True)
    closed = upkeep.circuits.circuits["acme"]
    upkeep.watch.failed("acme", asks_for(300))
    another_process(upkeep).failed("acme", asks_for(300), trial=True)
    assert upkeep.circuits.circuits == {"acme": closed}
    assert not closed.is_open


def test_a_pause_alone_opens_nothing(upkeep: UpkeepWorld) -> None:
    for _ in range(FAILURES - 1):
        upkeep.watch.failed("acme", asks_for(300))
    assert upkeep.circuits.circuits == {}
    assert upkeep.watch.admit(DUE) is DUE


# What a process sends by itself to find out.


@pytest.mark.parametrize("cause", HELD)
def test_once_a_minute_one_order_goes_as_a_trial(upkeep: UpkeepWorld, cause: Cause) -> None:
    order = DUE._replace(cause=cause)
    upkeep.watch.failed("acme", MISCONFIGURED)
    for _ in range(3):
        upkeep.clock.advance(TRIAL_SECONDS - 1)
        assert held(upkeep, order)
        upkeep.clock.advance(1)
        assert upkeep.watch.admit(order) == order._replace(trial=True)
        assert held(upkeep, order)


def test_a_reader_closes_the_circuit_of_a_provider_that_has_nothing_due(upkeep: UpkeepWorld) -> None:
    upkeep.stands(due_at=NOW + 86_400)
    reads = Order(KEY, SEEN, Cause.READ)
    upkeep.watch.failed("acme", MISCONFIGURED)
    upkeep.clock.advance(TRIAL_SECONDS - 1)
    assert paused(upkeep.refresh(reads))
    assert upkeep.sweep().enqueued == 0
    upkeep.clock.advance(1)
    assert upkeep.refresh(reads) == Answer("refreshed")
    assert not upkeep.circuits.circuits["acme"].is_open
    assert upkeep.watch.admit(DUE) is DUE


def test_a_trial_that_comes_to_no_call_leaves_the_next_one_its_turn(upkeep: UpkeepWorld) -> None:
    put_off = upkeep.stands(retry_at=NOW + 3_600)
    other = upkeep.stands(KEY._replace(merchant_id="m-2"))
    upkeep.watch.failed("acme", MISCONFIGURED)
    upkeep.clock.advance(TRIAL_SECONDS)
    assert upkeep.refresh(Order(put_off, SEEN, Cause.DUE)).reason is Reason.REFRESH_PUT_OFF
    assert upkeep.refresh(Order(other, SEEN, Cause.DUE)) == Answer("refreshed")
    upkeep.watch.not_tried("nobody-met-it")


def test_a_trial_of_its_own_that_fails_waits_for_another_minute(upkeep: UpkeepWorld) -> None:
    first, second, third = merchants(upkeep, 3)
    upkeep.keeper.tokens = TRANSIENT
    upkeep.watch.failed("acme", MISCONFIGURED)
    upkeep.clock.advance(TRIAL_SECONDS)
    assert upkeep.refresh(first).word == "failed"
    upkeep.clock.advance(TRIAL_SECONDS - 1)
    assert paused(upkeep.refresh(second))
    upkeep.clock.advance(1)
    assert upkeep.refresh(third).word == "failed"
    assert upkeep.circuits.circuits["acme"] == Circuit("acme", "provider_misconfigured", NOW)


def test_not_before_the_time_that_the_provider_asked_for(upkeep: UpkeepWorld) -> None:
    upkeep.circuits.open("acme", Reason.PROVIDER_UNAVAILABLE, NOW, NOW + 600)
    upkeep.watch.failed("acme", TRANSIENT)
    for seconds in (0, 60, 539):
        upkeep.clock.advance(seconds)
        assert held(upkeep)
    upkeep.clock.advance(1)
    assert upkeep.watch.admit(DUE) == DUE._replace(trial=True)


def test_each_process_and_each_provider_has_a_trial_of_its_own(upkeep: UpkeepWorld) -> None:
    other = DUE._replace(key=KEY._replace(provider=NEVER.id))
    processes = [upkeep.watch, another_process(upkeep)]
    for watch in processes:
        watch.failed("acme", MISCONFIGURED)
        watch.failed(NEVER.id, MISCONFIGURED)
    upkeep.clock.advance(TRIAL_SECONDS)
    for watch in processes:
        assert [watch.admit(order) for order in (DUE, other)] == [
            order._replace(trial=True) for order in (DUE, other)
        ]
        assert {type(watch.admit(order)) for order in (DUE, other)} == {Circuit}


def test_trials_that_fail_are_not_counted(upkeep: UpkeepWorld) -> None:
    """They tell of a circuit that others opened; whether it is still open, who sent them knows."""
    for _ in range(2 * FAILURES):
        upkeep.watch.failed("acme", TRANSIENT, trial=True)
    for _ in range(FAILURES - 1):
        upkeep.watch.failed("acme", TRANSIENT)
    assert upkeep.circuits.circuits == {}
    upkeep.watch.failed("acme", TRANSIENT)
    assert list(upkeep.circuits.circuits) == ["acme"]


# Who looks, and when.


def test_where_all_is_well_nobody_looks(upkeep: UpkeepWorld) -> None:
    for each in merchants(upkeep, 20):
        assert upkeep.refresh(each) == Answer("refreshed")
        upkeep.clock.advance(60)
    assert not {"known", "close"} & {*upkeep.journal}
    assert upkeep.circuits.circuits == {}


def test_who_met_no_failure_does_not_know_what_others_met(upkeep: UpkeepWorld) -> None:
    """So each process may spend a call on a provider that is down, and then its trial."""
    upkeep.circuits.open("acme", Reason.PROVIDER_UNAVAILABLE, NOW)
    upkeep.keeper.tokens = TRANSIENT
    orders = merchants(upkeep, 4)
    words = [upkeep.refresh(each).word for each in orders]
    assert words == ["failed", "failed", "waiting", "waiting"]
    assert len(upkeep.keeper.refreshes) == 2


def test_it_looks_once_in_ten_seconds_and_only_after_a_failure(upkeep: UpkeepWorld) -> None:
    upkeep.circuits.open("acme", Reason.PROVIDER_UNAVAILABLE, NOW)
    assert upkeep.watch.admit(DUE) is DUE
    assert looks(upkeep) == 0
    upkeep.watch.failed("acme", TRANSIENT)
    for seconds, times in ((0, 1), (0, 1), (LOOK_SECONDS - 1, 1), (1, 2), (0, 2), (600, 3)):
        upkeep.clock.advance(seconds)
        assert upkeep.watch.admit(DUE) != DUE
        assert looks(upkeep) == times


def test_who_opened_it_need_not_look_at_once(upkeep: UpkeepWorld) -> None:
    upkeep.watch.failed("acme", MISCONFIGURED)
    upkeep.clock.advance(LOOK_SECONDS - 1)
    assert held(upkeep)
    assert looks(upkeep) == 0


@pytest.mark.parametrize("cause", HELD)
def test_whoever_wants_it_waits(upkeep: UpkeepWorld, cause: Cause) -> None:
    upkeep.stands()
    upkeep.watch.failed("acme", MISCONFIGURED)
    before, journal = upkeep.snapshot(), upkeep.journal[:]
    answer = upkeep.refresh(Order(KEY, SEEN, cause))
    assert answer == Answer("waiting", Reason.PROVIDER_PAUSED, 0, "provider_misconfigured")
    assert (upkeep.snapshot(), upkeep.journal) == (before, journal), "neither a lease nor a call"


@pytest.mark.parametrize("order", [DUE._replace(trial=True), DUE._replace(cause=Cause.ASKED)])
def test_trials_and_operators_pass_without_a_look(upkeep: UpkeepWorld, order: Order) -> None:
    upkeep.stands()
    upkeep.watch.failed("acme", MISCONFIGURED)
    upkeep.clock.advance(LOOK_SECONDS)
    assert upkeep.refresh(order) == Answer("refreshed")
    assert looks(upkeep) == 0


# When it closes.


@pytest.mark.parametrize("cause", HELD)
def test_who_was_not_sent_to_find_out_closes_nothing(upkeep: UpkeepWorld, cause: Cause) -> None:
    upkeep.stands()
    upkeep.circuits.open("acme", Reason.PROVIDER_UNAVAILABLE, NOW)
    assert upkeep.refresh(Order(KEY, SEEN, cause)) == Answer("refreshed")
    assert upkeep.circuits.circuits["acme"].is_open


@pytest.mark.parametrize("order", [DUE._replace(trial=True), DUE._replace(cause=Cause.ASKED)])
def test_who_was_sent_to_find_out_closes_it(upkeep: UpkeepWorld, order: Order) -> None:
    upkeep.stands()
    upkeep.circuits.open("acme", Reason.PROVIDER_UNAVAILABLE, NOW - 60)
    assert upkeep.refresh(order) == Answer("refreshed")
    assert upkeep.circuits.circuits["acme"] == Circuit(
        "acme", "provider_unavailable", NOW - 60, closed_at=NOW
    )


def test_that_somebody_closed_it_is_seen_within_ten_seconds_and_the_row_begins_anew(
    upkeep: UpkeepWorld,
) -> None:
    for _ in range(FAILURES):
        upkeep.watch.failed("acme", TRANSIENT)
    another_process(upkeep).answered("acme", closes=True)
    upkeep.clock.advance(LOOK_SECONDS - 1)
    assert held(upkeep)
    upkeep.clock.advance(1)
    assert upkeep.watch.admit(DUE) is DUE
    for _ in range(FAILURES - 1):
        upkeep.watch.failed("acme", TRANSIENT)
    assert not upkeep.circuits.circuits["acme"].is_open
    upkeep.watch.failed("acme", TRANSIENT)
    assert upkeep.circuits.circuits["acme"].is_open


def test_a_look_that_finds_nothing_keeps_the_row(upkeep: UpkeepWorld) -> None:
    for _ in range(FAILURES - 1):
        upkeep.watch.failed("acme", TRANSIENT)
        assert upkeep.watch.admit(DUE) is DUE
    upkeep.watch.failed("acme", TRANSIENT)
    assert "acme" in upkeep.circuits.circuits


# When the table does not answer.


def test_a_circuit_that_could_not_be_opened_is_opened_by_the_next_failure(upkeep: UpkeepWorld) -> None:
    upkeep.circuits.broken["open"] = DOWN
    for _ in range(FAILURES):
        upkeep.watch.failed("acme", TRANSIENT)
    assert upkeep.watch.admit(DUE) is DUE
    upkeep.circuits.broken.clear()
    upkeep.watch.failed("acme", TRANSIENT)
    assert held(upkeep)


def test_a_pause_that_could_not_be_noted_is_noted_by_the_next_trial(upkeep: UpkeepWorld) -> None:
    upkeep.watch.failed("acme", MISCONFIGURED)
    upkeep.circuits.broken["put_off"] = DOWN
    upkeep.watch.failed("acme", asks_for(30), trial=True)
    assert upkeep.circuits.circuits["acme"].not_before == 0
    upkeep.circuits.broken.clear()
    upkeep.watch.failed("acme", asks_for(30), trial=True)
    assert upkeep.circuits.circuits["acme"].not_before == NOW + 30


def test_a_look_that_fails_changes_nothing_and_is_made_again_later(upkeep: UpkeepWorld) -> None:
    upkeep.watch.failed("acme", MISCONFIGURED)
    upkeep.circuits.close("acme", NOW)
    upkeep.circuits.broken["known"] = DOWN
    upkeep.clock.advance(LOOK_SECONDS)
    assert held(upkeep)
    upkeep.circuits.broken.clear()
    assert held(upkeep)
    upkeep.clock.advance(LOOK_SECONDS)
    assert upkeep.watch.admit(DUE) is DUE


def test_a_circuit_that_could_not_be_closed_is_closed_by_the_next_trial(upkeep: UpkeepWorld) -> None:
    upkeep.circuits.open("acme", Reason.PROVIDER_UNAVAILABLE, NOW)
    upkeep.circuits.broken["close"] = DOWN
    upkeep.watch.answered("acme", closes=True)
    assert upkeep.circuits.circuits["acme"].is_open
    upkeep.circuits.broken.clear()
    upkeep.watch.answered("acme", closes=True)
    assert not upkeep.circuits.circuits["acme"].is_open


def test_a_provider_that_recovers_in_the_middle_of_a_call_is_forgotten(upkeep: UpkeepWorld) -> None:
    """Another thread's call failed while this one was under way; what answered last counts."""
    upkeep.stands()

    def answer(_: RefreshCall) -> TokenSet:
        upkeep.watch.failed("acme", TRANSIENT)
        return REFRESHED

    upkeep.keeper.tokens = answer
    assert upkeep.refresh() == Answer("refreshed")
    assert upkeep.watch.admit(DUE) is DUE
    assert looks(upkeep) == 0


# Threads: the messages of a batch are worked on side by side.


def test_of_many_threads_one_looks(upkeep: UpkeepWorld) -> None:
    upkeep.watch.failed("acme", MISCONFIGURED)
    upkeep.clock.advance(LOOK_SECONDS)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: upkeep.watch.admit(DUE), range(160)))
    assert looks(upkeep) == 1
    assert {type(each) for each in found} == {Circuit}


def test_of_many_threads_one_is_sent_to_find_out(upkeep: UpkeepWorld) -> None:
    upkeep.watch.failed("acme", MISCONFIGURED)
    upkeep.clock.advance(TRIAL_SECONDS)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: upkeep.watch.admit(DUE), range(160)))
    assert [each for each in found if isinstance(each, Order)] == [DUE._replace(trial=True)]


def test_what_many_threads_meet_is_counted_together(upkeep: UpkeepWorld) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: upkeep.watch.failed("acme", TRANSIENT), range(FAILURES - 1)))
        assert upkeep.circuits.circuits == {}
        list(pool.map(lambda _: upkeep.watch.failed("acme", TRANSIENT), range(16)))
    assert upkeep.circuits.circuits == {"acme": Circuit("acme", "provider_unavailable", NOW)}
    assert held(upkeep)
