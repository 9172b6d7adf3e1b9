"""What is missing and what is too much is found, also where a policy hides it."""

from typing import Any

import pytest

from tests.iam.asked import Ask
from tests.iam.roles import Grant, Roles, Value, table
from tests.template.policy import Decision, Request

ROLE = "arn:aws:iam::111122223333:role/r"
TABLE, OTHER, QUEUE, KEY = "arn:t", "arn:o", "arn:q", "arn:k"
READ = {"Sid": "Read", "Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:Query"], "Resource": TABLE}
SEND = {"Sid": "Send", "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": [QUEUE, OTHER]}
ROOT = {"AWS": "arn:aws:iam::111122223333:root"}
OVER_TLS = {
    "Sid": "Tls",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "sqs:SendMessage",
    "Resource": QUEUE,
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


def roles(*statements: dict[str, Any], **guards: list[dict[str, Any]]) -> Roles:
    return Roles({ROLE: statements}, {f"arn:{name}": guard for name, guard in guards.items()})


def ask(action: str, resource: str = TABLE, times: int = 1) -> Ask:
    return Ask(Request(ROLE, action, resource), "called", times)


GET, QUERY, SENT = ask("dynamodb:GetItem"), ask("dynamodb:Query", times=4), ask("sqs:SendMessage", QUEUE)


def test_nothing_is_refused_that_is_allowed() -> None:
    assert roles(READ, SEND).refused([GET, QUERY, SENT]) == []
    assert roles(READ).refused([GET, SENT]) == [SENT]


def test_what_is_allowed_and_not_asked_for_is_named() -> None:
    assert roles(READ, SEND).unused([GET, SENT]) == [
        Grant(ROLE, "Read", "dynamodb:Query", TABLE),
        Grant(ROLE, "Send", "sqs:SendMessage", OTHER),
    ]


def test_uses_are_counted_per_action_and_resource() -> None:
    used = roles(READ, SEND).used([GET, QUERY, SENT, SENT])
    assert used == {
        Grant(ROLE, "Read", "dynamodb:GetItem", TABLE): 1,
        Grant(ROLE, "Read", "dynamodb:Query", TABLE): 4,
        Grant(ROLE, "Send", "sqs:SendMessage", QUEUE): 2,
    }


def test_the_table_tells_all_of_it() -> None:
    some = roles(READ, SEND)
    lines = table(some.used([GET, QUERY]), some.grants()).splitlines()
    assert [line.split()[-1] for line in lines] == ["calls", "1", "4", "0", "0"]


@pytest.mark.parametrize(
    "open_one",
    [
        {"Action": "dynamodb:*", "Resource": TABLE},
        {"Action": "dynamodb:Get?tem", "Resource": TABLE},
        {"Action": "dynamodb:GetItem", "Resource": "*"},
        {"NotAction": "dynamodb:Scan", "Resource": TABLE},
        {"Action": "dynamodb:GetItem", "NotResource": OTHER},
    ],
)
def test_a_permission_that_says_more_than_any_call_is_never_used(open_one: dict[str, str]) -> None:
    some = roles({"Sid": "Open", "Effect": "Allow", **open_one})
    assert some.refused([GET]) == []
    assert len(some.unused([GET])) == 1


def test_a_call_that_something_denies_uses_nothing() -> None:
    denied = {"Sid": "No", "Effect": "Deny", "Action": "dynamodb:GetItem", "Resource": TABLE}
    assert roles(READ, denied).used([GET, QUERY]) == {Grant(ROLE, "Read", "dynamodb:Query", TABLE): 4}


def test_a_permission_can_be_taken_away_alone() -> None:
    some = roles(READ, SEND)
    less = some.without(Grant(ROLE, "Send", "sqs:SendMessage", QUEUE))
    assert less.refused([GET, SENT, ask("sqs:SendMessage", OTHER)]) == [SENT]
    less = some.without(Grant(ROLE, "Read", "dynamodb:Query", TABLE))
    assert less.refused([GET, QUERY, SENT]) == [QUERY]


def test_what_another_statement_allows_as_well_is_not_missed() -> None:
    twice = roles(READ, {**READ, "Sid": "Again", "Action": "dynamodb:GetItem"})
    assert not twice.misses(Grant(ROLE, "Read", "dynamodb:GetItem", TABLE), [GET, QUERY])
    assert not twice.misses(Grant(ROLE, "Again", "dynamodb:GetItem", TABLE), [GET, QUERY])
    assert twice.misses(Grant(ROLE, "Read", "dynamodb:Query", TABLE), [GET, QUERY])


def test_a_value_of_a_condition_can_be_too_many() -> None:
    narrow = {"ForAllValues:StringEquals": {"dynamodb:Attributes": ["a", "b"]}}
    some = roles({**READ, "Condition": narrow})
    a, b = some.values()
    assert a == Value(ROLE, "Read", "ForAllValues:StringEquals", "dynamodb:Attributes", "a")
    asked = [Ask(Request(ROLE, "dynamodb:GetItem", TABLE, {"dynamodb:Attributes": ["a"]}), "called")]
    assert (some.misses(a, asked), some.misses(b, asked)) == (True, False)


def test_actions_can_be_added() -> None:
    more = roles(READ).with_actions(ROLE, "Read", ["dynamodb:Scan"])
    assert more.unused([GET, QUERY]) == [Grant(ROLE, "Read", "dynamodb:Scan", TABLE)]


def test_a_key_must_agree_and_a_queue_may_refuse() -> None:
    use = {"Sid": "Use", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": KEY}
    request = Request(ROLE, "kms:Decrypt", KEY)
    assert roles(use, k=[]).decide(request) is Decision.NOT_ALLOWED
    assert roles(use, k=[{**use, "Principal": ROOT}]).decide(request) is Decision.ALLOWED
    guarded = roles(SEND, q=[OVER_TLS])
    for transport, decision in (("true", Decision.ALLOWED), ("false", Decision.DENIED)):
        context = {"aws:SecureTransport": transport}
        assert guarded.decide(Request(ROLE, "sqs:SendMessage", QUEUE, context)) is decision
