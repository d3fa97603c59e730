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
    """The text of `path`, or of standard input for `-`. Raises NetjailError.

    UTF-8 or (as Windows editors write) UTF-16 with its mark. Where it is neither, but plain
    text otherwise, Latin-1: only comments hold such letters, everything else is judged later.
    """
    shown = "standard input" if path == "-" else path
    data = _read_bytes(path, shown)
    if len(data) > MAX_BYTES:
        raise NetjailError(
            "usage",
            f"{shown} is longer than 1 MiB: it cannot be a profile.",
            "Name the file that your VPN provider gave you.",
        )
    text = _decode(data)
    if any(c < " " and c not in "\t\n\r\f" for c in text):
        raise NetjailError(
            "usage",
            f"{shown} is not a text file.",
            "If it is an archive (.zip, .tar.gz), unpack it and name one of the files in it.",
        )
    return text


def _read_bytes(path: str, shown: str) -> bytes:
    try:
        if path == "-":
            if sys.stdin is None:
                raise NetjailError("usage", "Standard input is closed.")
            if sys.stdin.isatty():
                print("Reading from the terminal; end with Ctrl-D.", file=sys.stderr)
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        # the open must not wait for a writer before it is known what this is
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
                kind = "a directory" if stat.S_ISDIR(mode) else "not a file"
                raise NetjailError("usage", f"{shown} is {kind}.", "Name one file.")
            os.set_blocking(file.fileno(), True)
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        hint = None
        if isinstance(error, FileNotFoundError) and names.valid_name(path):
            hint = "A file is wanted here, not the name of a profile."
        raise NetjailError("usage", f"Cannot read {shown}: {error.strerror}.", hint) from None
    except ValueError:  # a NUL in the path
        raise NetjailError("usage", f"{shown} is not a file name.") from None


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace").removeprefix("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def name_from(path: str) -> str:
    """The profile name that a file's name suggests: `/tmp/SE Stockholm#1.conf` -> se-stockholm-1.

    Raises `usage` where it suggests none.
    """
    stem = os.path.basename(path)
    for ending in (".conf", ".toml", ".ovpn", ".txt"):
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
            break
    letters = [c if names.valid_name(c) or c == "_" else "-" for c in stem.lower()]
    words = [word for word in "".join(letters).split("-") if word]
    name = "-".join(words).strip("_-")[: names.NAME_MAX].rstrip("-_")
    if path == "-" or not names.valid_name(name):
        raise NetjailError(
            "usage",
            "The profile needs a name.",
            "Give it one with --name, for example --name vpn.",
        )
    return name
