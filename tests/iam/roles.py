"""The policies of all roles against everything that was asked of them: what is missing, what is too much."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

from tests.iam.asked import Ask
from tests.template.policy import Decision, Request, Statement, decide, listed, matches


class Grant(NamedTuple):
    """One action on one resource, as a statement of a role allows it."""

    principal: str
    sid: str
    action: str
    resource: str


class Value(NamedTuple):
    """One of several values of a condition of a statement."""

    principal: str
    sid: str
    operator: str
    key: str
    value: str


class Roles:
    """Policies of roles, and of what guards itself.

    Args:
        roles: statements by the role's ARN; each has a `Sid` of its own in its role.
        resources: statements of key and queue policies by ARN.
    """

    def __init__(
        self, roles: Mapping[str, Sequence[Statement]], resources: Mapping[str, Sequence[Statement]]
    ) -> None:
        self._roles = roles
        self._resources = resources

    def decide(self, request: Request) -> Decision:
        """Decide one request. A key's policy must allow as well; a queue's can only deny."""
        identity, guard = self._roles[request.principal], self._resources.get(request.resource)
        if guard is None:
            assert not request.action.startswith("kms:"), f"{request.resource} is no key of ours"
            return decide(request, identity)
        if request.action.startswith("kms:"):
            return decide(request, identity, guard)
        assert all((each["Effect"], each["Principal"]) == ("Deny", "*") for each in guard)
        return decide(request, [*identity, *guard])

    def refused(self, asks: Iterable[Ask]) -> list[Ask]:
        """Those that would not be allowed."""
        return [ask for ask in asks if self.decide(ask.request) is not Decision.ALLOWED]

    def grants(self) -> list[Grant]:
        """Everything that the roles allow, in the order of the policies.

        What does not name its actions and resources stands here as it is written, and no call can use it.
        """
        return [
            grant for principal, statements in self._roles.items() for grant in _grants(principal, statements)
        ]

    def values(self) -> list[Value]:
        """Every value of conditions that list several, of which one at a time may be too many."""
        return [
            Value(principal, each["Sid"], operator, key, value)
            for principal, statements in self._roles.items()
            for each in statements
            for operator, keys in each.get("Condition", {}).items()
            for key, wanted in keys.items()
            for value in listed(wanted)
            if len(listed(wanted)) > 1
        ]

    def used(self, asks: Iterable[Ask]) -> Counter[Grant]:
        """How many of what was asked each grant allowed."""
        found = Counter[Grant]()
        alone = [(grant, self._alone(grant)) for grant in self.grants() if not _is_open(grant)]
        for ask in asks:
            if self.decide(ask.request) is Decision.ALLOWED:
                for grant, statement in alone:
                    if grant.principal == ask.request.principal and matches(statement, ask.request):
                        found[grant] += ask.times
        return found

    def unused(self, asks: Iterable[Ask]) -> list[Grant]:
        """What is allowed and nobody asked for."""
        found = self.used(asks)
        return [grant for grant in self.grants() if not found[grant]]

    def misses(self, part: Grant | Value, asks: Iterable[Ask]) -> bool:
        """Whether something that was asked would be refused, were this part of the policies not there."""
        (statement,) = [each for each in self._roles[part.principal] if each["Sid"] == part.sid]
        less = self.without(part) if isinstance(part, Grant) else self.without_value(part)
        # To take from a statement that allows touches only what it speaks of.
        return any(
            less.decide(ask.request) is not Decision.ALLOWED
            for ask in asks
            if ask.request.principal == part.principal and matches(statement, ask.request)
        )

    def without(self, grant: Grant) -> Self:
        """The same roles less one action on one resource."""

        def split(statement: Statement) -> Iterator[Statement]:
            actions = [action for action in listed(statement["Action"]) if action != grant.action]
            resources = [arn for arn in listed(statement["Resource"]) if arn != grant.resource]
            if actions:
                yield {**statement, "Action": actions}
            if resources:
                yield {**statement, "Action": grant.action, "Resource": resources}

        return self._changed(grant.principal, grant.sid, split)

    def without_value(self, value: Value) -> Self:
        """The same roles with one value less in one condition."""

        def narrow(statement: Statement) -> Iterator[Statement]:
            conditions: dict[str, dict[str, Any]] = {**statement["Condition"]}
            left = [item for item in listed(conditions[value.operator][value.key]) if item != value.value]
            conditions[value.operator] = {**conditions[value.operator], value.key: left}
            yield {**statement, "Condition": conditions}

        return self._changed(value.principal, value.sid, narrow)

    def with_actions(self, principal: str, sid: str, actions: Sequence[str]) -> Self:
        """The same roles with more actions in one statement."""
        return self._changed(
            principal,
            sid,
            lambda statement: iter([{**statement, "Action": [*listed(statement["Action"]), *actions]}]),
        )

    def _changed(self, principal: str, sid: str, change: Any) -> Self:
        statements = [
            new for old in self._roles[principal] for new in (change(old) if old["Sid"] == sid else [old])
        ]
        return type(self)({**self._roles, principal: statements}, self._resources)

    def _alone(self, grant: Grant) -> Statement:
        """The statement of a grant, cut down to it."""
        (found,) = [each for each in self._roles[grant.principal] if each["Sid"] == grant.sid]
        return {**found, "Action": grant.action, "Resource": grant.resource}


def table(used: Mapping[Grant, int], grants: Sequence[Grant]) -> str:
    """Who may do what, and how often that was used, as text to read."""
    rows = [("role", "statement", "action", "on", "calls")]
    rows += [
        (
            grant.principal.rpartition("/")[2],
            grant.sid,
            grant.action,
            _short(grant.resource),
            str(used.get(grant, 0)),
        )
        for grant in grants
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )


def _grants(principal: str, statements: Sequence[Statement]) -> Iterator[Grant]:
    for each in statements:
        if each["Effect"] == "Allow":
            for action in listed(each.get("Action", f"all but {each.get('NotAction')}")):
                for resource in listed(each.get("Resource", f"all but {each.get('NotResource')}")):
                    yield Grant(principal, each["Sid"], action, resource)


def _is_open(grant: Grant) -> bool:
    """Whether it allows more than one action, so that no call can show that all of it is needed."""
    return any(sign in grant.action for sign in "*?") or grant.resource == "*" or "all but" in str(grant)


def _short(arn: str) -> str:
    return arn.split(":", 5)[-1]
