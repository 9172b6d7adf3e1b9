"""Connections that exist already when a soak begins, stored by the product's own transition.

What a merchant's click would lead to is issued here by the simulators and sealed under the stack's key. Their
ages are spread, so that refreshes are spread from the beginning. Left out are the used links and the
pointers by which uninstall notices find connections: nothing in a soak asks for them.
"""

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

from mooring.adapters import transitions
from mooring.adapters.kms import Kms
from mooring.adapters.sealing import EnvelopeSealer, PreparedKeys
from mooring.core.connection import Account, NewConnection
from mooring.core.schedule import due_at
from mooring.core.tokens import SealedTokens
from mooring.core.upkeep import Key
from tests.soak.plan import KINDS
from tests.soak.providers import SCOPE
from tests.soak.stack import SoakStack

OLDEST_SECONDS = 130.0
"""Age of the oldest token when faults begin to fall: it falls due soon, and none is overdue.

Where it takes longer to store them all, the first one is older.
"""
_STORE_SECONDS = 0.05
"""What storing one connection takes, as long as nobody has measured it."""
_TOKEN_KEY = "alias/mooring-local-token"
_THREADS = 3


def keys_of(connections: int) -> list[Key]:
    """So many connections, a third of each kind, each of a merchant of its own."""
    kinds = islice(cycle(KINDS), connections)
    return [Key(f"m-{number:05}", kind.id, f"shop-{number:05}") for number, kind in enumerate(kinds)]


def seed(stack: SoakStack, keys: Sequence[Key], rng: random.Random) -> None:
    """Store them all. Data keys are fetched first, because that takes longest, and tokens age meanwhile."""
    sealer = EnvelopeSealer(Kms(stack.aws("kms"), _TOKEN_KEY), time.time)
    with ThreadPoolExecutor(_THREADS) as pool:
        sealing = list(pool.map(lambda key: sealer.prepare(key.merchant_id, key.provider), keys))
    began = time.monotonic()
    for number, (key, prepared) in enumerate(zip(keys, sealing, strict=True)):
        age = age_now(rng.uniform(0, OLDEST_SECONDS), number, len(keys), time.monotonic() - began)
        new = _issued(stack, key, prepared, age, rng.random())
        stack.aws("dynamodb").update_item(**transitions.connected(stack.table, new).parameters())


def age_now(wanted: float, done: int, count: int, seconds: float) -> float:
    """How old a token has to be when it is stored to have an age when the last one is; never less than 0.

    Args:
        wanted: that age.
        done: so many of `count` are stored.
        count: of all.
        seconds: what that took.
    """
    each = seconds / done if done else _STORE_SECONDS
    return max(0.0, wanted - each * (count - done))


def _issued(stack: SoakStack, key: Key, keys: PreparedKeys, age: float, jitter: float) -> NewConnection:
    site = stack.providers[key.provider].site
    site.back = age
    at, issued = int(site.clock()), site.issue(key.account_id, SCOPE)
    site.back = 0.0
    assert issued.refresh_token is not None
    expires_at = at + issued.seconds
    due = due_at(
        at,
        stack.catalog.get(key.provider),
        expires_at=expires_at,
        refresh_expires_at=None,
        refreshable=True,
        jitter=jitter,
    )
    tokens = SealedTokens(
        access=keys.seal("access", key.account_id, issued.access_token),
        refresh=keys.seal("refresh", key.account_id, issued.refresh_token),
        scopes=(SCOPE,),
        expires_at=expires_at,
        refresh_expires_at=None,
        details={},
    )
    account = Account(key.account_id, verified=True)
    return NewConnection(key.merchant_id, key.provider, account, tokens, at, at, due)
