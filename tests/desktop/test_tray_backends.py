# SPDX-License-Identifier: GPL-3.0-or-later
"""What each of pystray's backends can do in a real panel, and what is said where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import desk
from desk import Desktop, World, wait_for
from traybox import ICON, SECONDS, Tray

_reason = desk.missing_module("pystray", "PIL", "Xlib")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_reason is not None, reason=str(_reason)),
]
LAB = 'version = 1\nusers = []\n[uplink]\nkind = "none"\n'


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Without a helper at first: nothing starts it."""
    made = World()
    yield made
    made.close()


@pytest.fixture(scope="module")
def dark(world: World) -> Desktop:
    return Desktop(world, dark=True)


def shown(desktop: Desktop, tray: Tray, name: str, empty: bytes) -> None:
    wait_for(lambda: tray.icon(name) != empty, "no icon", SECONDS)


def empty_tray(desktop: Desktop) -> bytes:
    desktop.xdotool("mousemove", "300", "500")
    x = desk.SCREEN[0] - 30
    return desktop.screenshot("tray-empty", (x, 0, 30, 28)).read_bytes()


def test_without_a_helper_it_says_so_and_finds_one_that_comes_late(
    world: World, dark: Desktop
) -> None:
    tray = Tray(dark)
    tray.wait_icon()
    tray.wait_label("netjail's system service is not installed")
    world.start_helper()
    tray.wait_label("No profiles yet: import a file")
    world.write("/run/lab.toml", LAB)
    assert world.netjail("profile", "add", "--name", "lab", "/run/lab.toml").returncode == 0
    tray.wait_label("lab: down")
    tray.stop()


def test_gtk_has_the_same_menu_by_xembed(world: World, dark: Desktop) -> None:
    empty = empty_tray(dark)
    tray = Tray(dark, backend="gtk")
    shown(dark, tray, "backend-gtk", empty)
    assert tray.menu() is None  # it is no StatusNotifierItem
    tray.open()
    dark.screenshot("backend-gtk-menu")
    # "lab", its menu, "Start": as the function that makes both menus has it
    dark.xdotool("key", "Down", "Right", "Return")
    wait_for(lambda: "up" in dark.netjail("list").stdout, "not started", SECONDS)
    wait_for(lambda: tray.icon("backend-gtk-up") != empty, "no icon", SECONDS)
    tray.stop()
    assert dark.netjail("down", "lab").returncode == 0


def test_xorg_has_no_menu_but_says_how_it_is(dark: Desktop) -> None:
    empty = empty_tray(dark)
    tray = Tray(dark, backend="xorg")
    shown(dark, tray, "backend-xorg", empty)
    dark.click(*ICON)
    tray.wait_notified("^netjail$")
    dark.screenshot("backend-xorg-click")
    tray.stop()


def test_no_tray_is_said_in_plain_words(dark: Desktop) -> None:
    dark.stop_panel()
    try:
        done = dark.netjail("tray")
        assert done.returncode == 1
        assert "this desktop has no tray" in done.stderr, done.stderr
        assert "netjail tray --wait" in done.stderr
        tray = Tray(dark, "--wait")
        wait_for(lambda: dark.owned("org.netjail.Tray"), "it does not wait", SECONDS)
        assert tray.menu() is None
    finally:
        dark.start_panel()
    wait_for(tray.menu, "the tray that came is not used", SECONDS)
    # And a panel that is started anew shows it again.
    dark.stop_panel()
    dark.start_panel()
    wait_for(tray.menu, "a new panel does not show it", SECONDS)
    tray.stop()


def test_without_a_session_or_as_root(world: World, dark: Desktop) -> None:
    done = world.netjail("tray", user="alice")
    assert done.returncode == 1 and "no session bus" in done.stderr, done.stderr
    done = world.netjail("tray")
    assert done.returncode == 2 and "not to root" in done.stderr, done.stderr
