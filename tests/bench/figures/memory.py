# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory per idle veth jail: what the kernel has left, and what the helper has grown by."""

from __future__ import annotations

import argparse
import time

from harness import Goal, Report, Series, said
from host import Host

COUNTS = (100, 1000)


def measure(options: argparse.Namespace) -> list[Report]:
    host = Host()
    report = Report("memory: for each idle veth jail", "MB")
    try:
        with host.client() as client:
            for number in range(2):  # what comes with the first one only
                host.add(client, f"first{number}")
                client.call("up", {"profile": f"first{number}"})
            for number in range(min(options.max, COUNTS[-1])):
                host.add(client, f"p{number}")
            before = _look(host.helper)
            up = 0
            for count in [count for count in COUNTS if count <= options.max]:
                said([f"bringing up {count - up}, to {count} in all"])
                for number in range(up, count):
                    client.call("up", {"profile": f"p{number}"})
                up = count
                now = _look(host.helper)
                each = {key: (now[key] - before[key]) / count / 1024 for key in now}
                for key, value in each.items():
                    report.series.append(Series(f"{key}, N = {count}", (value,)))
                total = each["all told (MemAvailable)"]
                report.goals.append(Goal(f"all told, N = {count}", total, " MB", 1, 0.6))
        report.notes.append(
            "from MemAvailable: others who use the machine shift it, at 100 the most"
        )
        return [report]
    finally:
        host.close()


def _look(helper: int) -> dict[str, int]:
    """In KiB."""
    time.sleep(3)
    info = _fields("/proc/meminfo")
    return {
        "all told (MemAvailable)": -info["MemAvailable"],
        "kernel: unreclaimable slab": info["SUnreclaim"],
        "kernel: reclaimable slab": info["SReclaimable"],
        "kernel: vmalloc, page tables, per CPU": (
            info["VmallocUsed"] + info["PageTables"] + info["Percpu"]
        ),
        "files on tmpfs (all of the machine's)": info["Shmem"],
        "helper: resident": _fields(f"/proc/{helper}/status")["VmRSS"],
    }


def _fields(path: str) -> dict[str, int]:
    with open(path, encoding="ascii") as file:
        split = (line.split() for line in file)
        return {words[0].rstrip(":"): int(words[1]) for words in split if words[-1] == "kB"}
