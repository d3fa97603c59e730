# SPDX-License-Identifier: GPL-3.0-or-later
"""`up --all` and `down --all` of 200 profiles on one switch, against a script."""

from __future__ import annotations

import argparse
import subprocess

from harness import Report, interleave, timed
from host import Host, before, whole

PIDS = False
ROUNDS = 4
COUNT = 200
_PROFILE = """version = 1
[uplink]
kind = "none"
[[link]]
switch = "lab"
address = "10.20.0.{}/24"
"""
_UP = f"""
ip netns add handsw
ip -n handsw link add lab type bridge
ip -n handsw link set lab up
for n in $(seq {COUNT}); do
    ip netns add hand$n
    ip -n handsw link add p$n type veth peer name lab netns hand$n
    ip -n handsw link set p$n master lab up
    ip -n hand$n link set lo up
    ip -n hand$n addr add 10.20.0.$n/24 dev lab
    ip -n hand$n link set lab up
done
"""
_DOWN = f"for n in $(seq {COUNT}); do ip netns del hand$n; done; ip netns del handsw"


def measure(options: argparse.Namespace) -> list[Report]:
    up = Report(f"switch_many: `up --all` of {COUNT} profiles on one switch", "ms")
    down = Report(f"switch_many: `down --all` of {COUNT} profiles on one switch", "ms")
    host = Host()
    rounds = options.rounds or ROUNDS
    try:
        with host.client() as client:
            client.call("switch.add", {"name": "lab", "text": "version = 1\n", "replace": True})
            for number in range(1, COUNT + 1):
                host.add(client, f"p{number}", _PROFILE.format(number))

            def ours_down() -> None:
                client.call("down", {"profiles": None})
                host.settle()

            ours_up = whole("up", "--all", "--wait", "0")
            taken = interleave(
                {
                    "netjail: whole command": before(ours_up, ours_down),
                    "script": before(lambda: timed(lambda: _sh(_UP)), lambda: _sh(_DOWN)),
                },
                rounds,
                warm=1,
            )
            up.series = list(taken.values())
            each = {name: series.median / COUNT for name, series in taken.items()}
            up.notes = [f"{name}: {value:.2f} ms for each profile" for name, value in each.items()]
            taken = interleave(
                {
                    "netjail: whole command": before(whole("down", "--all"), ours_up),
                    "script": before(lambda: timed(lambda: _sh(_DOWN)), lambda: _sh(_UP)),
                },
                rounds,
                warm=1,
            )
            down.series = list(taken.values())
    finally:
        host.close()
    return [up, down]


def _sh(script: str) -> None:
    subprocess.run(["sh", "-c", script], check=False, stderr=subprocess.DEVNULL)
