"""Filter patterns: what Lambda lets through, and which patterns are refused here."""

import json
from typing import Any

import pytest

from local.filters import passes, read_filters
from local.template import TemplateError

ANNOUNCED = {"dynamodb": {"NewImage": {"announce": {"S": [{"exists": True}]}}}}


def criteria(*patterns: object) -> dict[str, Any]:
    return {"Filters": [{"Pattern": json.dumps(pattern)} for pattern in patterns]}


def record(**image: Any) -> dict[str, Any]:
    return {"eventName": "MODIFY", "dynamodb": {"NewImage": image}}


@pytest.mark.parametrize(
    ("pattern", "given", "right"),
    [
        (ANNOUNCED, record(announce={"S": "established"}), True),
        (ANNOUNCED, record(status={"S": "active"}), False),
        (ANNOUNCED, {"eventName": "REMOVE", "dynamodb": {"Keys": {}}}, False),
        (ANNOUNCED, record(announce={"M": {"S": {"S": "x"}}}), False),
        ({"dynamodb": {"NewImage": {"announce": {"S": [{"exists": False}]}}}}, record(), True),
        (
            {"dynamodb": {"NewImage": {"announce": {"S": [{"exists": False}]}}}},
            record(announce={"S": "x"}),
            False,
        ),
        ({"eventName": ["INSERT", "MODIFY"]}, record(), True),
        ({"eventName": ["REMOVE"]}, record(), False),
        ({"eventName": [{"prefix": "MOD"}]}, record(), True),
        ({"eventName": [{"prefix": "mod"}]}, record(), False),
        ({"eventName": ["MODIFY"], "other": ["x"]}, record(), False),
        ({"absent": [None]}, record(), False),
    ],
)
def test_a_pattern_lets_through_what_it_describes(pattern: Any, given: Any, right: bool) -> None:
    assert passes(read_filters("Source", criteria(pattern)), given) is right


def test_one_of_several_is_enough_and_without_any_everything_passes() -> None:
    several = read_filters("Source", criteria({"eventName": ["REMOVE"]}, {"eventName": ["MODIFY"]}))
    assert passes(several, record())
    assert passes(read_filters("Source", {}), record())


@pytest.mark.parametrize(
    "given",
    [
        {"Filters": [{"Pattern": "{"}]},
        {"Filters": [{}]},
        criteria({"eventName": [{"anything-but": "x"}]}),
        criteria({"eventName": "MODIFY"}),
        criteria({"dynamodb": {"NewImage": [["x"]]}}),
    ],
)
def test_what_is_not_understood_is_named(given: dict[str, Any]) -> None:
    with pytest.raises(TemplateError, match=r"Source: .*filter"):
        read_filters("Source", given)
