"""Filter patterns of event source mappings, as far as templates here use them.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from local.template import TemplateError

_ABSENT = object()


def read_filters(name: str, criteria: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The patterns of `FilterCriteria`.

    Args:
        name: logical id of the mapping.
        criteria: as in the template.

    Raises:
        TemplateError: no JSON, or a rule that is not understood here.
    """
    try:
        patterns = tuple(json.loads(each["Pattern"]) for each in criteria.get("Filters", []))
    except (ValueError, KeyError) as error:
        raise TemplateError(f"{name}: a filter has no JSON pattern") from error
    for pattern in patterns:
        _check(name, pattern)
    return patterns


def passes(patterns: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> bool:
    """Whether a record matches one of the patterns; without any, every record does."""
    return not patterns or any(_matches(pattern, record) for pattern in patterns)


def _check(name: str, pattern: Mapping[str, Any]) -> None:
    for key, inner in pattern.items():
        if isinstance(inner, Mapping):
            _check(name, inner)
        elif not isinstance(inner, list) or not all(_is_known(rule) for rule in inner):
            raise TemplateError(f"{name}: the local stack does not know the filter of {key}: {inner}")


def _is_known(rule: object) -> bool:
    if isinstance(rule, Mapping):
        return list(rule) in (["exists"], ["prefix"])
    return not isinstance(rule, list)


def _matches(pattern: Mapping[str, Any], value: object) -> bool:
    """An `exists` speaks of leaves only, and what is not there has none."""
    for key, wanted in pattern.items():
        found = value.get(key, _ABSENT) if isinstance(value, Mapping) else _ABSENT
        if isinstance(wanted, Mapping):
            if not _matches(wanted, found):
                return False
        elif not any(_meets(rule, found) for rule in wanted):
            return False
    return True


def _meets(rule: object, found: object) -> bool:
    if not isinstance(rule, Mapping):
        return found is not _ABSENT and rule == found
    if "exists" in rule:
        leaf = found is not _ABSENT and not isinstance(found, Mapping)
        return leaf is bool(rule["exists"])
    return isinstance(found, str) and found.startswith(str(rule["prefix"]))
