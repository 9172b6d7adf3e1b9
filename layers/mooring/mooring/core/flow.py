"""The flow: one attempt from `/authorize` to `/callback`, kept in the merchant's own browser.

One cookie holds one flow. Its value is six fields joined by `~`, none of which can contain one:
a mark (open or done), started at (epoch seconds), provider, state, PKCE verifier, link; a finished
flow is marked as done and keeps the connection's account in place of the verifier.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import NamedTuple

from mooring.core.errors import Failure, Reason
from mooring.core.names import is_name

COOKIE_PREFIX = "__Host-mooring-flow."
FLOW_SECONDS = 600
STATELESS_FLOW_SECONDS = 300
MAX_FLOWS = 4
MAX_COOKIE_BYTES = 6_000
LINK_GRACE_SECONDS = 600
_OPEN, _DONE = "1", "d1"
_FIELDS = 6


class Flow(NamedTuple):
    """What the browser keeps. `account` is set once the flow has ended well."""

    provider: str
    state: str
    verifier: str
    started_at: int
    link: str
    account: str = ""
    pending: bool = False

    def __repr__(self) -> str:
        return f"Flow(provider={self.provider!r}, started_at={self.started_at})"


def state_hash(state: str) -> str:
    """What is stored of a state: 32 hex characters of its SHA-256."""
    return sha256(state.encode()).hexdigest()[:32]


def code_challenge(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636 4.2)."""
    return urlsafe_b64encode(sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")


def cookie_name(provider: str, state: str | None) -> str:
    """Name of a flow's cookie: by its state, or by its provider where the provider keeps no state."""
    return COOKIE_PREFIX + (provider if state is None else state_hash(state)[:16])


def encode_flow(flow: Flow) -> str:
    """The cookie value of a flow."""
    mark, fourth = (
        (_DONE, ("?" if flow.pending else "") + flow.account) if flow.account else (_OPEN, flow.verifier)
    )
    return "~".join((mark, str(flow.started_at), flow.provider, flow.state, fourth, flow.link))


def decode_flow(value: str) -> Flow | None:
    """The flow in a cookie value, or None when it is not one of ours."""
    fields = value.split("~")
    if (
        len(fields) != _FIELDS
        or not (fields[3] and fields[4])
        or fields[0] not in (_OPEN, _DONE)
        or not fields[1].isdecimal()
        or len(fields[1]) > 12
    ):
        return None
    _, started_at, provider, state, fourth, link = fields
    if fields[0] == _DONE:
        account = fourth.removeprefix("?")
        done = Flow(provider, state, "", int(started_at), link, account, pending=account != fourth)
        return done if is_name(account) else None
    return Flow(provider, state, fourth, int(started_at), link)


def set_cookie(name: str, value: str, max_age: int) -> str:
    """A `Set-Cookie` value for a flow's cookie; `max_age` in seconds, 0 clears it.

    SameSite is Lax and not Strict, because the provider's return is a cross-site navigation.
    """
    return f"{name}={value}; Max-Age={max_age}; Path=/; Secure; HttpOnly; SameSite=Lax"


def clear_cookie(name: str) -> str:
    """A `Set-Cookie` value that removes a flow's cookie."""
    return set_cookie(name, "", 0)


class Cookies:
    """The flow cookies of one request, from the `cookies` list of an HTTP API event."""

    def __init__(self, pairs: Sequence[str]) -> None:
        self._values: dict[str, list[str]] = {}
        for pair in pairs:
            name, _, value = pair.strip().partition("=")
            if name.startswith(COOKIE_PREFIX):
                self._values.setdefault(name, []).append(value)

    def flow(self, name: str) -> Flow | None:
        """The flow under `name`, or None.

        Raises:
            Failure: COOKIE_REPEATED when two cookies have that name (someone tossed one in).
        """
        values = self._values.get(name, [])
        if len(values) > 1:
            raise Failure(Reason.COOKIE_REPEATED).clearing(name)
        return decode_flow(values[0]) if values else None

    def crowded_out(self, name: str, value: str) -> list[str]:
        """Names of the oldest cookies that must go so that the new one (`name`, `value`) fits."""
        others = sorted((self._age(other), other) for other in self._values if other != name)
        size = len(name) + len(value) + sum(self._size(other) for _, other in others)
        gone: list[str] = []
        for _, other in others:
            if len(others) - len(gone) < MAX_FLOWS and size <= MAX_COOKIE_BYTES:
                break
            gone.append(other)
            size -= self._size(other)
        return gone

    def _age(self, name: str) -> int:
        flow = decode_flow(self._values[name][0])
        return flow.started_at if flow else 0

    def _size(self, name: str) -> int:
        return sum(len(name) + len(value) for value in self._values[name])


def same_text(one: str, other: str) -> bool:
    """Compare two secrets in constant time; two empty ones are never the same."""
    return bool(one) and compare_digest(one.encode(), other.encode())


def with_parameters(return_to: str, parameters: Mapping[str, str]) -> str:
    """`return_to` byte for byte, with parameters put behind its own query and before its fragment."""
    from urllib.parse import quote, urlencode

    address, mark, fragment = return_to.partition("#")
    joint = "&" if "?" in address else "?"
    return f"{address}{joint}{urlencode(parameters, quote_via=quote, safe='')}{mark}{fragment}"
