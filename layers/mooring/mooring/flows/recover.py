"""Store what could not be stored when it was issued: sealed token sets from the recovery queue."""

from collections.abc import Callable
from typing import NamedTuple

from mooring.core.errors import Failure, Reason
from mooring.core.revocation import Revocations, of_exchange, of_refresh
from mooring.core.upkeep import Answer, Key, Recovered, Refreshed, Storing
from mooring.core.upkeep_ports import Leases, Recoveries


class RecoverPorts(NamedTuple):
    """What recovering needs."""

    leases: Leases
    recoveries: Recoveries
    revocations: Revocations
    clock: Callable[[], float]


def recover(found: Refreshed | Recovered, ports: RecoverPorts) -> tuple[Key, Answer]:
    """Store a token set that a refresh or a callback could not.

    A refreshed one only while its attempt is in doubt, an exchanged one only when the merchant has
    neither come again nor gone meanwhile: whatever is newer stays. What belongs to a generation that is gone
    is to be revoked; whether it is gone is for the revocation to find out.

    Returns:
        Its connection and the answer: `recovered`, `skipped`, or `failed` when newer tokens stand there.

    Raises:
        Failure: REFRESH_BUSY while somebody leases the row, STORAGE_UNAVAILABLE: the message must come again.
    """
    if isinstance(found, Refreshed):
        key, stored = found.key, ports.leases.recover(found, int(ports.clock()))
    else:
        new = found.new
        key = Key(new.merchant_id, new.provider, new.account.account_id)
        stored = ports.recoveries.restore(new, found.link, found.state_hash)
    if stored is Storing.LATER:
        raise Failure(Reason.REFRESH_BUSY, "the connection is leased: the message comes again")
    if stored is Storing.SUPERSEDED and isinstance(found, Recovered):
        # It may be what lives there, so it is not revoked.
        return key, Answer("skipped")
    if stored is Storing.SUPERSEDED:
        # Or it comes a second time, long after it was stored: better told needlessly than not at all.
        return key, Answer("failed", Reason.TOKEN_SUPERSEDED)
    if stored is Storing.STORED:
        return key, Answer("recovered")
    revocation = of_refresh(found) if isinstance(found, Refreshed) else of_exchange(found.new)
    if revocation is not None:
        ports.revocations.ask(revocation)
    return key, Answer("skipped")
