# SPDX-License-Identifier: GPL-3.0-or-later
"""The fork that the spawner makes by itself, under each Python there is: what the interpreter has
to be told around a fork differs among them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = """
import gc, os, sys, threading
sys.path.insert(0, sys.argv[1])
from netjail.launch import processes
processes._CLONE_INTO_CGROUP = 0  # the test may have no cgroup to be born in
gc.set_threshold(1)
for _ in range(20):
    pid = processes.fork_into(0)
    if pid == 0:
        import json
        os._exit(7 if json.loads("[]") == [] else 1)
    status = os.waitpid(pid, 0)[1]
    assert status == 7 << 8, status
processes._CLONE_INTO_CGROUP = 0x200000000
try:
    processes.fork_into(os.open("/", os.O_PATH))
except OSError as error:
    assert error.errno, error
else:
    raise AssertionError("born in no cgroup")
thread = threading.Thread(target=print, args=("well",))
thread.start()
thread.join()
"""
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")


@pytest.mark.parametrize("python", [sys.executable, *PYTHONS])
def test_fork(python: str) -> None:
    argv = [python, "-I", "-B", "-c", SCRIPT, str(ROOT)]
    # A name on the PATH may be a version manager's, with nothing behind it.
    version = [python, "--version"]
    if shutil.which(python) is None or subprocess.run(version, capture_output=True).returncode:
        pytest.skip(f"no {python} here")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stdout == "well\n", done.stderr
