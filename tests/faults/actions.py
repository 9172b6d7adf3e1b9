"""What can go wrong between Mooring and whom it calls, one value for each.

Where it says *forwarded*, the other side gets the request and does its work; where it says *not forwarded*,
it never hears of it. An *answer* is the whole of it: status line, headers, body.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Delay:
    """Forwarded `seconds` late, even when the caller has hung up by then: a slow network does the same."""

    seconds: float


@dataclass(frozen=True)
class DelayAnswer:
    """Forwarded at once; the whole answer comes `seconds` late."""

    seconds: float


@dataclass(frozen=True)
class BlackHole:
    """Not forwarded, and never answered: the connection stays open until the caller gives up."""


@dataclass(frozen=True)
class Drip:
    """Forwarded; the answer comes at so many bytes a second."""

    bytes_per_second: float


@dataclass(frozen=True)
class Cut:
    """Forwarded; the connection ends in an orderly way after so many bytes of the answer."""

    after_bytes: int


@dataclass(frozen=True)
class Reset:
    """Not forwarded; the connection is reset (TCP RST)."""


@dataclass(frozen=True)
class LoseAnswer:
    """Forwarded, and answered to the last byte; the caller sees a reset (TCP RST) instead."""


@dataclass(frozen=True)
class Respond:
    """Not forwarded; this answer instead."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)


@dataclass(frozen=True)
class Garble:
    """Forwarded; the answer is a 200 with this body, whatever it was."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)


@dataclass(frozen=True)
class TooBig:
    """A 200 with a JSON body of so many bytes. Not forwarded, unless `forward`."""

    n_bytes: int = 10_000_000
    forward: bool = False


@dataclass(frozen=True)
class GzipBomb:
    """A 200 with some kilobytes that unpack to `n_bytes` of JSON. Not forwarded, unless `forward`."""

    n_bytes: int = 100_000_000
    forward: bool = False


@dataclass(frozen=True)
class EndlessChunks:
    """A 200 whose chunks (RFC 9112 7.1) never end. Not forwarded, unless `forward`."""

    forward: bool = False


@dataclass(frozen=True)
class RedirectLoop:
    """A redirect to where the caller is already. Not forwarded."""

    status: int = 302


@dataclass(frozen=True)
class AwsError:
    """Not forwarded; an error as AWS's JSON protocols write it."""

    status: int
    code: str


@dataclass(frozen=True)
class AwsErrorAfter:
    """Forwarded, so that a write took place; the caller is told of this error all the same."""

    status: int
    code: str


@dataclass(frozen=True)
class Hold:
    """Everything stops until `gate` is set: `before` it is forwarded, or `after` it was answered.

    A request whose caller is gone by then is not forwarded any more.
    """

    when: Literal["before", "after"]
    gate: threading.Event


type Action = (
    Delay
    | DelayAnswer
    | BlackHole
    | Drip
    | Cut
    | Reset
    | LoseAnswer
    | Respond
    | Garble
    | TooBig
    | GzipBomb
    | EndlessChunks
    | RedirectLoop
    | AwsError
    | AwsErrorAfter
    | Hold
)
