"""The event bus in EventBridge.

Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import batched
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from mooring.adapters.aws_errors import error_code
from mooring.core.announcement import SOURCE, Event
from mooring.core.errors import Failure, Reason

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef, PutEventsResultEntryTypeDef

AT_ONCE = 10
"""Events in one call; ten of ours have some 5 KB, of 256 KB that every EventBridge takes."""
PAUSES = (0.2, 0.8)
"""Seconds before an event that may pass is tried again; then whoever feeds us comes again with it."""
_NEVER = frozenset(
    {"EventSizeExceeded", "InvalidArgument", "MalformedDetail", "NotAuthorizedForDetailTypeException"}
)
"""Said of the event itself: the same again would be refused again."""

type _Answers = list[Failure | None]


class EventBridgeBus:
    """A bus in EventBridge, which may refuse some events of a call and take the others.

    Args:
        client: an EventBridge client.
        name: the bus's name.
        sleep: waits so many seconds.
    """

    def __init__(
        self, client: "EventBridgeClient", name: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._name = name
        self._sleep = sleep

    def put(self, events: Sequence[Event]) -> Sequence[Failure | None]:
        """Put events, ten at a time, and what was refused and may pass once more; see the port."""
        answers: _Answers = [None] * len(events)
        left = self._pass(range(len(events)), events, answers)
        for pause in PAUSES:
            if not left:
                break
            self._sleep(pause)
            left = self._pass(left, events, answers)
        return answers

    def _pass(self, places: Sequence[int], events: Sequence[Event], answers: _Answers) -> list[int]:
        """Put the events of these places and note the answers; the places of those that may yet pass."""
        for some in batched(places, AT_ONCE, strict=False):
            for place, answer in zip(some, self._put([events[place] for place in some]), strict=True):
                answers[place] = answer
        return [place for place in places if _may_pass(answers[place])]

    def _put(self, events: Sequence[Event]) -> _Answers:
        entries: list[PutEventsRequestEntryTypeDef] = [self._entry(event) for event in events]
        try:
            found = self._client.put_events(Entries=entries)["Entries"]
        except (ClientError, BotoCoreError) as error:
            return [Failure(Reason.BUS_UNAVAILABLE, error_code(error)) for _ in events]
        return [_answer(entry) for entry in found]

    def _entry(self, event: Event) -> "PutEventsRequestEntryTypeDef":
        return {
            "EventBusName": self._name,
            "Source": SOURCE,
            "DetailType": event.detail_type,
            "Time": datetime.fromtimestamp(event.time, UTC),
            "Detail": json.dumps(dict(event.detail), separators=(",", ":")),
        }


def _may_pass(answer: Failure | None) -> bool:
    return answer is not None and answer.reason is Reason.BUS_UNAVAILABLE


def _answer(entry: "PutEventsResultEntryTypeDef") -> Failure | None:
    code = entry.get("ErrorCode")
    if not code:
        return None
    return Failure(Reason.EVENT_REFUSED if code in _NEVER else Reason.BUS_UNAVAILABLE, code)
