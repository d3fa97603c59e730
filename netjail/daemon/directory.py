# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of the helper's socket."""

from __future__ import annotations

import os
import stat

from netjail.errors import NetjailError


def make_directory(path: str) -> None:
    """Make a directory for a socket, 0755, or see that nobody but us can put things into it.

    Raises NetjailError (conflict), OSError.
    """
    try:
        os.mkdir(path)
    except FileExistsError:
        pass
    else:
        os.chmod(path, 0o755)  # noqa: S103 - clients must be able to reach the socket
    status = os.stat(path, follow_symlinks=False)
    mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if not mine or status.st_mode & 0o022:
        raise NetjailError(
            "conflict",
            f"{path} is not a directory that only root can write to",
            f"look at what is in it, then remove it: rm -r {path}",
        )
