# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools of servers: the places of a profile, which one is meant by a word, and a profile as it is
in one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from netjail.errors import NetjailError
from netjail.profile import amnezia, checks
from netjail.profile.countries import country_of, tokens, words_for
from netjail.profile.model import AmneziaWG, OpenVpn, Place, Profile, WireGuard
from netjail.profile.placekeys import PEER_LEAVES, PLACES_MAX
from netjail.profile.tables import Path, Report, table

Pooled = WireGuard | OpenVpn
_OWNS_MAX = 8
"""Private keys of a pool up to which a place is compared with what belongs to them."""


def read(raw: object, kind: str, path: Path, report: Report) -> tuple[Place, ...]:
    """The list of tables [[uplink.place]]; problems go to the report."""
    if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
        report.problem(path, "is not a list of tables; write [[uplink.place]]")
        return ()
    if len(raw) > PLACES_MAX:
        report.problem(path, f"has {len(raw)} places; allowed: at most {PLACES_MAX}")
        return ()
    places: dict[str, Place] = {}
    for number, item in enumerate(raw):
        here = (*path, number)
        values = table(item, "uplink.place", kind, here, report)
        name = values.pop("name", "")
        if name.lower() in places:
            report.problem((*here, "name"), f'"{name}" is the name of an earlier place')
        places[name.lower()] = Place(name, tuple(values.items()))
    return tuple(places.values())


def judge(uplink: Pooled, path: Path, report: Report) -> None:
    """What the places must be to the rest. Their values were judged one by one."""
    if not uplink.places or not isinstance(uplink, WireGuard):
        return
    if len(uplink.peers) != 1:
        report.problem(
            (*path, "place"), "a pool has exactly one [[uplink.peer]], which its places change"
        )
        return
    from netjail.profile.curve import public_key

    privates = {uplink.private_key, *(dict(p.values).get("private_key") for p in uplink.places)}
    privates.discard(None)
    # 1 ms each, at every reading of the file: not where each place has its own
    owns = set(map(public_key, privates)) if len(privates) <= _OWNS_MAX else set()
    for number, place in enumerate(uplink.places):
        here, made = (*path, "place", number), at(uplink, place)
        assert isinstance(made, WireGuard)
        if made.peers[0].public_key in owns:
            report.problem((*here, "public_key"), "is the public key of your own private_key")
        if made.peers[0].endpoint is None:
            report.problem(
                (*here, "endpoint"), "is missing; a place is a server that can be called"
            )
        if not made.addresses:
            report.problem((*here, "address"), "an empty list; a tunnel needs an address")
        if isinstance(made, AmneziaWG):
            values = {leaf: getattr(made, leaf) for leaf in amnezia.LEAVES}
            for leaf, text in amnezia.problems(values):
                report.problem((*here, leaf), text)
        small = made.mtu is not None and made.mtu < checks.MTU_MIN_IPV6
        if small and any(a.version == 6 for a in made.addresses):
            report.problem((*here, "mtu"), f"{made.mtu} is too small for the IPv6 address here")


def at(uplink: Pooled, place: Place) -> Pooled:
    """The uplink in a place, whichever it is in now."""
    if uplink.base is not None:
        uplink = uplink.base  # what the present place has of its own is not the other's
    values: dict[str, Any] = dict(place.values)
    if "dns" in values:
        entries = values.pop("dns")
        values["dns_servers"] = tuple(e for e in entries if not isinstance(e, str))
        values["dns_search"] = tuple(e for e in entries if isinstance(e, str))
    if isinstance(uplink, WireGuard):
        of_peer = {leaf: values.pop(leaf) for leaf in PEER_LEAVES if leaf in values}
        if "address" in values:
            values["addresses"] = values.pop("address")
        if of_peer:
            values["peers"] = (replace(uplink.peers[0], **of_peer),)
    return replace(uplink, place=place.name, base=uplink, **values)


def of(profile: Profile | None) -> tuple[Place, ...]:
    """The places of a profile; none where it is no pool."""
    uplink = None if profile is None else profile.uplink
    return uplink.places if isinstance(uplink, Pooled) else ()


def current(profile: Profile | None) -> str | None:
    """The name of the place that a profile is in."""
    uplink = None if profile is None else profile.uplink
    return uplink.place if isinstance(uplink, Pooled) else None


def choose(profile: Profile, name: str | None) -> Profile:
    """The profile in the place of that name, or in its first one; as it is where it is no pool."""
    uplink = profile.uplink
    if not isinstance(uplink, Pooled) or not uplink.places:
        return profile
    found = next((each for each in uplink.places if each.name == name), uplink.places[0])
    return replace(profile, uplink=at(uplink, found))


def dump(uplink: Pooled) -> list[dict[str, Any]]:
    """The tables [[uplink.place]]."""
    return [
        {"name": place.name} | {key: _plain(key, value) for key, value in place.values}
        for place in uplink.places
    ]


def _plain(key: str, value: Any) -> Any:
    if key in amnezia.LEAVES:
        return amnezia.written(key, value)
    if value is None:
        return "off"  # persistent_keepalive
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return value if isinstance(value, int | str) else str(value)


# Words -----------------------------------------------------------------------------------------


def matching(places: Iterable[Place], word: str) -> list[Place]:
    """The places that a word means: one of exactly that name; else those whose name has it, part
    by part ("se", "se-sto", "sto"); else those of a country ("sweden"); else those whose name
    begins with it."""
    places, word = list(places), word.strip().lower()
    if not word:
        return []
    exact = [each for each in places if each.name.lower() == word]
    if exact:
        return exact
    wanted = tokens(word)
    country = words_for(word)
    if country is not None:
        # "us" is the country rather than a city that is abbreviated so
        found = [each for each in places if country_of(each.name) == country]
        if found:
            return found
    found = [each for each in places if _has(tokens(each.name), wanted)]
    return found or [each for each in places if each.name.lower().startswith(word)]


def _has(parts: list[str], wanted: list[str]) -> bool:
    """Whether the words stand in the name, one after the other."""
    size = len(wanted)
    return bool(wanted) and any(parts[i : i + size] == wanted for i in range(len(parts) - size + 1))


def find(profile: Profile, word: str) -> list[Place]:
    """As `matching`. Raises "no-such-place", with what may have been meant and what there is."""
    places = of(profile)
    if not places:
        raise NetjailError(
            "no-pool",
            f"profile {profile.name} has one server only, so there is no place to choose",
            "a pool is made from a directory or .zip with many files: "
            "netjail import DIRECTORY --name NAME",
        )
    found = matching(places, word)
    if found:
        return found
    heads = list(by_country(places))
    meant = checks.did_you_mean(word.lower(), [*heads, *(p.name.lower() for p in places)])
    some = ", ".join(heads[:20]) + (", ..." if len(heads) > 20 else "")
    shown = checks.show(word)
    raise NetjailError(
        "no-such-place",
        f"profile {profile.name} has no place {shown}"
        + (f"; did you mean {meant}?" if meant else f"; there are: {some}"),
        f"`netjail use {profile.name}` lists them",
    )


def by_country(places: Iterable[Place]) -> Mapping[str, list[Place]]:
    """Places by country code, or by the first part of their name where that says no country."""
    groups: dict[str, list[Place]] = {}
    for place in places:
        head = country_of(place.name) or (tokens(place.name) or [place.name.lower()])[0]
        groups.setdefault(head, []).append(place)
    return dict(sorted(groups.items()))
