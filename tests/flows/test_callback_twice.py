"""Whatever arrives twice: the code is exchanged once, and each repetition gets an honest answer."""

from threading import Barrier, Thread

import pytest

from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.tokens import TokenSet
from mooring.core.visit import Result
from tests.core.signing import NOW, RETURN_TO
from tests.fakes.authorization_server import TOKENS, Exchange
from tests.flows.world import Browser, World, refusal, sent


def test_a_reload_after_success_is_answered_by_the_cookies_marker_alone(
    world: World, browser: Browser
) -> None:
    state = world.start(browser)
    first = world.callback(browser, f"code=c&state={state}")
    calls = list(world.journal)
    again = world.callback(browser, f"code=c&state={state}", ref="another")
    assert sent(again.location) == {**sent(first.location), "ref": "another"}
    assert world.journal == calls


def test_the_same_request_before_the_marker_was_set_is_answered_by_the_row(
    world: World, browser: Browser
) -> None:
    state = world.start(browser)
    jar = dict(browser.jar)
    first = world.callback(browser, f"code=c&state={state}")
    browser.jar = jar
    again = world.callback(browser, f"code=c&state={state}")
    assert (again.location, again.outcome) == (first.location, "connected")
    assert (len(world.server.exchanges), len(world.connections.stored)) == (1, 1)
    assert browser.flows()[0].account == "default"


def test_a_marker_ends_with_its_flow(world: World, browser: Browser) -> None:
    state = world.start(browser)
    world.callback(browser, f"code=c&state={state}")
    world.clock.advance(600)
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (failure.reason, browser.jar) == (Reason.FLOW_EXPIRED, {})


@pytest.mark.parametrize("age", [0, 30])
def test_while_the_first_is_exchanging_the_second_waits(world: World, browser: Browser, age: int) -> None:
    state = world.start(browser)
    seen: list[Failure] = []

    def second(call: Exchange) -> TokenSet:
        world.clock.advance(age)
        seen.append(refusal(lambda: world.callback(browser, f"code=c&state={state}")))
        return TOKENS

    world.server.tokens = second
    assert world.callback(browser, f"code=c&state={state}").outcome == "connected"
    assert [(failure.reason, failure.status) for failure in seen] == [(Reason.FLOW_IN_PROGRESS, 409)]
    assert (seen[0].return_to, seen[0].clear_cookies) == (RETURN_TO, ())
    assert len(world.server.exchanges) == 1


def dying(call: Exchange) -> TokenSet:
    """Stands for a process that ends in the middle of its token call."""
    raise SystemExit


def test_past_the_functions_timeout_it_is_over(world: World, browser: Browser) -> None:
    state = world.start(browser)
    jar = dict(browser.jar)
    world.server.tokens = dying
    with pytest.raises(SystemExit):
        world.callback(browser, f"code=c&state={state}")
    browser.jar = jar
    world.clock.advance(31)
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (failure.reason, failure.status, browser.jar) == (Reason.FLOW_USED, 400, {})
    assert len(world.server.exchanges) == 1


def test_a_burn_on_a_clock_ahead_of_ours_still_counts_as_in_progress(world: World, browser: Browser) -> None:
    state = world.start(browser)
    world.clock.advance(45)
    world.server.tokens = dying
    with pytest.raises(SystemExit):
        world.callback(browser, f"code=c&state={state}")
    world.clock.advance(-45)
    assert refusal(lambda: world.callback(browser, f"code=c&state={state}")).reason is Reason.FLOW_IN_PROGRESS


def test_after_a_failure_the_same_address_says_it_is_over(world: World, browser: Browser) -> None:
    state = world.start(browser)
    jar = dict(browser.jar)
    world.server.tokens = TokenCallFailure(Outcome.GRANT_LOST, Reason.GRANT_REFUSED)
    first = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (first.reason, first.status, browser.jar) == (Reason.GRANT_REFUSED, 400, {})
    assert refusal(lambda: world.callback(browser, f"code=c&state={state}")).reason is Reason.STATE_UNKNOWN
    browser.jar = jar
    again = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (again.reason, again.status) == (Reason.FLOW_USED, 400)
    assert len(world.server.exchanges) == 1
    assert world.nothing_connected()


def test_another_code_under_a_used_state_is_not_exchanged(world: World, browser: Browser) -> None:
    state = world.start(browser)
    jar = dict(browser.jar)
    world.callback(browser, f"code=c1&state={state}")
    browser.jar = jar
    world.callback(browser, f"code=c2&state={state}")
    assert [exchange.code for exchange in world.server.exchanges] == ["c1"]


def test_eight_at_once_make_one_token_call(world: World, browser: Browser) -> None:
    state = world.start(browser)
    barrier, endings = Barrier(8), list[str]()

    def arrive() -> None:
        own = Browser()
        own.jar = dict(browser.jar)
        barrier.wait()
        try:
            endings.append(world.callback(own, f"code=c&state={state}").outcome)
        except Failure as failure:
            endings.append(failure.reason.value)

    threads = [Thread(target=arrive) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(endings) == 8
    assert set(endings) <= {"connected", "flow_in_progress"}
    assert "connected" in endings
    assert (len(world.server.exchanges), len(world.connections.stored)) == (1, 1)


def pending(world: World, browser: Browser) -> tuple[str, dict[str, str], Result]:
    state = world.start(browser, confirm=True)
    jar = dict(browser.jar)
    return state, jar, world.callback(browser, f"code=c&state={state}")


def test_a_connection_to_be_confirmed_waits_apart_and_the_product_gets_a_code(
    world: World, browser: Browser
) -> None:
    _, _, result = pending(world, browser)
    answer = sent(result.location)
    assert (result.outcome, answer["status"]) == ("pending_confirmation", "pending_confirmation")
    assert len(answer["confirmation"]) == 43
    assert world.connections.rows == {}
    new = world.connections.stored[0]
    assert new.confirmation_hash is not None
    assert answer["confirmation"] not in repr(world.connections.pending) + repr(world.flows.flows)


def test_a_repetition_gives_the_same_code_as_long_as_the_cookie_has_the_verifier(
    world: World, browser: Browser
) -> None:
    state, jar, first = pending(world, browser)
    browser.jar = jar
    again = world.callback(browser, f"code=c&state={state}")
    assert (again.location, again.outcome) == (first.location, "pending_confirmation")


def test_the_marker_still_says_pending_but_has_no_code_any_more(world: World, browser: Browser) -> None:
    state, _, _ = pending(world, browser)
    again = sent(world.callback(browser, f"code=c&state={state}").location)
    assert (again["status"], "confirmation" in again) == ("pending_confirmation", False)


def test_codes_of_two_flows_differ(world: World, browser: Browser) -> None:
    _, _, first = pending(world, browser)
    _, _, second = pending(world, Browser())
    assert sent(first.location)["confirmation"] != sent(second.location)["confirmation"]
    assert world.clock() == NOW
