# SPDX-License-Identifier: GPL-3.0-or-later
"""Before `flatpak run`: what it takes for the host's resolv.conf is the jail's.

A flatpak's /etc/resolv.conf, /etc/hosts and /etc/localtime lead into a directory below
XDG_RUNTIME_DIR, in which flatpak-session-helper, a service of the session bus that runs outside,
keeps copies of the host's (flatpak's session-helper/flatpak-session-helper.c). Stands in front of
flatpak, as the user: makes a mount namespace, in a user namespace as flatpak itself needs one,
puts a directory with the jail's files over that one, and becomes flatpak. Outside, and for
flatpaks that are started outside, nothing changes. They are the files as they are at the start.

Standard library only: it is started by path.
"""

from __future__ import annotations

import os
import sys

FILES = ("resolv.conf", "hosts", "host.conf", "gai.conf", "localtime")
_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_NOSUID, _NODEV, _NOEXEC = 2, 4, 8
_SIZE_MAX = 1 << 20
_DONE = b"+"


def command(argv: list[str]) -> list[str]:
    """`argv`, of flatpak, with this in front."""
    return [sys.executable, "-I", os.path.abspath(__file__), *argv]


def behind(argv: list[str]) -> list[str]:
    """What was given to `command`; `argv` itself where it is none of its."""
    return argv[3:] if argv[1:3] == ["-I", os.path.abspath(__file__)] else argv


def directory() -> str:
    """Where flatpak-session-helper keeps the copies."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return os.path.join(runtime, ".flatpak-helper", "monitor")


def files(above: str, etc: str = "/etc") -> dict[str, bytes]:
    """Name to content: what the helper has put into `above`, with the jail's own over it."""
    found: dict[str, bytes | None] = {}
    if os.path.isdir(above):
        for name in os.listdir(above):
            found[name] = _read(os.path.join(above, name))
    for name in FILES:  # the jail's, or none
        found[name] = _read(os.path.join(etc, name))
    if not found.get("timezone"):
        zone = os.path.realpath(os.path.join(etc, "localtime")).partition("/zoneinfo/")[2]
        found["timezone"] = f"{zone or 'UTC'}\n".encode()
    return {name: data for name, data in found.items() if data is not None}


def _read(path: str) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return os.read(fd, _SIZE_MAX)
    except OSError:  # a directory, for one
        return None
    finally:
        os.close(fd)


def enter() -> None:
    """Into namespaces of our own, where the directory is another. Raises OSError."""
    import ctypes  # here: the filter of the bus, which imports this, does without

    target = directory()
    os.makedirs(target, mode=0o700, exist_ok=True)
    content = files(target)
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEWUSER | _NEWNS):
        raise _error("a user namespace", ctypes.get_errno())
    _write("/proc/self/setgroups", b"deny")
    _write("/proc/self/uid_map", b"%d %d 1" % (uid, uid))
    _write("/proc/self/gid_map", b"%d %d 1" % (gid, gid))
    flags = _NOSUID | _NODEV | _NOEXEC
    if libc.mount(b"netjail", os.fsencode(target), b"tmpfs", flags, b"mode=755,size=4m"):
        raise _error(target, ctypes.get_errno())
    for name, data in content.items():
        _write(os.path.join(target, name), data)


def _hindrance() -> str | None:
    """Why `enter` fails here, if it does. Found out by a process of its own: one that comes no
    further than into a user namespace (AppArmor on Ubuntu lets it come so far) is nobody there, and
    no flatpak could be started by it."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            enter()
            os.write(writer, _DONE)
        except OSError as error:
            os.write(writer, f"{error.filename}: {error.strerror}".encode(errors="replace"))
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        said = file.read()
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # who has started us ignores SIGCHLD
    return None if said == _DONE else said.decode(errors="replace")


def _error(what: str, number: int) -> OSError:
    return OSError(number, os.strerror(number), what)


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def main(argv: list[str]) -> int:
    """Does not return when all goes well."""
    try:
        why = _hindrance()
        if why is None:
            enter()
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
    if why is not None:
        sys.stderr.write(
            f"netjail: {argv[0]} sees the host's resolv.conf, not the profile's: {why}\n"
        )
    try:
        os.execvp(argv[0], argv)  # noqa: S606
    except FileNotFoundError:
        sys.stderr.write(f"netjail: {argv[0]}: no such program\n")
        return 127
    except OSError as error:
        sys.stderr.write(f"netjail: {argv[0]}: {error.strerror}\n")
        return 126


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
