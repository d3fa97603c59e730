# SPDX-License-Identifier: GPL-3.0-or-later
"""The menu as a function of what is known: tables of states and of what the menu then says."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.tray import menu
from netjail.tray.menu import Item
from netjail.tray.state import App, Escaped, Place, Profile, Program, State, look

NOW = time.mktime((2026, 11, 23, 18, 30, 0, 0, 0, -1))
TODAY = int(time.mktime((2026, 11, 23, 14, 2, 0, 0, 0, -1)))
BEFORE = int(time.mktime((2026, 11, 21, 9, 5, 0, 0, 0, -1)))
FIREFOX, GIMP, XTERM = (
    App("firefox.desktop", "Firefox"),
    App("gimp.desktop", "GIMP"),
    App("xterm.desktop", "XTerm"),
)
VPN = Profile(
    "vpn", "up", uplink="wireguard", since=TODAY, endpoint="198.51.100.20:51820",
    received=3_400_000, sent=120_000,
)  # fmt: skip


def state(*profiles: Profile, **more: object) -> State:
    return State(helper="here", profiles=profiles, **more)  # type: ignore[arg-type]


def labels(items: tuple[Item, ...]) -> list[str]:
    return [item.label for item in items]


def every(items: tuple[Item, ...]) -> list[Item]:
    return [each for item in items for each in (item, *every(item.children))]


@pytest.mark.parametrize(
    ("profile", "label"),
    [
        (Profile("vpn"), "vpn: down"),
        (replace(VPN, state="starting"), "vpn: starting …"),
        (VPN, "vpn: up since 14:02"),
        (replace(VPN, since=BEFORE), "vpn: up since 21 Nov 09:05"),
        (replace(VPN, since=None), "vpn: up"),
        (replace(VPN, exit_address="198.51.100.20"), "vpn: up since 14:02, 198.51.100.20"),
        (replace(VPN, state="degraded"), "vpn: no answer since 14:02"),
        (replace(VPN, state="failed", exit_address="198.51.100.20"), "vpn: failed since 14:02"),
        (replace(VPN, state="stopping"), "vpn: stopping …"),
        (Profile("my_lab-2", "up"), "my_lab-2: up"),
    ],
)
def test_each_profile_says_how_it_is(profile: Profile, label: str) -> None:
    assert menu.find(menu.build(state(profile), NOW), f"profile {profile.name}").label == label


@pytest.mark.parametrize(
    ("name", "busy", "label", "action", "enabled"),
    [
        ("down", False, "Start", ("up", "vpn"), True),
        ("starting", False, "Stop", ("down", "vpn"), True),
        ("up", False, "Stop", ("down", "vpn"), True),
        ("degraded", False, "Stop", ("down", "vpn"), True),
        ("failed", False, "Stop", ("down", "vpn"), True),
        ("stopping", False, "Stop", ("down", "vpn"), False),
        ("down", True, "Start", ("up", "vpn"), False),
        ("up", True, "Stop", ("down", "vpn"), False),
    ],
)
def test_start_or_stop(
    name: str, busy: bool, label: str, action: tuple[str, ...], enabled: bool
) -> None:
    known = state(Profile("vpn", name), busy=frozenset({"vpn"} if busy else ()))
    item = menu.find(menu.build(known, NOW), "profile vpn", "toggle")
    assert (item.label, item.action, item.enabled) == (label, action, enabled)


def test_the_facts_of_a_tunnel() -> None:
    seen = replace(VPN, exit_address="198.51.100.20")
    items = menu.find(menu.build(state(seen), NOW), "profile vpn").children
    assert labels(items)[:4] == [
        "Up since 14:02",
        "Exit address 198.51.100.20",
        "Endpoint 198.51.100.20:51820",
        "3.4 MB in, 120 kB out",
    ]
    assert not any(item.enabled for item in items[:4])


def test_why_it_failed() -> None:
    known = replace(VPN, state="failed", reason="wireguard-go has ended; " + "nothing leaves " * 9)
    item = menu.find(menu.build(state(known), NOW), "profile vpn", "reason")
    assert item.label.startswith("wireguard-go has ended; nothing leaves")
    assert item.label.endswith("…") and len(item.label) <= 72


@pytest.mark.parametrize(
    ("pinned", "recent", "expected"),
    [
        ([], [], ["Another application…"]),
        ([FIREFOX], [], ["Firefox", "", "Another application…"]),
        ([], [GIMP, XTERM], ["GIMP", "XTerm", "", "Another application…"]),
        ([FIREFOX], [FIREFOX, XTERM], ["Firefox", "", "XTerm", "", "Another application…"]),
    ],
)
def test_run_in_it(pinned: list[App], recent: list[App], expected: list[str]) -> None:
    known = state(VPN, pinned={"vpn": pinned, "other": [GIMP]}, recent=recent)
    item = menu.find(menu.build(known, NOW), "profile vpn", "run")
    assert item.label == "Run in vpn" and labels(item.children) == expected
    for app in item.children:
        if app.action[:1] == ("run",):
            assert app.action == ("run", "vpn", app.key.split(" ")[1])
    assert item.children[-1].action == ("choose", "vpn")


def test_what_is_pinned_elsewhere_is_offered_only_if_recent() -> None:
    known = state(VPN, Profile("lab"), pinned={"vpn": [FIREFOX]})
    assert labels(menu.find(menu.build(known, NOW), "profile lab", "run").children) == [
        "Another application…"
    ]


def test_running_applications_can_be_stopped() -> None:
    running = (Program("firefox", (10, 12, 13)), Program("xterm", (20,)))
    known = state(replace(VPN, programs=running))
    item = menu.find(menu.build(known, NOW), "profile vpn", "programs")
    assert item.label == "Running (2)"
    assert [(each.label, each.action) for each in item.children] == [
        ("Stop firefox (3 processes)", ("kill", "vpn", "10", "12", "13")),
        ("Stop xterm", ("kill", "vpn", "20")),
    ]


def test_the_check_waits_for_itself() -> None:
    for profile, checking, expected in (
        (VPN, (), ("Check for leaks", True)),
        (VPN, ("vpn",), ("Checking for leaks …", False)),
        (Profile("vpn"), (), ("Check for leaks", False)),
    ):
        known = state(profile, checking=frozenset(checking))
        item = menu.find(menu.build(known, NOW), "profile vpn", "check")
        assert (item.label, item.enabled) == expected


@pytest.mark.parametrize(
    ("known", "first"),
    [
        (State(), "Asking for the profiles …"),
        (State(helper="here"), "No profiles yet: import a file"),
        (State(helper="away"), "No profiles yet: import a file"),
        (State(helper="missing", trouble="It is not installed"), "It is not installed"),
    ],
)
def test_without_profiles(known: State, first: str) -> None:
    items = menu.build(known, NOW)
    assert items[0].label == first and not items[0].enabled
    assert {"Import…", "Quit"} <= set(labels(items))
    assert not menu.find(items, "down-all").enabled


def test_without_a_helper_the_profiles_stay() -> None:
    items = menu.build(State(helper="missing", trouble="gone", profiles=(VPN,)), NOW)
    assert menu.find(items, "again").action == ("again",)
    assert menu.find(items, "profile vpn").label == "vpn: up since 14:02"


def test_what_runs_outside_comes_first() -> None:
    known = state(VPN, escaped=(Escaped(FIREFOX, "vpn", 77),))
    item = menu.build(known, NOW)[0]
    assert item.label == "Firefox runs outside vpn"
    assert [each.action for each in item.children] == [
        ("restart", "firefox.desktop", "vpn", "77"),
        ("ignore", "77"),
    ]
    assert menu.title(known) == "netjail: Firefox runs outside vpn"


def test_start_at_login_is_checked_when_it_does() -> None:
    for on in (True, False):
        assert menu.find(menu.build(state(autostart=on), NOW), "autostart").checked is on


@pytest.mark.parametrize(
    ("states", "expected", "title"),
    [
        ((), "down", "netjail: nothing is up"),
        (("down", "down"), "down", "netjail: nothing is up"),
        (("starting",), "up", "netjail: p0 starting …"),
        (("up", "down"), "up", "netjail: p0 up"),
        (("up", "degraded"), "degraded", "netjail: p0 up, p1 no answer"),
        (("failed", "degraded", "up"), "failed", "netjail: p0 failed, p1 no answer, p2 up"),
    ],
)
def test_the_icon_says_the_worst(states: tuple[str, ...], expected: str, title: str) -> None:
    known = state(*(Profile(f"p{number}", each) for number, each in enumerate(states)))
    assert look(known) == expected
    assert menu.title(known) == title


names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,30}", fullmatch=True)
profiles = st.builds(
    Profile,
    name=names,
    state=st.sampled_from(["down", "starting", "up", "degraded", "stopping", "failed"]),
    reason=st.text(max_size=200),
    since=st.none() | st.integers(1, 4_000_000_000),
    received=st.integers(0, 2**63),
    programs=st.lists(
        st.builds(Program, st.text(max_size=20), st.tuples(st.integers(1, 99999))), max_size=20
    ).map(tuple),
)
states = st.builds(
    State,
    helper=st.sampled_from(["asking", "here", "away", "missing"]),
    trouble=st.text(max_size=80),
    profiles=st.lists(profiles, max_size=4, unique_by=lambda each: each.name).map(tuple),
    recent=st.lists(st.sampled_from([FIREFOX, GIMP, XTERM]), unique=True),
)


@given(states)
def test_every_line_can_be_told_from_its_neighbours_and_does_something(known: State) -> None:
    items = menu.build(known, NOW)

    def check(siblings: tuple[Item, ...]) -> None:
        keys = [item.key for item in siblings if not item.key.startswith("program ")]
        assert len(keys) == len(set(keys))
        for item in siblings:
            assert "\n" not in item.label
            dead = not item.action and not item.children
            assert not (item.enabled and dead) or menu.is_separator(item)
            check(item.children)

    check(items)
    assert items == menu.build(known, NOW)


def test_a_pool_says_its_place_and_offers_the_others() -> None:
    places = (Place("se-2", "SE", "sweden"), Place("no-1", "NO", "norway"), Place("x"))
    pool = replace(VPN, place="se-2", places=places)
    found = menu.find(menu.build(state(pool), NOW), "profile vpn", "place")
    assert found.label == "Place se-2"
    assert [(each.label, each.action, each.checked) for each in found.children if each.label] == [
        ("The one that answers first", ("use", "vpn", "--fastest"), None),
        ("Another one, by chance", ("use", "vpn", "--random"), None),
        ("no-1", ("use", "vpn", "no-1"), False),
        ("se-2", ("use", "vpn", "se-2"), True),
        ("x", ("use", "vpn", "x"), False),
    ]
    assert not menu.find(
        menu.build(state(pool, busy=frozenset({"vpn"})), NOW), "profile vpn", "place"
    ).enabled


def test_a_large_pool_offers_countries() -> None:
    places = tuple(Place(f"se-{n}", "SE", "sweden") for n in range(30))
    pool = Profile("vpn", uplink="openvpn", place="no-1", places=(*places, Place("no-1", "NO")))
    found = menu.find(menu.build(state(pool), NOW), "profile vpn", "place")
    assert [(each.label, each.action, each.checked) for each in found.children if each.label] == [
        ("Another one, by chance", ("use", "vpn", "--random"), None),
        ("NO (1)", ("use", "vpn", "NO"), True),
        ("Sweden (30)", ("use", "vpn", "SE"), False),
    ]


def test_before_the_places_are_known_the_way_to_another_is_there() -> None:
    pool = replace(VPN, place="se-2")
    found = menu.find(menu.build(state(pool), NOW), "profile vpn", "place")
    assert len(found.children) == 2
    assert "place" not in {each.key for each in every(menu.build(state(VPN), NOW))}
