# SPDX-License-Identifier: GPL-3.0-or-later
"""`[isolation] dbus = true`: what of the session bus a program in the jail can reach."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import desk
import pytest

pytestmark = pytest.mark.skipif(
    desk.shutil.which("xdg-dbus-proxy") is None, reason="xdg-dbus-proxy is not installed"
)
HOLDER = str(Path(__file__).with_name("holdname.py"))
NAME = "org.example.Outside"
PROFILE = 'version = 1\n[uplink]\nkind = "none"\n[isolation]\ndbus = true\n'


@pytest.fixture(scope="module")
def filtered(desktop: desk.Desktop) -> desk.Desktop:
    world = desktop.world
    world.write("/run/filtered.toml", PROFILE)
    done = world.netjail("profile", "add", "/run/filtered.toml", "--name", "filtered")
    assert done.returncode == 0, done.stderr
    process = desktop.start("/usr/bin/python3", HOLDER, NAME, stdout=-1)
    assert process.stdout.readline() == "ready\n"
    return desktop


def ping(desktop: desk.Desktop, name: str, *before: str) -> Any:
    words = ("dbus-send", "--session", "--print-reply", f"--dest={name}", "/")
    return desktop.run(*before, *words, "org.freedesktop.DBus.Peer.Ping")


def inside(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "netjail", "run", "filtered", *words)


def test_a_program_outside_cannot_be_called(filtered: desk.Desktop) -> None:
    assert ping(filtered, NAME).returncode == 0
    refused = ping(filtered, NAME, *inside())
    assert refused.returncode == 1
    assert "org.freedesktop.DBus.Error" in refused.stderr


@pytest.mark.parametrize(
    "name", ["org.freedesktop.systemd1", "org.freedesktop.Flatpak", "org.gtk.vfs.Daemon"]
)
def test_nor_what_would_start_one(filtered: desk.Desktop, name: str) -> None:
    refused = ping(filtered, name, *inside())
    assert refused.returncode == 1
    assert "org.freedesktop.DBus.Error" in refused.stderr


def test_what_the_panel_offers_can_be_used(filtered: desk.Desktop) -> None:
    assert ping(filtered, "org.kde.StatusNotifierWatcher", *inside()).returncode == 0


def test_names_for_the_panel_can_be_taken_others_not(filtered: desk.Desktop) -> None:
    done = filtered.run(*inside("timeout", "3", "python3", HOLDER, "org.mpris.MediaPlayer2.x"))
    assert done.stdout == "ready\n"
    done = filtered.run(*inside("timeout", "20", "python3", HOLDER, "org.example.Mine"))
    assert done.stdout == "refused\n"


def test_a_program_takes_the_name_of_its_entry(filtered: desk.Desktop) -> None:
    """Whose holder outside it would otherwise become the messenger of."""
    name = "org.example.Held"
    filtered.world.write("/run/held", f"#!/usr/bin/python3\n{Path(HOLDER).read_text()}", 0o755)
    filtered.world.write(
        f"/run/share/applications/{name}.desktop",
        f"[Desktop Entry]\nType=Application\nName=Held\nExec=/run/held {name}\n",
    )
    done = filtered.run(*inside("timeout", "3", "/run/held", name))
    assert done.stdout == "refused\n", "timeout is not the program of the entry"
    first = filtered.start(*inside("/run/held", name), stdout=-1)
    assert first.stdout.readline() == "ready\n"
    assert filtered.owned(name)
    filtered._kill(first)
    filtered.wait(lambda: not filtered.owned(name), "the name stays")
    outside = filtered.start("/usr/bin/python3", HOLDER, name, stdout=-1)
    assert outside.stdout.readline() == "ready\n"
    second = filtered.start(*inside("/run/held", name), stdout=-1)
    assert second.stdout.readline() == "ready\n", "on a bus of its own"
    filtered._kill(second)
    filtered._kill(outside)


def test_the_filter_goes_with_the_program(filtered: desk.Desktop) -> None:
    directory = filtered.world.path(f"/run/user/{filtered.uid}/netjail")
    done = filtered.run(*inside("sh", "-c", "echo $DBUS_SESSION_BUS_ADDRESS"))
    socket = done.stdout.strip().removeprefix("unix:path=")
    assert socket.startswith(f"/run/user/{filtered.uid}/netjail/bus-")

    def proxies() -> str:
        return str(filtered.run("pgrep", "-u", "alice", "-f", f"xdg-dbus-proxy.*{socket}").stdout)

    filtered.wait(lambda: not proxies(), "the proxy stays")
    filtered.run(*inside("true"))
    assert os.path.basename(socket) not in {each.name for each in directory.iterdir()}


@pytest.mark.parametrize(
    ("words", "status"), [(("sh", "-c", "exit 7"), 7), (("no-such-program",), 127), (("/",), 126)]
)
def test_the_exit_status_is_the_programs(
    filtered: desk.Desktop, words: tuple[str, ...], status: int
) -> None:
    assert filtered.run(*inside(*words)).returncode == status


def test_root_gets_it_too(filtered: desk.Desktop) -> None:
    done = filtered.world.netjail("run", "filtered", "sh", "-c", "echo $DBUS_SESSION_BUS_ADDRESS")
    assert done.stdout == "disabled:\n", done.stderr


def test_it_is_taken_from_the_profile_as_it_is_when_it_comes_up(filtered: desk.Desktop) -> None:
    world = filtered.world
    world.write("/run/plain.toml", PROFILE.replace("true", "false"))
    assert world.netjail("profile", "add", "/run/plain.toml", "--name", "plain").returncode == 0
    assert ping(filtered, NAME, sys.executable, "-m", "netjail", "run", "plain").returncode == 0
