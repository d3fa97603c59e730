# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, run by the tray: one way for both to import, to start an application, to check.

The commands run as the user, with the session's environment, and are never waited for.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from gi.repository import Gio, GLib

import netjail
from netjail.errors import NetjailError

_START = "import sys; sys.path.insert(0, {!r}); from netjail.main import main; sys.exit(main())"
Finished = Callable[[dict[str, Any], "NetjailError | None"], None]


def argv(words: Sequence[str]) -> list[str]:
    """`netjail WORDS` of this very installation, wherever it is."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(netjail.__file__)))
    return [sys.executable, "-P", "-c", _START.format(root), *words]


def reporting(words: Sequence[str], finished: Finished) -> None:
    """Run a command that has --json; `finished` is told its result, and what went wrong."""

    def done(status: int, out: str, err: str) -> None:
        try:
            envelope = json.loads(out.splitlines()[-1])
            result = envelope.get("result") or {}
            error = envelope.get("error")
        except (IndexError, ValueError, AttributeError):
            finished({}, _said(words[0], status, err))
            return
        finished(result, NetjailError.from_dict(error) if error else None)

    _run(["--json", *words], done)


def starting(words: Sequence[str], finished: Callable[[NetjailError | None, str], None]) -> None:
    """Run a command that reports by its exit status; `finished` is told what it warned of."""

    def done(status: int, _out: str, err: str) -> None:
        if status:
            finished(_said(words[0], status, err), "")
        else:
            finished(None, err.strip())

    _run(words, done)


def _run(words: Sequence[str], done: Callable[[int, str, str], None]) -> None:
    flags = Gio.SubprocessFlags.STDOUT_PIPE | Gio.SubprocessFlags.STDERR_PIPE
    launcher = Gio.SubprocessLauncher.new(flags)
    launcher.set_cwd(os.path.expanduser("~"))
    try:
        process = launcher.spawnv(argv(words))
    except GLib.Error as error:
        done(1, "", str(error.message))
        return

    def ended(process: Any, result: Any) -> None:
        try:
            _, out, err = process.communicate_utf8_finish(result)
        except GLib.Error as error:
            done(1, "", str(error.message))
            return
        status = process.get_exit_status() if process.get_if_exited() else 1
        done(status, out or "", err or "")

    process.communicate_utf8_async(None, None, ended)


def _said(verb: str, status: int, err: str) -> NetjailError:
    """What the command wrote to stderr: "netjail: message", then lines with what to do."""
    lines = [line.strip() for line in err.strip().splitlines()]
    while lines and not lines[0]:
        del lines[0]
    if not lines:
        return NetjailError("system", f"netjail {verb} ended with status {status}")
    message = lines[0].removeprefix("netjail: ").removeprefix("error: ")
    return NetjailError("system", message, "\n".join(lines[1:]) or None)
