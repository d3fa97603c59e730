#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many profiles on one switch, each with a lease of its DHCP server: how long each of them takes.

    sudo tests/bench/switch_dhcp.py [PROFILES] [bridge|openvswitch]     200 on a bridge by default

In a throw-away host. Fails unless all hold leases, no two the same, and nothing is left at the end.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))

from hostbox import Host, Hosts, wait_until

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


def measure(host: Host, count: int, engine: str) -> dict[str, float]:
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


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    engine = sys.argv[2] if len(sys.argv) > 2 else "bridge"
    hosts = Hosts()
    try:
        with hosts.lend() as host:
            seconds = measure(host, count, engine)
            host.run("rm", "-rf", "/etc/netjail/profiles", "/etc/netjail/switches")
            host.clean()
    finally:
        hosts.close()
    for part, taken in seconds.items():
        print(f"{part:12} {taken:7.2f} s {taken / count * 1000:8.1f} ms a profile")
    return 0


if __name__ == "__main__":
    sys.exit(main())
