"""Trying again what may pass: a conflict with another write, throttling, the network."""

import random
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mooring.adapters.aws_errors import error_code
from mooring.core.errors import Failure, Reason

STORE_SECONDS = 3.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_SERVERS_FAULT = 500
"""From this HTTP status on the other side is at fault, whatever code it gives: that may pass."""
_PASSING = frozenset(
    (
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    )
)


class Passing(Exception):  # noqa: N818 - it passes; that is the point
    """Something that may pass, other than an AWS error. Args: code: a fixed word for the log."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Patience:
    """Tries for three seconds, with growing pauses; the AWS client must not try again by itself.

    Args:
        clock: a clock that only moves forward, in seconds.
        sleep: waits so many seconds.
        jitter: a number from 0 to 1, drawn anew each time.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter

    def until_done[T](self, attempt: Callable[[], T]) -> T:
        """Call `attempt` until it returns. It must bear being repeated after its answer was lost.

        Raises:
            Failure: STORAGE_UNAVAILABLE with the AWS error code, at once for what will not pass; whatever
                `attempt` itself refuses with.
        """
        started, tries = self._clock(), 0
        while True:
            try:
                return attempt()
            except Passing as fault:
                code = fault.code
            except (ClientError, BotoCoreError) as error:
                code = _passing_error(error)
            pause = self._jitter() * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**tries)
            if self._clock() - started + pause >= STORE_SECONDS:
                raise Failure(Reason.STORAGE_UNAVAILABLE, code) from None
            self._sleep(pause)
            tries += 1


def passing_cancellation(response: Any) -> Passing:
    """What a cancelled transaction failed of, if it may pass.

    Raises:
        Failure: STORAGE_UNAVAILABLE when one of its codes will not.
    """
    codes = [reason.get("Code", "None") for reason in response["CancellationReasons"]]
    real = [code for code in codes if code != "None"]
    lasting = [code for code in real if code not in _PASSING]
    if lasting:
        raise Failure(Reason.STORAGE_UNAVAILABLE, lasting[0]) from None
    return Passing(real[0] if real else "TransactionCanceledException")


def refused_part(response: Any, part: int) -> bool:
    """Whether a transaction was cancelled by the condition of its part number `part`."""
    return bool(response["CancellationReasons"][part].get("Code") == "ConditionalCheckFailed")


def _passing_error(error: ClientError | BotoCoreError) -> str:
    code = error_code(error)
    if isinstance(error, ClientError) and code not in _PASSING and _status(error) < _SERVERS_FAULT:
        raise Failure(Reason.STORAGE_UNAVAILABLE, code) from None
    return code


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
