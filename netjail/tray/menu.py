# SPDX-License-Identifier: GPL-3.0-or-later
"""The menu as a value: what the tray knows gives a tree of items. Nothing here draws or acts.

An action is a tuple of words, the first of which says what ("up", "run", ...): see `actions`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from netjail.tray import words
from netjail.tray.state import App, Profile, Program, State

Action = tuple[str, ...]

SUBMENU_APPS_MAX = 12
"""Applications that "Run in ..." lists of each kind."""
PLACES_MAX = 20
"""Places of a pool that are listed one by one."""
PROGRAMS_MAX = 15
"""Running applications that are listed; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the menu. `key`: which one it is among its neighbours, whatever it says now.

    `checked`: None where there is nothing to check. `opened`: what to do when the submenu opens.
    """

    key: str
    label: str
    action: Action = ()
    enabled: bool = True
    checked: bool | None = None
    children: tuple[Item, ...] = ()
    opened: Action = ()


def separator(key: str) -> Item:
    return Item(key, "")


def is_separator(item: Item) -> bool:
    return not item.label and not item.children


def build(state: State, now: float) -> tuple[Item, ...]:
    """The whole menu. `now`: unix seconds, by which "since" says the day or not."""
    return (
        *_trouble(state),
        *_escaped(state),
        *(_profile(profile, state, now) for profile in state.profiles),
        *_nothing(state),
        separator("after-profiles"),
        Item("import", "Import…", ("import",)),
        Item("down-all", "Stop all", ("down-all",), _any_up(state)),
        separator("after-import"),
        Item("autostart", "Start at login", ("autostart",), checked=state.autostart),
        Item("quit", "Quit", ("quit",)),
    )


def _trouble(state: State) -> Iterable[Item]:
    if state.helper == "missing":
        text = words.short(state.trouble or "the helper cannot be reached")
        yield Item("trouble", text, enabled=False)
        yield Item("again", "Try again", ("again",))
        yield separator("after-trouble")


def _escaped(state: State) -> Iterable[Item]:
    for each in state.escaped:
        key = f"escaped {each.pid}"
        restart = Item(
            "restart",
            f"Restart inside {each.profile}",
            ("restart", each.app.id, each.profile, str(each.pid)),
        )
        ignore = Item("ignore", "Leave it there", ("ignore", str(each.pid)))
        yield Item(key, f"{each.app.name} runs outside {each.profile}", children=(restart, ignore))
    if state.escaped:
        yield separator("after-escaped")


def _nothing(state: State) -> Iterable[Item]:
    if not state.profiles and state.helper == "asking":
        yield Item("asking", "Asking for the profiles …", enabled=False)
    elif not state.profiles and state.helper != "missing":
        yield Item("none", "No profiles yet: import a file", enabled=False)


def _any_up(state: State) -> bool:
    return any(profile.live and profile.state != "stopping" for profile in state.profiles)


def _profile(profile: Profile, state: State, now: float) -> Item:
    said = words.state(profile, now)
    label = f"{profile.name}: {said}"
    if profile.place and profile.usable:
        label += f", {profile.place}"
    if profile.exit_address and profile.usable:
        label += f", {profile.exit_address}"
    children = (
        *_facts(profile, now),
        separator("after-facts"),
        _start_stop(profile, state),
        *_place(profile, state),
        _run(profile, state),
        Item(
            "check",
            "Checking for leaks …" if profile.name in state.checking else "Check for leaks",
            ("check", profile.name),
            profile.usable and profile.name not in state.checking,
        ),
        _programs(profile),
    )
    return Item(
        f"profile {profile.name}", label, children=children, opened=("refresh", profile.name)
    )


def _facts(profile: Profile, now: float) -> Iterable[Item]:
    said = words.state(profile, now)
    yield Item("state", said[:1].upper() + said[1:], enabled=False)
    if profile.reason and profile.state in ("degraded", "failed", "down"):
        yield Item("reason", words.short(profile.reason), enabled=False)
    if profile.usable and profile.exit_address:
        yield Item("exit", f"Exit address {profile.exit_address}", enabled=False)
    if profile.usable and profile.endpoint:
        yield Item("endpoint", f"Endpoint {profile.endpoint}", enabled=False)
    if profile.usable and profile.uplink != "none":
        traffic = f"{words.size(profile.received)} in, {words.size(profile.sent)} out"
        yield Item("traffic", traffic, enabled=False)


def _start_stop(profile: Profile, state: State) -> Item:
    idle = profile.name not in state.busy
    if profile.state in ("down", "failed"):
        if profile.state == "failed":
            return Item("toggle", "Stop", ("down", profile.name), idle)
        return Item("toggle", "Start", ("up", profile.name), idle)
    return Item(
        "toggle", "Stop", ("down", profile.name), idle and profile.state not in ("stopping",)
    )


def _place(profile: Profile, state: State) -> Iterable[Item]:
    """Of a pool: the server in use, and the others. Countries where there are too many."""
    if not profile.place:
        return
    how = [Item("random", "Another one, by chance", ("use", profile.name, "--random"))]
    if profile.uplink == "wireguard":
        fastest = ("use", profile.name, "--fastest")
        how.insert(0, Item("fastest", "The one that answers first", fastest))
    few = len(profile.places) <= PLACES_MAX
    choices = list(_places(profile) if few else _countries(profile))
    idle = profile.name not in state.busy and profile.state != "stopping"
    yield Item(
        "place",
        f"Place {profile.place}",
        enabled=idle,
        children=(*how, *([separator("after-how")] if choices else []), *choices),
    )


def _places(profile: Profile) -> Iterable[Item]:
    for place in sorted(profile.places, key=lambda each: each.name):
        current = place.name == profile.place
        yield Item(
            f"place {place.name}", place.name, ("use", profile.name, place.name), checked=current
        )


def _countries(profile: Profile) -> Iterable[Item]:
    """Those whose country is not known are left to `netjail use`."""
    found: dict[tuple[str, str], list[str]] = {}
    for place in profile.places:
        if place.country:
            named = place.country_name.title() or place.country
            found.setdefault((named, place.country), []).append(place.name)
    for (named, code), names in sorted(found.items()):
        current = profile.place in names
        label = f"{named} ({len(names)})"
        yield Item(f"country {code}", label, ("use", profile.name, code), checked=current)


def _run(profile: Profile, state: State) -> Item:
    pinned = list(state.pinned.get(profile.name, ()))[:SUBMENU_APPS_MAX]
    known = {app.id for app in pinned}
    recent = [app for app in state.recent if app.id not in known][:SUBMENU_APPS_MAX]
    items = [
        *(_app(app, profile, "pinned") for app in pinned),
        *([separator("after-pinned")] if pinned else []),
        *(_app(app, profile, "recent") for app in recent),
        *([separator("after-recent")] if recent else []),
        Item("other", "Another application…", ("choose", profile.name)),
    ]
    return Item(
        "run",
        f"Run in {profile.name}",
        enabled=profile.state != "stopping",
        children=tuple(items),
    )


def _app(app: App, profile: Profile, kind: str) -> Item:
    return Item(f"{kind} {app.id}", app.name, ("run", profile.name, app.id))


def _programs(profile: Profile) -> Item:
    """Always there, so that a menu that is open does not grow under the pointer."""
    stops = [_program(program, profile) for program in profile.programs[:PROGRAMS_MAX]]
    more = len(profile.programs) - PROGRAMS_MAX
    if more > 0:
        stops.append(Item("more", f"… and {more} more", enabled=False))
    if not stops:
        stops.append(Item("none", "Nothing is running", enabled=False))
    count = f" ({len(profile.programs)})" if profile.programs else ""
    return Item("programs", f"Running{count}", enabled=profile.usable, children=tuple(stops))


def _program(program: Program, profile: Profile) -> Item:
    pids = [str(pid) for pid in program.pids]
    label = f"Stop {words.short(program.command, 40)}"
    if len(pids) > 1:
        label += f" ({len(pids)} processes)"
    return Item(f"program {pids[0]}", label, ("kill", profile.name, *pids))


def find(items: tuple[Item, ...], *keys: str) -> Item:
    """The item at a path of keys. KeyError where there is none."""
    for item in items:
        if item.key == keys[0]:
            return item if len(keys) == 1 else find(item.children, *keys[1:])
    raise KeyError(keys)


def title(state: State) -> str:
    """What the icon says when the pointer rests on it."""
    live = [profile for profile in state.profiles if profile.live]
    if state.escaped:
        each = state.escaped[0]
        return f"netjail: {each.app.name} runs outside {each.profile}"
    if not live:
        return "netjail: nothing is up"
    return "netjail: " + ", ".join(
        f"{profile.name} {words.STATES.get(profile.state, profile.state)}" for profile in live
    )
