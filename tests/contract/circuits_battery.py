"""What every implementation of the circuits port must do."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from mooring.core.errors import Reason
from mooring.core.upkeep import RAMP_SECONDS, Circuit
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
        assert circuits.known([a_provider(), a_provider()]) == {}
        assert circuits.known([]) == {}

    def test_an_open_circuit_says_why_and_since_when(self, circuits: Circuits) -> None:
        one, other = a_provider(), a_provider()
        circuits.open(one, Reason.PROVIDER_MISCONFIGURED, NOW)
        expected = {one: Circuit(one, "provider_misconfigured", NOW)}
        assert circuits.known([other, one, one]) == expected
        assert circuits.known([other]) == {}

    def test_it_is_open_since_it_was_opened_first(self, circuits: Circuits) -> None:
        one = a_provider()
        circuits.open(one, Reason.PROVIDER_MISCONFIGURED, NOW)
        circuits.open(one, Reason.SECRET_UNAVAILABLE, NOW + 60)
        assert circuits.known([one]) == {one: Circuit(one, "provider_misconfigured", NOW)}

    def test_it_closes_alone_and_opens_anew(self, circuits: Circuits) -> None:
        one, other = a_provider(), a_provider()
        for provider in (one, other):
            circuits.open(provider, Reason.PROVIDER_MISCONFIGURED, NOW)
        for _ in range(2):
            circuits.close(one, NOW + 30)
        closed = Circuit(one, "provider_misconfigured", NOW, closed_at=NOW + 30)
        still = Circuit(other, "provider_misconfigured", NOW)
        assert circuits.known([one, other]) == {one: closed, other: still}
        assert (closed.is_open, still.is_open) == (False, True)
        circuits.open(one, Reason.PROVIDER_UNAVAILABLE, NOW + 60)
        assert circuits.known([one]) == {one: Circuit(one, "provider_unavailable", NOW + 60)}

    def test_the_first_who_closes_it_counts(self, circuits: Circuits) -> None:
        one = a_provider()
        circuits.open(one, Reason.PROVIDER_UNAVAILABLE, NOW)
        for late in (30, 31, 90):
            circuits.close(one, NOW + late)
        assert circuits.known([one])[one].closed_at == NOW + 30

    def test_what_never_was_open_is_not_closed(self, circuits: Circuits) -> None:
        one = a_provider()
        circuits.close(one, NOW)
        assert circuits.known([one]) == {}
        circuits.open(one, Reason.PROVIDER_UNAVAILABLE, NOW + 1)
        assert circuits.known([one]) == {one: Circuit(one, "provider_unavailable", NOW + 1)}

    def test_that_it_was_closed_is_known_for_an_hour(self, circuits: Circuits, clock: FakeClock) -> None:
        one = a_provider()
        circuits.open(one, Reason.PROVIDER_UNAVAILABLE, NOW)
        circuits.close(one, NOW)
        clock.advance(RAMP_SECONDS - 1)
        assert list(circuits.known([one])) == [one]
        clock.advance(1)
        assert circuits.known([one]) == {}

    def test_the_latest_pause_that_a_provider_asked_for_stays(self, circuits: Circuits) -> None:
        one = a_provider()
        circuits.open(one, Reason.PROVIDER_UNAVAILABLE, NOW, NOW + 50)
        expected = Circuit(one, "provider_unavailable", NOW, NOW + 50)
        for not_before, latest in ((0, 50), (NOW + 40, 50), (NOW + 50, 50), (NOW + 90, 90), (0, 90)):
            circuits.open(one, Reason.PROVIDER_TIMEOUT, NOW + 9, not_before)
            assert circuits.known([one]) == {one: expected._replace(not_before=NOW + latest)}

    def test_a_pause_may_be_asked_for_later(self, circuits: Circuits) -> None:
        one = a_provider()
        circuits.open(one, Reason.PROVIDER_UNAVAILABLE, NOW)
        circuits.open(one, Reason.PROVIDER_UNAVAILABLE, NOW + 9, NOW + 30)
        assert circuits.known([one]) == {one: Circuit(one, "provider_unavailable", NOW, NOW + 30)}

    def test_a_pause_ends_with_its_circuit(self, circuits: Circuits) -> None:
        one = a_provider()
        circuits.open(one, Reason.PROVIDER_UNAVAILABLE, NOW, NOW + 50)
        circuits.close(one, NOW + 9)
        assert circuits.known([one])[one].not_before == 0
        circuits.open(one, Reason.PROVIDER_UNAVAILABLE, NOW + 60)
        assert circuits.known([one])[one].not_before == 0

    def test_an_open_one_is_put_off_and_nothing_else_of_it_changes(self, circuits: Circuits) -> None:
        one, other = a_provider(), a_provider()
        for provider in (one, other):
            circuits.open(provider, Reason.PROVIDER_UNAVAILABLE, NOW)
        circuits.put_off(one, NOW + 30)
        still = Circuit(other, "provider_unavailable", NOW)
        put_off = Circuit(one, "provider_unavailable", NOW, NOW + 30)
        assert circuits.known([one, other]) == {one: put_off, other: still}

    def test_a_pause_is_made_longer_and_never_shorter(self, circuits: Circuits) -> None:
        one = a_provider()
        circuits.open(one, Reason.PROVIDER_UNAVAILABLE, NOW, NOW + 50)
        for until, latest in ((40, 50), (50, 50), (51, 51), (90, 90), (0, 90)):
            circuits.put_off(one, NOW + until)
            assert circuits.known([one])[one].not_before == NOW + latest

    def test_what_is_not_open_is_not_put_off(self, circuits: Circuits) -> None:
        never, closed = a_provider(), a_provider()
        circuits.open(closed, Reason.PROVIDER_UNAVAILABLE, NOW)
        circuits.close(closed, NOW + 9)
        for provider in (never, closed):
            circuits.put_off(provider, NOW + 600)
        expected = Circuit(closed, "provider_unavailable", NOW, closed_at=NOW + 9)
        assert circuits.known([never, closed]) == {closed: expected}
        circuits.open(closed, Reason.PROVIDER_TIMEOUT, NOW + 60)
        assert circuits.known([closed])[closed].not_before == 0

    def test_of_many_who_put_it_off_the_latest_counts(self, circuits: Circuits) -> None:
        one = a_provider()
        circuits.open(one, Reason.PROVIDER_UNAVAILABLE, NOW)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda late: circuits.put_off(one, NOW + late), (3, 8, 1, 9, 2, 7, 4, 6)))
        assert circuits.known([one])[one].not_before == NOW + 9

    def test_of_many_who_open_and_close_it_nobody_leaves_half_of_it(self, circuits: Circuits) -> None:
        one = a_provider()

        def either(number: int) -> None:
            if number % 2:
                circuits.close(one, NOW + number)
            else:
                circuits.open(one, Reason.PROVIDER_UNAVAILABLE, NOW + number, NOW + 99)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(either, range(16)))
        found = circuits.known([one])[one]
        assert (found.not_before == 0) is not found.is_open
        assert found.closed_at is None or found.closed_at > NOW

    def test_one_that_nobody_closed_for_a_month_is_tried_anew(
        self, circuits: Circuits, clock: FakeClock
    ) -> None:
        one = a_provider()
        circuits.open(one, Reason.PROVIDER_MISCONFIGURED, NOW)
        clock.advance(30 * DAY - 1)
        assert list(circuits.known([one])) == [one]
        clock.advance(1)
        assert circuits.known([one]) == {}
        circuits.open(one, Reason.PROVIDER_MISCONFIGURED, NOW + 30 * DAY)
        assert circuits.known([one])[one].opened_at == NOW + 30 * DAY

    def test_of_many_who_open_it_the_first_counts(self, circuits: Circuits) -> None:
        one = a_provider()
        with ThreadPoolExecutor(8) as pool:
            list(
                pool.map(lambda late: circuits.open(one, Reason.PROVIDER_MISCONFIGURED, NOW + late), range(8))
            )
        first = circuits.known([one])[one].opened_at
        circuits.open(one, Reason.PROVIDER_MISCONFIGURED, NOW + 99)
        assert NOW <= circuits.known([one])[one].opened_at == first < NOW + 8

    def test_more_than_a_hundred_may_be_asked_for(self, circuits: Circuits) -> None:
        providers = [a_provider() for _ in range(130)]
        for provider in (providers[0], providers[-1]):
            circuits.open(provider, Reason.PROVIDER_MISCONFIGURED, NOW)
        assert set(circuits.known(providers)) == {providers[0], providers[-1]}
