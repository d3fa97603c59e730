# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the user names: read by the command line itself, never by the helper."""

from __future__ import annotations

import codecs
import os
import stat
import sys

from netjail import names
from netjail.errors import NetjailError

MAX_BYTES = 1 << 20
"""No profile is longer; neither may a line on the socket be."""


def read(path: str) -> str:
    """As `read_bytes`, for TOML, which is UTF-8."""
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NetjailError("usage", f"{_shown(path)} is not a text file in UTF-8") from None


def read_bytes(path: str, binary: bool = False) -> bytes:
    """The content of `path`, or of standard input for `-`. Raises `usage` and `system`; also for
    what is no text, unless it may be `binary`."""
    data = _read_bytes(path, _shown(path))
    if len(data) > MAX_BYTES:
        raise NetjailError("usage", f"{_shown(path)} is longer than 1 MiB: it is no profile")
    if (
        not binary
        and b"\0" in data
        and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    ):
        raise NetjailError(
            "usage",
            f"{_shown(path)} is not a text file",
            "If it is an archive (.zip, .tar.gz), unpack it and name one of the files in it.",
        )
    return data


def _shown(path: str) -> str:
    return "standard input" if path == "-" else path


def _read_bytes(path: str, shown: str) -> bytes:
    try:
        if path == "-":
            if sys.stdin is None:
                raise NetjailError("usage", "standard input is closed")
            if sys.stdin.isatty():
                print("Reading from the terminal; end with Ctrl-D.", file=sys.stderr)
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        # the open must not wait for a writer before it is known what this is
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
                kind = "a directory" if stat.S_ISDIR(mode) else "not a file"
                raise NetjailError("usage", f"{shown} is {kind}", "Name one file.")
            os.set_blocking(file.fileno(), True)
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        hint = None
        if isinstance(error, FileNotFoundError) and names.valid_name(path):
            hint = "A file is wanted here, not the name of a profile."
        raise NetjailError("system", f"cannot read {shown}: {error.strerror}", hint) from None
    except ValueError:  # a NUL in the path
        raise NetjailError("usage", f"{shown} is not a file name") from None


def name_from(path: str) -> str:
    """The profile name that a file's name suggests. Raises `usage` for standard input."""
    if path == "-":
        raise NetjailError(
            "usage",
            "what comes from standard input needs a name",
            "Give it one with --name, for example --name vpn.",
        )
    from netjail.profile.wgquick import suggest_name

    return suggest_name(os.path.basename(path).removesuffix(".toml").removesuffix(".ovpn"))
