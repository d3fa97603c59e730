# SPDX-License-Identifier: GPL-3.0-or-later
"""data/dbus/*.conf as a real dbus-daemon understands it, on a bus of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import netjail
from netjail import names

CONF = Path(netjail.__file__).parents[1] / "data" / "dbus" / "org.netjail.Netjail1.conf"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be root on a bus"),
    pytest.mark.skipif(
        not (shutil.which("dbus-daemon") and shutil.which("dbus-send")),
        reason="dbus-daemon and dbus-send are not installed",
    ),
]

# What matters of the system bus: everything that is not allowed is denied.
SYSTEM = """\
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <include>{conf}</include>
</busconfig>
"""

OWNER = """\
import sys
from gi.repository import Gio, GLib
kind = Gio.DBusConnectionFlags
flags = kind.AUTHENTICATION_CLIENT | kind.MESSAGE_BUS_CONNECTION
bus = Gio.DBusConnection.new_for_address_sync(sys.argv[1], flags, None, None)
reply = bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
    "RequestName", GLib.Variant("(su)", (sys.argv[2], 4)), None, Gio.DBusCallFlags.NONE, 5000, None)
print("owner", reply.unpack()[0], flush=True)
GLib.MainLoop().run()
"""


@pytest.fixture(scope="module")
def bus() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        config, socket = Path(directory) / "conf", Path(directory) / "socket"
        shutil.copy(CONF, Path(directory) / "ours.conf")
        config.write_text(SYSTEM.format(socket=socket, conf=Path(directory) / "ours.conf"))
        command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as daemon:
            assert daemon.stdout is not None
            yield daemon.stdout.readline().strip()
            daemon.terminate()


def owner(address: str, *before: str) -> subprocess.Popen[str]:
    command = [*before, "/usr/bin/python3", "-I", "-c", OWNER, address, names.BUS_NAME]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
needs_gi = pytest.mark.skipif(
    subprocess.run(
        ["/usr/bin/python3", "-I", "-c", "from gi.repository import Gio"], capture_output=True
    ).returncode
    != 0,
    reason="/usr/bin/python3 has no gi",
)


def ask(address: str, interface: str, path: str = names.BUS_PATH) -> str:
    """The error an ordinary user gets for a method that nobody has."""
    command = ["dbus-send", f"--bus={address}", "--print-reply", "--reply-timeout=3000"]
    command += [f"--dest={names.BUS_NAME}", path, f"{interface}.Nothing"]
    done = subprocess.run([*NOBODY, *command], capture_output=True, text=True)
    return done.stderr.strip()


@needs_gi
def test_only_root_may_be_the_helper(bus: str) -> None:
    with owner(bus, *NOBODY) as nobody:
        _, error = nobody.communicate(timeout=20)
    assert "AccessDenied" in error


@needs_gi
def test_users_reach_our_interfaces_and_no_others(bus: str) -> None:
    with owner(bus) as root:
        assert root.stdout is not None
        assert root.stdout.readline() == "owner 1\n"
        try:
            standard = ("Introspectable", "ObjectManager", "Peer", "Properties")
            for interface in (
                names.BUS_MANAGER,
                names.BUS_PROFILE,
                *(f"org.freedesktop.DBus.{name}" for name in standard),
            ):
                assert "UnknownMethod" in ask(bus, interface), interface
            for interface in ("org.netjail.Netjail1.Private", "org.example.Other"):
                assert "AccessDenied" in ask(bus, interface), interface
        finally:
            root.terminate()
