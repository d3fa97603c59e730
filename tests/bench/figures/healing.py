# SPDX-License-Identifier: GPL-3.0-or-later
"""A day of a laptop (tests/netns/day.py): the longest time for which programs inside had no answer,
event by event. The outages themselves are in it, and what TCP waits before it tries again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness import Report, Series

ROOT = Path(__file__).resolve().parents[3]


def measure(options: argparse.Namespace) -> list[Report]:
    del options
    sys.path.insert(0, str(ROOT))
    from netjail.demo.stage import Stage
    from netjail.errors import NetjailError
    from tests.netns import day
    from tests.netns.conftest import Netjail

    report = Report("healing: longest gap of a TCP connection and of a loop of curl, by event", "s")
    after = Report("healing: once the network is good again, until ...", "s")
    try:
        with Stage(endpoint="both") as stage:
            stage.add_home_uplink()
            stage.home.ip("link set wan1 down")
            gaps = day.live(stage, Netjail(stage)).gaps
    except NetjailError as error:
        report.skipped.append(str(error))
        return [report]
    report.series = [Series(event, (gap.longest,)) for event, gap in gaps.items()]
    for event, gap in gaps.items():
        after.series.append(Series(f"a new connection, after {event}", (gap.heard,)))
        after.series.append(Series(f"the open one, after {event}", (gap.resumed,)))
    longest = max(gaps, key=lambda event: gaps[event].longest)
    report.notes = [
        f"the longest gap of the day: {gaps[longest].longest:.1f} s, {longest}",
        *(f"in it, the outage itself: {gap.outage:.1f} s, {each}" for each, gap in gaps.items()),
    ]
    after.notes = [
        "an open connection waits besides for TCP's next attempt, after an outage as long again"
    ]
    return [report, after]
