# SPDX-License-Identifier: GPL-3.0-or-later
"""There is one helper. A helper on a bus takes the place of one that serves root alone."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import time
from typing import Any

from netjail import names
from netjail.daemon import log
from netjail.errors import NetjailError

LOCK_SECONDS = 9.0
"""How long to wait for another helper to be reachable or gone."""
TAKEOVER_SECONDS = 22.0
"""How long a helper that was asked to end may take to finish what it has begun."""
_UCRED = struct.Struct("iII")


def lock(path: str, bus: bool) -> int | None:
    """Become the one helper; None if another one is, does as much, and can be reached at `path`.

    The lock is held as long as the process lives. Another helper may just be starting (its socket
    is not there yet) or ending (it is there no more): both take a moment. With `bus`, one that
    serves no bus is asked to end; what is up stays up. Raises NetjailError.
    """
    try:
        fd = os.open(
            names.HELPER_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise NetjailError("system", f"cannot open {names.HELPER_LOCK}: {error.strerror}") from None
    deadline = time.monotonic() + LOCK_SECONDS
    asked = False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            pass
        other = None if asked else _greet(path)
        if other is not None:
            pid, says = other
            if not bus or says.get("bus"):
                os.close(fd)
                return None
            log.info(f"taking over from the helper that serves root alone (pid {pid})")
            asked = True
            deadline = time.monotonic() + TAKEOVER_SECONDS
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        if time.monotonic() > deadline:
            raise NetjailError(
                "no-helper",
                "another helper is running but does not listen; it may be finishing an operation",
                f"see {names.HELPER_LOG}, and try again",
            )
        time.sleep(0.01)


def _greet(path: str) -> tuple[int, dict[str, Any]] | None:
    """Another helper's pid, as the kernel says, and what it says of itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect(path)
            credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            pid, uid, _ = _UCRED.unpack(credentials)
            request = {"v": names.PROTOCOL, "id": 1, "method": "hello"}
            sock.sendall(json.dumps(request).encode() + b"\n")
            said = b""
            while not said.endswith(b"\n"):
                data = sock.recv(65536)
                if not data:
                    return None
                said += data
            result = json.loads(said).get("result")
        except (OSError, ValueError):
            return None
    return (pid, result) if uid == os.geteuid() and isinstance(result, dict) else None
