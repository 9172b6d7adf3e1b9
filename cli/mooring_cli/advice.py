"""What to do about a failure that the API reports, said to somebody at a command line.

The API's own advice is for services, and is taken off where this knows better: one advice is enough.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from mooring.core.errors import Failure, Reason
from mooring.entry.problems import problem

_RUNBOOK = "docs/runbook.md"
_AGAIN = "The merchant has to connect it again{link}"
_LATER = "Try again later; a sweep does so by itself"
_WHAT_TO_DO: Mapping[str, str] = {
    Reason.CONNECTION_NOT_FOUND: "See what is there: mooring connections {merchant}{options}",
    Reason.CONNECTION_NOT_ACTIVE: _AGAIN,
    Reason.TOKEN_EXPIRED: _AGAIN,
    Reason.GRANT_REFUSED: _AGAIN,
    Reason.LOST_ROTATION: _AGAIN,
    Reason.TOKEN_REFUSED: _AGAIN,
    Reason.REFRESH_BUSY: (
        "Somebody is refreshing it. Look again in a moment: mooring connections {merchant}{options}"
    ),
    Reason.REFRESH_IN_DOUBT: (
        "An answer of the provider was lost. It is asked once more within three minutes. "
        "See how many: mooring doctor{options}"
    ),
    Reason.REFRESH_PUT_OFF: (
        "The last try failed, and a pause holds. Why: mooring connections {merchant} --json{options}"
    ),
    Reason.PROVIDER_PAUSED: (
        "Until one succeeds, nothing but trials is sent to the provider. Since when: mooring doctor{options}"
    ),
    Reason.TOKEN_SUPERSEDED: "Newer tokens are stored already: mooring connections {merchant}{options}",
    Reason.PROVIDER_MISCONFIGURED: f"See {_RUNBOOK}#alarm-provider-misconfigured",
    Reason.PROVIDER_ERROR: f"The provider refused it for a reason of its own. See {_RUNBOOK}#by-reason",
    Reason.PROVIDER_ANSWER_INVALID: f"See {_RUNBOOK}#by-reason",
    Reason.PROVIDER_UNAVAILABLE: _LATER,
    Reason.PROVIDER_TIMEOUT: _LATER,
    Reason.KEY_DENIED: f"See {_RUNBOOK}#alarm-key-denied",
    Reason.TOKEN_UNREADABLE: f"See {_RUNBOOK}#alarm-token-unreadable",
    Reason.SECRET_UNAVAILABLE: f"See {_RUNBOOK}#alarm-secret-unavailable",
    Reason.INTERNAL: f"See {_RUNBOOK}#alarm-defect",
}
_SERVER_FAULT = 500


class Asked(NamedTuple):
    """What was asked for, and of which installation: the local one, or that which `options` lead to."""

    merchant: str
    provider: str
    local: bool
    options: str


def connect_again(merchant: str, provider: str, local: bool) -> str:
    """How a merchant gets a link, to stand after a sentence: a command, or who else signs one."""
    if local:
        return f": mooring link --provider {provider or 'P'} --merchant {merchant} --return-to URL"
    return ", with a new link from your product"


def what_to_do(found: Mapping[str, Any], asked: Asked, status: int, more: str) -> str:
    """What happened, and one advice.

    Args:
        found: a problem document (RFC 9457), or nothing usable.
        asked: what it is the answer to.
        status: its HTTP status.
        more: where more is told.
    """
    said = _said(found, status)
    known = _WHAT_TO_DO.get(str(found.get("reason")))
    if known is not None:
        link = connect_again(asked.merchant, asked.provider, asked.local)
        return f"{said}. {known.format(merchant=asked.merchant, options=asked.options, link=link)}"
    if _advice(found) is None or status < _SERVER_FAULT:
        return f"{said}. {more}"
    return f"{said}. Try again in a few seconds. If it persists, {more[0].lower()}{more[1:]}"


def _said(found: Mapping[str, Any], status: int) -> str:
    """Title and detail, without advice that is given in other words."""
    detail = str(found.get("detail") or "")
    if "reason" in found and (str(found["reason"]) in _WHAT_TO_DO or status >= _SERVER_FAULT):
        detail = detail.removesuffix(_advice(found) or "")
    parts = [str(found.get("title") or ""), detail]
    return ": ".join(part.strip().rstrip(".") for part in parts if part.strip())


def _advice(found: Mapping[str, Any]) -> str | None:
    """What the API advises a service that met this; None for a word that this release does not know."""
    try:
        body = problem(Failure(Reason(str(found.get("reason")))), "")["body"]
    except ValueError:
        return None
    return str(json.loads(body)["detail"])
