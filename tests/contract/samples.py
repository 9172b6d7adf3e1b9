"""Links, token sets and connections for tests, each with names of its own."""

from itertools import count

from mooring.core.connection import Account, Connection, NewConnection, Wanted
from mooring.core.flow import state_hash
from mooring.core.link import Link
from mooring.core.ports import Connections
from mooring.core.tokens import SealedField, SealedTokens

NOW = 1_800_000_000
_numbers = count(1)


def a_merchant() -> str:
    """A merchant id that no other test uses."""
    return f"m-{next(_numbers)}"


def a_state() -> str:
    """The hash of a new state."""
    return state_hash(f"state-{next(_numbers)}")


def a_link(merchant_id: str | None = None, jti: str | None = None) -> Link:
    """A link that was verified."""
    return Link(
        token="head.body.signature",
        merchant_id=merchant_id or a_merchant(),
        use="connect",
        provider="prov-a",
        return_to="https://app.example.com/done",
        jti=jti or f"jti-{next(_numbers)}",
        issued_at=NOW - 60,
        expires_at=NOW + 240,
        scopes=None,
        account_id=None,
        confirm=False,
    )


def sealed(text: str = "x") -> SealedField:
    """Bytes that stand for a sealed field."""
    return SealedField(b"\x01ciphertext of " + text.encode(), b"\x01key of " + text.encode())


EVERYTHING = SealedTokens(
    access=sealed("access"),
    refresh=sealed("refresh"),
    scopes=("read", "write"),
    expires_at=NOW + 3_600,
    refresh_expires_at=NOW + 86_400,
    details={"app_key": "k-1"},
)
"""A token set with everything that one can have."""

BARE = SealedTokens(
    access=sealed("bare"), refresh=None, scopes=(), expires_at=None, refresh_expires_at=None, details={}
)
"""A token set with nothing but an access token."""


def exchange(
    link: Link,
    account: str = "shop-1",
    tokens: SealedTokens = EVERYTHING,
    *,
    verified: bool = True,
    at: int = NOW,
    confirmation: str | None = None,
) -> NewConnection:
    """A finished exchange for the link's merchant, burned at `at` and stored two seconds later."""
    return NewConnection(
        merchant_id=link.merchant_id,
        provider="prov-a",
        account=Account(account, verified),
        tokens=tokens,
        connected_at=at + 2,
        burned_at=at,
        due_at=tokens.expires_at - 900 if tokens.expires_at and tokens.refresh else None,
        confirmation_hash=confirmation,
    )


def listed(connections: Connections, merchant_id: str) -> tuple[Connection, ...]:
    """All connections of a merchant who has few."""
    page = connections.list(merchant_id, Wanted(100))
    assert page.after is None
    return page.connections
