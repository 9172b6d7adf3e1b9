"""What went wrong with AWS or the API, as the caller's errors: fixed texts and codes, never a message."""

from collections.abc import Mapping
from typing import Any

from mooring.client.errors import (
    MooringError,
    NeedsReconnect,
    NotAllowed,
    NotConnected,
    SetupError,
    TokenUnavailable,
    not_active,
)
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Key

_REFUSALS = ("AccessDenied", "NotAuthorized", "UnrecognizedClient", "InvalidSignature", "InvalidClientToken")
_ABSENT, _NOBODY = "ResourceNotFoundException", "NoCredentialsError"
_LOST = (Reason.GRANT_REFUSED, Reason.LOST_ROTATION, Reason.TOKEN_REFUSED)
NO_CREDENTIALS = (
    "there are no AWS credentials: give Connections a boto3 session, or put them where boto3 looks for them "
    "(a role, a profile, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
)
_FORBIDDEN, _NOT_FOUND, _CONFLICT = 403, 404, 409


def passes(failure: Failure) -> bool:
    """Whether the table or KMS cannot be asked for the moment; not so when they say no."""
    outage = failure.reason in (Reason.STORAGE_UNAVAILABLE, Reason.SEALING_UNAVAILABLE)
    return outage and not failure.detail.startswith((*_REFUSALS, _ABSENT))


def told(failure: Failure) -> MooringError:
    """The error of a failed read of the table, or of a token that does not open."""
    if failure.detail == _ABSENT:
        return SetupError("there is no such table of connections: look at stage, region and AWS account")
    if failure.detail == _NOBODY:
        return SetupError(NO_CREDENTIALS)
    if failure.reason is Reason.KEY_DENIED or failure.detail.startswith(_REFUSALS):
        return NotAllowed(failure.reason, failure.detail)
    return TokenUnavailable(failure.reason, failure.detail)


def refused(key: Key, status: int, problem: Mapping[str, Any]) -> MooringError:
    """The error of an answer of the API that is not 2xx.

    Args:
        key: the connection that was asked for.
        status: of HTTP.
        problem: the problem document (RFC 9457), or nothing where the gateway answered by itself.
    """
    reason, standing = str(problem.get("reason") or ""), str(problem.get("connection_status") or "")
    if status == _FORBIDDEN and not reason:
        return NotAllowed(Reason.API_REFUSED, "a wrong signature, or the policy does not allow this path")
    if status == _NOT_FOUND and reason == Reason.CONNECTION_NOT_FOUND:
        return NotConnected(key)
    if status == _CONFLICT and reason in _LOST:
        return NeedsReconnect(key, reason)
    if status == _CONFLICT and reason == Reason.CONNECTION_NOT_ACTIVE:
        return not_active(key, standing)
    known = {each.value for each in Reason}
    return TokenUnavailable(reason if reason in known else Reason.API_UNAVAILABLE, _detail(status, problem))


def _detail(status: int, problem: Mapping[str, Any]) -> str:
    ref = str(problem.get("ref") or "")
    return f"HTTP {status}, ref {ref}" if ref.isalnum() else f"HTTP {status}"
