# SPDX-License-Identifier: GPL-3.0-or-later
"""What `posix` lacks for starting a process as somebody else would have started it.

Like `syscalls`, on top of the C module `_ctypes`; only the spawner and its children load it.
All raise OSError with the kernel's number, save where said.
"""

import _ctypes
import posix
import sys

from netjail.launch.syscalls import _LIBC, _check, _Function, _Long

_SYS_CLONE3 = 435
"""New enough to have one number on every architecture; Linux 5.3, with a cgroup 5.7."""
_CLONE_INTO_CGROUP = 0x200000000
_CLONE_ARGS = 88
"""Bytes of a struct clone_args as far as the field `cgroup`, the eleventh."""
_SIGCHLD = 17

PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38

_IOPRIO = {
    "x86_64": (251, 252),
    "aarch64": (30, 31),
    "riscv64": (30, 31),
    "loongarch64": (30, 31),
    "i686": (289, 290),
    "i386": (289, 290),
    "armv7l": (314, 315),
    "armv6l": (314, 315),
    "ppc64le": (273, 274),
    "ppc64": (273, 274),
    "s390x": (282, 283),
}
"""Machine (uname(2)) to the numbers of ioprio_set(2) and ioprio_get(2), which glibc lacks."""
_IOPRIO_WHO_PROCESS = 1

_KEYCTL = {
    "x86_64": 250,
    "aarch64": 219,
    "riscv64": 219,
    "loongarch64": 219,
    "i686": 288,
    "i386": 288,
    "armv7l": 311,
    "armv6l": 311,
    "ppc64le": 271,
    "ppc64": 271,
    "s390x": 280,
}
_KEYCTL_JOIN_SESSION_KEYRING = 1
_KEYCTL_LINK = 8
_KEY_SPEC_SESSION_KEYRING = -3
_KEY_SPEC_USER_KEYRING = -4


class _HoldingFunction(_ctypes.CFuncPtr):
    """A C function that is called without letting go of the interpreter's lock."""

    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO | _ctypes.FUNCFLAG_PYTHONAPI


class _PythonFunction(_ctypes.CFuncPtr):
    """The same, of the interpreter itself, and leaving our copy of errno alone."""

    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_PYTHONAPI


_before_fork = _PythonFunction(_ctypes.dlsym(_LIBC, "PyOS_BeforeFork"))
_after_fork_in_child = _PythonFunction(_ctypes.dlsym(_LIBC, "PyOS_AfterFork_Child"))
_after_fork_in_parent = _PythonFunction(_ctypes.dlsym(_LIBC, "PyOS_AfterFork_Parent"))
_syscall = _HoldingFunction(_ctypes.dlsym(_LIBC, "syscall"))
_prctl = _Function(_ctypes.dlsym(_LIBC, "prctl"))
_machine = posix.uname().machine


def fork_into(cgroup: int) -> int:
    """fork(2), with the child born in the version 2 cgroup whose directory is open as `cgroup`.

    Moving a process that exists makes the kernel wait for all its processors, 7 to 30 ms; being
    born there costs nothing. The process must have one thread.
    """
    words = [_CLONE_INTO_CGROUP, 0, 0, 0, _SIGCHLD, 0, 0, 0, 0, 0, cgroup]
    arguments = b"".join(word.to_bytes(8, sys.byteorder) for word in words)
    number, size = _Long(_SYS_CLONE3), _Long(_CLONE_ARGS)
    # As posix.fork() does for the interpreter, which holds locks in between: since Python 3.13 it
    # aborts in the child if they are not held. Nothing else may stand between these calls.
    _before_fork()
    pid: int = _syscall(number, arguments, size)
    if pid == 0:
        _after_fork_in_child()
    else:
        _after_fork_in_parent()
    return _check(pid)


def get_io_priority(pid: int) -> int:
    """ioprio_get(2): class and level of a process; 0 where it has none of its own, or unknown."""
    if _machine not in _IOPRIO:
        return 0
    number = _IOPRIO[_machine][1]
    return _check(_syscall(_Long(number), _Long(_IOPRIO_WHO_PROCESS), _Long(pid)))


def set_io_priority(value: int) -> None:
    """ioprio_set(2) for ourselves."""
    if _machine in _IOPRIO:
        number = _IOPRIO[_machine][0]
        _check(_syscall(_Long(number), _Long(_IOPRIO_WHO_PROCESS), _Long(0), _Long(value)))


def set_no_new_privileges() -> None:
    """For good: no setuid file, no file capability counts any more. See prctl(2)."""
    _check(_prctl(_PR_SET_NO_NEW_PRIVS, _Long(1), _Long(0), _Long(0), _Long(0)))


def set_name(name: bytes) -> None:
    """What ps(1) calls us; 15 bytes count."""
    _prctl(PR_SET_NAME, name)


def bounding_set() -> int:
    """Our capability bounding set, as bits."""
    number = bits = 0
    while (state := _prctl(_PR_CAPBSET_READ, _Long(number))) >= 0:
        bits |= state << number
        number += 1
    return bits


def limit_capabilities(allowed: int) -> None:
    """Take from our bounding set what is not in `allowed` (bits)."""
    number = 0
    while (state := _prctl(_PR_CAPBSET_READ, _Long(number))) >= 0:
        if state == 1 and not allowed >> number & 1:
            _check(_prctl(_PR_CAPBSET_DROP, _Long(number)))
        number += 1


def new_session_keyring(of_user: bool = False) -> None:
    """Leave the session keyring that we were born with (keyrings(7)), for an empty one.

    `of_user`: with the user's own keyring linked into it, as pam_keyinit(8) does. Does nothing
    where the kernel has no keyrings or a sandbox forbids them: then there is none to leave.
    """
    number = _KEYCTL.get(_machine)
    if number is None:
        return
    joined = _syscall(_Long(number), _Long(_KEYCTL_JOIN_SESSION_KEYRING), _Long(0))
    if of_user and joined >= 0:
        user, session = _Long(_KEY_SPEC_USER_KEYRING), _Long(_KEY_SPEC_SESSION_KEYRING)
        _syscall(_Long(number), _Long(_KEYCTL_LINK), user, session)
