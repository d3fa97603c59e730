#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmarks: every line of DESIGN section 9, as ratios against what people use today.

    sudo tests/bench/run.py                      all, about ten minutes
    sudo tests/bench/run.py launch up            some
    sudo tests/bench/run.py scale --max 100      without the long tail
    sudo tests/bench/run.py --json launch        one JSON object a report

They print, they never assert: a busy machine is no bug. Nothing of the machine is touched; each
figure gets a throw-away host in namespaces of its own.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
import time

import host
from figures import FIGURES
from harness import Report


def main() -> int:
    options = _parser().parse_args()
    unknown = [name for name in options.names if name not in FIGURES]
    if unknown:
        print(f"no figure {unknown[0]}; there are: {', '.join(FIGURES)}", file=sys.stderr)
        return 2
    if options.inside:
        return _inside(options)
    problem = host.missing()
    if problem is not None:
        print(problem, file=sys.stderr)
        return 1
    if not options.json:
        print(f"{time.strftime('%Y-%m-%d')}, kernel {platform.release()}, {os.cpu_count()} CPUs")
    failed = 0
    for name in options.names or FIGURES:
        pids = getattr(importlib.import_module(f"figures.{name}"), "PIDS", True)
        words = [os.path.abspath(__file__), "--inside", *_passed_on(options), name]
        _calm()
        failed |= subprocess.run(host.argv(words, pids=pids), check=False).returncode
    return 1 if failed else 0


def _inside(options: argparse.Namespace) -> int:
    reports: list[Report] = importlib.import_module(f"figures.{options.names[0]}").measure(options)
    for report in reports:
        if options.json:
            print(report.as_json())
        else:
            report.print()
    sys.stdout.flush()
    return 0


def _calm() -> None:
    """Wait until the kernel has cleared up behind the figure before: up to 30 s."""
    end = time.monotonic() + 30
    last = -1
    while (now := _namespaces()) != last and time.monotonic() < end:
        last = now
        time.sleep(1.5)


def _namespaces() -> int:
    """Network namespaces in memory, as far as the kernel tells."""
    try:
        with open("/proc/slabinfo", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("net_namespace"))
    except (OSError, StopIteration):
        return -1


def _passed_on(options: argparse.Namespace) -> list[str]:
    words = ["--max", str(options.max)]
    if options.rounds:
        words += ["--rounds", str(options.rounds)]
    return [*words, "--json"] if options.json else words


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Benchmarks of netjail; see docs/benchmarks.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--rounds", type=int, metavar="N", help="instead of each figure's own")
    parser.add_argument("--max", type=int, default=1000, metavar="N", help="largest scale (1000)")
    parser.add_argument("--json", action="store_true", help="one JSON object a report")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
