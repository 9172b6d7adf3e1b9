"""Update expressions, put together from named parts.

Every attribute name gets an alias (`#status`), because half of the usual words are reserved.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from mooring.adapters.items import Plain, attribute


class Update:
    """One conditional update of one row; `parameters` gives what DynamoDB wants.

    Unless it is told otherwise it returns nothing when it took place, and the row as it stands when its
    condition refused it.

    Args:
        table: the table's name.
        key: the row's key.
    """

    def __init__(self, table: str, key: Mapping[str, str]) -> None:
        self._table = table
        self._key = {name: attribute(value) for name, value in key.items()}
        self._clauses: dict[str, list[str]] = {"SET": [], "REMOVE": [], "ADD": []}
        self._names: dict[str, str] = {}
        self._values: dict[str, dict[str, Any]] = {}
        self._conditions: list[str] = []
        self._returning = ""
        self._tells = True

    def set(self, path: str, value: Plain | None) -> Self:
        """Set an attribute (or one inside a map: `slot.status`); None removes it."""
        if value is None:
            return self.remove(path)
        self._clauses["SET"].append(f"{self._path(path)} = {self._value(path, attribute(value))}")
        return self

    def copy(self, source: str, to: str) -> Self:
        """Set `to` to what `source` was before this update."""
        self._clauses["SET"].append(f"{self._path(to)} = {self._path(source)}")
        return self

    def count(self, name: str) -> Self:
        """Add one to a counter that starts at nought."""
        path, one, nought = (
            self._path(name),
            self._value("one", {"N": "1"}),
            self._value("nought", {"N": "0"}),
        )
        self._clauses["SET"].append(f"{path} = if_not_exists({path}, {nought}) + {one}")
        return self

    def begin(self, name: str, value: int) -> Self:
        """Set a number unless it is set already."""
        path = self._path(name)
        first = self._value(name, attribute(value))
        self._clauses["SET"].append(f"{path} = if_not_exists({path}, {first})")
        return self

    def append(self, name: str, entry: str) -> Self:
        """Add an entry to the end of a list that starts empty."""
        path, none = self._path(name), self._value("none", {"L": []})
        added = self._value(name, {"L": [{"S": entry}]})
        self._clauses["SET"].append(f"{path} = list_append(if_not_exists({path}, {none}), {added})")
        return self

    def include(self, name: str, member: str) -> Self:
        """Add a member to a set of strings."""
        self._clauses["ADD"].append(f"{self._path(name)} {self._value(name, {'SS': [member]})}")
        return self

    def remove(self, *paths: str) -> Self:
        """Remove attributes."""
        self._clauses["REMOVE"].extend(self._path(path) for path in paths)
        return self

    def when(self, condition: str, paths: tuple[str, ...], values: Mapping[str, Plain]) -> Self:
        """Let it happen only under `condition`, with its `paths` (`#slot.#status`) and `values` (`:now`).

        Of several conditions all must be met. Values that the update sets may be named too.
        """
        for path in paths:
            self._path(path)
        for name, value in values.items():
            self._value(name, attribute(value))
        self._conditions.append(f"({condition})")
        return self

    def at_most(self, name: str, most: int) -> Self:
        """Let it happen only while a number is absent or at most so much."""
        condition = f"attribute_not_exists(#{name}) OR #{name} <= :{name}_at_most"
        return self.when(condition, (name,), {f"{name}_at_most": most})

    def returning(self, what: Literal["ALL_OLD", "UPDATED_NEW"]) -> Self:
        """Return this of the row when it took place."""
        self._returning = what
        return self

    def silent(self) -> Self:
        """Return nothing when the condition refused it: to whoever may not see the row's sealed fields."""
        self._tells = False
        return self

    def parameters(self) -> dict[str, Any]:
        """The keyword arguments of `UpdateItem`, or the inside of an `Update` in a transaction."""
        clauses = (f"{verb} {', '.join(parts)}" for verb, parts in self._clauses.items() if parts)
        parameters: dict[str, Any] = {
            "TableName": self._table,
            "Key": self._key,
            "UpdateExpression": " ".join(clauses),
            "ExpressionAttributeNames": self._names,
        }
        if self._values:
            parameters["ExpressionAttributeValues"] = self._values
        if self._conditions:
            parameters["ConditionExpression"] = " AND ".join(self._conditions)
        if self._conditions and self._tells:
            parameters["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        if self._returning:
            parameters["ReturnValues"] = self._returning
        return parameters

    def _path(self, path: str) -> str:
        for name in path.split("."):
            self._names[f"#{name}"] = name
        return ".".join(f"#{name}" for name in path.split("."))

    def _value(self, path: str, value: dict[str, Any]) -> str:
        placeholder = ":" + path.replace(".", "_")
        if self._values.setdefault(placeholder, value) != value:
            raise ValueError(f"two values for {placeholder}")
        return placeholder
