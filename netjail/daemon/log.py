# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper's log: one line an event, to standard error.

Not the logging module: that costs 10 ms of start-up and a megabyte, and nothing of it is needed.
"""

from __future__ import annotations

import os
import time

LEVELS = ("debug", "info", "warning", "error")

_threshold = LEVELS.index("info")


def set_level(level: str) -> None:
    global _threshold  # noqa: PLW0603 - one log per process
    _threshold = LEVELS.index(level)


def debug(message: str) -> None:
    _write(0, message)


def info(message: str) -> None:
    _write(1, message)


def warning(message: str) -> None:
    _write(2, message)


def error(message: str) -> None:
    _write(3, message)


def crash(where: str) -> None:
    """The exception being handled, with its traceback: a bug of ours."""
    import traceback  # heavy, and hopefully never needed

    error(f"bug: {where}\n{traceback.format_exc().rstrip()}")


def _write(level: int, message: str) -> None:
    if level < _threshold:
        return
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now))
    # Continuation lines are indented, so that no text can pass for an entry of its own.
    text = message.replace("\n", "\n    ")
    line = f"{stamp}.{int(now * 1000) % 1000:03d} {LEVELS[level]}: {text}\n"
    try:
        # One write per line: lines of several threads never mix.
        os.write(2, line.encode(errors="backslashreplace"))
    except OSError:
        pass  # a full disk must not take the networks down
