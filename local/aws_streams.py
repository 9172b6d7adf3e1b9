"""The simulated AWS's table streams, made fit for a stack that runs for weeks.

moto keeps every record for ever, and copies all of them with each transaction, to be able to undo it. Here
only the latest are kept, and a copy shares them: nobody changes a record once it is written.
"""

from typing import Any

KEPT = 5_000
"""Records that are kept; whoever reads once a second is never so far behind."""


def install() -> None:
    """Let tables that are made from now on have such a stream."""
    from moto.dynamodb.models import table

    class Shard(table.StreamShard):
        """A shard that forgets its oldest records, and is cheap to copy."""

        def __deepcopy__(self, memo: dict[int, Any]) -> "Shard":
            copied = object.__new__(type(self))
            memo[id(self)] = copied
            copied.__dict__.update(self.__dict__)
            copied.items = list(self.items)
            # The copy belongs to the table that is being copied.
            copied.table = memo.get(id(self.table), self.table)
            return copied

        def add(self, old: Any, new: Any) -> None:
            kind: str = (self.table.stream_specification or {})["StreamViewType"]
            name = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
            number = self.starting_sequence_number + len(self.items)
            self.items.append(table.StreamRecord(self.table, kind, name, old, new, number))
            if len(self.items) > 2 * KEPT:
                self.items = self.items[KEPT:]
                self.starting_sequence_number += KEPT

        def get(self, start: int, quantity: int) -> list[dict[str, Any]]:
            first = max(0, start - self.starting_sequence_number)
            return [item.to_json() for item in self.items[first : first + quantity]]

    table.StreamShard = Shard  # type: ignore[misc]
