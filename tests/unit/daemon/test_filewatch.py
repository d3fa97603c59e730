# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that others write to: heard of, whoever writes and however much."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from netjail.daemon import filewatch
from netjail.daemon.filewatch import FileWatch
from netjail.daemon.loop import Loop


def test_what_is_written_is_told_with_its_group(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_text("a")
    loop, told = Loop(), list[str]()
    watch = FileWatch(loop, told.append)
    watch.add("vpn", [str(file)])
    file.write_text("b")
    loop.dispatch(20_000)
    assert told == ["vpn"]
    watch.drop("vpn")
    file.write_text("c")
    loop.dispatch(0)
    assert told == ["vpn"]


def test_who_writes_without_a_pause_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "state"
    file.write_text("a")
    loop, told = Loop(), list[str]()
    FileWatch(loop, told.append).add("vpn", [str(file)])
    real, end = os.read, time.monotonic() + 20

    def read(fd: int, size: int) -> bytes:
        data = real(fd, size)
        assert time.monotonic() < end, "it reads on for ever"
        file.write_text("again")
        return data

    monkeypatch.setattr(filewatch.os, "read", read)
    file.write_text("b")
    for turn in range(1, 4):
        loop.dispatch(20_000)
        assert told == ["vpn"] * turn
