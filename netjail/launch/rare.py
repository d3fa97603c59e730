# SPDX-License-Identifier: GPL-3.0-or-later
"""What most launches do not need, so that they need not load it: corners of mounting, and errors.

Loaded before root is given up, while the package can be read for sure.
"""

from __future__ import annotations

import errno
import posix

from netjail import names
from netjail.errors import NetjailError
from netjail.launch import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def outside_of_chroot(act: Callable[[], None]) -> None:
    """Do it to the root of all mounts: in a chroot, / need not be a mount point.

    setns(2) into the mount namespace where we are already moves / to its root.
    """
    flags = posix.O_PATH | posix.O_CLOEXEC | posix.O_DIRECTORY
    fds = []
    try:
        for path in ("/", "/proc/self/cwd", "/proc/self/ns/mnt"):
            fds.append(
                posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC if "ns" in path else flags)
            )
        root, directory, namespace = fds
        syscalls.setns(namespace, syscalls.CLONE_NEWNS)
        try:
            act()
        finally:
            posix.fchdir(root)
            posix.chroot(".")
        try:
            posix.fchdir(directory)
        except OSError:
            pass  # one that only its user may enter; better / than outside
    finally:
        for fd in fds:
            posix.close(fd)


def tell_port(path: str, env: dict[bytes, bytes]) -> None:
    """Set NETJAIL_PORT to what stands in the file at `path`, and NETJAIL_PORT_FILE to the path; a
    running program learns of a change by the file alone. No file: there is no port just now."""
    env[b"NETJAIL_PORT_FILE"] = path.encode()
    env.pop(b"NETJAIL_PORT", None)
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    except OSError:
        return
    port = posix.read(fd, 16).strip()
    posix.close(fd)
    if port.isdigit():
        env[b"NETJAIL_PORT"] = port


def uncover_etc(source: str) -> None:
    """Take the overlay of another jail away, when called inside one: overlays stack only twice."""
    fd = posix.open("/proc/self/mountinfo", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        data = b"".join(iter(lambda: posix.read(fd, 65536), b""))
    finally:
        posix.close(fd)
    for line in reversed(data.decode(errors="surrogateescape").rstrip("\n").split("\n")):
        left, _, right = line.partition(" - ")
        if left.split(" ")[4] != "/etc":
            continue
        if right.split(" ")[:2] != ["overlay", source]:
            break
        syscalls.umount2("/etc", syscalls.MNT_DETACH)


def error(code: str, message: str, hint: str | None = None) -> NetjailError:
    """The error of that code; see `errors`."""
    return NetjailError(code, message, hint)


def not_up(name: str) -> NetjailError:
    """There is no `enter` file."""
    return NetjailError("not-up", f"{name} is not up", f"`netjail up {name}` brings it up.")


def unreadable(name: str, why: OSError) -> NetjailError:
    """There is one, but it cannot be opened."""
    code = "not-authorised" if why.errno == errno.EACCES else "system"
    return NetjailError(code, f"cannot read how to enter {name}: {why.strerror}")


def unusable(name: str, why: str) -> NetjailError:
    """There is one, but it does not say what it should."""
    return NetjailError(
        "system",
        f"cannot enter {name}: {why}",
        f"`netjail down {name}` and `netjail up {name}` make it anew.",
    )


def conflict(name: str, path: str, why: str) -> NetjailError:
    """The network namespace at `path` is not the one of the jail."""
    return NetjailError(
        "conflict", f"cannot enter {name}: {path} {why}", f"`netjail up {name}` puts it right."
    )


def not_in_place(name: str) -> NetjailError:
    """The view is mounted but has no resolv.conf, or programs would not see it."""
    return NetjailError(
        "system",
        f"cannot enter {name}: its resolv.conf is not in place",
        f"`netjail up {name}` puts it right.",
    )


def failed(name: str, what: str, why: OSError) -> NetjailError:
    """The kernel said no to a step of entering."""
    message = f"cannot enter {name}: {what}: {why.strerror}"
    if why.errno == errno.ENODEV:
        return NetjailError("missing-kernel", message, "`modprobe overlay` may help.")
    if why.errno == errno.EPERM:
        hint = "Is this a container? It needs the capability CAP_SYS_ADMIN."
        return NetjailError("system", message, hint)
    if why.errno == errno.EINVAL:
        return NetjailError(
            "system", message, "The end of `dmesg` may say what the kernel dislikes."
        )
    return NetjailError("system", message)


def exec_failure(name: bytes, error: OSError) -> tuple[int, str]:
    """Exit status and words, as a shell has them, for a program that cannot be executed. `error`
    comes with its file."""
    shown, file = name.decode(errors="replace"), error.filename
    if error.errno == errno.ENOENT:
        if not posix.access(file, posix.F_OK):
            return names.EXIT_NOT_FOUND, f"{shown}: {error.strerror}"
        return names.EXIT_NOT_EXECUTABLE, f"{shown}: bad interpreter{_interpreter(file)}"
    why = error.strerror
    if error.errno == errno.EACCES and _is_directory(file):
        why = posix.strerror(errno.EISDIR)
    return names.EXIT_NOT_EXECUTABLE, f"{shown}: {why}"


def _interpreter(file: bytes) -> str:
    """`: PATH: why` of a script whose interpreter is missing; "" for anything else."""
    try:
        fd = posix.open(file, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            line = posix.read(fd, 256).split(b"\n")[0]
        finally:
            posix.close(fd)
    except OSError:
        return ""
    words = line[2:].split()
    if not line.startswith(b"#!") or not words:
        return ""
    return f": {words[0].decode(errors='replace')}: {posix.strerror(errno.ENOENT)}"


def _is_directory(path: bytes) -> bool:
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o040000
    except OSError:
        return False
