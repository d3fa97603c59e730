# SPDX-License-Identifier: GPL-3.0-or-later
"""Who sits at the machine: the user whom tty1 logs in, which makes the session on seat0."""

from __future__ import annotations

import contextlib
import pwd
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from guest import Done, at_seat, eventually, sh

SECONDS = 100.0
"""For what goes on beside a test."""
_CHANGED = Path("/run/systemd/system/getty@tty1.service.d/zz-user.conf")


def let_sit(user: str | None) -> None:
    """End the session at the seat and begin one of `user`, which is waited for; None: of the usual
    one."""
    if user:
        _CHANGED.parent.mkdir(parents=True, exist_ok=True)
        start = f"ExecStart=-/sbin/agetty --autologin {user} --noclear %I linux"
        _CHANGED.write_text(f"[Service]\nExecStart=\n{start}\n")
    else:
        _CHANGED.unlink(missing_ok=True)
    sh("systemctl daemon-reload")
    sh("systemctl restart getty@tty1.service")
    if user:
        path = f"/run/user/{pwd.getpwnam(user).pw_uid}/netjail-tests.sock"
        eventually(lambda: listens(path) and sits(user), f"{user} sits at the machine", seconds=90)


def sits(name: str) -> bool:
    session = sh("loginctl show-seat seat0 -p ActiveSession --value").text
    return sh(f"loginctl show-session {session} -p Name --value").text == name


def listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(path) == 0


class Running:
    """A command that goes on in the session at the seat: `done` once it has ended."""

    def __init__(self) -> None:
        self.done: Done | None = None


@contextlib.contextmanager
def going_on(argv: list[str], user: str) -> Iterator[Running]:
    """Run a command at the seat while the block does something else. It has to end by itself, or be
    ended by the block."""
    running = Running()

    def run() -> None:
        running.done = at_seat(argv, user=user, ok=None, timeout=SECONDS)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        thread.join(SECONDS + 10)
