# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's first day: a file imported, Firefox started in it from the menu, pinned; logged out and
in; then Firefox, started as menus do, is inside."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import desk
from desk import Desktop, World, wait_for
from test_tray import TUNNEL
from traybox import SECONDS, Tray

_reason = desk.missing_module("pystray", "PIL", "Xlib")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_reason is not None, reason=str(_reason)),
    pytest.mark.skipif(not shutil.which("firefox-esr"), reason="firefox-esr is not installed"),
]
ENTRY = "firefox-esr.desktop"


@pytest.fixture(scope="module")
def desktop(world: World) -> Desktop:
    words = f'#!/bin/sh\nexec {sys.executable} -m netjail "$@"\n'
    world.write("/run/bin/netjail", words, 0o755)
    world.root("mount", "-t", "tmpfs", "tmpfs", "/usr/local/bin")
    world.root("cp", "/run/bin/netjail", "/usr/local/bin/netjail")
    return Desktop(world)


def inside(desktop: Desktop) -> bool:
    return "firefox" in desktop.netjail("ps", "office").stdout


def test_from_the_import_to_the_day_after(desktop: Desktop) -> None:
    tray = Tray(desktop)
    wait_for(tray.menu, "no icon", SECONDS)
    tray.wait_label("No profiles yet: import a file")
    desktop.write("Downloads/office.conf", TUNNEL)
    tray.pick("Import")
    desktop.wait_window("^Import a VPN file$")
    time.sleep(0.7)
    desktop.xdotool("type", f"{desktop.home}/Downloads/office.conf")
    time.sleep(0.7)
    desktop.screenshot("login-1-import")
    desktop.xdotool("key", "Return")
    tray.wait_label("office: down")

    tray.pick("office", "Run in office", "Another")
    desktop.wait_window("^Run in office$")
    time.sleep(0.5)
    desktop.xdotool("type", "firefox")
    time.sleep(0.5)
    desktop.screenshot("login-2-choose")
    desktop.xdotool("key", "Return")
    desktop.wait_window("Navigator|Firefox")
    wait_for(lambda: inside(desktop), "not inside", SECONDS)
    tray.wait_label("office: (up|no answer) since .*")
    desktop.screenshot("login-3-firefox")

    done = desktop.netjail("app", "pin", ENTRY, "office")
    assert done.returncode == 0, done.stderr
    assert desktop.netjail("tray", "--autostart", "on").returncode == 0
    tray.stop()
    desktop.log_out()
    assert desktop.netjail("down", "--kill", "office").returncode == 0
    desktop.log_in()
    tray = Tray(desktop, "--wait")  # as the entry in autostart says
    wait_for(tray.menu, "no icon", SECONDS)
    tray.wait_label("office: down")

    # As menus, docks and file managers start it. (A launcher in Xfce's panel is a copy of the
    # entry, made when it was put there: see docs/known-issues.md.)
    code = f"from gi.repository import Gio; Gio.DesktopAppInfo.new({ENTRY!r}).launch()"
    desktop.start(sys.executable, "-c", code)
    desktop.wait_window("Navigator|Firefox")
    wait_for(lambda: inside(desktop), "not inside", SECONDS)
    tray.wait_label("office: (up|no answer) since .*")
    time.sleep(2)
    desktop.screenshot("login-4-the-day-after")
    tray.stop()
