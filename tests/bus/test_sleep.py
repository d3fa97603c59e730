# SPDX-License-Identifier: GPL-3.0-or-later
"""logind's word of a sleep on a real bus. Who says it is a stand-in that owns logind's name, as
logind itself does not run here; the signal is the one of org.freedesktop.login1(5)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from face import P, option, path
from world import Client, World, wait_for

STAND_IN = """
import sys
from gi.repository import Gio, GLib
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
def call(member, signature, *words):
    return bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
        member, GLib.Variant(signature, words), None, 0, 5000, None).unpack()[0]
if "own" in sys.argv:
    assert call("RequestName", "(su)", "org.freedesktop.login1", 4) == 1
for begins in (True, False):
    bus.emit_signal(None, "/org/freedesktop/login1", "org.freedesktop.login1.Manager",
        "PrepareForSleep", GLib.Variant("(b)", (begins,)))
bus.flush_sync()
print("said", flush=True)
sys.stdin.read()
"""
POLICY = """<busconfig><policy user="root"><allow own="org.freedesktop.login1"/></policy>
<policy context="default"><allow send_type="signal"/></policy></busconfig>
"""


def say(world: World, *words: str) -> None:
    process = world.popen(
        sys.executable, "-c", STAND_IN, *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == "said\n"
    process.stdin.close()
    assert process.wait(20) == 0


def test_the_end_of_a_sleep_is_believed_of_logind_alone(
    world: World, people: dict[str, Client], made: Callable[..., str]
) -> None:
    world.write("/etc/dbus-1/system.d/stand-in.conf", POLICY)
    world.root("dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/",
               "org.freedesktop.DBus.ReloadConfig")  # fmt: skip
    name = made(up=True)
    root = people["root"]

    def slept() -> int:
        lines: list[dict[str, Any]] = root.call(path(name), P + "Logs", "a{sv}", {})
        return sum("has slept" in line["text"] for line in lines)

    say(world)  # somebody without the name
    say(world, "own")
    wait_for(lambda: slept() > 0, "the sleep is not noticed")
    after = {"after": option("t", 1 << 59), "wait": option("d", 0.3)}
    assert root.call(path(name), P + "Logs", "a{sv}", after) == []
    assert slept() == 1
