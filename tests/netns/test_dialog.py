# SPDX-License-Identifier: GPL-3.0-or-later
"""A VPN's password asked for in a window, where nobody is at a terminal: real zenity on a display,
with somebody who types."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.netns import vpnservers
from tests.netns.teststage import Netjail, TestStage
from tests.netns.vpnservers import USER, OpenVpnServer, until

PROGRAMS = ("openvpn", "zenity", "Xvfb", "xdotool")
pytestmark = [
    pytest.mark.skipif(
        vpnservers.missing(*PROGRAMS) is not None, reason=str(vpnservers.missing(*PROGRAMS))
    ),
    pytest.mark.slow,
]
CODE = "424242"


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    read, write = os.pipe()
    words = ["Xvfb", "-displayfd", str(write), "-nolisten", "tcp", "-screen", "0", "800x600x24"]
    server = subprocess.Popen(words, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as said:
        number = said.readline().strip()
    assert number, "Xvfb does not start"
    yield f":{number}"
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def ready(stage: TestStage, netjail: Netjail) -> Iterator[None]:
    """A profile that wants to know a user name, a password and a number."""
    server = OpenVpnServer(stage, login=True, question=True, word="pass_word").start()
    path = stage.write("vpn.ovpn", server.client_file())
    netjail("import", path, "--name", "vpn", check=True)
    yield
    netjail("down", "--all", "--kill")
    server.kill()


def typed(display: str, *words: str) -> None:
    done = subprocess.run(["xdotool", *words], env={**os.environ, "DISPLAY": display}, timeout=60)
    assert done.returncode == 0


def answer(stage: TestStage, display: str, text: str, before: set[str]) -> set[str]:
    """Type into the next window, and send it. `before`: processes, as windows' numbers are used
    again."""
    asking: set[str] = set()
    windows: list[str] = []

    def another() -> bool:
        nonlocal asking, windows
        rows = stage.home.run(["ps", "-eo", "pid=,comm="]).stdout.splitlines()
        asking = {row.split()[0] for row in rows if row.split()[1:] == ["zenity"]} - before
        words = ["xdotool", "search", "--onlyvisible", "--name", "^netjail: vpn$"]
        done = subprocess.run(
            words, env={**os.environ, "DISPLAY": display}, capture_output=True, text=True
        )
        windows = done.stdout.split()
        return bool(asking and windows)

    assert until(another), "no window"
    typed(display, "windowfocus", "--sync", windows[0])
    typed(display, "type", "--delay", "20", text)
    typed(display, "key", "Return")
    return before | asking


@pytest.mark.parametrize(
    "command", [("up", "--dialog", "vpn"), ("run", "--notify", "vpn", "--", "true")]
)
def test_what_the_server_wants_to_know_is_asked_for_in_windows(
    stage: TestStage, netjail: Netjail, ready: None, display: str, command: tuple[str, ...]
) -> None:
    netjail("down", "--all", "--kill")
    process = netjail.popen(
        *command,
        env={"DISPLAY": display, "WAYLAND_DISPLAY": None, "GDK_BACKEND": "x11"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seen: set[str] = set()
    for text in (USER, "pass_word", CODE):
        seen = answer(stage, display, text, seen)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out

    def state() -> str:
        row = netjail("list", "--json", check=True).json["result"]["profiles"][0]
        return str(row["state"])

    assert until(lambda: state() == "up")


@pytest.mark.parametrize("command", [("up", "vpn"), ("run", "vpn", "--", "true")])
def test_a_script_is_not_held_up_by_a_window(
    netjail: Netjail, ready: None, display: str, command: tuple[str, ...]
) -> None:
    netjail("down", "--all", "--kill")
    done = netjail(*command, env={"DISPLAY": display}, timeout=60)
    assert done.returncode != 0 and "needs a user name and a password" in done.stderr


def test_a_window_that_is_closed_is_a_no(
    netjail: Netjail, ready: None, display: str, stage: TestStage
) -> None:
    netjail("down", "--all", "--kill")
    fake = stage.home.path("/run/bin")
    os.makedirs(fake, exist_ok=True)
    os.symlink("/bin/false", f"{fake}/zenity")  # as zenity that was closed: status 1, no answer
    path = f"/run/bin:{os.environ['PATH']}"
    done = netjail("up", "--dialog", "vpn", env={"DISPLAY": display, "PATH": path})
    assert done.returncode != 0 and "nothing was answered" in done.stderr
    assert shutil.which("zenity")
