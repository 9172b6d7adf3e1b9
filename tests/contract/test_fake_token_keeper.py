"""The fake token keeper: a script, or a provider with a memory. Tests of refresh lean on it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import cast

import pytest

from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.provider import Probe, Provider
from mooring.core.tokens import TokenSet
from mooring.core.upkeep_ports import TokenKeeper
from tests.contract.samples import NOW
from tests.fakes.token_keeper import REFRESHED, FakeTokenKeeper, RotatingProvider


class _Named:
    """As much of a provider as a fake looks at."""

    id = "prov-a"


PROVIDER = cast("Provider", _Named())


def refresh(keeper: TokenKeeper, token: str, now: int = NOW) -> TokenSet:
    return keeper.refresh(PROVIDER, token, "secret", now)


def lost(keeper: TokenKeeper, token: str, now: int = NOW) -> Outcome:
    with pytest.raises(TokenCallFailure) as caught:
        refresh(keeper, token, now)
    return caught.value.outcome


def test_it_answers_by_its_script_and_remembers_the_calls() -> None:
    keeper = FakeTokenKeeper()
    keeper.tokens = [REFRESHED, TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE)]
    keeper.said = [Probe.UNKNOWN, Probe.REFUSED]
    assert refresh(keeper, "r-1") == REFRESHED
    assert lost(keeper, "r-2") is Outcome.TRANSIENT
    assert [keeper.probe(PROVIDER, "a-1", "shop-1") for _ in range(2)] == [Probe.UNKNOWN, Probe.REFUSED]
    assert [call.refresh_token for call in keeper.refreshes] == ["r-1", "r-2"]
    assert [call.access_token for call in keeper.probes] == ["a-1", "a-1"]
    assert keeper.journal == ["refresh", "refresh", "probe", "probe"]


def test_it_can_be_broken() -> None:
    keeper = FakeTokenKeeper()
    keeper.broken["probe"] = Failure(Reason.INTERNAL)
    with pytest.raises(Failure):
        keeper.probe(PROVIDER, "a-1", "shop-1")


def test_a_rotating_provider_takes_each_token_once() -> None:
    provider = RotatingProvider()
    keeper = FakeTokenKeeper().acting(provider)
    first = refresh(keeper, "refresh-0")
    assert (first.refresh_token, first.expires_at) == ("refresh-1", NOW + 3_600)
    assert lost(keeper, "refresh-0") is Outcome.GRANT_LOST
    assert refresh(keeper, "refresh-1").access_token == "access-2"
    assert (provider.calls, provider.issued) == (3, 2)


def test_within_its_grace_a_used_token_works_on() -> None:
    keeper = FakeTokenKeeper().acting(RotatingProvider(grace=60))
    refresh(keeper, "refresh-0")
    assert refresh(keeper, "refresh-0", NOW + 59).refresh_token == "refresh-2"
    assert lost(keeper, "refresh-0", NOW + 60) is Outcome.GRANT_LOST


def test_reuse_may_end_the_whole_grant() -> None:
    provider = RotatingProvider(revokes=True)
    keeper = FakeTokenKeeper().acting(provider)
    refresh(keeper, "refresh-0")
    assert lost(keeper, "unknown") is Outcome.GRANT_LOST
    assert not provider.ended
    assert lost(keeper, "refresh-0") is Outcome.GRANT_LOST
    assert lost(keeper, "refresh-1") is Outcome.GRANT_LOST


def test_without_rotation_the_same_token_works_for_ever() -> None:
    keeper = FakeTokenKeeper().acting(RotatingProvider(rotates=False))
    assert [refresh(keeper, "refresh-0").refresh_token for _ in range(3)] == [None, None, None]


def test_a_lost_answer_took_effect() -> None:
    provider = RotatingProvider()
    provider.losing = 1
    keeper = FakeTokenKeeper().acting(provider)
    assert lost(keeper, "refresh-0") is Outcome.IN_DOUBT
    assert lost(keeper, "refresh-0") is Outcome.GRANT_LOST
    assert provider.refresh_token == "refresh-1"


def test_a_probe_takes_the_last_token_of_a_living_grant() -> None:
    provider = RotatingProvider()
    keeper = FakeTokenKeeper().acting(provider)
    refresh(keeper, "refresh-0")
    assert keeper.probe(PROVIDER, "access-0", "shop-1") is Probe.REFUSED
    assert keeper.probe(PROVIDER, "access-1", "shop-1") is Probe.LIVE
    provider.end()
    assert keeper.probe(PROVIDER, "access-1", "shop-1") is Probe.REFUSED


def test_calls_side_by_side_are_counted_and_one_of_them_wins() -> None:
    provider = RotatingProvider()
    everybody = Barrier(4)
    provider.during = lambda: cast("None", everybody.wait(timeout=5))
    keeper = FakeTokenKeeper().acting(provider)

    def wins(_: int) -> bool:
        try:
            refresh(keeper, "refresh-0")
        except TokenCallFailure:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(wins, range(4)))
    assert won.count(True) == 1
    assert (provider.calls, provider.most_at_once) == (4, 4)
