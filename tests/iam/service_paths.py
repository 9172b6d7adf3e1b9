"""Every path that services may ask for, and which of them each documented policy is meant to allow."""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import NamedTuple

from mooring.entry import service_api
from tests.iam.documented import ACCOUNT, MERCHANT, PROVIDER

ROUTES = (
    service_api.LIST_ROUTE,
    service_api.CONNECTION_ROUTE,
    service_api.TOKEN_ROUTE,
    service_api.UNAUTHORIZED_ROUTE,
    service_api.REFRESH_ROUTE,
    service_api.DISCONNECT_ROUTE,
)
LIST, ONE, TOKEN, UNAUTHORIZED, REFRESH, DISCONNECT = ROUTES
READS = (LIST, ONE, TOKEN, UNAUTHORIZED)
#: A merchant, a provider and an account whose name is a word of the path may confuse a policy.
WORDS = ("connections", "token", "unauthorized", "refresh")
MERCHANTS = (MERCHANT, "m-2", "m-10", "m", "M-1", "m-1.", *WORDS)
PROVIDERS = (PROVIDER, "xeno2", "yotpo", *WORDS)
ACCOUNTS = (ACCOUNT, "a-10", PROVIDER, *WORDS)

Allows = Callable[[str, str, str, str], bool]
"""Whether a policy is meant to allow a route, merchant, provider and account."""

MEANT: Mapping[str, Allows] = {
    "read-only": lambda route, *_: route in READS,
    "one-merchant": lambda route, merchant, *_: route in READS and merchant == MERCHANT,
    "one-provider": lambda route, _, provider, __: route in (TOKEN, UNAUTHORIZED) and provider == PROVIDER,
    "one-connection": lambda route, *names: (
        route in (ONE, TOKEN, UNAUTHORIZED) and names == (MERCHANT, PROVIDER, ACCOUNT)
    ),
    # The path of an account that is called `connections` ends like a list; it has no token either.
    "list-only": lambda route, _, __, account: route == LIST or (route == ONE and account == "connections"),
    "disconnect-only": lambda route, *_: route == DISCONNECT,
    "refresh-only": lambda route, *_: route == REFRESH,
    "client-library": lambda route, *_: route in (TOKEN, UNAUTHORIZED),
    "client-library-one-merchant": lambda route, merchant, *_: (
        route in (TOKEN, UNAUTHORIZED) and merchant == MERCHANT
    ),
    "merchant-of-session": lambda route, merchant, *_: route in READS and merchant == MERCHANT,
}


class Call(NamedTuple):
    """One route with names in it."""

    route: str
    merchant: str
    provider: str
    account: str

    @property
    def target(self) -> str:
        """Method and path."""
        names = {"merchant_id": self.merchant, "provider": self.provider, "account_id": self.account}
        return self.route.format_map(names)


def every_call() -> Iterator[Call]:
    """Every route with every name."""
    for merchant in MERCHANTS:
        yield Call(LIST, merchant, "", "")
    for route, merchant, provider, account in product(ROUTES[1:], MERCHANTS, PROVIDERS, ACCOUNTS):
        yield Call(route, merchant, provider, account)
