# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjaild --cleanup`."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_engine import FakeAdopted, FakeRooms

from netjail import names
from netjail.daemon import cleanup


class Engine:
    """As the real one: gives what stands, and what it could not undo."""

    def __init__(self) -> None:
        self.found = [FakeAdopted("vpn")]
        self.started = 0

    def start(self) -> list[FakeAdopted]:
        self.started += 1
        return self.found


class Rooms(FakeRooms):
    def __init__(self) -> None:
        super().__init__()
        self.engine = Engine()  # type: ignore[assignment]
        self.something = True

    def standing(self) -> bool:
        return self.something


@pytest.fixture
def run_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # not tmp_path: a socket's path has at most 107 bytes
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory)
        monkeypatch.setattr(names, "RUN_DIR", str(run))
        monkeypatch.setattr(names, "HELPER_LOCK", str(run / "helper.lock"))
        monkeypatch.setattr(names, "JAILS_DIR", str(run / "jails"))
        monkeypatch.setattr(names, "VIEW_DIR", str(run / "view"))
        (run / "jails").mkdir()
        (run / "view").mkdir()
        yield run


def run(rooms: Rooms, directory: Path) -> int:
    return cleanup.run(rooms, str(directory / "socket"))


def listener(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    return sock


def test_what_is_up_stays(run_dir: Path) -> None:
    (run_dir / "jails" / "vpn").mkdir()
    rooms = Rooms()
    assert run(rooms, run_dir) == 0
    assert rooms.engine.started == 1
    assert (run_dir / "jails" / "vpn").is_dir()


def test_nothing_there_needs_no_engine(run_dir: Path) -> None:
    rooms = Rooms()
    rooms.something = False
    assert run(rooms, run_dir) == 0
    assert rooms.engine.started == 0
    assert sorted(os.listdir(run_dir)) == ["helper.lock"]


def test_says_what_it_could_not_undo(run_dir: Path) -> None:
    rooms = Rooms()
    rooms.engine.found.append(FakeAdopted("lab", "stuck", "could not be undone"))
    assert run(rooms, run_dir) == 1


def test_a_running_helper_is_left_alone(run_dir: Path) -> None:
    with open(run_dir / "helper.lock", "w") as held, listener(run_dir / "socket"):
        fcntl.flock(held, fcntl.LOCK_EX)
        rooms = Rooms()
        assert run(rooms, run_dir) == 0
        assert rooms.engine.started == 0
        assert (run_dir / "socket").exists()


def test_dead_socket_goes(run_dir: Path) -> None:
    listener(run_dir / "socket").close()
    run(Rooms(), run_dir)
    assert not (run_dir / "socket").exists()


def test_served_socket_and_other_files_stay(run_dir: Path) -> None:
    with listener(run_dir / "socket") as sock:
        sock.listen()
        run(Rooms(), run_dir)
        assert (run_dir / "socket").exists()
    (run_dir / "socket").unlink()
    (run_dir / "socket").write_text("not a socket")
    run(Rooms(), run_dir)
    assert (run_dir / "socket").exists()


def test_never_ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(names, "RUN_DIR", str(tmp_path / "none"))
    assert cleanup.run(Rooms(), str(tmp_path / "socket")) == 0
    assert not (tmp_path / "none").exists()
