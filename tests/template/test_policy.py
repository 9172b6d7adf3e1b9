"""The evaluator decides as AWS documents it; otherwise its answers about the template would prove nothing."""

import pytest

from tests.template.policy import Decision, PolicyError, Request, decide

ROLE = "arn:aws:iam::111122223333:role/r"
KEY = "arn:aws:kms:eu-central-1:111122223333:key/k"
ROOT = {"AWS": "arn:aws:iam::111122223333:root"}
ALLOW = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": KEY}
HANDED_OVER = {**ALLOW, "Principal": ROOT, "Resource": "*"}


def ask(**context: str) -> Request:
    return Request(ROLE, "kms:Decrypt", KEY, context)


def test_nothing_is_allowed_by_default() -> None:
    assert decide(ask(), []) is Decision.NOT_ALLOWED


def test_an_identity_policy_alone_does_not_open_a_key() -> None:
    assert decide(ask(), [ALLOW], []) is Decision.NOT_ALLOWED
    assert decide(ask(), [ALLOW], [HANDED_OVER]) is Decision.ALLOWED


def test_a_key_policy_that_hands_over_to_iam_allows_nobody_by_itself() -> None:
    assert decide(ask(), [], [HANDED_OVER]) is Decision.NOT_ALLOWED


def test_a_key_policy_that_names_the_principal_suffices() -> None:
    assert decide(ask(), [], [{**HANDED_OVER, "Principal": {"AWS": ROLE}}]) is Decision.ALLOWED


def test_another_accounts_principal_is_not_the_root() -> None:
    foreign = Request(ROLE.replace("111122223333", "999999999999"), "kms:Decrypt", KEY)
    assert decide(foreign, [ALLOW], [HANDED_OVER]) is Decision.NOT_ALLOWED


def test_an_explicit_denial_wins_over_every_permission() -> None:
    denial = {**HANDED_OVER, "Effect": "Deny", "Principal": "*"}
    assert decide(ask(), [ALLOW], [HANDED_OVER, denial]) is Decision.DENIED


@pytest.mark.parametrize(
    ("operator", "context", "matches"),
    [
        ("StringEquals", {}, False),
        ("StringEquals", {"field": "access"}, True),
        ("StringEquals", {"FIELD": "access"}, True),
        ("StringEquals", {"field": "Access"}, False),
        ("StringNotEquals", {}, True),
        ("StringNotEquals", {"field": "access"}, False),
        ("StringNotEquals", {"field": "refresh"}, True),
        ("ForAllValues:StringEquals", {}, True),
        ("StringEqualsIfExists", {}, True),
        ("StringEqualsIfExists", {"field": "access"}, True),
        ("StringEqualsIfExists", {"field": "refresh"}, False),
        ("ForAllValues:StringNotLike", {"field": "access"}, False),
        ("ForAllValues:StringNotLike", {"field": "refresh"}, True),
        ("ArnNotLike", {}, True),
    ],
)
def test_operators_and_absent_keys(operator: str, context: dict[str, str], matches: bool) -> None:
    statement = {**ALLOW, "Condition": {operator: {"field": "access"}}}
    assert (decide(ask(**context), [statement]) is Decision.ALLOWED) is matches


def test_null_asks_whether_a_key_is_there() -> None:
    statement = {**ALLOW, "Condition": {"Null": {"field": "false"}}}
    assert decide(ask(), [statement]) is Decision.NOT_ALLOWED
    assert decide(ask(field="x"), [statement]) is Decision.ALLOWED


def test_all_conditions_of_a_statement_must_hold() -> None:
    both = {**ALLOW, "Condition": {"StringEquals": {"a": "1"}, "StringLike": {"b": "2*"}}}
    assert decide(ask(a="1", b="3"), [both]) is Decision.NOT_ALLOWED
    assert decide(ask(a="1", b="23"), [both]) is Decision.ALLOWED


def test_an_unknown_operator_is_not_guessed() -> None:
    statement = {**ALLOW, "Condition": {"NumericLessThan": {"a": "1"}}}
    with pytest.raises(PolicyError, match="does not know NumericLessThan"):
        decide(ask(a="0"), [statement])
