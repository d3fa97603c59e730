# SPDX-License-Identifier: GPL-3.0-or-later
"""How a process ended whose parent is no more: asked of the kernel by its pidfd, since Linux 6.15.

Loaded only when the spawner was killed.
"""

import fcntl
import select
import sys
import time

_SIZE = 64
"""Bytes of the first version of a struct pidfd_info (linux/pidfd.h)."""
_PIDFD_GET_INFO = 3 << 30 | _SIZE << 16 | 0xFF << 8 | 11
_PIDFD_INFO_EXIT = 1 << 3
_EXIT_CODE = 60
_REAP_SECONDS = 2.0
"""How long whoever inherits orphans may take to wait for one."""


def wait_status(pidfd: int) -> int | None:
    """Wait for the end of the process; its wait status, or None where the kernel does not say."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll()
    end = time.monotonic() + _REAP_SECONDS
    while True:
        info = bytearray(_SIZE)
        info[:8] = _PIDFD_INFO_EXIT.to_bytes(8, sys.byteorder)
        try:
            fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
        except OSError:
            return None
        if int.from_bytes(info[:8], sys.byteorder) & _PIDFD_INFO_EXIT:
            return int.from_bytes(info[_EXIT_CODE : _EXIT_CODE + 4], sys.byteorder)
        if time.monotonic() > end:
            return None
        time.sleep(0.01)
