"""Reading what a token endpoint answered: fields where the descriptor says, and outcomes decided once.

An outcome is decided by RFC 6749 5.2 error code, the descriptor's own table, or HTTP status;
never by a message text. What the provider sent never becomes part of an error of ours.
"""

import json
from collections.abc import Mapping
from typing import Any

from mooring.core.errors import Outcome, Reason, TokenCallFailure
from mooring.core.names import is_name
from mooring.core.ports import HttpResponse
from mooring.core.provider import Provider, Response
from mooring.core.tokens import TokenSet
from mooring.providers.times import end_of_life, retry_after

MAX_TOKEN_CHARACTERS = 16_384
MAX_DETAIL_CHARACTERS = 512

_OUTCOMES = {
    "invalid_grant": Outcome.GRANT_LOST,
    "invalid_client": Outcome.MISCONFIGURED,
    "unauthorized_client": Outcome.MISCONFIGURED,
    "unsupported_grant_type": Outcome.MISCONFIGURED,
    "invalid_request": Outcome.MISCONFIGURED,
    "invalid_scope": Outcome.MISCONFIGURED,
    "temporarily_unavailable": Outcome.TRANSIENT,
    "server_error": Outcome.TRANSIENT,
    "slow_down": Outcome.TRANSIENT,
}
_ABOUT_THE_CLIENT = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type"})
_REASONS = {
    Outcome.GRANT_LOST: Reason.GRANT_REFUSED,
    Outcome.MISCONFIGURED: Reason.PROVIDER_MISCONFIGURED,
    Outcome.TRANSIENT: Reason.PROVIDER_UNAVAILABLE,
}


def read_token_set(
    answer: HttpResponse, provider: Provider, now: int, *, refreshing: bool = False
) -> TokenSet:
    """The token set in a token endpoint's answer.

    Args:
        answer: the complete response.
        provider: whose answer it is.
        now: epoch seconds; lifetimes count from here.
        refreshing: the answer to a refresh need not name the account again.

    Raises:
        TokenCallFailure: for everything that is not a complete success (RFC 6749 5.1). One that passes
            has in `retry_after` the pause that the provider asked for, if it did.
    """
    try:
        return _token_set(answer, provider, now, refreshing=refreshing)
    except TokenCallFailure as failure:
        if failure.outcome is Outcome.TRANSIENT:
            failure.retry_after = retry_after(answer.headers, now)
        raise


def _token_set(answer: HttpResponse, provider: Provider, now: int, *, refreshing: bool) -> TokenSet:
    if answer.status == 504:
        # A gateway gave up waiting; behind it the token may have been issued.
        raise TokenCallFailure(Outcome.IN_DOUBT, Reason.PROVIDER_TIMEOUT, "HTTP 504")
    if answer.status == 429 or answer.status >= 500:
        raise TokenCallFailure(
            Outcome.TRANSIENT,
            Reason.PROVIDER_UNAVAILABLE,
            f"HTTP {answer.status}",
            maybe_issued=answer.status >= 500,
        )
    fields = parse_object(answer.body)
    if fields is None:
        # A 2xx that cannot be read may hide a token that was issued.
        outcome = Outcome.IN_DOUBT if answer.status < 300 else Outcome.TRANSIENT
        raise TokenCallFailure(
            outcome, Reason.PROVIDER_ANSWER_INVALID, f"HTTP {answer.status}, not a JSON object"
        )
    rules = provider.response
    if not 200 <= answer.status < 300 or is_refusal(fields, rules):
        failure = _refusal(answer.status, fields, rules)
        raise _of_one(failure, fields, rules) if refreshing else failure
    _check_type(fields, rules)
    return TokenSet(
        access_token=_token(fields, rules.access_token),
        refresh_token=_optional_token(fields, rules.refresh_token),
        scopes=_scopes(fields, rules),
        expires_at=_expires_at(fields, provider, now),
        refresh_expires_at=end_of_life(field(fields, rules.refresh_expires_in), now),
        account_id=_account(fields, rules, needed=not refreshing),
        details=_details(fields, rules),
    )


def parse_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body, or None: not UTF-8, not JSON, not an object, too deep, absurd numbers."""
    try:
        value = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def field(fields: Mapping[str, Any], path: str | None) -> Any:
    """The value at a dotted path, or None."""
    value: Any = fields
    for name in path.split(".") if path else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value if path else None


def account_at(fields: Mapping[str, Any], path: str | None) -> str | None:
    """The account id at a dotted path when it is a name (numbers count), else None."""
    value = field(fields, path)
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return text if is_name(text) else None


def is_refusal(fields: Mapping[str, Any], rules: Response) -> bool:
    """Whether an answer says no, be it with HTTP 200."""
    if rules.success is None:
        return bool(field(fields, rules.error))
    path, wanted = rules.success
    if _word(field(fields, path)) != wanted:
        return True
    # One field may tell both, as `code` does where 0 or 200 is a success and any other number an error.
    return path != rules.error and bool(field(fields, rules.error))


def _word(value: object) -> str:
    """A code as text; a number or boolean as JSON writes it (`40105`, `true`). Empty where there is none."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value) if isinstance(value, (int, float)) else ""


def error_code(fields: Mapping[str, Any], rules: Response) -> str:
    """The code of an error (RFC 6749 5.2, or the provider's own), or an empty text."""
    return _word(field(fields, rules.error) or None)


def _refusal(status: int, fields: Mapping[str, Any], rules: Response) -> TokenCallFailure:
    word = error_code(fields, rules)
    outcome = Outcome(rules.errors[word]) if word in rules.errors else _OUTCOMES.get(word)
    if outcome is not None:
        return TokenCallFailure(outcome, _REASONS[outcome])
    if not field(fields, rules.error) and status < 300 and _is_token(field(fields, rules.access_token)):
        # It says no and holds out a token: nobody can tell whether one was issued.
        return TokenCallFailure(
            Outcome.IN_DOUBT, Reason.PROVIDER_ANSWER_INVALID, "a refusal with a token in it"
        )
    if status == 401:
        return TokenCallFailure(Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED, "HTTP 401")
    # An unknown refusal ends this exchange, but says nothing about a grant that lives.
    return TokenCallFailure(Outcome.TRANSIENT, Reason.GRANT_REFUSED, f"HTTP {status}, unknown error")


def _of_one(failure: TokenCallFailure, fields: Mapping[str, Any], rules: Response) -> TokenCallFailure:
    """Of a refresh, only what is said about the client itself speaks for all of its connections."""
    word = error_code(fields, rules)
    if failure.outcome is Outcome.TRANSIENT and failure.reason is Reason.GRANT_REFUSED:
        # Nobody said that the grant is gone.
        return TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_ERROR, failure.detail)
    if failure.outcome is not Outcome.MISCONFIGURED or word in _ABOUT_THE_CLIENT or word in rules.errors:
        return failure
    return TokenCallFailure(Outcome.TRANSIENT, failure.reason, failure.detail or "said of one connection")


def _invalid(what: str) -> TokenCallFailure:
    return TokenCallFailure(Outcome.IN_DOUBT, Reason.PROVIDER_ANSWER_INVALID, what)


def _token(fields: Mapping[str, Any], path: str) -> str:
    value = field(fields, path)
    if not _is_token(value):
        raise _invalid("the access token is absent or not visible ASCII")
    return str(value)


def _optional_token(fields: Mapping[str, Any], path: str | None) -> str | None:
    value = field(fields, path)
    if value is None or value == "":
        return None
    if not _is_token(value):
        raise _invalid("the refresh token is not visible ASCII")
    return str(value)


def _is_token(value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_TOKEN_CHARACTERS
        and all("!" <= c <= "~" for c in value)
    )


def _check_type(fields: Mapping[str, Any], rules: Response) -> None:
    value = field(fields, rules.token_type)
    if value is None:
        return
    if not isinstance(value, str) or value.lower() not in rules.token_types:
        raise _invalid("an unknown token_type")


def _scopes(fields: Mapping[str, Any], rules: Response) -> tuple[str, ...] | None:
    value = field(fields, rules.scope)
    if isinstance(value, str):
        value = value.split(rules.scope_separator)
    if not isinstance(value, list) or not all(isinstance(scope, str) for scope in value):
        return None
    return tuple(
        scope.strip()[:MAX_DETAIL_CHARACTERS]
        for scope in value[:100]
        if scope.strip() and scope.isprintable()
    )


def _expires_at(fields: Mapping[str, Any], provider: Provider, now: int) -> int | None:
    if provider.lifetime.never_expires:
        return None
    stated = end_of_life(field(fields, provider.response.expires_in), now)
    return stated if stated is not None else end_of_life(provider.lifetime.access_token_seconds, now)


def _account(fields: Mapping[str, Any], rules: Response, *, needed: bool) -> str | None:
    if rules.account is None:
        return None
    account = account_at(fields, rules.account)
    if account is None and needed:
        raise _invalid("the account is absent or not a name")
    return account


def _details(fields: Mapping[str, Any], rules: Response) -> dict[str, str]:
    found = {key: field(fields, path) for path, key in rules.keep.items()}
    texts = {key: str(value) for key, value in found.items() if isinstance(value, (str, int))}
    # A lone surrogate or a control character would make the table refuse the whole token set.
    return {key: text[:MAX_DETAIL_CHARACTERS] for key, text in texts.items() if text and text.isprintable()}
