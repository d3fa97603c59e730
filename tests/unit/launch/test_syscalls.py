# SPDX-License-Identifier: GPL-3.0-or-later
"""The system calls, under every Python that is at hand: `_ctypes` is nobody's public interface."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from netjail.launch import syscalls

REPO = Path(__file__).resolve().parents[3]
SLOW = {"os", "json", "argparse", "ctypes", "socket", "_socket", "re", "typing", "enum", "signal"}


def pythons() -> list[str]:
    """One interpreter of each version from 3.11 on, of those that are installed."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for minor in range(11, 16):
        version = f"3.{minor}"
        pattern = os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python{version}")
        candidates = [shutil.which(f"python{version}", path="/usr/bin:/usr/local/bin")]
        for path in [*candidates, *sorted(glob.glob(pattern))]:
            if path is not None:
                found.setdefault(version, path)
    return list(found.values())


SCRIPT = """
import sys
sys.path.insert(0, sys.argv.pop())
from netjail.launch import syscalls as s
assert s.is_mount_point("/proc") and not s.is_mount_point("/usr/bin/env")
assert not s.is_mount_point("/nonexistent")
assert len(s.capabilities()) == 3
for call, number in (
    (lambda: s.mount("x", "/nonexistent", "tmpfs", 1 << 31 | 1, None), 2),
    (lambda: s.mount(None, "", None, 0, ""), 2),
    (lambda: s.umount2("/nonexistent", s.MNT_DETACH), 2),
    (lambda: s.setns(-1, s.CLONE_NEWNET), 9),
    (lambda: s.unshare(-1), 22),
    (lambda: s.open_tree("/nonexistent"), 2),
    (lambda: s.move_mount(-1, "/"), 9),
):
    try:
        call()
    except OSError as error:
        assert error.errno in (number, 1), error  # EPERM where we are not root
    else:
        raise AssertionError("no error")
s.drop_capabilities()
assert s.capabilities() == (0, 0, 0)
print(*sorted(sys.modules))
"""


@pytest.mark.parametrize("python", pythons())
def test_under_this_python(python: str) -> None:
    done = subprocess.run(
        [python, "-IS", "-c", SCRIPT, str(REPO)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not SLOW & set(done.stdout.split())


@pytest.mark.parametrize("python", pythons())
def test_what_the_short_way_imports(python: str) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop());"
        "import netjail.main, netjail.launch.enter; print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [python, "-IS", "-c", code, str(REPO)], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not SLOW & loaded
    assert {name for name in loaded if name.startswith("netjail")} == {
        "netjail",
        "netjail.main",
        "netjail.names",
        "netjail.launch",
        "netjail.launch.enter",
        "netjail.launch.identity",
        "netjail.launch.syscalls",
    }


def test_errors_name_the_path() -> None:
    with pytest.raises(OSError, match="nonexistent") as caught:
        syscalls.open_tree("/nonexistent/ü")
    assert caught.value.filename == "/nonexistent/ü"


def test_no_null_bytes() -> None:
    with pytest.raises(ValueError, match="null"):
        syscalls.umount2("/a\0b", 0)


def test_a_relative_or_odd_path_is_a_mount_point_or_not() -> None:
    assert not syscalls.is_mount_point("")
    assert not syscalls.is_mount_point("\udcff")
