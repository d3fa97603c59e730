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

    report = Report("healing: longest gap of a TCP connection and of a loop of curl", "s")
    try:
        with Stage(endpoint="both") as stage:
            stage.add_home_uplink()
            stage.home.ip("link set wan1 down")
            gaps = day.live(stage, Netjail(stage)).gaps
    except NetjailError as error:
        report.skipped.append(str(error))
        return [report]
    report.series = [Series(event, (seconds,)) for event, seconds in gaps.items()]
    longest = max(gaps, key=lambda event: gaps[event])
    report.notes = [f"the longest gap of the day: {gaps[longest]:.1f} s, {longest}"]
    return [report]
