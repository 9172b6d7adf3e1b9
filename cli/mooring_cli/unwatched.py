"""Finding active connections that no sweep ever looks at, and should. Rules only; reads nothing itself.

A row gets its time when its tokens are written, as descriptor and policy say on that day; without one it is
in no index. Nothing changes that when a probe, an idle limit or another policy comes later.
"""

import random
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring.core.provider import Provider
from mooring.core.schedule import due_at
from mooring.core.upkeep import Key

type Place = tuple[str, str]
"""Partition key and sort key of a row."""


@dataclass(slots=True)
class Unwatched:
    """Rows without a time that would be given one today.

    `due` says when each would be due (epoch seconds; it may be past). `unsure` are those of which that
    depends on whether they have a refresh token; `unknown` counts by provider those whose descriptor is not
    at hand.

    Args:
        providers: what is known of the enabled providers, by id.
        jitter: a number from 0 to 1, drawn anew each time.
    """

    providers: Mapping[str, Provider] = field(default_factory=dict)
    jitter: Callable[[], float] = random.random
    due: dict[Key, int] = field(default_factory=dict)
    unsure: dict[Place, tuple[int | None, int | None]] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)

    def add(self, row: Mapping[str, Any]) -> None:
        """Look at an active row that has no time."""
        place = (str(row["merchant_id"]), str(row["connection"]))
        provider = self.providers.get(_key(place).provider)
        if provider is None:
            self.unknown[_key(place).provider] += 1
            return
        with_token, without = (self._due(row, provider, refreshable=each) for each in (True, False))
        if with_token is not None and without is not None:
            self.due[_key(place)] = min(with_token, without)
        elif with_token != without:
            self.unsure[place] = with_token, without

    def settle(self, refreshable: Container[Place]) -> None:
        """Decide what was unsure; `refreshable` are the rows that have a refresh token."""
        for place, (with_token, without) in self.unsure.items():
            due = with_token if place in refreshable else without
            if due is not None:
                self.due[_key(place)] = due
        self.unsure.clear()

    def _due(self, row: Mapping[str, Any], provider: Provider, *, refreshable: bool) -> int | None:
        # As on the day of the tokens: one that has ended since had its time before its end.
        return due_at(
            int(row.get("issued_at", row.get("updated_at", 0))),
            provider,
            expires_at=row.get("expires_at"),
            refresh_expires_at=row.get("refresh_expires_at"),
            refreshable=refreshable,
            jitter=self.jitter(),
        )


def _key(place: Place) -> Key:
    provider, _, account_id = place[1].partition("#")
    return Key(place[0], provider, account_id)
