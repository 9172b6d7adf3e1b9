"""One deployment whose processes can be stopped and killed, with queues that deliver late and twice."""

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from mooring.core.errors import Failure, Reason
from mooring.core.flow import state_hash
from mooring.core.link import Link, verify_link
from mooring.core.revocation import Revocation
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Answer, Key, Leased, Order, Recovered, Refreshed, Storing
from mooring.core.visit import Visit
from mooring.entry.http_api import Line
from mooring.entry.worker import Doors, run
from mooring.flows.authorize import AuthorizePorts, authorize
from mooring.flows.callback import CallbackPorts, callback
from mooring.flows.disconnect import DisconnectPorts, disconnect
from mooring.flows.read import AccessToken, ReadPorts, read_token
from mooring.flows.recover import recover
from mooring.flows.revoke import revoke
from mooring.flows.uninstall import Delivery, UninstallPorts, uninstall
from mooring.flows.watch import Watch
from mooring.flows.work import keep, work
from mooring.providers.authorization_request import authorization_url
from mooring.providers.notices import read_notice
from tests.core.signing import policy, signed
from tests.fakes.secrets import FakeSecrets
from tests.faults.any_order.back_channel import BackChannel, Revoker
from tests.faults.any_order.ledger import Book, Ledger
from tests.faults.any_order.process import Guarded, Process
from tests.faults.any_order.provider import Providers
from tests.faults.any_order.shops import MANNERS, PROVIDERS, Removal, provider_of
from tests.faults.any_order.standing import FakeTables, Tables
from tests.flows.upkeep_world import WEBHOOK_SECRET, UpkeepWorld
from tests.flows.world import Browser
from tests.protocol.shapes import REVOKE

VISIBILITY_SECONDS, AGAIN_SECONDS = 180, 15
LOSSES = frozenset(
    ("TokenLost", "TokenKept", "TokenDiscarded", "LostRotation", "RefreshInDoubt", "ExchangeInDoubt")
)
"""The alarms that say of a token set that it is gone, or may be."""
_STORES = ("leases", "recovery", "endings", "work", "connections", "flows", "recoveries", "revocations")
_WRITES = frozenset(
    [
        "store",
        "recover",
        "put_off",
        "lose",
        "probing",
        "remind",
        "report",
        "alive",
        "refused",
        "expire",
        "uninstall",
        "disconnect",
        "connect",
        "restore",
        "postpone",
    ]
)


@dataclass
class Message:
    """One message of either queue: visible from `at` on, unless `taken` by a process."""

    body: object
    at: float
    taken: bool = False


@dataclass
class Arrival:
    """A browser that comes back from the provider."""

    key: Key
    code: str
    query: str
    browser: Browser
    flow: tuple[Link, str]


class Deployment:
    """Everything; `world` are the fakes (or the tables that a subclass puts in their place)."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self.keys = keys
        self.world = self.make_world()
        self.clock = self.world.clock
        self.tables = self.make_tables()
        self.providers = Providers()
        self.ledger = Ledger(self.providers, self.tables, self.opened, self.clock)
        self.ledger.books = {key: Book() for key in keys}
        self.parked: list[Process] = []
        self.post: list[Message] = []
        self.recovery: list[Message] = []
        self.arrivals: list[Arrival] = []
        self.removals: list[Removal] = []
        self.watches: dict[int, Watch] = {}
        self._numbers = count(1)
        self._settling: dict[str, Callable[[Process], None]] = {}

    def make_world(self) -> UpkeepWorld:
        """What stands behind the ports."""
        world = UpkeepWorld()
        world.providers = {provider.id: provider for provider in PROVIDERS}
        names = list(world.providers)
        world.secrets = FakeSecrets(
            {name: f"canary-client-secret-of-{name}" for name in names},
            world.journal,
            dict.fromkeys(names, WEBHOOK_SECRET),
        )
        return world

    def leaks(self) -> list[str]:
        """Every token and secret that left the flows."""
        return [leak for leak in self.world.leaks() if leak.startswith("canary")]

    def make_tables(self) -> Tables:
        """How the rows are looked at."""
        return FakeTables(self.world)

    def opened(self, sealed: SealedField) -> str:
        """What is sealed, in the clear."""
        return self.world.sealer.vault[sealed][1]

    # processes

    def process(self, plan: Mapping[str, str] | None = None, skew: int = 0) -> Process:
        """A new one."""
        return Process(f"p{next(self._numbers)}", self.clock, skew, plan or {})

    def start(
        self, process: Process, does: Callable[[], object], until: str, settle: Callable[[Process], None]
    ) -> None:
        """Begin; what comes after its end is `settle`."""
        self._settling[process.name] = settle
        process.begin(does, until)
        self._after(process)

    def go_on(self, process: Process, until: str = "") -> None:
        """Let a stopped one go on."""
        self.parked.remove(process)
        process.go_on(until)
        self._after(process)

    def kill(self, process: Process) -> None:
        """Kill a stopped one."""
        self.parked.remove(process)
        process.die()
        self._after(process)

    def _after(self, process: Process) -> None:
        if not process.ended:
            self.parked.append(process)
        else:
            error = process.error
            self.ledger.require(error is None or isinstance(error, Failure), f"{process.name}: {error!r}")
            self._settling.pop(process.name)(process)
        self._collect()

    def _collect(self) -> None:
        """What the ports of the queues took, becomes messages."""
        now = self.clock()
        self.post += [Message(each.work, now + each.delay) for each in self.world.queue.messages]
        self.world.queue.messages.clear()
        self.world.queue.backlog = len(self.post)
        queue = self.world.recovery
        self.recovery += [Message(each, now) for each in queue.refreshed]
        self.recovery += [Message(Recovered(*each), now) for each in queue.messages]
        queue.refreshed.clear()
        queue.messages.clear()
        for each in self.world.revocations.messages:
            self._revoke(each)
        self.world.revocations.messages.clear()

    def _revoke(self, revocation: Revocation) -> None:
        """The revoke function, at the most eager kind of provider; what it may revoke, the ledger knows."""
        eager = REVOKE._replace(ends="token")
        ports = self.world.revoke_ports()._replace(
            provider=lambda name: self.world.provider(name)._replace(revoke=eager),
            server=Revoker(self.ledger),
        )
        revoke(revocation, ports, lambda: 60.0, last=False)

    def guarded[Ports](self, ports: Ports, process: Process) -> Ports:
        """The same ports as this process has them."""
        named: Any = ports
        changes: dict[str, Any] = {"clock": process.clock}
        for name in named._fields:
            if name in _STORES:
                changes[name] = Guarded(getattr(named, name), process, self._heard(process))
        if "server" in named._fields:
            changes["server"] = BackChannel(process, self.ledger, self.clock)
        if "watch" in named._fields:
            changes["watch"] = self.watches.setdefault(
                process.skew, Watch(self.world.circuits, process.clock)
            )
        if "attempt_id" in named._fields:
            attempts = count(1)
            changes["attempt_id"] = lambda: f"{process.name}.{next(attempts)}"
        return named._replace(**changes)  # type: ignore[no-any-return]

    def _heard(self, process: Process) -> Callable[[str, tuple[Any, ...], Any], None]:
        def heard(method: str, arguments: tuple[Any, ...], result: object) -> None:
            if method == "lease" and isinstance(result, Leased):
                self.ledger.leased(process, result.key)
            elif method == "lose" and result and arguments[1] is Reason.LOST_ROTATION:
                # The process may die before it says so: then the row's own change does (see `announce`).
                self.ledger.announced.add(arguments[0].key)
                self.ledger.look()
            elif method == "bury":
                self.ledger.buried(*arguments[:3])
            elif method in _WRITES:
                if method == "connect" or (method == "restore" and result is Storing.STORED):
                    self.ledger.connected(arguments[0])
                self.ledger.look()

        return heard

    # the refresh function

    def doors(self, process: Process) -> Doors:
        """The refresh function in one process."""
        ports = self.world.work_ports()
        ports = ports._replace(
            refresh=self.guarded(ports.refresh, process), probe=self.guarded(ports.probe, process)
        )
        recovering = self.guarded(self.world.recover_ports(), process)
        bodies: dict[str, Any] = {str(id(each)): each.body for each in (*self.post, *self.recovery)}
        return Doors(
            known=self.world.providers.__contains__,
            is_recovery=lambda arn: arn == "recovery",
            parse=lambda body: bodies[body],
            work=lambda item, left: work(item, ports, left),
            parse_recovery=lambda body: bodies[body],
            recover=lambda found: [recover(found, recovering)],
            again_soon=lambda _: None,
            parse_order=lambda event: event,  # type: ignore[arg-type, return-value]
            keep=lambda order, left: keep(order, ports, left),
            answer_of=lambda answer: {"answer": answer},
        )

    def ordered(self, process: Process, order: Order) -> Answer:
        """The refresh function, invoked with one order."""
        answer = run(order, self.doors(process), process.left, self._emit(process))["answer"]
        assert isinstance(answer, Answer)
        return answer

    def delivered(self, process: Process, message: Message, source: str) -> bool:
        """The refresh function, with one message; whether that is to come again."""
        record = {"messageId": "1", "body": str(id(message)), "eventSourceARN": source, "receiptHandle": "r"}
        doors, emit = self.doors(process), self._emit(process)
        return bool(run({"Records": [record]}, doors, process.left, emit)["batchItemFailures"])

    def _emit(self, process: Process) -> Callable[[Line], None]:
        def emit(line: Line) -> None:
            if line.reason == "internal":
                self.ledger.wrong.append(f"{process.name} had a defect: {line.detail} at {line.at}")
            if line.alarm in LOSSES and line.merchant_id and line.provider and line.account_id:
                key = Key(line.merchant_id, line.provider, line.account_id)
                process.told.append((key, line.alarm))
                self.ledger.told.add((key, line.alarm))

        return emit

    # what may happen

    def refresh(self, process: Process, order: Order, until: str = "") -> None:
        """Somebody asks for a refresh."""
        self.start(process, lambda: self.ordered(process, order), until, _nothing)

    def read(self, process: Process, key: Key, min_ttl: int, until: str = "") -> None:
        """A service reads a token."""
        world, began = self.world, self.ledger.tick
        ports = ReadPorts(
            world.connections,
            world.sealer,
            _Invoked(self, process),
            lambda name: world.providers[name].refresh is not None,
            process.clock,
            self.clock.advance,
        )
        guarded = self.guarded(ports, process)
        self.start(
            process,
            lambda: read_token(key, min_ttl, guarded, process.left),
            until,
            lambda ended: self._was_read(ended, key, began),
        )

    def _was_read(self, process: Process, key: Key, began: int) -> None:
        if not isinstance(process.result, AccessToken):
            return
        grant = self.providers.of(process.result.access_token)
        generation = self.ledger.generation(grant)
        self.ledger.require(grant.key == key, f"{key} reads a token of {grant.key}")
        ended = self.ledger.books[key].over.get(generation or 0)
        self.ledger.require(ended is None or began <= ended, f"I3: {key} reads {grant.name}, which ended")

    def arrive(self, key: Key) -> Arrival:
        """A merchant follows a link, consents at the provider, and is about to come back."""
        browser, now = Browser(), int(self.clock())
        jti = f"jti-{next(self._numbers)}"
        link = signed(sub=key.merchant_id, provider=key.provider, iat=now, exp=now + 600, jti=jti)
        ports = AuthorizePorts(
            self.world.provider,
            policy(),
            authorization_url,
            self.clock,
            lambda: f"{next(self._numbers):043d}",
        )
        result = authorize(Visit("GET", key.provider, urlencode({"link": link}), [], {}), ports)
        browser.take(result.cookies)
        state = parse_qs(urlsplit(result.location or "").query)["state"][0]
        code = self.providers.consent(key, MANNERS[key.provider])
        flow = verify_link(link, policy(), now), state_hash(state)
        query = urlencode({"code": code, "state": state})
        self.arrivals.append(Arrival(key, code, query, browser, flow))
        return self.arrivals[-1]

    def come_back(self, process: Process, arrival: Arrival, until: str = "") -> None:
        """The browser's request to the callback; it may come twice."""
        world = self.world
        ports = CallbackPorts(
            world.provider, policy(), world.flows, world.connections, world.sealer, world.secrets,
            BackChannel(process, self.ledger, self.clock), world.recovery, world.revocations, self.clock,
            lambda: 0.0,
        )  # fmt: skip
        ports = self.guarded(ports, process)
        ports = ports._replace(server=BackChannel(process, self.ledger, self.clock, arrival.flow))
        visit = Visit("GET", arrival.key.provider, arrival.query, arrival.browser.cookies(), {})
        self.start(
            process,
            lambda: callback(visit, ports, "0123456789", process.left),
            until,
            lambda ended: self._came_back(ended, arrival.key),
        )

    def _came_back(self, process: Process, key: Key) -> None:
        alarm = process.error.alarm if isinstance(process.error, Failure) else None
        if alarm in LOSSES:
            process.told.append((key, str(alarm)))
            self.ledger.told.add((key, str(alarm)))

    def remove(self, key: Key) -> Removal:
        """An account throws the app out."""
        now = self.clock()
        self.providers.remove(key.provider, key.account_id, now)
        self.removals.append(Removal(key.provider, key.account_id, int(now)))
        return self.removals[-1]

    def notify(self, process: Process, removal: Removal, until: str = "", *, forged: bool = False) -> None:
        """The provider says, or somebody pretends, that an account threw the app out."""
        body = {"type": "gone", "account": removal.account_id, "id": "e-1", "at": removal.at}
        raw = json.dumps(body).encode()
        proof = hmac.digest(b"a guess" if forged else WEBHOOK_SECRET.encode(), raw, "sha256").hex()
        delivery = Delivery(removal.provider, {"x-signature": proof}, raw)
        world = self.world
        ports = UninstallPorts(
            world.provider, read_notice, world.secrets, world.endings, world.queue, process.clock
        )
        guarded = self.guarded(ports, process)
        self.start(process, lambda: uninstall(delivery, guarded), until, _nothing)

    def disconnect(self, process: Process, key: Key, until: str = "") -> None:
        """The product cuts a connection off."""
        ports = self.guarded(DisconnectPorts(self.world.endings, self.clock), process)
        self.start(process, lambda: disconnect(key, ports), until, _nothing)

    def deliver(
        self,
        process: Process,
        message: Message,
        until: str = "",
        *,
        recovered: bool = False,
        twice: bool = False,
    ) -> None:
        """A message comes; `twice`: it will come again although all went well."""
        box, source = (self.recovery, "recovery") if recovered else (self.post, "refresh")
        message.taken = True

        def settle(ended: Process) -> None:
            message.taken = False
            message.at = self.clock() + (
                AGAIN_SECONDS if recovered and not ended.dead else VISIBILITY_SECONDS
            )
            if recovered and ended.told:
                self.ledger.issue_of(self._recovered(message)).told = True
            if ended.result is False and not twice:
                box[:] = [each for each in box if each is not message]

        self.start(process, lambda: self.delivered(process, message, source), until, settle)

    def waiting(self, *, recovered: bool = False) -> list[Message]:
        """The messages that could be delivered now."""
        box = self.recovery if recovered else self.post
        return [each for each in box if not each.taken and each.at <= self.clock()]

    def sweep(self, skew: int = 0) -> None:
        """The scheduler fires."""
        self.clock.advance(skew)
        try:
            self.world.sweep(*{provider_of(key).id: provider_of(key) for key in self.keys}.values())
        finally:
            self.clock.advance(-skew)
        self._collect()

    def queued(self) -> set[str]:
        """The access tokens on the recovery queue."""
        return {self._recovered(message) for message in self.recovery}

    def _recovered(self, message: Message) -> str:
        """The access token that a message of the recovery queue brings."""
        body = message.body
        assert isinstance(body, Refreshed | Recovered)
        return self.opened(body.fresh.access if isinstance(body, Refreshed) else body.new.tokens.access)


class _Invoked:
    """The refresher port: the refresh function, invoked by a reader."""

    def __init__(self, deployment: Deployment, process: Process) -> None:
        self._deployment, self._process = deployment, process

    def refresh(self, order: Order) -> Answer:
        """Have one connection refreshed now."""
        return self._deployment.ordered(self._process, order)


def _nothing(_: Process) -> None:
    """Nothing follows."""
