"""Burned states in memory."""

from dataclasses import dataclass
from threading import RLock

from mooring.core.link import FLOWS_PER_LINK, Link
from mooring.core.ports import Burn, BurnStatus
from mooring.core.tokens import SealedField
from tests.fakes.faults import Fallible


@dataclass
class FakeFlow:
    """One burned state."""

    status: BurnStatus
    burned_at: int
    account_id: str = ""
    pending: bool = False
    kept: SealedField | None = None
    reason: str = ""


class FakeFlows(Fallible):
    """The flows port. `flows` is open to tests: (merchant, jti) -> state hash -> flow."""

    def __init__(self, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.flows: dict[tuple[str, str], dict[str, FakeFlow]] = {}
        self.lock = RLock()

    def burn(self, link: Link, state_hash: str, now: int) -> Burn:
        """Burn a state, or tell what became of it."""
        self.called("burn")
        with self.lock:
            row = self.flows.setdefault((link.merchant_id, link.jti), {})
            if state_hash in row:
                found = row[state_hash]
                return Burn(found.status, found.burned_at, found.account_id, found.kept, found.pending)
            if len(row) >= FLOWS_PER_LINK:
                return Burn(BurnStatus.EXHAUSTED, 0)
            row[state_hash] = FakeFlow(BurnStatus.EXCHANGING, now)
            return Burn(BurnStatus.BURNED, now)

    def fail(self, link: Link, state_hash: str, reason: str) -> None:
        """Note the end of a flow that is exchanging."""
        self.called("fail")
        with self.lock:
            found = self.find(link, state_hash)
            if found and found.status is BurnStatus.EXCHANGING:
                found.status, found.reason = BurnStatus.FAILED, reason

    def keep(self, link: Link, state_hash: str, kept: SealedField) -> None:
        """Keep a sealed token set in a flow that is still open."""
        self.called("keep")
        with self.lock:
            found = self.find(link, state_hash)
            if found and found.status in (BurnStatus.EXCHANGING, BurnStatus.KEPT):
                found.status, found.kept = BurnStatus.KEPT, kept

    def stranded(self, since: int, until: int) -> int:
        """How many links have a flow of that time that is still open."""
        self.called("stranded")
        with self.lock:
            return sum(1 for row in self.flows.values() if _is_stranded(row, since, until))

    def find(self, link: Link, state_hash: str) -> FakeFlow | None:
        """A burned state, for tests and for the connections fake."""
        return self.flows.get((link.merchant_id, link.jti), {}).get(state_hash)


def _is_stranded(row: dict[str, FakeFlow], since: int, until: int) -> bool:
    """By the link's latest flow that did not fail; of several the table may know another one."""
    left = [flow for flow in row.values() if flow.status is not BurnStatus.FAILED]
    is_open = bool(left) and left[-1].status in (BurnStatus.EXCHANGING, BurnStatus.KEPT)
    return is_open and since <= left[-1].burned_at < until
