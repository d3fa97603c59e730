# SPDX-License-Identifier: GPL-3.0-or-later
"""Cables between profiles, and switches: a bridge of the kernel, Open vSwitch in userspace."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import Host, Hosts, missing, wait_until
from test_crash import KILL_AT_STEP

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

OVS = shutil.which("ovs-vswitchd") is None
ENGINES = [
    "bridge",
    pytest.param(
        "openvswitch",
        marks=[
            pytest.mark.skipif(OVS, reason="not installed: openvswitch-switch"),
            pytest.mark.slow,
        ],
    ),
]
NONE = 'kind = "none"'
VLANS = (
    subprocess.run(
        ["unshare", "-n", "ip", "link", "add", "b", "type", "bridge", "vlan_filtering", "1"],
        capture_output=True,
        check=False,
    ).returncode
    == 0
)
"""Whether this kernel's bridge has VLANs."""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    hosts = Hosts()
    yield hosts
    hosts.close()


@pytest.fixture
def host(hosts: Hosts) -> Iterator[Host]:
    with hosts.lend() as host:
        yield host


def link(other: str, address: str = "", kind: str = "switch", more: str = "") -> str:
    line = f'address = "{address}"\n' if address else ""
    return f'[[link]]\n{kind} = "{other}"\n{line}{more}\n'


def switch(host: Host, name: str, text: str = "") -> None:
    host.write(f"/run/{name}.toml", f"version = 1\n{text}\n")
    host.netjail("switch", "add", "--replace", f"/run/{name}.toml").ok()


def reaches(host: Host, profile: str, address: str, seconds: int = 2) -> bool:
    ping = ["ping", "-n", "-c", "1", "-W", str(seconds), address]
    return host.netjail("run", "-u", "root", profile, "--", *ping).status == 0


def status(host: Host, profile: str) -> dict[str, Any]:
    return host.netjail("status", "--json", profile).ok().json()["profiles"][0]


def switch_status(host: Host, name: str) -> dict[str, Any]:
    return host.netjail("switch", "status", "--json", name).ok().json()["switches"][0]


def links_of(host: Host, profile: str) -> list[str]:
    said = host.netjail("run", "-u", "root", profile, "--", "ip", "-j", "link").ok()
    return sorted(each["ifname"] for each in json.loads(said.out))


# Cables ----------------------------------------------------------------------------------------


def cable(host: Host) -> None:
    host.profile("client", NONE, link("server", "10.10.10.10/24", "peer"))
    host.profile("server", NONE, link("client", "10.10.10.1/24", "peer"))


@pytest.mark.parametrize("order", [("client", "server"), ("server", "client")])
def test_a_cable_is_there_while_both_are_up(host: Host, order: tuple[str, str]) -> None:
    cable(host)
    first, second = order
    host.netjail("up", first).ok()
    assert links_of(host, first) == ["lo"]
    assert not status(host, first)["links"][0]["up"]
    host.netjail("up", second).ok()
    assert reaches(host, "client", "10.10.10.1")
    assert reaches(host, "server", "10.10.10.10")
    assert status(host, first)["links"][0]["up"]
    assert "10.10.10" not in host.run("ip", "addr").out + host.run("ip", "route").out
    host.netjail("down", first).ok()
    assert links_of(host, second) == ["lo"]
    host.netjail("up", first).ok()
    assert reaches(host, "client", "10.10.10.1")
    host.netjail("down", "client", "server").ok()
    host.clean()


def test_programs_do_not_notice_that_a_link_is_added(host: Host) -> None:
    switch(host, "lab")
    cable(host)
    host.netjail("up", "client", "server").ok()
    stays = host.background(
        "run", "-u", "root", "client", "--", "sh", "-c", "ip -o l; read x; ip -o l"
    )
    before = status(host, "client")["addresses"]
    text = link("server", "10.10.10.10/24", "peer") + link("lab", "10.20.0.10/24")
    source = f"version = 1\n[uplink]\n{NONE}\n{text}"
    host.write("/run/client.toml", source)
    host.netjail("profile", "add", "--replace", "/run/client.toml").ok()
    plan = host.netjail("plan", "client").ok().out
    assert "switch lab" in plan
    assert "cable" not in plan
    host.netjail("up", "client").ok()
    after = status(host, "client")["addresses"]
    assert all(each in after for each in before)
    said, _ = stays.communicate("\n", timeout=20)
    numbers = [line.split(":")[0] for line in said.splitlines() if "server@" in line]
    assert len(numbers) == 2, said
    assert numbers[0] == numbers[1]
    assert "lab@" in said
    host.netjail("down", "--all").ok()
    host.clean()


# Switches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_profiles_meet_on_a_switch(host: Host, engine: str) -> None:
    switch(host, "lab", f'engine = "{engine}"')
    for number, name in enumerate(("east", "west", "central"), 1):
        more = f'mac = "02:00:00:00:00:0{number}"'
        host.profile(name, NONE, link("lab", f"10.20.0.{number}/24", more=more))
    host.netjail("up", "--wait", "0", "east", "west", "central").ok()
    assert reaches(host, "east", "10.20.0.2")
    assert reaches(host, "central", "10.20.0.1")
    near = {n["address"]: n["lladdr"] for n in status(host, "east")["neighbours"]}
    assert near["10.20.0.2"] == "02:00:00:00:00:02"
    seen = switch_status(host, "lab")
    assert [p["profile"] for p in seen["ports"]] == ["east", "west", "central"]
    port = {p["mac"]: p["port"] for p in seen["ports"]}
    assert {m["mac"]: m["port"] for m in seen["macs"]}.items() >= port.items()
    assert "10.20.0" not in host.run("ip", "addr").out
    assert not [name for name in host.left().get("links", ()) if "nj-" in str(name)]
    host.netjail("down", "east").ok()
    assert reaches(host, "west", "10.20.0.3")
    host.netjail("down", "--all").ok()
    assert switch_status(host, "lab")["state"] == "down"
    host.clean()


@pytest.mark.parametrize("engine", ENGINES)
def test_tcp_and_large_packets_pass(host: Host, engine: str) -> None:
    """Open vSwitch in userspace hands on frames whose checksums the kernel had left out."""
    switch(host, "lab", f'engine = "{engine}"\nhost = true\nhost_address = "10.20.0.254/24"')
    host.profile("east", NONE, link("lab", "10.20.0.1/24"))
    host.netjail("up", "east").ok()
    assert host.ask("east", "10.20.0.254", 5) == "host 10.20.0.1"
    assert reaches(host, "east", "10.20.0.254")
    status_ = switch_status(host, "lab")
    assert "10.20.0.1" in [n["address"] for n in status_["neighbours"]]
    host.netjail("down", "--all").ok()
    host.clean()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_isolated_ports_reach_only_the_host(host: Host, engine: str) -> None:
    text = f'engine = "{engine}"\nisolated = true\nhost = true\nhost_address = "10.20.0.254/24"'
    switch(host, "lab", text)
    for number, name in enumerate(("east", "west"), 1):
        host.profile(name, NONE, link("lab", f"10.20.0.{number}/24"))
    host.netjail("up", "east", "west").ok()
    assert reaches(host, "east", "10.20.0.254")
    assert reaches(host, "west", "10.20.0.254")
    assert not reaches(host, "east", "10.20.0.2", 1)
    host.netjail("down", "--all").ok()
    host.clean()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_vlans_keep_ports_apart(host: Host, engine: str) -> None:
    switch(host, "lab", f'engine = "{engine}"\nvlan = 10')
    for number, (name, vlan) in enumerate((("a", ""), ("b", ""), ("c", "vlan = 20")), 1):
        host.profile(name, NONE, link("lab", f"10.20.0.{number}/24", more=vlan))
    if engine == "bridge" and not VLANS:
        host.netjail("up", "a").failed("no bridges with VLANs", "openvswitch")
        return
    host.netjail("up", "a", "b", "c").ok()
    assert reaches(host, "a", "10.20.0.2")
    assert not reaches(host, "a", "10.20.0.3", 1)
    assert [p["vlan"] for p in switch_status(host, "lab")["ports"]] == [10, 10, 20]
    host.netjail("down", "--all").ok()
    host.clean()


@pytest.mark.parametrize("engine", ENGINES)
def test_broadcast_stays_on_its_switch(host: Host, engine: str) -> None:
    """Not on another one, not on the host, not on a cable."""
    for name in ("one", "two"):
        switch(host, name, f'engine = "{engine}"')
    host.profile("talks", NONE, link("one", "10.20.0.1/24") + link("hears", "10.30.0.1/24", "peer"))
    host.profile("hears", NONE, link("one", "10.20.0.2/24") + link("talks", "10.30.0.2/24", "peer"))
    host.profile("other", NONE, link("two", "10.20.0.3/24"))
    host.netjail("up", "talks", "hears", "other").ok()
    listeners = {
        "hears one": listen(host, "hears", "one"),
        "hears talks": listen(host, "hears", "talks"),
        "other two": listen(host, "other", "two"),
        "host": listen(host, None, "any"),
    }
    shout = (
        "import socket,sys; s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW);"
        "s.bind(('one',0)); s.send(b'\\xff'*6+b'\\2\\0\\0\\0\\0\\1'+b'\\x88\\xb5'+b'SHOUT'*12)"
    )
    argv = ["/usr/bin/python3", "-c", shout]
    for _ in range(3):
        host.netjail("run", "-u", "root", "talks", "--", *argv).ok()
    heard = {}
    for who, process in listeners.items():
        if who == "hears one":
            assert wait_until(lambda: "SHOUT" in host.path("/run/heard-one").read_text(), 20)
        process.terminate()
        process.wait(timeout=20)
    for who, file in (
        ("hears one", "one"),
        ("hears talks", "talks"),
        ("other two", "two"),
        ("host", "any"),
    ):
        heard[who] = "SHOUT" in host.path(f"/run/heard-{file}").read_text()
    assert heard == {"hears one": True, "hears talks": False, "other two": False, "host": False}
    host.netjail("down", "--all", "--kill").ok()
    host.clean()


HEAR = """
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
if sys.argv[1] != "any":
    sock.bind((sys.argv[1], 3))
with open("/run/heard-" + sys.argv[1], "w") as file:
    print("listening", file=file, flush=True)
    while True:
        print(sock.recv(2000), file=file, flush=True)
"""


def listen(host: Host, profile: str | None, interface: str) -> subprocess.Popen[str]:
    """Write all frames that an interface sees to /run/heard-INTERFACE."""
    host.path(f"/run/heard-{interface}").unlink(missing_ok=True)
    argv = ["/usr/bin/python3", "-S", "-c", HEAR, interface]
    if profile is not None:
        argv = host.cli("run", "-u", "root", profile, "--", *argv)
    process = host.start(*argv)
    file = host.path(f"/run/heard-{interface}")
    assert wait_until(lambda: file.exists() and "listening" in file.read_text(), 20)
    return process


# Uplinks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_an_interface_of_the_host_is_plugged_in_and_given_back(host: Host, engine: str) -> None:
    before = host.run("ip", "-br", "addr", "show", "lan0").ok().out
    switch(host, "lab", f'engine = "{engine}"\nuplink = "lan0"')
    host.profile("a", NONE, link("lab", "192.168.7.77/24"))
    host.netjail("up", "a").ok()
    assert host.run("ip", "link", "show", "lan0").status != 0
    assert reaches(host, "a", "192.168.7.2")
    seen = switch_status(host, "lab")
    assert [(p["kind"], p["port"]) for p in seen["ports"]][-1] == ("uplink", "lan0")
    host.kill_helper()
    host.netjail("down", "a").ok()
    assert host.run("ip", "-br", "addr", "show", "lan0").ok().out.split()[2] == before.split()[2]
    host.clean()


@pytest.mark.slow
def test_a_helper_killed_with_an_uplink_half_plugged_in_gives_it_back(host: Host) -> None:
    switch(host, "lab", 'uplink = "lan0"')
    host.profile("a", NONE, link("lab", "192.168.7.77/24"))
    for step in (2, 3, 4):
        host.wrap_helper(KILL_AT_STEP, "switch up", str(step))
        host.request("up", profile="a", wait=0).communicate(timeout=40)
        assert host.state("a") == "down"
        assert "192.168.7.10/24" in host.run("ip", "-br", "addr", "show", "lan0").ok().out
        host.clean()


def test_the_hosts_only_way_out_is_not_taken(host: Host) -> None:
    switch(host, "lab", 'uplink = "up0"')
    host.profile("a", NONE, link("lab", "192.0.2.77/24"))
    host.netjail("up", "a").failed("up0 is the host's only way out", "cut_off_host = true")
    host.netjail("plan", "a").failed("only way out")
    host.clean()
    switch(host, "lab", 'uplink = "up0"\ncut_off_host = true')
    host.netjail("up", "a").ok()
    assert reaches(host, "a", "192.0.2.1")
    host.netjail("down", "a").ok()
    assert "default via 192.0.2.1" in host.run("ip", "route").ok().out
    host.sh("ip route del default; ip route add default via 192.0.2.1")  # by whom, as it was
    host.sh("ip -6 route del default; ip -6 route add default via 2001:db8::1")
    host.clean()
    switch(host, "lab", 'uplink = "nowhere0"')
    host.netjail("up", "a").failed("no network interface nowhere0")


# What is refused -------------------------------------------------------------------------------


def test_a_link_to_nobody(host: Host) -> None:
    host.profile("client", NONE, link("server", "10.10.10.10/24", "peer"))
    host.netjail("up", "client").failed("client has a link to server", "no profile server")
    host.profile("server", NONE)
    host.netjail("up", "client").failed("server has no link to client", "peer = ")
    host.profile("lost", NONE, link("lab", "10.20.0.1/24"))
    host.netjail("up", "lost").failed("lost has a link to switch lab", "no switch lab")
    host.clean()


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ("10.1.0.1/24", "10.2.0.1/24", "not on one network"),
        ("10.1.0.1/24", "10.1.0.1/24", "both ends"),
    ],
)
def test_ends_that_do_not_fit(host: Host, ours: str, theirs: str, words: str) -> None:
    host.profile("a", NONE, link("b", ours, "peer"))
    host.profile("b", NONE, link("a", theirs, "peer"))
    host.netjail("up", "a").failed(words)
    host.clean()


def test_an_address_that_somebody_has(host: Host) -> None:
    switch(host, "lab", 'host = true\nhost_address = "10.20.0.254/24"')
    host.profile("a", NONE, link("lab", "10.20.0.1/24"))
    host.profile("b", NONE, link("lab", "10.20.0.1/24"))
    host.profile("c", NONE, link("lab", "10.20.0.254/24"))
    host.netjail("up", "a").ok()
    host.netjail("up", "b").failed("a, which is up, has 10.20.0.1")
    host.netjail("up", "c").failed("10.20.0.254", "the host's")
    host.netjail("down", "a").ok()
    host.clean()


def test_a_host_address_that_overlaps_a_network_of_the_host(host: Host) -> None:
    switch(host, "lab", 'host = true\nhost_address = "192.168.7.1/25"')
    host.profile("a", NONE, link("lab", "192.168.7.3/25"))
    host.netjail("up", "a").failed("overlaps 192.168.7.0/24", "switch edit lab")
    host.clean()


def test_a_switch_that_is_up_is_not_removed(host: Host) -> None:
    switch(host, "lab")
    host.profile("a", NONE, link("lab", "10.20.0.1/24"))
    host.netjail("up", "a").ok()
    host.netjail("switch", "remove", "--yes", "lab").failed("lab is up", "netjail down a")
    switch(host, "lab", "vlan = 5")
    host.netjail("up", "a").failed("otherwise than its file", "netjail down a")
    switch(host, "lab", "host = true")
    host.netjail("up", "a").ok()
    assert switch_status(host, "lab")["host_interface"] == "nj-sw.lab"
    host.netjail("down", "a").ok()
    assert "a cannot go up" in host.netjail("switch", "remove", "lab").ok().out
    host.clean()


# Leaks -----------------------------------------------------------------------------------------


def test_a_tunnel_with_a_link_stays_the_only_way_out(host: Host) -> None:
    switch(host, "lab")
    host.tunnel("vpn")
    source = host.path("/etc/netjail/profiles/vpn.toml").read_text()
    host.write("/run/vpn.toml", source + link("lab", "10.20.0.1/24"))
    host.netjail("profile", "add", "--replace", "/run/vpn.toml").ok()
    host.profile("near", NONE, link("lab", "10.20.0.2/24"))
    host.netjail("up", "vpn", "near").ok()
    assert reaches(host, "vpn", "10.20.0.2")
    seen = status(host, "vpn")
    assert [r for r in seen["routes"] if "default" in r] == [
        "default dev wg0",
        "default (IPv6) dev wg0",
    ]
    assert seen["dns"]["servers"] == ["10.9.0.1"]
    assert host.ask("vpn", "203.0.113.80", 5) == "inet 10.9.0.2"
    # who is on the link cannot go through the jail
    ways = "ip route add default via 10.20.0.1; ping -c 1 -W 1 10.9.0.1"
    assert host.netjail("run", "-u", "root", "near", "--", "sh", "-c", ways).status != 0
    # nor learn the tunnel's address
    arp = "ip route add 10.9.0.2/32 dev lab; ping -c 1 -W 1 10.9.0.2; ip neigh show 10.9.0.2"
    said = host.netjail("run", "-u", "root", "near", "--", "sh", "-c", arp)
    assert "lladdr" not in said.out
    forwarding = ["cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"]
    assert host.netjail("run", "vpn", "--", *forwarding).ok().out.split() == ["0", "0"]
    # the tunnel dies: nothing goes another way
    host.netjail(
        "run", "-u", "root", "near", "--", "ip", "addr", "add", "203.0.113.80/32", "dev", "lab"
    ).ok()
    host.netjail("run", "-u", "root", "vpn", "--", "ip", "link", "set", "wg0", "down").ok()
    assert host.ask("vpn", "203.0.113.80", 2) == "ENETUNREACH"
    host.netjail("down", "--all").ok()
    host.clean()


def test_a_gateway_beside_an_uplink(host: Host) -> None:
    second = link("lab", "10.20.0.1/24", more='gateway = "10.20.0.254"')
    host.write("/run/bad.toml", f'version = 1\n[uplink]\nkind = "veth"\n{second}')
    host.netjail("profile", "add", "/run/bad.toml").failed("second way out", "10.20.0.254")
