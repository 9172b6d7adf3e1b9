"""The ledger: what was issued, called and written, and what of it breaks a promise.

    I1  no token set is lost quietly          I2  one token call at a time per connection and grant
    I3  what ended never comes back           I4  one exchange per code
    I6  nobody dies falsely

It judges at the very moment of each write and each call, and once more after each step.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from mooring.adapters.transitions import CLOCK_SECONDS
from mooring.core.connection import NewConnection, Status
from mooring.core.link import Link
from mooring.core.tokens import SealedField
from mooring.core.upkeep import DOUBT_SECONDS, LEASE_SECONDS, Key, Seen
from tests.faults.any_order.process import Process
from tests.faults.any_order.provider import Grant, Pair, Providers
from tests.faults.any_order.standing import ENDED, Row, Tables

KEPT_ATTEMPTS = 20


@dataclass
class Issued:
    """A token set that a provider issued, and who got it.

    `leased_at` is when that process took its lease, by its own clock. `silent`: its answer went wrong in a
    way that leaves a doubt which nobody has to wait for.
    """

    pair: Pair
    process: Process
    leased_at: float = 0
    silent: bool = False
    stored: bool = False
    told: bool = False
    settled: bool = False
    flow: tuple[Link, str] | None = None


@dataclass
class Book:
    """What is known of one connection. `over` tells when a generation ended, in ticks."""

    row: Row | None = None
    grants: dict[int, str] = field(default_factory=dict)
    over: dict[int, int] = field(default_factory=dict)


class Ledger:
    """Watches one deployment. `wrong` lists the promises that were broken.

    Where `clocks_agree` is not so, one who is ahead may end the wait for a lost answer too early.
    """

    def __init__(
        self,
        providers: Providers,
        tables: Tables,
        opened: Callable[[SealedField], str],
        clock: Callable[[], float],
    ) -> None:
        self.providers, self.tables = providers, tables
        self.books: dict[Key, Book] = {}
        self.issued: list[Issued] = []
        self.calls: list[tuple[str, Process]] = []
        self.wrong: list[str] = []
        self.told: set[tuple[Key, str]] = set()
        self.announced: set[Key] = set()
        self.tick = 0
        self.clocks_agree = True
        self._opened, self._clock = opened, clock
        self._leases: dict[tuple[str, Key], tuple[float, int]] = {}
        self._stones: dict[tuple[str, str], int] = {}

    def require(self, holds: bool, promise: str) -> None:
        """Note a broken promise."""
        if not holds:
            self.wrong.append(promise)

    # calls

    def leased(self, process: Process, key: Key) -> None:
        """A process was given a lease."""
        self._leases[process.name, key] = int(process.clock()), self.tick

    def calling(self, process: Process, token: str) -> Grant:
        """A process is about to send a refresh token."""
        grant = self.providers.of(token)
        leased_at, tick = self._leases[process.name, grant.key]
        for name, other in self.calls:
            apart = abs(leased_at - self._leases[other.name, grant.key][0])
            self.require(
                name != grant.name or other is process or apart >= LEASE_SECONDS,
                f"I2: {process.name} calls beside {other.name}, leased {apart} s apart",
            )
        generation = self.generation(grant)
        ended = None if generation is None else self.books[grant.key].over.get(generation)
        self.require(ended is None or tick < ended, f"I3: {process.name} refreshes {grant.name}, which ended")
        if self.clocks_agree:
            self._waits_for_the_answer(process, grant, token, leased_at)
        self.calls.append((grant.name, process))
        return grant

    def _waits_for_the_answer(self, process: Process, grant: Grant, token: str, leased_at: float) -> None:
        """A token is used again only after the answer to its last use was waited for."""
        used = next(pair.number for pair in grant.pairs if pair.refresh == token)
        for each in self.issued:
            newer = each.pair.grant == grant.name and each.pair.number > used and each.pair.refresh
            if newer and not each.stored and not each.silent:
                # One that overslept had its lease before the other.
                apart = abs(leased_at - each.leased_at)
                promise = f"I1: {process.name} uses {token} again {apart} s after {each.process.name}"
                late = leased_at < each.leased_at and apart >= LEASE_SECONDS
                self.require(late or apart >= DOUBT_SECONDS - 2 * CLOCK_SECONDS, promise)

    def reused(self, process: Process, grant: Grant, token: str) -> None:
        """A used token ended a grant: only a doubt, or a process that slept past its lease, may do that."""
        used = next(pair.number for pair in grant.pairs if pair.refresh == token)
        newer = [each for each in self.issued if each.pair.grant == grant.name and each.pair.number > used]
        late = process.clock() - self._leases[process.name, grant.key][0] >= LEASE_SECONDS
        doubt = any(not each.stored and each.pair.refresh for each in newer)
        self.require(late or doubt or bool(process.skew), f"I6: {process.name} ended {grant.name} by {token}")

    def answered(self, process: Process, token: str) -> None:
        """The call is over, or its process is."""
        self.calls.remove((self.providers.of(token).name, process))

    def issue(self, process: Process, pair: Pair, key: Key, *, silent: bool = False) -> Issued:
        """A provider issued a token set."""
        leased_at = self._leases.get((process.name, key), (0.0, 0))[0]
        # Whoever overslept its lease and then hears of an error can leave no doubt behind.
        settled = silent and process.clock() - leased_at >= LEASE_SECONDS
        self.issued.append(Issued(pair, process, leased_at, silent, settled=settled))
        return self.issued[-1]

    def revoking(self, token: str) -> None:
        """A token is about to be revoked: no connection may live by the consent that it came from."""
        grant = self.providers.grants[self.issue_of(token).pair.grant]
        row = self.tables.row(grant.key)
        lives = row is not None and row.status not in ENDED and row.generation == self.generation(grant)
        self.require(not lives, f"I6: {grant.name} is revoked, and {grant.key} lives by it")

    # rows

    def buried(self, provider: str, account_id: str, at: int) -> None:
        """A proven event put a tombstone."""
        self._stones[provider, account_id] = max(at, self._stones.get((provider, account_id), at))

    def connected(self, new: NewConnection) -> None:
        """An exchange was stored, or had been before."""
        stone = self._stones.get((new.provider, new.account.account_id), -1)
        name = f"{new.merchant_id} {new.provider}#{new.account.account_id}"
        self.require(new.burned_at > stone, f"I3: {name} is connected, and was uninstalled since its burn")

    def look(self) -> None:
        """Somebody wrote: what stands there now, and may it?"""
        self.tick += 1
        for key, book in self.books.items():
            row = self.tables.row(key)
            if row != book.row:
                self._judge(key, book, row)
                book.row = row

    def _judge(self, key: Key, book: Book, row: Row | None) -> None:
        before = book.row
        if row is None:
            self.require(before is None, f"{key}: the row is gone")
            return
        if before is not None:
            self.require(row.seen >= before.seen, f"I3: {key} went back from {before.seen} to {row.seen}")
            if row.generation > before.generation:
                book.over.setdefault(before.generation, self.tick)
        self._note_tokens(key, book, row)
        ended = row.status in ENDED
        self.require(ended or row.generation not in book.over, f"I3: {key} {row.seen} is {row.status} again")
        if ended:
            erased = (row.access, row.refresh, row.previous) == (None, None, None)
            self.require(erased, f"I3: {key} ended, and its tokens are still there")
            book.over.setdefault(row.generation, self.tick)
        if before is None or before.status is not row.status or before.last_error != row.last_error:
            self._judge_death(key, book, row)

    def _note_tokens(self, key: Key, book: Book, row: Row) -> None:
        for number, sealed in enumerate((row.access, row.refresh)):
            if sealed is None:
                continue
            found = self.issue_of(self._opened(sealed))
            grant = self.providers.grants[found.pair.grant]
            known = book.grants.setdefault(row.generation, grant.name)
            self.require(grant.key == key, f"{key} holds a token of {grant.key}")
            self.require(known == grant.name, f"I3: {key} {row.seen} holds a token of {grant.name}")
            if number == 0 and not found.stored:
                found.stored = True

    def _judge_death(self, key: Key, book: Book, row: Row) -> None:
        name = book.grants.get(row.generation)
        if name is None or row.status in (Status.ACTIVE, Status.DISCONNECTED):
            return
        grant, now = self.providers.grants[name], self._clock()
        refused = row.refresh is not None and not grant.takes(self._opened(row.refresh), now)
        if row.status is Status.UNINSTALLED:
            genuine = bool(grant.dead)
        elif row.last_error == "grant_refused":
            # Or somebody who overslept got the newest pair, and it was thrown away aloud.
            genuine = bool(grant.dead) or (refused and (key, "TokenDiscarded") in self.told)
        elif row.last_error == "lost_rotation":
            genuine = refused
        elif row.last_error == "token_refused":
            genuine = row.access is not None and not grant.welcomes(self._opened(row.access), now)
        else:
            genuine = False
        self.require(genuine, f"I6: {key} {row.seen} is {row.status} ({row.last_error}), and its grant lives")

    # after each step

    def check(self, queued: set[str]) -> None:
        """I1 and I4; `queued` are the access tokens that lie on the recovery queue."""
        for code, count in self.providers.exchanges.items():
            self.require(count <= 1, f"I4: {code} was exchanged {count} times")
        for each in self.issued:
            each.settled = each.settled or self._settled(each)
            if not each.settled and not self._in_hand(each, queued):
                self.wrong.append(f"I1: {each.pair} of {each.process.name} is lost, and nobody was told")

    def _settled(self, each: Issued) -> bool:
        """For ever: stored, followed by a later stored one, of an ended generation, void, or told."""
        grant = self.providers.grants[each.pair.grant]
        void = grant.dead not in ("", "reused")
        if each.stored or void or self._told(each, grant.key):
            return True
        book, generation = self.books[grant.key], self.generation(grant)
        if (
            generation is None
        ):  # an exchange that was never stored: a later one, or an end, has taken its place
            row = book.row
            later = row is not None and row.connected_at >= each.pair.at
            return later or (row is not None and row.status in ENDED and row.updated_at >= each.pair.at)
        return generation in book.over or any(
            other.stored and other.pair.grant == grant.name and other.pair.number > each.pair.number
            for other in self.issued
        )

    def _told(self, each: Issued, key: Key) -> bool:
        return each.told or any(about == key for about, _ in each.process.told)

    def _in_hand(self, each: Issued, queued: set[str]) -> bool:
        """For now: held by a living process, on the recovery queue, in doubt, or nothing is missing."""
        grant = self.providers.grants[each.pair.grant]
        if not (each.process.ended or each.process.dead) or each.pair.access in queued:
            return True
        if each.flow is not None:
            # The sweep counts flows that began and never ended.
            return self.tables.flow_is_open(*each.flow)
        row = self.books[grant.key].row
        if row is None:
            return False
        names = [name for name in row.attempts if name.partition(".")[0] == each.process.name]
        noted = bool(names) or len(row.attempts) >= KEPT_ATTEMPTS
        return noted or (row.refresh is not None and grant.keeps(self._opened(row.refresh)))

    def generation(self, grant: Grant) -> int | None:
        """The generation that a grant's tokens were stored as."""
        return next((each for each, name in self.books[grant.key].grants.items() if name == grant.name), None)

    def issue_of(self, token: str) -> Issued:
        """By an access or refresh token."""
        return next(each for each in self.issued if token in (each.pair.access, each.pair.refresh))

    def seen(self, key: Key) -> Seen | None:
        """Generation and version as they stand."""
        row = self.books[key].row
        return row.seen if row else None
