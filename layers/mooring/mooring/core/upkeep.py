"""What keeping a connection alive is made of: orders, leases, and what became of them.

Times are epoch seconds. None of these values holds a token in the clear.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import NamedTuple

from mooring.core.connection import Connection, NewConnection
from mooring.core.errors import Reason
from mooring.core.link import Link
from mooring.core.names import is_name, is_provider_id
from mooring.core.tokens import SealedField

FUNCTION_SECONDS = 35
"""The refresh function's time limit; Lambda ends whatever runs longer."""
LEASE_SECONDS = FUNCTION_SECONDS + 10
"""A lease outlives every process that can hold it, and so the whole deadline of its token call."""
DOUBT_SECONDS = 120
"""How long a lost answer is waited for on the recovery queue before the token is tried once more."""
READ_SECONDS = 3
"""At most one refresh in so many seconds because somebody reads, however short its tokens live."""
REPORT_SECONDS = 60
"""At most one report of a 401 in so many seconds counts, or refreshes."""
REPORTS_SECONDS = 900
"""A report that comes so long after the one before begins a new row."""
REPORTS = 3
"""So many reports in a row mean that a token without an end is dead."""
PROBE_SECONDS = 600
"""At most one round of probes per connection in so many seconds."""
CONFIRM_SECONDS = 30
"""401s must span so many seconds before they are believed."""
EXPIRING_SECONDS = 3 * 86_400
"""So long before its end a grant counts as expiring: the merchant has to come back by then."""
LATE_SECONDS = 600
"""So long after its stated end a token counts as run out: clocks differ, and providers are generous."""
RAMP_SECONDS = 3_600
"""For how long it is remembered that a provider's circuit was closed, while its share grows again."""


class Key(NamedTuple):
    """Which connection."""

    merchant_id: str
    provider: str
    account_id: str

    @property
    def is_possible(self) -> bool:
        """Whether its parts can be names at all: no other ever has a connection."""
        return is_name(self.merchant_id) and is_provider_id(self.provider) and is_name(self.account_id)


class Seen(NamedTuple):
    """The generation and version that somebody speaks of; what is said of older ones is ignored."""

    generation: int
    version: int


class Cause(StrEnum):
    """Why a refresh is wanted: it is due, a reader or a 401 asks, an operator, or an uninstall hint."""

    DUE = "due"
    READ = "read"
    UNAUTHORIZED = "unauthorized"
    ASKED = "asked"
    HINT = "hint"


class Order(NamedTuple):
    """Refresh one connection. `trial`: the provider's circuit is open, and this shall find out."""

    key: Key
    seen: Seen | None
    cause: Cause
    trial: bool = False


class Hint(NamedTuple):
    """An uninstall notice without proof: ask the provider before believing it.

    `again`: a second look at what the first could not tell, or that had to wait; there is no third.
    `merchant_id`: whose connection alone is meant, where several merchants hold the account.
    """

    provider: str
    account_id: str
    again: bool = False
    merchant_id: str | None = None


class Confirm(NamedTuple):
    """The second probe of a round; the first, at `refused_at`, was answered 401."""

    key: Key
    seen: Seen
    refused_at: int
    uninstall: bool


class Search(NamedTuple):
    """A proven uninstall event of `at` whose account nobody had: look again."""

    provider: str
    account_id: str
    at: int


type Work = Order | Hint | Confirm | Search
"""What the refresh queue carries."""


class Delayed(NamedTuple):
    """Work that shall begin in `delay` seconds (0 to 900)."""

    work: Work
    delay: int = 0


class Leased(NamedTuple):
    """The right to make one token call, and the row as it was before.

    `attempts` names every call whose outcome is unknown, this one last: with more than one the
    connection is in doubt. `unheard`: nobody has looked at it since the last answer was lost. `previous`
    is the refresh token before this one, which the provider takes until `previous_until`.
    """

    key: Key
    attempt_id: str
    connection: Connection
    access: SealedField
    refresh: SealedField
    attempts: tuple[str, ...]
    failures: int
    refresh_expires_at: int | None
    unheard: bool = False
    previous: SealedField | None = None
    previous_until: int = 0

    @property
    def seen(self) -> Seen:
        """What every write of this attempt is conditional on."""
        return Seen(self.connection.generation, self.connection.version)

    @property
    def in_doubt(self) -> bool:
        """Whether an earlier call may have been answered without our knowing."""
        return len(self.attempts) > 1


class Hindrance(Enum):
    """Why no lease was given."""

    NOT_FOUND = "not_found"
    NOT_ACTIVE = "not_active"
    SUPERSEDED = "superseded"
    LEASED = "leased"
    IN_DOUBT = "in_doubt"
    TOO_SOON = "too_soon"
    PUT_OFF = "put_off"
    NOT_REFRESHABLE = "not_refreshable"


class Refused(NamedTuple):
    """No lease. `connection` as it stands, if there is one; `until` when asking again may help, or 0."""

    why: Hindrance
    connection: Connection | None = None
    until: int = 0


class FreshTokens(NamedTuple):
    """A refreshed token set, sealed. What is None stays as it was; `due_at` None means never."""

    access: SealedField
    refresh: SealedField | None
    scopes: tuple[str, ...] | None
    expires_at: int | None
    refresh_expires_at: int | None
    details: Mapping[str, str]
    issued_at: int
    due_at: int | None
    previous_until: int | None
    expiring_at: int | None = None


class Refreshed(NamedTuple):
    """A refreshed token set on its way to the row that it belongs to."""

    key: Key
    seen: Seen
    attempt_id: str
    fresh: FreshTokens


class Recovered(NamedTuple):
    """A finished exchange from the recovery queue. The link comes without its token and address."""

    new: NewConnection
    link: Link
    state_hash: str

    def __repr__(self) -> str:
        return f"Recovered({self.new.provider})"


class Setback(NamedTuple):
    """A token call that failed without ending the grant.

    `in_doubt`: it may have been answered, so the attempt stays noted; `wait`: for `DOUBT_SECONDS` nobody
    shall call, because the answer may be on its way.
    """

    reason: Reason
    retry_at: int
    in_doubt: bool
    wait: bool = True


class Storing(Enum):
    """What became of a refreshed token set.

    Stored; of no use because newer tokens stand there, or because nothing is connected any more; or to be
    tried again later.
    """

    STORED = "stored"
    SUPERSEDED = "superseded"
    OBSOLETE = "obsolete"
    LATER = "later"


class DueRow(NamedTuple):
    """An entry of the `due` index."""

    key: Key
    due_at: int


class Standing(NamedTuple):
    """How a due connection stands; `failing_since` is when its refreshes began to fail, or None."""

    seen: Seen
    failing_since: int | None = None


class DuePage(NamedTuple):
    """Due rows in the order of their time; `next` leads to more, or is None."""

    rows: tuple[DueRow, ...]
    next: Mapping[str, object] | None


class Expiry(Enum):
    """What time did to a token that nothing can refresh: nothing yet, its end is near, or it is over."""

    LIVES = "lives"
    NEAR = "near"
    OVER = "over"


class Circuit(NamedTuple):
    """A provider that refuses *us* (RFC 6749 5.2 `invalid_client`) or does not answer: only trials are sent.

    `not_before`: not even trials before (Retry-After), or 0. `closed_at`: None while it is open.
    """

    provider: str
    reason: str
    opened_at: int
    not_before: int = 0
    closed_at: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing but trials may be sent."""
        return self.closed_at is None


class Answer(NamedTuple):
    """What became of an order: a word, and where nothing was refreshed the reason.

    Words: refreshed, fresh (somebody else did), busy (somebody else does), waiting, probed, reported,
    expiring, uninstalled, accepted, ignored, recovered, revoked, unsupported, skipped, failed. `until` is
    when asking again may help, or 0; `detail` a fixed text for the log; `notice_id` the provider's own name
    of a notice; `expiring`: it was found just now that the grant ends soon.
    """

    word: str
    reason: Reason | None = None
    until: int = 0
    detail: str = ""
    notice_id: str | None = None
    expiring: bool = False
