"""What one sweep and the work that it queues ask of AWS and of the providers, in a table of a given size."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from local.triggers import QueueTrigger
from tests.scale.endpoint import Calls
from tests.scale.ground import Ground, ScaleError, batch, invoke

_RECEIVE = 10


class Counted(NamedTuple):
    """One table: how many connections it holds, how many are due, what the sweep and its work asked for."""

    stored: int
    due: int
    sweep: Calls
    work: Calls
    provider: Counter[str]
    batches: int


def counted(folder: Path, stored: int, due: int) -> Counted:
    """Fill a table, sweep it once, work off what was queued, and count.

    Args:
        folder: an empty folder.
        stored: connections in the table.
        due: how many of them fell due a minute ago: the same ones whatever `stored` is.

    Raises:
        ScaleError: the sweep did not queue what is due, or something was not refreshed once.
    """
    with Ground(folder, milliseconds=0) as ground:
        due_at = int(time.time()) - 60
        for number in range(due):
            ground.connect(number, due_at)
        ground.store_later(due, stored - due)
        sweep, refresh = ground.function("sweep"), ground.function("refresh")
        # Its runtime starts with its first event, and an order needs nearly all of the function's time.
        invoke(refresh, {"Records": []})
        answer = invoke(sweep, {}).json()
        if answer["enqueued"] != due:
            raise ScaleError(f"the sweep queued {answer['enqueued']} of {due} due connections")
        swept = ground.aws.calls()
        ground.aws.forget()
        batches = sum(_worked(refresh, event) for event in _events(ground))
        found = ground.aws.calls()
        provider = ground.provider.calls()
        if provider.total() != due:
            raise ScaleError(f"{due} due connections made {provider.total()} token calls")
        again = invoke(sweep, {}).json()
        if again["enqueued"]:
            raise ScaleError(f"{again['enqueued']} connections are still due after they were refreshed")
        return Counted(stored, due, swept, found, provider, batches)


def trigger(ground: Ground) -> QueueTrigger:
    """How Lambda feeds the refresh queue to the worker."""
    return next(each for each in ground.resources.queue_triggers if each.queue.endswith("-refresh"))


def same(found: list[Counted]) -> bool:
    """Whether the number of stored connections made no difference."""
    return len({_told(each) for each in found}) == 1


def _told(found: Counted) -> tuple[object, ...]:
    asked = (found.sweep.counts, found.sweep.rows, found.work.counts, found.work.rows, found.provider)
    return (found.batches, *(tuple(sorted(each.items())) for each in asked))


def _worked(refresh: Any, event: dict[str, Any]) -> int:
    failed = invoke(refresh, event).json()["batchItemFailures"]
    if failed:
        raise ScaleError(f"{len(failed)} messages failed")
    return 1


def _events(ground: Ground) -> Iterator[dict[str, Any]]:
    """The queue's messages in batches as large as the template says, taken as Lambda takes them."""
    sqs, found = ground.client("sqs"), trigger(ground)
    while messages := _received(sqs, ground.queue, found.batch_size):
        yield batch(messages, found.queue_arn)


def _received(sqs: Any, queue: str, wanted: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < wanted:
        most = min(_RECEIVE, wanted - len(found))
        some = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=most).get("Messages", [])
        if not some:
            break
        found += some
        entries = [{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(some)]
        sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
    return found
