# SPDX-License-Identifier: GPL-3.0-or-later
"""Which words take the short way, and what happens with the others."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netjail import main, names
from netjail.errors import NetjailError
from netjail.launch import enter, identity

REPO = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("words", "name", "argv", "user"),
    [
        (["vpn", "true"], "vpn", ["true"], None),
        (["vpn", "--", "true"], "vpn", ["true"], None),
        (["vpn", "--", "--", "x"], "vpn", ["--", "x"], None),
        (["vpn", "--", "-x"], "vpn", ["-x"], None),
        (["vpn", "curl", "-u", "me", "--", "-v"], "vpn", ["curl", "-u", "me", "--", "-v"], None),
        (["-u", "alice", "vpn", "id"], "vpn", ["id"], "alice"),
        (["-ualice", "vpn", "id"], "vpn", ["id"], "alice"),
        (["--user", "alice", "vpn", "id"], "vpn", ["id"], "alice"),
        (["--user=alice", "vpn", "id"], "vpn", ["id"], "alice"),
        (["--user=a=b", "vpn", "id"], "vpn", ["id"], "a=b"),
        (["--wait", "0", "vpn", "id"], "vpn", ["id"], None),
        (["--wait=0", "--no-wait", "-u", "bob", "vpn", "id"], "vpn", ["id"], "bob"),
        (["../x", "id"], "../x", ["id"], None),  # judged by whoever takes it
    ],
)
def test_plain_requests(words: list[str], name: str, argv: list[str], user: str | None) -> None:
    request = main.parse_run(words)
    assert request is not None
    assert (request.name, request.argv, request.user) == (name, argv, user)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["vpn"],
        ["vpn", "--"],
        ["-h"],
        ["--help", "vpn", "true"],
        ["--json", "vpn", "true"],
        ["vpn", "--help"],
        ["vpn", "-u", "alice", "id"],
        ["-u"],
        ["-u", "alice"],
        ["-u", "", "vpn", "id"],
        ["--user=", "vpn", "id"],
        ["--wait"],
        ["--wait", "x", "vpn", "id"],
        ["--wait=", "vpn", "id"],
        ["--wait=-1", "vpn", "id"],
        ["--wait", "²", "vpn", "id"],
        ["--", "vpn", "id"],
        ["-", "vpn", "id"],
        ["--us=alice", "vpn", "id"],
        ["--no-wait=1", "vpn", "id"],
        ["-u=alice"],
    ],
)
def test_requests_for_the_long_way(words: list[str]) -> None:
    assert main.parse_run(words) is None


class Long(Exception):
    """The long way was taken."""


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(words: list[str], packages: object) -> int:
        raise Long(words)

    monkeypatch.setattr(main, "_command_line", take)
    monkeypatch.setattr(main.posix, "geteuid", lambda: 0)
    monkeypatch.setattr(main, "helper_alive", lambda lock: True)
    monkeypatch.setattr(identity, "resolve", lambda user, env: None)
    monkeypatch.setattr(enter, "read_enter", lambda name: plan("never"))
    monkeypatch.setattr(enter, "start", lambda plan, argv, who: sys.exit(42))


def plan(stop: str) -> enter.Enter:
    made = enter.Enter("vpn", os.open(os.devnull, os.O_RDONLY))
    made.stop = stop
    return made


@pytest.mark.usefixtures("as_root")
def test_the_short_way() -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["run", "vpn", "true"])
    assert ended.value.code == 42


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(
    ("where", "what", "value"),
    [
        (main.posix, "geteuid", lambda: 1000),
        (main, "helper_alive", lambda lock: False),
        (names, "valid_name", lambda name: False),
        (enter, "read_enter", lambda name: plan("when-idle")),
        (main, "parse_run", lambda words: None),
    ],
)
def test_reasons_for_the_long_way(
    monkeypatch: pytest.MonkeyPatch, where: object, what: str, value: object
) -> None:
    monkeypatch.setattr(where, what, value)
    with pytest.raises(Long):
        main.main(["run", "vpn", "true"])


@pytest.mark.usefixtures("as_root")
def test_a_profile_that_is_down_takes_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "JAILS_DIR", "/nonexistent")

    def read(name: str) -> enter.Enter:
        raise NetjailError("not-up", "down")

    monkeypatch.setattr(enter, "read_enter", read)
    with pytest.raises(Long):
        main.main(["run", "vpn", "true"])


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (NetjailError("system", "no overlay", "do this"), 125, "no overlay"),
        (NetjailError("usage", "no such user"), 2, "no such user"),
        (RuntimeError("odd"), 3, "odd"),
    ],
)
def test_errors_on_the_short_way(
    error: Exception,
    status: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def start(*_: object) -> None:
        raise error

    monkeypatch.setattr(enter, "start", start)
    with pytest.raises(SystemExit) as ended:
        main.main(["run", "vpn", "true"])
    assert ended.value.code == status
    said = capsys.readouterr().err
    assert text in said
    assert "Traceback" not in said


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(words: list[str], packages: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "_command_line", interrupted)
    assert main.main(["list"]) == 130


def test_whether_the_helper_lives(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert not main.helper_alive(str(lock))
    lock.touch()
    assert not main.helper_alive(str(lock))
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main.helper_alive(str(lock))
    assert not main.helper_alive(str(lock))


def test_the_long_way_has_site_and_the_given_packages(tmp_path: Path) -> None:
    (tmp_path / "only_there.py").write_text("answer = 42\n")
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop())\n"
        "from netjail import main\n"
        "assert 'site' not in sys.modules\n"
        f"print(main.main(['--version'], packages=[{str(tmp_path)!r}]))\n"
        "import only_there\n"
        "assert 'site' in sys.modules and any('-packages' in p for p in sys.path), sys.path\n"
    )
    done = subprocess.run(
        [sys.executable, "-IS", "-c", script, str(REPO)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0"
