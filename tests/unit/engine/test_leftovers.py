# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left behind of others, and what others are told."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netjail import names
from netjail.daemon import capturing
from netjail.engine import doctor, gate, process
from netjail.errors import NetjailError
from netjail.launch import sniffer, spawner
from netjail.leaks.model import Held
from netjail.profile import store
from netjail.uplinks.login import Login

USER = 0x70000000 | 0x3A5A5A
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
# Forks for ever: each child goes on in the place of its parent.
FORKER = """
import os, sys, time
for _ in range(3):
    os.fork()
print("here", flush=True)
for _ in range(20000):  # in case that nothing ends it
    pid = os.fork()
    if pid:
        os._exit(0)
    time.sleep(0.001)
"""


def become(user: int) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


@needs_root
def test_all_that_a_client_has_forked_ends_with_it() -> None:
    argv = [*become(USER), sys.executable, "-I", "-S", "-c", FORKER]
    try:
        started = subprocess.Popen(argv, stdout=subprocess.PIPE)
    except FileNotFoundError:
        pytest.skip("needs setpriv")
    other = subprocess.Popen([*become(USER + 1), "sleep", "300"])
    try:
        assert started.stdout is not None
        if not started.stdout.readline():
            pytest.skip("this user namespace has no such user")
        started.wait()
        process.end_user(USER)
        # more than once: one look could miss who forks
        assert [process.of_user(USER) for _ in range(3)] == [[], [], []]
        assert other.poll() is None, "nobody else's"
        process.end_user(USER)
    finally:
        process.end_user(USER)
        other.kill()
        other.wait()


def test_users_that_are_not_ours_alone_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> str:
        raise AssertionError("nothing may be run")

    monkeypatch.setattr(process, "run", never)
    monkeypatch.setattr(process, "of_user", never)
    for user in (0, 1000, 65534, 0x70000000 - 1, 0x70800000):
        process.end_user(user)


def test_last_words_are_fit_to_be_shown(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\x1b[2J\x1b]0;owned\x07 " + b"x" * 900 + b"\n\x9b1m end")
    words = process.log_tail(str(log))
    assert words.isprintable() and len(words) <= 400 and "end" in words
    log.write_bytes(b"\x1b[2Jshort")
    assert "short" in process.log_tail(str(log)) and "\x1b" not in process.log_tail(str(log))


def test_a_reason_holds_no_secret() -> None:
    login = Login("carol", "hunter2", "123456", "opensesame")
    said = login.hide("server: login carol/hunter2 with 123456 and opensesame is wrong")
    assert said == "server: login carol/(hidden) with (hidden) and (hidden) is wrong"
    assert Login(password="a").hide("a server") == "a server"


def test_with_whom_anothers_program_talks_is_not_told() -> None:
    held = Held(12, "firefox", 7, "IPv4 stream to 198.51.100.7 port 443", 1000)
    assert held.seen_by(1000) == held == held.seen_by(0)
    assert held.seen_by(1001).what == "IPv4 stream"


def test_doctor_names_profiles_that_others_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "exposed", lambda: [str(tmp_path / "a.toml")])
    monkeypatch.setattr(store, "names", list)
    found = list(doctor._profiles())
    assert [(each.code, each.status) for each in found] == [("exposed", "error")]
    assert found[0].hint == f"sudo chmod go= {tmp_path}/a.toml"


HOLDER = """
import fcntl, os, sys, time
if os.fork() == 0:
    fd = os.open(sys.argv[1], os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    print(os.getpid(), flush=True)
    while True:
        time.sleep(100)
sys.stdin.read()
"""


@needs_root
@pytest.mark.parametrize("ours", [True, False])
def test_who_does_not_get_inside_is_ended_where_the_spawner_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    """A user may have the child join a cgroup, and freeze that. (Here it only sleeps.)"""
    path = tmp_path / "enter"
    path.write_text("")
    monkeypatch.setattr(names, "enter_file", lambda _name: str(path))
    monkeypatch.setattr(gate, "WAIT_SECONDS", 0.1)
    words = ["-c", HOLDER, str(path), *([os.path.abspath(spawner.__file__)] if ours else [])]
    with subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None and parent.stdin is not None
        pid = int(parent.stdout.readline())
        pidfd = os.pidfd_open(pid)
        try:
            if ours:
                with gate.locked("vpn") as there:
                    assert there
                assert select.select([pidfd], [], [], 30)[0]
            else:
                with pytest.raises(NetjailError, match="has not got inside"), gate.locked("vpn"):
                    pass
                assert not select.select([pidfd], [], [], 0)[0]
        finally:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
            parent.stdin.close()


@needs_root
def test_captures_of_an_earlier_helper_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.path.abspath(sniffer.__file__)
    monkeypatch.setattr(capturing, "_running", {})
    monkeypatch.setattr(capturing, "_adopted", False)
    monkeypatch.setattr(capturing, "_PYTHONS_OWN", 4)  # it only waits: -c, and what to do
    words = [path, "vpn", "nobody", "1000", "", "-s0", "--"]
    wait = "import sys; sys.stdin.read()"
    argv = [sys.executable, "-I", "-c", wait, *words]
    own = subprocess.Popen(argv, stdin=subprocess.PIPE)
    forged = subprocess.Popen([*become(65534), *argv], stdin=subprocess.PIPE)
    try:
        end = time.monotonic() + 20
        while str(path) not in Path(f"/proc/{forged.pid}/cmdline").read_text().split("\0")[:5]:
            assert time.monotonic() < end
        assert capturing.of(1000) == [own.pid]
        assert capturing.of(0) == []
    finally:
        for each in (own, forged):
            each.communicate()
    end = time.monotonic() + 20
    while capturing.of(1000):
        assert time.monotonic() < end, "one that has ended counts no more"
        time.sleep(0.01)
