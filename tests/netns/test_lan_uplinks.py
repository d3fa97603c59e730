# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails in a network of others: what they reach, what the host has back, what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import Host, Hosts, missing, wait_until
from lanbox import SETUP, leased, serving, status, until_leased

_WHY = missing() or (None if shutil.which("udhcpc") else "needs the program udhcpc")
pytestmark = pytest.mark.skipif(_WHY is not None, reason=_WHY or "")

NIC = """
ip netns add wire
ip link add nic0 type veth peer name nic1 netns wire
ip -n wire addr add 10.5.0.1/24 dev nic1
ip -n wire link set nic1 up
ip link set nic0 address 02:00:00:00:00:01 mtu 1400 up
ip addr add 10.5.0.9/24 dev nic0
ip route add 198.51.100.0/24 via 10.5.0.1 dev nic0 metric 77
"""
DEVICE = 'kind = "device"\ndevice = "nic0"'
STATIC = 'address = "10.5.0.7/24"\ngateway = "10.5.0.1"'
NO_NAMES = "[dns]\nservers = []"


def _kernel_lacks(kind: str) -> str | None:
    script = f"ip link add p0 type veth peer name p1 && ip link add c0 link p0 type {kind}"
    done = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, check=False)
    return None if done.returncode == 0 else f"this kernel has no {kind}"


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    lender = Hosts(setup=SETUP + NIC)
    yield lender
    lender.close()


@pytest.fixture
def host(hosts: Hosts) -> Iterator[Host]:
    with hosts.lend() as lent:
        yield lent


def nic(host: Host) -> list[str]:
    """All that the host has by its second interface."""
    text = host.sh(
        "ip -o link show nic0; ip -o -4 addr show dev nic0; ip route show dev nic0 | sort"
    )
    return [line.partition(": ")[2] if ": " in line else line for line in text.splitlines()]


def ping(host: Host, name: str, address: str) -> bool:
    argv = ("ping", "-c1", "-W2", address)
    return host.netjail("run", "--no-wait", name, "--", *argv).status == 0


def links(host: Host, name: str) -> str:
    return host.netjail("run", "--no-wait", name, "--", "ip", "-br", "link").ok().out


# A device of the host --------------------------------------------------------------------------


def test_a_device_is_lent_and_comes_back_as_it_was(host: Host) -> None:
    before = nic(host)
    host.profile("card", f"{DEVICE}\n{STATIC}\nmtu = 1300", NO_NAMES)
    host.netjail("up", "card").ok()
    assert "nic0" not in host.sh("ip -br link")
    assert "nic0" in links(host, "card") and status(host, "card")["mtu"] == 1300
    assert ping(host, "card", "10.5.0.1")
    assert status(host, "card")["uplink"]["way_out"] == "nic0"
    host.netjail("down", "card").ok()
    assert nic(host) == before


@pytest.mark.slow
def test_a_device_gets_its_address_by_dhcp(host: Host) -> None:
    with serving(host, "nic1", "wire"):
        host.profile("card", DEVICE)
        host.netjail("up", "--wait", "20", "card").ok()
        assert leased(host, "card") == "10.5.0.50/24"
        host.netjail("down", "card").ok()


@pytest.mark.slow
@pytest.mark.parametrize("step", range(5))
def test_a_device_comes_back_after_a_crash_anywhere(host: Host, step: int) -> None:
    before = nic(host)
    host.wrap_helper(
        "from netjail.engine import api\n"
        "def end(phase, number, resource):\n"
        "    if phase == 'up' and number == int(sys.argv[1]):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "api.observer = end\n",
        str(step),
    )
    host.profile("card", f"{DEVICE}\n{STATIC}", NO_NAMES)
    host.netjail("up", "card")  # the command begins again with the next helper
    host.netjail("down", "card", "--kill").ok()
    assert nic(host) == before


@pytest.mark.slow
def test_a_device_in_use_by_a_jail_is_kept_through_a_crash_of_the_helper(host: Host) -> None:
    before = nic(host)
    host.profile("card", f"{DEVICE}\n{STATIC}", NO_NAMES)
    host.netjail("up", "card").ok()
    host.kill_helper()
    assert host.state("card") == "up"
    assert ping(host, "card", "10.5.0.1")
    host.kill_helper()
    host.netjail("down", "card").ok()
    assert nic(host) == before


def test_the_only_way_out_is_refused_unless_told(host: Host) -> None:
    host.profile("card", f'kind = "device"\ndevice = "up0"\n{STATIC}', NO_NAMES)
    before = host.sh("ip addr; ip route; ip -6 route")
    host.netjail("up", "card").failed("up0", "only way out", "cut_off_host")
    assert host.sh("ip addr; ip route; ip -6 route") == before


@pytest.mark.slow
def test_a_device_that_is_not_there_or_not_free_is_one_sentence(host: Host) -> None:
    host.profile("card", f'kind = "device"\ndevice = "usb7"\n{STATIC}', NO_NAMES)
    host.netjail("up", "card").failed("usb7", "no network interface")
    host.profile("port", f'kind = "device"\ndevice = "port0"\n{STATIC}', NO_NAMES)
    host.netjail("up", "port").failed("port0", "bridge")
    host.profile("one", f"{DEVICE}\n{STATIC}", NO_NAMES)
    host.profile("two", f"{DEVICE}\n{STATIC}", NO_NAMES)
    host.netjail("up", "one").ok()
    host.netjail("up", "two").failed("nic0", "in the jail of one")


@pytest.mark.slow
def test_a_device_that_is_taken_away_closes_the_jail(host: Host) -> None:
    host.sh("ip link add gone0 type veth peer name gone1")
    host.profile("card", f'kind = "device"\ndevice = "gone0"\n{STATIC}', NO_NAMES)
    host.netjail("up", "card").ok()
    host.sh("ip link del gone1")
    assert wait_until(lambda: host.state("card") == "failed", 40)
    assert not ping(host, "card", "10.5.0.1")
    assert "gone0" in status(host, "card")["reason"]
    host.sh("ip link add gone0 type veth peer name gone1; ip link set gone1 up")
    host.netjail("up", "card").ok()
    assert "gone0" in links(host, "card")
    host.netjail("down", "card").ok()
    host.sh("ip link del gone1")


# A port of a bridge, macvlan, ipvlan -----------------------------------------------------------


@pytest.mark.slow
def test_a_port_reaches_what_is_on_the_bridge_and_the_bridge_stays_as_it_is(host: Host) -> None:
    before = host.sh("ip -o link show br0")
    host.profile("lab", f'kind = "bridge"\nbridge = "br0"\n{STATIC}', NO_NAMES)
    host.netjail("up", "lab").ok()
    assert ping(host, "lab", "10.5.0.1")
    assert "default via 10.5.0.1" in str(status(host, "lab")["routes"])
    assert "02:00:00:00:00:b0" in host.sh("ip -o link show br0")
    key = "net/ipv4/conf/eth0/arp_ignore"
    said = host.netjail("run", "lab", "--", "cat", f"/proc/sys/{key}").ok()
    assert said.out == "2\n"
    host.netjail("down", "lab").ok()
    assert wait_until(lambda: host.sh("ip -o link show br0") == before)


@pytest.mark.slow
def test_a_bridge_that_is_deleted_closes_the_jail_until_it_is_back(host: Host) -> None:
    host.sh("ip link add br9 type bridge; ip link set br9 up")
    host.profile("lab", f'kind = "bridge"\nbridge = "br9"\n{STATIC}', NO_NAMES)
    host.netjail("up", "lab").ok()
    host.sh("ip link del br9")
    assert wait_until(lambda: host.state("lab") == "failed", 40)
    host.netjail("up", "lab").failed("br9")
    host.sh("ip link add br9 type bridge; ip link set br9 up")
    host.netjail("up", "lab").ok()
    assert host.state("lab") == "up"
    assert "master br9" in host.sh("ip link show nj-lab")
    host.netjail("down", "lab").ok()
    host.sh("ip link del br9")


@pytest.mark.slow
def test_what_is_no_bridge_is_refused(host: Host) -> None:
    host.profile("lab", f'kind = "bridge"\nbridge = "nic0"\n{STATIC}', NO_NAMES)
    host.netjail("up", "lab").failed("nic0", "not a bridge", "macvlan")


@pytest.mark.skipif(_kernel_lacks("macvlan") is not None, reason="this kernel has no macvlan")
@pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthru"])
@pytest.mark.slow
def test_a_macvlan_reaches_its_network_and_not_the_host(host: Host, mode: str) -> None:
    uplink = f'kind = "macvlan"\nparent = "nic0"\nmode = "{mode}"\n{STATIC}'
    host.profile("lab", uplink, NO_NAMES)
    host.netjail("up", "lab").ok()
    assert ping(host, "lab", "10.5.0.1")
    assert not ping(host, "lab", "10.5.0.9")  # the host's address on the same interface
    host.netjail("down", "lab").ok()


@pytest.mark.skipif(_kernel_lacks("macvlan") is not None, reason="this kernel has no macvlan")
@pytest.mark.slow
def test_a_macvlan_has_the_same_mac_and_lease_each_time(host: Host) -> None:
    with serving(host, "nic1", "wire") as server:
        host.profile("lab", 'kind = "macvlan"\nparent = "nic0"')
        for _ in range(2):
            host.netjail("up", "--wait", "20", "lab").ok()
            assert leased(host, "lab") == "10.5.0.50/24"
            host.netjail("down", "lab").ok()
        macs = {message["mac"] for message in server.heard(1)}
        assert len(macs) == 1 and int(macs.pop()[:2], 16) & 3 == 2


@pytest.mark.skipif(_kernel_lacks("ipvlan") is None, reason="this kernel has ipvlan")
@pytest.mark.slow
def test_without_ipvlan_in_the_kernel_that_is_said_and_nothing_left(host: Host) -> None:
    host.profile("lab", f'kind = "ipvlan"\nparent = "nic0"\n{STATIC}', NO_NAMES)
    host.netjail("up", "lab").failed("this kernel has no ipvlan", "modprobe")
    assert host.state("lab") == "down"


@pytest.mark.skipif(_kernel_lacks("ipvlan") is not None, reason="this kernel has no ipvlan")
@pytest.mark.slow
def test_an_ipvlan_reaches_its_network_with_the_hosts_mac(host: Host) -> None:
    with serving(host, "nic1", "wire") as server:
        host.profile("lab", 'kind = "ipvlan"\nparent = "nic0"')
        host.netjail("up", "--wait", "20", "lab").ok()
        assert leased(host, "lab") == "10.5.0.50/24"
        assert ping(host, "lab", "10.5.0.1")
        assert {m["mac"] for m in server.heard(1)} == {"02:00:00:00:00:01"}
        assert all(61 in m["names"] for m in server.heard(1))
        host.netjail("down", "lab").ok()


@pytest.mark.slow
def test_a_parent_that_is_down_or_missing_is_one_sentence(host: Host) -> None:
    host.profile("lab", f'kind = "macvlan"\nparent = "eth77"\n{STATIC}', NO_NAMES)
    host.netjail("up", "lab").failed("eth77")
    host.sh("ip link add idle0 type veth peer name idle1")
    host.profile("idle", f'kind = "macvlan"\nparent = "idle0"\n{STATIC}', NO_NAMES)
    host.netjail("up", "idle").failed("idle0 is down", "ip link set idle0 up")
    host.sh("ip link del idle0")


@pytest.mark.slow
def test_router_advertisements_count_only_where_asked_for(host: Host) -> None:
    for name, line in (("deaf", ""), ("open", "accept_ra = true\n")):
        uplink = f'kind = "bridge"\nbridge = "br0"\n{line}address = "10.5.0.{len(line) + 20}/24"'
        host.profile(name, uplink, NO_NAMES)
        host.netjail("up", name).ok()
        said = host.netjail(
            "run", name, "--", "cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra",
            "/proc/sys/net/ipv6/conf/eth0/use_tempaddr",
        ).ok()  # fmt: skip
        assert said.out.split()[0] == ("1" if line else "0")
        if line:
            assert said.out.split()[1] == "2"


# A switch --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_switch_is_a_way_out_with_a_router_in_another_profile(host: Host) -> None:
    host.write("/run/sw.toml", 'version = 1\nengine = "bridge"\n')
    host.netjail("switch", "add", "--name", "sw", "/run/sw.toml").ok()
    link = '[[link]]\nswitch = "sw"\nname = "sw0"\naddress = "10.5.0.1/24"'
    host.profile("router", 'kind = "none"', link)
    host.profile("lab", 'kind = "switch"\nswitch = "sw"')
    host.netjail("up", "router").ok()
    with serving(host, "sw0", "netjail-router"):
        host.netjail("up", "--wait", "20", "lab").ok()
        until_leased(host, "lab", "10.5.0.50/24")
        assert ping(host, "lab", "10.5.0.1")
        assert "default via 10.5.0.1" in str(status(host, "lab")["routes"])
        host.netjail("down", "lab").ok()


# A namespace of somebody else's ----------------------------------------------------------------


STATE = """
for what in "-d addr" "-d link" "route show table all" "-6 route show table all" "rule" "neigh"; do
    ip -n blue $what | grep -v valid_lft | sed 's/expires.*//'
done
ip netns exec blue nft list ruleset
ip netns exec blue sh -c 'cat /proc/sys/net/ipv[46]/conf/all/* 2>&1; true'
ls -lR /etc/netns
"""


@pytest.fixture
def blue(host: Host) -> Iterator[Host]:
    host.sh(
        "ip netns add blue; ip link add blue0 type veth peer name blue1 netns blue;"
        "ip addr add 10.8.0.1/24 dev blue0; ip link set blue0 up;"
        "ip -n blue addr add 10.8.0.2/24 dev blue1; ip -n blue link set blue1 up;"
        "ip -n blue link set lo up; ip netns exec blue nft add table inet theirs;"
        "mkdir -p /etc/netns/blue; echo 'nameserver 10.8.0.1' > /etc/netns/blue/resolv.conf;"
    )
    assert wait_until(lambda: "tentative" not in host.sh("ip -n blue addr"), 10)
    yield host
    host.netjail("down", "--all", "--kill").ok()
    host.sh("ip netns del blue; ip link del blue0 2>/dev/null || true; rm -rf /etc/netns/blue")


def test_an_adopted_namespace_is_left_as_it_was(blue: Host) -> None:
    before = blue.sh(STATE)
    theirs = blue.start("ip", "netns", "exec", "blue", "sleep", "60")
    blue.profile("own", 'kind = "netns"\nname = "blue"')
    blue.netjail("up", "own").ok()
    said = blue.netjail("run", "own", "--", "cat", "/etc/resolv.conf", "/etc/nsswitch.conf").ok()
    assert "nameserver 10.8.0.1" in said.out and "resolve" not in said.out.split("hosts:")[1]
    assert "10.8.0.2" in blue.netjail("run", "own", "--", "ip", "addr").ok().out
    assert blue.sh(STATE) == before
    inside = blue.background("run", "own", "--", "sleep", "60")
    assert wait_until(
        lambda: (
            [p["command"] for p in blue.netjail("ps", "--json").ok().json()["programs"]]
            == ["sleep"]
        )
    )
    blue.netjail("down", "--kill", "own").ok()
    assert inside.wait(20) != 0
    assert theirs.poll() is None, "a program that is not ours was ended"
    assert blue.sh(STATE) == before
    blue.kill(*blue.pids("sleep", "60"))
    theirs.wait(10)


@pytest.mark.slow
def test_what_is_no_namespace_of_somebody_elses_is_refused(blue: Host) -> None:
    blue.profile("own", 'kind = "netns"\nname = "green"')
    blue.netjail("up", "own").failed("no network namespace green")
    blue.sh("touch /run/netns/host; mount --bind /proc/1/ns/net /run/netns/host")
    blue.profile("hosts", 'kind = "netns"\nname = "host"')
    blue.netjail("up", "hosts").failed("host's own")
    blue.sh("umount /run/netns/host; rm /run/netns/host")
    blue.write("/run/x.toml", 'version = 1\n[uplink]\nkind = "netns"\nname = "netjail-own"\n')
    said = blue.netjail("profile", "validate", "/run/x.toml")
    assert said.status == 1 and "netjail's own" in said.out


@pytest.mark.slow
def test_a_namespace_that_is_removed_closes_the_profile(blue: Host) -> None:
    blue.profile("own", 'kind = "netns"\nname = "blue"')
    blue.netjail("up", "own").ok()
    blue.sh("ip netns del blue")
    assert wait_until(lambda: blue.state("own") == "failed", 40)
    blue.netjail("run", "--no-wait", "own", "true").failed(status=125)
    blue.sh("ip netns add blue")
    blue.netjail("up", "own").failed("blue", "netjail down")
    blue.netjail("down", "own").ok()
    blue.netjail("up", "own").ok()
