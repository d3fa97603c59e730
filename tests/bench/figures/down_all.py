# SPDX-License-Identifier: GPL-3.0-or-later
"""`down --all` of 50 veth profiles."""

from __future__ import annotations

import argparse

import byhand
from harness import Goal, Report, interleave, timed
from host import Host, before, whole

PIDS = False
ROUNDS = 6
COUNT = 50


def measure(options: argparse.Namespace) -> list[Report]:
    host = Host()
    byhand.write()
    names = [f"p{number}" for number in range(COUNT)]
    report = Report(f"down_all: {COUNT} veth profiles", "ms")
    try:
        with host.client() as client:
            for name in names:
                host.add(client, name)

            def up() -> None:
                for name in names:
                    client.call("up", {"profile": name})
                host.settle()

            def script() -> None:
                for number in range(COUNT):
                    byhand.down(f"h{number}")

            def script_up() -> None:
                for number in range(COUNT):
                    byhand.gone(f"h{number}")
                    byhand.up(f"h{number}", number)

            series = interleave(
                {
                    "netjail: request": before(
                        lambda: timed(lambda: client.call("down", {"profiles": None})), up
                    ),
                    "netjail: whole command `down --all`": before(whole("down", "--all"), up),
                    "script, one by one": before(lambda: timed(script), script_up),
                },
                options.rounds or ROUNDS,
                warm=1,
            )
        report.series = list(series.values())
        took = series["netjail: whole command `down --all`"].median
        report.goals = [Goal("whole command", took, " ms", 200, 100)]
        return [report]
    finally:
        host.close()
