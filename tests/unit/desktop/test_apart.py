# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a program gets a copy of its own: by what runs where, the answers kept, the options."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netjail.desktop import apart, choices, entries, running, sessionbus
from netjail.desktop.running import Process
from netjail.errors import NetjailError
from tests.unit.desktop.conftest import Desktop

JAIL, OUTSIDE, OTHER = 11, 1, 22
URL = "https://example.net"


class Machine:
    """What runs. Processes are (pid, parent, name, words, namespace)."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.owners: dict[str, int] = {}

    def runs(self, name: str, net: int | None, *words: str, parent: int = 1) -> int:
        pid = 100 + len(self.processes)
        self.processes.append(Process(pid, parent, frozenset({name}), (name, *words), net))
        return pid


@pytest.fixture
def machine(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()

    class Bus:
        def __enter__(self) -> Bus:
            return self

        def __exit__(self, *_args: object) -> None:
            pass

        def owners(self, name: str) -> dict[str, int]:
            return {owned: pid for owned, pid in made.owners.items() if owned == name}

    monkeypatch.setattr(running, "processes", lambda: iter(made.processes))
    monkeypatch.setattr(running, "jail", lambda profile: {"vpn": JAIL, "other": OTHER}.get(profile))
    monkeypatch.setattr(running, "profile_of", lambda net: "other" if net == OTHER else None)
    monkeypatch.setattr(
        running, "net_of", lambda pid: next(p.net for p in made.processes if p.pid == pid)
    )
    monkeypatch.setattr(sessionbus, "SessionBus", Bus)
    monkeypatch.setattr(apart.shutil, "which", lambda name: f"/usr/bin/{name}")
    return made


def firefox(profile: str = "vpn", *words: str, **options: object) -> list[str]:
    return apart.prepare(["firefox", *words, URL], profile, **options).argv  # type: ignore[arg-type]


def data(desktop: Desktop, which: str) -> str:
    return str(desktop.home / "netjail/apps/firefox" / which)


def test_nothing_runs_and_nothing_is_added(machine: Machine) -> None:
    assert firefox() == ["firefox", URL]


def test_one_outside_means_one_apart(machine: Machine, desktop: Desktop) -> None:
    machine.runs("firefox", OUTSIDE)
    directory = data(desktop, "profiles/vpn")
    found = apart.prepare(["firefox", URL], "vpn")
    assert found.argv == ["firefox", "--profile", directory, URL]
    assert "runs outside already" in found.notes[0][0]
    assert os.stat(directory).st_mode & 0o777 == 0o700
    # and so from then on, for that is where its bookmarks are
    machine.processes.clear()
    again = apart.prepare(["firefox", URL], "vpn")
    assert (again.argv, again.notes) == (found.argv, ())
    assert firefox("other") == ["firefox", URL]


def test_one_in_another_profile_counts_as_well(machine: Machine, desktop: Desktop) -> None:
    machine.runs("firefox", OTHER)
    assert firefox() == ["firefox", "--profile", data(desktop, "profiles/vpn"), URL]


def test_one_inside_may_have_the_job(machine: Machine) -> None:
    machine.runs("firefox", JAIL)
    assert firefox() == ["firefox", URL]


@pytest.mark.parametrize("words", [["--profile", "/d"], ["-P", "work"]])
def test_one_with_data_of_its_own_takes_nothing(machine: Machine, words: list[str]) -> None:
    machine.runs("firefox", OUTSIDE, *words)
    assert firefox() == ["firefox", URL]


def test_children_of_a_copy_are_no_copies(machine: Machine) -> None:
    parent = machine.runs("firefox", OUTSIDE, "--profile", "/d")
    machine.runs("firefox", OUTSIDE, "-contentproc", parent=parent)
    assert firefox() == ["firefox", URL]


@pytest.mark.parametrize("words", [["--profile", "/mine"], ["-P", "x"], ["--version"]])
def test_what_the_user_says_is_left_alone(machine: Machine, words: list[str]) -> None:
    machine.runs("firefox", OUTSIDE)
    assert firefox("vpn", *words) == ["firefox", *words, URL]


def test_the_options(machine: Machine, desktop: Desktop) -> None:
    machine.runs("firefox", OUTSIDE)
    assert firefox(way="share") == ["firefox", "--profile", data(desktop, "shared"), URL]
    assert firefox() == ["firefox", "--profile", data(desktop, "shared"), URL], "remembered"
    assert firefox("other")[2] == data(desktop, "profiles/other"), "of that profile only"
    assert firefox(way="apart")[2] == data(desktop, "profiles/vpn")
    assert firefox()[2] == data(desktop, "profiles/vpn"), "remembered"
    assert firefox(way="as-is") == ["firefox", URL]


def test_asked_once(machine: Machine, desktop: Desktop) -> None:
    machine.runs("firefox", OUTSIDE)
    asked: list[str] = []

    def ask(text: str) -> apart.Way:
        asked.append(text)
        return "share"

    for _ in range(2):
        assert firefox(ask=ask)[2] == data(desktop, "shared")
    assert asked == ["Firefox runs outside already, and would open there."]


def test_a_no_starts_nothing(machine: Machine) -> None:
    machine.runs("firefox", OTHER)
    with pytest.raises(NetjailError, match="runs in the profile other already") as caught:
        firefox(ask=lambda text: None)
    assert caught.value.code == "in-use"
    assert choices.recall("firefox", "vpn") is None


def test_a_profile_may_be_called_like_the_shared_data(machine: Machine, desktop: Desktop) -> None:
    app = apart.commands.recognise(["firefox"]).app
    assert app is not None
    assert apart.directory(app, "shared") != apart.directory(app, "")


def test_shared_data_in_use_in_another_profile_are_refused(
    machine: Machine, desktop: Desktop
) -> None:
    machine.runs("firefox", OTHER, "--profile", data(desktop, "shared"))
    with pytest.raises(NetjailError, match="same data runs in the profile other"):
        firefox(way="share")
    machine.processes.clear()
    machine.runs("firefox", JAIL, "--profile", data(desktop, "shared"))
    assert firefox(way="share")[2] == data(desktop, "shared")


def test_what_is_given_as_one_word(machine: Machine, desktop: Desktop) -> None:
    machine.runs("chromium", OUTSIDE)
    found = apart.prepare(["env", "A=1", "chromium", URL], "vpn").argv
    directory = str(desktop.home / "netjail/apps/chromium/profiles/vpn")
    assert found == ["env", "A=1", "chromium", f"--user-data-dir={directory}", URL]
    machine.runs("chromium", OTHER, f"--user-data-dir={directory}")
    with pytest.raises(NetjailError, match="same data"):
        apart.prepare(["chromium"], "vpn")


def test_a_flatpak_keeps_its_data_where_it_sees_them(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    argv = ["flatpak", "run", "org.mozilla.firefox", URL]
    machine.runs("firefox", OUTSIDE)
    assert apart.prepare(argv, "vpn").argv == argv, "the plain one and the flatpak do not meet"
    machine.processes[0] = Process(
        9, 1, frozenset({"firefox"}), ("firefox",), OUTSIDE, "org.mozilla.firefox"
    )
    directory = str(tmp_path / ".var/app/org.mozilla.firefox/data/netjail/profiles/vpn")
    found = apart.prepare(argv, "vpn").argv
    assert found == [*argv[:3], "--profile", directory, URL]


def test_a_name_on_the_bus(machine: Machine) -> None:
    argv = ["nautilus", "/tmp"]
    assert apart.prepare(argv, "vpn").argv == argv
    machine.owners["org.gnome.Nautilus"] = machine.runs("nautilus", OUTSIDE)
    assert apart.prepare(argv, "vpn").argv == ["/usr/bin/dbus-run-session", "--", *argv]
    machine.owners["org.gnome.Nautilus"] = machine.runs("nautilus", JAIL)
    assert apart.prepare(argv, "vpn").argv == argv


def test_a_server_that_the_bus_would_start_outside(machine: Machine) -> None:
    found = apart.prepare(["gnome-terminal", "--", "sh"], "vpn").argv
    assert found == ["/usr/bin/dbus-run-session", "--", "gnome-terminal", "--wait", "--", "sh"]


def test_an_unknown_application_that_the_bus_can_start(machine: Machine, desktop: Desktop) -> None:
    desktop.app("org.unknown.App.desktop", "DBusActivatable=true", "Exec=unknown-app")
    entry = entries.find("org.unknown.App")
    assert apart.prepare(["unknown-app"], "vpn", entry=entry).argv == ["unknown-app"]
    machine.owners["org.unknown.App"] = machine.runs("unknown-app", OUTSIDE)
    found = apart.prepare(["unknown-app"], "vpn", entry=entry).argv
    assert found == ["/usr/bin/dbus-run-session", "--", "unknown-app"]


def test_a_word_that_needs_no_data_is_simply_added(machine: Machine) -> None:
    found = apart.prepare(["xfce4-terminal", "-e", "x"], "vpn").argv
    assert found == ["xfce4-terminal", "--disable-server", "-e", "x"]


@pytest.mark.parametrize(
    ("program", "process", "hint"),
    [("steam", "steam", "Quit Steam"), ("wine", "wineserver", "wineserver -k")],
)
def test_what_cannot_be_helped(machine: Machine, program: str, process: str, hint: str) -> None:
    assert apart.prepare([program], "vpn").argv == [program]
    machine.runs(process, OUTSIDE)
    with pytest.raises(NetjailError) as caught:
        apart.prepare([program], "vpn")
    assert caught.value.code == "in-use"
    assert hint in str(caught.value.hint)
    assert apart.prepare([program], "vpn", "as-is").argv == [program]


def test_what_is_not_known_cannot_be_set_apart(machine: Machine) -> None:
    assert apart.prepare(["curl"], "vpn").app is None
    with pytest.raises(NetjailError, match="does not know what makes a second curl"):
        apart.prepare(["curl"], "vpn", "apart")


def test_a_snap_is_told_apart(machine: Machine) -> None:
    found = apart.prepare(["/snap/bin/unknown"], "vpn")
    assert "is a snap" in found.notes[0][0]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"firefox": []}', '{"firefox": {"vpn": "x"}}'])
def test_answers_that_cannot_be_read_are_asked_again(desktop: Desktop, text: str) -> None:
    os.makedirs(os.path.dirname(choices.file()))
    Path(choices.file()).write_text(text)
    assert choices.recall("firefox", "vpn") is None
    choices.remember("firefox", "vpn", "apart")
    assert choices.recall("firefox", "vpn") == "apart"


def test_where_a_process_is() -> None:
    own = running.process(os.getpid())
    assert own is not None
    assert own.net == os.stat("/proc/self/ns/net").st_ino
    assert own.pid == os.getpid()
    assert running.process(os.getpid(), os.getuid() + 1) is None
    assert os.getpid() in {p.pid for p in running.processes()}
    assert running.process(2**22) is None


def test_a_script_goes_by_its_own_name(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = tmp_path / "terminator"
    script.write_text("import sys; print(flush=True); sys.stdin.read()\n")
    child = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    found = running.process(child.pid)
    child.communicate()
    assert found is not None
    assert found.names == {"terminator"}
