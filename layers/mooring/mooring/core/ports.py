"""The ports: what the flows need of the outside world, so that fakes and AWS are interchangeable.

Each port has one battery of tests (`tests/contract`) that runs on its fake and on its adapter.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple, Protocol

from mooring.core.connection import Account, NewConnection, Page, ReadableConnection, Wanted
from mooring.core.link import Link
from mooring.core.provider import Provider
from mooring.core.tokens import SealedField, TokenSet

Clock = Callable[[], float]
"""Returns epoch seconds."""


class BurnStatus(Enum):
    """What became of an attempt to burn a state."""

    BURNED = "burned"
    EXHAUSTED = "exhausted"
    EXCHANGING = "exchanging"
    DONE = "done"
    FAILED = "failed"
    KEPT = "kept"


class Burn(NamedTuple):
    """The answer of `Flows.burn`: everything but BURNED tells what an earlier callback left behind.

    `burned_at` (epoch seconds) is when the state was first burned, `account_id` the connected
    account of a DONE flow, `kept` the sealed token set of a KEPT one, `pending` whether a DONE
    flow's connection waits for confirmation.
    """

    status: BurnStatus
    burned_at: int
    account_id: str = ""
    kept: SealedField | None = None
    pending: bool = False


class Flows(Protocol):
    """Burned states, one row per link. Every method raises `Failure(STORAGE_UNAVAILABLE)`."""

    def burn(self, link: Link, state_hash: str, now: int) -> Burn:
        """Burn a state before its code is exchanged: one conditional update on the link's row."""
        ...

    def fail(self, link: Link, state_hash: str, reason: str) -> None:
        """Note that a burned flow ended badly, so that a reload says so at once."""
        ...

    def keep(self, link: Link, state_hash: str, kept: SealedField) -> None:
        """Keep a sealed token set whose account could not be learnt yet."""
        ...


class Connections(Protocol):
    """The connections table. Every method raises `Failure(STORAGE_UNAVAILABLE)`."""

    def connect(self, new: NewConnection, link: Link, state_hash: str) -> None:
        """Store a finished exchange, its pointer and the flow's end in one transaction.

        Raises:
            Failure: UNINSTALLED_MEANWHILE when a notice for the account came after the burn;
                ACCOUNT_MISMATCH when an unverified account would replace a verified one.
        """
        ...

    def read(self, merchant_id: str, provider: str, account_id: str) -> ReadableConnection | None:
        """One connection, read consistently, or None when there never was one."""
        ...

    def list(self, merchant_id: str, wanted: Wanted) -> Page:
        """Some connections of a merchant, in the order of their keys; `Page.after` says how to go on."""
        ...


class SealingKeys(Protocol):
    """The two data keys of one connection, in hand before the provider is called."""

    def seal(self, field: str, account_id: str, plaintext: str) -> SealedField:
        """Seal one field (`access` or `refresh`); no call leaves the process."""
        ...


class Sealer(Protocol):
    """Envelope encryption (AES-256-GCM under KMS data keys)."""

    def prepare(self, merchant_id: str, provider: str) -> SealingKeys:
        """Fetch both data keys. Raises `Failure(SEALING_UNAVAILABLE)`, or KEY_DENIED when KMS refuses."""
        ...

    def open(self, sealed: SealedField, merchant_id: str, provider: str, account_id: str, field: str) -> str:
        """Open a sealed field.

        Raises:
            Failure: SEALING_UNAVAILABLE when KMS cannot be asked, KEY_DENIED when it refuses,
                TOKEN_UNREADABLE when the field was altered, moved here from elsewhere, or its key is gone.
        """
        ...


class Secrets(Protocol):
    """Client secrets in the parameter store."""

    def client_secret(self, provider: str) -> str:
        """The client secret. Raises `Failure(SECRET_UNAVAILABLE)`."""
        ...

    def forget(self, provider: str) -> None:
        """Fetch it anew next time: the provider just refused it."""
        ...


class AuthorizationServer(Protocol):
    """The back channel to a provider: the OAuth protocol, written once."""

    def exchange(
        self, provider: Provider, code: str, redirect_uri: str, verifier: str, client_secret: str, now: int
    ) -> TokenSet:
        """Exchange a code for a token set (RFC 6749 4.1.3), never repeated. Raises `TokenCallFailure`."""
        ...

    def identify(self, provider: Provider, access_token: str, named: str | None) -> Account:
        """The account of a token: by the provider's identity call, or as the callback named it (`named`).

        Raises:
            Failure: IDENTITY_UNAVAILABLE when asking again may help, ACCOUNT_MISSING when it cannot,
                ACCOUNT_MISMATCH when the provider refuses the token for the account that was named.
        """
        ...


class RecoveryQueue(Protocol):
    """Where a sealed token set goes when the table will not take it."""

    def put(self, new: NewConnection, link: Link, state_hash: str) -> None:
        """Queue it (ciphertext only). Raises `Failure(STORAGE_UNAVAILABLE)`."""
        ...


class HttpRequest(NamedTuple):
    """One outbound request. `deadline` is the total time in seconds, from now to the last byte."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    hosts: tuple[str, ...]
    local: bool = False
    deadline: float = 10.0

    def __repr__(self) -> str:
        return f"HttpRequest({self.method})"


class HttpResponse(NamedTuple):
    """A complete answer: lower-case header names, body decompressed (bytes)."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"HttpResponse({self.status})"


class HttpFault(Exception):  # noqa: N818 - it is the network that is at fault
    """No usable answer. `sent` tells whether the provider may have received the request.

    Args:
        kind: a fixed word: connect, tls, timeout, broken, too_large, refused_address, refused_request.
        sent: False only when it is certain that no byte of the request went out.
    """

    def __init__(self, kind: str, *, sent: bool) -> None:
        super().__init__(kind)
        self.kind = kind
        self.sent = sent


class HttpClient(Protocol):
    """One hardened HTTP client: pinned hosts, no redirects, one total deadline."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send it once. Raises `HttpFault`."""
        ...
