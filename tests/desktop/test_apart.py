# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that hand their job to a copy of themselves: the window is inside all the same."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import desk
import pytest
from sides import PORT

SERVER = str(Path(__file__).with_name("sides.py"))
PROFILE = 'version = 1\n[uplink]\nkind = "none"\n'
FIREFOX = {
    # no user namespaces in user namespaces here
    "MOZ_DISABLE_CONTENT_SANDBOX": "1",
    "MOZ_DISABLE_GMP_SANDBOX": "1",
    "MOZ_DISABLE_RDD_SANDBOX": "1",
    "MOZ_DISABLE_SOCKET_PROCESS_SANDBOX": "1",
    "MOZ_CRASHREPORTER_DISABLE": "1",
}
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--password-store=basic", "--no-default-browser-check")  # fmt: skip
"""No user namespaces in user namespaces here, and no graphics."""
PREFS = """
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("startup.homepage_welcome_url", "");
user_pref("browser.startup.homepage_override.mstone", "ignore");
"""


class Sides:
    """What was fetched from which side."""

    def __init__(self, desktop: desk.Desktop, profile: str = PROFILE) -> None:
        self._desktop = desktop
        desktop.env |= FIREFOX
        world = desktop.world
        world.write("/run/jail.toml", profile)
        for name in ("jail", "other"):
            done = world.netjail("profile", "add", "/run/jail.toml", "--name", name)
            assert done.returncode == 0, done.stderr
        self._start("outside", sys.executable, SERVER)
        self._start(
            "inside", sys.executable, "-m", "netjail", "run", "jail", sys.executable, SERVER
        )

    def _start(self, side: str, *words: str) -> None:
        log = self.log(side)
        self._desktop.world.write(log, "", 0o666)
        process = self._desktop.start(*words, side, log, stdout=-1)
        assert process.stdout.readline() == "ready\n"

    @staticmethod
    def log(side: str) -> str:
        return f"/run/{side}.fetched"

    def fetched(self, side: str, page: str) -> bool:
        return f"/{page}\n" in self._desktop.world.path(self.log(side)).read_text()

    def url(self, page: str) -> str:
        return f"http://127.0.0.1:{PORT}/{page}"

    def wait(self, page: str) -> str:
        """The side that a page was fetched from."""
        self._desktop.wait(
            lambda: self.fetched("inside", page) or self.fetched("outside", page),
            f"{page} was fetched by nobody: {self._desktop.log('python3')}",
        )
        return "outside" if self.fetched("outside", page) else "inside"


@pytest.fixture(scope="module")
def sides(desktop: desk.Desktop) -> Iterator[Sides]:
    yield Sides(desktop)


def run(desktop: desk.Desktop, *words: str) -> Any:
    return desktop.start(sys.executable, "-m", "netjail", "run", *words)


@pytest.mark.slow
@pytest.mark.skipif(desk.shutil.which("firefox-esr") is None, reason="firefox-esr is not installed")
def test_firefox_open_outside_opens_inside_ten_times(desktop: desk.Desktop, sides: Sides) -> None:
    firefox = os.path.basename("firefox-esr")
    desktop.write(".mozilla/firefox/x.default/user.js", PREFS)
    desktop.write(
        ".mozilla/firefox/profiles.ini",
        "[Profile0]\nName=x\nIsRelative=1\nPath=x.default\nDefault=1\n[General]\nVersion=2\n",
    )
    desktop.start(firefox, sides.url("before"))
    assert sides.wait("before") == "outside"
    desktop.wait_window("outside /before")
    for number in range(10):
        run(desktop, "jail", firefox, sides.url(f"page{number}"))
        assert sides.wait(f"page{number}") == "inside"
        desktop.wait_window(f"inside /page{number}")
    desktop.screenshot("firefox-inside-and-outside")


@pytest.mark.slow
@pytest.mark.skipif(desk.shutil.which("firefox-esr") is None, reason="firefox-esr is not installed")
def test_firefox_as_it_stands_opens_outside_and_that_is_said(
    desktop: desk.Desktop, sides: Sides
) -> None:
    """What happens without us; and the look after the launch."""
    found = desktop.netjail("run", "--as-is", "jail", "firefox-esr", sides.url("as-is"))
    assert sides.wait("as-is") == "outside"
    assert "Firefox has opened outside, not in jail" in found.stderr


def test_a_terminal_with_a_server(desktop: desk.Desktop, sides: Sides) -> None:
    if desk.shutil.which("gnome-terminal") is None:
        pytest.skip("gnome-terminal is not installed")
    where = "/run/terminal.where"
    desktop.world.write(where, "", 0o666)
    script = f"sleep 1; readlink /proc/self/ns/net > {where}; sleep 60"  # it stays, too
    process = run(desktop, "jail", "gnome-terminal", "--title", "apart", "--", "sh", "-c", script)
    desktop.wait(lambda: desktop.world.path(where).read_text(), desktop.log("python3"))
    inside = desktop.netjail("run", "jail", "readlink", "/proc/self/ns/net").stdout
    assert desktop.world.path(where).read_text() == inside
    assert desktop.windows("apart")
    desktop._kill(process)


def test_what_cannot_be_helped_is_refused(desktop: desk.Desktop, sides: Sides) -> None:
    """Steam, by a program of that name: what it would do is known, what it is does not matter."""
    desktop.world.write("/run/steam", "#!/usr/bin/python3\nimport time\ntime.sleep(60)\n", 0o755)
    process = desktop.start("/run/steam")
    desktop.wait(lambda: desktop.run("pgrep", "-u", "alice", "-f", "/run/steam").stdout, "no steam")
    found = desktop.netjail("run", "jail", "/run/steam")
    assert found.returncode == 125
    assert "Steam runs outside already" in found.stderr
    assert "Quit Steam" in found.stderr
    desktop._kill(process)


def test_a_desktop_entry(desktop: desk.Desktop, sides: Sides) -> None:
    where = "/run/entry.where"
    desktop.world.write(where, "", 0o666)
    desktop.world.write("/run/share/applications/probe.desktop",
        "[Desktop Entry]\nType=Application\nName=Probe\nPath=/usr\n"
        "Exec=sh -c \"readlink /proc/self/ns/net; pwd; printf '%%s ' \\\"$@\\\"\" sh %U\n",
    )  # fmt: skip
    found = desktop.netjail("run", "jail", "probe.desktop", "https://example.net/a b")
    inside = desktop.netjail("run", "jail", "readlink", "/proc/self/ns/net").stdout
    assert found.stdout.splitlines() == [inside.strip(), "/usr", "https://example.net/a b "], found
    missing = desktop.netjail("run", "jail", "prob.desktop")
    assert missing.returncode == 125
    assert "Did you mean probe.desktop?" in missing.stderr


@pytest.mark.slow
@pytest.mark.skipif(desk.shutil.which("chromium") is None, reason="chromium is not installed")
def test_chromium_open_outside_opens_inside_ten_times(desktop: desk.Desktop, sides: Sides) -> None:
    chromium = ("chromium", *CHROMIUM)
    desktop.start(*chromium, sides.url("chromium"))
    assert sides.wait("chromium") == "outside"
    desktop.wait_window("outside /chromium")
    for number in range(10):
        run(desktop, "jail", *chromium, sides.url(f"chromium{number}"))
        assert sides.wait(f"chromium{number}") == "inside"
        desktop.wait_window(f"inside /chromium{number}")
    desktop.screenshot("chromium-inside-and-outside")
