"""The OAuth 2.0 back channel, written once; what is particular to a provider is its descriptor's."""

import json
from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import quote, quote_plus, urlencode

from mooring.core.connection import Account
from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.names import DEFAULT_ACCOUNT
from mooring.core.ports import HttpClient, HttpFault, HttpRequest, HttpResponse
from mooring.core.provider import Call, Probe, Provider, Refresh, Token
from mooring.core.tokens import TokenSet
from mooring.providers.answers import account_at, parse_object, read_token_set

TOKEN_CALL_SECONDS = 10.0
IDENTITY_CALL_SECONDS = 4.0
"""Total time of an API call of ours: identity and probe alike."""


class OAuth2:
    """Implements the ports `AuthorizationServer` and `TokenKeeper` on the port `HttpClient`."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def exchange(
        self, provider: Provider, code: str, redirect_uri: str, verifier: str, client_secret: str, now: int
    ) -> TokenSet:
        """Exchange a code (RFC 6749 4.1.3). One POST, never repeated.

        Raises:
            TokenCallFailure: with its outcome.
        """
        standard = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        if provider.authorize.pkce:
            standard["code_verifier"] = verifier
        answer = self._token_call(provider, provider.token, standard, client_secret)
        return read_token_set(answer, provider, now)

    def refresh(self, provider: Provider, refresh_token: str, client_secret: str, now: int) -> TokenSet:
        """Refresh a token (RFC 6749 6). One POST, never repeated.

        Args:
            provider: whose token it is.
            refresh_token: the connection's refresh token.
            client_secret: ours; not sent by a public client.
            now: epoch seconds; lifetimes count from here.

        Returns:
            The new token set. `refresh_token` None means that the one just used stays in use, and
            `account_id` None that the answer named no account.

        Raises:
            TokenCallFailure: with its outcome; MISCONFIGURED also when the descriptor has no refresh.
        """
        if provider.refresh is None:
            detail = "the descriptor has no refresh part"
            raise TokenCallFailure(Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED, detail)
        standard = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        answer = self._token_call(provider, provider.refresh, standard, client_secret)
        return read_token_set(answer, provider, now, refreshing=True)

    def probe(self, provider: Provider, access_token: str, account_id: str) -> Probe:
        """Whether the provider takes this token: 2xx is yes, 401 is no, and nothing else is an answer.

        Args:
            provider: without a probe in its descriptor, the answer is always UNKNOWN and nothing is sent.
            access_token: goes where the descriptor places tokens.
            account_id: fills `{account_id}` in the probe's address.
        """
        answer = (
            self._api_call(provider, provider.probe, access_token, account_id) if provider.probe else None
        )
        if answer is not None and 200 <= answer.status < 300:
            return Probe.LIVE
        return Probe.REFUSED if answer is not None and answer.status == 401 else Probe.UNKNOWN

    def identify(self, provider: Provider, access_token: str, named: str | None) -> Account:
        """The account of a token (see the port).

        A named account counts as verified only once the provider accepted the new token for it.

        Raises:
            Failure: IDENTITY_UNAVAILABLE, ACCOUNT_MISSING, ACCOUNT_MISMATCH.
        """
        identity = provider.identity
        if identity is None or (identity.account is None and named is None):
            return Account(named or DEFAULT_ACCOUNT, verified=False)
        answer = self._api_call(provider, identity.call, access_token, named)
        if identity.account is None:
            return Account(named or DEFAULT_ACCOUNT, verified=_confirms(answer))
        if answer is None or answer.status >= 500 or answer.status in (401, 408, 425, 429):
            raise Failure(Reason.IDENTITY_UNAVAILABLE)
        fields = parse_object(answer.body) if answer.status < 300 else None
        account = account_at(fields, identity.account) if fields is not None else None
        if account is None:
            raise Failure(Reason.ACCOUNT_MISSING)
        return Account(account, verified=True)

    def _token_call(
        self, provider: Provider, leg: Token | Refresh, standard: dict[str, str], client_secret: str
    ) -> HttpResponse:
        """One POST to a token endpoint; both legs authenticate and encode as `token` says."""
        headers = {"accept": "application/json"}
        if provider.token.client_authentication == "client_secret_basic":
            headers["authorization"] = basic_credentials(provider.client_id, client_secret)
        else:
            standard |= {"client_id": provider.client_id, "client_secret": client_secret}
        sent = {leg.parameters[ours]: value for ours, value in standard.items() if ours in leg.parameters}
        body, headers["content-type"] = encode({**sent, **leg.extra}, provider.token.body)
        hosts, local = provider.hosts, provider.local
        request = HttpRequest("POST", leg.url, headers, body, hosts, local=local, deadline=TOKEN_CALL_SECONDS)
        try:
            return self._http.send(request)
        except HttpFault as fault:
            raise _fault(fault) from None

    def _api_call(
        self, provider: Provider, call: Call, access_token: str, account_id: str | None
    ) -> HttpResponse | None:
        """One call of the provider's API; None for no answer."""
        try:
            return self._http.send(
                api_request(provider, call, access_token, account_id, IDENTITY_CALL_SECONDS)
            )
        except HttpFault:
            return None


def api_request(
    provider: Provider, call: Call, access_token: str, account_id: str | None, deadline: float
) -> HttpRequest:
    """A call of the provider's API, the token where the descriptor places it; `deadline` in seconds."""
    url = call.url.replace("{account_id}", quote(account_id or "", safe=""))
    place, headers = provider.api.token, {"accept": "application/json"}
    if place.where == "query":
        url += f"{'&' if '?' in url else '?'}{quote(place.name)}={quote(access_token, safe='')}"
    else:
        headers[place.name.lower()] = place.prefix + access_token
    return HttpRequest(
        call.method, url, headers, None, provider.hosts, local=provider.local, deadline=deadline
    )


def _confirms(answer: HttpResponse | None) -> bool:
    """Whether the provider takes the new token for the account that the callback named."""
    if answer is None or answer.status >= 500 or answer.status in (408, 425, 429):
        raise Failure(Reason.IDENTITY_UNAVAILABLE)
    if answer.status in (401, 403):
        # Another account's token, under the name of this one.
        raise Failure(Reason.ACCOUNT_MISMATCH)
    return 200 <= answer.status < 300


def basic_credentials(client_id: str, client_secret: str) -> str:
    """The `Authorization` value of `client_secret_basic`: both form-encoded first (RFC 6749 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return "Basic " + b64encode(pair.encode("ascii")).decode("ascii")


def encode(fields: Mapping[str, str], body: str) -> tuple[bytes, str]:
    """A request's body, `form` or `json`, and its content type."""
    if body == "json":
        return json.dumps(fields).encode(), "application/json"
    return urlencode(fields).encode("ascii"), "application/x-www-form-urlencoded"


def _fault(fault: HttpFault) -> TokenCallFailure:
    """What a call without an answer means: once the request may have left, its fate is unknown."""
    outcome = Outcome.IN_DOUBT if fault.sent else Outcome.TRANSIENT
    reasons = {"timeout": Reason.PROVIDER_TIMEOUT, "too_large": Reason.PROVIDER_ANSWER_INVALID}
    return TokenCallFailure(outcome, reasons.get(fault.kind, Reason.PROVIDER_UNAVAILABLE), fault.kind)
