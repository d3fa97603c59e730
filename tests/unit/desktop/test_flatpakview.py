# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a flatpak sees, and which commands get them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netjail.desktop import flatpakview


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    made = tmp_path / "etc"
    made.mkdir()
    (made / "resolv.conf").write_text("nameserver 10.9.8.7\n")
    return made


def test_the_jails_files_stand_over_the_hosts(tmp_path: Path, etc: Path) -> None:
    above = tmp_path / "monitor"
    above.mkdir()
    (above / "resolv.conf").write_text("nameserver 192.0.2.53\n")
    (above / "hosts").write_text("127.0.0.1 host\n")
    (above / "timezone").write_text("Europe/Berlin\n")
    found = flatpakview.files(str(above), str(etc))
    assert found == {"resolv.conf": b"nameserver 10.9.8.7\n", "timezone": b"Europe/Berlin\n"}, (
        "what the jail does not have, the flatpak does not get from the host"
    )


def test_where_nobody_has_asked_for_the_directory_yet(tmp_path: Path, etc: Path) -> None:
    zone = tmp_path / "zoneinfo/Asia/Tokyo"
    zone.parent.mkdir(parents=True)
    zone.write_bytes(b"TZif")
    (etc / "localtime").symlink_to(zone)
    found = flatpakview.files(str(tmp_path / "none"), str(etc))
    assert found["localtime"] == b"TZif"
    assert found["timezone"] == b"Asia/Tokyo\n"


def test_what_stands_in_front_is_seen_through() -> None:
    argv = ["flatpak", "run", "org.example.App"]
    assert flatpakview.behind(flatpakview.command(argv)) == argv
    assert flatpakview.behind(argv) == argv
    assert flatpakview.behind(["sh", "-I"]) == ["sh", "-I"]


def test_a_directory_among_the_helpers_files_is_passed_over(tmp_path: Path, etc: Path) -> None:
    (tmp_path / "monitor/more").mkdir(parents=True)
    assert set(flatpakview.files(str(tmp_path / "monitor"), str(etc))) == {
        "resolv.conf",
        "timezone",
    }


_HALF = """
import sys
from netjail.desktop import flatpakview
def refuse(path, data):
    raise PermissionError(1, "Operation not permitted", path)
flatpakview._write = refuse
sys.exit(flatpakview.main(["id", "-u"]))
"""


def test_where_the_system_stops_it_half_way_flatpak_is_still_started_as_the_user(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HALF],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{os.getuid()}\n"
    assert "sees the host's resolv.conf, not the profile's" in done.stderr
