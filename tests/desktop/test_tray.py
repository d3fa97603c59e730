# SPDX-License-Identifier: GPL-3.0-or-later
"""The tray in a real panel, over the real helper: seen, used, and left alone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import desk
from desk import Desktop, World, wait_for
from traybox import SECONDS, Tray

_reason = desk.missing_module("pystray", "PIL", "Xlib")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_reason is not None, reason=str(_reason)),
]

LAB = 'version = 1\nusers = []\ndescription = "No way out"\n[uplink]\nkind = "none"\n'
TUNNEL = """[Interface]
PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
Address = 10.9.0.2/32
DNS = 10.9.0.1
PostUp = iptables -A OUTPUT -j ACCEPT
[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
Endpoint = 192.0.2.1:51820
AllowedIPs = 0.0.0.0/0
"""


@pytest.fixture(scope="module", autouse=True)
def lab(world: World) -> None:
    world.write("/run/lab.toml", LAB)
    done = world.netjail("profile", "add", "--name", "lab_1", "/run/lab.toml")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def tray(desktop: Desktop) -> Iterator[Tray]:
    made = Tray(desktop)
    try:
        made.wait_icon()
        made.wait_label("lab_1: .*")
        yield made
    finally:
        made.stop()  # there is one per session: else the next test's would not start
        desktop.netjail("down", "--kill", "lab_1")


def state(desktop: Desktop, name: str = "lab_1") -> str:
    said = desktop.netjail("list", "--json").stdout
    import json

    return next(
        each["state"] for each in json.loads(said)["result"]["profiles"] if each["name"] == name
    )


def test_profiles_are_started_and_stopped_from_the_menu(desktop: Desktop, tray: Tray) -> None:
    assert tray.menu()["title"] == "netjail: nothing is up"
    assert tray.labels() == ["lab_1: down", "Import…", "Stop all", "Start at login", "Quit"]
    down = tray.icon("icon-down")
    tray.pick("lab_1", "Start", shot="tray-start")
    tray.wait_label(r"lab_1: up since \d\d:\d\d")
    assert state(desktop) == "up"
    wait_for(lambda: tray.icon("icon-up") != down, "the icon stays", SECONDS)
    tray.pick("lab_1", "Stop", shot="tray-stop")
    tray.wait_label("lab_1: down")
    assert state(desktop) == "down"
    wait_for(lambda: tray.icon("icon-down-again") == down, "the icon stays", SECONDS)
    assert tray.notified() == []


def test_what_happens_on_the_command_line_is_shown_and_not_told(
    desktop: Desktop, tray: Tray
) -> None:
    assert desktop.netjail("up", "lab_1").returncode == 0
    tray.wait_label("lab_1: up since .*")
    assert desktop.netjail("down", "lab_1").returncode == 0
    tray.wait_label("lab_1: down")
    assert tray.notified() == []


def test_an_open_menu_stays_open_and_is_kept_current(desktop: Desktop, tray: Tray) -> None:
    tray.open()
    windows = desktop.windows()
    assert desktop.netjail("up", "lab_1").returncode == 0
    tray.wait_label("lab_1: up since .*")
    time.sleep(0.5)  # for a panel that would close it
    desktop.screenshot("tray-open")
    assert set(windows) <= set(desktop.windows())
    tray.close_menu()


def test_a_helper_that_is_killed_and_comes_back(world: World, desktop: Desktop, tray: Tray) -> None:
    desktop.netjail("up", "lab_1")
    tray.wait_label("lab_1: up since .*")
    said = world.root("dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/",
                      "org.freedesktop.DBus.GetConnectionUnixProcessID",
                      "string:org.netjail.Netjail1")  # fmt: skip
    pid = desk.numbers(said.splitlines()[-1])[-1]
    world.root("kill", "-9", str(pid))
    assert "lab_1: up since" in "\n".join(tray.labels())
    # Something is up, so the tray has the bus start another by itself.
    wait_for(lambda: world.owned("org.netjail.Netjail1"), "no helper comes back", SECONDS)
    tray.pick("lab_1", "Stop")
    tray.wait_label("lab_1: down")


def test_there_is_one_per_session(desktop: Desktop, tray: Tray) -> None:
    second = desktop.netjail("tray")
    assert second.returncode == 0
    assert second.stdout.startswith("netjail is in the tray already (process ")
    tray.wait_notified("^netjail$")  # and the first one shows itself
    assert tray.process.poll() is None


def test_an_application_is_started_and_stopped(desktop: Desktop, tray: Tray) -> None:
    tray.pick("lab_1", "Run in lab_1", "Another")
    chooser = desktop.wait_window("^Run in lab_1$")
    time.sleep(0.5)
    desktop.xdotool("type", "xterm")
    time.sleep(0.5)
    desktop.screenshot("tray-choose")
    desktop.xdotool("key", "Return")
    window = desktop.wait_window("^xterm$|XTerm")
    assert chooser not in desktop.windows()
    assert state(desktop) == "up"
    programs = desktop.netjail("ps", "lab_1").stdout
    assert "xterm" in programs, programs
    tray.open()
    desktop.xdotool("key", "Down", "Right")
    tray.wait_label(r"Running \(1\)", "lab_1")  # read when the profile's menu opens
    desktop.screenshot("tray-running")
    tray.close_menu()
    tray.pick("lab_1", "Running", "Stop xterm")
    wait_for(lambda: window not in desktop.windows(), "xterm stays", SECONDS)
    tray.wait_label("XTerm", "lab_1", "Run in lab_1")  # lately used


def test_a_file_is_imported(desktop: Desktop, tray: Tray) -> None:
    desktop.write("Downloads/office.conf", TUNNEL)
    tray.import_file(f"{desktop.home}/Downloads/office.conf", "tray-import")
    try:
        tray.wait_label("office: down")
        tray.wait_notified("^Imported office$")  # one line was left out
    finally:
        desktop.netjail("profile", "remove", "office")
    wait_for(lambda: "office: down" not in tray.labels(), "it stays", SECONDS)


def test_the_place_of_a_pool_is_chosen(desktop: Desktop, tray: Tray) -> None:
    for number, name in enumerate(("se-1", "no-1")):
        text = TUNNEL.replace("192.0.2.1", f"192.0.2.{number + 1}").replace("PostUp", "# PostUp")
        desktop.write(f"pool/{name}.conf", text)
    done = desktop.netjail("import", f"{desktop.home}/pool", "--name", "pool")
    assert done.returncode == 0, done.stderr
    try:
        tray.wait_label("pool: down")
        tray.wait_label("Place (se|no)-1", "pool")
        before = next(each for each in tray.labels("pool") if each.startswith("Place "))
        other = "no-1" if before == "Place se-1" else "se-1"
        tray.open()
        lines = [each for each in tray.menu()["lines"] if each and each[1]]
        steps = next(n for n, each in enumerate(lines) if each[0].startswith("pool")) + 1
        desktop.xdotool("key", *["Down"] * steps, "Right")
        tray.wait_label(other, "pool", "Place")  # read when the profile's menu opens
        tray.close_menu()
        tray.pick("pool", "Place", other, shot="tray-place")
        tray.wait_label(f"Place {other}", "pool")
        assert f"will use {other}" in desktop.netjail("use", "pool").stdout
        assert tray.notified() == []
    finally:
        desktop.netjail("profile", "remove", "pool")


def test_a_tunnel_that_stops_by_itself_is_told_and_its_return_too(
    world: World, desktop: Desktop, tray: Tray
) -> None:
    desktop.write("office.conf", TUNNEL)
    assert desktop.netjail("import", f"{desktop.home}/office.conf").returncode == 0
    try:
        assert desktop.netjail("up", "--wait", "0", "office").returncode == 0
        tray.wait_label("office: up since .*")
        found = world.run("pgrep", "-x", "wireguard-go").stdout.split()
        if not found:
            pytest.skip("WireGuard is the kernel's here: no process of it to be killed")
        world.root("kill", "-9", *found)
        tray.wait_notified("^office has stopped working$")
        tray.wait_notified("^office is back$")
        tray.wait_label("office: up since .*")
    finally:
        desktop.netjail("down", "office")
        desktop.netjail("profile", "remove", "office")


def test_the_check_is_told(desktop: Desktop, tray: Tray) -> None:
    assert desktop.netjail("up", "lab_1").returncode == 0
    tray.wait_label("lab_1: up since .*")
    tray.pick("lab_1", "Check for leaks")
    tray.wait_notified("^lab_1(: nothing leaks|: no leak| leaks)")


def test_a_pinned_application_outside_is_told_and_brought_inside(
    desktop: Desktop, tray: Tray
) -> None:
    entry = "debian-xterm.desktop"
    done = desktop.netjail("app", "pin", entry, "lab_1")
    assert done.returncode == 0, done.stderr
    try:
        outside = desktop.start("xterm", "-title", "outside")
        desktop.wait_window("outside")
        desktop.netjail("up", "lab_1")  # a reason to look
        tray.wait_notified("runs outside lab_1$")
        tray.wait_label("XTerm runs outside lab_1")
        desktop.screenshot("tray-escaped")
        tray.pick("XTerm runs outside", "Restart inside")
        assert outside.wait(SECONDS) is not None
        try:
            wait_for(lambda: "xterm" in desktop.netjail("ps", "lab_1").stdout, "not in", SECONDS)
        except AssertionError as error:  # the tray has said why, if it knows
            desktop.screenshot("tray-not-inside")
            raise AssertionError(f"not inside: {tray.notified()}") from error
        wait_for(lambda: "XTerm runs outside lab_1" not in tray.labels(), "still told", SECONDS)
    finally:
        desktop.netjail("app", "unpin", entry)


def test_start_at_login(desktop: Desktop, tray: Tray) -> None:
    entry = desktop.world.path(f"{desktop.home}/.config/autostart/netjail.desktop")
    tray.pick("Start at login")
    wait_for(entry.exists, "no entry", SECONDS)
    wait_for(
        lambda: ["Start at login", True, True, []] in tray.menu()["lines"], "not checked", SECONDS
    )
    done = desktop.netjail("tray", "--autostart", "off")
    assert done.returncode == 0 and not entry.exists()


def test_idle_it_sleeps(desktop: Desktop, tray: Tray) -> None:
    """Counted by the kernel: how often its threads went to sleep, less than once a second."""
    time.sleep(2)
    seconds, before = 20, switches(tray.pid)
    time.sleep(seconds)
    assert switches(tray.pid) - before < seconds


def switches(pid: int) -> int:
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        text = Path(f"/proc/{pid}/task/{task}/status").read_text()
        total += int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return total


def test_quit(desktop: Desktop) -> None:
    tray = Tray(desktop)
    tray.wait_icon()
    tray.pick("Quit")
    assert tray.process.wait(SECONDS) == 0
    assert tray.menu() is None
    tray.stop()
