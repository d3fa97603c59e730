# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program is: as it says itself, and as /proc shows it to root."""

from __future__ import annotations

import os
from pathlib import Path

from guest import sh

WHO = """
import json, os
status = {k: v.strip() for k, _, v in (x.partition(":") for x in open("/proc/self/status"))}
print(json.dumps({
    "uids": status["Uid"], "gids": status["Gid"],
    "groups": sorted(map(int, status["Groups"].split())),
    "caps": [status[x] for x in ("CapInh", "CapPrm", "CapEff", "CapAmb")],
    "cgroup": open("/proc/self/cgroup").read(), "cwd": os.getcwd(),
    "home": os.environ.get("HOME"), "user": os.environ.get("USER"),
    "session": open("/proc/self/sessionid").read(), "net": os.readlink("/proc/self/ns/net"),
}))
"""
"""A Python program that says as JSON what it is."""

LISTS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
FLAGS = ("Umask", "NoNewPrivs", "Seccomp", "SigBlk", "SigIgn")
TEXTS = ("cgroup", "limits", "loginuid", "oom_score_adj", "coredump_filter")
"""Without sessionid, the audit system's: whoever sets a login uid gets a new one from the
kernel, and nobody can choose it."""
SHARED = ("user", "pid", "ipc", "uts", "cgroup", "time")


def seen_in_proc(pid: int) -> dict[str, object]:
    """What /proc/PID tells that should be the same for a program in a jail and one outside."""
    place = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
    seen: dict[str, object] = {key: status[key].split() for key in (*LISTS, *FLAGS)}
    seen |= {key: (place / key).read_text() for key in TEXTS}
    seen |= {f"ns/{kind}": os.readlink(place / "ns" / kind) for kind in SHARED}
    # pam_systemd (since 254) lets whoever sits at a machine set its alarm clock: not handed down.
    seen["CapInh"] = []
    seen["cwd"], seen["root"] = os.readlink(place / "cwd"), os.readlink(place / "root")
    environment = (place / "environ").read_bytes().decode(errors="replace").split("\0")
    seen["environ"] = sorted(each for each in environment if not each.startswith(("_=", "SHLVL=")))
    seen["owner"] = [os.stat(place / name).st_uid for name in ("environ", "fd", "mem")]
    seen["scheduling"] = [os.getpriority(os.PRIO_PROCESS, pid), os.sched_getscheduler(pid)]
    seen["cpus"] = sorted(os.sched_getaffinity(pid))
    return seen


def session(pid: int) -> str:
    """logind's session of a process."""
    login = ["org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"]
    return sh(["busctl", "call", *login, "GetSessionByPID", "u", str(pid)]).text


def descriptors(pid: int) -> dict[int, str]:
    """Number and target of each open file."""
    place = Path(f"/proc/{pid}/fd")
    return {int(name): os.readlink(place / name) for name in os.listdir(place)}
