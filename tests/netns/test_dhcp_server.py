# SPDX-License-Identifier: GPL-3.0-or-later
"""The DHCP server of a switch: who gets what, what survives, what is left. Clients are real ones
(udhcpc), or for IPv6 a few lines that ask and listen."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import Host, Hosts, missing, wait_until
from test_switches import ENGINES, NONE, link, switch, switch_status

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
    pytest.mark.skipif(shutil.which("udhcpc") is None, reason="not installed: udhcpc"),
    pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="not installed: dnsmasq"),
]

LAB = """
[dhcp]
range = ["10.20.0.100-10.20.0.109", "fd20::100-fd20::1ff"]
lease = 600
gateway = "10.20.0.1"
dns = ["10.20.0.53", "fd20::53"]
domain = "lab.example"

[dhcp.hosts]
beta = "10.20.0.7"
"02:00:00:00:00:09" = "10.20.0.9"
"""

SCRIPT = """#!/bin/sh
test "$1" = bound || exit 0
echo "$ip/$mask $router $dns $domain $lease"
"""

ASK6 = r"""
import json, os, socket, struct, sys, time
index = socket.if_nametoindex(sys.argv[1])
icmp = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
icmp.settimeout(20)
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[1].encode())
sock.bind(("::", 546)); sock.settimeout(2)
def option(code, data): return struct.pack("!HH", code, len(data)) + data
def parse(data):
    found = {}
    while len(data) >= 4:
        code, size = struct.unpack("!HH", data[:4]); found[code] = data[4:4 + size]
        data = data[4 + size:]
    return found
duid = b"\0\3\0\1" + os.urandom(6)
solicit = b"\1abc" + option(1, duid) + option(3, b"\0\0\0\1" + bytes(8)) + option(8, b"\0\0") \
    + option(6, b"\0\x17\0\x18")
for _ in range(60):
    try:
        sock.sendto(solicit, ("ff02::1:2", 547, 0, index)); data = sock.recv(2000); break
    except TimeoutError: pass
    except OSError: time.sleep(0.3)  # our own address is not settled yet
options = parse(data[4:])
inner = parse(options[3][12:])
icmp.sendto(b"\x85\0\0\0" + bytes(4), ("ff02::2", 0, 0, index))
while True:
    packet = icmp.recv(2000)
    if packet[0] == 134: break
print(json.dumps({"address": socket.inet_ntop(socket.AF_INET6, inner[5][:16]),
    "dns": socket.inet_ntop(socket.AF_INET6, options[23][:16]),
    "managed": packet[5] >> 7, "router": struct.unpack("!H", packet[6:8])[0]}))
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    hosts = Hosts()
    yield hosts
    hosts.close()


@pytest.fixture
def host(hosts: Hosts) -> Iterator[Host]:
    with hosts.lend() as host:
        host.write("/etc/udhcpc.test", SCRIPT, 0o755)
        yield host


def member(host: Host, name: str, more: str = "", address: str = "") -> None:
    host.profile(name, NONE, link("lab", address, more=f'name = "eth0"\n{more}'))


def lease(host: Host, profile: str) -> str:
    """What a client is given: address/prefix, router, resolvers, domain, seconds; "": nothing."""
    client = f"udhcpc -i eth0 -n -q -t 5 -T 1 -x hostname:{profile} -s /etc/udhcpc.test"
    words = ["sh", "-c", f"{client} 2>/dev/null"]
    return host.netjail("run", "-u", "root", profile, "--", *words).out.strip()


def names_of(host: Host) -> dict[str, str | None]:
    return {row["address"]: row["name"] for row in switch_status(host, "lab")["leases"]}


@pytest.mark.parametrize("engine", ENGINES)
def test_everybody_on_the_switch_gets_what_the_file_says(host: Host, engine: str) -> None:
    switch(host, "lab", f'engine = "{engine}"\n{LAB}')
    member(host, "alpha")
    member(host, "beta")
    member(host, "gamma", 'mac = "02:00:00:00:00:09"\n')
    host.netjail("up", "alpha", "beta", "gamma").ok()
    rest = "/24 10.20.0.1 10.20.0.53 lab.example 600"
    address, _, said = lease(host, "alpha").partition("/")
    assert "/" + said == rest
    assert address in {f"10.20.0.{n}" for n in range(100, 110)}
    assert lease(host, "beta") == "10.20.0.7" + rest
    assert lease(host, "gamma") == "10.20.0.9" + rest
    assert names_of(host) == {address: "alpha", "10.20.0.7": "beta", "10.20.0.9": "gamma"}
    text = host.netjail("switch", "status", "lab").ok().out
    assert "leases" in text and "DHCP server" in text
    assert "10.20" not in host.run("ip", "addr").out + host.run("ip", "route").out
    host.netjail("down", "--all").ok()
    host.clean()


def test_ipv6_by_dhcp_and_no_way_out_is_announced(host: Host) -> None:
    switch(host, "lab", LAB)
    member(host, "alpha")
    host.netjail("up", "alpha").ok()
    host.write("/run/ask6.py", ASK6, 0o644)
    said = host.netjail("run", "-u", "root", "alpha", "--", "python3", "/run/ask6.py", "eth0").ok()
    found = json.loads(said.out)
    assert found["address"].startswith("fd20::1") and found["dns"] == "fd20::53"
    assert (found["managed"], found["router"]) == (1, 0)
    host.netjail("down", "--all").ok()
    host.clean()


def test_a_server_that_ends_is_started_again_and_knows_its_leases(host: Host) -> None:
    switch(host, "lab", LAB)
    member(host, "alpha")
    host.netjail("up", "alpha").ok()
    before = lease(host, "alpha")
    assert before
    (pid,) = host.pids("dnsmasq", "dhcp-lab.conf")
    host.kill(pid)
    assert wait_until(lambda: host.pids("dnsmasq", "dhcp-lab.conf") not in ([], [pid]), 30)
    assert names_of(host) == {before.partition("/")[0]: "alpha"}
    assert lease(host, "alpha") == before
    host.netjail("down", "--all").ok()
    host.clean()


@pytest.mark.slow
def test_it_outlives_the_helper(host: Host) -> None:
    switch(host, "lab", LAB)
    member(host, "alpha")
    host.netjail("up", "alpha").ok()
    (pid,) = host.pids("dnsmasq", "dhcp-lab.conf")
    host.kill_helper()
    assert host.pids("dnsmasq", "dhcp-lab.conf") == [pid]
    before = lease(host, "alpha")
    assert names_of(host) == {before.partition("/")[0]: "alpha"}
    assert host.pids("dnsmasq", "dhcp-lab.conf") == [pid]
    host.netjail("down", "--all").ok()
    host.clean()


def test_dnsmasq_is_nobody_and_reads_nothing_of_the_hosts(host: Host) -> None:
    switch(host, "lab", LAB)
    member(host, "alpha")
    host.netjail("up", "alpha").ok()
    (pid,) = host.pids("dnsmasq", "dhcp-lab.conf")
    assert host.path(f"/proc/{pid}").stat().st_uid != 0
    conf = host.path("/run/netjail/switches/lab/dhcp-lab.conf")
    assert conf.stat().st_mode & 0o777 == 0o600
    assert {"no-resolv", "no-hosts", "port=0"} <= set(conf.read_text().splitlines())
    host.netjail("down", "--all").ok()
    host.clean()


@pytest.mark.slow
def test_a_profile_can_serve(host: Host) -> None:
    """Then nobody else does, whichever comes up first, and it is no program in the jail."""
    switch(host, "lab", f"isolated = true\n{LAB}")
    member(host, "alpha")
    member(host, "server", "serve_dhcp = true\n", "10.20.0.2/24")
    host.netjail("up", "alpha").ok()
    assert lease(host, "alpha") == ""
    said = host.netjail("up", "server").failed("no address on fd20::/64")
    assert "profile edit server" in said.err
    host.netjail("profile", "remove", "server").ok()
    host.profile(
        "server",
        NONE,
        '[[link]]\nswitch = "lab"\nname = "eth0"\nserve_dhcp = true\n'
        'address = ["10.20.0.2/24", "fd20::2/64"]\n',
    )
    host.netjail("up", "server").ok()
    before = lease(host, "alpha")
    assert before.startswith("10.20.0.10")
    assert names_of(host) == {before.partition("/")[0]: "alpha"}
    assert host.netjail("ps", "--json").ok().json()["programs"] == []
    (given,) = host.netjail("status", "--json", "server").ok().json()["profiles"][0]["given"]
    assert given["address"] == before.partition("/")[0] and given["profile"] == "alpha"
    assert (given["switch"], given["interface"]) == ("lab", "eth0") and given["expires"] > 0
    said = host.netjail("status", "server").ok().out
    assert f"gives       {given['address']} to alpha for " in said
    host.netjail("down", "server").ok()
    assert host.pids("dnsmasq", "dhcp-lab.conf") == []
    host.netjail("down", "--all").ok()
    host.clean()


@pytest.mark.slow
def test_a_changed_file_takes_effect_while_it_is_up(host: Host) -> None:
    switch(host, "lab", LAB)
    member(host, "alpha")
    host.netjail("up", "alpha").ok()
    switch(host, "lab", LAB.replace("600", "900").replace("lab.example", "other.example"))
    host.netjail("up", "alpha").ok()
    assert lease(host, "alpha").endswith("other.example 900")
    switch(host, "lab")
    host.netjail("up", "alpha").ok()
    assert host.pids("dnsmasq", "dhcp-lab.conf") == []
    assert lease(host, "alpha") == ""
    host.netjail("down", "--all").ok()
    host.clean()


@pytest.mark.slow
def test_twenty_profiles_with_a_lease_each_leave_nothing(host: Host) -> None:
    """As the benchmark has it, with two hundred."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
    from figures.switch_dhcp import many

    many(host, 20, "bridge")
    host.clean()
