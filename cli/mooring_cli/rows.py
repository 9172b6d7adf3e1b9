"""Reading a whole table, page by page: with named attributes only where no sealed field is wanted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError


def scan(
    client: Any, table: str, attributes: Sequence[str], step: Callable[[int], None] = lambda _rows: None
) -> Iterator[dict[str, Any]]:
    """Every row, page by page. Raises botocore's errors.

    Args:
        client: a DynamoDB client.
        table: the table's name.
        attributes: what to read of each row.
        step: told how many rows each page had.
    """
    # By placeholder, because some of the names are words that DynamoDB keeps for itself.
    names = {f"#{number}": name for number, name in enumerate(attributes)}
    pages = client.get_paginator("scan").paginate(
        TableName=table, ProjectionExpression=", ".join(names), ExpressionAttributeNames=names
    )
    for page in pages:
        yield from ({name: _plain(value) for name, value in item.items()} for item in page["Items"])
        step(len(page["Items"]))


def pages(
    client: Any,
    table: str,
    attributes: Sequence[str],
    step: Callable[[int], None] = lambda _rows: None,
    **more: Any,
) -> Iterator[list[dict[str, Any]]]:
    """Every row as DynamoDB writes it, page by page, read consistently. Raises botocore's errors.

    Args:
        client: a DynamoDB client.
        table: the table's name.
        attributes: what to read of each row; nothing named means whole rows.
        step: told how many rows were read for each page, once whoever asked is done with it.
        more: further parameters of the scan, such as a filter.
    """
    if attributes:
        names = {f"#{name}": name for name in attributes}
        more["ProjectionExpression"] = ", ".join(names)
        more["ExpressionAttributeNames"] = {**names, **more.get("ExpressionAttributeNames", {})}
    for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True, **more):
        yield page["Items"]
        step(page["ScannedCount"])


def about(client: Any, table: str) -> int | None:
    """How many rows a table had some hours ago, which is good enough for a bar; None where nobody tells."""
    try:
        return int(client.describe_table(TableName=table)["Table"]["ItemCount"])
    except (BotoCoreError, ClientError):
        return None


def _plain(value: Mapping[str, Any]) -> Any:
    """A typed attribute value as a Python value; lists are lists of texts."""
    kind, content = next(iter(value.items()))
    if kind == "N":
        return int(content)
    if kind == "L":
        return [_plain(entry) for entry in content]
    if kind == "M":
        return {name: _plain(entry) for name, entry in content.items()}
    return None if kind == "NULL" else content
