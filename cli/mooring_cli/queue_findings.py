"""Judging queues: which of them may hold messages on a good day, and what to do about the others."""

from collections.abc import Iterator, Mapping

from mooring_cli.finding import Finding, Level
from mooring_cli.output import number, span
from mooring_cli.outside import Queue

WORK_PATIENCE_SECONDS = 900
"""A hint about an uninstall may wait in the refresh queue for ten minutes, on purpose."""


def queue_findings(queues: Mapping[str, Queue | None], options: str) -> Iterator[Finding]:
    """One finding for each queue; `options` lead a command of the advice to the installation."""
    for name, queue in queues.items():
        if queue is None:
            yield Finding(
                f"queue {name}",
                Level.ATTENTION,
                "is not there",
                "Deploy the stage: make deploy",
                "what-to-watch",
            )
        elif not queue.depth:
            yield Finding(f"queue {name}", Level.OK, "empty")
        else:
            yield _queue(queue, options)


def _queue(queue: Queue, options: str) -> Finding:
    old = "" if queue.oldest_seconds is None else f", the oldest for {span(queue.oldest_seconds)}"
    text = f"{number(queue.depth, 'message')}{old}"
    # Only two are full on good days: revocations wait for a provider as long as it takes, and of the refresh
    # queue's depth nothing follows where no age is known. SQS leaves what was received three times out of
    # that age, so it says nothing of the recovery queue.
    work = queue.name == "refresh" and (queue.oldest_seconds or 0) <= WORK_PATIENCE_SECONDS
    if work or queue.name == "revoke":
        return Finding(f"queue {queue.name}", Level.NOTE, text)
    advice, anchor = _QUEUE_ADVICE[queue.name], f"{queue.name}-queue"
    if queue.name.endswith("-dead"):
        name = queue.name.removesuffix("-dead")
        advice, anchor = f"{advice}: mooring redrive --queue {name}{options}", queue.name
    return Finding(f"queue {queue.name}", Level.ATTENTION, text, advice, f"alarm-{anchor}")


_QUEUE_ADVICE = {
    "refresh": "The workers do not keep up: look for throttles, and at the provider's answers",
    "refresh-dead": "Messages that failed five times. Find out why, mend it, and send them through once more",
    "recovery": "Tokens that wait to be stored, and are nowhere else. Look again in a minute, for they are "
    "tried every fifteen seconds; if they still wait, mend the table first",
    "recovery-dead": "Tokens that could not be stored, and are nowhere else. Never purge this queue. Mend "
    "the table, and send them through once more",
    "revoke-dead": "Tokens that a provider did not revoke in a day and a half, and that work there still. "
    "Find out why, mend it, and send them through once more",
}
