# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles and switches written by suites, and a local network in a namespace of the machine.

host --- br0 --- (port0) port1 10.5.0.1    namespace "lan": a real dnsmasq hands out
     --- nic0 -- (nic1)  nic1  10.6.0.1    10.N.0.50 to 10.N.0.99 on both
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from guest import background, eventually, netjail, sh

FILES = Path("/run/netjail-tests")
STORED = (Path("/etc/netjail/profiles"), Path("/etc/netjail/switches"))
NETNS = "lan"
HOST = "10.6.0.9"
"""The host's own address on nic0."""
LEASES = FILES / "lan.leases"
NONE = 'kind = "none"'


@contextlib.contextmanager
def lan() -> Iterator[None]:
    """The local network, for a while."""
    sh(f"ip netns add {NETNS}")
    inside("ip link set lo up")
    for host, other in (("nic0", "nic1"), ("port0", "port1")):
        sh(f"ip link add {host} type veth peer name {other} netns {NETNS}")
        inside(f"ip link set {other} up")
    inside("ip address add 10.6.0.1/24 dev nic1")
    inside("ip address add 10.5.0.1/24 dev port1")
    sh("ip link add br0 type bridge")
    sh("ip link set br0 up")
    sh("ip link set port0 master br0 up")
    sh("ip link set nic0 up")
    sh(f"ip address add {HOST}/24 dev nic0")
    words = "dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --user=root --pid-file="
    words += f" --no-ping --dhcp-authoritative --dhcp-leasefile={LEASES}"
    for net in ("10.5.0", "10.6.0"):
        words += f" --dhcp-range={net}.50,{net}.99,255.255.255.0,10m"
    try:
        with background(words, netns=NETNS):
            yield
    finally:
        sh("ip link del br0")
        sh(f"ip netns del {NETNS}")
        eventually(lambda: not os.path.exists("/sys/class/net/nic0"), "the pairs are gone")


def inside(command: str) -> str:
    """Run a command in the local network's namespace."""
    return sh(f"ip netns exec {NETNS} {command}").out


def profile(name: str, uplink: str = NONE, rest: str = "", head: str = "") -> None:
    """Store a profile. `uplink`: the lines of its table; `rest`: what is after it."""
    path = FILES / f"{name}.toml"
    path.write_text(f"version = 1\n{head}\n[uplink]\n{uplink}\n{rest}\n")
    sh(f"netjail profile add --replace {path}")


def switch(name: str, text: str) -> None:
    """Store a switch."""
    path = FILES / f"{name}.toml"
    path.write_text(f"version = 1\n{text}\n")
    sh(f"netjail switch add --replace {path}")


def link(other: str, address: str, more: str = "", kind: str = "switch") -> str:
    """The lines of a link, to a switch or (kind = "peer") a profile."""
    return f'[[link]]\n{kind} = "{other}"\naddress = "{address}"\n{more}\n'


def reaches(name: str, address: str, *, seconds: int = 10) -> bool:
    """Whether an address answers to a ping from a profile's jail."""
    ping = f"ping -n -c 1 -W {seconds} {address}"
    return sh(f"netjail run {name} -- {ping}", ok=None).code == 0


def status(name: str) -> dict:
    """What `netjail status` says of a profile."""
    return netjail(["status", name])["profiles"][0]


def switch_status(name: str) -> dict:
    return netjail(["switch", "status", name])["switches"][0]


def lease(name: str) -> str:
    """The address that a jail has by DHCP, with its prefix length; waited for."""

    def leased() -> str:
        return str((status(name)["leases"] or [{}])[0].get("address") or "")

    return str(eventually(leased, f"{name} has a lease", seconds=60))


def interface(name: str) -> list[str]:
    """All of an interface of the host that has to be as it was. (Its number is the kernel's.)"""
    text = sh(f"ip -o -4 address show dev {name}").out.partition(": ")[2]
    link = sh(f"ip -o link show dev {name}").out.split()
    kept = [link[link.index(key) + 1] for key in ("mtu", "group", "link/ether")]
    return [text, sh(f"ip route show dev {name}").out, *kept]


def stored() -> set[Path]:
    """The files of all profiles and switches."""
    return {path for place in STORED if place.is_dir() for path in place.glob("*.toml")}


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """What is done in the block leaves nothing when all is down, its files apart: those go then."""
    before, files = traces(), stored()
    try:
        yield
    finally:
        sh("netjail down --all --kill")
        for path in stored() - files:
            path.unlink()
    deadline = time.monotonic() + 20  # the kernel takes interfaces away after the namespace
    while (now := traces()) != before and time.monotonic() < deadline:
        time.sleep(0.5)
    assert now == before, f"left: {now}, before: {before}"


SERVERS = ("dnsmasq", "udhcpc", "openvpn", "openconnect", "ovsdb-server", "ovs-vswitchd", "tcpdump")


def traces() -> dict[str, list[str]]:
    """All that a jail, a link or a switch might leave behind."""
    return {
        "namespaces": sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else [],
        "interfaces": sorted(os.listdir("/sys/class/net")),
        "tables": sh("nft list tables").out.splitlines(),
        "processes": sorted(each for each in map(_name, _pids()) if each in SERVERS),
        "jails": [
            name
            for place in ("/run/netjail/jails", "/run/netjail/switches", "/etc/netns")
            if os.path.isdir(place)
            for name in sorted(os.listdir(place))
        ],
    }


def _pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def _name(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def running(program: str) -> list[int]:
    """The processes of that name."""
    return [int(pid) for pid in _pids() if _name(pid) == program]
