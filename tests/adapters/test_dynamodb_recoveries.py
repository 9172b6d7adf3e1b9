"""Restoring exchanges when the table falters."""

import pytest

from mooring.adapters.dynamodb_recoveries import DynamoRecoveries
from mooring.adapters.operator_transitions import resealed
from mooring.adapters.patience import STORE_SECONDS, Patience
from mooring.adapters.rows import write
from mooring.core.errors import Failure, Reason
from mooring.core.ports import BurnStatus
from mooring.core.upkeep import Key, Seen, Storing
from tests.contract.aws_server import CONNECTIONS, FLOWS, AwsServer, Fault
from tests.contract.samples import NOW, a_link, a_state, exchange
from tests.contract.upkeep_world import DynamoWorld, seen

LOST = Fault("TransactWriteItems", "InternalServerError", 500, after=True)


class Setting:
    """Recoveries whose clock only the pauses move, and an exchange whose flow was burned."""

    def __init__(self, aws: AwsServer) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []
        self.world = DynamoWorld(aws)
        patience = Patience(lambda: self.seconds, self.sleep, lambda: 1.0)
        self.recoveries = DynamoRecoveries(aws.dynamodb(), CONNECTIONS, FLOWS, patience)
        self.link, self.state = a_link(), a_state()
        self.world.flows.burn(self.link, self.state, NOW)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds

    def restore(self) -> Storing:
        return self.recoveries.restore(exchange(self.link), self.link, self.state)

    def seen(self) -> Seen:
        return seen(self.world, Key(self.link.merchant_id, "prov-a", "shop-1"))


@pytest.fixture
def setting(aws: AwsServer) -> Setting:
    return Setting(aws)


def cancelled(*codes: str) -> Fault:
    reasons = [{"Code": code} for code in codes]
    return Fault("TransactWriteItems", "TransactionCanceledException", more={"CancellationReasons": reasons})


def test_a_restore_whose_answer_was_lost_counts_once(aws: AwsServer, setting: Setting) -> None:
    with aws.failing(LOST):
        assert setting.restore() is Storing.STORED
    assert (setting.seen(), len(setting.pauses)) == (Seen(1, 1), 1)


def test_an_exchange_that_lives_resealed_is_not_taken_for_obsolete(aws: AwsServer, setting: Setting) -> None:
    assert setting.restore() is Storing.STORED
    before = exchange(setting.link).tokens.access.wrapped_key
    keys = {"access_key": (before, b"\x01another wrapping")}
    update = resealed(CONNECTIONS, setting.link.merchant_id, "prov-a#shop-1", keys, NOW)
    assert write(aws.dynamodb(), update).done
    assert setting.restore() is Storing.SUPERSEDED, "what is obsolete is revoked, and this grant lives"
    assert setting.seen() == Seen(1, 1)


@pytest.mark.parametrize(
    "fault",
    [
        cancelled("TransactionConflict", "None", "None"),
        cancelled("None", "ThrottlingError", "None"),
        Fault("TransactWriteItems", "ThrottlingException"),
    ],
)
def test_what_may_pass_is_tried_again(aws: AwsServer, setting: Setting, fault: Fault) -> None:
    with aws.failing(fault, fault):
        assert setting.restore() is Storing.STORED
    assert (setting.seen(), setting.pauses) == (Seen(1, 1), [0.05, 0.1])


def test_a_notice_counts_more_than_what_may_pass(aws: AwsServer, setting: Setting) -> None:
    with aws.failing(cancelled("TransactionConflict", "ConditionalCheckFailed", "None")):
        assert setting.restore() is Storing.OBSOLETE


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        (Fault("TransactWriteItems", "AccessDeniedException"), "AccessDeniedException"),
        (cancelled("ValidationError", "None", "None"), "ValidationError"),
    ],
)
def test_what_will_not_pass_brings_the_message_back(
    aws: AwsServer, setting: Setting, fault: Fault, detail: str
) -> None:
    with aws.failing(fault), pytest.raises(Failure) as caught:
        setting.restore()
    assert (caught.value.reason, caught.value.detail) == (Reason.STORAGE_UNAVAILABLE, detail)
    assert setting.pauses == []


def test_after_three_seconds_the_message_comes_back(aws: AwsServer, setting: Setting) -> None:
    with (
        aws.failing(*[cancelled("TransactionConflict", "None", "None")] * 100),
        pytest.raises(Failure) as caught,
    ):
        setting.restore()
    assert caught.value.detail == "TransactionConflict"
    assert STORE_SECONDS - 1 < setting.seconds < STORE_SECONDS


def calls(aws: AwsServer, before: int) -> list[str]:
    return [operation for operation, _ in aws.requests[before:]]


def test_it_is_one_transaction_and_without_a_flow_another(aws: AwsServer, setting: Setting) -> None:
    before = len(aws.requests)
    assert setting.restore() is Storing.STORED
    assert calls(aws, before) == ["TransactWriteItems"]
    before, link = len(aws.requests), a_link()
    assert setting.recoveries.restore(exchange(link), link, setting.state) is Storing.STORED
    assert calls(aws, before) == ["TransactWriteItems"] * 2


def test_a_link_whose_other_flows_are_there_has_not_this_one(aws: AwsServer, setting: Setting) -> None:
    """Nothing is written into the row of a link but by the states that were burned there."""
    before = len(aws.requests)
    assert setting.recoveries.restore(exchange(setting.link), setting.link, a_state()) is Storing.STORED
    assert calls(aws, before) == ["TransactWriteItems"] * 2
    assert setting.world.flows.burn(setting.link, setting.state, NOW).status is BurnStatus.EXCHANGING


@pytest.mark.parametrize("gone", ["ConditionalCheckFailed", "ValidationError"])
@pytest.mark.parametrize("fault", [cancelled("TransactionConflict", "None"), LOST])
def test_what_may_pass_is_tried_again_without_a_flow_as_well(
    aws: AwsServer, setting: Setting, fault: Fault, gone: str
) -> None:
    """DynamoDB may find that the flow's map is missing before it looks at the condition."""
    link = a_link()
    with aws.failing(cancelled("None", "None", gone, "None"), fault):
        assert setting.recoveries.restore(exchange(link), link, a_state()) is Storing.STORED
    assert seen(setting.world, Key(link.merchant_id, "prov-a", "shop-1")) == Seen(1, 1)
