"""Ask the provider whether it still takes a token: before a hint is believed, on a slow schedule, after 401s.

One 401 proves nothing. A round is two probes at least thirty seconds apart, the second of which comes as
a message of its own; only two 401s end a connection. What cannot be told is asked once more.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from mooring.core.connection import ReadableConnection
from mooring.core.errors import Failure, Reason
from mooring.core.ports import Sealer
from mooring.core.provider import Probe, Provider
from mooring.core.schedule import due_at
from mooring.core.token_end import may_have_run_out, ran_out_long_ago
from mooring.core.tokens import SealedField
from mooring.core.upkeep import (
    CONFIRM_SECONDS,
    PROBE_SECONDS,
    REPORTS,
    Answer,
    Cause,
    Confirm,
    Delayed,
    Expiry,
    Hint,
    Key,
    Order,
    Search,
    Seen,
)
from mooring.core.upkeep_ports import Endings, TokenKeeper, WorkQueue

NEVER_SECONDS = 30 * 86_400
SECOND_LOOK_SECONDS = 60
SECOND_PAUSE_SECONDS = 30


class ProbePorts(NamedTuple):
    """What probing needs. `jitter` returns a number from 0 to 1."""

    provider: Callable[[str], Provider]
    endings: Endings
    sealer: Sealer
    server: TokenKeeper
    work: WorkQueue
    clock: Callable[[], float]
    jitter: Callable[[], float]


def probe(key: Key, seen: Seen | None, ports: ProbePorts) -> Answer:
    """The first probe of a scheduled round: at most one round in ten minutes.

    Args:
        key: which connection.
        seen: the generation and version meant, or None for whatever is there.
        ports: the outside world.

    Returns:
        Answer: `probed`, with `token_refused` when a second probe is to confirm that; `failed` with
            `token_expired` when a token that ended a day ago is not taken for sure; or `skipped`.

    Raises:
        Failure: one of the *_UNAVAILABLE reasons, TOKEN_UNREADABLE.
    """
    now, provider = int(ports.clock()), ports.provider(key.provider)
    row = ports.endings.probing(key, seen, now, pause=PROBE_SECONDS, due_at=_next(now, provider, ports))
    if row is None or row.access is None:
        return Answer("skipped")
    with _or_soon_again(key, now, ports):
        verdict = _first(key, _seen(row), row.access, now, ports, uninstall=False)
        if verdict is Probe.UNKNOWN and _is_over(key, row, now, ports):
            return Answer("failed", Reason.TOKEN_EXPIRED)
    return _told(verdict)


def confirm(second: Confirm, ports: ProbePorts) -> Answer:
    """The second probe of a round: another 401 ends the connection.

    Where the first was answered longer ago than a round lasts, it is forgotten, and a new round begins.

    Returns:
        Answer: `uninstalled`; `failed` with `token_refused` (it needs a reconnect); `probed`; `skipped`.
    """
    now, key = int(ports.clock()), second.key
    waited = now - second.refused_at
    if waited < CONFIRM_SECONDS:
        ports.work.put([Delayed(second, CONFIRM_SECONDS - waited + 1)])
        return Answer("waiting")
    anew = waited > PROBE_SECONDS
    row = ports.endings.probing(key, second.seen, now, pause=PROBE_SECONDS if anew else 0, due_at=None)
    if row is None or row.access is None:
        return Answer("skipped")
    if anew:
        with _or_soon_again(key, now, ports):
            return _told(_first(key, second.seen, row.access, now, ports, uninstall=second.uninstall))
    return _second(second, row.access, row.connection.expires_at, now, ports)


def report(order: Order, ports: ProbePorts) -> Answer:
    """A service says that the provider answered 401 to a token that cannot be refreshed.

    Three reports in a row, a minute apart, count; then the probe decides, or the third report itself
    where the provider has none.

    Returns:
        Answer: `reported`, `probed` (it is alive), `skipped`, or `failed` with `token_refused`.
    """
    if order.seen is None:
        return Answer("skipped")
    now, provider = int(ports.clock()), ports.provider(order.key.provider)
    count = ports.endings.report(order.key, order.seen, now)
    if count is None:
        return Answer("skipped")
    if count < REPORTS:
        return Answer("reported")
    if provider.probe is None:
        return _end(order.key, order.seen, now, ports, uninstall=False)
    row = ports.endings.probing(order.key, order.seen, now, pause=0, due_at=None)
    if row is None or row.access is None:
        return Answer("skipped")
    verdict = _ask(order.key, row.access, provider, ports)
    if verdict is Probe.REFUSED:
        return _end(order.key, order.seen, now, ports, uninstall=False)
    if verdict is Probe.LIVE:
        ports.endings.alive(order.key, order.seen)
    return Answer("probed" if verdict is Probe.LIVE else "reported")


def hinted(hint: Hint, ports: ProbePorts, refresh: Callable[[Order], Answer]) -> list[tuple[Key, Answer]]:
    """An uninstall notice without proof: every connection of the account is asked, none is believed dead.

    At most one round in ten minutes for each of them, whichever question it asks: anybody can send hints.
    Where several merchants hold the account each gets a message of its own, because each takes its time
    and may fail by itself.
    """
    holders = (
        [hint.merchant_id] if hint.merchant_id else ports.endings.holders(hint.provider, hint.account_id)
    )
    keys = [Key(merchant_id, hint.provider, hint.account_id) for merchant_id in holders]
    if len(keys) > 1:
        ports.work.put([Delayed(hint._replace(merchant_id=key.merchant_id)) for key in keys])
        return [(key, Answer("accepted")) for key in keys]
    return [(key, _suspected(key, hint, ports, refresh)) for key in keys]


def searched(search: Search, ports: ProbePorts) -> list[tuple[Key, Answer]]:
    """A proven uninstall event whose account nobody had a minute ago."""
    now = int(ports.clock())
    keys = [
        Key(merchant_id, search.provider, search.account_id)
        for merchant_id in ports.endings.holders(search.provider, search.account_id)
    ]
    return [
        (key, Answer("uninstalled" if ports.endings.uninstall(key, min(search.at, now), now) else "skipped"))
        for key in keys
    ]


def _suspected(key: Key, hint: Hint, ports: ProbePorts, refresh: Callable[[Order], Answer]) -> Answer:
    """Where there is a refresh token, the refresh is the better question: a lost grant says so itself.

    Only where the schedule would ask the same does it wait for its next turn: a hint hides no end.
    """
    now, provider = int(ports.clock()), ports.provider(key.provider)
    due = _next(now, provider, ports) if provider.refresh is None and provider.probe else None
    pause = SECOND_PAUSE_SECONDS if hint.again else PROBE_SECONDS
    row = ports.endings.probing(key, None, now, pause=pause, due_at=due)
    if row is None or row.access is None:
        return _wait_for_pause(key, hint, now, ports)
    answer = refresh(Order(key, _seen(row), Cause.HINT))
    if answer.reason is Reason.TOKEN_EXPIRED:
        verdict = _first(key, _seen(row), row.access, now, ports, uninstall=True)
        answer, unclear = _told(verdict), verdict is not Probe.REFUSED
    else:
        unclear = answer.word in ("busy", "waiting")
    if answer.reason is Reason.PROVIDER_PAUSED:
        ports.work.put([Delayed(hint, PROBE_SECONDS)])  # nobody was asked
    elif unclear and not hint.again:
        # No answer, or the notice came before the token died: one more look.
        ports.work.put([Delayed(hint._replace(again=True), SECOND_LOOK_SECONDS)])
    return answer


def _wait_for_pause(key: Key, hint: Hint, now: int, ports: ProbePorts) -> Answer:
    """False hints may hide a true one: of those that meet the pause, one waits for its end."""
    if not hint.again and ports.endings.postpone(key, now + PROBE_SECONDS, now):
        try:
            ports.work.put([Delayed(hint._replace(again=True), PROBE_SECONDS)])
        except Failure:
            ports.endings.remind(key, now + PROBE_SECONDS)
            raise
        return Answer("waiting")
    return Answer("skipped")


def _first(
    key: Key, seen: Seen, access: SealedField, now: int, ports: ProbePorts, *, uninstall: bool
) -> Probe:
    """One probe; a 401 asks for a second one. `uninstall`: what the suspicion is (else: a dead token)."""
    verdict = _ask(key, access, ports.provider(key.provider), ports)
    if verdict is Probe.LIVE:
        ports.endings.alive(key, seen)
    if verdict is Probe.REFUSED:
        ports.work.put([Delayed(Confirm(key, seen, now, uninstall), CONFIRM_SECONDS + 1)])
    return verdict


def _second(
    second: Confirm, access: SealedField, expires_at: int | None, now: int, ports: ProbePorts
) -> Answer:
    """Another probe; what it cannot tell is asked once a minute while the round lasts."""
    key, seen = second.key, second.seen
    verdict = _ask(key, access, ports.provider(key.provider), ports)
    if verdict is Probe.REFUSED:
        # A token at its end is refused whether or not anybody removed us.
        uninstall = second.uninstall and not may_have_run_out(expires_at, now)
        return _end(key, seen, now, ports, uninstall=uninstall)
    if verdict is Probe.LIVE:
        ports.endings.alive(key, seen)
    elif now + SECOND_LOOK_SECONDS - second.refused_at <= PROBE_SECONDS:
        ports.work.put([Delayed(second, SECOND_LOOK_SECONDS)])
    return Answer("probed")


def _told(verdict: Probe) -> Answer:
    return Answer("probed", Reason.TOKEN_REFUSED if verdict is Probe.REFUSED else None)


@contextmanager
def _or_soon_again(key: Key, now: int, ports: ProbePorts) -> Iterator[None]:
    """The next round is hours away; where this one could ask nobody, it comes again in ten minutes."""
    try:
        yield
    except Failure:
        with suppress(Failure):
            ports.endings.remind(key, now + PROBE_SECONDS)
        raise


def _is_over(key: Key, row: ReadableConnection, now: int, ports: ProbePorts) -> bool:
    """Nobody was given the token for a day, and its provider does not say that it lives on."""
    if not ran_out_long_ago(row.connection.expires_at, now):
        return False
    return ports.endings.expire(key, _seen(row), now, ends=True) is Expiry.OVER


def _ask(key: Key, access: SealedField, provider: Provider, ports: ProbePorts) -> Probe:
    token = ports.sealer.open(access, *key, "access")
    return ports.server.probe(provider, token, key.account_id)


def _end(key: Key, seen: Seen, now: int, ports: ProbePorts, *, uninstall: bool) -> Answer:
    if not ports.endings.refused(key, seen, Reason.TOKEN_REFUSED, now, uninstall=uninstall):
        return Answer("skipped")
    return Answer("uninstalled") if uninstall else Answer("failed", Reason.TOKEN_REFUSED)


def _next(now: int, provider: Provider, ports: ProbePorts) -> int:
    """When the next round is due; a descriptor that lost its probe must not leave rows due for ever."""
    due = due_at(
        now, provider, expires_at=None, refresh_expires_at=None, refreshable=False, jitter=ports.jitter()
    )
    return now + NEVER_SECONDS if due is None else due


def _seen(row: ReadableConnection) -> Seen:
    return Seen(row.connection.generation, row.connection.version)
