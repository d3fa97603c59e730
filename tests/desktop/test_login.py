# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's first day: a file imported, Firefox started in it from the tray's menu, pinned; logged
out and in; then Firefox, clicked in the panel's menu, is inside: the page that it shows was asked
for by the VPN provider's address."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import desk
from desk import Desktop, World, wait_for
from internet import HOME, internet
from test_apart import FIREFOX
from traybox import SECONDS, Tray

from netjail.demo.stage import WEB_NAME, Stage

_reason = desk.missing_module("pystray", "PIL", "Xlib")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_reason is not None, reason=str(_reason)),
    pytest.mark.skipif(not shutil.which("firefox-esr"), reason="firefox-esr is not installed"),
]
ENTRY = "firefox-esr.desktop"
EXIT = "198.51.100.20"
POLICIES = {
    "Homepage": {"URL": f"http://{WEB_NAME}/", "StartPage": "homepage"},
    "OverrideFirstRunPage": "",
    "OverridePostUpdatePage": "",
    "DontCheckDefaultBrowser": True,
    "DisableTelemetry": True,
}
"""What it shows when it starts: the one page that there is."""
MENU = """<!DOCTYPE Menu PUBLIC "-//freedesktop//DTD Menu 1.0//EN"
  "http://www.freedesktop.org/standards/menu-spec/1.0/menu.dtd">
<Menu><Name>Xfce</Name><DefaultAppDirs/>
<Include><Filename>firefox-esr.desktop</Filename></Include></Menu>
"""
"""The panel's menu of applications: one line, whose place on the screen is known."""


@pytest.fixture(scope="module")
def stage(world: World) -> Iterator[Stage]:
    with internet(world) as made:
        yield made


@pytest.fixture(scope="module")
def desktop(world: World, stage: Stage) -> Desktop:
    words = f'#!/bin/sh\nexec {sys.executable} -m netjail "$@"\n'
    world.write("/run/bin/netjail", words, 0o755)
    world.root("mount", "-t", "tmpfs", "tmpfs", "/usr/local/bin")
    world.root("cp", "/run/bin/netjail", "/usr/local/bin/netjail")
    made = Desktop(world)
    made.env |= FIREFOX
    made.write(".config/menus/xfce-applications.menu", MENU)
    made.write(".config/netjail/config.toml", f'[check]\necho = "http://{WEB_NAME}/"\n')
    for where in ("firefox", "firefox-esr"):  # Mozilla's name for it, and Debian's
        world.write(f"/etc/{where}/policies/policies.json", json.dumps({"policies": POLICIES}))
    return made


def click_firefox(desktop: Desktop) -> None:
    """With the mouse, in the panel's menu of applications."""
    before = set(desktop.windows())
    desktop.click(20, 14)

    def menus() -> list[tuple[int, int, int, int]]:
        """Below the button; a tooltip is not at the edge."""
        places = map(desktop.geometry, set(desktop.windows()) - before)
        return [each for each in places if each[0] == 0 and 14 < each[1] < 60]

    wait_for(menus, "no menu opens", SECONDS)
    time.sleep(0.5)
    x, y, width, height = menus()[0]
    desktop.click(x + width // 2, y + height // 2)


def wait_page(desktop: Desktop) -> None:
    """Until Firefox shows the page, whose title is the address that asked for it."""
    try:
        desktop.wait_window(f"^{EXIT} ")
    except AssertionError:
        desktop.screenshot("login-no-page")
        raise


def inside(desktop: Desktop) -> bool:
    return "firefox" in desktop.netjail("ps", "vpn").stdout


def test_from_the_import_to_the_day_after(desktop: Desktop, stage: Stage) -> None:
    assert desktop.run("curl", "-s", f"http://{WEB_NAME}/").stdout == f"{HOME}\n"
    tray = Tray(desktop)
    tray.wait_icon()
    tray.wait_label("No profiles yet: import a file")
    desktop.write("Downloads/vpn.conf", stage.provider_conf)
    tray.import_file(f"{desktop.home}/Downloads/vpn.conf", "login-1-import")
    tray.wait_label("vpn: down")

    tray.pick("vpn", "Run in vpn", "Another")
    desktop.wait_window("^Run in vpn$")
    time.sleep(0.5)
    desktop.xdotool("type", "firefox")
    time.sleep(0.5)
    desktop.screenshot("login-2-choose")
    desktop.xdotool("key", "Return")
    wait_page(desktop)
    assert inside(desktop)
    assert WEB_NAME in stage.dns_log("provider")
    tray.wait_label("vpn: up since .*")
    desktop.screenshot("login-3-firefox")

    tray.pick("vpn", "Check for leaks")
    tray.wait_notified("^vpn: nothing leaks$")
    time.sleep(1)
    desktop.screenshot("login-4-checked")

    done = desktop.netjail("app", "pin", ENTRY, "vpn")
    assert done.returncode == 0, done.stderr
    assert desktop.netjail("tray", "--autostart", "on").returncode == 0
    tray.stop()
    desktop.log_out()
    assert desktop.netjail("down", "--kill", "vpn").returncode == 0
    desktop.log_in()
    tray = Tray(desktop, "--wait")  # as the entry in autostart says
    tray.wait_icon()
    tray.wait_label("vpn: down")

    asked = len(stage.dns_log("isp"))
    click_firefox(desktop)
    wait_page(desktop)
    assert inside(desktop)
    assert WEB_NAME not in stage.dns_log("isp")[asked:]
    tray.wait_label("vpn: up since .*")
    desktop.screenshot("login-5-the-day-after")
    tray.open()
    desktop.xdotool("key", "Down", "Right")
    tray.wait_label(r"Running \(\d+\)", "vpn")
    time.sleep(0.5)
    desktop.screenshot("login-6-menu")
    tray.close_menu()
    tray.stop()
