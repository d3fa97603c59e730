# SPDX-License-Identifier: GPL-3.0-or-later
"""How up, launch and list grow with the number of veth profiles that are up."""

from __future__ import annotations

import argparse
from typing import Any

import byhand
from harness import Goal, Report, Series, command, interleave, said, timed
from host import ENV, LAUNCHER, PYTHON, Host, after, whole

PIDS = False
STEPS = (1, 10, 100, 1000)
ROUNDS = 15
UP, LAUNCH, LIST = "up: request", "launch: netjail run -u nobody", "list: whole command"
ANSWER = "list: request"
DOWN = "down: request"
SCRIPT = "script: up"
PYTHON_ALONE = "python3 -I -S -c pass"
"""Does not depend on N: tells how much the machine itself has become slower meanwhile."""


def measure(options: argparse.Namespace) -> list[Report]:
    host = Host()
    byhand.write()
    steps = [step for step in STEPS if step <= options.max]
    taken: dict[int, dict[str, Series]] = {}
    try:
        with host.client() as client:
            host.add(client, "probe")
            up = 0
            for step in steps:
                said([f"bringing up {step - up}, to {step} in all"])
                for number in range(up, step):
                    host.add(client, f"p{number}")
                    client.call("up", {"profile": f"p{number}"})
                up = step
                host.settle()
                taken[step] = _measure(host, client, options.rounds or ROUNDS)
        return [_report(taken)]
    finally:
        host.close()


def _measure(host: Host, client: Any, rounds: int) -> dict[str, Series]:
    took: dict[str, float] = {}

    def up_and_down() -> float:
        value = timed(lambda: client.call("up", {"profile": "probe"}))
        host.settle()
        took["down"] = timed(lambda: client.call("down", {"profiles": ["probe"]}))
        host.settle()
        return value

    downs: list[float] = []

    def up() -> float:
        value = up_and_down()
        downs.append(took["down"])
        return value

    run = [LAUNCHER, "run", "-u", "nobody", "p0", "--", "/bin/true"]
    series = interleave(
        {
            UP: up,
            LAUNCH: command(run, ENV),
            LIST: whole("list"),
            ANSWER: lambda: timed(lambda: client.call("list")),
            PYTHON_ALONE: command([PYTHON, "-I", "-S", "-c", "pass"], ENV),
        },
        rounds,
    )
    # Apart: it changes the host's networks, which the helper then follows.
    script = after(
        lambda: timed(lambda: byhand.up("hand", 1)),
        lambda: byhand.down("hand"),
        lambda: byhand.gone("hand"),
    )
    series |= interleave({SCRIPT: script}, rounds)
    series[DOWN] = Series(DOWN, tuple(downs[-rounds:]))
    return series


def _report(taken: dict[int, dict[str, Series]]) -> Report:
    report = Report("scale: with N veth profiles up", "ms")
    for what in (UP, LAUNCH, LIST, ANSWER, DOWN, SCRIPT, PYTHON_ALONE):
        for step, series in taken.items():
            report.series.append(Series(f"{what}, N = {step}", series[what].values))
    first, last = min(taken), max(taken)
    if last > first:
        for what, toward in ((UP, None), (LAUNCH, 1.3)):
            grown = taken[last][what].median / taken[first][what].median
            report.goals.append(Goal(f"{what}: N = {last} / N = {first}", grown, "x", 1.5, toward))
        for what in (DOWN, SCRIPT, PYTHON_ALONE):
            grown = taken[last][what].median / taken[first][what].median
            report.notes.append(f"{what}: N = {last} / N = {first}: {grown:.2f}x")
    report.goals.append(Goal(f"{LIST}, N = {last}", taken[last][LIST].median, " ms", 100))
    report.goals.append(Goal(f"{ANSWER}, N = {last}", taken[last][ANSWER].median, " ms", 100, 20))
    return report
