"""Reading a provider's uninstall notice: its proof first, over the bytes as they came, then what it says.

Pure: nothing is looked up and nothing is changed. Whether a notice comes twice or too late is for
those to judge who keep the connections.
"""

import hmac
import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mooring.core.errors import Failure, Reason
from mooring.core.names import is_name
from mooring.core.notice import Notice
from mooring.core.provider import Provider, Uninstall
from mooring.providers.answers import account_at, field

MAX_NOTICE_BYTES = 262_144
MAX_AHEAD_SECONDS = 300

_ENCODINGS: dict[str, Callable[[bytes], str]] = {
    "hmac_sha256_base64": lambda digest: b64encode(digest).decode("ascii"),
    "hmac_sha256_hex": bytes.hex,
}
_EVENT_ID = re.compile(r"[!-~]{1,256}")
_DIGITS = re.compile(r"[0-9]{1,16}")
# As seconds this is the year 5138, as milliseconds 1973.
_FIRST_MILLISECONDS = 10**11
_LAST_MILLISECONDS = 10**16


def read_notice(
    provider: Provider, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: int
) -> Notice | None:
    """The uninstall notice in a request, as the provider's descriptor says.

    Args:
        provider: whose address the request came to.
        headers: by lower-case name.
        body: the raw bytes, exactly as they were sent.
        secrets: what the provider signs with: one, or two while one replaces the other. Not looked
            at where the descriptor knows no proof.
        now: epoch seconds.

    Returns:
        The notice, or None for one of another kind, which is nothing to act upon.

    Raises:
        Failure: PROVIDER_UNKNOWN when this provider sends none; NOTICE_TOO_LARGE over 262,144 bytes;
            SECRET_UNAVAILABLE when there is no secret; NOTICE_FORGED when the signature is not exactly
            the right one; NOTICE_MALFORMED when it is no JSON object, a key stands twice in it, or it
            names no account; NOTICE_TIME when its time is absent, none, or over five minutes ahead.
    """
    rules = provider.uninstall
    if rules is None:
        raise Failure(Reason.PROVIDER_UNKNOWN, "it sends no uninstall notices")
    if len(body) > MAX_NOTICE_BYTES:
        raise Failure(Reason.NOTICE_TOO_LARGE)
    proven = rules.proof != "none"
    if proven:
        _prove(rules, headers, body, secrets)
    fields = _object(body)
    if not _is_uninstall(rules, headers, fields):
        return None
    account_id = _account(rules.account, headers, fields)
    at = _at(rules.time, fields, now) if proven else None
    return Notice(account_id, _event_id(rules.event_id, headers, fields), at, proven)


def _prove(rules: Uninstall, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> None:
    """Compare texts, not decoded bytes: one digest has many encodings, and only the usual one is right."""
    usable = [secret.encode() for secret in secrets if secret.strip()]
    if not usable:
        # An HMAC under an empty key can be made by anybody.
        raise Failure(Reason.SECRET_UNAVAILABLE, "no webhook secret")
    encode = _ENCODINGS[rules.proof]
    given = headers.get((rules.signature_header or "").lower(), "").encode("utf-8", "surrogatepass")
    expected = [encode(hmac.digest(secret, body, "sha256")).encode("ascii") for secret in usable]
    if not any(hmac.compare_digest(given, right) for right in expected):
        raise Failure(Reason.NOTICE_FORGED)


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise Failure(Reason.NOTICE_MALFORMED, "not a JSON object with each key once") from None
    if not isinstance(fields, dict):
        raise Failure(Reason.NOTICE_MALFORMED, "not a JSON object")
    return fields


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Where a key stands twice, two parsers read two notices."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice")
    return fields


def _is_uninstall(rules: Uninstall, headers: Mapping[str, str], fields: Mapping[str, Any]) -> bool:
    if rules.event is None:
        return True
    locator, _, wanted = rules.event.partition("=")
    value = _value(locator, headers, fields)
    return value is not None and (value if isinstance(value, str) else json.dumps(value)) == wanted


def _account(locator: str, headers: Mapping[str, str], fields: Mapping[str, Any]) -> str:
    place, _, name = locator.partition(":")
    account = account_at(fields, name) if place == "body" else headers.get(name.lower(), "")
    if account is None or not is_name(account):
        raise Failure(Reason.NOTICE_MALFORMED, "the account is absent or not a name")
    return account


def _event_id(locator: str | None, headers: Mapping[str, str], fields: Mapping[str, Any]) -> str | None:
    """The notice's id; one that cannot be one is none, for a notice is no less true without it."""
    value = _value(locator, headers, fields)
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return text if _EVENT_ID.fullmatch(text) else None


def _value(locator: str | None, headers: Mapping[str, str], fields: Mapping[str, Any]) -> Any:
    place, _, name = (locator or "").partition(":")
    return headers.get(name.lower()) if place == "header" else field(fields, name)


def _at(locator: str | None, fields: Mapping[str, Any], now: int) -> int | None:
    """The time of a proven event. Where it stands in a header, anybody could have put it there."""
    place, _, path = (locator or "").partition(":")
    if place != "body":
        return None
    at = _epoch_seconds(field(fields, path))
    if at is None or at > now + MAX_AHEAD_SECONDS:
        raise Failure(Reason.NOTICE_TIME)
    return at


def _epoch_seconds(value: object) -> int | None:
    """Epoch seconds of a time: seconds or milliseconds (a number, or digits), or ISO 8601 with its zone."""
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        return _from_iso(value)
    number = int(value) if isinstance(value, str) else value
    if (
        isinstance(number, bool)
        or not isinstance(number, (int, float))
        or not 0 < number < _LAST_MILLISECONDS
    ):
        return None
    return int(number / 1000 if number >= _FIRST_MILLISECONDS else number)


def _from_iso(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # Without a zone nobody knows which hour is meant.
    seconds = int(moment.timestamp()) if moment.tzinfo else 0
    return seconds if seconds > 0 else None
