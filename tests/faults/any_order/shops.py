"""Which connections there are: providers of every manner, two merchants, an account that both have."""

from typing import NamedTuple

from mooring.core.provider import Provider
from mooring.core.upkeep import Key
from tests.faults.any_order.provider import Manner
from tests.flows.upkeep_world import EVENT, HINT, PROBE
from tests.protocol.shapes import ACME, REFRESH

ROTATING = ACME._replace(id="rotating", uninstall=EVENT)
STRICT = ACME._replace(id="strict", uninstall=HINT)
GRACEFUL = ACME._replace(id="graceful", uninstall=EVENT, refresh=REFRESH._replace(grace_seconds=300))
SOMETIMES = ACME._replace(id="sometimes", uninstall=EVENT, refresh=REFRESH._replace(rotation="sometimes"))
NEVER = ACME._replace(id="never", uninstall=HINT, refresh=REFRESH._replace(rotation="never"))
PROBED = ACME._replace(id="probed", uninstall=HINT, refresh=None, probe=PROBE)
SILENT = ACME._replace(id="silent", uninstall=HINT, refresh=None)

PROVIDERS = (ROTATING, STRICT, GRACEFUL, SOMETIMES, NEVER, PROBED, SILENT)
MANNERS = {
    "rotating": Manner(),
    "strict": Manner(revokes=True, replaces=True),
    "graceful": Manner(grace=300, revokes=True),
    "sometimes": Manner("sometimes", revokes=True),
    "never": Manner("never"),
    "probed": Manner("none"),
    "silent": Manner("none"),
}
KEYS = (
    Key("m-1", "rotating", "shop-1"),
    Key("m-2", "rotating", "shop-1"),
    Key("m-1", "strict", "shop-1"),
    Key("m-2", "strict", "shop-2"),
    Key("m-1", "graceful", "shop-1"),
    Key("m-2", "sometimes", "shop-1"),
    Key("m-1", "never", "shop-2"),
    Key("m-2", "probed", "shop-2"),
    Key("m-1", "silent", "shop-1"),
)


class Removal(NamedTuple):
    """An account threw the app out, and its provider says so."""

    provider: str
    account_id: str
    at: int


def provider_of(key: Key) -> Provider:
    """The descriptor of a connection's provider."""
    return next(provider for provider in PROVIDERS if provider.id == key.provider)
