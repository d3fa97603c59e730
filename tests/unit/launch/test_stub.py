# SPDX-License-Identifier: GPL-3.0-or-later
"""The launcher that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netjail.launch import stub

REPO = Path(__file__).resolve().parents[3]


def write(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_it_runs(tmp_path: Path) -> None:
    launcher = write(tmp_path / "netjail", stub.render(sys.executable, str(REPO), ["/x'y"]))
    done = subprocess.run([launcher, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("netjail ")
    env = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nonexistent"}
    subprocess.run([launcher, "--version"], env=env, check=True, capture_output=True)


@pytest.mark.parametrize("name", ["with space", "it's", "long" * 30, 'quo"te', "dol$lar"])
def test_interpreters_that_a_first_line_cannot_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    python = tmp_path / name / "python3"
    python.symlink_to(os.path.realpath(sys.executable))
    launcher = write(tmp_path / "netjail", stub.render(str(python), str(REPO)))
    done = subprocess.run([launcher, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("netjail ")


def test_another_entry() -> None:
    text = stub.render("/usr/bin/python3", "/opt/netjail", entry="netjail.daemon.__main__:main")
    assert text.startswith("#!/usr/bin/python3 -IS\n")
    assert "from netjail.daemon.__main__ import main\n" in text
    compile(text, "stub", "exec")


def test_the_package_directory_does_not_shadow_the_standard_library(tmp_path: Path) -> None:
    for name in ("json.py", "_ctypes.py", "fcntl.py"):
        (tmp_path / name).write_text("raise SystemExit('shadowed')\n")
    (tmp_path / "netjail").symlink_to(REPO / "netjail")
    launcher = write(tmp_path / "launcher", stub.render(sys.executable, str(tmp_path)))
    subprocess.run([launcher, "--version"], capture_output=True, check=True)
