"""The functions that keep connections alive and end them, in one process over one world of fakes.

Everything between the event and the ports is the real code, the messages of the queues included.
"""

import json
from typing import Any

from mooring.adapters import recovery_queue, revocation_queue, work_messages
from mooring.core.upkeep import Answer, Order
from mooring.core.upkeep_ports import Refresher, TokenKeeper
from mooring.entry import revoking, sweeping, worker
from mooring.entry.hooks import Hook
from mooring.entry.http_api import Emit, Line, Response
from mooring.entry.service_api import ServicePorts, answer
from mooring.flows.disconnect import DisconnectPorts
from mooring.flows.read import ReadPorts
from mooring.flows.recover import recover
from mooring.flows.renew import RenewPorts
from mooring.flows.revoke import revoke
from mooring.flows.sweep import SweepPorts
from mooring.flows.uninstall import UninstallPorts, uninstall
from mooring.flows.work import WorkPorts, keep, work
from mooring.providers.notices import read_notice
from tests.entry.service_contract import check
from tests.flows.upkeep_world import UpkeepWorld

REFRESH_ARN = "arn:aws:sqs:eu-central-1:123456789012:mooring-prod-refresh"
RECOVERY_ARN = "arn:aws:sqs:eu-central-1:123456789012:mooring-prod-recovery"
API_SECONDS = 28
REVOKE_SECONDS = 60


def batch(*bodies: str, arn: str = REFRESH_ARN) -> dict[str, Any]:
    """An SQS batch, its messages named `message-0` and so on, received as `receipt-0` and so on."""
    records = [
        {
            "messageId": f"message-{number}",
            "receiptHandle": f"receipt-{number}",
            "body": body,
            "eventSourceARN": arn,
        }
        for number, body in enumerate(bodies)
    ]
    return {"Records": records}


class Deployed:
    """One deployment.

    `lines` has every log line, `emit` may be given to write them besides; `server` stands for the
    providers in place of the world's, `refresher` for the refresh function as `connections` calls it.
    `orders` has what `connections` asked of `refresh`, as it arrived there.
    """

    def __init__(
        self,
        world: UpkeepWorld | None = None,
        *,
        server: TokenKeeper | None = None,
        refresher: Refresher | None = None,
        emit: Emit = lambda _line: None,
    ) -> None:
        self.world = world or UpkeepWorld()
        self.server = server
        self.lines: list[Line] = []
        self.said: list[object] = []
        self.orders: list[Order] = []
        self._refresher = refresher or InvokedRefresher(self)
        self._emit_too = emit

    def emit(self, line: Line) -> None:
        """Keep one line, and write it."""
        self.lines.append(line)
        self._emit_too(line)

    def in_order(self) -> list[Line]:
        """The lines in the order of their messages, whichever ended first."""
        return sorted(self.lines, key=lambda line: line.request_id)

    # the refresh function

    def doors(self) -> worker.Doors:
        """Its doors, as the composition root hangs them."""
        world, ports = self.world, self.work_ports()
        recovering = world.recover_ports()
        return worker.Doors(
            known=self.world.providers.__contains__,
            is_recovery=lambda arn: arn.endswith("-recovery"),
            parse=work_messages.parse,
            work=lambda item, left: work(item, ports, left),
            parse_recovery=recovery_queue.parse,
            recover=lambda found: [recover(found, recovering)],
            again_soon=world.recovery.again_soon,
            parse_order=work_messages.parse_order,
            keep=lambda order, left: keep(order, ports, left),
            answer_of=work_messages.answer_of,
        )

    def work_ports(self) -> WorkPorts:
        """The world's, with this deployment's providers."""
        ports = self.world.work_ports()
        if self.server is None:
            return ports
        refreshing = ports.refresh._replace(server=self.server)
        return WorkPorts(refreshing, ports.probe._replace(server=self.server))

    def refresh(self, event: object, doors: worker.Doors | None = None) -> dict[str, Any]:
        """One invocation: a batch or an order."""
        return self._keep(worker.run(event, doors or self.doors(), self.world.left(), self.emit))

    def deliver(self) -> list[Line]:
        """Everything that waits in the refresh queue, message by message, each at its time; the lines."""
        begun, queue = len(self.lines), self.world.queue.messages
        while queue:
            message = queue.pop(0)
            self.world.clock.advance(message.delay)
            self.refresh(batch(work_messages.message(message.work)))
        return self.lines[begun:]

    # the revoke function

    def revoke(self, event: dict[str, Any], left: float = REVOKE_SECONDS) -> dict[str, Any]:
        """One invocation."""
        world, ports = self.world, self.world.revoke_ports()
        doors = revoking.Doors(
            known=world.providers.__contains__,
            parse=revocation_queue.parse,
            revoke=lambda found, left, last: revoke(found, ports, left, last=last),
            again_in=world.revocations.again_in,
            jitter=lambda: world.jitter,
        )
        return self._keep(revoking.run(event, doors, world.left(left), self.emit))

    # the others

    def uninstall(self, event: dict[str, Any], welcome: bool = True) -> Response:
        """One webhook request."""
        world = self.world
        hook = Hook("/uninstall/", world.providers.__contains__, self.emit, lambda _headers: welcome)
        ports = UninstallPorts(
            world.provider, read_notice, world.secrets, world.endings, world.queue, world.clock
        )
        return self._keep(hook.respond(event, lambda delivery: uninstall(delivery, ports)))

    def connections(self, event: dict[str, Any]) -> Response:
        """One signed request; its answer is what the models say."""
        response = answer(event, self.service_ports(), self.emit, self.world.left(API_SECONDS))
        check(event.get("routeKey"), response)
        return self._keep(response)

    def service_ports(self) -> ServicePorts:
        """What the signed routes need; a refresh is asked for as Lambda is asked."""
        world, refresher = self.world, self._refresher
        return ServicePorts(
            read=ReadPorts(
                world.connections,
                world.sealer,
                refresher,
                self._refreshes,
                world.clock,
                world.clock.advance,
            ),
            renew=RenewPorts(world.connections, refresher),
            disconnect=DisconnectPorts(world.endings, world.clock),
            known=world.providers.__contains__,
            provider=world.provider,
        )

    def sweep(self, limit: int = 1_000, left: float = 50) -> dict[str, Any]:
        """One firing of the schedule."""
        world = self.world
        ports = SweepPorts(world.due, world.flows, world.circuits, world.queue, world.queued, world.clock)
        names = tuple(world.providers)
        return self._keep(sweeping.run(names, limit, ports, world.left(left), self.emit))

    def _refreshes(self, provider: str) -> bool:
        return provider in self.world.providers and self.world.providers[provider].refresh is not None

    def _keep(self, said: dict[str, Any]) -> dict[str, Any]:
        self.said.append(said)
        return said


class InvokedRefresher:
    """The refresher port: payload out, answer back, as text."""

    def __init__(self, deployed: Deployed) -> None:
        self._deployed = deployed

    def refresh(self, order: Order) -> Answer:
        """Have one connection refreshed now."""
        payload = json.loads(work_messages.order_payload(order))
        self._deployed.orders.append(work_messages.parse_order(payload))
        answered = self._deployed.refresh(payload)
        return work_messages.parse_answer(json.dumps(answered).encode())
