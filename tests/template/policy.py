"""A small evaluator of IAM and KMS policies, enough to ask: may this principal do this, in this context?

It follows the documented logic (an explicit denial wins; a key's policy must allow, or hand over to IAM, what
an identity policy then allows) for the operators that the template uses. It does not guess about any other.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

Statement = Mapping[str, Any]
NEGATED = frozenset({"StringNotEquals", "StringNotLike", "ArnNotLike", "ArnNotEquals"})


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
    matching = [s for s in (*identity, *named) if _matches(s, request)]
    if any(s["Effect"] == "Deny" for s in matching):
        return Decision.DENIED
    by_identity = any(_matches(s, request) for s in identity if s["Effect"] == "Allow")
    if resource is None:
        return Decision.ALLOWED if by_identity else Decision.NOT_ALLOWED
    allowing = [s for s in named if s["Effect"] == "Allow" and _matches(s, request)]
    direct = any(_names(s, request.principal) for s in allowing)
    return Decision.ALLOWED if direct or (allowing and by_identity) else Decision.NOT_ALLOWED


def _principals(statement: Statement) -> list[str]:
    principal = statement["Principal"]
    if principal == "*":
        return ["*"]
    return [name for value in principal.values() for name in _list(value)]


def _names(statement: Statement, principal: str) -> bool:
    return principal in _principals(statement)


def _principal_matches(statement: Statement, request: Request) -> bool:
    """Named itself, `*`, or the account's root, which stands for every principal of that account."""
    for name in _principals(statement):
        account = re.fullmatch(r"arn:aws:iam::(\d{12}):root", name)
        if name in ("*", request.principal) or (account and f"::{account[1]}:" in request.principal):
            return True
    return False


def _matches(statement: Statement, request: Request) -> bool:
    actions = [action.lower() for action in _list(statement["Action"])]
    return (
        any(_like(request.action.lower(), action) for action in actions)
        and any(_like(request.resource, pattern) for pattern in _list(statement["Resource"]))
        and all(
            _condition(operator, key, _list(wanted), request)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _condition(operator: str, key: str, wanted: list[str], request: Request) -> bool:
    present = request.values(key)
    every, _, name = operator.rpartition(":")
    if name == "Null":
        return (present is None) == (wanted == ["true"])
    if every == "ForAllValues":
        return all(_one(name, value, wanted) for value in present or ())
    if every:
        raise AssertionError(f"this evaluator does not know {operator}")
    if present is None:
        # A negated operator also matches a key that is not there; every other one does not.
        return name in NEGATED
    if len(present) != 1:
        raise AssertionError(f"{key} has several values, so {operator} needs ForAllValues or ForAnyValue")
    return _one(name, present[0], wanted)


def _one(operator: str, value: str, wanted: list[str]) -> bool:
    match operator:
        case "StringEquals" | "ArnEquals" | "ArnLike" | "StringLike":
            exact = operator == "StringEquals"
            return any(value == item if exact else _like(value, item) for item in wanted)
        case "StringNotEquals":
            return value not in wanted
        case "ArnNotLike" | "ArnNotEquals" | "StringNotLike":
            return not any(_like(value, item) for item in wanted)
    raise AssertionError(f"this evaluator does not know {operator}")


def _like(value: str, pattern: str) -> bool:
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


def _list(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
