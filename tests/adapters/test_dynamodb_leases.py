"""Leases when the table falters: what is lost, what passes, and rows that somebody else changed."""

from collections.abc import Callable
from typing import Any

import pytest

from mooring.adapters.dynamodb_leases import DynamoLeases
from mooring.adapters.patience import STORE_SECONDS, Patience
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Cause, Leased, Order, Refused, Setback, Storing
from tests.contract.aws_server import CONNECTIONS, AwsServer, Fault
from tests.contract.upkeep_world import DUE, DynamoWorld, connected, fresh, row, seen

LOST = Fault("UpdateItem", "InternalServerError", 500, after=True)
PASSING = ["InternalServerError", "ThrottlingException", "ProvisionedThroughputExceededException"]


class Setting:
    """Leases whose clock only the pauses move, and a connection that is due."""

    def __init__(self, aws: AwsServer) -> None:
        self.aws = aws
        self.seconds = 0.0
        self.pauses: list[float] = []
        self.world = DynamoWorld(aws)
        self.key = connected(self.world)
        patience = Patience(lambda: self.seconds, self.sleep, lambda: 1.0)
        self.leases = DynamoLeases(aws.dynamodb(), CONNECTIONS, patience)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds

    def lease(self, attempt_id: str = "one", now: int = DUE) -> Leased | Refused:
        order = Order(self.key, seen(self.world, self.key), Cause.DUE)
        return self.leases.lease(order, attempt_id, now, rotates=True)

    def leased(self) -> Leased:
        found = self.lease()
        assert isinstance(found, Leased)
        return found

    def change(self, expression: str, **values: dict[str, Any]) -> None:
        more: dict[str, Any] = {}
        if values:
            more["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
        key = {"merchant_id": {"S": self.key.merchant_id}, "connection": {"S": "prov-a#shop-1"}}
        self.aws.dynamodb().update_item(TableName=CONNECTIONS, Key=key, UpdateExpression=expression, **more)


@pytest.fixture
def setting(aws: AwsServer) -> Setting:
    return Setting(aws)


def test_a_lease_is_one_write_and_no_read(aws: AwsServer, setting: Setting) -> None:
    order = Order(setting.key, None, Cause.DUE)
    before = len(aws.requests)
    lease = setting.leases.lease(order, "one", DUE, rotates=True)
    assert isinstance(lease, Leased)
    setting.leases.lease(order, "two", DUE, rotates=True)
    setting.leases.store(fresh(lease, DUE), DUE)
    assert [operation for operation, _ in aws.requests[before:]] == ["UpdateItem"] * 3


def test_a_lease_whose_answer_was_lost_is_held(aws: AwsServer, setting: Setting) -> None:
    with aws.failing(LOST, LOST):
        found = setting.leased()
    assert found.attempts == ("one",)
    assert setting.world.rest(setting.key).attempts == ("one",)
    assert len(setting.pauses) == 2


def test_a_lease_whose_answer_was_lost_still_knows_the_doubt_before_it(
    aws: AwsServer, setting: Setting
) -> None:
    setting.lease("dead")
    with aws.failing(LOST):
        found = setting.lease("one", DUE + 120)
    assert isinstance(found, Leased)
    assert (found.attempts, found.in_doubt, found.unheard) == (("dead", "one"), True, True)


def test_tokens_whose_write_lost_its_answer_are_stored_once(aws: AwsServer, setting: Setting) -> None:
    new = fresh(setting.leased(), DUE)
    with aws.failing(LOST, LOST):
        assert setting.leases.store(new, DUE) is Storing.STORED
    assert seen(setting.world, setting.key).version == 2
    assert len(setting.pauses) == 2


@pytest.mark.parametrize("name", ["generation", "version"])
def test_the_lease_alone_does_not_let_tokens_replace_others(setting: Setting, name: str) -> None:
    """Whatever changes the tokens takes the lease away; should it once not, the version still tells."""
    new = fresh(setting.leased(), DUE)
    setting.change(f"ADD {name} :one", one={"N": "1"})
    before = row(setting.world, setting.key)
    assert setting.leases.store(new, DUE) is not Storing.STORED
    assert row(setting.world, setting.key) == before


def test_a_recovery_whose_answer_was_lost_counts_once(aws: AwsServer, setting: Setting) -> None:
    new = fresh(setting.leased(), DUE)
    with aws.failing(LOST):
        assert setting.leases.recover(new, DUE + 60) is Storing.STORED
    assert seen(setting.world, setting.key).version == 2


def test_a_setback_and_a_loss_whose_answers_were_lost_count_once(aws: AwsServer, setting: Setting) -> None:
    with aws.failing(LOST):
        setting.leases.put_off(setting.leased(), Setback(Reason.PROVIDER_TIMEOUT, DUE, False), DUE)
    assert setting.world.rest(setting.key).failures == 1
    lease = setting.leased()
    with aws.failing(LOST):
        assert setting.leases.lose(lease, Reason.GRANT_REFUSED, DUE)


def writes(setting: Setting) -> list[Callable[[], object]]:
    lease = setting.leased()
    return [
        lambda: setting.lease("two", DUE + 999),
        lambda: setting.leases.store(fresh(lease, DUE), DUE),
        lambda: setting.leases.recover(fresh(lease, DUE), DUE),
        lambda: setting.leases.put_off(lease, Setback(Reason.PROVIDER_TIMEOUT, DUE, False), DUE),
        lambda: setting.leases.lose(lease, Reason.GRANT_REFUSED, DUE),
    ]


@pytest.mark.parametrize("code", PASSING)
def test_what_may_pass_is_tried_again(aws: AwsServer, setting: Setting, code: str) -> None:
    new = fresh(setting.leased(), DUE)
    with aws.failing(Fault("UpdateItem", code), Fault("UpdateItem", code, 500)):
        assert setting.leases.store(new, DUE) is Storing.STORED
    assert setting.pauses == [0.05, 0.1]


def test_a_servers_fault_may_pass_whatever_its_code(aws: AwsServer, setting: Setting) -> None:
    new = fresh(setting.leased(), DUE)
    with aws.failing(Fault("UpdateItem", "InternalFailure", 500), Fault("UpdateItem", "Anything", 503)):
        assert setting.leases.store(new, DUE) is Storing.STORED


@pytest.mark.parametrize("write", range(5))
def test_what_does_not_pass_in_three_seconds_is_said_by_its_code(
    aws: AwsServer, setting: Setting, write: int
) -> None:
    call = writes(setting)[write]
    with aws.out("UpdateItem", "ThrottlingException"), pytest.raises(Failure) as caught:
        call()
    assert (caught.value.reason, caught.value.detail) == (Reason.STORAGE_UNAVAILABLE, "ThrottlingException")
    assert caught.value.__suppress_context__
    assert STORE_SECONDS - 1 < setting.seconds < STORE_SECONDS


@pytest.mark.parametrize("write", range(5))
def test_what_will_not_pass_is_not_tried_again(aws: AwsServer, setting: Setting, write: int) -> None:
    call = writes(setting)[write]
    with aws.out("UpdateItem", "AccessDeniedException"), pytest.raises(Failure) as caught:
        call()
    assert (caught.value.reason, caught.value.detail) == (Reason.STORAGE_UNAVAILABLE, "AccessDeniedException")
    assert setting.pauses == []


def test_a_row_of_an_earlier_release_is_leased(setting: Setting) -> None:
    setting.change("REMOVE issued_at, unauthorized_count")
    order = Order(setting.key, None, Cause.UNAUTHORIZED)
    found = setting.leases.lease(order, "one", DUE, rotates=True)
    assert isinstance(found, Leased)
    assert (found.connection.issued_at, found.failures, found.attempts) == (None, 0, ("one",))


def test_a_key_that_is_gone_is_an_empty_one(setting: Setting) -> None:
    setting.change("REMOVE access_key, refresh_key")
    found = setting.leased()
    assert (found.access.wrapped_key, found.refresh.wrapped_key) == (b"", b"")


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"version": {"S": "1"}}, "no usable attribute version"),
        ({"attempts": {"SS": ["a"]}}, "no usable attribute attempts"),
    ],
)
def test_a_row_of_another_shape_stops_the_refresh(
    setting: Setting, changes: dict[str, Any], detail: str
) -> None:
    lease = setting.leased()
    ((name, value),) = changes.items()
    setting.change(f"SET {name} = :value", value=value)
    with pytest.raises(Failure) as caught:
        setting.leases.recover(fresh(lease, DUE)._replace(attempt_id="other"), DUE)
    assert caught.value.reason is Reason.INTERNAL
    assert detail in caught.value.detail


@pytest.mark.parametrize("now", [DUE, 1])
def test_a_lease_of_a_row_of_another_shape_stops_the_refresh(setting: Setting, now: int) -> None:
    setting.change("SET account_verified = :value", value={"S": "yes"})
    with pytest.raises(Failure) as caught:
        setting.leases.lease(Order(setting.key, None, Cause.DUE), "one", now, rotates=True)
    assert caught.value.reason is Reason.INTERNAL
    assert "no usable attribute account_verified" in caught.value.detail
