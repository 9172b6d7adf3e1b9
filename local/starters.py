"""Everything that starts functions by itself, and the controls with which tests hold it still.

At the Lambda API's address, no signature needed:

    GET  /_local/triggers                    what there is, and what is paused
    POST /_local/schedules/NAME/fire         fire now; answers when the function has: its error, and its
                                             payload as text
    POST /_local/schedules/NAME/pause        and resume
    POST /_local/queues/NAME/pause           leave its messages lying; answers when no batch is under way
    POST /_local/queues/NAME/resume
    POST /_local/streams/NAME/pause          and resume: the same for a table's stream

NAME is what stack.json calls a queue or table, and for a schedule the function that it starts.
"""

from collections.abc import Callable, Mapping
from typing import Any

from local.feeder import Feeder
from local.invoker import Invoker
from local.poller import Poller
from local.provision import Provisioned, client, short_name
from local.stream import StreamPoller
from local.timetable import Timetable


class Starters:
    """Pollers and timetables of one stack.

    Args:
        resources: the provisioned template.
        endpoint_url: the simulated AWS.
        invoker: runs the functions; they need not be there before `start`.
    """

    def __init__(self, resources: Provisioned, endpoint_url: str, invoker: Invoker) -> None:
        functions = {function.physical_name: function.name for function in resources.functions}
        self._queues: dict[str, Poller] = {}
        for trigger in resources.queue_triggers:
            sqs = client("sqs", endpoint_url, poller_of=functions[_name(trigger.function)])
            poller = Poller(trigger, resources.queues[trigger.queue], sqs, invoker)
            self._queues[short_name(trigger.queue)] = poller
        self._streams: dict[str, StreamPoller] = {}
        for changes in resources.stream_triggers:
            own = functions[_name(changes.function)]
            streams, s3 = (
                client(service, endpoint_url, poller_of=own) for service in ("dynamodbstreams", "s3")
            )
            self._streams[short_name(changes.table)] = StreamPoller(changes, streams, s3, invoker)
        self._schedules = {
            functions[_name(schedule.function)]: Timetable(schedule, invoker)
            for schedule in resources.schedules
        }

    def start(self) -> None:
        """Let everything run.

        Raises:
            TemplateError: a queue does not fit its function.
        """
        for starter in self._all():
            starter.start()

    def stop(self) -> None:
        """Start nothing more; what runs goes on. Takes about a second."""
        for starter in self._all():
            starter.stop()
        for starter in self._all():
            starter.join(batches=False)

    def join(self) -> None:
        """Wait for what still runs; call it after the functions were ended."""
        for starter in self._all():
            starter.join(batches=True)

    def control(self, method: str, path: str) -> tuple[int, object]:
        """Do what a test asks; status and answer.

        Args:
            method: of the request.
            path: without `/_local/`.
        """
        if (method, path) == ("GET", "triggers"):
            return 200, self._listed()
        kind, _, rest = path.partition("/")
        name, _, verb = rest.partition("/")
        starter = self._kinds().get(kind, {}).get(name)
        action = _actions(starter).get(verb) if method == "POST" else None
        if action is None:
            return 404, {"error": f"there is no /_local/{path} with this method"}
        return 200, action()

    def _kinds(self) -> Mapping[str, Mapping[str, Feeder]]:
        return {"queues": self._queues, "streams": self._streams, "schedules": self._schedules}

    def _all(self) -> list[Feeder]:
        return [starter for kind in self._kinds().values() for starter in kind.values()]

    def _listed(self) -> object:
        return {
            kind: {name: {"paused": starter.paused} for name, starter in starters.items()}
            for kind, starters in self._kinds().items()
        }


def _actions(starter: Feeder | None) -> Mapping[str, Callable[[], Any]]:
    if starter is None:
        return {}
    both: dict[str, Callable[[], Any]] = {"pause": starter.pause, "resume": starter.resume}
    return both | ({"fire": lambda: _fired(starter)} if isinstance(starter, Timetable) else {})


def _fired(table: Timetable) -> dict[str, Any]:
    result = table.fire()
    return {"error": result.error, "payload": result.payload.decode("utf-8", "replace")}


def _name(function: str) -> str:
    return function.rpartition(":")[2]
