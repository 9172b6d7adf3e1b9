"""How a service calls a provider's API, as the token route tells it; and to whom a token may be sent."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from mooring.client.errors import NotTheProvider, SetupError, TokenUnavailable
from mooring.core.errors import Reason
from mooring.core.provider import RateLimit

_ORIGIN = re.compile(r"(https?)://([A-Za-z0-9.-]+(?::[0-9]{1,5})?)(?=[/?#]|$)")
_PLAIN = re.compile(r"[!-\[\]-~]*")
"""Printable ASCII without a space, and without a backslash, which parsers read in two ways."""
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")


class Placed(NamedTuple):
    """A request's token, placed: where it goes, and the header to set, if the token is in one."""

    token: str
    url: str
    header: tuple[str, str] | None

    def __repr__(self) -> str:
        return "Placed()"


class ProviderApi(NamedTuple):
    """A provider's API. `hosts` (with a port where it is not 443) may be sent the token, and no other.

    `where` is `header` or `query`, `name` that of the header or parameter, `prefix` what stands before the
    token.
    """

    base_url: str | None
    hosts: tuple[str, ...]
    where: str
    name: str
    prefix: str
    rate_limit: RateLimit | None

    def absolute(self, url: str) -> str:
        """`url`; a path is appended to the base URL, whether it begins with a slash or not.

        Raises:
            SetupError: a path, and the provider's descriptor names no base URL.
        """
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url):
            return url
        if self.base_url is None:
            raise SetupError("the provider's descriptor has no api.base: use whole URLs")
        return f"{self.base_url.rstrip('/')}/{url.lstrip('/')}"

    def may_carry(self, url: str) -> bool:
        """Whether the token may be sent to `url`.

        That is: https, one of the hosts to the letter, and nothing that two parsers could read in two ways.
        http is for the loopback addresses in a local stack's descriptors.
        """
        found = _ORIGIN.match(url)
        if not found or not _PLAIN.fullmatch(url):
            return False
        scheme, netloc = found[1], found[2].lower()
        return netloc in self.hosts and (scheme == "https" or _is_loopback(netloc))

    def check(self, url: str, host_header: str | None) -> None:
        """Raise `NotTheProvider` unless the token may be sent there.

        Args:
            url: the whole address.
            host_header: a `Host` header that the caller set: a shared front would deliver by it.
        """
        if not self.may_carry(url):
            raise NotTheProvider(self._only_to(url))
        if host_header is not None and host_header.lower() != urlsplit(url).netloc.lower():
            raise NotTheProvider("the request has a Host header that names another host than its address")

    def _only_to(self, url: str) -> str:
        """To whom the token is sent, for a message to somebody who wanted it sent to `url`."""
        if self.hosts:
            return f"the token is sent to {', '.join(self.hosts)} over https only, and not to {_shown(url)}"
        return (
            f"the token is sent to nobody, so not to {_shown(url)}: Mooring names no host of this provider, "
            "as when it is not enabled any more"
        )

    def place(self, url: str, token: str) -> Placed:
        """The token on a request to `url`.

        Raises:
            TokenUnavailable: it has characters that no header may have.
        """
        value = f"{self.prefix}{token}"
        if self.where == "header":
            if not _VALUE.fullmatch(value):
                raise TokenUnavailable(Reason.TOKEN_UNREADABLE, "the token cannot stand in a header")
            return Placed(token, url, (self.name, value))
        path, query, fragment = _parts(url)
        kept = [part for part in query if not _names(part, self.name)]
        added = f"{quote(self.name, safe='')}={quote(value, safe='')}"
        return Placed(token, f"{path}?{'&'.join([*kept, added])}{fragment}", None)

    def bare(self, location: str, token: str) -> str:
        """Where a redirect leads, without the token: many providers repeat the whole query there."""
        path, query, fragment = _parts(location)
        kept = [part for part in query if not (_names(part, self.name) and _holds(part, token))]
        if self.where == "header" or kept == query:
            return location
        return f"{path}{'?' if kept else ''}{'&'.join(kept)}{fragment}"


def parse_provider_api(answer: Mapping[str, Any], token: str) -> ProviderApi:
    """What a token answer says about the provider's API.

    Raises:
        TokenUnavailable: it says nothing usable.
    """
    try:
        api, placement = answer["api"], answer["placement"]
        value, limit = str(placement["value"]), api["rate_limit"]
        if placement["in"] not in ("header", "query") or not value.endswith(token):
            raise ValueError
        return ProviderApi(
            base_url=str(api["base_url"]) if api["base_url"] else None,
            hosts=tuple(str(host).lower() for host in api["hosts"]),
            where=placement["in"],
            name=str(placement["name"]),
            prefix=value[: len(value) - len(token)],
            rate_limit=RateLimit(**{name: limit[name] for name in RateLimit._fields}) if limit else None,
        )
    except (KeyError, TypeError, ValueError):
        detail = "the API does not say how its token is used; is it older than this library?"
    raise TokenUnavailable(Reason.INTERNAL, detail)


def _parts(url: str) -> tuple[str, list[str], str]:
    """What stands before the query, the parts of the query, and the fragment with its `#`."""
    rest, sign, fragment = url.partition("#")
    path, _, query = rest.partition("?")
    return path, [part for part in query.split("&") if part], sign * bool(fragment) + fragment


def _holds(part: str, token: str) -> bool:
    return any(token in value for _, value in parse_qsl(part, keep_blank_values=True))


def _names(part: str, name: str) -> bool:
    return any(key == name for key, _ in parse_qsl(part, keep_blank_values=True))


def _is_loopback(netloc: str) -> bool:
    host = netloc.partition(":")[0]
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(url: str) -> str:
    """The host of an address, for a message: paths and queries may hold what is nobody's business."""
    found = re.match(r"[^/?#]*//([^/?#]*)", url)
    return ascii(found[1].rpartition("@")[2])[1:-1][:100] if found else "an address without a host"
