"""Fires a schedule, as EventBridge Scheduler does: at a rate, and once soon after the start.

Not like EventBridge: a firing while the function still runs waits for it, and nothing is tried again.
Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
"""

import json
import time
import uuid
from datetime import UTC, datetime

from local import REGION
from local.feeder import Feeder
from local.invoker import Invoker
from local.runtime import InvocationResult
from local.template import ACCOUNT
from local.triggers import Schedule

FIRST_SECONDS = 3.0
"""From the start of a stack to the first firing: whoever comes to look does not wait for a minute."""


class Timetable(Feeder):
    """One schedule and the function that it starts.

    Args:
        schedule: as declared.
        invoker: runs the function.
        first_seconds: until the first firing.
    """

    def __init__(self, schedule: Schedule, invoker: Invoker, *, first_seconds: float = FIRST_SECONDS) -> None:
        self._schedule = schedule
        self._invoker = invoker
        self._first_seconds = first_seconds
        super().__init__(f"schedule-{schedule.name}")

    def fire(self) -> InvocationResult:
        """Fire now, paused or not; the function's result."""
        return self._invoker.attempt(self._schedule.function, event_of(self._schedule, datetime.now(UTC)))

    def pause(self) -> None:
        """Fire no more by itself; a firing that is under way goes on."""
        self._paused.set()

    def _run(self) -> None:
        due = time.monotonic() + self._first_seconds
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            if not self.paused:
                self.fire()
            due = max(due + self._schedule.seconds, time.monotonic())


def event_of(schedule: Schedule, now: datetime) -> bytes:
    """The event of one firing.

    Args:
        schedule: whose `given` may hold the scheduler's placeholders, such as <aws.scheduler.scheduled-time>.
        now: with a time zone.
    """
    arn = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{schedule.name}"
    at, execution = now.strftime("%Y-%m-%dT%H:%M:%SZ"), str(uuid.uuid4())
    if schedule.given is None:
        notice = {
            "version": "0",
            "id": execution,
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
        }
        place = {"account": ACCOUNT, "time": at, "region": REGION, "resources": [arn], "detail": "{}"}
        return json.dumps({**notice, **place}).encode()
    values = {"scheduled-time": at, "schedule-arn": arn, "execution-id": execution, "attempt-number": "1"}
    event = schedule.given
    for name, value in values.items():
        event = event.replace(f"<aws.scheduler.{name}>", value)
    return event.encode()
