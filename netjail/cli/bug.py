# SPDX-License-Identifier: GPL-3.0-or-later
"""A report of a bug of ours: a file that can be pasted as it is, without secrets."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import time
import traceback

from netjail import __version__
from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

REPORT_TO = "the issue tracker of the netjail project"

_KEY = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{42,43}={1,2}|(?<![0-9a-fA-F])[0-9a-fA-F]{64}")
"""Whatever looks like a WireGuard key, in base64 or (as in wg's own interface) in hex."""


def report(error: BaseException, argv: list[str]) -> NetjailError:
    """Write the report; the error to show says where it is (or holds it, if that failed)."""
    text = compose(error, argv)
    what = scrub(f"{type(error).__name__}: {error}".rstrip(": "))
    try:
        path = write(text, os.environ)
    except OSError:
        return NetjailError(
            "internal",
            f"netjail has a bug: {what}",
            f"Please report it to {REPORT_TO}, with the lines below.",
            tuple(text.splitlines()),
        )
    return NetjailError(
        "internal",
        f"netjail has a bug: {what}",
        f"Please report it to {REPORT_TO}, with this file (no keys in it):\n{path}",
    )


def compose(error: BaseException, argv: list[str]) -> str:
    """The text of the report."""
    trace = "".join(traceback.format_exception(error))
    system = platform.uname()
    return (
        f"netjail {__version__}\n"
        f"Python {sys.version.split()[0]} ({sys.executable})\n"
        f"{system.system} {system.release} {system.machine}\n"
        f"time {time.strftime('%Y-%m-%d %H:%M:%S %z')}\n"
        f"command: {' '.join(['netjail', *safe_argv(argv)])}\n"
        f"\n{scrub(trace)}"
    )


def safe_argv(argv: list[str]) -> list[str]:
    """`argv` without what is nobody's business: the arguments of the program of `run`."""
    words = [scrub(word) for word in argv]
    if "run" not in words[:2]:
        return words
    start = words.index("run") + 1
    while start < len(words) and words[start].startswith("-"):
        takes_value = words[start] in ("-u", "--user", "--wait")
        start += 2 if takes_value else 1
    hidden = len(words) - start - 1
    return words[: start + 1] + ([f"[{hidden} words]"] if hidden > 0 else [])


def scrub(text: str) -> str:
    """`text` without anything that looks like a key."""
    return _KEY.sub("[key]", text)


def write(text: str, environ: Mapping[str, str]) -> str:
    """Put the report into a new file that only its owner may read; returns its path."""
    descriptor, path = tempfile.mkstemp(
        prefix=time.strftime("netjail-bug-%Y%m%d-%H%M%S-"), suffix=".txt", dir=_directory(environ)
    )
    with os.fdopen(descriptor, "w", errors="backslashreplace") as file:
        file.write(text)
    return path


def _directory(environ: Mapping[str, str]) -> str:
    """The state directory of the user, /tmp where that is another user's (sudo keeps HOME)."""
    state = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME", ""), ".local/state")
    fallback = tempfile.gettempdir()
    if not os.path.isabs(state):
        return fallback
    home = environ.get("HOME", "")
    try:
        if home and os.stat(home).st_uid != os.geteuid():
            return fallback
        path = os.path.join(state, "netjail")
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path if os.lstat(path).st_uid == os.geteuid() else fallback
    except OSError:
        return fallback
