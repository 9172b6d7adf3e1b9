"""Update expressions, put together from named parts.

Every attribute name gets an alias (`#status`), because half of the usual words are reserved.
"""

from collections.abc import Mapping
from typing import Any, Self

from mooring.adapters.items import Plain, attribute


class Update:
    """One conditional update of one row; `parameters` gives what DynamoDB wants.

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
        self._condition = ""

    def set(self, path: str, value: Plain | None) -> Self:
        """Set an attribute (or one inside a map: `slot.status`); None removes it."""
        if value is None:
            return self.remove(path)
        self._clauses["SET"].append(f"{self._path(path)} = {self._value(path, attribute(value))}")
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

    def include(self, name: str, member: str) -> Self:
        """Add a member to a set of strings."""
        self._clauses["ADD"].append(f"{self._path(name)} {self._value(name, {'SS': [member]})}")
        return self

    def remove(self, *paths: str) -> Self:
        """Remove attributes."""
        self._clauses["REMOVE"].extend(self._path(path) for path in paths)
        return self

    def when(self, condition: str, paths: tuple[str, ...], values: Mapping[str, Plain]) -> Self:
        """Let it happen only under `condition`, with its `paths` (`#slot.#status`) and `values` (`:now`)."""
        for path in paths:
            self._path(path)
        for name, value in values.items():
            self._value(name, attribute(value))
        self._condition = condition
        return self

    def parameters(self) -> dict[str, Any]:
        """The keyword arguments of `UpdateItem`, or the inside of an `Update` in a transaction."""
        clauses = (f"{verb} {', '.join(parts)}" for verb, parts in self._clauses.items() if parts)
        parameters: dict[str, Any] = {
            "TableName": self._table,
            "Key": self._key,
            "UpdateExpression": " ".join(clauses),
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": self._values,
        }
        if self._condition:
            parameters["ConditionExpression"] = self._condition
            parameters["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return parameters

    def _path(self, path: str) -> str:
        for name in path.split("."):
            self._names[f"#{name}"] = name
        return ".".join(f"#{name}" for name in path.split("."))

    def _value(self, path: str, value: dict[str, Any]) -> str:
        placeholder = ":" + path.replace(".", "_")
        self._values[placeholder] = value
        return placeholder
