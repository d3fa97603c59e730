# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail _complete`: who is told which names, and that nobody waits for it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from netjail import main, names
from netjail.cli import complete

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture
def run_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory)
        monkeypatch.setattr(names, "SOCKET", str(run / "socket"))
        monkeypatch.setattr(names, "VIEW_DIR", str(run / "view"))
        monkeypatch.setattr(names, "PROFILE_DIR", str(run / "profiles"))
        monkeypatch.setattr(names, "SWITCH_DIR", str(run / "switches"))
        (run / "view" / "up-now").mkdir(parents=True)
        (run / "profiles").mkdir()
        for name in ("vpn.toml", "lab.toml", ".vpn.toml.new", "notes.txt", "Bad Name.toml"):
            (run / "profiles" / name).write_text("")
        yield run


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete.posix, "geteuid", lambda: 1000)


@contextlib.contextmanager
def helper(run: Path, *answers: bytes, linger: float = 0) -> Iterator[list[bytes]]:
    """Answers one request with these pieces."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(run / "socket"))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                asked.append(connection.recv(4096))
                for answer in answers:
                    connection.sendall(answer)
                time.sleep(linger)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(5)


def test_root_reads_the_disk(run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(complete.posix, "geteuid", lambda: 0)
    assert main.main(["_complete", "profiles"]) == 0
    assert capsys.readouterr().out == "lab\nvpn\n"


@pytest.mark.usefixtures("user")
def test_user_asks_a_helper_that_runs(run_dir: Path) -> None:
    result = {"profiles": [{"name": "vpn"}, {"name": "lab"}]}
    answer = json.dumps({"id": 1, "result": result}).encode() + b"\n"
    with helper(run_dir, b'{"id":1,"progress":"x"}\n', answer[:9], answer[9:]) as asked:
        assert complete.profiles() == ["lab", "vpn"]
    assert json.loads(asked[0])["method"] == "list"


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize(
    "answer",
    [b'{"id":1,"error":{"code":"not-authorised"}}\n', b"garbage\n", b'{"id":1,"result":3}\n', b""],
)
def test_user_without_an_answer_sees_what_is_up(run_dir: Path, answer: bytes) -> None:
    with helper(run_dir, answer):
        assert complete.profiles() == ["up-now"]


@pytest.mark.usefixtures("user")
def test_user_without_a_helper_starts_none(run_dir: Path) -> None:
    assert complete.profiles() == ["up-now"]
    (run_dir / "view" / "up-now").rmdir()
    (run_dir / "view").rmdir()
    assert complete.profiles() == []


@pytest.mark.usefixtures("user")
def test_slow_helper_is_not_waited_for(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complete, "ANSWER_SECONDS", 0.1)
    with helper(run_dir, linger=1):
        begin = time.monotonic()
        assert complete.profiles() == ["up-now"]
        assert time.monotonic() - begin < 0.8


def test_root_reads_switches_from_the_disk(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(complete.posix, "geteuid", lambda: 0)
    assert main.main(["_complete", "switches"]) == 0
    (run_dir / "switches").mkdir()
    for name in ("lab.toml", ".lab.toml.new"):
        (run_dir / "switches" / name).write_text("")
    assert main.main(["_complete", "switches"]) == 0
    assert capsys.readouterr().out == "lab\n"


@pytest.mark.usefixtures("user")
def test_user_asks_a_helper_for_switches(run_dir: Path) -> None:
    assert complete.switches() == []
    answer = json.dumps({"id": 1, "result": {"switches": [{"name": "lab"}]}}).encode() + b"\n"
    with helper(run_dir, answer) as asked:
        assert complete.switches() == ["lab"]
    assert json.loads(asked[0])["method"] == "switch.list"


def test_other_words(capsys) -> None:
    assert main.main(["_complete"]) == 2
    assert main.main(["_complete", "secrets"]) == 2
    assert capsys.readouterr() == ("", "")


def test_imports_little() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from netjail import main;"
        "main.main(['_complete', 'profiles']); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-ISc", code, str(REPO)], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.splitlines()[-1].split()
    assert "netjail.cli.complete" in loaded
    assert not {"site", "argparse", "re", "netjail.cli.app", "netjail.client"} & set(loaded)
    if os.geteuid() == 0:
        assert not {"json", "socket"} & set(loaded)
