# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting an application inside a jail. Standard library only.

What stands here is what a launch by an ordinary user begins with, before any module is loaded:
reaching the helper. While that finds out who has connected, and makes a process for a program, the
client imports what it needs to ask.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

SOON = '{"v":1,"soon":"launch","profile":"', '"}'
"""Before and behind the name, a line which says that a request follows to start a program in it."""
_CONNECT_SECONDS = 10.0


def connect(path: str, profile: str) -> "_socket.socket | None":
    """The helper's socket at `path`, told that `profile` is wanted; None: there is none, or nobody
    takes requests."""
    import _socket  # half of what all this takes; root's own way needs none

    _fill_stdio()
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(_CONNECT_SECONDS)
        sock.connect(path)
        sock.send(f"{SOON[0]}{profile}{SOON[1]}\n".encode())
        sock.settimeout(None)
    except OSError:
        sock.close()
        return None
    return sock


def _fill_stdio() -> None:
    """What of 0, 1, 2 is closed must not become something else of ours."""
    while True:
        fd = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
        if fd > 2:
            posix.close(fd)
            return
