"""A queue of a running stack as tests use it: send to it, look into it, wait for it, move its clock.

The event source mapping that works it off is the stack's own.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import batched
from typing import Any

from mooring.adapters.recovery_queue import refreshed_message
from mooring.adapters.work_messages import message
from mooring.core.errors import Reason
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Cause, FreshTokens, Key, Order, Refreshed, Seen, Work
from tests.e2e.running import RunningStack
from tests.e2e.upkeep import Upkeep, wait_for

_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_AT_ONCE = 10
_QUIET_SECONDS = 40
_FUNCTION_SECONDS = 30
"""So long a function may have a message; hidden for less, it would be given to a second one."""
_PATIENCE_SECONDS = 80
HIDDEN_SECONDS = 2
"""For so long a message that a test has looked at cannot be received."""


class Queue:
    """One queue.

    Args:
        stack: the running stack.
        name: its short name: `refresh`, `recovery`, `revoke`, or one of these with `-dead`.
    """

    def __init__(self, stack: RunningStack, name: str) -> None:
        self.stack = stack
        self.name = name
        self.url: str = stack.info["queues"][name]
        self._sqs = stack.aws("sqs")
        self._left = self.counts()[1]

    def send(self, *bodies: str, delay: int = 0) -> list[str]:
        """Queue bodies in this order, delayed by seconds; their message ids."""
        sent = []
        for some in batched(bodies, _AT_ONCE, strict=False):
            entries = [
                {"Id": str(number), "MessageBody": body, "DelaySeconds": delay}
                for number, body in enumerate(some)
            ]
            answer = self._sqs.send_message_batch(QueueUrl=self.url, Entries=entries)
            sent += [one["MessageId"] for one in sorted(answer["Successful"], key=lambda one: int(one["Id"]))]
        return sent

    def attributes(self) -> dict[str, str]:
        """What SQS says of it."""
        answer = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        found: dict[str, str] = answer["Attributes"]
        return found

    def counts(self) -> tuple[int, int, int]:
        """How many messages can be received, are hidden, and are delayed."""
        said = self.attributes()
        visible, hidden, delayed = (int(said[name]) for name in _COUNTS)
        return visible, hidden, delayed

    def texts(self) -> list[str]:
        """The bodies of the messages that can be received; they stay, and count as received once more."""
        found: dict[str, str] = {}
        while True:
            some = {one["MessageId"]: str(one["Body"]) for one in self._receive(visibility=HIDDEN_SECONDS)}
            if some.keys() <= found.keys():
                return list(found.values())
            found |= some

    def bodies(self) -> list[dict[str, Any]]:
        """The same as objects."""
        return [json.loads(text) for text in self.texts()]

    def take(self) -> list[str]:
        """Take out what can be received; the bodies."""
        taken = []
        while found := self._receive(visibility=60):
            for one in found:
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=one["ReceiptHandle"])
                taken.append(str(one["Body"]))
        return taken

    def wait_until_quiet(self, until: Callable[[], object] = lambda: True) -> None:
        """Return when nothing can be received, and no more is in work than when this queue was named here.

        What failed earlier may be hidden for minutes and come back into work meanwhile: `until` is waited for
        first, where there is something to see of what the test is about.
        """
        wait_for(until, f"what comes of queue {self.name}", _QUIET_SECONDS)
        wait_for(self._is_quiet, f"an empty queue {self.name}: {self.counts()}", _QUIET_SECONDS)

    def _is_quiet(self) -> bool:
        visible, hidden, _ = self.counts()
        return visible == 0 and hidden <= self._left

    @contextmanager
    def still(self) -> Iterator[None]:
        """While it lasts, its messages are left lying."""
        with self.stack.paused(f"queues/{self.name}"):
            yield

    @contextmanager
    def changed(self, **values: object) -> Iterator[None]:
        """While it lasts, it has other attributes, such as `VisibilityTimeout`: minutes become seconds."""
        before = self.attributes()
        self._sqs.set_queue_attributes(QueueUrl=self.url, Attributes=_texts(values))
        try:
            yield
        finally:
            old = {name: before[name] for name in values}
            self._sqs.set_queue_attributes(QueueUrl=self.url, Attributes=old)

    def deliver(self, *bodies: str) -> list[dict[str, Any]]:
        """Queue bodies, ten at a time, which are one batch, and wait until each is worked off.

        Gives the log line of each, in the order of the bodies. A process that starts on a busy machine may
        have no time left to begin anything, and says so: then the message comes again, after half a minute
        in place of three (one of what is due does not: a sweep would find it).
        """
        lines = []
        with self.changed(VisibilityTimeout=_FUNCTION_SECONDS):
            for some in batched(bodies, _AT_ONCE, strict=False):
                sent = self.send(*some)
                wait_for(partial(self._all_ended, sent), f"messages: {sent}", _PATIENCE_SECONDS)
                lines += [line for each in sent for line in self._ended(each)]
        return lines

    def lines(self, message_id: str) -> list[dict[str, Any]]:
        """What `refresh` has logged of one message so far, oldest first."""
        lines = self.stack.log_lines("refresh")
        return [line for line in lines if line.get("request_id") == message_id and "outcome" in line]

    def _all_ended(self, message_ids: Sequence[str]) -> bool:
        return all(map(self._ended, message_ids))

    def _ended(self, message_id: str) -> list[dict[str, Any]]:
        return [line for line in self.lines(message_id) if line.get("reason") != Reason.OUT_OF_TIME.value]

    def _receive(self, *, visibility: int) -> Sequence[Mapping[str, Any]]:
        answer = self._sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=_AT_ONCE, VisibilityTimeout=visibility
        )
        found: Sequence[Mapping[str, Any]] = answer.get("Messages", [])
        return found


def seen(one: Upkeep) -> Seen:
    """Generation and version of a connection as it stands."""
    row = one.row()
    return Seen(row["generation"], row["version"])


def due(one: Upkeep) -> str:
    """The message that a sweep would queue for a connection now."""
    return message(Order(one.key, seen(one), Cause.DUE))


def written(work: Work) -> str:
    """The message of a piece of work."""
    return message(work)


def unsealed(key: Key, known: Seen) -> str:
    """A message of kind `refreshed` with sealed fields that nobody ever issued, of an attempt of its own."""
    junk = SealedField(secrets.token_bytes(60), secrets.token_bytes(180))
    fresh = FreshTokens(
        access=junk,
        refresh=junk,
        scopes=None,
        expires_at=4_000_000_000,
        refresh_expires_at=None,
        details={},
        issued_at=4_000_000_000 - 3_600,
        due_at=None,
        previous_until=None,
    )
    return refreshed_message(Refreshed(key, known, f"nobody-{secrets.token_hex(4)}", fresh))


def outcomes(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The outcomes of log lines, sorted."""
    return sorted(str(line["outcome"]) for line in lines if "outcome" in line)


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def take_dead_letters(stack: RunningStack) -> None:
    """Take what lies in the dead-letter queues."""
    for name in ("refresh-dead", "recovery-dead", "revoke-dead"):
        Queue(stack, name).take()
