"""AWS errors, told once: what the caller may know is the error code, never the message."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from mooring.core.errors import Failure, Reason


def error_code(error: ClientError | BotoCoreError) -> str:
    """The AWS error code (`ThrottlingException`), or the error's class where AWS never answered."""
    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code", "Unknown")
    return type(error).__name__


@contextmanager
def failing_as(reason: Reason) -> Iterator[None]:
    """Turn every AWS error raised inside into `Failure(reason)`, with the error code as its detail."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise Failure(reason, error_code(error)) from None
