"""What stands in the tables after each transition: `docs/table.md` as a test."""

from typing import Any

import pytest

from mooring.adapters.dynamodb_connections import DynamoConnections
from mooring.adapters.dynamodb_endings import DynamoEndings
from mooring.adapters.dynamodb_flows import DynamoFlows
from mooring.adapters.dynamodb_generations import DynamoGenerations
from mooring.adapters.dynamodb_leases import DynamoLeases
from mooring.adapters.expressions import Update
from mooring.core.connection import NewConnection
from mooring.core.errors import Reason
from mooring.core.link import Link
from mooring.core.revocation import Revoked
from mooring.core.schedule import due_shard
from mooring.core.upkeep import Cause, Key, Leased, Order, Seen, Setback, Storing
from tests.contract.aws_server import CONNECTIONS, FLOWS, AwsServer
from tests.contract.samples import BARE, NOW, a_link, a_state, exchange, sealed
from tests.contract.upkeep_world import fresh


class Tables:
    """The adapters that write, and the rows as they lie."""

    def __init__(self, aws: AwsServer) -> None:
        self.client = aws.dynamodb()
        self.flows = DynamoFlows(self.client, FLOWS)
        self.connections = DynamoConnections(self.client, CONNECTIONS, FLOWS)
        self.leases = DynamoLeases(self.client, CONNECTIONS)
        self.endings = DynamoEndings(self.client, CONNECTIONS)

    def connect(self, link: Link, new: NewConnection) -> str:
        state = a_state()
        self.flows.burn(link, state, new.burned_at)
        self.connections.connect(new, link, state)
        return state

    def due(self) -> tuple[str, str]:
        """A connection that falls due at NOW + 2,700."""
        self.link = a_link()
        self.connect(self.link, exchange(self.link))
        return self.link.merchant_id, "prov-a#shop-1"

    def lease(self, attempt_id: str, now: int) -> Leased:
        order = Order(Key(self.link.merchant_id, "prov-a", "shop-1"), Seen(1, 1), Cause.DUE)
        found = self.leases.lease(order, attempt_id, now, rotates=True)
        assert isinstance(found, Leased)
        return found

    def connection(self, merchant_id: str, connection: str) -> dict[str, Any]:
        key = {"merchant_id": {"S": merchant_id}, "connection": {"S": connection}}
        return dict(self.client.get_item(TableName=CONNECTIONS, Key=key).get("Item", {}))

    def before(self, merchant_id: str, connection: str) -> dict[str, Any]:
        """The row without what its last write had to tell, which the next one takes off."""
        row = self.connection(merchant_id, connection)
        del row["announce"]
        return row

    def flow(self, pk: str) -> dict[str, Any]:
        return dict(self.client.get_item(TableName=FLOWS, Key={"pk": {"S": pk}}).get("Item", {}))


@pytest.fixture
def tables(aws: AwsServer) -> Tables:
    return Tables(aws)


def test_a_burned_state(tables: Tables) -> None:
    link, state = a_link(), a_state()
    tables.flows.burn(link, state, NOW)
    row = tables.flow(f"link#{link.merchant_id}#{link.jti}")
    by = row[f"s_{state}"]["M"].pop("by")
    assert row == {
        "pk": {"S": f"link#{link.merchant_id}#{link.jti}"},
        "states": {"SS": [state]},
        f"s_{state}": {"M": {"status": {"S": "exchanging"}, "at": {"N": str(NOW)}}},
        "expires_at": {"N": str(link.expires_at + 600 + 86_400)},
        "open_shard": {"S": "open"},
        "open_at": {"N": str(NOW)},
    }
    assert len(by["S"]) == 16


def test_a_failed_flow(tables: Tables) -> None:
    link, state = a_link(), a_state()
    tables.flows.burn(link, state, NOW)
    tables.flows.fail(link, state, "grant_refused")
    found = tables.flow(f"link#{link.merchant_id}#{link.jti}")[f"s_{state}"]["M"]
    assert (found["status"], found["reason"]) == ({"S": "failed"}, {"S": "grant_refused"})


def test_a_flow_that_kept_its_tokens_and_then_ended(tables: Tables) -> None:
    link, state = a_link(), a_state()
    tables.flows.burn(link, state, NOW)
    tables.flows.keep(link, state, sealed("kept"))
    kept = tables.flow(f"link#{link.merchant_id}#{link.jti}")[f"s_{state}"]["M"]
    assert (kept["kept_access"]["B"], kept["kept_key"]["B"]) == sealed("kept")
    tables.connections.connect(exchange(link), link, state)
    done = tables.flow(f"link#{link.merchant_id}#{link.jti}")[f"s_{state}"]["M"]
    assert set(done) == {"status", "at", "by", "account", "pending"}
    assert (done["status"], done["account"], done["pending"]) == (
        {"S": "done"},
        {"S": "shop-1"},
        {"BOOL": False},
    )


def test_a_connection_with_everything(tables: Tables) -> None:
    link = a_link()
    tables.connect(link, exchange(link))
    assert tables.connection(link.merchant_id, "prov-a#shop-1") == {
        "merchant_id": {"S": link.merchant_id},
        "connection": {"S": "prov-a#shop-1"},
        "status": {"S": "active"},
        "generation": {"N": "1"},
        "version": {"N": "1"},
        "access": {"B": sealed("access").ciphertext},
        "access_key": {"B": sealed("access").wrapped_key},
        "refresh": {"B": sealed("refresh").ciphertext},
        "refresh_key": {"B": sealed("refresh").wrapped_key},
        "scopes": {"L": [{"S": "read"}, {"S": "write"}]},
        "expires_at": {"N": str(NOW + 3_600)},
        "refresh_expires_at": {"N": str(NOW + 86_400)},
        "issued_at": {"N": str(NOW + 2)},
        "connected_at": {"N": str(NOW + 2)},
        "updated_at": {"N": str(NOW + 2)},
        "unauthorized_count": {"N": "0"},
        "account_verified": {"BOOL": True},
        "details": {"M": {"app_key": {"S": "k-1"}}},
        "due_shard": {"S": due_shard("prov-a", link.merchant_id, "shop-1")},
        "due_at": {"N": str(NOW + 2_700)},
        "announce": {"S": "established"},
    }


def test_a_reconnect_owes_nothing_to_the_generation_before(tables: Tables) -> None:
    link = a_link()
    tables.connect(link, exchange(link))
    left = ["lease_owner", "attempts", "last_error", "previous_refresh", "previous_refresh_key", "written_by"]
    numbers = ["lease_until", "attempt_at", "retry_at", "failures", "previous_until", "unauthorized_count"]
    numbers += ["failing_since", "unauthorized_at", "probed_at", "hinted_until", "uninstalled_at"]
    sets = [f"{name} = :text" for name in left] + [f"{name} = :number" for name in numbers]
    key = {"merchant_id": {"S": link.merchant_id}, "connection": {"S": "prov-a#shop-1"}}
    tables.client.update_item(
        TableName=CONNECTIONS,
        Key=key,
        UpdateExpression=f"SET {', '.join(sets)}, #status = :status",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={
            ":text": {"S": "old"},
            ":number": {"N": "2"},
            ":status": {"S": "disconnected"},
        },
    )
    tables.connect(link, exchange(link, tokens=BARE, at=NOW + 60))
    row = tables.connection(link.merchant_id, "prov-a#shop-1")
    assert set(row) == {
        "merchant_id",
        "connection",
        "status",
        "generation",
        "version",
        "access",
        "access_key",
        "scopes",
        "issued_at",
        "connected_at",
        "updated_at",
        "unauthorized_count",
        "account_verified",
        "details",
        "announce",
    }
    assert (row["status"], row["generation"], row["version"]) == ({"S": "active"}, {"N": "2"}, {"N": "2"})
    assert row["unauthorized_count"] == {"N": "0"}


def test_the_version_goes_on_where_it_stood(tables: Tables) -> None:
    link = a_link()
    tables.connect(link, exchange(link))
    tables.client.update_item(
        TableName=CONNECTIONS,
        Key={"merchant_id": {"S": link.merchant_id}, "connection": {"S": "prov-a#shop-1"}},
        UpdateExpression="SET version = :seven",
        ExpressionAttributeValues={":seven": {"N": "7"}},
    )
    tables.connect(link, exchange(link))
    row = tables.connection(link.merchant_id, "prov-a#shop-1")
    assert (row["generation"], row["version"]) == ({"N": "2"}, {"N": "8"})


def test_only_what_is_due_lies_in_the_index(tables: Tables) -> None:
    link = a_link()
    tables.connect(link, exchange(link, "with-refresh"))
    tables.connect(link, exchange(link, "without", BARE))
    pages = tables.client.get_paginator("scan").paginate(TableName=CONNECTIONS, IndexName="due")
    found = [row for page in pages for row in page["Items"]]
    mine = [row for row in found if row["merchant_id"]["S"] == link.merchant_id]
    assert [row["connection"]["S"] for row in mine] == ["prov-a#with-refresh"]
    assert set(mine[0]) == {"merchant_id", "connection", "due_shard", "due_at"}


def test_a_pointer_holds_nothing_but_its_two_ends(tables: Tables) -> None:
    link = a_link()
    tables.connect(link, exchange(link, f"shop-{link.jti}"))
    account = f"@account#prov-a#shop-{link.jti}"
    assert tables.connection(account, link.merchant_id) == {
        "merchant_id": {"S": account},
        "connection": {"S": link.merchant_id},
    }


def test_a_connection_that_waits_for_its_confirmation(tables: Tables) -> None:
    link = a_link()
    confirmation = f"c-{link.jti}"
    tables.connect(link, exchange(link, tokens=BARE, confirmation=confirmation))
    assert tables.connection(link.merchant_id, "prov-a#shop-1") == {}
    assert tables.connection(link.merchant_id, f"@pending#{confirmation}") == {
        "merchant_id": {"S": link.merchant_id},
        "connection": {"S": f"@pending#{confirmation}"},
        "status": {"S": "pending_confirmation"},
        "provider": {"S": "prov-a"},
        "account_id": {"S": "shop-1"},
        "access": {"B": sealed("bare").ciphertext},
        "access_key": {"B": sealed("bare").wrapped_key},
        "scopes": {"L": []},
        "issued_at": {"N": str(NOW + 2)},
        "connected_at": {"N": str(NOW + 2)},
        "updated_at": {"N": str(NOW + 2)},
        "burned_at": {"N": str(NOW)},
        "pending_until": {"N": str(NOW + 2 + 86_400)},
        "account_verified": {"BOOL": True},
        "details": {"M": {}},
    }
    assert tables.flow(f"confirmation#{confirmation}") == {
        "pk": {"S": f"confirmation#{confirmation}"},
        "merchant_id": {"S": link.merchant_id},
        "connection": {"S": "prov-a#shop-1"},
        "expires_at": {"N": str(NOW + 2 + 86_400)},
    }


def test_a_connection_that_waits_is_never_due(tables: Tables) -> None:
    link = a_link()
    tables.connect(link, exchange(link, confirmation=f"c-{link.jti}"))
    row = tables.connection(link.merchant_id, f"@pending#c-{link.jti}")
    assert "refresh" in row
    assert not {"due_at", "due_shard"} & set(row)


def test_a_leased_connection(tables: Tables) -> None:
    key = tables.due()
    before = tables.before(*key)
    tables.lease("one", NOW + 2_700)
    assert tables.connection(*key) == before | {
        "lease_owner": {"S": "one"},
        "lease_until": {"N": str(NOW + 2_745)},
        "attempts": {"L": [{"S": "one"}]},
        "attempt_at": {"N": str(NOW + 2_700)},
    }


def test_a_refreshed_connection(tables: Tables) -> None:
    key = tables.due()
    before = tables.before(*key)
    lease = tables.lease("one", NOW + 2_700)
    new = fresh(lease, NOW + 2_701, previous_until=NOW + 2_761)
    assert tables.leases.store(new, NOW + 2_702) is Storing.STORED
    assert tables.connection(*key) == before | {
        "version": {"N": "2"},
        "access": {"B": new.fresh.access.ciphertext},
        "refresh": {"B": sealed("new refresh").ciphertext},
        "previous_refresh": {"B": sealed("refresh").ciphertext},
        "previous_refresh_key": {"B": sealed("refresh").wrapped_key},
        "previous_until": {"N": str(NOW + 2_761)},
        "expires_at": {"N": str(NOW + 6_301)},
        "issued_at": {"N": str(NOW + 2_701)},
        "updated_at": {"N": str(NOW + 2_702)},
        "due_at": {"N": str(NOW + 5_401)},
        "written_by": {"S": "one"},
    }


def test_a_connection_whose_refresh_was_put_off(tables: Tables) -> None:
    key = tables.due()
    before = tables.before(*key)
    setback = Setback(Reason.PROVIDER_TIMEOUT, NOW + 2_820, in_doubt=True)
    tables.leases.put_off(tables.lease("one", NOW + 2_700), setback, NOW + 2_710)
    assert tables.connection(*key) == before | {
        "attempts": {"L": [{"S": "one"}]},
        "attempt_at": {"N": str(NOW + 2_700)},
        "retry_at": {"N": str(NOW + 2_820)},
        "due_at": {"N": str(NOW + 2_820)},
        "failures": {"N": "1"},
        "failing_since": {"N": str(NOW + 2_710)},
        "last_error": {"S": "provider_timeout"},
        "updated_at": {"N": str(NOW + 2_710)},
    }


@pytest.mark.parametrize(
    ("in_doubt", "wait", "noted"),
    [
        (True, True, {"attempts", "attempt_at"}),
        (True, False, {"attempts"}),
        (False, True, set()),
        (False, False, set()),
    ],
)
def test_what_a_failed_call_leaves_of_its_attempt(
    tables: Tables, in_doubt: bool, wait: bool, noted: set[str]
) -> None:
    key = tables.due()
    setback = Setback(Reason.PROVIDER_UNAVAILABLE, NOW + 2_730, in_doubt, wait)
    tables.leases.put_off(tables.lease("one", NOW + 2_700), setback, NOW + 2_710)
    left = tables.connection(*key)
    assert {"attempts", "attempt_at", "lease_owner", "lease_until"} & set(left) == noted


def test_a_connection_of_which_a_hint_waits(tables: Tables) -> None:
    key = tables.due()
    before = tables.before(*key)
    assert tables.endings.postpone(Key(key[0], "prov-a", "shop-1"), NOW + 700, NOW + 100)
    assert tables.connection(*key) == before | {"hinted_until": {"N": str(NOW + 700)}}


def test_a_connection_of_which_a_401_was_reported(tables: Tables) -> None:
    key = tables.due()
    before = tables.before(*key)
    assert tables.endings.report(Key(key[0], "prov-a", "shop-1"), Seen(1, 1), NOW + 100) == 1
    assert tables.connection(*key) == before | {
        "unauthorized_count": {"N": "1"},
        "unauthorized_at": {"N": str(NOW + 100)},
    }


def test_a_connection_that_ended(tables: Tables) -> None:
    key = tables.due()
    before = tables.before(*key)
    tables.lease("one", NOW + 2_700)
    assert tables.endings.uninstall(Key(key[0], "prov-a", "shop-1"), NOW + 2_000, NOW + 2_701)
    gone = {"access", "access_key", "refresh", "refresh_key", "expires_at", "refresh_expires_at", "issued_at"}
    kept = {name: value for name, value in before.items() if name not in gone | {"due_at", "due_shard"}}
    assert tables.connection(*key) == kept | {
        "status": {"S": "uninstalled"},
        "uninstalled_at": {"N": str(NOW + 2_000)},
        "updated_at": {"N": str(NOW + 2_701)},
        "announce": {"S": "uninstalled"},
    }


def test_a_revocation_leaves_its_outcome_until_the_next_connect(tables: Tables) -> None:
    key = tables.due()
    tables.endings.disconnect(Key(key[0], "prov-a", "shop-1"), NOW + 10)
    before = tables.before(*key)
    generations = DynamoGenerations(tables.client, CONNECTIONS)
    assert generations.note(Key(key[0], "prov-a", "shop-1"), 1, Revoked.REVOKED)
    assert tables.connection(*key) == before | {"revocation": {"S": "revoked"}}
    again = a_link(key[0])
    tables.connect(again, exchange(again, at=NOW + 20))
    assert "revocation" not in tables.connection(*key)


def test_no_update_gives_one_name_two_values() -> None:
    update = Update("t", {"pk": "a"}).set("status", "one")
    with pytest.raises(ValueError, match=":status"):
        update.when("#status = :status", (), {"status": "two"})
