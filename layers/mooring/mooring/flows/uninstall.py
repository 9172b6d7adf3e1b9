"""Take an uninstall notice: believe it when it proves itself, ask the provider when it does not.

An event (signed, with a time that the signature covers) puts a tombstone, then ends every connection of
the account that is older than it. Everything is idempotent by that time, so a repeated delivery does
again what a crash may have left undone, and nothing else. A hint is queued and changes nothing.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from mooring.core.errors import Failure, Reason
from mooring.core.provider import Provider
from mooring.core.upkeep import Answer, Delayed, Hint, Key, Search
from mooring.core.upkeep_ports import Endings, NoticeReader, WebhookSecrets, WorkQueue

SEARCH_SECONDS = 60


class UninstallPorts(NamedTuple):
    """What `uninstall` needs."""

    provider: Callable[[str], Provider]
    read: NoticeReader
    secrets: WebhookSecrets
    endings: Endings
    work: WorkQueue
    clock: Callable[[], float]


class Delivery(NamedTuple):
    """One webhook request: lower-case header names, the raw body (bytes)."""

    provider: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Delivery({self.provider})"


def uninstall(delivery: Delivery, ports: UninstallPorts) -> Answer:
    """Take one delivery; it is answered 2xx only after this returned.

    Returns:
        Answer: `uninstalled`, `accepted` (to be looked into), or `ignored` (a notice of another kind, or
            one that every connection of the account is newer than, or was ended by before).

    Raises:
        Failure: PROVIDER_UNKNOWN, NOTICE_FORGED, NOTICE_TIME, NOTICE_MALFORMED, NOTICE_TOO_LARGE;
            SECRET_UNAVAILABLE or STORAGE_UNAVAILABLE, after which the provider tries again.
    """
    provider = ports.provider(delivery.provider)
    if provider.uninstall is None:
        raise Failure(Reason.PROVIDER_UNKNOWN)
    now = int(ports.clock())
    proof = provider.uninstall.proof != "none"
    secrets = ports.secrets.webhook_secrets(provider.id) if proof else ()
    notice = ports.read(provider, delivery.headers, delivery.body, secrets, now)
    if notice is None:
        return Answer("ignored")
    if not notice.proven or notice.at is None:
        # A signature without a time can be sent again after a reinstall.
        ports.work.put([Delayed(Hint(provider.id, notice.account_id))])
        return Answer("accepted", notice_id=notice.event_id)
    at = min(notice.at, now)
    return _end(provider.id, notice.account_id, at, now, ports)._replace(notice_id=notice.event_id)


def _end(provider: str, account_id: str, at: int, now: int, ports: UninstallPorts) -> Answer:
    ports.endings.bury(provider, account_id, at, now)
    holders = ports.endings.holders(provider, account_id)
    ended = [
        ports.endings.uninstall(Key(merchant_id, provider, account_id), at, now) for merchant_id in holders
    ]
    if not holders:
        # The callback may be storing it this very moment: the tombstone or the second look gets it.
        ports.work.put([Delayed(Search(provider, account_id, at), SEARCH_SECONDS)])
        return Answer("accepted")
    return Answer("uninstalled" if any(ended) else "ignored")
