# SPDX-License-Identifier: GPL-3.0-or-later
"""The leak check on the bus, and what it says of the bus: real dbus-daemon, real polkit."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from face import P, option, path
from world import Client, World

People = dict[str, Client]
Made = Callable[..., str]

UNTIL_CLOSED = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
"""
OWN = """
from gi.repository import Gio, GLib
Gio.bus_own_name(Gio.BusType.SYSTEM, sys.argv[1], 0, None, lambda *_: print("owned", flush=True),
                 lambda *_: print("lost", flush=True))
GLib.MainLoop().run()
"""
LISTEN = """
import socket
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
server.listen()
print("ready", flush=True)
while True:
    server.accept()
"""


@contextmanager
def running(world: World, script: str, word: str) -> Iterator[str]:
    """A program of the host; gives the first line that it says."""
    argv = ["/usr/bin/python3", "-c", UNTIL_CLOSED + script, word]
    process = world.popen(*argv, stdin=-1, stdout=-1)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.communicate()


def checked(client: Client, name: str, **options: Any) -> dict[str, Any]:
    return client.call(path(name), P + "Check", "a{sv}", options)


def bad(result: dict[str, Any]) -> list[str]:
    return [f["code"] for f in result["findings"] if f["level"] in ("warning", "leak")]


def test_a_user_checks_a_profile(people: People, made: Made) -> None:
    result = checked(people["alice"], made(up=True))
    assert bad(result) == []
    assert (result["clean"], result["verdict"]) == (True, "info")
    assert result["compared"] is False
    assert result["sent_inside"] == [] and result["sent_outside"] == []


def test_who_may_not_use_it_may_not_check_it(people: People, made: Made) -> None:
    name = made(up=True)
    error = people["bob"].error(path(name), P + "Check", "a{sv}", {})
    assert error.name == "org.netjail.Error.NotAuthorised"


def test_what_is_down_is_not_checked(people: People, made: Made) -> None:
    error = people["alice"].error(path(made()), P + "Check", "a{sv}", {})
    assert error.name == "org.netjail.Error.NotUp"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"echo": option("s", "file:///etc/passwd")}, "BadRequest"),
        ({"accept": option("as", ["nothing"])}, "BadRequest"),
        ({"outside": option("s", "{}")}, "BadRequest"),
        ({"outside": option("s", "[" * 100_000)}, "BadRequest"),
        ({"user": option("s", "root")}, "BadRequest"),
    ],
)
def test_bad_options(people: People, made: Made, options: dict[str, Any], name: str) -> None:
    error = people["alice"].error(path(made(up=True)), P + "Check", "a{sv}", options)
    assert error.name == "org.netjail.Error." + name


def test_the_probe_runs_as_whoever_asks_with_their_environment(people: People, made: Made) -> None:
    name = made(up=True)
    env = option("as", ["https_proxy=http://me:secret@127.0.0.1:3128", "PATH=/usr/bin"])
    result = checked(people["alice"], name, env=env)
    said = {f["code"]: f["text"] for f in result["findings"]}
    assert said["proxy"] == "https_proxy=http://127.0.0.1:3128", "and no password is told"


def test_the_environment_does_not_stop_the_probe(people: People, made: Made) -> None:
    env = option("as", ["LD_PRELOAD=/nonexistent.so", "PYTHONHOME=/nonexistent", "PATH="])
    assert bad(checked(people["alice"], made(up=True), env=env)) == []


def test_what_was_seen_outside_is_compared(people: People, made: Made) -> None:
    name = made(up=True)
    inside = people["root"].ask("status", profile=name).get()["profile"]["netns"]
    assert inside
    outside = json.dumps({"version": 1, "netns": "1:1", "nameservers": ["192.0.2.53"]})
    result = checked(people["alice"], name, outside=option("s", outside))
    assert result["compared"] is True and bad(result) == []


MAY_OWN = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
<policy user="root"><allow own="org.freedesktop.resolve1"/></policy>
<policy context="default"><allow send_destination="org.freedesktop.resolve1"/></policy>
</busconfig>"""


def test_resolved_on_the_bus_is_found(world: World, people: People, made: Made) -> None:
    name = made(up=True)
    world.write("/etc/dbus-1/system.d/resolve1.conf", MAY_OWN)
    bus = "org.freedesktop.DBus"
    world.root(
        "dbus-send", "--system", "--print-reply", f"--dest={bus}", "/", f"{bus}.ReloadConfig"
    )
    with running(world, OWN, "org.freedesktop.resolve1") as said:
        assert said == "owned"
        result = checked(people["alice"], name)
        assert bad(result) == ["dns-bus"] and result["clean"] is False
        known = checked(people["alice"], name, accept=option("as", ["dns-bus"]))
        assert known["clean"] is True and known["counts"]["accepted"] == 1
    assert bad(checked(people["alice"], name)) == []


def test_sockets_are_judged_by_what_the_user_may_reach(
    world: World, people: People, made: Made
) -> None:
    name = made(up=True)
    with running(world, LISTEN, "/run/docker.sock") as said:
        assert said == "ready"
        assert bad(checked(people["alice"], name)) == ["socket-docker"]
        world.root("chmod", "600", "/run/docker.sock")
        assert bad(checked(people["alice"], name)) == []
    world.root("rm", "/run/docker.sock")


def test_the_command_of_a_user(world: World, made: Made) -> None:
    name = made(up=True)
    done = world.netjail("check", name, "--offline", "--json", user="alice")
    assert done.returncode == 0, done
    result = json.loads(done.stdout)["result"]
    assert result["compared"] is True and result["sent_outside"] == []
    assert bad(result) == []
