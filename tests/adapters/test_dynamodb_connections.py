"""Faults of the connections table, and what its readers ask for."""

from collections.abc import Callable
from typing import Any

import pytest

from mooring.adapters.dynamodb_connections import (
    LIST_ATTRIBUTES,
    READER_ATTRIBUTES,
    DynamoConnections,
)
from mooring.adapters.dynamodb_flows import DynamoFlows
from mooring.adapters.patience import STORE_SECONDS, Patience
from mooring.core.connection import Status, Wanted
from mooring.core.errors import Failure, Reason
from mooring.core.link import Link
from tests.contract.aws_server import CONNECTIONS, FLOWS, AwsServer, Fault
from tests.contract.samples import NOW, a_link, a_state, exchange, listed

LOST = Fault("TransactWriteItems", "InternalServerError", 500, after=True)


class Setting:
    """Connections whose clock only the pauses move, and a burned flow."""

    def __init__(self, aws: AwsServer) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []
        self.connections = DynamoConnections(
            aws.dynamodb(),
            CONNECTIONS,
            FLOWS,
            Patience(clock=lambda: self.seconds, sleep=self.sleep, jitter=_longest),
        )
        self.link, self.state = a_link(), a_state()
        DynamoFlows(aws.dynamodb(), FLOWS).burn(self.link, self.state, NOW)

    def connect(self) -> None:
        self.connections.connect(exchange(self.link), self.link, self.state)

    def failure(self) -> Failure:
        with pytest.raises(Failure) as caught:
            self.connect()
        assert caught.value.__suppress_context__
        return caught.value

    def generations(self) -> list[int]:
        return [one.generation for one in listed(self.connections, self.link.merchant_id)]

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds


def _longest() -> float:
    return 1.0


@pytest.fixture
def setting(aws: AwsServer) -> Setting:
    return Setting(aws)


def cancelled(*codes: str) -> Fault:
    reasons = [{"Code": code} for code in codes]
    return Fault("TransactWriteItems", "TransactionCanceledException", more={"CancellationReasons": reasons})


CONFLICT = cancelled("TransactionConflict", "None", "None", "None")


def test_a_store_whose_answer_was_lost_counts_once(aws: AwsServer, setting: Setting) -> None:
    with aws.failing(LOST):
        setting.connect()
    assert setting.generations() == [1]
    assert len(setting.pauses) == 1


def test_all_tries_carry_one_token(aws: AwsServer, setting: Setting) -> None:
    before = len(aws.asked("TransactWriteItems"))
    with aws.failing(CONFLICT, CONFLICT):
        setting.connect()
    tries = aws.asked("TransactWriteItems")[before:]
    assert len(tries) == 3
    assert len({each["ClientRequestToken"] for each in tries}) == 1


@pytest.mark.parametrize(
    "fault",
    [
        CONFLICT,
        cancelled("ThrottlingError", "TransactionConflict", "None"),
        cancelled("None", "ProvisionedThroughputExceeded", "None"),
        cancelled("None", "None", "None"),
        Fault("TransactWriteItems", "TransactionInProgressException"),
        Fault("TransactWriteItems", "ThrottlingException"),
        Fault("TransactWriteItems", "InternalServerError", 500),
    ],
)
def test_what_may_pass_is_tried_again(aws: AwsServer, setting: Setting, fault: Fault) -> None:
    with aws.failing(fault, fault):
        setting.connect()
    assert setting.generations() == [1]
    assert setting.pauses == [0.05, 0.1]


def test_after_five_seconds_it_is_given_up(aws: AwsServer, setting: Setting) -> None:
    with aws.failing(*[CONFLICT] * 100):
        failure = setting.failure()
    assert (failure.reason, failure.detail) == (Reason.STORAGE_UNAVAILABLE, "TransactionConflict")
    assert STORE_SECONDS - 1 < setting.seconds < STORE_SECONDS
    assert max(setting.pauses) == 1.0
    assert setting.generations() == []


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        (Fault("TransactWriteItems", "AccessDeniedException"), "AccessDeniedException"),
        (Fault("TransactWriteItems", "ResourceNotFoundException"), "ResourceNotFoundException"),
        (cancelled("ValidationError", "TransactionConflict", "None"), "ValidationError"),
        (
            cancelled("None", "None", "None", "ItemCollectionSizeLimitExceeded"),
            "ItemCollectionSizeLimitExceeded",
        ),
    ],
)
def test_what_will_not_pass_is_not_tried_again(
    aws: AwsServer, setting: Setting, fault: Fault, detail: str
) -> None:
    with aws.failing(fault):
        failure = setting.failure()
    assert (failure.reason, failure.detail) == (Reason.STORAGE_UNAVAILABLE, detail)
    assert setting.pauses == []


def test_a_notice_counts_more_than_a_conflict_beside_it(aws: AwsServer, setting: Setting) -> None:
    with aws.failing(cancelled("TransactionConflict", "None", "ConditionalCheckFailed")):
        assert setting.failure().reason is Reason.UNINSTALLED_MEANWHILE
    assert setting.pauses == []


def test_a_notice_counts_more_than_an_account_that_nobody_confirmed(aws: AwsServer, setting: Setting) -> None:
    with aws.failing(cancelled("ConditionalCheckFailed", "None", "ConditionalCheckFailed")):
        assert setting.failure().reason is Reason.UNINSTALLED_MEANWHILE


@pytest.mark.parametrize("beside", ["None", "TransactionConflict"])
def test_an_account_that_would_replace_a_verified_one_is_not_tried_again(
    aws: AwsServer, setting: Setting, beside: str
) -> None:
    with aws.failing(cancelled("ConditionalCheckFailed", beside, "None")):
        assert setting.failure().reason is Reason.ACCOUNT_MISMATCH
    assert (setting.pauses, setting.generations()) == ([], [])


def test_an_unreachable_table_is_tried_again(setting: Setting, aws: AwsServer) -> None:
    elsewhere = AwsServer()
    client = elsewhere.dynamodb()
    elsewhere.stop()
    patience = Patience(clock=lambda: setting.seconds, sleep=setting.sleep, jitter=_longest)
    connections = DynamoConnections(client, CONNECTIONS, FLOWS, patience)
    with pytest.raises(Failure) as caught:
        connections.connect(exchange(setting.link), setting.link, setting.state)
    assert (caught.value.reason, caught.value.detail) == (
        Reason.STORAGE_UNAVAILABLE,
        "EndpointConnectionError",
    )
    assert len(setting.pauses) > 5


def test_readers_ask_for_named_attributes_and_never_for_a_refresh_token(
    aws: AwsServer, setting: Setting
) -> None:
    setting.connect()
    setting.connections.read(setting.link.merchant_id, "prov-a", "shop-1")
    setting.connections.list(setting.link.merchant_id, Wanted(7))
    get, query = aws.asked("GetItem")[-1], aws.asked("Query")[-1]
    assert asked_for(get) == set(READER_ATTRIBUTES)
    assert asked_for(query) == set(LIST_ATTRIBUTES)
    assert query["Select"] == "SPECIFIC_ATTRIBUTES"
    assert get["ConsistentRead"] is query["ConsistentRead"] is True
    assert not [name for name in READER_ATTRIBUTES if "refresh" in name or "lease" in name]
    assert not [name for name in LIST_ATTRIBUTES if "access" in name]


def asked_for(request: dict[str, Any]) -> set[str]:
    return {
        request["ExpressionAttributeNames"][each.strip()]
        for each in request["ProjectionExpression"].split(",")
    }


def test_a_list_of_many_pages_is_whole(aws: AwsServer, setting: Setting) -> None:
    # DynamoDB ends a page at 1 MB, so eight rows of 300 kB need several.
    link = setting.link
    for number in range(8):
        state = a_state()
        DynamoFlows(aws.dynamodb(), FLOWS).burn(a_link(link.merchant_id, f"{link.jti}-{number}"), state, NOW)
        new = exchange(link, f"shop-{number}")
        tokens = new.tokens._replace(details={"note": "x" * 300_000})
        setting.connections.connect(
            new._replace(tokens=tokens), a_link(link.merchant_id, f"{link.jti}-{number}"), state
        )
    before = len(aws.asked("Query"))
    found = listed(setting.connections, link.merchant_id)
    assert [one.account_id for one in found] == [f"shop-{number}" for number in range(8)]
    assert len(aws.asked("Query")) - before > 1


def placed(aws: AwsServer, link: Link, number: int, status: str, filling: int = 0) -> None:
    """A row that another release, or a test, wrote."""
    row: dict[str, Any] = {
        "merchant_id": {"S": link.merchant_id},
        "connection": {"S": f"prov-a#shop-{number:03}"},
        "status": {"S": status},
        "scopes": {"L": []},
        "account_verified": {"BOOL": True},
        "details": {"M": {"note": {"S": "x" * filling}}},
        **{name: {"N": "1"} for name in ("generation", "version", "connected_at", "updated_at")},
    }
    aws.dynamodb().put_item(TableName=CONNECTIONS, Item=row)


def test_a_page_of_a_plain_list_is_one_query_that_reads_one_row_more(
    aws: AwsServer, setting: Setting
) -> None:
    for number in range(9):
        placed(aws, setting.link, number, "active")
    before = len(aws.asked("Query"))
    page = setting.connections.list(setting.link.merchant_id, Wanted(4))
    (query,) = aws.asked("Query")[before:]
    assert (query["Limit"], len(page.connections), page.after) == (5, 4, "prov-a#shop-003")


def test_a_filtered_page_ends_after_some_megabytes_and_says_where_to_go_on(
    aws: AwsServer, setting: Setting
) -> None:
    # Four rows of 250 kB are a page of DynamoDB's; ten of those are looked through.
    for number in range(45):
        placed(aws, setting.link, number, "disconnected" if number == 43 else "active", 250_000)
    before = len(aws.asked("Query"))
    wanted = Wanted(5, status=Status.DISCONNECTED)
    first = setting.connections.list(setting.link.merchant_id, wanted)
    assert len(aws.asked("Query")) - before == 10
    assert first.connections == ()
    assert first.after is not None
    rest = setting.connections.list(setting.link.merchant_id, wanted._replace(after=first.after))
    assert [one.account_id for one in rest.connections] == ["shop-043"]
    assert rest.after is None


def put(aws: AwsServer, link: Link, changes: dict[str, Any]) -> None:
    key = {"merchant_id": {"S": link.merchant_id}, "connection": {"S": "prov-a#shop-1"}}
    row: dict[str, Any] = dict(aws.dynamodb().get_item(TableName=CONNECTIONS, Key=key)["Item"])
    row.update(changes)
    kept = {name: value for name, value in row.items() if value is not None}
    aws.dynamodb().put_item(TableName=CONNECTIONS, Item=kept)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"status": {"S": "odd"}}, "unknown status"),
        ({"status": None}, "no usable attribute status"),
        ({"generation": {"S": "1"}}, "no usable attribute generation"),
        ({"version": {"N": "1.5"}}, "no usable attribute version"),
        ({"scopes": {"S": "read"}}, "no usable attribute scopes"),
        ({"scopes": {"L": [{"N": "1"}]}}, "no usable attribute scopes"),
        ({"account_verified": None}, "no usable attribute account_verified"),
        ({"details": {"M": {"k": {"N": "1"}}}}, "no usable attribute k"),
    ],
)
def test_a_row_of_another_shape_stops_the_request(
    aws: AwsServer, setting: Setting, changes: dict[str, Any], detail: str
) -> None:
    setting.connect()
    put(aws, setting.link, changes)
    for call in (
        lambda: setting.connections.read(setting.link.merchant_id, "prov-a", "shop-1"),
        lambda: setting.connections.list(setting.link.merchant_id, Wanted(7)),
    ):
        with pytest.raises(Failure) as caught:
            call()
        assert caught.value.reason is Reason.INTERNAL
        assert detail in caught.value.detail


def test_an_erased_token_is_none_and_a_lost_key_is_empty(aws: AwsServer, setting: Setting) -> None:
    setting.connect()
    put(aws, setting.link, {"access_key": None})
    found = setting.connections.read(setting.link.merchant_id, "prov-a", "shop-1")
    assert found is not None
    assert found.access is not None
    assert found.access.wrapped_key == b""
    put(aws, setting.link, {"access": None, "access_key": None, "last_error": {"S": "grant_lost"}})
    erased = setting.connections.read(setting.link.merchant_id, "prov-a", "shop-1")
    assert erased is not None
    assert (erased.access, erased.connection.last_error) == (None, "grant_lost")


@pytest.mark.parametrize("operation", ["GetItem", "Query"])
def test_a_table_that_cannot_be_read_is_said_by_its_code(
    aws: AwsServer, setting: Setting, operation: str
) -> None:
    calls: dict[str, Callable[[], object]] = {
        "GetItem": lambda: setting.connections.read("m", "prov-a", "shop-1"),
        "Query": lambda: setting.connections.list("m", Wanted(7)),
    }
    with aws.failing(Fault(operation, "ThrottlingException")), pytest.raises(Failure) as caught:
        calls[operation]()
    assert (caught.value.reason, caught.value.detail) == (Reason.STORAGE_UNAVAILABLE, "ThrottlingException")
