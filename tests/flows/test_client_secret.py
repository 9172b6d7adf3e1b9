"""One token call, and one more with a changed secret for whoever was refused as a client."""

import pytest

from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.ports import BurnStatus
from mooring.core.tokens import TokenSet
from mooring.flows.client_secret import ask_with_secret, client_secret
from tests.fakes.authorization_server import TOKENS, Exchange
from tests.fakes.secrets import FORGET_SECONDS, FakeSecrets
from tests.flows.upkeep_world import IN_DOUBT, LOST, MISCONFIGURED, TRANSIENT
from tests.flows.world import Browser, World, refusal
from tests.protocol.shapes import ACME, PUBLIC

OLD, NEW = "canary-old-secret", "canary-new-secret"
OTHERS = [LOST, TRANSIENT, IN_DOUBT]


class Asked:
    """A token call that is scripted; `secrets` are those it was made with."""

    def __init__(self, *answers: str | Failure) -> None:
        self.secrets: list[str] = []
        self._answers = list(answers)

    def __call__(self, secret: str) -> str:
        self.secrets.append(secret)
        answer = self._answers.pop(0)
        if isinstance(answer, Failure):
            raise answer
        return answer


def changed() -> FakeSecrets:
    """A store whose secret was changed since this process read it."""
    store = FakeSecrets({"acme": OLD})
    assert client_secret(ACME, store) == OLD
    store.values["acme"] = NEW
    return store


def ask(asked: Asked, store: FakeSecrets, *, time: bool = True) -> str:
    return ask_with_secret(asked, OLD, ACME, store, lambda: time)


def test_a_public_client_has_no_secret_and_asks_for_none() -> None:
    store = FakeSecrets()
    assert client_secret(PUBLIC, store) == ""
    assert store.journal == []


def test_who_is_answered_asks_once() -> None:
    asked, store = Asked("tokens"), changed()
    assert ask(asked, store) == "tokens"
    assert (asked.secrets, store.forgotten) == ([OLD], [])


def test_who_is_refused_as_a_client_asks_again_with_the_changed_secret() -> None:
    asked, store = Asked(MISCONFIGURED, "tokens"), changed()
    assert ask(asked, store) == "tokens"
    assert (asked.secrets, store.forgotten) == ([OLD, NEW], ["acme"])


@pytest.mark.parametrize("second", [MISCONFIGURED, *OTHERS])
def test_there_is_no_third_call(second: TokenCallFailure) -> None:
    asked = Asked(MISCONFIGURED, second, "tokens")
    assert refusal(lambda: ask(asked, changed())) is second
    assert asked.secrets == [OLD, NEW]


@pytest.mark.parametrize("failure", [*OTHERS, Failure(Reason.STORAGE_UNAVAILABLE), ValueError("a defect")])
def test_whoever_fails_otherwise_asks_once(failure: Exception) -> None:
    def fails(_: str) -> str:
        raise failure

    store = changed()
    with pytest.raises(type(failure)) as raised:
        ask_with_secret(fails, OLD, ACME, store, lambda: True)
    assert raised.value is failure
    assert store.forgotten == []


def test_a_secret_that_is_the_same_is_not_tried_again() -> None:
    asked, store = Asked(MISCONFIGURED, "tokens"), FakeSecrets({"acme": OLD})
    assert refusal(lambda: ask(asked, store)) is MISCONFIGURED
    assert (asked.secrets, store.forgotten) == ([OLD], ["acme"])


def test_without_time_nothing_is_asked_again_but_the_new_secret_is_known() -> None:
    asked, store = Asked(MISCONFIGURED, "tokens"), changed()
    assert refusal(lambda: ask(asked, store, time=False)) is MISCONFIGURED
    assert asked.secrets == [OLD]
    assert client_secret(ACME, store) == NEW


def test_a_store_that_does_not_answer_leaves_the_first_failure() -> None:
    asked, store = Asked(MISCONFIGURED, "tokens"), changed()
    store.broken["client_secret"] = Failure(Reason.SECRET_UNAVAILABLE)
    failure = refusal(lambda: ask(asked, store))
    assert failure is MISCONFIGURED
    assert failure.__suppress_context__
    assert asked.secrets == [OLD]


def test_a_public_client_that_is_refused_asks_once() -> None:
    asked = Asked(MISCONFIGURED, "tokens")
    assert refusal(lambda: ask_with_secret(asked, "", PUBLIC, FakeSecrets(), lambda: True)) is MISCONFIGURED
    assert asked.secrets == [""]


# The same in a callback (of a refresh, `test_refresh_failures` tells).


def at_the_door(world: World, browser: Browser) -> str:
    """A flow up to its callback, in a process that knows the secret of before."""
    assert client_secret(ACME, world.secrets) == "secret-of-acme"
    world.secrets.values["acme"] = NEW
    return f"code=c&state={world.start(browser)}"


def sent(world: World) -> list[tuple[str, str]]:
    return [(call.code, call.client_secret) for call in world.server.exchanges]


def test_a_code_is_exchanged_with_the_changed_secret(world: World, browser: Browser) -> None:
    query = at_the_door(world, browser)
    world.server.tokens = [MISCONFIGURED, TOKENS]
    assert world.callback(browser, query).outcome == "connected"
    assert sent(world) == [("c", "secret-of-acme"), ("c", NEW)]


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.MISCONFIGURED])
def test_a_code_that_failed_otherwise_is_not_sent_twice(
    world: World, browser: Browser, outcome: Outcome
) -> None:
    query = at_the_door(world, browser)
    world.server.tokens = [TokenCallFailure(outcome, Reason.PROVIDER_ERROR), TOKENS]
    assert refusal(lambda: world.callback(browser, query)).reason is Reason.PROVIDER_ERROR
    assert sent(world) == [("c", "secret-of-acme")]
    assert world.secrets.forgotten == []


def test_a_code_is_sent_twice_at_most(world: World, browser: Browser) -> None:
    query = at_the_door(world, browser)
    world.server.tokens = [MISCONFIGURED, MISCONFIGURED, TOKENS]
    assert refusal(lambda: world.callback(browser, query)).reason is Reason.PROVIDER_MISCONFIGURED
    assert [secret for _, secret in sent(world)] == ["secret-of-acme", NEW]
    assert world.nothing_connected()


@pytest.mark.parametrize(("seconds", "calls"), [(4, 2), (4.5, 1)])
def test_a_second_exchange_that_could_not_be_stored_is_not_made(
    world: World, browser: Browser, seconds: float, calls: int
) -> None:
    query = at_the_door(world, browser)
    state = query.partition("state=")[2]

    def slow(_: Exchange) -> TokenSet:
        world.clock.advance(seconds)
        raise MISCONFIGURED

    world.server.tokens = slow
    assert refusal(lambda: world.callback(browser, query)).reason is Reason.PROVIDER_MISCONFIGURED
    assert len(world.server.exchanges) == calls
    burned = world.burned(state)
    assert burned is not None
    assert (burned.status, burned.reason) == (BurnStatus.FAILED, "provider_misconfigured")


def test_a_store_is_asked_anew_once_in_half_a_minute(world: World, browser: Browser) -> None:
    """However many callbacks are refused."""
    client_secret(ACME, world.secrets)
    world.server.tokens = MISCONFIGURED
    for _ in range(2):
        query = f"code=c&state={world.start(browser)}"
        assert refusal(lambda query=query: world.callback(browser, query)).status == 500  # type: ignore[misc]
        world.secrets.values["acme"] = NEW
    assert len(world.server.exchanges) == 2
    world.secrets.now += FORGET_SECONDS
    world.server.tokens = [MISCONFIGURED, TOKENS]
    query = f"code=c&state={world.start(browser)}"
    assert world.callback(browser, query).outcome == "connected"
    assert [secret for _, secret in sent(world)][2:] == ["secret-of-acme", NEW]
