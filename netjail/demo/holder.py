# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds the namespaces of one machine of the stage (see `stage`) until its standard input ends.

Run as a script with `python -I -S`, never imported by the rest: standard library only. The
process that started it holds the other end of the pipe on its standard input. However that
process ends (also by SIGKILL), the pipe closes, this one exits, and because it is process 1 of a
PID namespace (for "home") the kernel ends everything else on the stage. Namespaces and mounts
have no other reference, hence nothing stays behind.

Arguments: ROLE HOSTNAME SHARED, with ROLE one of
    home    private /etc (a copy in memory), /run (empty), /proc, /sys; SHARED is "shared" where
            all mounts are to be shared ones, as systemd makes them, else "private"
    router  private /run and /sys, and it forwards packets
Prints its PID, as processes on the stage see it, once all is in place.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWNET = 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x2, 0x4, 0x8
MS_BIND, MS_MOVE, MS_REC = 0x1000, 0x2000, 0x4000
MS_PRIVATE, MS_SHARED = 0x40000, 0x100000
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2); raises OSError."""
    _check(
        _libc.mount(
            source.encode(),
            target.encode(),
            kind.encode() or None,
            ctypes.c_ulong(flags),
            data.encode() or None,
        ),
        f"mount {kind or source} on {target}",
    )


def umount(target: str) -> None:
    """Lazy umount2(2); raises OSError."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def unescape(field: str) -> str:
    """A path of /proc/self/mountinfo, where blanks and backslashes stand as octal numbers."""
    for code in ("\\040", "\\011", "\\012", "\\134"):
        field = field.replace(code, chr(int(code[1:], 8)))
    return field


def mount_points() -> list[str]:
    """All mount points that we see, parents before children."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return [unescape(line.split()[4]) for line in file]


def submounts(below: str) -> list[str]:
    """The topmost mount points below a directory."""
    found: list[str] = []
    for point in sorted(set(mount_points())):
        if point.startswith(below + "/") and not any(point.startswith(f + "/") for f in found):
            found.append(point)
    return found


def clear(directory: str) -> None:
    """Take away what is mounted on and below a directory, so that nobody who reads the list of
    mounts takes what is hidden below the new ones for real."""
    for point in submounts(directory) + [directory] * mount_points().count(directory):
        umount(point)


def fresh_run() -> None:
    """An empty /run, also where /var/run is a directory of its own."""
    clear("/run")
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    if not os.path.islink("/var/run") and os.path.isdir("/var/run"):
        mount("/run", "/var/run", flags=MS_BIND)


def fresh_sys() -> None:
    """A /sys that shows this network namespace's interfaces, with what is mounted below kept."""
    if not os.path.ismount("/sys"):
        return
    below = submounts("/sys")
    os.mkdir("/run/.sys")
    mount("/sys", "/run/.sys", flags=MS_MOVE)
    try:
        mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except PermissionError:  # some containers forbid it: /sys/class/net will be the machine's
        mount("/run/.sys", "/sys", flags=MS_MOVE)
    else:
        for point in below:
            if os.path.isdir(point):
                mount("/run/.sys" + point[len("/sys") :], point, flags=MS_MOVE)
        umount("/run/.sys")
    os.rmdir("/run/.sys")


def copy_of_etc() -> None:
    """/etc in memory. Not an overlay: the jails on the stage put overlays on top of it, the
    machine's own root may be one (a container), and the kernel stacks only two."""
    os.mkdir("/run/.etc")
    mount("tmpfs", "/run/.etc", "tmpfs", 0, "mode=0755")
    copy = ["cp", "-a", "/etc/.", "/run/.etc/"]
    status = os.spawnvp(os.P_WAIT, "cp", copy)  # noqa: S606
    if status != 0:
        raise OSError(f"cp -a /etc/. ended with status {status}")
    mount("/run/.etc", "/etc", flags=MS_MOVE)
    os.rmdir("/run/.etc")


def sysctl(name: str, value: str) -> None:
    """Set /proc/sys/NAME of the namespaces we are in; what the kernel lacks is skipped."""
    try:
        with open(f"/proc/sys/{name}", "w", encoding="ascii") as file:
            file.write(value)
    except OSError:
        pass


def home(shared: bool) -> None:
    """Everything of the machine that netjail may touch, as a throw-away."""
    clear("/proc")
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    fresh_run()
    fresh_sys()
    copy_of_etc()
    os.mkdir("/run/root", 0o700)
    mount("none", "/", flags=MS_REC | (MS_SHARED if shared else MS_PRIVATE))


def router() -> None:
    """A machine of somebody else: it needs no files of its own but sockets in /run."""
    fresh_run()
    fresh_sys()
    sysctl("net/ipv4/ip_forward", "1")
    sysctl("net/ipv6/conf/all/forwarding", "1")


def quiet_network() -> None:
    """No router solicitations, no waiting for duplicate addresses, any path back is good."""
    for name in ("all", "default"):
        sysctl(f"net/ipv6/conf/{name}/accept_dad", "0")
        sysctl(f"net/ipv6/conf/{name}/dad_transmits", "0")
        sysctl(f"net/ipv6/conf/{name}/accept_ra", "0")
        sysctl(f"net/ipv6/conf/{name}/router_solicitations", "0")
        sysctl(f"net/ipv4/conf/{name}/rp_filter", "0")


def main() -> None:
    """See the module's text."""
    role, hostname, propagation = sys.argv[1:]
    _check(_libc.unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS), "unshare")
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    socket.sethostname(hostname)
    if role == "home":
        home(propagation == "shared")
    else:
        router()
    quiet_network()
    os.chdir("/")
    # Process 1 inherits every orphan of the stage: the kernel is to reap them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.write(1, b"%d\n" % os.getpid())
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
