"""Reading tokens in a Python service: `from mooring.client import Connections`. See docs/client.md."""

from mooring.client.access_token import AccessToken
from mooring.client.connections import Connections
from mooring.client.errors import (
    Disconnected,
    MooringError,
    NeedsReconnect,
    NoConnection,
    NotAllowed,
    NotConnected,
    NotTheProvider,
    RateLimited,
    SetupError,
    SeveralAccounts,
    TokenUnavailable,
    Uninstalled,
)
from mooring.client.ports import Report
from mooring.core.connection import Connection, Status

__all__ = [
    "AccessToken",
    "Connection",
    "Connections",
    "Disconnected",
    "MooringError",
    "NeedsReconnect",
    "NoConnection",
    "NotAllowed",
    "NotConnected",
    "NotTheProvider",
    "RateLimited",
    "Report",
    "SetupError",
    "SeveralAccounts",
    "Status",
    "TokenUnavailable",
    "Uninstalled",
]
