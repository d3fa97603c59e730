# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP between two profiles on a switch, against two namespaces on a bridge made by hand.

Two processes on few processors: what a run gets depends on where the scheduler puts them more than
on the bridge. So there are many short rounds, and the ratio is taken within each.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
from typing import Any

from harness import Contender, Goal, Report, interleave, paired
from host import Host, installed

from figures.throughput import iperf, serving

ROUNDS = 25
SECONDS = 1
OVS_ROUNDS = 6
OURS, BY_HAND, OVS = "netjail: bridge", "by hand: bridge", "netjail: Open vSwitch"
_PROFILE = """version = 1
[uplink]
kind = "none"
[[link]]
switch = "{switch}"
address = "{address}/24"
"""
_HAND = """
set -e
ip link add hbr type bridge
ip link set hbr up
for n in 1 2; do
    ip netns add hand$n
    ip link add hv$n type veth peer name lab netns hand$n
    ip link set hv$n master hbr up
    ip -n hand$n addr add 10.21.0.$n/24 dev lab
    ip -n hand$n link set lab up
done
"""


def measure(options: argparse.Namespace) -> list[Report]:
    report = Report("switch: TCP between two profiles on a switch", "Gbit/s")
    if installed("iperf3") is None:
        report.skipped.append("iperf3 is not installed")
        return [report]
    host = Host()
    try:
        with host.client() as client, contextlib.ExitStack() as servers:
            subprocess.run(["sh", "-c", _HAND], check=True)
            contenders = {
                OURS: _pair(host, client, servers, "lab", 'engine = "bridge"', 20),
                BY_HAND: _served(servers, "hand1", "hand2", "10.21.0.2"),
            }
            series = interleave(contenders, options.rounds or ROUNDS, warm=1)
            if installed("ovs-vswitchd") is None:
                report.skipped.append(f"{OVS}: openvswitch-switch is not installed")
            else:
                theirs = {
                    OVS: _pair(host, client, servers, "ovs", 'engine = "openvswitch"', 22),
                    BY_HAND: contenders[BY_HAND],
                }
                beside = interleave(theirs, options.rounds or OVS_ROUNDS, warm=1)
                status = client.call("switch.status", {"switch": "ovs"})["switch"]
                kind = "in userspace" if status["datapath"] == "netdev" else "in the kernel"
                report.notes = [f"Open vSwitch {kind}: {paired(beside, OVS, BY_HAND):.2f}x"]
                series[OVS] = beside[OVS]
    finally:
        host.close()
    report.series = list(series.values())
    report.goals = [Goal("netjail / by hand", paired(series, OURS, BY_HAND), "x", 0.9, more=True)]
    return [report]


def _pair(
    host: Host, client: Any, servers: contextlib.ExitStack, switch: str, text: str, number: int
) -> Contender:
    """Two profiles on a switch of ours."""
    params = {"name": switch, "text": f"version = 1\n{text}\n", "replace": True}
    client.call("switch.add", params)
    for end in (1, 2):
        address = f"10.{number}.0.{end}"
        host.add(client, f"{switch}{end}", _PROFILE.format(switch=switch, address=address))
        client.call("up", {"profile": f"{switch}{end}"})
    return _served(servers, f"netjail-{switch}1", f"netjail-{switch}2", f"10.{number}.0.2")


def _served(servers: contextlib.ExitStack, ours: str, theirs: str, address: str) -> Contender:
    servers.enter_context(serving(theirs))
    return iperf(["ip", "netns", "exec", ours], address, SECONDS)
