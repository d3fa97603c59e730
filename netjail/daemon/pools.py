# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools of servers: which places a profile has, and the change from one to another, in the same
jail. Within the profile's turn, in workers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from netjail.daemon.choices import Choice
from netjail.daemon.operations import Operations
from netjail.daemon.rooms import Rooms, Say
from netjail.daemon.state import Registry
from netjail.daemon.workers import Turn
from netjail.errors import NetjailError
from netjail.profile import places
from netjail.profile.countries import COUNTRIES, country_of
from netjail.profile.model import Place, Profile

MEASURE_SECONDS = 3.0
MEASURED_MOST = 32
"""Places that are measured at a time, chosen at random where there are more."""


def listing(rooms: Rooms, registry: Registry, profile: str) -> dict[str, Any]:
    """The places of a pool and the one in use."""
    wanted = rooms.store.load(profile)
    _must_be_pool(wanted)
    entry = registry.get(profile)
    return {
        "profile": profile,
        "state": entry.state,
        "place": places.current(entry.profile if entry.live and entry.profile else wanted),
        "within": rooms.store.choice(profile).within,
        "places": [
            {"name": place.name, "country": code, "country_name": COUNTRIES.get(code or "")}
            for place in places.of(wanted)
            for code in (country_of(place.name),)
        ],
    }


class Pools:
    def __init__(self, rooms: Rooms, registry: Registry, operations: Operations) -> None:
        self._rooms = rooms
        self._registry = registry
        self._operations = operations

    def use(  # noqa: PLR0917
        self,
        turn: Turn,
        profile: str,
        place: str | None,
        how: str,
        wait: float,
        say: Say,
        pointless: Any,
    ) -> dict[str, Any]:
        """Take a place that `place` means (None: any), the first, fastest or a random one of
        them. A profile that is up changes at once, one that is down at its next `up`."""
        wanted = self._rooms.store.load(profile)
        _must_be_pool(wanted)
        before = places.current(wanted)
        found = places.of(wanted) if place is None else tuple(places.find(wanted, place))
        measured: dict[str, float] = {}
        if how == "fastest":
            measured = self._measured(wanted, found, say)
            chosen = next(each for each in found if each.name == next(iter(measured)))
        elif how == "random":
            others = [each for each in found if each.name != before]
            chosen = random.choice(others or found)  # noqa: S311 - not a secret
        else:
            # the one in use is as good as any other that is meant
            chosen = next((each for each in found if each.name == before), found[0])
        self._rooms.store.choose(profile, Choice(chosen.name, _within(place, chosen, found)))
        result: dict[str, Any] = {}
        if self._registry.get(profile).live:
            say(f"changing to {chosen.name}")
            result = self._operations.up(turn, profile, wait, say, pointless)
        entry = self._registry.get(profile)
        return {
            "profile": profile,
            "place": chosen.name,
            "before": before,
            "matches": len(found),
            "state": entry.state,
            "reason": entry.reason,
            "answered": result.get("answered"),
            "measured": [{"place": n, "seconds": round(s, 4)} for n, s in measured.items()],
        }

    def profile(self, name: str) -> Profile:
        """As its file and its choice have it."""
        return self._rooms.store.load(name)

    def _measured(self, profile: Profile, found: Sequence[Place], say: Say) -> dict[str, float]:
        among = list(found)
        if len(among) > MEASURED_MOST:
            among = random.sample(among, MEASURED_MOST)
        say(f"measuring {len(among)} of {len(found)} places")
        measured = self._rooms.engine.measure(profile, among, MEASURE_SECONDS)
        if measured is None:
            raise NetjailError(
                "not-yet",
                f"how fast the servers of a {profile.uplink.kind} pool answer cannot be measured",
                f"netjail use {profile.name} --random, or name a place",
            )
        if not measured:
            raise NetjailError(
                "timeout",
                f"none of the {len(among)} places that were asked has answered within "
                f"{MEASURE_SECONDS:g} s; the place stays as it was",
                "check the network connection, or name another country",
            )
        return measured

    def change(self, turn: Turn, profile: str, tried: Sequence[str], say: Say) -> str | None:
        """Fail-over: leave a place that is silent for one that answers, of those the user's choice
        allows and that are not `tried`. Its name; None: there is none."""
        wanted = self._rooms.store.load(profile)
        choice = self._rooms.store.choice(profile)
        current = places.current(wanted)
        allowed = places.of(wanted)
        if choice.within is not None:
            allowed = tuple(places.matching(allowed, choice.within)) or allowed
        names_ = [each.name for each in allowed]
        at = names_.index(current) + 1 if current in names_ else 0
        others = [each for each in (*allowed[at:], *allowed[:at]) if each.name != current]
        others = [each for each in others if each.name not in tried] or others
        if not others:
            return None
        asked = others[:MEASURED_MOST]
        answers = self._rooms.engine.measure(wanted, asked, MEASURE_SECONDS)
        chosen = asked[0].name if answers is None else next(iter(answers), None)
        if chosen is None:
            return None
        say(f"{current} does not answer: changing to {chosen}")
        self._rooms.store.choose(profile, Choice(chosen, choice.within))
        try:
            self._operations.bring_up(turn, profile, say)
        except BaseException:
            self._rooms.store.choose(profile, choice)
            raise
        return chosen


def _must_be_pool(profile: Profile) -> None:
    if not places.of(profile):
        places.find(profile, "")  # raises no-pool in its own words


def _within(word: str | None, chosen: Place, found: Sequence[Place]) -> str | None:
    """What fail-over keeps to: the word; for one single server its country."""
    if word is not None and len(found) == 1:
        return country_of(chosen.name)
    return word
