"""The safeguards of the refresh: where each stands, how to take it out, and which tests must notice."""

from typing import NamedTuple

_LAYER = "layers/mooring/mooring"
_LEASES = ("tests/contract/test_leases.py",)
_REFRESH = (
    "tests/flows/test_refresh.py",
    "tests/flows/test_refresh_doubt.py",
    "tests/flows/test_refresh_store.py",
)
_FAILURES = ("tests/flows/test_refresh_failures.py",)


class Safeguard(NamedTuple):
    """One safeguard: in `path`, `old` becomes `new`, and one of `tests` must fail."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]

    def removed(self, source: str) -> str:
        """The source without it.

        Raises:
            ValueError: it does not stand there exactly once: this catalog is out of date.
        """
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name} stands {source.count(self.old)} times in {self.path}")
        return source.replace(self.old, self.new)


def _transition(name: str, old: str, new: str, *tests: str) -> Safeguard:
    return Safeguard(name, f"{_LAYER}/adapters/transitions.py", old, new, tests or _LEASES)


def _flow(name: str, flow: str, old: str, new: str, *tests: str) -> Safeguard:
    return Safeguard(name, f"{_LAYER}/flows/{flow}.py", old, new, tests or _REFRESH)


SAFEGUARDS = (
    _transition("one-lease", '    update.at_most("lease_until", now)\n', ""),
    _transition(
        "attempt-noted",
        'update.append("attempts", attempt_id).at_most("attempt_at", now - DOUBT_SECONDS)',
        'update.at_most("attempt_at", now - DOUBT_SECONDS)',
    ),
    _transition("doubt-waits", '.at_most("attempt_at", now - DOUBT_SECONDS)', ""),
    _transition("due-only", "if order.cause is Cause.DUE:", "if False:"),
    _transition(
        "owner-writes",
        "    return _while_leased(update, refreshed.attempt_id)\n",
        "    return update\n",
    ),
    _transition(
        "version-fence",
        "    update = while_active(_fresh(table, refreshed, now), refreshed.seen)\n",
        "    update = while_active(_fresh(table, refreshed, now), None)\n",
        "tests/adapters/test_dynamodb_leases.py",
    ),
    _transition(
        "recovery-in-doubt-only",
        '.when("contains(#attempts, :written_by)", ("attempts",), {})',
        "",
        "tests/contract/test_leases.py",
        "tests/contract/test_upkeep_agreement.py",
    ),
    _transition("left-behind", ".remove(*_LEFT_BEHIND)", "", "tests/contract/test_connections.py", *_LEASES),
    Safeguard(
        "own-mark",
        f"{_LAYER}/adapters/dynamodb_leases.py",
        '    return text_or_none(row, "written_by") == refreshed.attempt_id\n',
        "    return False\n",
        _LEASES,
    ),
    _flow("look-first", "refresh", "    if leased.unheard:\n", "    if False:\n"),
    _flow(
        "time-to-store",
        "refresh",
        "        if not call.may_ask():\n",
        "        if False:\n",
        *_FAILURES,
    ),
    _flow(
        "recovery-queue",
        "refresh",
        "            _recover(refreshed, ports)\n",
        "            pass\n",
    ),
    _flow(
        "doubt-is-told",
        "refresh",
        "Reason.LOST_ROTATION if call.leased.in_doubt else Reason.GRANT_REFUSED",
        "Reason.GRANT_REFUSED",
    ),
    _flow(
        "believed-only-of-the-row",
        "refresh",
        'return Answer("failed", reason) if lost else Answer("fresh")',
        'return Answer("failed", reason)',
        *_REFRESH,
        *_FAILURES,
    ),
    _flow(
        "lost-answer-is-a-doubt",
        "refresh",
        "    if outcome is Outcome.IN_DOUBT and call.rotates:\n",
        "    if False:\n",
        *_REFRESH,
        *_FAILURES,
    ),
    _flow(
        "circuit-keeps-away",
        "watch",
        "                return met.circuit\n            met.tried_at = now\n",
        "                return order\n            met.tried_at = now\n",
        "tests/flows/test_watch.py",
    ),
    _flow(
        "old-refresh-token-stays",
        "token_sets",
        'refresh=keys.seal("refresh", account, token) if token else None',
        'refresh=keys.seal("refresh", account, token or "")',
    ),
    _flow(
        "fair-share",
        "sweep",
        "islice(streams[name], max(0, share)) for name, share",
        "streams[name] for name, share",
        "tests/flows/test_sweep.py",
    ),
    Safeguard(
        "client-is-not-the-grant",
        f"{_LAYER}/providers/answers.py",
        '"invalid_client": Outcome.MISCONFIGURED',
        '"invalid_client": Outcome.GRANT_LOST',
        ("tests/protocol",),
    ),
    Safeguard(
        "one-record-alone",
        f"{_LAYER}/entry/worker.py",
        "except Exception as error:  # noqa: BLE001 - one record's defect",
        "except ArithmeticError as error:  # one record's defect",
        ("tests/entry/test_worker.py",),
    ),
    Safeguard(
        "tombstone",
        f"{_LAYER}/adapters/flow_transitions.py",
        '"attribute_not_exists(#pk) OR #at < :burned_at"',
        '"attribute_not_exists(#pk) OR #at < :burned_at OR #at >= :burned_at"',
        ("tests/contract/test_connections.py", "tests/contract/test_recoveries.py"),
    ),
    Safeguard(
        "stale-notice",
        f"{_LAYER}/adapters/ending_transitions.py",
        '    return update.when("#connected_at < :uninstalled_at", ("connected_at",), {})\n',
        "    return update\n",
        ("tests/contract/test_endings.py",),
    ),
)
