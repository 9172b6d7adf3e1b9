"""The authorization request (RFC 6749 4.1.1, RFC 7636 4.3): the front leg of the protocol.

It stands apart from the back channel because the cold path of `/authorize` needs nothing else.
"""

from urllib.parse import quote, urlencode

from mooring.core.flow import code_challenge
from mooring.core.provider import Provider


def authorization_url(
    provider: Provider, state: str, verifier: str, redirect_uri: str, scopes: tuple[str, ...]
) -> str:
    """The URL to which the merchant's browser is sent.

    Only what the descriptor names is sent, under the provider's own names; everything is
    percent-encoded (a client id may contain a slash).
    """
    leg = provider.authorize
    standard = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "scope": leg.scope_separator.join(scopes),
        "state": state,
        "code_challenge": code_challenge(verifier) if leg.pkce else "",
        "code_challenge_method": "S256" if leg.pkce else "",
    }
    sent = {theirs: standard[ours] for ours, theirs in leg.parameters.items() if standard[ours]}
    url = leg.url.replace("{client_id}", quote(provider.client_id, safe=""))
    query = urlencode({**sent, **leg.extra}, quote_via=quote, safe="")
    if not query:
        return url
    head, mark, fragment = url.partition("#")
    if leg.parameters_in == "fragment":
        return f"{head}#{_join(fragment, query)}"
    return f"{_join(head, query)}{mark}{fragment}"


def _join(address: str, query: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}{query}"
