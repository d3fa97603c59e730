# SPDX-License-Identifier: GPL-3.0-or-later
"""Under Wayland, without an X display: what is started apart is, and what is handed over is told.

The compositor is weston, which shows nothing here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import desk
from test_apart import PREFS, Sides, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (desk.shutil.which("weston") and desk.shutil.which("firefox-esr")),
        reason="weston or firefox-esr is not installed",
    ),
]


@pytest.fixture(scope="module")
def desktop(world: desk.World) -> desk.Desktop:
    made = desk.Desktop(world, panel=False)
    made.start("weston", "--backend=headless-backend.so", "--socket=wayland-7", "--idle-time=0")
    socket = world.path(f"/run/user/{made.uid}/wayland-7")
    made.wait(socket.exists, f"no compositor: {made.log('weston')}")
    made.env |= {
        "DISPLAY": "",
        "WAYLAND_DISPLAY": "wayland-7",
        "GDK_BACKEND": "wayland",
        "MOZ_ENABLE_WAYLAND": "1",
        "XDG_SESSION_TYPE": "wayland",
    }
    return made


@pytest.fixture(scope="module")
def sides(desktop: desk.Desktop) -> Iterator[Sides]:
    made = Sides(desktop)
    desktop.write(".mozilla/firefox/x.default/user.js", PREFS)
    desktop.write(
        ".mozilla/firefox/profiles.ini",
        "[Profile0]\nName=x\nIsRelative=1\nPath=x.default\nDefault=1\n[General]\nVersion=2\n",
    )
    desktop.start("firefox-esr", made.url("before"))
    assert made.wait("before") == "outside"
    yield made


def test_a_firefox_that_is_open_outside_gets_a_second_one_inside(
    desktop: desk.Desktop, sides: Sides
) -> None:
    run(desktop, "jail", "firefox-esr", sides.url("page"))
    assert sides.wait("page") == "inside"


def test_what_opens_outside_is_told(desktop: desk.Desktop, sides: Sides) -> None:
    found = desktop.netjail("run", "--as-is", "jail", "firefox-esr", sides.url("as-is"))
    assert sides.wait("as-is") == "outside"
    assert "Firefox has opened outside, not in jail" in found.stderr


def test_a_program_without_habits_just_runs(desktop: desk.Desktop, sides: Sides) -> None:
    found = desktop.netjail("run", "jail", "sh", "-c", "echo $WAYLAND_DISPLAY")
    assert found.stdout == "wayland-7\n", found.stderr
