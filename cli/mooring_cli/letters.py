"""Dead letters: messages that failed too often, looked at and sent back to the queue they came from.

They are moved by receiving, sending and deleting, in this order, and a message that is not understood
stays where it is; AWS's own move task looks at none. A crash in between leaves a message in both
queues, which does no harm: every message names generation and version of what it speaks of, and is
nothing to do the second time. Bodies hold sealed tokens, and nothing of them is ever shown but a
kind and a schema that are known.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import batched
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from mooring.adapters import recovery_queue as recovery_messages
from mooring.adapters import revocation_queue, work_messages
from mooring.adapters.message_fields import fields, load
from mooring.core.errors import Failure
from mooring_cli.errors import CommandError

QUEUES = ("refresh", "recovery", "revoke")
"""The queues that have dead letters, by short name."""
HOLD_SECONDS = 300
"""For so long nobody else sees a message that was received: longer than ten of them take."""
_BATCH = 10
_WAIT_SECONDS = 1
"""Waiting makes SQS ask all its servers, not a few of them."""
_MOST_BYTES = 262_144
"""Together, for every SQS there is: it once took no more in one call."""
_PARSERS: Mapping[str, Callable[[str], object]] = {
    "refresh": work_messages.parse,
    "recovery": recovery_messages.parse,
    "revoke": revocation_queue.parse,
}
_KINDS = frozenset({"refresh", "hint", "confirm", "notice", "connected", "refreshed", "revocation"})
_MOST_SCHEMA = 999
_PLAIN = re.compile(r"[A-Za-z_' ]{1,80}")

type Message = Mapping[str, Any]


class Sort(NamedTuple):
    """What a message is: `problem` says why it is not understood; an unknown schema is None."""

    kind: str
    schema: int | None
    problem: str = ""


@dataclass(slots=True)
class Letters:
    """One dead-letter queue.

    `sorts` counts what was seen, `oldest` has the age of the oldest of each sort in seconds since it was
    first queued, and `moved` is how many went back.

    Args:
        sqs: an SQS client. Every method raises botocore's errors.
        name: short name of the queue that the messages came from.
        url: of the dead-letter queue.
        target: URL of the queue that they came from.
    """

    sqs: Any
    name: str
    url: str
    target: str
    sorts: Counter[Sort] = field(default_factory=Counter)
    oldest: dict[Sort, int] = field(default_factory=dict)
    moved: int = 0
    _seen: set[str] = field(default_factory=set)
    _held: dict[str, str] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """How many were seen that no worker of this release understands."""
        return sum(count for sort, count in self.sorts.items() if sort.problem)

    def waiting(self) -> tuple[int, int]:
        """About how many lie there, and how many somebody has received just now."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def look(self, now: int, step: Callable[[int], None]) -> None:
        """Count all messages, and leave them as they were.

        Args:
            now: epoch seconds.
            step: told of every so many messages.
        """
        self._each(now, step, lambda _messages: None)

    def move(self, now: int, step: Callable[[int], None]) -> None:
        """Count all messages, and send back those that are understood; as for `look`.

        Raises:
            CommandError: SQS did not take, or did not delete, some of them.
        """
        self._each(now, step, self._send_back)

    def _each(self, now: int, step: Callable[[int], None], act: Callable[[Sequence[Message]], None]) -> None:
        try:
            for messages in self._received():
                act([message for message in messages if not self._count(message, now).problem])
                step(len(messages))
        finally:
            self._release()

    def _received(self) -> Iterator[list[Message]]:
        """Every message once."""
        while True:
            answer = self.sqs.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=_BATCH,
                VisibilityTimeout=HOLD_SECONDS,
                WaitTimeSeconds=_WAIT_SECONDS,
                MessageSystemAttributeNames=["SentTimestamp"],
                MessageAttributeNames=["All"],
            )
            found = answer.get("Messages", [])
            self._held.update((message["MessageId"], message["ReceiptHandle"]) for message in found)
            # What was left comes round again when all this takes longer than it is held.
            new = [message for message in found if message["MessageId"] not in self._seen]
            if not new:
                return
            self._seen.update(message["MessageId"] for message in new)
            yield new

    def _count(self, message: Message, now: int) -> Sort:
        sort = sort_of(self.name, message["Body"])
        age = max(0, now - int(message["Attributes"]["SentTimestamp"]) // 1000)
        self.sorts[sort] += 1
        self.oldest[sort] = max(age, self.oldest.get(sort, 0))
        return sort

    def _send_back(self, messages: Sequence[Message]) -> None:
        for portion in _portions(messages):
            by_id = {str(number): message for number, message in enumerate(portion)}
            entries = [{"Id": number, **_again(message)} for number, message in by_id.items()]
            answer = self.sqs.send_message_batch(QueueUrl=self.target, Entries=entries)
            refused = {each["Id"]: str(each["Code"]) for each in answer.get("Failed", [])}
            self._delete([message for number, message in by_id.items() if number not in refused])
            if refused:
                raise CommandError(
                    f"SQS did not take {len(refused)} of them ({next(iter(refused.values()))})"
                )

    def _delete(self, messages: Sequence[Message]) -> None:
        """Delete what was sent. What stays goes through once more the next time, and does no harm."""
        if not messages:
            return
        self.moved += len(messages)
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            for number, message in enumerate(messages)
        ]
        answer = self.sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
        for each in answer.get("Successful", []):
            del self._held[messages[int(each["Id"])]["MessageId"]]
        if failed := answer.get("Failed"):
            raise CommandError(f"SQS did not delete {len(failed)} that were sent ({failed[0]['Code']})")

    def _release(self) -> None:
        """Let others see at once what is still there; without that they do when the hold has passed."""
        for some in batched(self._held.values(), _BATCH, strict=False):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(some)
            ]
            with suppress(ClientError, BotoCoreError):
                self.sqs.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)


def sort_of(queue: str, body: str) -> Sort:
    """What the body of a message of `queue` (by short name) is."""
    try:
        _PARSERS[queue](body)
    except Failure as failure:
        # A field of its own making can be named there.
        problem = failure.detail if _PLAIN.fullmatch(failure.detail) else "not understood"
        return Sort(*_told(body), problem)
    return Sort(*_told(body))


def _told(body: str) -> tuple[str, int | None]:
    """Kind and schema, as far as they are such."""
    try:
        data = load(body, _MOST_BYTES)
    except Failure:
        data = fields({})
    kind, schema = data.get("kind"), data.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or not 0 <= schema <= _MOST_SCHEMA:
        schema = None
    return str(kind) if isinstance(kind, str) and kind in _KINDS else "unknown", schema


def _again(message: Message) -> dict[str, Any]:
    more = message.get("MessageAttributes")
    return {"MessageBody": message["Body"], **({"MessageAttributes": more} if more else {})}


def _portions(messages: Sequence[Message]) -> list[list[Message]]:
    """All at once, or, where that is too much for one call, one by one."""
    if sum(len(message["Body"].encode()) for message in messages) > _MOST_BYTES:
        return [[message] for message in messages]
    return [list(messages)] if messages else []
