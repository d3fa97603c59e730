# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP through a veth profile's NAT, against the same path made by hand and one bare veth pair."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import byhand
from harness import Contender, Goal, Report, interleave, ratio
from host import BEYOND, ENV, NEIGHBOUR, Host, installed

ROUNDS = 8
SECONDS = 2
OURS, BY_HAND, DIRECT = "netjail: veth profile", "by hand: veth, NAT", "one veth pair"


def measure(options: argparse.Namespace) -> list[Report]:
    report = Report("throughput: TCP to a neighbour of the host", "Gbit/s")
    if installed("iperf3") is None:
        report.skipped.append("iperf3 is not installed")
        return [report]
    host = Host()
    byhand.write()
    try:
        with host.client() as client, serving():
            host.add(client, "lab")
            client.call("up", {"profile": "lab"})
            byhand.up("hand", 1)
            series = interleave(
                {
                    OURS: iperf(["ip", "netns", "exec", "netjail-lab"]),
                    BY_HAND: iperf(["ip", "netns", "exec", "hand"]),
                    DIRECT: iperf([]),
                },
                options.rounds or ROUNDS,
                warm=1,
            )
    finally:
        host.close()
    report.series = list(series.values())
    report.goals = [
        Goal("netjail / by hand", ratio(series, OURS, BY_HAND), "x", 0.9, 0.95, more=True)
    ]
    report.notes = [
        f"netjail / one veth pair: {ratio(series, OURS, DIRECT):.2f}x, "
        f"by hand: {ratio(series, BY_HAND, DIRECT):.2f}x"
    ]
    return [report]


@contextmanager
def serving(netns: str = NEIGHBOUR) -> Iterator[None]:
    """iperf3 as server in a namespace."""
    words = ["ip", "netns", "exec", netns, "iperf3", "-s", "--forceflush"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=ENV) as server:
        try:
            assert server.stdout is not None
            while b"listening" not in server.stdout.readline():
                pass
            yield
        finally:
            server.terminate()
            server.wait()


def iperf(prefix: Sequence[str], address: str = BEYOND, seconds: float = SECONDS) -> Contender:
    """Gbit/s received by the server."""
    words = [*prefix, "iperf3", "-c", address, "-t", str(seconds), "-O", "0.3", "-J"]

    def once() -> float:
        done = subprocess.run(words, capture_output=True, env=ENV, check=False)
        said = json.loads(done.stdout)
        if "error" in said:
            raise SystemExit(f"{' '.join(words)}: {said['error']}")
        return float(said["end"]["sum_received"]["bits_per_second"]) / 1e9

    return once
