# SPDX-License-Identifier: GPL-3.0-or-later
"""Open vSwitch, by its own tools: the one that the system runs, or one of our own for a switch.

Where the system runs it (its database answers at SYSTEM), bridge and ports are made there, in the
host's namespace, each with `external_ids:netjail` so that we only ever remove what is ours. Else
ovsdb-server and ovs-vswitchd are started for the switch alone, in its namespace, with all their
files in its directory. Without a kernel module packets are switched in userspace ("netdev").
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
from contextlib import suppress
from typing import Any

from netjail import names
from netjail.engine import bridge, ns, process
from netjail.engine.context import Context
from netjail.engine.process import Process
from netjail.errors import NetjailError
from netjail.uplinks.wanted_links import OvsBridge

SYSTEM = "/var/run/openvswitch/db.sock"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
DATABASE, SWITCHING = "ovsdb-server", "ovs-vswitchd"
_MARK = "external_ids:netjail"
_SECONDS = 20
_SIOCETHTOOL, _STXCSUM = 0x8946, 0x17


def system_runs() -> bool:
    """Whether somebody answers where the system's Open vSwitch does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(1)
        try:
            probe.connect(SYSTEM)
        except OSError:
            return False
    return True


def datapath() -> str:
    """ "system" where the kernel has the module, else "netdev"."""
    if not os.path.isdir("/sys/module/openvswitch"):
        with suppress(NetjailError):
            process.run(["modprobe", "-q", "openvswitch"], timeout=10)
    return "system" if os.path.isdir("/sys/module/openvswitch") else "netdev"


def _directory(wanted: OvsBridge) -> str:
    return names.switch_dir(wanted.switch)


def _database(wanted: OvsBridge) -> str:
    return SYSTEM if wanted.netns is None else f"{_directory(wanted)}/db.sock"


def vsctl(wanted: OvsBridge, *words: str, wait: bool = True) -> str:
    """Run ovs-vsctl. `wait`: until ovs-vswitchd has done it."""
    options = [f"--db=unix:{_database(wanted)}", f"--timeout={_SECONDS}"]
    if not wait:
        options.append("--no-wait")
    return process.run(["ovs-vsctl", *options, *words], timeout=_SECONDS + 10)


# The driver ------------------------------------------------------------------------------------


def apply(wanted: OvsBridge, context: Context) -> None:
    """Start what has to run, and make the bridge if there is none. Raises NetjailError."""
    if wanted.netns is not None:
        with ns.inside_named(wanted.netns):
            bridge.without_ipv6()
            _start(wanted, context)
    elif not ours(wanted) and _exists(wanted):
        raise NetjailError(
            "conflict",
            f"Open vSwitch has a bridge {wanted.bridge} that netjail did not make",
            f"rename or delete it (`sudo ovs-vsctl del-br {wanted.bridge}`), or rename the switch",
        )
    words = ["--may-exist", "add-br", wanted.bridge, "--", "set", "bridge", wanted.bridge]
    words += [f"{_MARK}={wanted.switch}", "other_config:forward-bpdu=false"]
    words += ["mcast_snooping_enable=false", "stp_enable=false"]
    words.append(f"datapath_type={wanted.datapath}")
    vsctl(wanted, *words)


def _argv(wanted: OvsBridge, program: str) -> list[str]:
    home = _directory(wanted)
    if program == DATABASE:
        return [
            DATABASE,
            f"{home}/conf.db",
            f"--remote=punix:{home}/db.sock",
            f"--unixctl={home}/ovsdb-server.ctl",
            "-vconsole:warn",
        ]
    return [
        SWITCHING,
        f"unix:{home}/db.sock",
        f"--unixctl={home}/ovs-vswitchd.ctl",
        "-vconsole:warn",
    ]


def _start(wanted: OvsBridge, context: Context) -> None:
    """Both daemons, each unless it runs. The database outlives them, so that the ports do."""
    home = _directory(wanted)
    context.progress("starting Open vSwitch, as the system runs none")
    if not os.path.exists(f"{home}/conf.db"):
        process.run(["ovsdb-tool", "create", f"{home}/conf.db.new", SCHEMA])
        os.rename(f"{home}/conf.db.new", f"{home}/conf.db")
    environment = {"OVS_RUNDIR": home, "OVS_DBDIR": home, "OVS_LOGDIR": home}
    if _running(wanted, context, DATABASE) is None:
        log = context.log(DATABASE)
        started = process.start(DATABASE, _argv(wanted, DATABASE), log, environment)
        context.remember(started)
        process.wait_for("opening its socket", lambda: _answers(wanted), 20, started, log)
    vsctl(wanted, "init", wait=False)
    if _running(wanted, context, SWITCHING) is None:
        log = context.log(SWITCHING)
        started = process.start(SWITCHING, _argv(wanted, SWITCHING), log, environment)
        context.remember(started)
        control = f"{home}/ovs-vswitchd.ctl"
        process.wait_for("starting", lambda: os.path.exists(control), 20, started, log)


def _answers(wanted: OvsBridge) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.connect(_database(wanted))
        except OSError:
            return False
    return True


def _running(wanted: OvsBridge, context: Context, program: str) -> Process | None:
    recorded = context.record.process(program)
    if recorded is not None and recorded.alive():
        return recorded
    found = process.find(_argv(wanted, program), program)
    if found is not None:  # started by a helper that was killed before it could say so
        context.remember(found)
    return found


def present(wanted: OvsBridge, context: Context) -> bool:
    """Whether it is served, and in the system's Open vSwitch whether it is there."""
    if wanted.netns is None:
        try:
            return ours(wanted)
        except NetjailError:
            return False
    return all(
        running is not None and running.alive()
        for running in map(context.record.process, (DATABASE, SWITCHING))
    )


def _exists(wanted: OvsBridge) -> bool:
    return wanted.bridge in vsctl(wanted, "list-br", wait=False).split()


def ours(wanted: OvsBridge) -> bool:
    """Whether there is such a bridge with our mark."""
    words = ("--bare", "--columns=name", "find", "bridge", f"{_MARK}={wanted.switch}")
    return wanted.bridge in vsctl(wanted, *words, wait=False).split()


def undo(wanted: OvsBridge, context: Context) -> None:
    """Delete the bridge, or stop what serves it. Idempotent."""
    if wanted.netns is None:
        if system_runs() and ours(wanted):
            vsctl(wanted, "--if-exists", "del-br", wanted.bridge)
        return
    for program in (SWITCHING, DATABASE):
        running = context.record.process(program) or process.find(_argv(wanted, program), program)
        if running is not None:
            process.stop(running)
            context.forget(program)
    home = _directory(wanted)
    for entry in os.listdir(home) if os.path.isdir(home) else ():
        if entry != "record.json":
            with suppress(OSError):
                os.unlink(f"{home}/{entry}")


# Ports -----------------------------------------------------------------------------------------


def plug(wanted: OvsBridge, port: str, vlan: int | None, isolated: bool) -> None:
    """Make an interface of the bridge's namespace a port of it."""
    words = ["--may-exist", "add-port", wanted.bridge, port]
    if vlan is not None:
        words.append(f"tag={vlan}")
    words += ["--", "set", "port", port, f"{_MARK}={wanted.switch}"]
    words.append(f"protected={'true' if isolated else 'false'}")
    words += ["--", "set", "interface", port, f"{_MARK}={wanted.switch}"]
    vsctl(wanted, *words)


def unplug(wanted: OvsBridge, port: str) -> None:
    """Forget a port. Idempotent, and of no matter where nobody answers any more."""
    if _answers(wanted):
        vsctl(wanted, "--if-exists", "del-port", wanted.bridge, port, wait=False)


def ports(wanted: OvsBridge) -> list[str]:
    """The names of the ports."""
    return vsctl(wanted, "list-ports", wanted.bridge, wait=False).split()


def table(wanted: OvsBridge) -> list[dict[str, Any]]:
    """The MAC table (`ovs-appctl fdb/show`)."""
    target = SWITCHING
    if wanted.netns is not None:
        target = f"{_directory(wanted)}/ovs-vswitchd.ctl"
    text = process.run(["ovs-appctl", "-t", target, "fdb/show", wanted.bridge], timeout=10)
    numbers = _port_numbers(wanted)
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) == 4:
            number, vlan, mac, _ = words
            found.append(
                {"mac": mac, "port": numbers.get(number, number), "vlan": int(vlan) or None}
            )
    return found


def _port_numbers(wanted: OvsBridge) -> dict[str, str]:
    text = vsctl(wanted, "--format=json", "--columns=ofport,name", "list", "interface", wait=False)
    return {str(number): name for number, name in json.loads(text)["data"]}


def without_checksums(interface: str) -> None:
    """Have the kernel compute checksums for what leaves by an interface (`ethtool -K IF tx off`):
    Open vSwitch in userspace passes frames on as they are, and nobody would on the other side."""
    value = bytearray(struct.pack("=II", _STXCSUM, 0))
    address = (ctypes.c_char * len(value)).from_buffer(value)
    request = struct.pack("16sP8x", interface.encode(), ctypes.addressof(address))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        fcntl.ioctl(probe, _SIOCETHTOOL, request)
