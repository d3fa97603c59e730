# SPDX-License-Identifier: GPL-3.0-or-later
"""Open vSwitch in userspace with what is more than a port: shapes, VLANs over an uplink, its own
records; what a bridge does as well is in test_switches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import Host, Hosts, missing
from test_switches import NONE, OVS, VLANS, link, reaches, switch, switch_status

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
    pytest.mark.skipif(OVS, reason="not installed: openvswitch-switch"),
    pytest.mark.slow,
]
SHAPE = '[link.shape]\nrate = "2mbit"'


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    hosts = Hosts()
    yield hosts
    hosts.close()


@pytest.fixture
def host(hosts: Hosts) -> Iterator[Host]:
    with hosts.lend() as host:
        yield host


def qdisc(host: Host, netns: str, device: str) -> str:
    return host.run("ip", "netns", "exec", netns, "tc", "qdisc", "show", "dev", device).ok().out


def test_a_shape_stays_while_others_come_and_go(host: Host) -> None:
    """Open vSwitch looks at all ports anew with each: it leaves the queues alone that it has not
    made."""
    switch(host, "lab", 'engine = "openvswitch"')
    for number, name in enumerate(("slow", "quick", "late"), 1):
        shape = SHAPE if name == "slow" else ""
        host.profile(name, NONE, link("lab", f"10.20.0.{number}/24", more=shape))
    host.netjail("up", "slow", "quick").ok()

    def shaped() -> bool:
        ports = {p["profile"]: p["port"] for p in switch_status(host, "lab")["ports"]}
        ends = (("netjail-switch.lab", ports["slow"]), ("netjail-slow", "lab"))
        return all("rate 2Mbit" in qdisc(host, netns, device) for netns, device in ends)

    assert shaped()
    host.netjail("up", "late").ok()
    assert reaches(host, "slow", "10.20.0.3")
    assert shaped()
    host.netjail("down", "quick").ok()
    assert shaped()
    host.netjail("down", "--all").ok()
    host.clean()


TAGGED = """
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind(("lan1", 3))
frame = lambda vlan: (b"\\xff" * 6 + bytes.fromhex("020000000909") + b"\\x81\\0"
                      + vlan.to_bytes(2, "big") + b"\\x88\\xb5" + b"VLAN%d" % vlan + bytes(48))
for vlan in (10, 20):
    sock.send(frame(vlan))
"""
HEAR = """
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind((sys.argv[1], 3)); sock.settimeout(30)
print("ready", flush=True)
while True:
    data = sock.recv(2000)
    if b"VLAN" in data:
        print(data[data.index(b"VLAN"):][:6].decode(), flush=True); break
"""


@pytest.mark.parametrize(
    "engine",
    [
        "openvswitch",
        pytest.param("bridge", marks=pytest.mark.skipif(not VLANS, reason="no VLANs in bridges")),
    ],
)
def test_vlans_go_over_the_uplink_tagged(host: Host, engine: str) -> None:
    """Frames with a tag from the wire reach the port of that VLAN, without it, and no other."""
    switch(host, "lab", f'engine = "{engine}"\nvlan = 10\nuplink = "lan0"')
    host.profile("ten", NONE, link("lab", "192.168.7.71/24"))
    host.profile("twenty", NONE, link("lab", "192.168.7.72/24", more="vlan = 20"))
    host.netjail("up", "ten", "twenty").ok()
    assert not reaches(host, "ten", "192.168.7.2", 1), "what has no tag is of no VLAN"
    hearing = {
        name: host.background("run", "-u", "root", name, "--", "python3", "-c", HEAR, "lab")
        for name in ("ten", "twenty")
    }
    for process in hearing.values():
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    host.run("ip", "netns", "exec", "neigh", "/usr/bin/python3", "-c", TAGGED).ok()
    heard = {name: process.communicate(timeout=60)[0] for name, process in hearing.items()}
    assert heard == {"ten": "VLAN10\n", "twenty": "VLAN20\n"}
    seen = switch_status(host, "lab")
    ports = {p["profile"]: p["port"] for p in seen["ports"] if p["profile"]}
    assert {p["profile"]: p["vlan"] for p in seen["ports"] if p["profile"]} == {
        "ten": 10,
        "twenty": 20,
    }
    assert {(m["port"], m["vlan"]) for m in seen["macs"]} >= {("lan0", 10), ("lan0", 20)}, ports
    host.netjail("down", "--all").ok()
    assert "192.168.7.10/24" in host.run("ip", "-br", "addr", "show", "lan0").ok().out
    host.clean()


def test_many_with_a_lease_each_leave_nothing(host: Host) -> None:
    """As tests/bench has it with two hundred: no interface, process, file, table or record."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
    from figures.switch_dhcp import many

    many(host, 12, "openvswitch")
    assert not host.pids("ovsdb-server") and not host.pids("ovs-vswitchd")
    assert not host.pids("dnsmasq") and not host.pids("udhcpc")
    assert "netjail" not in host.run("nft", "list", "ruleset").ok().out
    host.clean()
