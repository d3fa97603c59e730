# SPDX-License-Identifier: GPL-3.0-or-later
"""In the machine: runs the suites of the job, one after the other, then switches it off.

A suite is a script. It writes TAP to its results file (guest.py does) and may ask for a reboot by
ending with status REBOOT: after it, the suite is started again with the next phase in
NETJAIL_PHASE. What must outlast a reboot stands in STATE, on the machine's disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

RESULTS = Path("/mnt/results")
TESTS = Path("/mnt/tests")
STATE = Path("/var/lib/netjail-tests/state.json")
GOING = Path("/run/netjail-tests/going")
"""There from the moment the machine goes off, or boots again, because the runner wants it to."""
REBOOT = 75
SUITE_SECONDS = 1200


def main() -> None:
    job = json.loads((RESULTS / "job.json").read_text())
    if job["shell"]:
        subprocess.run(["systemctl", "start", "serial-getty@ttyS0.service"], check=False)
        return
    state = json.loads(STATE.read_text()) if STATE.exists() else {"at": 0, "phase": 0}
    booted = subprocess.run(
        ["systemctl", "is-system-running", "--wait"], capture_output=True, text=True, check=False
    )
    print(f"runner: system {booted.stdout.strip()} after {time.monotonic():.1f} s", flush=True)
    while state["at"] < len(job["suites"]):
        suite = job["suites"][state["at"]]
        code = run_suite(suite, state["phase"])
        if code == REBOOT:
            state["phase"] += 1
            finish(state, f"{suite}-{state['phase']}.journal.txt", ["systemctl", "reboot"])
            return
        state = {"at": state["at"] + 1, "phase": 0}
    (RESULTS / "done").touch()
    finish(state, "journal.txt", ["systemctl", "poweroff", "-ff"])


def run_suite(suite: str, phase: int) -> int:
    env = {**os.environ, "NETJAIL_SUITE": suite, "NETJAIL_PHASE": str(phase)}
    env |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    env |= {"PYTHONPATH": str(TESTS)}
    with (RESULTS / f"{suite}.log").open("a") as log:
        try:
            return subprocess.run(
                [sys.executable, "-B", str(TESTS / f"suites/{suite}.py")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=env,
                timeout=SUITE_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            print(f"runner: ended after {SUITE_SECONDS} s", file=log)
            return 1


def finish(state: dict[str, int], journal: str, last: list[str]) -> None:
    """Leave the journal for the host and go off, or boot again."""
    STATE.write_text(json.dumps(state))
    with (RESULTS / "boot.txt").open("w") as out:
        subprocess.run(["systemd-analyze", "--no-pager", "blame"], stdout=out, check=False)
    with (RESULTS / journal).open("w") as out:
        subprocess.run(
            ["journalctl", "-b", "--no-pager", "-o", "short-monotonic"], stdout=out, check=False
        )
    GOING.touch()
    subprocess.run(["sync"], check=False)
    subprocess.run(last, check=False)


if __name__ == "__main__":
    main()
