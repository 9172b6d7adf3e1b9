"""What every implementation of the flows port must do."""

from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest

from mooring.core.link import FLOWS_PER_LINK
from mooring.core.ports import Burn, BurnStatus, Flows
from mooring.core.upkeep_ports import OpenFlows
from tests.contract.samples import NOW, a_link, a_state, sealed

THREADS = 8


class AllFlows(Flows, OpenFlows, Protocol):
    """What the callback and the sweep need of flows."""


class FlowsBattery:
    """Inherit it, and give the fixture `flows`."""

    @pytest.fixture
    def flows(self) -> AllFlows:
        raise NotImplementedError

    def test_a_new_state_burns(self, flows: Flows) -> None:
        assert flows.burn(a_link(), a_state(), NOW) == Burn(BurnStatus.BURNED, NOW)

    def test_a_state_burns_once(self, flows: Flows) -> None:
        link, state = a_link(), a_state()
        flows.burn(link, state, NOW)
        assert flows.burn(link, state, NOW + 5) == Burn(BurnStatus.EXCHANGING, NOW)

    def test_a_link_starts_ten_flows(self, flows: Flows) -> None:
        link, states = a_link(), [a_state() for _ in range(FLOWS_PER_LINK)]
        assert all(flows.burn(link, state, NOW).status is BurnStatus.BURNED for state in states)
        assert flows.burn(link, a_state(), NOW).status is BurnStatus.EXHAUSTED

    def test_an_exhausted_link_still_tells_about_its_flows(self, flows: Flows) -> None:
        link, states = a_link(), [a_state() for _ in range(FLOWS_PER_LINK)]
        for number, state in enumerate(states):
            flows.burn(link, state, NOW + number)
        assert flows.burn(link, states[3], NOW + 50) == Burn(BurnStatus.EXCHANGING, NOW + 3)

    def test_links_do_not_share_states(self, flows: Flows) -> None:
        link, state = a_link(), a_state()
        flows.burn(link, state, NOW)
        assert flows.burn(a_link(link.merchant_id), state, NOW).status is BurnStatus.BURNED
        assert flows.burn(a_link(jti=link.jti), state, NOW).status is BurnStatus.BURNED

    def test_a_failed_flow_says_so(self, flows: Flows) -> None:
        link, state = a_link(), a_state()
        flows.burn(link, state, NOW)
        flows.fail(link, state, "grant_refused")
        assert flows.burn(link, state, NOW + 9) == Burn(BurnStatus.FAILED, NOW)

    def test_a_kept_token_set_comes_back(self, flows: Flows) -> None:
        link, state = a_link(), a_state()
        flows.burn(link, state, NOW)
        flows.keep(link, state, sealed("kept"))
        assert flows.burn(link, state, NOW + 9) == Burn(BurnStatus.KEPT, NOW, kept=sealed("kept"))

    def test_a_kept_token_set_can_be_renewed(self, flows: Flows) -> None:
        link, state = a_link(), a_state()
        flows.burn(link, state, NOW)
        flows.keep(link, state, sealed("first"))
        flows.keep(link, state, sealed("second"))
        assert flows.burn(link, state, NOW).kept == sealed("second")

    def test_failing_does_not_take_a_kept_token_set_away(self, flows: Flows) -> None:
        link, state = a_link(), a_state()
        flows.burn(link, state, NOW)
        flows.keep(link, state, sealed("kept"))
        flows.fail(link, state, "identity_unavailable")
        assert flows.burn(link, state, NOW).kept == sealed("kept")

    def test_a_failed_flow_keeps_nothing(self, flows: Flows) -> None:
        link, state = a_link(), a_state()
        flows.burn(link, state, NOW)
        flows.fail(link, state, "grant_refused")
        flows.keep(link, state, sealed("late"))
        assert flows.burn(link, state, NOW) == Burn(BurnStatus.FAILED, NOW)

    def test_a_state_that_was_never_burned_cannot_end(self, flows: Flows) -> None:
        link, state = a_link(), a_state()
        flows.fail(link, state, "grant_refused")
        flows.keep(link, state, sealed("kept"))
        assert flows.burn(link, state, NOW) == Burn(BurnStatus.BURNED, NOW)

    def test_the_end_of_one_flow_is_not_the_end_of_its_neighbour(self, flows: Flows) -> None:
        link, one, other = a_link(), a_state(), a_state()
        flows.burn(link, one, NOW)
        flows.burn(link, other, NOW + 1)
        flows.fail(link, one, "grant_refused")
        assert flows.burn(link, other, NOW + 2) == Burn(BurnStatus.EXCHANGING, NOW + 1)

    def test_of_eight_callbacks_at_once_one_burns(self, flows: Flows) -> None:
        link, state = a_link(), a_state()
        with ThreadPoolExecutor(THREADS) as pool:
            burns = list(pool.map(lambda at: flows.burn(link, state, at), range(NOW, NOW + THREADS)))
        burned = [burn for burn in burns if burn.status is BurnStatus.BURNED]
        assert len(burned) == 1
        losers = [burn for burn in burns if burn.status is not BurnStatus.BURNED]
        assert losers == [Burn(BurnStatus.EXCHANGING, burned[0].burned_at)] * (THREADS - 1)

    def test_fourteen_flows_at_once_do_not_exceed_ten(self, flows: Flows) -> None:
        link, states = a_link(), [a_state() for _ in range(FLOWS_PER_LINK + 4)]
        with ThreadPoolExecutor(THREADS) as pool:
            burns = list(pool.map(lambda state: flows.burn(link, state, NOW).status, states))
        assert burns.count(BurnStatus.BURNED) == FLOWS_PER_LINK
        assert burns.count(BurnStatus.EXHAUSTED) == 4

    def test_what_began_and_never_ended_is_counted(self, flows: AllFlows) -> None:
        at = NOW + 500_000
        for number, ending in enumerate(("none", "kept", "failed")):
            link, state = a_link(), a_state()
            flows.burn(link, state, at + number)
            if ending == "kept":
                flows.keep(link, state, sealed("kept"))
            if ending == "failed":
                flows.fail(link, state, "grant_refused")
        assert flows.stranded(at, at + 3) == 2
        assert (flows.stranded(at, at + 1), flows.stranded(at + 1, at + 3)) == (1, 1)
        assert (flows.stranded(at - 100, at), flows.stranded(at + 3, at + 100)) == (0, 0)

    @pytest.mark.parametrize("later", [0, 5])
    @pytest.mark.parametrize("kept", [False, True])
    def test_one_that_fails_does_not_hide_another_of_its_link(
        self, flows: AllFlows, later: int, kept: bool
    ) -> None:
        """Even if both began in the same second."""
        at = NOW + 600_000 + 100 * later + 20 * kept
        link, orphan, failing = a_link(), a_state(), a_state()
        flows.burn(link, orphan, at)
        if kept:
            flows.keep(link, orphan, sealed("kept"))
        flows.burn(link, failing, at + later)
        flows.fail(link, failing, "grant_refused")
        assert flows.burn(link, failing, at + 9).status is BurnStatus.FAILED
        assert (flows.stranded(at, at + 1), flows.stranded(at + 1, at + 20)) == (1, 0)

    def test_one_that_fails_does_not_hide_a_later_one(self, flows: AllFlows) -> None:
        at = NOW + 610_000
        link, failing, orphan = a_link(), a_state(), a_state()
        flows.burn(link, failing, at)
        flows.burn(link, orphan, at + 5)
        flows.fail(link, failing, "grant_refused")
        assert (flows.stranded(at, at + 1), flows.stranded(at + 5, at + 6)) == (0, 1)

    def test_of_several_that_are_open_the_latest_counts(self, flows: AllFlows) -> None:
        at = NOW + 620_000
        link, states = a_link(), [a_state() for _ in range(4)]
        for number, state in enumerate(states):
            flows.burn(link, state, at + number)
        for state, left in ((states[3], 2), (states[1], 2), (states[2], 0)):
            flows.fail(link, state, "grant_refused")
            assert [flows.stranded(at + each, at + each + 1) for each in range(4)].index(1) == left
        flows.fail(link, states[0], "grant_refused")
        assert flows.stranded(at, at + 4) == 0

    def test_when_all_of_a_link_have_failed_none_is_stranded(self, flows: AllFlows) -> None:
        at = NOW + 630_000
        link, states = a_link(), [a_state() for _ in range(3)]
        for number, state in enumerate(states):
            flows.burn(link, state, at + number)
            flows.fail(link, state, "grant_refused")
        assert flows.stranded(at, at + 3) == 0

    def test_of_many_that_fail_at_once_each_ends(self, flows: AllFlows) -> None:
        at = NOW + 640_000
        link, states = a_link(), [a_state() for _ in range(FLOWS_PER_LINK)]
        for state in states:
            flows.burn(link, state, at)
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda state: flows.fail(link, state, "grant_refused"), states))
        assert {flows.burn(link, state, at + 1).status for state in states} == {BurnStatus.FAILED}
        assert flows.stranded(at, at + 1) == 0
