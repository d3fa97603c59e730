# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail run` of /bin/true in a jail that is up, as a user."""

from __future__ import annotations

import argparse

from harness import Contender, Goal, Report, command, interleave, ratio
from host import ENV, LAUNCHER, PYTHON, Host, installed

PIDS = False
ROUNDS = 60
USER = "nobody"
NETNS = "netjail-lab"
OURS = "netjail run -u nobody"
SUDO = "sudo ip netns exec, sudo -u nobody"
FIREJAIL = "firejail --noprofile --netns"


def measure(options: argparse.Namespace) -> list[Report]:
    host = Host()
    try:
        with host.client() as client:
            host.add(client, "lab")
            client.call("up", {"profile": "lab"})
        return [_report(options.rounds or ROUNDS)]
    finally:
        host.close()


def _report(rounds: int) -> Report:
    report = Report("launch: /bin/true in a jail that is up, as a user", "ms")
    true = "/bin/true"
    sudo, ip, firejail = installed("sudo"), installed("ip"), installed("firejail")
    assert ip is not None
    contenders: dict[str, Contender] = {
        OURS: command([LAUNCHER, "run", "-u", USER, "lab", "--", true]),
        "netjail run (SUDO_UID of nobody)": command(
            [LAUNCHER, "run", "lab", true], {**ENV, "SUDO_UID": "65534", "SUDO_USER": USER}
        ),
        "netjail run -u root": command([LAUNCHER, "run", "-u", "root", "lab", true]),
        "ip netns exec, as root": command([ip, "netns", "exec", NETNS, true]),
        "python3 -I -S -c pass": command([PYTHON, "-I", "-S", "-c", "pass"]),
        "/bin/true alone": command([true]),
    }
    if sudo is not None:
        inner = [sudo, "-u", USER, true]
        contenders[SUDO] = command([sudo, ip, "netns", "exec", NETNS, *inner])
        contenders["sudo netjail run -u nobody"] = command(
            [sudo, LAUNCHER, "run", "-u", USER, "lab", true]
        )
    else:
        report.skipped.append("sudo: not installed")
    if firejail is not None:
        # to nobody as well, as firejail would run for a user: it is setuid root
        contenders[FIREJAIL] = command(
            [firejail, "--quiet", "--noprofile", f"--netns={NETNS}", true]
        )
    else:
        report.skipped.append("firejail: not installed")
    series = interleave(contenders, rounds)
    report.series = sorted(series.values(), key=lambda each: each.median)
    if sudo is not None:
        report.goals.append(
            Goal("netjail / the sudo line", ratio(series, OURS, SUDO), "x", 1, 0.85)
        )
    if firejail is not None:
        report.goals.append(
            Goal("netjail / firejail", ratio(series, OURS, FIREJAIL), "x", 0.5, 0.45)
        )
    bare = ratio(series, OURS, "python3 -I -S -c pass")
    report.notes.append(f"netjail / python3 -I -S alone: {bare:.2f}x")
    return report
