"""An HTTP request as it came over the wire, before any framework decoded it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request.

    Attributes:
        method: for example `GET`.
        target: path and query, percent-encoded as sent.
        headers: name and value, in the order sent; names in any case.
        body: its bytes.
        source_ip: the client's address.
        protocol: for example `HTTP/1.1`.
    """

    method: str
    target: str
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    source_ip: str = "127.0.0.1"
    protocol: str = "HTTP/1.1"

    @property
    def path(self) -> str:
        """The target without its query, percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query, percent-encoded, without the question mark; empty when there is none."""
        return self.target.partition("?")[2]

    def joined_headers(self) -> dict[str, str]:
        """Value by lower-case name; repeated headers joined with commas."""
        joined: dict[str, str] = {}
        for name, value in self.headers:
            lower = name.lower()
            joined[lower] = f"{joined[lower]},{value}" if lower in joined else value
        return joined
