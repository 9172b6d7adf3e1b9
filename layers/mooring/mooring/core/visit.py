"""What a browser sent us and what it is told: the flows' side of HTTP."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mooring.core.names import origin_of


class Visit(NamedTuple):
    """One browser request, as far as a flow looks at it. `query` is raw; headers are lower case."""

    method: str
    provider: str
    query: str
    cookies: Sequence[str]
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Visit({self.method!r}, {self.provider!r})"

    def from_same_origin(self, base_url: str) -> bool:
        """Whether a page of our own sent this: `Sec-Fetch-Site`, or `Origin` from browsers without it."""
        site = self.headers.get("sec-fetch-site")
        return site == "same-origin" if site else self.headers.get("origin") == base_url

    def referer_origin(self) -> str:
        """Origin of the page that led here, or an empty text when the browser does not say."""
        return origin_of(self.headers.get("referer", ""))


class Result(NamedTuple):
    """How a flow ended well: either a `location` to go to or the name of a `page` to show.

    `provider` and `merchant_id` are for the log; `cookies` are whole `Set-Cookie` values.
    """

    outcome: str
    provider: str
    provider_name: str
    merchant_id: str
    location: str | None = None
    page: str | None = None
    cookies: tuple[str, ...] = ()
    reason: str | None = None

    def __repr__(self) -> str:
        return f"Result({self.outcome!r}, provider={self.provider!r})"
