"""What only the fake for users' tests has."""

import pytest

from mooring.client.errors import NotTheProvider, TokenUnavailable
from mooring.client.testing import FakeConnections
from tests.client.conftest import MERCHANT, PROVIDER


def test_a_part_that_is_unknown_is_refused(connections: FakeConnections) -> None:
    with (
        pytest.raises(ValueError, match=r"^no part is called databse; there are api, kms, table$"),
        connections.outage("table", "databse"),
    ):
        pytest.fail("it began")
    connections.connect(MERCHANT, PROVIDER)
    assert connections.token(MERCHANT, PROVIDER).warning is None


def test_an_outage_within_another_ends_by_itself(connections: FakeConnections) -> None:
    connections.connect(MERCHANT, PROVIDER)
    with connections.outage("table"):
        with connections.outage("table", "api"):
            pass
        with pytest.raises(TokenUnavailable, match="storage_unavailable"):
            connections.token(MERCHANT, PROVIDER)
    assert connections.token(MERCHANT, PROVIDER).warning is None


def test_a_provider_without_an_address_has_no_hosts(connections: FakeConnections) -> None:
    connections.api(PROVIDER, None)
    connections.connect(MERCHANT, PROVIDER)
    with (
        connections.session(MERCHANT, PROVIDER) as session,
        pytest.raises(NotTheProvider, match="is sent to nobody"),
    ):
        session.get("https://api.acme.example/things")
