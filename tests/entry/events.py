"""HTTP API events (payload format 2.0), as small as a test needs them."""

from typing import Any


def event(
    path: str = "/callback/acme", query: str = "", method: str = "GET", **changes: Any
) -> dict[str, Any]:
    """A browser's request."""
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"Host": "connect.example.com"},
        "requestContext": {"requestId": "req-1", "http": {"method": method, "path": path}},
        "isBase64Encoded": False,
        **changes,
    }
