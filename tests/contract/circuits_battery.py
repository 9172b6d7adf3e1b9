"""What every implementation of the circuits port must do."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from mooring.core.errors import Reason
from mooring.core.upkeep import Circuit
from mooring.core.upkeep_ports import Circuits
from tests.contract.samples import NOW
from tests.fakes.clock import FakeClock

DAY = 86_400
_numbers = count(1)


def a_provider() -> str:
    """A provider that no other test uses."""
    return f"prov-{next(_numbers)}"


class CircuitsBattery:
    """Inherit it, and give the fixture `circuits`, which goes by `clock`."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock(NOW)

    @pytest.fixture
    def circuits(self, clock: FakeClock) -> Circuits:
        raise NotImplementedError

    def test_a_circuit_is_closed_at_first(self, circuits: Circuits) -> None:
        assert circuits.opened([a_provider(), a_provider()]) == {}
        assert circuits.opened([]) == {}

    def test_an_open_circuit_says_why_and_since_when(self, circuits: Circuits) -> None:
        one, other = a_provider(), a_provider()
        circuits.open(one, Reason.PROVIDER_MISCONFIGURED, NOW)
        expected = {one: Circuit(one, "provider_misconfigured", NOW)}
        assert circuits.opened([other, one, one]) == expected
        assert circuits.opened([other]) == {}

    def test_it_is_open_since_it_was_opened_first(self, circuits: Circuits) -> None:
        one = a_provider()
        circuits.open(one, Reason.PROVIDER_MISCONFIGURED, NOW)
        circuits.open(one, Reason.SECRET_UNAVAILABLE, NOW + 60)
        assert circuits.opened([one]) == {one: Circuit(one, "provider_misconfigured", NOW)}

    def test_it_closes_alone_and_opens_anew(self, circuits: Circuits) -> None:
        one, other = a_provider(), a_provider()
        for provider in (one, other):
            circuits.open(provider, Reason.PROVIDER_MISCONFIGURED, NOW)
        for _ in range(2):
            circuits.close(one)
        assert list(circuits.opened([one, other])) == [other]
        circuits.open(one, Reason.PROVIDER_MISCONFIGURED, NOW + 60)
        assert circuits.opened([one])[one].opened_at == NOW + 60

    def test_one_that_nobody_closed_for_a_month_is_tried_anew(
        self, circuits: Circuits, clock: FakeClock
    ) -> None:
        one = a_provider()
        circuits.open(one, Reason.PROVIDER_MISCONFIGURED, NOW)
        clock.advance(30 * DAY - 1)
        assert list(circuits.opened([one])) == [one]
        clock.advance(1)
        assert circuits.opened([one]) == {}
        circuits.open(one, Reason.PROVIDER_MISCONFIGURED, NOW + 30 * DAY)
        assert circuits.opened([one])[one].opened_at == NOW + 30 * DAY

    def test_of_many_who_open_it_the_first_counts(self, circuits: Circuits) -> None:
        one = a_provider()
        with ThreadPoolExecutor(8) as pool:
            list(
                pool.map(lambda late: circuits.open(one, Reason.PROVIDER_MISCONFIGURED, NOW + late), range(8))
            )
        first = circuits.opened([one])[one].opened_at
        circuits.open(one, Reason.PROVIDER_MISCONFIGURED, NOW + 99)
        assert NOW <= circuits.opened([one])[one].opened_at == first < NOW + 8

    def test_more_than_a_hundred_may_be_asked_for(self, circuits: Circuits) -> None:
        providers = [a_provider() for _ in range(130)]
        for provider in (providers[0], providers[-1]):
            circuits.open(provider, Reason.PROVIDER_MISCONFIGURED, NOW)
        assert set(circuits.opened(providers)) == {providers[0], providers[-1]}
