# SPDX-License-Identifier: GPL-3.0-or-later
"""One suite for all kinds of tunnel: whatever befalls one, the wire carries its own packets and
nothing else, while a program inside sends all it can.

A wire is what anybody between home and the ISP can see, and one more: home's own LAN, where no
packet of any tunnel belongs.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from netjail.demo.capture import Capture, capture
from netjail.demo.nodes import Output
from netjail.demo.stage import HOME4, HOME6, RESOLVER4, RESOLVER6, WEB4, WEB6, WEB_NAME
from tests.netns import tunnelkinds, vpnservers, wire
from tests.netns.teststage import Netjail, TestStage
from tests.netns.tunnelkinds import Kind
from tests.netns.vpnservers import until

pytestmark = pytest.mark.slow

MARK = "d41d8cd98f00b204"
LAN4, NEIGHBOUR4 = "10.20.30.1", "10.20.30.2"
PUBLIC4 = "9.9.9.9"
"""A resolver that everybody knows; here it is nobody, but a packet to it would be seen."""
TARGETS = [WEB4, RESOLVER4, PUBLIC4, "203.0.113.1", NEIGHBOUR4, WEB6, RESOLVER6]
TALKER = str(Path(__file__).parent / "talker.py")
ROUNDS = 8
"""So often everything is sent in each part of a test."""
EVERYTHING = {
    *("tcp", "icmp", "icmp6", "udp", "udp, IPv6", "question", "look-up", "frame"),
    *("multicast", "multicast, IPv6", "broadcast"),
}


class Talker:
    """The program that sends all it can, on the host or in a profile."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self.process = process
        self.said = Output(process.stdout)

    def rounds(self) -> int:
        return len(re.findall(r"^round", self.said.text(), re.M))

    def go_on(self) -> None:
        """Until it has sent everything several times more."""
        wanted = self.rounds() + ROUNDS
        assert until(lambda: self.rounds() >= wanted), "it does not send any more"
        assert self.process.poll() is None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class World:
    """A tunnel that is up, with a talker inside, and captures that run until the end."""

    kind: Kind
    stage: TestStage
    netjail: Netjail
    allowed: wire.Allowed
    captures: dict[str, Capture]
    talker: Talker | None = None

    def strangers(self) -> list[str]:
        """What should not be on the wires."""
        found = [
            f"{name}: {each}"
            for name, seen in self.captures.items()
            for each in self.allowed.strangers(seen.pcap, MARK)
        ]
        return list(dict.fromkeys(found))[:20]

    def tight(self) -> None:
        """Let everything be sent several times more, and see nothing of it."""
        assert self.talker is not None
        self.talker.go_on()
        assert self.strangers() == []
        asked = {n for n, who in self._questions() if who in self.allowed.host}
        assert asked <= self.allowed.names, "the host asks for the server's name alone"

    def _questions(self) -> list[tuple[str, str]]:
        return [(name, who) for _, name, who in self.stage.dns_queries("isp")]

    def answers(self) -> bool:
        """Whether the world can be reached from inside, and sees the provider."""
        curl = ("curl", "-sS4", "--max-time", "2", f"http://{WEB_NAME}/")
        said = self.netjail("run", "--no-wait", "vpn", "--", *curl).stdout.strip()
        return bool(said == self.kind.provider.wan4)

    def state(self) -> str:
        rows = self.netjail("list", "--json", check=True).json["result"]["profiles"]
        return str(next(row["state"] for row in rows if row["name"] == "vpn"))

    def processes(self) -> dict[str, int]:
        shown = self.netjail("status", "vpn", "--json", check=True).json["result"]["profiles"][0]
        return {each["name"]: each["pid"] for each in shown["processes"]}


@contextlib.contextmanager
def neighbourhood(**options: Any) -> Iterator[TestStage]:
    """A stage with a LAN of home's, and a neighbour on it."""
    with TestStage(**options) as made:
        made.isp.ip(
            f"link add neigh0 type veth peer name lan0 netns {made.home.inner_pid}",
            f"addr add {NEIGHBOUR4}/24 dev neigh0",
            "link set neigh0 up",
        )
        made.home.ip(f"addr add {LAN4}/24 dev lan0", "link set lan0 up")
        yield made


@contextlib.contextmanager
def captures(stage: TestStage) -> Iterator[dict[str, Capture]]:
    with stage.capture() as wan, capture(stage.home, "lan0") as lan:
        yield {"wire": wan, "LAN": lan}


@pytest.fixture(scope="module", params=tunnelkinds.ALL, ids=lambda kind: kind.name)
def world(request: pytest.FixtureRequest, stage_possible: None) -> Iterator[World]:
    """A stage for each kind: a server goes on sending for a while to whoever was there."""
    made_of: type[Kind] = request.param
    lacking = vpnservers.missing(*made_of.needs)
    if lacking:
        pytest.skip(lacking)
    with neighbourhood(providers=made_of.exits + 1) as stage, captures(stage) as seen:
        netjail = Netjail(stage)
        kind = made_of(stage, netjail)
        names = {each.endpoint_name for each in stage.providers}
        allowed = wire.Allowed((HOME4, HOME6), kind.wire(), RESOLVER4, names)
        kind.add()
        made = World(kind, stage, netjail, allowed, seen)
        said = netjail("up", "--wait", "30", "vpn", check=True)
        assert "its tunnel answers" in said.stdout, said
        inside = ("run", "vpn", "--", sys.executable, "-I", TALKER, MARK, *TARGETS)
        made.talker = Talker(netjail.popen(*inside, stdout=subprocess.PIPE))
        yield made
        print(netjail("logs", "vpn").stdout)  # pytest shows it of tests that failed
        made.talker.end()


def test_a_leak_would_be_seen(stage_possible: None) -> None:
    """The control: the same program outside of a profile."""
    allowed = wire.Allowed((HOME4, HOME6), {("udp", WEB4, 51820)}, RESOLVER4)
    with neighbourhood() as stage, captures(stage) as seen:
        command = [sys.executable, "-I", TALKER, MARK, *TARGETS]
        talker = Talker(stage.home.popen(command, stdout=subprocess.PIPE))
        talker.go_on()
        assert until(lambda: wire.kinds(seen["wire"].pcap, MARK) >= EVERYTHING), wire.kinds(
            seen["wire"].pcap, MARK
        )
        talker.end()
    assert wire.kinds(seen["LAN"].pcap, MARK) >= {"udp", "multicast", "broadcast", "frame"}
    strangers = allowed.strangers(seen["wire"].pcap)
    for what in ("tcp", "udp", "icmp", "icmp6"):
        assert any(each.startswith(f"{what} ") for each in strangers)
    assert any("holds the mark" in each for each in allowed.strangers(seen["LAN"].pcap, MARK))


def test_while_it_is_up(world: World) -> None:
    assert until(world.answers)
    provider = world.stage.dns_log(world.kind.provider.name)
    world.tight()
    tunnel = {(p, a) for p, a, _ in world.allowed.servers}
    seen = {(each.protocol, each.destination) for each in world.captures["wire"].packets}
    assert tunnel & seen, "the capture itself must work"
    asked = world.stage.dns_log(world.kind.provider.name)[len(provider) :]
    assert any(each.startswith("lookup-") for each in asked), "names are asked for inside"


def test_packets_that_make_no_sense(world: World) -> None:
    """Redirects, routers, sources that cannot be, packets to forward: out of the tunnel."""
    kind = world.kind
    namespace = ("ip", "-n", "netjail-vpn")

    def routes() -> list[str]:
        return [
            re.sub(r" (cache|expires \S+)", "", line)
            for four in ("-4", "-6")
            for line in world.stage.home.run([*namespace, four, "route"]).stdout.splitlines()
        ]

    if isinstance(kind, tunnelkinds.WireGuard):
        kind.turn_hostile()  # it could not send most of it otherwise
    before = routes()
    addresses = world.stage.home.run([*namespace, "-br", "addr"]).stdout
    inner = json.loads(world.stage.home.run([*namespace, "-json", "addr"]).stdout)
    own = {
        each["family"]: each["local"]
        for link in inner
        if link["ifname"] != "lo"
        for each in link["addr_info"]
        if each["scope"] == "global"
    }
    command = [sys.executable, "-I", tunnelkinds.NONSENSE, kind.interface(), own["inet"]]
    sent = kind.node.run([*command, own["inet6"], "203.0.113.1", NEIGHBOUR4], check=True)
    assert int(sent.stdout) > 100
    world.tight()
    assert routes() == before
    assert world.stage.home.run([*namespace, "-br", "addr"]).stdout == addresses


def test_its_client_is_killed(world: World) -> None:
    pid = world.processes().get(world.kind.program)
    if pid is None:
        pytest.skip("the kernel does WireGuard here: there is no process to kill")
    world.stage.home.run(["kill", "-9", str(pid)], check=True)
    world.tight()
    assert until(world.answers)
    assert world.processes()[world.kind.program] != pid
    world.tight()


def test_the_helper_is_killed(world: World) -> None:
    helper = world.stage.home.run(["fuser", "/run/netjail/helper.lock"]).stdout.split()
    world.stage.home.run(["kill", "-9", *helper], check=True)
    world.tight()
    assert until(world.answers)
    world.tight()


def test_its_server_is_killed_another_one_takes_its_place_and_it_comes_back(world: World) -> None:
    world.kind.kill()
    world.tight()
    if world.kind.patient:
        assert until(lambda: world.state() == "degraded", 60)
        world.tight()
    world.kind.replace()
    world.tight()
    world.talker.go_on()
    assert not world.answers()
    world.kind.back()
    assert until(world.answers, 90)
    world.tight()


def test_its_server_turns_against_it(world: World) -> None:
    """Pushes routes around the tunnel, resolvers outside, commands, thousands of routes."""
    world.kind.turn_hostile()
    assert until(world.answers, 90)
    world.tight()
    shown = json.loads(
        world.stage.home.run(["ip", "-n", "netjail-vpn", "-json", "route"], check=True).stdout
    )
    assert {each["dev"] for each in shown} <= {"wg0", "tun0"}
    host = world.stage.home.run(["ip", "route"], check=True).stdout
    assert "172." not in host and "tun" not in host
    assert not Path(world.stage.home.path("/tmp/canary")).exists()


def test_it_goes_down_under_running_programs(world: World) -> None:
    world.talker.go_on()
    world.netjail("down", "--all", "--kill", check=True)
    assert until(lambda: world.talker.process.poll() is not None)
    assert world.strangers() == []
