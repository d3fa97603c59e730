# SPDX-License-Identifier: GPL-3.0-or-later
"""Firefox behind the filter of `[isolation] dbus = true`: it works, and stays inside."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import desk
from test_apart import PREFS, PROFILE, Sides

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (desk.shutil.which("firefox-esr") and desk.shutil.which("xdg-dbus-proxy")),
        reason="firefox-esr or xdg-dbus-proxy is not installed",
    ),
]
FILTERED = PROFILE + "[isolation]\ndbus = true\n"


@pytest.fixture(scope="module")
def sides(desktop: desk.Desktop) -> Iterator[Sides]:
    made = Sides(desktop, FILTERED)
    for each in ("plain", "other"):
        desktop.write(f"{each}/user.js", PREFS)
    yield made


def environment(desktop: desk.Desktop, pid: str) -> dict[str, str]:
    text = desktop.world.run("cat", f"/proc/{pid}/environ", user=desktop.user).stdout
    return dict(each.partition("=")[::2] for each in text.split("\0") if each)


def run(desktop: desk.Desktop, *words: str) -> Any:
    return desktop.start(sys.executable, "-m", "netjail", "run", "jail", "firefox-esr", *words)


def test_it_opens_inside_and_a_second_start_goes_to_the_same_one(
    desktop: desk.Desktop, sides: Sides
) -> None:
    """Of the bus it sees the filter, and there the one name by which the second finds the first."""
    run(desktop, sides.url("one"))
    assert sides.wait("one") == "inside"
    window = desktop.wait_window("inside /one")
    pid = desktop.xdotool("getwindowpid", str(window))
    address = environment(desktop, pid)["DBUS_SESSION_BUS_ADDRESS"]
    assert address.startswith(f"unix:path=/run/user/{desktop.uid}/netjail/bus-"), address
    second = run(desktop, sides.url("two"))
    assert sides.wait("two") == "inside"
    assert second.wait(desk.SECONDS) == 0
    desktop.screenshot("firefox-filtered")


def test_apart_from_one_outside_a_second_start_finds_the_first_as_well(
    desktop: desk.Desktop, sides: Sides
) -> None:
    desktop.start("firefox-esr", "--profile", f"{desktop.home}/plain", sides.url("outside"))
    assert sides.wait("outside") == "outside"
    run(desktop, "--profile", f"{desktop.home}/other", sides.url("three"))
    assert sides.wait("three") == "inside"
    desktop.wait_window("inside /three")
    second = run(desktop, "--profile", f"{desktop.home}/other", sides.url("four"))
    assert sides.wait("four") == "inside"
    assert second.wait(desk.SECONDS) == 0


def test_what_is_open_outside_gets_nothing(desktop: desk.Desktop, sides: Sides) -> None:
    """Not even with the data of the one outside: without the filter the page would open there."""
    run(desktop, "--profile", f"{desktop.home}/plain", sides.url("five"))
    desktop.wait_window("Close Firefox")
    assert not sides.fetched("outside", "five")
