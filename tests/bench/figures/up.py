# SPDX-License-Identifier: GPL-3.0-or-later
"""A veth profile up, with a resident helper, against the script that a person would write."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import byhand
from harness import Contender, Goal, Report, interleave, ratio, timed
from host import Host, after, whole

ROUNDS = 40
ASKED, COMMAND = "netjail: request over the socket", "netjail: whole command `netjail up`"
SCRIPT = "script: ip, nft"


def measure(options: argparse.Namespace) -> list[Report]:
    host = Host()
    byhand.write()
    report = Report("up: a veth profile, IPv4 and IPv6 behind NAT", "ms")
    try:
        with host.client() as client:
            for name in ("base", "asked", "called"):
                host.add(client, name)
            client.call("up", {"profile": "base"})  # the first one also makes the table

            def down(name: str) -> Callable[[], object]:
                return lambda: client.call("down", {"profiles": [name]})

            def ask() -> object:
                return client.call("up", {"profile": "asked"})

            contenders: dict[str, Contender] = {
                ASKED: after(lambda: timed(ask), down("asked"), host.settle),
                COMMAND: after(whole("up", "called"), down("called"), host.settle),
                SCRIPT: after(
                    lambda: timed(lambda: byhand.up("hand", 1)),
                    lambda: byhand.down("hand"),
                    lambda: byhand.gone("hand"),
                ),
            }
            try:
                raw = byhand.Pyroute2()
            except ImportError as error:
                report.skipped.append(f"pyroute2 call by call: {error}")
            else:
                contenders["pyroute2, call by call"] = after(
                    lambda: timed(lambda: raw.up("pyr", 2)),
                    lambda: byhand.down("pyr"),
                    lambda: byhand.gone("pyr"),
                )
            series = interleave(contenders, options.rounds or ROUNDS)
        report.series = list(series.values())
        report.goals = [
            Goal("request / script", ratio(series, ASKED, SCRIPT), "x", 0.5, 0.25),
            Goal("whole command / script", ratio(series, COMMAND, SCRIPT), "x", 0.5, 0.25),
        ]
        report.skipped.append("wg-netns, vopono: they make tunnels only, nothing to compare with")
        return [report]
    finally:
        host.close()
