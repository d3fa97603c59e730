# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's mount points, as far as a jail's view covers them.

/proc/self/mountinfo takes the kernel 4 us a mount to write, and every jail is one or two mounts:
with 1000 jails it would cost more than all the rest of an up. listmount(2) and statmount(2),
from Linux 6.8, tell of single mounts, so that each is looked at once only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

from netjail.launch import syscalls

_BELOW = ("/sys/", "/etc/")

# linux/mount.h and asm-generic/unistd.h; the numbers are the same on all architectures
_SYS_STATMOUNT, _SYS_LISTMOUNT, _SYS_MOUNT_SETATTR = 457, 458, 442
_ATTRIBUTES = struct.Struct("=QQQQ")  # struct mount_attr: attr_set, attr_clr, propagation, userns
_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000
_MS_PRIVATE = 0x40000
_REQUEST = struct.Struct("=IIQQQ")  # struct mnt_id_req: size, spare, mnt_id, param, mnt_ns_id
_REQUEST_SIZE = 24
"""Of its first version, which ends before mnt_ns_id."""
_LSMT_ROOT = 0xFFFFFFFFFFFFFFFF
_STATMOUNT_MNT_POINT = 0x10
_STRINGS, _MNT_POINT = 512, 108
"""Where in a struct statmount the strings begin, and where it says at which of them."""
_MOST = 4096
"""Mounts to ask for at once."""
_ALL_SECONDS = 5.0
"""In between only mounts younger than the latest are asked for. What is made before another one
and put in its place after it is noticed when all are listed again."""

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_lock = threading.Lock()
_seen: set[int] = set()
"""The ids of all mounts that have been looked at; an id is never given again."""
_latest = 0
_all_listed = float("-inf")
_points: dict[int, str] = {}
"""Where those of them are that matter. That a mount is moved (`mount --move`) is not reckoned
with: a launch skips what is gone."""


def below_etc_and_sys() -> list[str]:
    """Mount points directly below /sys and /etc; deeper ones come along with them."""
    try:
        points = _ask()
    except OSError:  # ENOSYS before Linux 6.8, EPERM in some containers
        points = _read()
    found: list[str] = []
    for point in sorted(set(points)):
        if not any(point.startswith(outer + "/") for outer in found) and "\t" not in point:
            found.append(point)
    return found


def over_itself(path: str) -> None:
    """Make a directory a mount point, in a peer group of its own. Raises OSError.

    A bind mount made in the usual way (`mount --bind DIR DIR`, as ip-netns(8) does it) stays in the
    group of the mount it is a copy of, if that is shared: then whatever is mounted in it is mounted
    below it as well, twice in all, and every launch copies twice as many mounts.
    """
    fd = syscalls.open_tree(path)
    try:
        attributes = _ATTRIBUTES.pack(0, 0, _MS_PRIVATE, 0)
        result = _syscall(
            ctypes.c_long(_SYS_MOUNT_SETATTR),
            ctypes.c_long(fd),
            b"",
            ctypes.c_long(_AT_EMPTY_PATH | _AT_RECURSIVE),
            attributes,
            ctypes.c_size_t(len(attributes)),
        )
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))  # ENOSYS before Linux 5.12
        syscalls.move_mount(fd, path)
    finally:
        os.close(fd)


def _ask() -> list[str]:
    """By system calls. Raises OSError."""
    with _lock:
        global _latest, _all_listed  # noqa: PLW0603 - one for the process
        now = time.monotonic()
        if now - _all_listed < _ALL_SECONDS:
            newer = _list(_latest)
            _seen.update(newer)
            _latest = newer[-1] if newer else _latest
            _points.update(_those_below(newer))
            return list(_points.values())
        mounted = _list(0)
        _latest, _all_listed = max(mounted, default=0), now
        new = [mount for mount in mounted if mount not in _seen]
        if len(_seen) + len(new) > len(mounted):  # some have gone
            _seen.intersection_update(mounted)
            for gone in _points.keys() - _seen:
                del _points[gone]
        _points.update(_those_below(new))
        _seen.update(new)
        return list(_points.values())


def _those_below(mounts: list[int]) -> Iterator[tuple[int, str]]:
    for mount in mounts:
        point = _point(mount)
        if point is not None and point.startswith(_BELOW):
            yield mount, point


def _list(after: int) -> list[int]:
    """The ids of all mounts that are greater than `after`, in order."""
    found: list[int] = []
    buffer = (ctypes.c_uint64 * _MOST)()
    while True:
        last = found[-1] if found else after
        request = _REQUEST.pack(_REQUEST_SIZE, 0, _LSMT_ROOT, last, 0)
        number = _call(_SYS_LISTMOUNT, request, buffer, _MOST)
        found += buffer[:number]
        if number < _MOST:
            return found


def _point(mount: int) -> str | None:
    """Where a mount is; None where it is gone, or its path is longer than any that matters."""
    buffer = ctypes.create_string_buffer(4096)
    request = _REQUEST.pack(_REQUEST_SIZE, 0, mount, _STATMOUNT_MNT_POINT, 0)
    try:
        _call(_SYS_STATMOUNT, request, buffer, len(buffer))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EOVERFLOW):
            return None
        raise
    at = _STRINGS + int(struct.unpack_from("=I", buffer, _MNT_POINT)[0])
    return os.fsdecode(buffer.raw[at : buffer.raw.index(0, at)])


def _call(number: int, request: bytes, buffer: ctypes.Array[Any], size: int) -> int:
    result = int(_syscall(ctypes.c_long(number), request, buffer, ctypes.c_size_t(size), 0))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _read() -> list[str]:
    """By /proc/self/mountinfo."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = [line.split(" ", 5)[4] for line in file]
    return [_unescape(point) for point in points if point.startswith(_BELOW)]


def _unescape(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
