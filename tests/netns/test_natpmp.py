# SPDX-License-Identifier: GPL-3.0-or-later
"""A port borrowed of a provider that runs miniupnpd, through its WireGuard tunnel.

Odd and hostile servers are in tests/unit/ports/test_borrower.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from teststage import ROOT, Netjail, TestStage

from netjail.demo.nodes import Node, Output, wait_until
from netjail.demo.stage import which
from tests.netns import vpnservers

SERVER = "198.51.100.20"
OUTSIDE = "11.0.0.1"
"""What the server is told to be its address: it does not take one of documentation's."""
_FAR = 1 << 32
"""Unix seconds, in a year that no test sees."""
RULES = """
table inet filter {
    chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd; }
    chain miniupnpd { }
    chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
    chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
}
"""
LISTEN = """
import os, socket, threading
port = int(os.environ["NETJAIL_PORT"])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", port))
tcp = socket.create_server(("", port))
def echo():
    while True:
        data, who = udp.recvfrom(99)
        udp.sendto(b"udp " + data, who)
threading.Thread(target=echo, daemon=True).start()
print("ready", flush=True)
while True:
    peer, who = tcp.accept()
    peer.sendall(("tcp " + who[0]).encode())
    peer.close()
"""
CALL = """
import socket, sys
where = (sys.argv[1], int(sys.argv[2]))
with socket.create_connection(where, 20) as sock:
    print(sock.recv(99).decode())
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(20)
    sock.sendto(b"hello", where)
    print(sock.recv(99).decode())
"""
PCP = """
import os, sys
sys.path.insert(0, sys.argv[1])
from netjail.ports import speakers
channel = speakers.Channel("10.64.0.1", speakers.Wake(os.pipe()[0]))
speaker = speakers.Pcp(channel, {})
first = speaker.lend("tcp", 4000, 4000, 60)
again = speaker.lend("tcp", 4000, first.external, 60)
channel.send(speaker.take_back("tcp", 4000))
print(first.external == again.external, first.address, channel.answers(1, 20))
"""

pytestmark = [
    pytest.mark.usefixtures("stage_possible"),
    pytest.mark.skipif(which("miniupnpd") is None, reason="needs miniupnpd (miniupnpd-nftables)"),
]


class Lender:
    """The provider's miniupnpd."""

    def __init__(self, node: Node, client: str = "10.64.0.2", interface: str = "wg0") -> None:
        self._node = node
        self._client = client
        self._interface = interface
        self._process: subprocess.Popen[Any] | None = None
        self._node.run(["nft", "-f", "-"], input=RULES, check=True, cwd="/")

    def start(self, taken: int = 0) -> None:
        """With no memory of an earlier one, and `taken` lent to another customer."""
        Path(self._node.path("/run/mini.pid")).unlink(missing_ok=True)
        lent = "".join(f"{p}:{taken}:10.64.0.99:{taken}:{_FAR}:x\n" for p in ("TCP", "UDP"))
        Path(self._node.path("/run/mini.leases")).write_text(lent if taken else "")
        for chain in ("miniupnpd", "prerouting_miniupnpd", "postrouting_miniupnpd"):
            self._node.run(["nft", "flush", "chain", "inet", "filter", chain], check=True)
        Path(self._node.path("/run/mini.conf")).write_text(
            f"ext_ifname=wan0\next_ip={OUTSIDE}\nlistening_ip={self._interface}\nenable_natpmp=yes\n"
            "enable_upnp=no\nsecure_mode=yes\nlease_file=/run/mini.leases\n"
            "uuid=00000000-0000-0000-0000-000000000001\n"
            f"allow 1024-65535 {self._client}/24 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n"
        )
        argv = ["miniupnpd", "-d", "-f", "/run/mini.conf", "-P", "/run/mini.pid"]
        self._process = self._node.service(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        said = Output(self._process.stderr)
        assert said.wait_for(b"Listening for NAT-PMP", 20), said.text()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def leases(self) -> list[tuple[str, int]]:
        """(protocol, port) of what is lent to the client of the tunnel."""
        path = Path(self._node.path("/run/mini.leases"))
        text = path.read_text() if path.exists() else ""
        rows = (line.split(":") for line in text.splitlines())
        return sorted((row[0].lower(), int(row[1])) for row in rows if row[2] == self._client)

    def rules(self) -> list[int]:
        """The ports of its rules."""
        done = self._node.run(["nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd"])
        return sorted(int(port) for port in re.findall(r"dport (\d+) dnat", done.stdout))


@pytest.fixture(scope="module")
def stage(stage_possible: None) -> Iterator[TestStage]:
    with TestStage() as stage:
        stage.provider.ip("addr add 10.64.0.1/24 dev wg0")
        netjail = Netjail(stage)
        netjail("import", stage.write("p.conf", stage.provider_conf), "--name", "vpn", check=True)
        text = Path(stage.home.path("/etc/netjail/profiles/vpn.toml")).read_text()
        text = text.replace("[uplink]", "[uplink]\nnatpmp = true", 1)
        path = stage.write("vpn.toml", text)
        netjail("profile", "add", "--replace", "--name", "vpn", path, check=True)
        yield stage


@pytest.fixture(scope="module")
def lenders(stage: TestStage) -> Lender:
    return Lender(stage.provider)


@pytest.fixture
def lender(lenders: Lender) -> Iterator[Lender]:
    lenders.start()
    yield lenders
    lenders.stop()


@pytest.fixture
def netjail(stage: TestStage, lender: Lender) -> Iterator[Netjail]:
    netjail = Netjail(stage)
    netjail("up", "vpn", check=True)
    yield netjail
    netjail("down", "--all", "--kill", check=True)


def lent(netjail: Netjail, name: str = "vpn") -> dict[str, Any]:
    found: dict[str, Any] = netjail("status", name, "--json", check=True).json["result"]
    status: dict[str, Any] = found["profiles"][0]["lent"]
    return status


def port_of(
    netjail: Netjail, other_than: int | None = None, seconds: float = 40, name: str = "vpn"
) -> int:
    """The port, once there is one (and another one)."""

    def there() -> bool:
        return lent(netjail, name)["port"] not in (None, other_than)

    assert wait_until(there, seconds, 0.1), lent(netjail, name)
    return int(lent(netjail, name)["port"])


def borrowers(stage: TestStage) -> list[int]:
    """Process numbers, as home has them."""
    done = stage.home.run(["ps", "-e", "-o", "pid=,args="])
    rows = (line.split(None, 1) for line in done.stdout.splitlines())
    return [int(row[0]) for row in rows if "borrower.py vpn" in row[1]]


def test_what_listens_on_the_port_inside_is_reached_from_the_internet(
    stage: TestStage, netjail: Netjail, lender: Lender
) -> None:
    port = port_of(netjail)
    state = lent(netjail)
    assert (state["internal"], state["address"], state["spoken"]) == (port, OUTSIDE, "NAT-PMP")
    assert state["protocols"] == ["tcp", "udp"]
    assert lender.leases() == [("tcp", port), ("udp", port)]
    argv = ("/usr/bin/python3", "-S", "-c")
    inside = netjail.popen("run", "vpn", "--", *argv, LISTEN, stdout=subprocess.PIPE, text=True)
    assert inside.stdout.readline() == "ready\n"
    done = stage.isp.run([*argv, CALL, SERVER, str(port)], timeout=60)
    assert done.stdout.splitlines() == ["tcp 198.51.100.1", "udp hello"], done
    assert str(port) in netjail("status", "vpn").stdout
    assert str(port) in netjail("port", "list", "vpn").stdout
    logged = f"the provider lends port {port} of {OUTSIDE} (NAT-PMP)"
    assert wait_until(lambda: logged in netjail("logs", "vpn").stdout, 20)


def test_down_gives_it_back_and_leaves_nothing(
    stage: TestStage, netjail: Netjail, lender: Lender
) -> None:
    port = port_of(netjail)
    assert lender.rules() == [port, port]
    netjail("down", "vpn", check=True)
    assert (lender.leases(), lender.rules()) == ([], [])
    assert borrowers(stage) == []
    assert not os.path.exists(stage.home.path("/run/netjail/view/vpn"))
    assert lent(netjail) is None


def test_a_program_has_it_in_its_environment_and_in_a_file(
    stage: TestStage, netjail: Netjail
) -> None:
    port = port_of(netjail)
    shown = ["sh", "-c", "echo $NETJAIL_PORT; cat $NETJAIL_PORT_FILE"]
    both = f"{port}\n{port}\n"
    assert netjail("run", "vpn", "--", *shown).stdout == both
    assert netjail("run", "-u", "nobody", "vpn", "--", *shown).stdout == both
    watched = netjail("port", "watch", "--once", "vpn", "--", "sh", "-c", "env; ip -br addr")
    assert f"NETJAIL_PORT={port}\n" in watched.stdout
    assert f"NETJAIL_PORT_ADDRESS={OUTSIDE}\n" in watched.stdout
    assert "10.64.0.2/32" in watched.stdout
    told = netjail("port", "watch", "--once", "--json", "vpn", "--", "true").json["result"]
    assert (told["lent"]["port"], told["status"]) == (port, 0)


def test_the_port_of_one_profile_is_nothing_to_a_program_in_another(
    stage: TestStage, netjail: Netjail
) -> None:
    port_of(netjail)
    path = stage.write("lab.toml", 'version = 1\n[uplink]\nkind = "none"\n')
    netjail("profile", "add", "--replace", "--name", "lab", path, check=True)
    netjail("up", "lab", check=True)
    shown = ("sh", "-c", "echo [$NETJAIL_PORT$NETJAIL_PORT_FILE]")
    others = {"NETJAIL_PORT": "99", "NETJAIL_PORT_FILE": "/run/netjail/view/vpn/port"}
    assert netjail("run", "lab", "--", *shown, env=others).stdout == "[]\n"
    asked = netjail("port", "watch", "lab")
    assert "asks its provider for no port" in asked.stderr
    assert asked.returncode == 2


def test_who_borrows_has_no_right_and_is_no_program_of_the_jails(
    stage: TestStage, netjail: Netjail
) -> None:
    port_of(netjail)
    (pid,) = borrowers(stage)
    text = Path(stage.home.path(f"/proc/{pid}/status")).read_text()
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    for name in ("CapEff", "CapPrm", "CapAmb", "CapInh", "CapBnd"):
        assert int(status[name], 16) == 0
    assert "0" not in status["Uid"].split()
    assert not status["Groups"].strip()
    inside = stage.home.run(["ip", "netns", "pids", "netjail-vpn"]).stdout.split()
    assert str(pid) in inside
    assert netjail("ps", "vpn", "--json").json["result"]["programs"] == []


@pytest.mark.slow
def test_it_goes_on_without_a_helper_and_is_adopted(
    stage: TestStage, netjail: Netjail, lender: Lender
) -> None:
    port = port_of(netjail)
    (pid,) = borrowers(stage)
    done = stage.home.run(["ps", "-e", "-o", "pid=,args="])
    helpers = [line.split()[0] for line in done.stdout.splitlines() if "--no-bus" in line]
    assert helpers
    stage.home.run(["kill", "-KILL", *helpers], check=True)
    assert (port_of(netjail), borrowers(stage)) == (port, [pid])
    assert netjail("run", "vpn", "--", "sh", "-c", "echo $NETJAIL_PORT").stdout == f"{port}\n"
    netjail("down", "vpn", check=True)
    assert lender.leases() == []
    assert borrowers(stage) == []


@pytest.mark.slow
def test_one_that_dies_is_started_again_and_has_the_same_port(
    stage: TestStage, netjail: Netjail
) -> None:
    port = port_of(netjail)
    (pid,) = borrowers(stage)
    stage.home.run(["kill", "-KILL", str(pid)], check=True)
    assert wait_until(lambda: borrowers(stage) not in ([], [pid]), 30, 0.1)
    assert port_of(netjail) == port


@pytest.mark.slow
def test_a_profile_says_where_it_leads_to_and_no_longer_wants_it(
    stage: TestStage, netjail: Netjail, lender: Lender
) -> None:
    port = port_of(netjail)
    own = Path(stage.home.path("/run/root/vpn.toml")).read_text()
    with_port = own.replace("natpmp = true", "natpmp = true\nnatpmp_port = 51413", 1)
    change(netjail, stage, with_port)
    try:
        port_of(netjail, other_than=port)
        assert lent(netjail)["internal"] == 51413
        change(netjail, stage, own.replace("natpmp = true", ""))
        assert lender.leases() == []
        assert lent(netjail) is None
        shown = netjail("run", "vpn", "--", "sh", "-c", "echo [$NETJAIL_PORT]")
        assert shown.stdout == "[]\n"
    finally:
        change(netjail, stage, own)
    port_of(netjail)


def change(netjail: Netjail, stage: TestStage, text: str) -> None:
    """A new text for the profile that is up."""
    path = stage.write("changed.toml", text)
    netjail("profile", "add", "--replace", "--name", "vpn", path, check=True)
    netjail("up", "vpn", check=True)


def test_pcp_is_spoken_as_the_server_has_it(netjail: Netjail) -> None:
    argv = (sys.executable, "-c", PCP, str(ROOT))
    said = netjail("run", "vpn", "--", *argv, check=True).stdout
    assert said == f"True {OUTSIDE} True\n"


@pytest.mark.slow
def test_without_a_server_the_jail_is_up_and_says_why_there_is_no_port(
    stage: TestStage, lenders: Lender
) -> None:
    netjail = Netjail(stage)
    netjail("up", "vpn", check=True)
    why = "10.64.0.1 has nobody who lends ports"
    assert wait_until(lambda: lent(netjail)["text"] == why, 20, 0.1)
    assert f"none: {why}" in netjail("status", "vpn").stdout
    shown = netjail("run", "vpn", "--", "sh", "-c", "echo [$NETJAIL_PORT]; cat $NETJAIL_PORT_FILE")
    assert shown.stdout == "[]\n"
    netjail("down", "--all", check=True)


@pytest.mark.slow  # a port is asked for again after 27 seconds
def test_a_server_that_has_lent_the_port_to_another_meanwhile_is_noticed_and_a_users_command_run(
    stage: TestStage, netjail: Netjail, lender: Lender
) -> None:
    port = port_of(netjail)
    record = "echo $NETJAIL_PORT $NETJAIL_PORT_INSIDE >> /run/root/told"
    watching = netjail.popen("port", "watch", "vpn", "--", "sh", "-c", record)
    told = Path(stage.home.path("/run/root/told"))
    try:
        assert wait_until(lambda: lines(told) == [f"{port} {port}"], 30, 0.1)
        lender.stop()
        lender.start(taken=port)
        new = port_of(netjail, other_than=port, seconds=90)
        assert lender.leases() == [("tcp", new), ("udp", new)]
        both = [f"{port} {port}", f"{new} {new}"]
        assert wait_until(lambda: lines(told) == both, 30, 0.1), lines(told)
        assert Path(stage.home.path("/run/netjail/view/vpn/port")).read_text() == f"{new}\n"
        assert f"lends port {new}" in netjail("logs", "vpn").stdout
    finally:
        watching.kill()
        watching.wait()


@pytest.mark.slow
@pytest.mark.skipif(vpnservers.missing("openvpn") is not None, reason="needs openvpn, openssl")
def test_openvpns_gateway_is_found_when_its_server_has_told_of_the_network(
    stage: TestStage,
) -> None:
    """The resolver that it pushes lends no ports: the first address of the tunnel's net does."""
    netjail = Netjail(stage)
    server = vpnservers.OpenVpnServer(stage)
    server.start()
    lender = Lender(stage.provider, "10.8.0.2", "ovpn194")
    lender.start()
    try:
        path = stage.write("o.ovpn", server.client_file())
        netjail("import", path, "--name", "ovpn", check=True)
        text = Path(stage.home.path("/etc/netjail/profiles/ovpn.toml")).read_text()
        path = stage.write("ovpn.toml", text.replace("[uplink]", "[uplink]\nnatpmp = true", 1))
        netjail("profile", "add", "--replace", "--name", "ovpn", path, check=True)
        netjail("up", "ovpn", check=True)
        port = port_of(netjail, name="ovpn")
        assert lent(netjail, "ovpn")["gateway"] == "10.8.0.1"
        assert lender.leases() == [("tcp", port), ("udp", port)]
        netjail("down", "ovpn", check=True)
        assert lender.leases() == []
    finally:
        netjail("down", "--all", "--kill")
        lender.stop()
        server.kill()


@pytest.mark.slow
def test_at_another_place_of_a_pool_the_port_is_the_other_servers(stage_possible: None) -> None:
    with TestStage(providers=2) as stage:
        lenders = [Lender(p.node, f"10.{64 + n}.0.2") for n, p in enumerate(stage.providers)]
        for n, lender in enumerate(lenders):
            stage.providers[n].node.ip(f"addr add 10.{64 + n}.0.1/24 dev wg0")
            lender.start()
        pool = Path(stage.home.path("/run/root/pool"))
        pool.mkdir()
        for name, conf in (("se-1", stage.provider_conf), ("us-1", stage.provider2_conf)):
            (pool / f"{name}.conf").write_text(conf)
        netjail = Netjail(stage)
        netjail("import", "/run/root/pool", "--name", "vpn", check=True)
        text = Path(stage.home.path("/etc/netjail/profiles/vpn.toml")).read_text()
        path = stage.write("vpn.toml", text.replace("[uplink]", "[uplink]\nnatpmp = true", 1))
        netjail("profile", "add", "--replace", "--name", "vpn", path, check=True)
        netjail("use", "vpn", "se", check=True)
        netjail("up", "vpn", check=True)
        port = port_of(netjail)
        (pid,) = borrowers(stage)
        assert lent(netjail)["gateway"] == "10.64.0.1"
        netjail("use", "vpn", "us", check=True)
        assert wait_until(lambda: lent(netjail)["gateway"] == "10.65.0.1", 60, 0.1)
        assert (lent(netjail)["port"], borrowers(stage)) == (port, [pid])
        assert lenders[1].leases() == [("tcp", port), ("udp", port)]
        netjail("down", "vpn", check=True)
        assert lenders[1].leases() == []


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
