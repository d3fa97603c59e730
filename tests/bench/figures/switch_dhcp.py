# SPDX-License-Identifier: GPL-3.0-or-later
"""Many profiles on one switch, each with a lease of its DHCP server: how long each of them takes.

Not a comparison: the netns tests run `many` with fewer, for what it asserts. All hold leases, no
two the same, and nothing is left at the end.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from harness import Report, Series

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "netns"))

from hostbox import Host, Hosts, wait_until

PIDS = False
COUNT = 200
ROUNDS = 2
ENGINES = {"bridge": "udhcpc dnsmasq", "openvswitch": "udhcpc dnsmasq ovs-vswitchd"}
"""With the programs that each needs."""
LAB = '[dhcp]\nrange = "10.77.0.10-10.77.7.250"\naddress = "10.77.0.1/21"\n'
PROFILE = 'version = 1\n[uplink]\nkind = "none"\n[[link]]\nswitch = "lab"\naddress = "dhcp"\n'


def members(host: Host, count: int, engine: str) -> list[str]:
    """Store them; their names."""
    names = [f"n{number:03}" for number in range(count)]
    host.run("mkdir", "-p", "/run/lab/profiles", "/run/lab/switches")
    for name in names:
        host.write(f"/run/lab/profiles/{name}.toml", PROFILE)
    host.write("/run/lab/switches/lab.toml", f'version = 1\nengine = "{engine}"\n{LAB}')
    for kind, stored in (("profiles", names), ("switches", ["lab"])):
        host.run("mkdir", "-p", "-m", "700", f"/etc/netjail/{kind}")
        for name in stored:
            text = host.path(f"/run/lab/{kind}/{name}.toml").read_text()
            host.write(f"/etc/netjail/{kind}/{name}.toml", text)
    return names


def leases(host: Host) -> list[dict[str, object]]:
    said = host.netjail("switch", "status", "--json", "lab").ok()
    found: list[dict[str, object]] = said.json()["switches"][0]["leases"]
    return found


def many(host: Host, count: int, engine: str) -> dict[str, float]:
    """Seconds of each part. Raises AssertionError where one has no lease, or something is left."""
    members(host, count, engine)
    seconds = {}
    began = time.monotonic()
    host.netjail("up", "--all", timeout=600).ok()
    seconds["up --all"] = time.monotonic() - began
    began = time.monotonic()
    assert wait_until(lambda: len(leases(host)) == count, 120), f"{len(leases(host))} leases"
    seconds["then, leases"] = time.monotonic() - began
    given = leases(host)
    assert len({lease["address"] for lease in given}) == count
    began = time.monotonic()
    host.netjail("down", "--all", timeout=600).ok()
    seconds["down --all"] = time.monotonic() - began
    return seconds


def measure(options: argparse.Namespace) -> list[Report]:
    import shutil

    reports = []
    for engine, programs in ENGINES.items():
        report = Report(f"switch_dhcp: {COUNT} profiles with leases on one {engine} switch", "ms")
        reports.append(report)
        absent = [each for each in programs.split() if shutil.which(each) is None]
        if absent:
            report.skipped.append(f"{engine}: {', '.join(absent)} not installed")
            continue
        taken: dict[str, list[float]] = {}
        hosts = Hosts()
        try:
            for _ in range(options.rounds or ROUNDS):
                with hosts.lend() as host:
                    for part, seconds in many(host, COUNT, engine).items():
                        taken.setdefault(part, []).append(seconds * 1e3 / COUNT)
                    host.run("rm", "-rf", "/etc/netjail/profiles", "/etc/netjail/switches")
                    host.clean()
        finally:
            hosts.close()
        report.series = [Series(f"{part}, each", tuple(each)) for part, each in taken.items()]
    return reports
