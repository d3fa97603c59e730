# SPDX-License-Identifier: GPL-3.0-or-later
"""What a veth jail reaches and what it does not; what it does to the host. With real listeners."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import (
    HOST4,
    HOST6,
    NEIGHBOUR4,
    NEIGHBOUR6,
    SERVER4,
    SERVER6,
    Host,
    Hosts,
    missing,
    wait_until,
)

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

WORLD = {SERVER4: f"inet {HOST4}", SERVER6: f"inet {HOST6}"}
LAN = {NEIGHBOUR4: "neigh 192.168.7.10", NEIGHBOUR6: "neigh fd77::10"}
REFUSED = {"EHOSTUNREACH", "ENETUNREACH", "EACCES"}
CLOSED = REFUSED | {"silence"}

SERVE = """
import socket, time
sock = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
time.sleep(60)
"""

COUNT = """
import socket, struct, sys, time
# counts packets that an interface sends with this destination, for a time
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind((sys.argv[1], 0)); sock.settimeout(0.1)
print("ready", flush=True)
wanted = [socket.inet_aton(sys.argv[2]), socket.inet_pton(socket.AF_INET6, sys.argv[3])]
end = time.monotonic() + float(sys.argv[4]); seen = 0
while time.monotonic() < end:
    try:
        data, address = sock.recvfrom(2048)
    except TimeoutError:
        continue
    seen += any(w in data[14:60] for w in wanted)
print(seen)
"""

ADVERTISE = """
import socket
# a router advertisement, as root in the jail may send it: default route, and a prefix
sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
prefix = bytes([3, 4, 64, 0xC0]) + b"\\0\\0\\x0e\\x10" * 2 + bytes(4)
prefix += socket.inet_pton(socket.AF_INET6, "2001:db8:bad::")
body = bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8) + prefix
for _ in range(3):
    sock.sendto(body, ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))
"""

FORGE = """
import socket, struct, sys
# an IPv4 UDP datagram with a forged source, as root in a jail may send it
source, target = sys.argv[1], sys.argv[2]
udp = struct.pack("!HHHH", 4000, int(sys.argv[3]), 8 + 5, 0) + b"forge"
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0,
                   socket.inet_aton(source), socket.inet_aton(target))
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for _ in range(3):
    sock.sendto(head + udp, (target, 0))
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    hosts = Hosts(second=True)
    yield hosts
    hosts.close()


@pytest.fixture
def host(hosts: Hosts) -> Iterator[Host]:
    with hosts.lend() as host:
        yield host


def up(host: Host, name: str, *settings: str) -> str:
    host.profile(name, "\n".join(['kind = "veth"', *settings]))
    host.netjail("up", name).ok()
    return name


def gateways(host: Host, jail: str) -> tuple[str, str]:
    """The host's addresses on the pair."""
    text = host.sh(f"ip -o addr show dev nj-{jail} scope global | awk '{{print $4}}'").split()
    four, six = (next(a for a in text if (":" in a) == v6).split("/")[0] for v6 in (False, True))
    return four, six


@pytest.mark.parametrize("lan", [False, True], ids=["no-lan", "lan"])
@pytest.mark.parametrize("services", [False, True], ids=["no-host", "host"])
def test_what_may_be_reached(host: Host, lan: bool, services: bool) -> None:
    up(host, "lab", f"lan = {str(lan).lower()}", f"host = {str(services).lower()}")
    own = [HOST4, HOST6, "192.168.7.10", "fd77::10", *gateways(host, "lab")]
    answers = host.ask_all("lab", [*WORLD, *LAN, *own, "192.0.2.1"])
    for address, expected in WORLD.items():
        assert answers[address] == expected
    for address, expected in LAN.items():
        assert answers[address] in ({expected} if lan else CLOSED), (address, answers)
    for address in own:
        answer = answers[address]
        assert answer.startswith("host ") if services else answer in CLOSED, (address, answers)
    # the way out is the host's own, and the neighbourhood of that is as closed
    answer = answers["192.0.2.1"]
    assert answer == f"inet {HOST4}" if lan else answer in CLOSED, answers
    if not lan and not services:  # asked alone a program is told at once; many: the kernel tires
        assert host.ask("lab", NEIGHBOUR4) in REFUSED
        assert host.ask("lab", HOST4) in REFUSED


def test_jails_do_not_reach_each_other(host: Host) -> None:
    for name in ("one", "two"):
        up(host, name, "lan = true", "host = true")
    server = host.background("run", "two", "--", "/usr/bin/python3", "-c", SERVE)
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    inner = host.sh("ip -n netjail-two -o addr show dev eth0 scope global | awk '{print $4}'")
    for address in (a.split("/")[0] for a in inner.split()):
        assert host.ask("one", address) in REFUSED
        assert host.ask_from("neigh", address) in REFUSED | {"silence"}
    # the other's gateway is the host, which lets it (host = true) or not
    assert host.ask("one", gateways(host, "two")[0]).startswith("host ")
    server.stdin.close() if server.stdin else None
    host.netjail("kill", "--signal", "KILL", "two").ok()
    server.wait(10)


def test_the_host_does_not_become_a_router(host: Host) -> None:
    up(host, "lab")
    for address in (SERVER4, SERVER6):
        assert host.ask_from("neigh", address) == "silence"
    assert host.ask_from("inet", NEIGHBOUR4) != "neigh 192.0.2.1"
    assert host.ask("lab", SERVER4) == WORLD[SERVER4]


def test_a_host_that_is_a_router_stays_one(host: Host) -> None:
    keys = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"]
    before = {key: host.sysctl(key) for key in keys}
    try:
        host.sh("".join(f"echo 1 > /proc/sys/{key};" for key in keys))
        host.sh("ip -n inet route add 192.168.7.0/24 via 192.0.2.10")
        assert host.ask_from("neigh", SERVER4) == f"inet {NEIGHBOUR4}"
        up(host, "lab")
        assert host.ask_from("neigh", SERVER4) == f"inet {NEIGHBOUR4}"
        assert host.ask("lab", SERVER4) == WORLD[SERVER4]
        host.netjail("down", "lab").ok()
        assert {key: host.sysctl(key) for key in keys} == dict.fromkeys(keys, "1")
        assert host.ask_from("neigh", SERVER4) == f"inet {NEIGHBOUR4}"
    finally:
        host.sh("".join(f"echo {value} > /proc/sys/{key};" for key, value in before.items()))
        host.sh("ip -n inet route del 192.168.7.0/24")


def test_forwarding_is_given_back_with_the_last(host: Host) -> None:
    key = "net/ipv4/conf/up0/forwarding"
    assert host.sysctl(key) == "0"
    up(host, "one")
    up(host, "two")
    assert host.sysctl(key) == "1"
    host.netjail("down", "one").ok()
    assert host.sysctl(key) == "1"
    assert host.ask("two", SERVER4) == WORLD[SERVER4]
    host.netjail("down", "two").ok()
    host.clean()  # compares all of them


class Counting:
    """Packets for the servers that an interface of the host sends meanwhile."""

    def __init__(self, host: Host, interface: str, seconds: float) -> None:
        argv = [interface, SERVER4, SERVER6, str(seconds)]
        self._process = host.start("/usr/bin/python3", "-c", COUNT, *argv)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def seen(self) -> int:
        assert self._process.stdout is not None
        number = int(self._process.stdout.readline())
        self._process.wait()
        return number


@pytest.mark.slow
def test_pinned_to_one_of_two_ways_out(host: Host) -> None:
    up(host, "free")
    up(host, "lab", 'interface = "alt0"')
    assert host.ask("free", SERVER4) == WORLD[SERVER4]
    other = Counting(host, "up0", 2.5)
    assert host.ask("lab", SERVER4) == "alt 198.51.100.10"
    assert host.ask("lab", SERVER6) == "alt 2001:db8:51::10"
    assert other.seen() == 0
    # gone: nothing leaves elsewhere, and it comes back with the link
    host.sh("ip link set alt0 down")
    other = Counting(host, "up0", 4)
    assert host.ask("lab", SERVER4, 1) in REFUSED
    time.sleep(0.7)  # the helper follows
    assert host.ask("lab", SERVER4, 1) in REFUSED
    # the kernel does not always say so by ICMPv6
    assert host.ask("lab", SERVER6, 1) in REFUSED | {"silence"}
    assert other.seen() == 0
    host.sh(
        "ip link set alt0 up; ip -6 addr replace 2001:db8:51::10/64 dev alt0 nodad;"
        "ip route add default via 198.51.100.1 dev alt0 metric 500;"
        "ip -6 route add default via 2001:db8:51::1 dev alt0 metric 5000"
    )
    assert wait_until(lambda: host.ask("lab", SERVER4, 1) == "alt 198.51.100.10")
    assert wait_until(lambda: host.ask("lab", SERVER6, 1) == "alt 2001:db8:51::10")


def test_pinned_to_what_leads_nowhere(host: Host) -> None:
    host.profile("lab", 'kind = "veth"\ninterface = "lan0"')
    host.netjail("up", "lab").failed("lan0", "has no default route")
    host.clean()
    host.profile("gone", 'kind = "veth"\ninterface = "eth99"')
    host.netjail("up", "gone").failed("no network interface eth99")
    host.clean()


def test_dns_by_a_relay_where_the_host_has_a_stub_only(host: Host) -> None:
    resolv = host.path("/etc/resolv.conf").read_text()
    script = (
        "dnsmasq --no-resolv --no-hosts --bind-interfaces --listen-address=127.0.0.53 "
        "--conf-file=/dev/null --address=/stub.example/203.0.113.99 --pid-file=/run/stub.pid "
        "--user=root; echo nameserver 127.0.0.53 > /etc/resolv.conf"
    )
    host.sh(script)
    try:
        host.baseline = host.snapshot()
        up(host, "lab")
        answer = host.netjail("run", "lab", "getent", "ahostsv4", "stub.example").ok().out
        assert "203.0.113.99" in answer
        assert "127.0.0.53" not in host.netjail("run", "lab", "cat", "/etc/resolv.conf").out
        assert host.ask("lab", gateways(host, "lab")[0]) in REFUSED  # port 53 and no other
        up(host, "static", "")
        (relay,) = host.pids("jails/lab/dnsmasq.conf")
        host.kill(relay)  # repaired by the helper
        assert wait_until(lambda: host.pids("jails/lab/dnsmasq.conf") not in ([], [relay]), 10)
        assert wait_until(
            lambda: (
                "203.0.113.99"
                in host.netjail("run", "lab", "getent", "ahostsv4", "stub.example").out
            )
        )
        host.netjail("down", "--all").ok()
        host.clean()
    finally:
        host.sh("kill $(cat /run/stub.pid); rm -f /run/stub.pid")
        host.write("/etc/resolv.conf", resolv, 0o644)
        assert wait_until(lambda: not host.pids("listen-address=127.0.0.53"))
        host.baseline = host.snapshot() if not host.glob("/run/netns/netjail-*") else host.baseline


def test_root_in_a_jail_cannot_give_the_host_routes(host: Host) -> None:
    up(host, "lab")
    routes = host.sh("ip -6 route; ip -6 addr show dev nj-lab scope global")
    host.netjail("run", "-u", "root", "lab", "/usr/bin/python3", "-c", ADVERTISE).ok()
    time.sleep(0.3)
    assert host.sh("ip -6 route; ip -6 addr show dev nj-lab scope global") == routes
    assert "2001:db8:bad" not in routes


def test_root_in_a_jail_cannot_speak_for_others(host: Host) -> None:
    """A forged source gets no further than the pair: it could enter another's connection, where
    connection tracking lets it through as an answer."""
    up(host, "one", "lan = true")
    up(host, "two")
    inner = host.sh("ip -n netjail-two -4 -o addr show dev eth0 | awk '{print $4}'").split("/")[0]
    # two talks to a server by UDP; one answers in the server's place
    listen = (
        "import socket; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('',5555))\n"
        f"s.sendto(b'hello',('{SERVER4}',4000)); s.settimeout(1.5); print('ready',flush=True)\n"
        "try: print(s.recv(99).decode(), flush=True)\n"
        "except TimeoutError: print('nothing', flush=True)\n"
    )
    two = host.background("run", "two", "--", "/usr/bin/python3", "-c", listen)
    assert two.stdout is not None
    assert two.stdout.readline() == "ready\n"
    for target in (HOST4, inner):
        forge = ["/usr/bin/python3", "-c", FORGE, SERVER4, target, "5555"]
        host.netjail("run", "-u", "root", "one", *forge).ok()
    assert two.stdout.readline() == "nothing\n"
    two.wait()


def test_flushed_rules_come_back_by_themselves(host: Host) -> None:
    up(host, "lab")
    host.sh("nft flush ruleset")
    assert wait_until(lambda: "chain guard" in host.sh("nft list ruleset"), 5)
    assert host.ask("lab", SERVER4) == WORLD[SERVER4]
    assert host.ask("lab", NEIGHBOUR4) in REFUSED
    host.sh("nft flush table inet netjail")  # the chains stay, empty
    assert wait_until(lambda: host.ask("lab", NEIGHBOUR4) in REFUSED, 5)
    assert host.ask("lab", SERVER4) == WORLD[SERVER4]


def test_the_neighbourhood_is_followed(host: Host) -> None:
    """A network that the host joins later, with public addresses, is as closed as the others."""
    up(host, "lab")
    assert host.ask("lab", SERVER4) == WORLD[SERVER4]
    host.sh("ip addr add 203.0.113.1/24 dev lan0")
    try:
        assert wait_until(lambda: host.ask("lab", SERVER4) in REFUSED)
    finally:
        host.sh("ip addr del 203.0.113.1/24 dev lan0")
    assert wait_until(lambda: host.ask("lab", SERVER4) == WORLD[SERVER4])
