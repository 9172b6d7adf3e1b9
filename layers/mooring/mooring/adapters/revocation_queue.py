"""The queue of revocations: sealed tokens of generations that are gone, on their way to their provider.

A message holds ciphertext and names, nothing that opens without KMS. Writing and reading stand side by
side, because a worker of a later release reads what this one wrote; a change to the shape raises
`SCHEMA`, and `parse` goes on reading the old one.
"""

from mooring.adapters.message_fields import (
    dump,
    key,
    load,
    malformed,
    number,
    sealed,
    sealed_or_none,
    text,
    text_map,
    written,
)
from mooring.adapters.sqs_queue import SqsQueue
from mooring.core.revocation import Revocation

SCHEMA = 1
KIND = "revocation"
MAX_BYTES = 262_144


class SqsRevocations(SqsQueue):
    """The queue of revocations in SQS."""

    def ask(self, revocation: Revocation) -> None:
        """Queue it (ciphertext only). Raises `Failure(STORAGE_UNAVAILABLE)`."""
        self._send(message(revocation))


def message(revocation: Revocation) -> str:
    """The body of a message: one JSON object."""
    body = {
        "schema": SCHEMA,
        "kind": KIND,
        **revocation.key._asdict(),
        "generation": revocation.generation,
        "access": written(revocation.access),
        "refresh": written(revocation.refresh),
        "details": dict(revocation.details),
    }
    return dump(body)


def parse(body: str) -> Revocation:
    """Read a message's body.

    Raises:
        Failure: MESSAGE_MALFORMED for a message of another schema, kind or shape.
    """
    data = load(body, MAX_BYTES)
    if (number(data, "schema"), text(data, "kind")) != (SCHEMA, KIND):
        malformed("the schema or the kind is unknown")
    return Revocation(
        key=key(data),
        generation=number(data, "generation"),
        access=sealed(data, "access"),
        refresh=sealed_or_none(data, "refresh"),
        details=tuple(text_map(data, "details").items()),
    )
