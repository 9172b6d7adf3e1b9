"""Start a flow: verify the link, remember the flow in the browser, send the merchant to the provider.

Owns nothing: no AWS call, no row. A flood of starts writes nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

from mooring.core.errors import Failure, Reason
from mooring.core.flow import (
    FLOW_SECONDS,
    STATELESS_FLOW_SECONDS,
    Cookies,
    Flow,
    clear_cookie,
    cookie_name,
    encode_flow,
    set_cookie,
)
from mooring.core.link import Link, LinkPolicy, verify_link
from mooring.core.names import within_origins
from mooring.core.provider import Provider
from mooring.core.query import parse_query
from mooring.core.visit import Result, Visit


class AuthorizePorts(NamedTuple):
    """What `authorize` needs. `random` returns a fresh 256-bit text of 43 unreserved characters."""

    provider: Callable[[str], Provider]
    policy: LinkPolicy
    authorization_url: Callable[[Provider, str, str, str, tuple[str, ...]], str]
    clock: Callable[[], float]
    random: Callable[[], str]


def authorize(visit: Visit, ports: AuthorizePorts) -> Result:
    """Answer `/authorize/{provider}`: a redirect to the provider, or a page that asks first.

    Raises:
        Failure: when the link does not allow this flow.
    """
    now = int(ports.clock())
    provider = ports.provider(visit.provider)
    link = verify_link(parse_query(visit.query).one("link"), ports.policy, now)
    _allow(link, provider)
    if visit.method == "POST" and not visit.from_same_origin(ports.policy.audience):
        raise Failure(Reason.CROSS_SITE)
    if visit.method == "GET" and _forced(visit, ports.policy.return_to_origins):
        return Result("asked", provider.id, provider.name, link.merchant_id, page="forced_link")
    state, verifier = ports.random(), ports.random()
    url = ports.authorization_url(
        provider,
        state,
        verifier,
        redirect_uri(ports.policy.audience, provider),
        link.scopes or provider.scopes,
    )
    cookies = _remember(visit, provider, Flow(provider.id, state, verifier, now, link.token))
    return Result("redirected", provider.id, provider.name, link.merchant_id, location=url, cookies=cookies)


def redirect_uri(base_url: str, provider: Provider) -> str:
    """The one redirect URI of a provider; the authorize and the token leg both send it."""
    return f"{base_url}/callback/{provider.id}"


def _allow(link: Link, provider: Provider) -> None:
    if link.use != "connect":
        raise Failure(Reason.LINK_USE)
    if link.provider != provider.id:
        raise Failure(Reason.LINK_PROVIDER)
    if link.scopes is not None and not set(link.scopes) <= set(provider.scopes):
        raise Failure(Reason.SCOPES_NOT_ALLOWED).returning(link.return_to, link.merchant_id)


def _forced(visit: Visit, return_to_origins: tuple[str, ...]) -> bool:
    """Whether some other site may have sent the merchant here without their wish."""
    site, referer = visit.headers.get("sec-fetch-site"), visit.referer_origin()
    if site is None and not referer:
        return False  # a browser that says nothing: an old one, or one that was told to keep quiet
    return site in (None, "cross-site", "same-site") and not within_origins(referer, return_to_origins)


def _remember(visit: Visit, provider: Provider, flow: Flow) -> tuple[str, ...]:
    """The new flow's cookie, and the removal of the oldest when there are too many."""
    keeps_state = provider.authorize.state
    name = cookie_name(provider.id, flow.state if keeps_state else None)
    value = encode_flow(flow)
    gone = Cookies(visit.cookies).crowded_out(name, value)
    life = FLOW_SECONDS if keeps_state else STATELESS_FLOW_SECONDS
    return (set_cookie(name, value, life), *(clear_cookie(other) for other in gone))
