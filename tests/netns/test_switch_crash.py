# SPDX-License-Identifier: GPL-3.0-or-later
"""Links and switches where the helper, or what serves a switch, is killed; many at once; and where
the system runs an Open vSwitch of its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import Host, Hosts, missing, wait_until
from test_crash import KILL_AT_STEP
from test_switches import NONE, cable, link, links_of, reaches, status, switch, switch_status

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")
needs_ovs = pytest.mark.skipif(
    shutil.which("ovs-vswitchd") is None, reason="not installed: openvswitch-switch"
)


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    hosts = Hosts()
    yield hosts
    hosts.close()


@pytest.fixture
def host(hosts: Hosts) -> Iterator[Host]:
    with hosts.lend() as host:
        yield host


def ask_and_die(host: Host, method: str, phase: str, step: int, **params: object) -> bool:
    """Have a helper do something and kill itself after a step. Whether it did."""
    pid = host.wrap_helper(KILL_AT_STEP, phase, str(step))
    asking = host.request(method, **params)
    asking.communicate(timeout=40)
    if pid in host.helpers():
        host.kill_helper()
        return False
    return True


SWITCH_STEPS = [
    ("switch record", 0),
    ("switch up", 1),
    ("switch up", 2),
    ("switch up", 3),
    ("up", 3),
    ("enter", 0),
]


@pytest.mark.slow
def test_killed_while_the_first_makes_a_switch(host: Host) -> None:
    """A new helper takes away what is half made, or adopts it; the next `up` gets there."""
    switch(host, "lab", 'host = true\nhost_address = "10.20.0.254/24"')
    host.profile("a", NONE, link("lab", "10.20.0.1/24"))
    for phase, step in SWITCH_STEPS:
        assert ask_and_die(host, "up", phase, step, profile="a", wait=0), (phase, step)
        if host.state("a") == "down":
            host.clean()
        host.netjail("up", "a").ok()
        assert reaches(host, "a", "10.20.0.254"), (phase, step)
        host.netjail("down", "a").ok()
        host.clean()


@pytest.mark.slow
def test_killed_while_the_last_takes_a_switch_away(host: Host) -> None:
    switch(host, "lab", 'host = true\nhost_address = "10.20.0.254/24"')
    host.profile("a", NONE, link("lab", "10.20.0.1/24"))
    steps = [("stopping", 0), ("down", 1), ("down", 3), ("switch stopping", 0)]
    steps += [("switch down", 1), ("switch down", 2), ("switch down", 3)]
    for phase, step in steps:
        host.netjail("up", "a").ok()
        params = {"profiles": ["a"], "kill": False}
        assert ask_and_die(host, "down", phase, step, **params), (phase, step)
        assert host.state("a") == "down"
        host.clean()


@pytest.mark.slow
def test_killed_while_a_cable_is_made_or_removed(host: Host) -> None:
    cable(host)
    for phase, step in (("record", 0), ("up", 1), ("up", 3), ("enter", 0)):
        host.netjail("up", "client").ok()
        assert ask_and_die(host, "up", phase, step, profile="server", wait=0)
        if host.state("server") == "down":
            assert links_of(host, "client") == ["lo"]
        host.netjail("up", "server", "client").ok()
        assert reaches(host, "client", "10.10.10.1")
        params = {"profiles": ["server"], "kill": False}
        assert ask_and_die(host, "down", "down", 1, **params)
        assert host.state("server") == "down"
        assert links_of(host, "client") == ["lo"]
        host.netjail("down", "client").ok()
        host.clean()


def test_a_helper_that_starts_adopts_all(host: Host) -> None:
    switch(host, "lab")
    cable(host)
    host.profile("a", NONE, link("lab", "10.20.0.1/24"))
    host.profile("b", NONE, link("lab", "10.20.0.2/24"))
    host.netjail("up", "a", "b", "client", "server").ok()
    host.kill_helper()
    for name in ("a", "b", "client", "server"):
        assert host.state(name) == "up"
        assert not host.netjail("up", "--json", name).ok().json()["results"][0]["changed"]
    assert reaches(host, "a", "10.20.0.2")
    host.netjail("down", "a", "client").ok()
    assert switch_status(host, "lab")["state"] == "up"
    host.kill_helper()
    host.netjail("down", "--all").ok()
    host.clean()


@pytest.mark.slow
def test_a_bridge_that_somebody_deleted_is_made_again(host: Host) -> None:
    switch(host, "lab")
    host.profile("a", NONE, link("lab", "10.20.0.1/24"))
    host.profile("b", NONE, link("lab", "10.20.0.2/24"))
    host.netjail("up", "a", "b").ok()
    host.run("ip", "-n", "netjail-switch.lab", "link", "delete", "lab").ok()
    assert not reaches(host, "a", "10.20.0.2", 1)
    host.netjail("up", "a", "b").ok()
    assert reaches(host, "a", "10.20.0.2")
    host.netjail("down", "--all").ok()
    host.clean()


@pytest.mark.slow
@pytest.mark.parametrize(
    "engine", ["bridge", pytest.param("openvswitch", marks=needs_ovs)], ids=str
)
def test_a_namespace_that_somebody_deleted_is_made_again(host: Host, engine: str) -> None:
    switch(host, "lab", f'engine = "{engine}"')
    host.profile("a", NONE, link("lab", "10.20.0.1/24"))
    host.profile("b", NONE, link("lab", "10.20.0.2/24"))
    host.netjail("up", "a", "b").ok()
    host.run("ip", "netns", "delete", "netjail-switch.lab").ok()
    host.netjail("up", "a", "b").ok()
    assert reaches(host, "a", "10.20.0.2")
    host.netjail("down", "--all").ok()
    host.clean()


@needs_ovs
@pytest.mark.slow
@pytest.mark.parametrize("program", ["ovs-vswitchd", "ovsdb-server"])
def test_what_serves_a_switch_is_started_again(host: Host, program: str) -> None:
    """And the ports are there still: programs keep their interface."""
    switch(host, "lab", 'engine = "openvswitch"')
    host.profile("a", NONE, link("lab", "10.20.0.1/24"))
    host.profile("b", NONE, link("lab", "10.20.0.2/24"))
    host.netjail("up", "a", "b").ok()
    before = host.run("ip", "-n", "netjail-a", "-o", "link", "show", "lab").ok().out.split()[0]
    host.kill(*host.pids(program))
    assert wait_until(lambda: host.state("a") == "failed", 20)
    assert wait_until(lambda: [host.state("a"), host.state("b")] == ["up", "up"], 30)
    assert wait_until(lambda: reaches(host, "a", "10.20.0.2", 1), 30)
    after = host.run("ip", "-n", "netjail-a", "-o", "link", "show", "lab").ok().out.split()[0]
    assert after == before
    host.netjail("down", "--all").ok()
    host.clean()


@needs_ovs
@pytest.mark.slow
def test_killed_while_open_vswitch_starts(host: Host) -> None:
    """Its processes are found by what they were started with, and not left behind."""
    switch(host, "lab", 'engine = "openvswitch"')
    host.profile("a", NONE, link("lab", "10.20.0.1/24"))
    code = (
        "from netjail.engine import process\n"
        "start = process.start\n"
        "def dying(name, *args):\n"
        "    started = start(name, *args)\n"
        "    if name == sys.argv[1]: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return started\n"
        "process.start = dying\n"
    )
    for program in ("ovsdb-server", "ovs-vswitchd"):
        host.wrap_helper(code, program)
        host.request("up", profile="a", wait=0).communicate(timeout=40)
        assert wait_until(lambda name=program: host.pids(name), 10)
        assert host.state("a") == "down"
        host.clean(20)
    host.netjail("up", "a").ok()
    host.netjail("down", "a").ok()
    host.clean()


SYSTEM = """
mkdir -p /var/run/openvswitch
mount -t tmpfs tmpfs /var/run/openvswitch
cd /var/run/openvswitch
ovsdb-tool create conf.db /usr/share/openvswitch/vswitch.ovsschema
setsid ovsdb-server conf.db --remote=punix:db.sock --unixctl=server.ctl --pidfile=server.pid \
    > server.log 2>&1 < /dev/null &
while ! [ -S db.sock ]; do sleep 0.05; done
ovs-vsctl --db=unix:$PWD/db.sock --no-wait init
setsid ovs-vswitchd unix:$PWD/db.sock --pidfile > switch.log 2>&1 < /dev/null &
while ! [ -e ovs-vswitchd.pid ]; do sleep 0.05; done
ovs-vsctl add-br theirs -- set bridge theirs datapath_type=netdev
"""


@needs_ovs
@pytest.mark.slow
def test_the_systems_open_vswitch_is_used_and_left_alone(host: Host) -> None:
    host.sh(SYSTEM)
    daemons = host.pids("ovsdb-server") + host.pids("ovs-vswitchd")
    try:
        switch(host, "lab", 'engine = "openvswitch"\nhost = true\nhost_address = "10.20.0.254/24"')
        host.profile("a", NONE, link("lab", "10.20.0.1/24"))
        host.profile("b", NONE, link("lab", "10.20.0.2/24"))
        host.netjail("up", "a", "b").ok()
        assert set(host.run("ovs-vsctl", "list-br").ok().out.split()) == {"theirs", "nj-br.lab"}
        assert reaches(host, "a", "10.20.0.2")
        assert reaches(host, "a", "10.20.0.254")
        seen = switch_status(host, "lab")
        assert seen["netns"] is None
        assert seen["macs"]
        host.kill_helper()
        host.netjail("down", "a").ok()
        assert len(host.run("ovs-vsctl", "list-ports", "nj-br.lab").ok().out.split()) == 2
        host.netjail("down", "b").ok()
        assert host.run("ovs-vsctl", "list-br").ok().out.split() == ["theirs"]
        assert set(daemons) <= set(host.pids("ovsdb-server") + host.pids("ovs-vswitchd"))
        assert not host.glob("/run/netjail/switches/*")
        assert "nj-" not in host.run("ip", "link").out
    finally:
        host.kill(*daemons)
        wait_until(lambda: not host.pids("ovs-vswitchd") and not host.pids("ovsdb-server"), 10)
        host.run("ip", "link", "delete", "theirs")
        host.run("ip", "link", "delete", "ovs-netdev")
        host.run("umount", "/var/run/openvswitch")


def many(host: Host, count: int) -> list[str]:
    """So many profiles on the switch `lab`, by their files."""
    host.sh("mkdir -p -m 700 /etc/netjail/switches /etc/netjail/profiles")
    host.write("/etc/netjail/switches/lab.toml", "version = 1\n")
    for number in range(1, count + 1):
        text = f"version = 1\n[uplink]\n{NONE}\n{link('lab', f'10.20.0.{number}/24')}"
        host.write(f"/etc/netjail/profiles/p{number}.toml", text)
    return [f"p{number}" for number in range(1, count + 1)]


@pytest.mark.slow
def test_two_hundred_on_one_switch(host: Host) -> None:
    """Up in one go, all there, and gone without a trace."""
    names = many(host, 200)
    said = host.netjail("up", "--all", "--json", timeout=300).ok()
    assert {row["profile"] for row in said.json()["results"]} == set(names)
    assert {p["profile"] for p in switch_status(host, "lab")["ports"]} == set(names)
    assert reaches(host, "p1", "10.20.0.200")
    assert reaches(host, "p150", "10.20.0.3")
    assert status(host, "p7")["links"][0]["up"]
    host.netjail("down", "--all", timeout=300).ok()
    host.clean(60)


@pytest.mark.slow
def test_up_and_down_at_the_same_time(host: Host) -> None:
    """The last to leave and the first to come: a switch is there for whoever is up."""
    switch(host, "lab", 'host = true\nhost_address = "10.20.0.254/24"')
    cable(host)
    for number, name in enumerate("abc", 1):
        host.profile(name, NONE, link("lab", f"10.20.0.{number}/24"))
    host.netjail("up", "a").ok()
    for _ in range(4):
        going = [
            host.background("down", "a"),
            host.background("up", "b"),
            host.background("up", "client"),
            host.background("up", "server"),
        ]
        assert [p.wait(60) for p in going] == [0, 0, 0, 0]
        assert reaches(host, "b", "10.20.0.254")
        assert reaches(host, "client", "10.10.10.1")
        going = [
            host.background("up", "a"),
            host.background("down", "b"),
            host.background("down", "client"),
            host.background("down", "server"),
        ]
        assert [p.wait(60) for p in going] == [0, 0, 0, 0]
        assert reaches(host, "a", "10.20.0.254")
    host.netjail("down", "--all").ok()
    host.clean()
