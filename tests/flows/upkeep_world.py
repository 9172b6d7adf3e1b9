"""A world for the flows of upkeep: rows with sealed tokens, fakes behind the ports, a clock to move."""

import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

from mooring.core.connection import Account, Connection, NewConnection, ReadableConnection, Status
from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.link import Link
from mooring.core.provider import Call, Provider, Uninstall
from mooring.core.tokens import SealedTokens
from mooring.core.upkeep import DOUBT_SECONDS, FUNCTION_SECONDS, Answer, Cause, DueRow, Key, Order, Seen, Work
from mooring.flows.probe import ProbePorts
from mooring.flows.recover import RecoverPorts, recover
from mooring.flows.refresh import LOOK_SECONDS, RefreshPorts, refresh
from mooring.flows.revoke import RevokePorts
from mooring.flows.sweep import SweepPorts, Swept, sweep
from mooring.flows.uninstall import Delivery, UninstallPorts, uninstall
from mooring.flows.watch import Watch
from mooring.flows.work import WorkPorts, keep, work
from mooring.providers.notices import read_notice
from tests.contract.samples import a_link, a_state
from tests.core.signing import NOW
from tests.fakes.circuits import FakeCircuits
from tests.fakes.clock import FakeClock
from tests.fakes.connections import FakeConnections, Upkeep
from tests.fakes.due import FakeDueIndex
from tests.fakes.endings import FakeEndings
from tests.fakes.flows import FakeFlows
from tests.fakes.generations import FakeGenerations
from tests.fakes.leases import FakeLeases
from tests.fakes.recoveries import FakeRecoveries
from tests.fakes.recovery import FakeRecoveryQueue
from tests.fakes.revocations import FakeRevocations
from tests.fakes.sealer import FakeSealer
from tests.fakes.secrets import FakeSecrets
from tests.fakes.token_keeper import FakeTokenKeeper, RotatingProvider
from tests.fakes.token_revoker import FakeTokenRevoker
from tests.fakes.work_queue import FakeWorkQueue
from tests.protocol.shapes import ACME, ACME_URL, PUBLIC, REFRESH

LIFETIME = 3_600
WEBHOOK_SECRET = "canary-webhook-secret"

KEY = Key("m-1", "acme", "shop-9")
SEEN = Seen(2, 5)
"""How `UpkeepWorld.stands` makes a connection."""

PROBE = Call("GET", f"{ACME_URL}/api/{{account_id}}/info")
EVENT = Uninstall("hmac_sha256_hex", "X-Signature", "body:id", "body:at", "body:account", "body:type=gone")
HINT = EVENT._replace(proof="none", signature_header=None)

EAGER = ACME
SOMETIMES = ACME._replace(id="sometimes", refresh=REFRESH._replace(rotation="sometimes"))
NEVER = ACME._replace(id="never", refresh=REFRESH._replace(rotation="never"))
GRACE = ACME._replace(id="grace", refresh=REFRESH._replace(grace_seconds=60))
IDLE = ACME._replace(id="idle", refresh=REFRESH._replace(idle_days=30))
BOTH = ACME._replace(id="both", probe=PROBE, uninstall=HINT)
"""Refreshes, and has a probe for connections that came without a refresh token."""
PROBED = ACME._replace(id="probed", refresh=None, probe=PROBE, uninstall=HINT)
SILENT = ACME._replace(id="silent", refresh=None, uninstall=HINT)
"""Neither refresh nor probe."""
SIGNED = ACME._replace(id="signed", uninstall=EVENT)
TIMELESS = ACME._replace(id="timeless", uninstall=EVENT._replace(time=None))
TIMELESS_PROBED = TIMELESS._replace(id="timeless-probed", probe=PROBE)
PROVIDERS = [EAGER, SOMETIMES, NEVER, GRACE, IDLE, PUBLIC, BOTH, PROBED, SILENT, SIGNED]
PROVIDERS += [TIMELESS, TIMELESS_PROBED]


class UpkeepWorld:
    """One deployment. `journal` has one word for each call of a port, in the order of the calls.

    `said` collects all that left the flows: answers, failures, results. None of it may hold a secret.
    """

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.clock = FakeClock(NOW)
        self.flows = FakeFlows(self.journal)
        self.connections = FakeConnections(self.flows, self.journal)
        self.leases = FakeLeases(self.connections, self.journal)
        self.endings = FakeEndings(self.connections, self.journal)
        self.due = FakeDueIndex(self.connections, self.journal)
        self.recoveries = FakeRecoveries(self.connections, self.journal)
        self.circuits = FakeCircuits(self.journal, self.clock)
        self.watch = Watch(self.circuits, self.clock)
        self.sealer = FakeSealer(self.journal)
        self.keeper = FakeTokenKeeper(self.journal)
        self.recovery = FakeRecoveryQueue(self.journal)
        self.revocations = FakeRevocations(self.journal)
        self.generations = FakeGenerations(self.connections, self.journal)
        self.revoker = FakeTokenRevoker(self.journal)
        self.queue = FakeWorkQueue(self.journal)
        self.providers = {provider.id: provider for provider in PROVIDERS}
        names = list(self.providers)
        self.secrets = FakeSecrets(
            {name: f"canary-client-secret-of-{name}" for name in names},
            self.journal,
            dict.fromkeys(names, WEBHOOK_SECRET),
        )
        self.jitter = 0.0
        self.queued: dict[DueRow, int] = {}
        self.said: list[object] = []
        self._attempts = count(1)

    # what stands in the table

    def stands(
        self,
        key: Key = KEY,
        *,
        refresh: str | None = "canary-refresh-0",
        access: str | None = "canary-access-0",
        **changes: Any,
    ) -> Key:
        """Place a connection: active, generation 2, version 5, just expired and due. `changes` go to
        whichever part of the row has that name."""
        upkeep = {name: changes.pop(name) for name in list(changes) if name in Upkeep.__dataclass_fields__}
        connection = Connection(
            *key, Status.ACTIVE, *SEEN, ("read",), NOW, NOW - 7_200, NOW - LIFETIME, True, None,
            {"app_key": "k"}, NOW - LIFETIME,
        )._replace(**changes)  # fmt: skip
        keys = self.sealer.prepare(key.merchant_id, key.provider)
        sealed = None if access is None else keys.seal("access", key.account_id, access)
        if refresh is not None:
            upkeep["refresh"] = keys.seal("refresh", key.account_id, refresh)
        self.connections.put(connection, sealed, **{"due_at": NOW - 10, **upkeep})
        self.journal.clear()
        return key

    def exchanged(
        self, key: Key = KEY, refresh: str = "canary-refresh-anew", *, verified: bool = True, ago: int = 0
    ) -> tuple[NewConnection, Link, str]:
        """A code exchange that was finished `ago` seconds ago, its state burned two seconds before."""
        now = int(self.clock()) - ago
        keys = self.sealer.prepare(key.merchant_id, key.provider)
        tokens = SealedTokens(
            keys.seal("access", key.account_id, "canary-access-anew"),
            keys.seal("refresh", key.account_id, refresh), ("read",), now + LIFETIME, None, {},
        )  # fmt: skip
        account = Account(key.account_id, verified)
        new = NewConnection(key.merchant_id, key.provider, account, tokens, now, now - 2, now + 2_700)
        link, state = a_link(key.merchant_id), a_state()
        self.flows.burn(link, state, now - 2)
        return new, link, state

    def reconnects(self, key: Key = KEY) -> None:
        """The merchant connects again: another generation with tokens of its own."""
        self.connections.connect(*self.exchanged(key))

    def row(self, key: Key = KEY) -> Connection:
        """What readers see of it."""
        found = self.connections.row(key)
        assert found is not None
        return found.connection

    def rest(self, key: Key = KEY) -> Upkeep:
        """The rest of its row."""
        return self.connections.rest(key)

    def tokens(self, key: Key = KEY) -> tuple[str | None, str | None]:
        """Its access and refresh token in the clear; None for one that was erased."""
        found = self.connections.row(key)
        assert found is not None
        sealed = {"access": found.access, "refresh": self.rest(key).refresh}
        opened = [each and self.opened(key, field, each) for field, each in sealed.items()]
        return opened[0], opened[1]

    def opened(self, key: Key, field: str, sealed: Any) -> str:
        """A sealed field in the clear, if it was sealed for this place."""
        place, plaintext = self.sealer.vault[sealed]
        assert place == (*key, field)
        return plaintext

    def snapshot(self, key: Key = KEY) -> tuple[ReadableConnection | None, Upkeep]:
        """The whole row, to see that nothing changed."""
        return self.connections.row(key), replace(self.rest(key))

    # the flows

    def provider(self, provider_id: str) -> Provider:
        """The catalog."""
        if provider_id not in self.providers:
            raise Failure(Reason.PROVIDER_UNKNOWN)
        return self.providers[provider_id]

    def left(self, seconds: float = FUNCTION_SECONDS) -> Callable[[], float]:
        """A function's remaining time, which runs with the clock from now on."""
        began = self.clock()
        return lambda: seconds - (self.clock() - began)

    def work_ports(self) -> WorkPorts:
        """The ports of `work`, `refresh` and `probe`."""
        return WorkPorts(
            RefreshPorts(
                self.provider, self.leases, self.sealer, self.secrets, self.keeper, self.recovery,
                self.revocations, self.watch, self.clock, lambda: self.jitter,
                lambda: f"attempt-{next(self._attempts)}",
            ),
            ProbePorts(
                self.provider, self.endings, self.sealer, self.keeper, self.queue, self.clock,
                lambda: self.jitter,
            ),
        )  # fmt: skip

    def refresh(self, order: Order | None = None, seconds: float = FUNCTION_SECONDS) -> Answer:
        """Refresh one connection."""
        asked = order or Order(KEY, SEEN, Cause.DUE)
        return self.hear(lambda: refresh(asked, self.work_ports().refresh, self.left(seconds)))

    def doubt_passes(self, order: Order | None = None) -> None:
        """After a lost answer: two minutes, the look that calls nobody, and half a minute."""
        self.clock.advance(DOUBT_SECONDS)
        calls = len(self.keeper.refreshes)
        until = int(self.clock()) + LOOK_SECONDS
        assert self.refresh(order) == Answer("waiting", Reason.REFRESH_IN_DOUBT, until)
        assert len(self.keeper.refreshes) == calls
        self.clock.advance(LOOK_SECONDS)

    def keep(self, order: Order) -> Answer:
        """Look after one connection."""
        return self.hear(lambda: keep(order, self.work_ports(), self.left()))

    def work(self, item: Work) -> list[tuple[Key, Answer]]:
        """Do one piece of work."""
        return self.hear(lambda: work(item, self.work_ports(), self.left()))

    def deliver(self, moved: float = 0) -> list[tuple[Key, Answer]]:
        """Let the first message of the refresh queue become visible `moved` seconds late, and do it."""
        message = self.queue.messages.pop(0)
        self.clock.advance(message.delay + moved)
        return self.work(message.work)

    def recover_ports(self) -> RecoverPorts:
        """The ports of `recover`."""
        return RecoverPorts(self.leases, self.recoveries, self.revocations, self.clock)

    def revoke_ports(self) -> RevokePorts:
        """The ports of `revoke`."""
        return RevokePorts(
            self.provider, self.generations, self.sealer, self.secrets, self.revoker, self.clock
        )

    def recover(self) -> list[tuple[Key, Answer]]:
        """Take everything from the recovery queue. What fails comes again."""
        found, ports, done = list(self.recovery.refreshed), self.recover_ports(), []
        for each in found:
            done.append(self.hear(partial(recover, each, ports)))
            self.recovery.refreshed.remove(each)
        return done

    def sweep(
        self, *providers: Provider, limit: int = 1_000, left: Callable[[], float] | None = None
    ) -> Swept:
        """Sweep once."""
        ports = SweepPorts(self.due, self.flows, self.circuits, self.queue, self.queued, self.clock)
        names = [provider.id for provider in providers or (EAGER,)]
        return self.hear(lambda: sweep(names, limit, ports, left or self.left(50)))

    def notify(self, provider: Provider, headers: dict[str, str] | None = None, **body: Any) -> Answer:
        """One uninstall notice, signed as the provider signs unless `headers` say otherwise."""
        raw = json.dumps({"type": "gone", "account": "shop-9", "id": "e-1", "at": NOW, **body}).encode()
        proof = hmac.digest(WEBHOOK_SECRET.encode(), raw, "sha256").hex()
        delivery = Delivery(provider.id, {"x-signature": proof} if headers is None else headers, raw)
        self.said.append(delivery)
        ports = UninstallPorts(self.provider, read_notice, self.secrets, self.endings, self.queue, self.clock)
        return self.hear(lambda: uninstall(delivery, ports))

    def hear[Said](self, flow: Callable[[], Said]) -> Said:
        """Run a flow and keep what it says."""
        try:
            said = flow()
        except Failure as failure:
            self.said.append((str(failure), failure.detail))
            raise
        self.said.append(said)
        return said

    def leaks(self) -> list[str]:
        """Every secret that left the flows: in what they said, queued or noted of a failure."""
        secrets = {plaintext for _, plaintext in self.sealer.vault.values()}
        secrets |= {*self.secrets.values.values(), *self.secrets.webhooks.values()} - {""}
        rows = [row.connection for row in self.connections.rows.values()]
        left = repr([self.said, self.queue.messages, self.recovery.refreshed, self.circuits.circuits, rows])
        return sorted(secret for secret in secrets if secret in left)


def provider_of(world: UpkeepWorld, **behaviour: Any) -> RotatingProvider:
    """Put a provider with a memory behind the world's back channel; it issued `canary-refresh-0`."""
    acting = RotatingProvider("canary-refresh-0", **behaviour)
    world.keeper.acting(acting)
    return acting


def failing(outcome: Outcome, reason: Reason = Reason.PROVIDER_UNAVAILABLE) -> TokenCallFailure:
    """A token call that failed."""
    return TokenCallFailure(outcome, reason, "a fixed text")


LOST = TokenCallFailure(Outcome.GRANT_LOST, Reason.GRANT_REFUSED)
MISCONFIGURED = TokenCallFailure(Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED)
TRANSIENT = TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, "HTTP 429")
BROKEN = TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, "HTTP 503", maybe_issued=True)
"""An answer behind which a token may have been issued."""
IN_DOUBT = TokenCallFailure(Outcome.IN_DOUBT, Reason.PROVIDER_TIMEOUT, "timeout")
DOWN = Failure(Reason.STORAGE_UNAVAILABLE)
