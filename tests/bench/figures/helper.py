# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper's share of a run that does not take the short way: is it up, may he use it."""

from __future__ import annotations

import argparse

from harness import Goal, Report, command, interleave, timed
from host import PYTHON, Host, whole

ROUNDS = 100
ASKED = "request: up of a jail that is up"


def measure(options: argparse.Namespace) -> list[Report]:
    host = Host()
    try:
        with host.client() as client:
            host.add(client, "lab")
            client.call("up", {"profile": "lab"})
            report = Report("helper: its share of a run on the long way", "ms")

            def ask() -> object:
                return client.call("up", {"profile": "lab"})

            def connect_and_ask() -> object:
                with host.client() as fresh:
                    return fresh.call("up", {"profile": "lab"})

            series = interleave(
                {
                    ASKED: lambda: timed(ask),
                    "the same with connecting and hello": lambda: timed(connect_and_ask),
                    "request: hello": lambda: timed(lambda: client.call("hello")),
                    "command: netjail up lab": whole("up", "lab"),
                    "command: netjail --version": whole("--version"),
                    "python3 -I -S -c pass": command([PYTHON, "-I", "-S", "-c", "pass"]),
                },
                options.rounds or ROUNDS,
            )
        report.series = list(series.values())
        took = series["the same with connecting and hello"].median
        report.goals = [Goal("helper's share", took, " ms", 5, 3)]
        report.notes = ["authorisation is that of root: polkit comes with the system bus"]
        return [report]
    finally:
        host.close()
