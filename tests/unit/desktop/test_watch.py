# SPDX-License-Identifier: GPL-3.0-or-later
"""Who runs outside the profile that he is pinned to."""

from __future__ import annotations

import os
import subprocess

import pytest

from netjail.desktop import pins, watch
from netjail.desktop.watch import Marks, Outside, Process

HOST, VPN, LAB, OWN = 1, 2, 3, 4
JAILS = {VPN: "vpn", LAB: "lab"}
FIREFOX = Marks(frozenset({"/usr/bin/firefox"}), frozenset({"firefox"}))


def process(pid: int, exe: str, netns: int, *argv: str, ppid: int = 1, cgroup: str = "") -> Process:
    return Process(pid, ppid, exe, argv or (exe,), cgroup, netns, pid * 10)


def found(*table: Process, marks: Marks = FIREFOX) -> list[tuple[str, tuple[int, ...]]]:
    pinned = [("firefox.desktop", "vpn", marks)]
    return [(each.where, each.pids) for each in watch.outside(pinned, table, JAILS, HOST)]


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ([], []),
        ([process(5, "/usr/lib/firefox/firefox", VPN)], []),
        ([process(5, "/usr/lib/firefox/firefox", HOST)], [("", (5,))]),
        ([process(5, "/usr/lib/firefox/firefox", LAB)], [("lab", (5,))]),
        ([process(5, "/usr/bin/vim", HOST)], []),
        # children are not told apart from the one that started them
        (
            [
                process(5, "/usr/bin/firefox", HOST),
                process(6, "/usr/bin/firefox", HOST, ppid=5),
                process(7, "/usr/bin/firefox", HOST),
            ],
            [("", (5, 7))],
        ),
        # a sandbox of its own making
        ([process(5, "/usr/bin/firefox", OWN)], []),
        # some inside, some outside
        (
            [process(5, "/usr/bin/firefox", VPN), process(6, "/usr/bin/firefox", HOST, ppid=5)],
            [("", (6,))],
        ),
    ],
)
def test_outside(table: list[Process], wanted: list[tuple[str, tuple[int, ...]]]) -> None:
    assert found(*table) == wanted


def test_a_profile_that_is_down_has_nobody_inside() -> None:
    table = [process(5, "/usr/bin/firefox", HOST)]
    [one] = watch.outside([("firefox.desktop", "gone", FIREFOX)], table, JAILS, HOST)
    assert one == Outside("firefox.desktop", "gone", "", (5,), (50,))


SCRIPT = Marks(frozenset({"/usr/bin/app"}), frozenset({"app"}))


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (("python3", "/usr/bin/app", "-x"), True),
        (("python3", "-I", "/usr/bin/app"), True),
        (("python3", "/usr/bin/other", "/usr/bin/app"), False),
        # the command that waits for it is not the application
        (("python3", "/usr/bin/netjail", "run", "vpn", "--", "/usr/bin/app"), False),
    ],
)
def test_a_script_is_known_by_its_path(argv: tuple[str, ...], wanted: bool) -> None:
    for exe in ("/usr/bin/python3.11", "/usr/bin/python3"):
        assert bool(found(process(5, exe, HOST, *argv), marks=SCRIPT)) == wanted


def test_flatpaks_and_snaps_are_known_by_their_names() -> None:
    scope = "0::/user.slice/app.slice/app-flatpak-org.mozilla.firefox-77.scope\n"
    other = "0::/user.slice/app.slice/app-flatpak-org.mozilla.firefoxdev-78.scope\n"
    marks = Marks(frozenset(), frozenset(), flatpak="org.mozilla.firefox")
    assert found(process(5, "/app/lib/firefox", HOST, cgroup=scope), marks=marks)
    assert not found(process(5, "/app/lib/firefox", HOST, cgroup=other), marks=marks)
    marks = Marks(frozenset(), frozenset(), snap="firefox")
    assert found(process(5, "/snap/firefox/99/usr/lib/firefox/firefox", HOST), marks=marks)


def entry(line: str, more: str = "") -> bytes:
    return f"[Desktop Entry]\nType=Application\nName=x\nExec={line}\n{more}".encode()


def test_marks_of_entries() -> None:
    which = {"firefox": "/usr/bin/firefox", "python3": "/usr/bin/python3"}.get
    assert watch.marks_of(entry("firefox %u"), which) == FIREFOX
    assert watch.marks_of(entry("gone %u"), which) is None
    assert watch.marks_of(entry("env A=b firefox %u"), which) == FIREFOX
    assert watch.marks_of(entry("python3 -m app"), which) is None
    flatpak = watch.marks_of(entry("flatpak run a.b", "X-Flatpak=a.b\n"), which)
    assert flatpak is not None
    assert flatpak.flatpak == "a.b"


def test_a_pinned_program_that_runs_here_is_seen_and_ended(user) -> None:
    user.app("sleeper.desktop")
    path = user.root / "sleeper"
    path.symlink_to("/bin/sleep")
    user.write(user.system, "sleeper.desktop", entry(f"{path} 1"))
    pins.pin("sleeper.desktop", "vpn")
    with subprocess.Popen([path, "300"]) as running:
        seen = [each for each in watch.look() if running.pid in each.pids]
        assert [(each.entry_id, each.profile, each.where) for each in seen] == [
            ("sleeper.desktop", "vpn", "")
        ]
        only = Outside("sleeper.desktop", "vpn", "", (running.pid,), (1,))
        assert watch.end(only)  # another process has that number now: it is left alone
        assert running.poll() is None
        at = seen[0].pids.index(running.pid)
        one = Outside("sleeper.desktop", "vpn", "", (running.pid,), (seen[0].started[at],))
        assert watch.end(one, seconds=30)
        assert running.wait(30) == -15
    words = watch.command("sleeper.desktop")
    assert words[1:5] == ["run", "--notify", "vpn", "--"]
    assert words[5:] == [str(path), "1"]


def test_reading_the_table_says_what_the_kernel_says() -> None:
    [own] = [each for each in watch.processes() if each.pid == os.getpid()]
    assert own.exe == os.path.realpath("/proc/self/exe")
    assert own.ppid == os.getppid()
    assert own.netns == os.stat("/proc/self/ns/net").st_ino
