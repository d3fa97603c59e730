# SPDX-License-Identifier: GPL-3.0-or-later
"""A veth profile down, as its caller sees it."""

from __future__ import annotations

import argparse

import byhand
from harness import Contender, Goal, Report, interleave, ratio, timed
from host import Host, before, whole

PIDS = False  # it looks for programs inside: among as many processes as the machine has
ROUNDS = 40
ASKED, COMMAND = "netjail: request over the socket", "netjail: whole command `netjail down`"
SCRIPT = "script: nft, ip netns del"


def measure(options: argparse.Namespace) -> list[Report]:
    host = Host()
    byhand.write()
    report = Report("down: a veth profile", "ms")
    try:
        with host.client() as client:
            for name in ("base", "lab"):
                host.add(client, name)
            client.call("up", {"profile": "base"})  # the last one also removes the table

            def up() -> object:
                return client.call("up", {"profile": "lab"})

            def ask() -> object:
                return client.call("down", {"profiles": ["lab"]})

            contenders: dict[str, Contender] = {
                ASKED: before(lambda: timed(ask), up, host.settle),
                COMMAND: before(whole("down", "lab"), up, host.settle),
                SCRIPT: before(
                    lambda: timed(lambda: byhand.down("hand")),
                    lambda: byhand.gone("hand"),
                    lambda: byhand.up("hand", 1),
                ),
            }
            series = interleave(contenders, options.rounds or ROUNDS)
        report.series = list(series.values())
        report.goals = [
            Goal("request / script", ratio(series, ASKED, SCRIPT), "x", 0.3),
            Goal("whole command / script", ratio(series, COMMAND, SCRIPT), "x", 0.3),
            Goal("request", series[ASKED].median, " ms", 0.3 * series[SCRIPT].median, 2),
        ]
        return [report]
    finally:
        host.close()
