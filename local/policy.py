"""A small evaluator of IAM and KMS policies, enough to ask: may this principal do this, in this context?

It follows the documented logic (an explicit denial wins; a key's policy must allow, or hand over to IAM, what
an identity policy then allows) for the elements, operators and variables that policies like ours use. It does
not guess about any other: it raises.
Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

Statement = Mapping[str, Any]
NEGATED = frozenset({"StringNotEquals", "StringNotLike", "ArnNotLike", "ArnNotEquals"})
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_TAG = "aws:PrincipalTag/"
_ELEMENTS = frozenset(
    {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)


class PolicyError(Exception):
    """A policy has something that this evaluator does not know; the message says what."""


class Decision(Enum):
    """What a request comes to."""

    ALLOWED = "allowed"
    DENIED = "explicitly denied"
    NOT_ALLOWED = "not allowed by anything"


class Request(NamedTuple):
    """One request to AWS. `context` holds condition keys with one text or several."""

    principal: str
    action: str
    resource: str
    context: Mapping[str, str | Sequence[str]] = {}

    def values(self, key: str) -> list[str] | None:
        """The values of a condition key (their names do not distinguish case), None when it is absent."""
        known: dict[str, str | Sequence[str]] = {"aws:PrincipalArn": self.principal, **self.context}
        for name, value in known.items():
            if name.lower() == key.lower():
                return [value] if isinstance(value, str) else list(value)
        return None


def decide(
    request: Request, identity: Sequence[Statement], resource: Sequence[Statement] | None = None
) -> Decision:
    """Decide a request of a principal in the same account.

    Args:
        request: what is asked.
        identity: statements of the principal's own policies.
        resource: statements of the resource's policy where access needs one (a KMS key), else None.
    """
    named = [s for s in resource or () if _principal_matches(s, request)]
    matching = [s for s in (*identity, *named) if matches(s, request)]
    if any(s["Effect"] == "Deny" for s in matching):
        return Decision.DENIED
    by_identity = any(matches(s, request) for s in identity if s["Effect"] == "Allow")
    if resource is None:
        return Decision.ALLOWED if by_identity else Decision.NOT_ALLOWED
    allowing = [s for s in named if s["Effect"] == "Allow" and matches(s, request)]
    direct = any(_names(s, request.principal) for s in allowing)
    return Decision.ALLOWED if direct or (allowing and by_identity) else Decision.NOT_ALLOWED


def _principals(statement: Statement) -> list[str]:
    principal = statement["Principal"]
    if principal == "*":
        return ["*"]
    return [name for value in principal.values() for name in listed(value)]


def _names(statement: Statement, principal: str) -> bool:
    return principal in _principals(statement)


def _principal_matches(statement: Statement, request: Request) -> bool:
    """Named itself, `*`, or the account's root, which stands for every principal of that account."""
    for name in _principals(statement):
        account = re.fullmatch(r"arn:aws:iam::(\d{12}):root", name)
        if name in ("*", request.principal) or (account and f"::{account[1]}:" in request.principal):
            return True
    return False


def matches(statement: Statement, request: Request) -> bool:
    """Whether a statement, whoever it is for, speaks of what is asked and all its conditions hold.

    Raises:
        PolicyError: it has an element, an operator or a variable that this evaluator does not know.
    """
    if unknown := statement.keys() - _ELEMENTS:
        raise PolicyError(f"this evaluator does not know {', '.join(sorted(unknown))}")
    if any("${" in pattern for pattern in listed(statement.get("NotResource", []))):
        raise PolicyError("this evaluator does not know policy variables in NotResource")
    action = request.action.lower()
    return (
        _meant(statement, "Action", lambda pattern: like(action, pattern.lower()))
        and _meant(statement, "Resource", lambda pattern: _fits(request.resource, pattern, request))
        and all(
            _condition(operator, key, listed(wanted), request)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _meant(statement: Statement, element: str, fits: Callable[[str], bool]) -> bool:
    """Whether `Action` or `Resource` names it, or `NotAction` or `NotResource` does not."""
    if element in statement:
        return any(fits(pattern) for pattern in listed(statement[element]))
    return not any(fits(pattern) for pattern in listed(statement[f"Not{element}"]))


def _condition(operator: str, key: str, wanted: list[str], request: Request) -> bool:
    present = request.values(key)
    filled = [_filled(item, request) for item in wanted]
    wanted = [item for item in filled if item is not None]
    every, _, name = operator.rpartition(":")
    if name.endswith("IfExists"):
        if present is None:
            return True
        name = name.removesuffix("IfExists")
    if name == "Null":
        return (present is None) == (wanted == ["true"])
    if None in filled and name in NEGATED:
        raise PolicyError(f"this evaluator does not know {operator} with a tag that is not there")
    if every == "ForAllValues":
        return all(_one(name, value, wanted) for value in present or ())
    if every == "ForAnyValue":
        return any(_one(name, value, wanted) for value in present or ())
    if every:
        raise PolicyError(f"this evaluator does not know {operator}")
    if present is None:
        # A negated operator also matches a key that is not there; every other one does not.
        return name in NEGATED
    if len(present) != 1:
        raise PolicyError(f"{key} has several values, so {operator} needs ForAllValues or ForAnyValue")
    return _one(name, present[0], wanted)


def _one(operator: str, value: str, wanted: list[str]) -> bool:
    match operator:
        case "StringEquals" | "ArnEquals" | "ArnLike" | "StringLike":
            exact = operator == "StringEquals"
            return any(value == item if exact else like(value, item) for item in wanted)
        case "Bool":
            return value.lower() in [item.lower() for item in wanted]
        case "StringNotEquals":
            return value not in wanted
        case "ArnNotLike" | "ArnNotEquals" | "StringNotLike":
            return not any(like(value, item) for item in wanted)
    raise PolicyError(f"this evaluator does not know {operator}")


def _fits(resource: str, pattern: str, request: Request) -> bool:
    filled = _filled(pattern, request)
    return filled is not None and like(resource, filled)


def _filled(text: str, request: Request) -> str | None:
    """`text` with the principal's tags in place of their variables; None when one of them is not there.

    Raises:
        PolicyError: another variable, or a tag with a sign that AWS allows in none and a pattern would read.
    """
    for name in _VARIABLE.findall(text):
        values = request.values(name) if name.startswith(_TAG) else None
        if not name.startswith(_TAG) or (values and any(sign in values[0] for sign in "*?$")):
            raise PolicyError(f"this evaluator does not know policy variables like {name}")
        if not values:
            return None
        text = text.replace(f"${{{name}}}", values[0])
    return text


def like(value: str, pattern: str) -> bool:
    """Whether a text fits a pattern with `*` and `?`."""
    return _pattern(pattern).fullmatch(value) is not None


@functools.cache
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.compile("".join(parts), re.DOTALL)


def listed(value: Any) -> list[str]:
    """One text or several, as a list."""
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
