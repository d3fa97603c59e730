# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails with an address by DHCP: real udhcpc, and a server that says what each test has it say."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import Host, Hosts, missing, wait_until
from lanbox import (
    DNS,
    DOMAIN,
    MASK,
    MTU,
    ROUTER,
    ROUTES,
    SEARCH,
    SETUP,
    Server,
    addresses,
    leased,
    serving,
    status,
    until_leased,
)

_WHY = missing() or (None if shutil.which("udhcpc") else "needs the program udhcpc")
pytestmark = pytest.mark.skipif(_WHY is not None, reason=_WHY or "")

PORT = 'kind = "bridge"\nbridge = "br0"'
WATCH = """
import sys, time
end = time.monotonic() + 40
while time.monotonic() < end:
    if sys.argv[1] in open("/etc/resolv.conf").read():
        print("seen", flush=True); break
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    lender = Hosts(setup=SETUP)
    yield lender
    lender.close()


@pytest.fixture
def host(hosts: Hosts) -> Iterator[Host]:
    with hosts.lend() as lent:
        yield lent


@pytest.fixture
def server(host: Host) -> Iterator[Server]:
    with serving(host) as found:
        yield found


def up(host: Host, address: str | None = "10.5.0.50/24", rest: str = "") -> None:
    host.profile("lab", PORT, rest)
    host.netjail("up", "--wait", "20", "lab").ok()
    assert leased(host, "lab") == address


def inside(host: Host, *argv: str) -> str:
    return host.netjail("run", "--no-wait", "lab", "--", *argv).ok().out


def clients(host: Host) -> list[int]:
    return host.pids("udhcpc", "eth0")


def test_address_router_and_resolvers_come_from_the_server_and_go_back(
    host: Host, server: Server
) -> None:
    before = host.path("/etc/resolv.conf").read_text()
    up(host)
    assert "10.5.0.50/24" in inside(host, "ip", "-4", "addr", "show", "dev", "eth0")
    assert "default via 10.5.0.1 dev eth0" in inside(host, "ip", "route")
    text = inside(host, "cat", "/etc/resolv.conf")
    assert "nameserver 10.5.0.1\nnameserver 9.9.9.9\nsearch lan.example\n" in text
    assert host.path("/etc/resolv.conf").read_text() == before
    inside(host, "ping", "-c1", "-W5", "10.5.0.1")
    lease = status(host, "lab")["leases"][0]
    assert lease["server"] == "10.5.0.1" and lease["expires"] > 0
    host.netjail("down", "lab").ok()
    assert [m["wanted"] for m in server.heard(7)] == ["10.5.0.50"]
    assert not clients(host)


@pytest.mark.slow
def test_the_client_has_two_capabilities_and_is_nobody(host: Host, server: Server) -> None:
    up(host)
    (pid,) = clients(host)
    lines = host.run("cat", f"/proc/{pid}/status").ok().out.splitlines()
    found = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    assert set(found["Uid"]) == {"65534"} and not found["Groups"]
    wanted = {1 << 13 | 1 << 10}  # CAP_NET_RAW, CAP_NET_BIND_SERVICE
    assert {int(found[key][0], 16) for key in ("CapPrm", "CapEff", "CapBnd", "CapInh")} == wanted
    assert found["NoNewPrivs"] == ["1"]
    assert host.netjail("ps", "--json").ok().json()["programs"] == []


@pytest.mark.slow
def test_the_server_learns_neither_host_name_nor_client(host: Host, server: Server) -> None:
    up(host)
    for message in (*server.heard(1), *server.heard(3)):
        assert not {12, 60, 77, 81} & set(message["names"]), message


@pytest.mark.slow
def test_a_renewed_lease_lasts_longer(host: Host, server: Server) -> None:
    up(host)
    server.say(lease=3600)
    before = status(host, "lab")["leases"][0]["expires"]
    host.kill(*clients(host), signal="USR1")
    assert wait_until(lambda: status(host, "lab")["leases"][0]["expires"] > before + 2000, 30)
    text = inside(host, "ip", "-4", "addr", "show", "dev", "eth0")
    assert int(text.partition("valid_lft ")[2].partition("sec")[0]) > 3000


@pytest.mark.slow
def test_a_host_that_is_plugged_elsewhere_has_the_lease_renewed(host: Host, server: Server) -> None:
    """The bridge that the jail is a port of gets another address: it may be another network."""
    up(host)
    before = len(server.heard(3))
    host.sh("ip addr add 10.5.0.33/24 dev br0")
    try:
        assert wait_until(lambda: len(server.heard(3)) > before, 30)
        assert "told to renew its lease" in host.netjail("logs", "lab").ok().out
        assert leased(host, "lab") == "10.5.0.50/24"
    finally:
        host.sh("ip addr del 10.5.0.33/24 dev br0")


@pytest.mark.slow
def test_a_running_program_follows_to_another_address_and_resolver(
    host: Host, server: Server
) -> None:
    up(host)
    program = host.background(
        "run", "lab", "--", "/usr/bin/python3", "-S", "-c", WATCH, "10.5.0.99"
    )
    assert wait_until(lambda: status(host, "lab")["programs"])
    server.say(ip="10.5.0.77", options=[(DNS, addresses("10.5.0.99"))])  # and a NAK for the old
    host.kill(*clients(host), signal="USR1")
    until_leased(host, "lab", "10.5.0.77/24")
    assert program.communicate(timeout=60)[0] == "seen\n"
    text = inside(host, "ip", "-4", "addr", "show", "dev", "eth0")
    assert "10.5.0.77/24" in text and "10.5.0.50" not in text
    inside(host, "ping", "-c1", "-W5", "10.5.0.1")
    assert host.state("lab") == "up"


@pytest.mark.slow
def test_without_an_answer_the_jail_is_degraded_and_closed_until_one_comes(
    host: Host, server: Server
) -> None:
    server.say(silent=True)
    host.profile("lab", PORT)
    said = host.netjail("up", "--wait", "1", "lab").ok()
    assert "DHCP" in said.out + said.err
    assert host.state("lab") == "degraded"
    assert "DHCP" in status(host, "lab")["reason"]
    assert inside(host, "ip", "-4", "addr", "show", "dev", "eth0") == ""
    server.say()
    until_leased(host, "lab", "10.5.0.50/24", 40)
    assert wait_until(lambda: host.state("lab") == "up", 20)


@pytest.mark.slow
def test_a_client_that_is_killed_is_started_again_and_keeps_the_address(
    host: Host, server: Server
) -> None:
    up(host)
    (old,) = clients(host)
    host.kill(old)
    assert wait_until(lambda: clients(host) and clients(host) != [old], 20)
    assert "10.5.0.50/24" in inside(host, "ip", "-4", "addr", "show", "dev", "eth0")
    assert wait_until(lambda: host.state("lab") == "up", 20)
    assert leased(host, "lab") == "10.5.0.50/24"


@pytest.mark.slow
def test_what_is_said_while_no_helper_runs_is_done_by_the_next(host: Host, server: Server) -> None:
    up(host)
    (pid,) = clients(host)
    host.kill_helper()
    server.say(ip="10.5.0.88")
    host.kill(pid, signal="USR1")
    assert wait_until(lambda: server.heard(3)[-1]["wanted"] == "10.5.0.88", 30)
    until_leased(host, "lab", "10.5.0.88/24")
    assert clients(host) == [pid]
    assert "10.5.0.88/24" in inside(host, "ip", "-4", "addr", "show", "dev", "eth0")


HOSTILE = {
    "newline": (DOMAIN, b"evil.example\nnameserver 6.6.6.6".hex(), "6.6.6.6"),
    "option": (DOMAIN, b"x.example\noptions use-vc".hex(), "use-vc"),
    "shell": (DOMAIN, b"$(touch /run/pwned);`id`".hex(), "pwned"),
    "quote": (DOMAIN, b"'; touch /run/pwned; '".hex(), "pwned"),
    "zero": (DNS, addresses("0.0.0.0"), "0.0.0.0"),
    "loopback": (DNS, addresses("127.0.0.1"), "127.0.0.1"),
    "multicast": (DNS, addresses("224.0.0.251"), "224.0.0.251"),
    "everybody": (DNS, addresses("255.255.255.255"), "255.255.255.255"),
}


@pytest.mark.parametrize("which", HOSTILE)
@pytest.mark.slow
def test_what_no_decent_server_says_enters_no_file(host: Host, server: Server, which: str) -> None:
    code, value, bad = HOSTILE[which]
    server.say(options=[(code, value)])
    up(host)
    text = host.path("/etc/netns/netjail-lab/resolv.conf").read_text()
    assert bad not in text
    allowed = ("#", "nameserver ", "search ")
    assert all(line.startswith(allowed) for line in text.splitlines())
    assert not host.glob("/run/pwned") and not host.glob("/run/netjail/dhcp/pwned")
    assert status(host, "lab")["leases"][0]["left_out"]


@pytest.mark.slow
def test_a_search_list_is_cut_where_resolvers_take_no_more(host: Host, server: Server) -> None:
    # twelve domains, by pointers into the first one (RFC 1035), in what fits into a packet
    long = b"\x20" + b"a" * 32 + b"\x07example\x00"
    long += b"".join(b"\x02" + f"b{n:x}".encode() + b"\xc0\x00" for n in range(11))
    server.say(options=[(SEARCH, long.hex())])
    up(host)
    text = host.path("/etc/netns/netjail-lab/resolv.conf").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("search")]
    assert 4 <= len(line.split()) <= 7 and len(line) < 300, line


@pytest.mark.slow
def test_a_packet_larger_than_any_ends_nothing(host: Host, server: Server) -> None:
    server.say(options=[(SEARCH, (b"\x3f" + b"a" * 63).hex() * 150)])
    host.profile("lab", PORT)
    host.netjail("up", "--wait", "1", "lab").ok()
    assert host.state("lab") == "degraded"
    assert inside(host, "ip", "route") == ""
    server.say()
    until_leased(host, "lab", "10.5.0.50/24", 40)


def test_routes_of_a_lease_are_never_taken(host: Host, server: Server) -> None:
    # 0.0.0.0/1 and 9.9.9.9/32 by somebody else than the router
    value = "01" + "00" + addresses("10.5.0.66") + "20" + addresses("9.9.9.9", "10.5.0.66")
    server.say(options=[(ROUTES, value)])
    up(host)
    routes = [line.split()[0] for line in inside(host, "ip", "route").splitlines()]
    assert routes == ["default", "10.5.0.0/24"]
    assert any("routes" in text for text in status(host, "lab")["leases"][0]["left_out"])


@pytest.mark.parametrize(
    "say",
    [
        {"ip": "127.0.0.5"},
        {"ip": "224.0.0.5"},
        {"ip": "10.5.0.0"},
        {"options": [(MASK, addresses("128.0.0.0"))]},
    ],
    ids=["loopback", "multicast", "network", "half the world"],
)
@pytest.mark.slow
def test_an_address_that_cannot_be_is_refused(host: Host, server: Server, say: object) -> None:
    server.say(**say)  # type: ignore[arg-type]
    host.profile("lab", PORT)
    host.netjail("up", "--wait", "0", "lab").ok()
    assert wait_until(lambda: status(host, "lab")["leases"][0]["refused"], 30)
    assert inside(host, "ip", "-4", "addr", "show", "dev", "eth0") == ""
    assert inside(host, "ip", "route") == ""


@pytest.mark.slow
def test_an_mtu_is_taken_down_to_what_ipv6_needs(host: Host, server: Server) -> None:
    server.say(options=[(MTU, (600).to_bytes(2, "big").hex())])
    up(host)
    assert status(host, "lab")["mtu"] == 1280


@pytest.mark.slow
def test_the_profiles_own_router_and_resolvers_stand(host: Host, server: Server) -> None:
    host.profile("lab", PORT + '\ngateway = "10.5.0.200"', '[dns]\nservers = ["10.5.0.201"]')
    host.netjail("up", "--wait", "20", "lab").ok()
    assert "default via 10.5.0.200" in inside(host, "ip", "route")
    text = inside(host, "cat", "/etc/resolv.conf")
    assert "10.5.0.201" in text and "9.9.9.9" not in text


@pytest.mark.slow
def test_without_udhcpc_nothing_is_touched(host: Host, server: Server) -> None:
    host.profile("lab", PORT)
    program = shutil.which("udhcpc")
    host.sh(f"mount --bind /dev/null {program}")
    try:
        host.netjail("up", "lab").failed("udhcpc", "apt install udhcpc")
        assert host.state("lab") == "down"
    finally:
        host.sh(f"umount {program}")


@pytest.mark.slow
def test_fixed_to_dhcp_and_back_while_up(host: Host, server: Server) -> None:
    fixed = PORT + '\naddress = "10.5.0.7/24"\ngateway = "10.5.0.1"'
    host.profile("lab", fixed, '[dns]\nservers = ["10.5.0.1"]')
    host.netjail("up", "lab").ok()
    assert "10.5.0.7/24" in inside(host, "ip", "-4", "addr", "show", "dev", "eth0")
    for uplink, rest, address in (
        (PORT, "", "10.5.0.50/24"),
        (fixed, "[dns]\nservers = []", "10.5.0.7/24"),
    ):
        host.write("/run/lab.toml", f"version = 1\n[uplink]\n{uplink}\n{rest}\n")
        host.netjail("profile", "add", "--replace", "--name", "lab", "/run/lab.toml").ok()
        host.netjail("up", "--wait", "20", "lab").ok()
        text = inside(host, "ip", "-4", "addr", "show", "dev", "eth0")
        assert next(w for w in text.split() if w.startswith("10.5")) == address, text
        assert text.count("inet ") == 1, text
    assert not clients(host)


@pytest.mark.slow
def test_a_signal_to_the_whole_helper_group_leaves_the_client(host: Host, server: Server) -> None:
    up(host)
    before = clients(host)
    host.kill(*host.helpers(), signal=signal.SIGTERM.name[3:])
    assert wait_until(lambda: not host.helpers(), 10)
    assert clients(host) == before
    assert host.state("lab") == "up"


def test_a_lease_of_a_link_brings_an_address_and_nothing_else(host: Host) -> None:
    with _on_switch(host) as server:
        server.say(ip="10.7.0.50", options=_ROUTED)
        host.netjail("up", "--wait", "0", "two").ok()
        until_leased(host, "two", "10.7.0.50/24")
        routes = host.netjail("run", "--no-wait", "two", "--", "ip", "-4", "route").ok().out
        assert "10.7.0.0/24" in routes and "via 10.7.0.1" not in routes
        text = host.netjail("run", "--no-wait", "two", "--", "cat", "/etc/resolv.conf").ok().out
        assert "10.7.0.1" not in text


@pytest.mark.parametrize("ip", ["9.9.9.77", "192.0.2.77"], ids=["public", "the resolver's"])
@pytest.mark.slow
def test_a_link_is_not_drawn_over_what_the_uplink_is_for(host: Host, ip: str) -> None:
    with _on_switch(host) as server:
        server.say(ip=ip, options=_ROUTED)
        host.netjail("up", "--wait", "0", "two").ok()
        assert wait_until(lambda: status(host, "two")["leases"][0]["refused"], 30)
        routes = host.netjail("run", "--no-wait", "two", "--", "ip", "-4", "route").ok().out
        assert ip.rpartition(".")[0] not in routes


_ROUTED = [(ROUTER, addresses("10.7.0.1")), (DNS, addresses("10.7.0.1"))]


def _on_switch(host: Host):  # type: ignore[no-untyped-def]
    """A server in a profile `one` on a switch, and a profile `two` with an uplink beside it."""
    host.write("/run/sw.toml", 'version = 1\nengine = "bridge"\n')
    host.netjail("switch", "add", "--name", "sw", "/run/sw.toml").ok()
    link = '[[link]]\nswitch = "sw"\nname = "sw0"\n'
    host.profile("one", 'kind = "none"', link + 'address = "10.7.0.1/24"')
    host.profile("two", 'kind = "veth"', link + 'address = "dhcp"\n[dns]\nservers = ["192.0.2.1"]')
    host.netjail("up", "one").ok()
    return serving(host, "sw0", "netjail-one")
