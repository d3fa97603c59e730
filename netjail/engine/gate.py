# SPDX-License-Identifier: GPL-3.0-or-later
"""The `enter` file of a jail from the engine's side: written, locked, taken away.

Whoever enters holds a shared lock on it until his exec, so who holds it exclusively knows that
nobody is half way in.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from netjail import names
from netjail.engine import files
from netjail.errors import NetjailError

WAIT_SECONDS = 10.0
"""Entering takes a millisecond; whoever takes longer was stopped on the way, or waits for us."""


def is_open(name: str) -> bool:
    """Whether the jail may be entered."""
    return os.path.exists(names.enter_file(name))


def open_(name: str, text: str) -> None:
    """Let programs in, by this text. Who is entering by an older one is inside before it goes."""
    with locked(name):
        files.write(names.enter_file(name), text, 0o600)


def shut(name: str) -> None:
    """Let nobody in any more. Idempotent."""
    try:
        os.unlink(names.enter_file(name))
    except FileNotFoundError:
        pass


@contextmanager
def locked(name: str) -> Iterator[bool]:
    """For the time of the block nobody is entering; False where the jail is not open anyway.

    Raises NetjailError("in-use") when somebody does not get on with it.
    """
    try:
        fd = os.open(names.enter_file(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield False
        return
    try:
        _lock(fd, name)
        yield True
    finally:
        os.close(fd)


def _lock(fd: int, name: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise NetjailError(
                    "in-use",
                    f"a program that was entering {name} has not got inside for {WAIT_SECONDS:g} s",
                    f"it may be stopped; `fuser {names.enter_file(name)}` shows its number",
                ) from None
            time.sleep(0.001)
