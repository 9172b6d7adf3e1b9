"""Which attributes DynamoDB's expressions name.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
"""

import re
from collections.abc import Mapping
from typing import Any

#: A name that begins a path: not what follows a dot, nor a placeholder of a value.
_HEAD = re.compile(r"(?<![\w:#.])#?[A-Za-z_]\w*")
_WORDS = frozenset(
    {"set", "remove", "add", "delete", "and", "or", "not", "in", "between"}
    | {"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size"}
    | {"if_not_exists", "list_append"}
)


def attributes_in(expression: str, names: Mapping[str, str]) -> set[str]:
    """The attributes that an expression names; of a path (`#a.#b`) the outermost.

    Args:
        expression: of any kind.
        names: what its aliases stand for.
    """
    heads = _HEAD.findall(expression)
    return {names[head] if head.startswith("#") else head for head in heads if head.lower() not in _WORDS}


def partition_value(query: Mapping[str, Any], partition: str) -> str:
    """The value of the partition key that a Query asks for.

    Raises:
        AssertionError: the condition does not name it as an equality.
    """
    names, values = query.get("ExpressionAttributeNames", {}), query["KeyConditionValues"]
    for name, value in re.findall(r"(#?\w+)\s*=\s*(:\w+)", query["KeyConditionExpression"]):
        if names.get(name, name) == partition:
            return str(next(iter(values[value].values())))
    raise AssertionError(f"a query does not say which {partition} it wants")
