"""What an import may take over of what stands there already, as DynamoDB wants it written."""

import re

import pytest

from mooring.adapters.operator_transitions import Moved, imported, says_given_up
from mooring.core.connection import Connection, Status
from mooring.core.tokens import SealedField, SealedTokens
from tests.adapters.test_expression_rules import assigned, expressions, redundant

NOW = 1_790_000_000
FOUND = Connection(
    merchant_id="m-1",
    provider="prov-a",
    account_id="shop-1",
    status=Status.ACTIVE,
    generation=2,
    version=4,
    scopes=("read",),
    expires_at=NOW + 60,
    connected_at=NOW - 900,
    updated_at=NOW - 300,
    account_verified=True,
    last_error=None,
    details={},
    issued_at=NOW - 600,
)
TOKENS = SealedTokens(SealedField(b"1", b"2"), SealedField(b"3", b"4"), ("read",), None, None, {})
REFUSED = FOUND._replace(status=Status.NEEDS_RECONNECT, last_error="grant_refused")
UNREADABLE = REFUSED._replace(last_error="token_unreadable")
ENDED = FOUND._replace(status=Status.DISCONNECTED, expires_at=None, issued_at=None)
MOVED = {
    "lives": Moved(FOUND, TOKENS, NOW, None),
    "in doubt": Moved(FOUND, TOKENS, NOW, None, True),
    "in doubt, of an earlier release": Moved(FOUND._replace(issued_at=None), TOKENS, NOW, None, True),
    "refused": Moved(REFUSED, TOKENS, None, None),
    "refused, of an earlier release": Moved(REFUSED._replace(issued_at=None), None, None, None),
    "unreadable": Moved(UNREADABLE, None, None, None),
    "ended": Moved(ENDED, None, None, None),
}


@pytest.mark.parametrize("case", MOVED)
def test_each_expression_is_one_that_dynamodb_takes(case: str) -> None:
    update = imported("t", MOVED[case], NOW).parameters()
    used = set(re.findall(r"[#:]\w+", expressions(update)))
    assert used == {*update["ExpressionAttributeNames"], *update["ExpressionAttributeValues"]}
    assert not redundant(update["ConditionExpression"])
    paths = assigned(update)
    assert sorted(paths) == sorted(set(paths))


def test_nothing_but_an_end_a_refusal_and_a_doubt_is_news_of_what_stands_there() -> None:
    conditions = {
        case: imported("t", moved, NOW).parameters()["ConditionExpression"] for case, moved in MOVED.items()
    }
    plain = conditions["lives"]
    assert conditions["unreadable"] == plain
    assert {case for case, condition in conditions.items() if condition != plain} == {
        *MOVED.keys() - {"lives", "unreadable"}
    }
    assert [says_given_up(each) for each in (FOUND, REFUSED, UNREADABLE, ENDED)] == [
        False,
        True,
        False,
        False,
    ]


def test_what_ended_keeps_the_time_of_its_end() -> None:
    for case, at in (("ended", ENDED.updated_at), ("lives", NOW), ("refused", NOW)):
        values = imported("t", MOVED[case], NOW).parameters()["ExpressionAttributeValues"]
        assert values[":updated_at"] == {"N": str(at)}
