#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many profiles on one switch, each with a lease of its DHCP server: how long each of them takes.

    sudo tests/bench/switch_dhcp.py [PROFILES] [bridge|openvswitch]     200 on a bridge by default

In a throw-away host. Clients are udhcpc, started in every profile at the same time; fails unless
all hold leases, no two the same, and nothing is left at the end.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))

from hostbox import Host, Hosts

LAB = '[dhcp]\nrange = "10.77.0.10-10.77.7.250"\naddress = "10.77.0.1/21"\n'
CLIENT = "udhcpc -i eth0 -n -q -t 10 -T 2 -x hostname:{name} -s /bin/true"
PROFILE = 'version = 1\n[uplink]\nkind = "none"\n[[link]]\nswitch = "lab"\nname = "eth0"\n'


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


def ask(host: Host, name: str) -> None:
    """A lease for one of them, its client without the command line of netjail around it."""
    said = host.run(
        "ip", "netns", "exec", f"netjail-{name}", *CLIENT.format(name=name).split(), timeout=120
    )
    assert said.status == 0, said


def measure(host: Host, count: int, engine: str) -> dict[str, float]:
    """Seconds of each part. Raises AssertionError where one has no lease, or something is left."""
    names = members(host, count, engine)
    seconds = {}
    began = time.monotonic()
    host.netjail("up", "--all", timeout=600).ok()
    seconds["up --all"] = time.monotonic() - began
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: ask(host, name), names))
    seconds["leases"] = time.monotonic() - began
    said = host.netjail("switch", "status", "--json", "lab").ok()
    leases = said.json()["switches"][0]["leases"]
    assert {lease["name"] for lease in leases} == set(names), f"{len(leases)} leases"
    assert len({lease["address"] for lease in leases}) == count
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
