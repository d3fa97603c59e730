# SPDX-License-Identifier: GPL-3.0-or-later
"""The system calls that `posix` lacks, by the C module `_ctypes`.

The package ctypes, which stands on the same module, takes 4 ms more to import: a third of a
launch. What is used of `_ctypes` is the same from Python 3.11 to 3.14 (a unit test holds it).
Numbers and flags are those of the kernel's uapi headers; they are the same on every
architecture except where said.

All raise OSError with the kernel's number. Safe in threads: errno is kept per thread.
"""

import _ctypes
import posix
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000

MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_NO_AUTOMOUNT = 0x800
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = posix.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_STATX_ATTR_MOUNT_ROOT = 0x2000

# glibc has wrappers of these since 2.36 only; new calls have one number on all architectures
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429

_CAPABILITY_V3 = 0x20080522


class _Function(_ctypes.CFuncPtr):
    """A C function that returns int. Arguments: int as C int, bytes and None as pointers."""

    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO


class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg]  # not a generic class
    """A C long: what a plain int, which goes as a C int, must be wrapped in."""

    _type_ = "l"


class _Word(_ctypes._SimpleCData):  # type: ignore[type-arg]
    """64 bits."""

    _type_ = "Q"


class _Buffer(_ctypes.Array):  # type: ignore[type-arg]
    """256 bytes for the kernel to write into: a struct statx; read in words of 64 bit."""

    _type_ = _Word
    _length_ = 32


_LIBC = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # None: this process


def _function(name: str) -> _Function:
    return _Function(_ctypes.dlsym(_LIBC, name))


_mount = _function("mount")
_umount2 = _function("umount2")
_unshare = _function("unshare")
_setns = _function("setns")
_syscall = _function("syscall")
_statx = _function("statx")


def _check(result: int, name: str | None = None) -> int:
    if result == -1:
        number = _ctypes.get_errno()
        raise OSError(number, posix.strerror(number), name)
    return result


def _bytes(text: str) -> bytes:
    data = text.encode(sys.getfilesystemencoding(), "surrogateescape")
    if 0 in data:
        raise ValueError("embedded null byte")
    return data


def mount(
    source: str | None, target: str, fstype: str | None, flags: int, data: str | None
) -> None:
    """mount(2)."""
    _check(
        _mount(
            None if source is None else _bytes(source),
            _bytes(target),
            None if fstype is None else _bytes(fstype),
            _Long(flags),
            None if data is None else _bytes(data),
        ),
        target,
    )


def umount2(target: str, flags: int) -> None:
    """umount2(2)."""
    _check(_umount2(_bytes(target), flags), target)


def unshare(flags: int) -> None:
    """unshare(2)."""
    _check(_unshare(flags))


def setns(fd: int, kind: int) -> None:
    """setns(2): the calling thread enters the namespace open as `fd`, of type `kind`."""
    _check(_setns(fd, kind))


def open_tree(path: str) -> int:
    """A detached copy of the mount at `path` and of all below it; links are not followed.

    The descriptor is close-on-exec, and the copy goes with it. See open_tree(2), Linux 5.2.
    """
    flags = (
        _OPEN_TREE_CLONE
        | _OPEN_TREE_CLOEXEC
        | _AT_RECURSIVE
        | _AT_NO_AUTOMOUNT
        | _AT_SYMLINK_NOFOLLOW
    )
    return _check(
        _syscall(_Long(_SYS_OPEN_TREE), _Long(_AT_FDCWD), _bytes(path), _Long(flags)), path
    )


def move_mount(fd: int, path: str) -> None:
    """Attach what `open_tree` gave at `path`. See move_mount(2)."""
    _check(
        _syscall(
            _Long(_SYS_MOVE_MOUNT),
            _Long(fd),
            b"",
            _Long(_AT_FDCWD),
            _bytes(path),
            _Long(_MOVE_MOUNT_F_EMPTY_PATH),
        ),
        path,
    )


def is_mount_point(path: str) -> bool:
    """Whether something is mounted right at `path`. False when there is no such path.

    A kernel before 5.8 cannot tell: True then for whatever exists.
    """
    buffer = _Buffer()
    flags = _AT_SYMLINK_NOFOLLOW | _AT_NO_AUTOMOUNT
    if _statx(_AT_FDCWD, _bytes(path), flags, 0, buffer) == -1:
        return False
    attributes, known = buffer[1], buffer[7]  # stx_attributes, stx_attributes_mask
    return bool(attributes & _STATX_ATTR_MOUNT_ROOT) or not known & _STATX_ATTR_MOUNT_ROOT


def drop_capabilities() -> None:
    """Empty the effective, permitted and inheritable sets, and with them the ambient one."""
    _check(_function("capset")(_capability_header(), bytes(24)))


def capabilities() -> tuple[int, int, int]:
    """The effective, permitted and inheritable set, as bits."""
    buffer = _Buffer()
    _check(_function("capget")(_capability_header(), buffer))
    # two records, low and high halves, of three 32-bit words each: E P, I e, p i
    data = b"".join(word.to_bytes(8, sys.byteorder) for word in buffer[:3])
    words = [int.from_bytes(data[i : i + 4], sys.byteorder) for i in range(0, 24, 4)]
    low, high = words[:3], words[3:]
    return tuple(a | b << 32 for a, b in zip(low, high, strict=True))  # type: ignore[return-value]


def _capability_header() -> bytes:
    """A struct __user_cap_header_struct for the calling thread."""
    return _CAPABILITY_V3.to_bytes(4, sys.byteorder) + bytes(4)
