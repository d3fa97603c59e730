# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told and what is not: tables of what was, what is, and what was asked for."""

from __future__ import annotations

import pytest

from netjail import names
from netjail.tray import notices
from netjail.tray.state import App, Escaped, Profile, State


def state(name: str, reason: str = "") -> State:
    return State(helper="here", profiles=(Profile("vpn", name, reason=reason),))


def titles(*steps: State, asked: tuple[str, ...] = ()) -> list[str]:
    """What is told on the way."""
    told, found = steps[0], []
    for step in steps[1:]:
        found += [each.title for each in notices.changes(told, step, asked)]
        told = notices.settled(told, step)
    return found


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        # by itself
        (("up", "degraded"), ["vpn: the tunnel does not answer"]),
        (("up", "failed"), ["vpn has stopped working"]),
        (("degraded", "failed"), ["vpn has stopped working"]),
        (("degraded", "up"), ["vpn is back"]),
        (("up", "degraded", "up"), ["vpn: the tunnel does not answer", "vpn is back"]),
        # somebody has asked for it, here or on the command line
        (("down", "starting", "up"), []),
        (("down", "up"), []),
        (("up", "stopping", "down"), []),
        (("failed", "stopping", "down"), []),
        (("failed", "starting", "up"), []),
        (("down", "starting", "failed"), []),
        (("down", "starting", "down"), []),
        (("up", "up"), []),
        (("up", "down"), []),  # too quick for `stopping` to be seen
        (("failed", "down"), []),
    ],
)
def test_only_what_nobody_asked_for(steps: tuple[str, ...], expected: list[str]) -> None:
    assert titles(*map(state, steps)) == expected


def test_a_repair_is_not_a_start() -> None:
    repairing = state("starting", names.REPAIRING)
    assert titles(state("up"), state("failed"), repairing, state("up")) == [
        "vpn has stopped working",
        "vpn is back",
    ]
    assert titles(state("failed"), repairing, state("failed"), repairing, state("failed")) == []


def test_nothing_of_what_the_tray_was_asked_for() -> None:
    gone = state("down", "its interface has gone")
    assert titles(state("degraded"), gone, asked=("vpn",)) == []
    assert titles(state("degraded"), gone, asked=("lab",)) == ["vpn has stopped"]


def test_nothing_of_what_is_seen_for_the_first_time() -> None:
    assert notices.changes(State(helper="here"), state("failed"), ()) == []


def test_the_reason_is_told() -> None:
    notice = notices.changes(state("up"), state("failed", "wireguard-go has ended"), ())[0]
    assert notice.text == "Wireguard-go has ended. Nothing leaves it meanwhile."
    assert notice.urgency == "critical"
    silent = "the tunnel has not answered within 5 s; nothing can leave until it does"
    notice = notices.changes(state("up"), state("degraded", silent), ())[0]
    assert notice.text == f"T{silent[1:]}."


def test_an_application_that_escaped_is_told_once_with_a_way_back() -> None:
    each = Escaped(App("firefox.desktop", "Firefox"), "vpn", 77)
    before, after = state("up"), State("here", profiles=state("up").profiles, escaped=(each,))
    (notice,) = notices.changes(before, after, ())
    assert notice.title == "Firefox runs outside vpn"
    assert notice.actions == (("Restart inside", ("restart", "firefox.desktop", "vpn", "77")),)
    assert notices.changes(notices.settled(before, after), after, ()) == []


@pytest.mark.parametrize(
    ("left_out", "warnings", "text"),
    [
        (0, [], None),
        (1, [], "One line of the file was left out."),
        (3, ["No key."], "3 lines of the file were left out. No key."),
        (0, ["No key."], "No key."),
    ],
)
def test_an_import_that_left_something_out(
    left_out: int, warnings: list[str], text: str | None
) -> None:
    notice = notices.imported("vpn", left_out, warnings)
    assert (notice.text if notice is not None else None) == text
    if notice is not None:
        assert bool(notice.actions) == bool(left_out)


def test_a_failure_ends_with_what_to_do() -> None:
    notice = notices.failed("vpn could not be started", "there is no route", "ip route")
    assert notice.text == "There is no route.\nip route"
