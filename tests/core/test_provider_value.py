"""A provider's value read from JSON is the value that was written."""

import json
from typing import Any

import pytest

from mooring.core.provider import Call, Provider, RateLimit, Uninstall, provider_from_compiled
from tests.protocol.shapes import ACME, ACME_URL, ALL, REVOKE, with_response

FULL = with_response(
    ACME._replace(
        revoke=REVOKE,
        probe=Call("GET", f"{ACME_URL}/api/me"),
        uninstall=Uninstall("hmac_sha256_base64", "x-sig", "id", "time", "shop", "app/uninstalled"),
        api=ACME.api._replace(rate_limit=RateLimit(10, 60, "account", "x-remaining", None)),
    ),
    success=("status", "ok"),
)
LEAST = ACME._replace(refresh=None)


def plain(value: Any) -> Any:
    """Nested named tuples as the dictionaries that the compiler writes."""
    return (
        {name: plain(part) for name, part in value._asdict().items()} if hasattr(value, "_asdict") else value
    )


@pytest.mark.parametrize("provider", [*ALL, FULL, LEAST], ids=range(len(ALL) + 2))
def test_it_comes_back_equal_and_immutable_in_its_sequences(provider: Provider) -> None:
    read = provider_from_compiled(json.loads(json.dumps(plain(provider))))
    assert read == provider
    assert all(isinstance(part, tuple) for part in (read.scopes, read.hosts, read.response.token_types))
    assert hash(read.authorize.referers) == hash(provider.authorize.referers)


def test_a_field_that_nobody_knows_is_refused() -> None:
    data = json.loads(json.dumps(plain(ACME)))
    data["token"]["surprise"] = 1
    with pytest.raises(TypeError, match="surprise"):
        provider_from_compiled(data)
