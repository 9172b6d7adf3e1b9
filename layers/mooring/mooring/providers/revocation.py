"""Revoking a token: by the provider's revocation endpoint (RFC 7009), or by an API call of its own.

What an answer means is decided here and nowhere else: by HTTP status and error code, never by a text.
A token that the provider does not know any more is revoked (RFC 7009 2.2).
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mooring.core.errors import Outcome, Reason, TokenCallFailure
from mooring.core.ports import HttpClient, HttpFault, HttpRequest, HttpResponse
from mooring.core.provider import Call, Provider, Response, Revoke
from mooring.core.revocation import Presented, Told
from mooring.providers.answers import error_code, field, is_refusal, parse_object
from mooring.providers.oauth2 import api_request, basic_credentials, encode
from mooring.providers.times import retry_after

REVOKE_CALL_SECONDS = 10.0
_GONE = frozenset({"invalid_token", "invalid_grant"})
"""Said of the token that was sent: it is none, or none any more."""
_OURS = frozenset({"invalid_client", "unauthorized_client"})


class HttpRevoker:
    """Implements the port `TokenRevoker` on the port `HttpClient`."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def revoke(self, provider: Provider, presented: Presented, client_secret: str, now: int) -> Told:
        """Revoke one token. One call, never repeated: whoever asks again does no harm.

        Args:
            provider: whose token it is; without a revoke part nothing is sent, and UNSUPPORTED is told.
            presented: the token; of a call it must be an access token.
            client_secret: ours; sent only where the endpoint wants it.
            now: epoch seconds; the pause that a provider asks for counts from here.

        Raises:
            TokenCallFailure: MISCONFIGURED when the provider refuses us as a client, TRANSIENT for all
                else, with `retry_after`.
        """
        if provider.revoke is None:
            return Told.UNSUPPORTED
        calls = provider.revoke.way == "call"
        if calls:
            request = _call(provider, provider.revoke, presented)
        else:
            request = _to_endpoint(provider, provider.revoke, presented, client_secret)
        try:
            answer = self._http.send(request)
        except HttpFault as fault:
            reason = Reason.PROVIDER_TIMEOUT if fault.kind == "timeout" else Reason.PROVIDER_UNAVAILABLE
            raise TokenCallFailure(Outcome.TRANSIENT, reason, fault.kind) from None
        return _told(answer, provider, now, calls=calls)


def _call(provider: Provider, revoke: Revoke, presented: Presented) -> HttpRequest:
    call = Call(revoke.method, revoke.url)
    return api_request(provider, call, presented.token, presented.account_id, REVOKE_CALL_SECONDS)


def _to_endpoint(provider: Provider, revoke: Revoke, presented: Presented, client_secret: str) -> HttpRequest:
    """The request of RFC 7009 2.1, in the provider's own words."""
    headers = {"accept": "application/json"}
    if revoke.client_authentication == "client_secret_basic":
        headers["authorization"] = basic_credentials(provider.client_id, client_secret)
    standard = {
        "token": presented.token,
        "token_type_hint": presented.kind,
        "client_id": provider.client_id,
        "client_secret": client_secret,
        "account_id": presented.account_id,
    }
    sent = {own: standard[ours] for ours, own in revoke.parameters.items()}
    sent |= {revoke.details[key]: text for key, text in presented.details if key in revoke.details}
    body, headers["content-type"] = encode({**sent, **revoke.extra}, revoke.body)
    url = revoke.url.replace("{account_id}", quote(presented.account_id, safe=""))
    return HttpRequest(
        "POST", url, headers, body, provider.hosts, local=provider.local, deadline=REVOKE_CALL_SECONDS
    )


def _told(answer: HttpResponse, provider: Provider, now: int, *, calls: bool) -> Told:
    """What an answer means. The body of a success says nothing (RFC 7009 2.2), unless it tells an error."""
    status = answer.status
    if status == 429 or status >= 500:
        pause = retry_after(answer.headers, now)
        raise TokenCallFailure(
            Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, f"HTTP {status}", retry_after=pause
        )
    fields, rules = parse_object(answer.body) or {}, provider.response
    word = error_code(fields, rules)
    if 200 <= status < 300 and not _says_no(fields, rules):
        return Told.DONE
    if status == 401 and calls:
        return Told.REFUSED
    if word in _GONE or rules.errors.get(word) == Outcome.GRANT_LOST.value:
        return Told.DONE
    if word == "unsupported_token_type":
        return Told.UNSUPPORTED
    raise _refusal(status, word, provider)


def _says_no(fields: Mapping[str, Any], rules: Response) -> bool:
    """Whether an answer whose status says yes tells an error; one without the fields of an error does not."""
    paths = (rules.error, rules.success[0] if rules.success else None)
    return any(field(fields, path) is not None for path in paths) and is_refusal(fields, rules)


def _refusal(status: int, word: str, provider: Provider) -> TokenCallFailure:
    outcome = provider.response.errors.get(word)
    if word in _OURS or outcome == Outcome.MISCONFIGURED.value or (status == 401 and not word):
        detail = "" if word else f"HTTP {status}"
        return TokenCallFailure(Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED, detail)
    # The descriptor is wrong, or the provider is: either can be mended while this is tried again.
    return TokenCallFailure(Outcome.TRANSIENT, Reason.REVOCATION_REFUSED, f"HTTP {status}")
