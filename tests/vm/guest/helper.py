# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper, looked at from outside: its process, by the lock it holds."""

from __future__ import annotations

import os
from pathlib import Path


def helper_pid() -> int:
    """The process that holds the helper's lock. Raises AssertionError if there is none."""
    assert os.path.exists("/run/netjail/helper.lock"), "no helper has run"
    inode = os.stat("/run/netjail/helper.lock").st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1] == "FLOCK" and words[3] == "WRITE" and int(words[5].split(":")[-1]) == inode:
            return int(words[4])
    raise AssertionError("no helper runs")


def helper_runs() -> bool:
    try:
        return helper_pid() > 0
    except AssertionError:
        return False
