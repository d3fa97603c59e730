# SPDX-License-Identifier: GPL-3.0-or-later
"""applications/mimeinfo.cache of the user: which entry there opens what.

Needed after every change: an entry in the user's directory hides the one of the same ID in the
system's, also from that one's cache, so that without a cache of its own a pinned application would
open no file any more (GLib: desktop_file_dir_mime_lookup skips what is masked).
"""

from __future__ import annotations

import os
import shutil
import subprocess

from netjail.desktop import entries, places
from netjail.desktop.keyfile import KeyFile, split_list

_PROGRAM = "update-desktop-database"
_NAME = "mimeinfo.cache"
_EMPTY = b"[MIME Cache]\n"
_SECONDS = 30.0


def refresh() -> None:
    """Bring the cache in order: by desktop-file-utils, or in the same way where it is missing."""
    directory = os.path.join(places.data_home(), "applications")
    if not os.path.isdir(directory):
        return
    cache = os.path.join(directory, _NAME)
    if not _by_program(directory):
        places.write(cache, render(directory))
    if places.read(cache) == _EMPTY:  # as if there had never been anything of ours
        places.remove(cache)


def _by_program(directory: str) -> bool:
    program = shutil.which(_PROGRAM)
    if program is None:
        return False
    try:
        done = subprocess.run(
            [program, "-q", directory],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def render(directory: str) -> bytes:
    """The cache for the entries below `directory`."""
    openers: dict[str, list[str]] = {}
    for name, path in sorted(entries.files([os.path.dirname(directory)]).items()):
        try:
            with open(path, "rb") as file:
                main = KeyFile(file.read()).items("Desktop Entry")
        except OSError:
            continue
        if main.get("Hidden") == "true":
            continue
        for kind in dict.fromkeys(split_list(main.get("MimeType", ""))):
            openers.setdefault(kind, []).append(name)
    lines = [f"{kind}={';'.join(names)};\n" for kind, names in sorted(openers.items())]
    return _EMPTY + "".join(lines).encode("utf-8", "surrogateescape")
