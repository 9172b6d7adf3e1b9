"""The least that a Lambda behind a link can do: answer 302. The yardstick of the cold start."""

from typing import Any


def handler(_event: Any, _context: Any) -> dict[str, Any]:
    """Answer one event."""
    return {"statusCode": 302, "headers": {"location": "https://example.com/"}, "body": ""}
