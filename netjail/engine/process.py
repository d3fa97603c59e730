# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that serve a jail (wireguard-go, dnsmasq): started so that they outlive the helper.

A process is known by pid and start time together; a pid alone may have been given to another.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from netjail.engine.ns import own_mounts
from netjail.errors import NetjailError
from netjail.profile import checks

PACKAGES = {
    "wg": "wireguard-tools",
    "wireguard-go": "wireguard-go",
    "nft": "nftables",
    "dnsmasq": "dnsmasq-base",
    "getent": "libc-bin",
    "tc": "iproute2",
    "ip": "iproute2",
    "ovs-vsctl": "openvswitch-switch",
    "ovs-appctl": "openvswitch-switch",
    "ovsdb-tool": "openvswitch-switch",
    "ovsdb-server": "openvswitch-switch",
    "ovs-vswitchd": "openvswitch-switch",
    "prlimit": "util-linux",
    "setpriv": "util-linux",
    "openvpn": "openvpn",
    "openconnect": "openconnect",
}
_ELSEWHERE = dict.fromkeys(
    ("awg", "amneziawg-go"),
    "Debian has no AmneziaWG: install amneziawg-tools, and amneziawg-go or the kernel module, from "
    "https://github.com/amnezia-vpn (it names packages for some distributions)",
)
_FIRST_OF_OURS, _LAST_OF_OURS = 0x70000000, 0x70800000
"""Numbers of users that are given to single programs (uplinks.naming)."""
_TIMES = 5
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the helper looks for programs, whatever PATH it was started with."""

_found: dict[tuple[str, str], str] = {}
"""Where programs were at the last look, by name and PATH."""


@dataclass(frozen=True, slots=True)
class Process:
    """A running program of ours. `started`: clock ticks after boot (proc(5) stat field 22)."""

    name: str
    pid: int
    started: int

    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return start_time(self.pid) == self.started


def hint(name: str) -> str:
    """How a program is had."""
    package = PACKAGES.get(name, name)
    return _ELSEWHERE.get(
        name,
        f"install it: sudo apt install {package} "
        f"(the package is called {package} on Debian and Ubuntu)",
    )


def program(name: str) -> str:
    """Absolute path of a program. Raises missing-program with the package that has it."""
    found = _found.get((name, PATH))
    if found is not None and os.access(found, os.X_OK):
        return found
    found = shutil.which(name, path=PATH)
    if found is None:
        raise NetjailError(
            "missing-program",
            f"the program {name} is not installed",
            hint(name),
        )
    _found[name, PATH] = found
    return found


def run(argv: list[str], *, stdin: str = "", timeout: float = 30) -> str:
    """Run a program to its end in the calling thread's namespace; give its standard output.

    Raises NetjailError("system") with what it said when it failed. Never a shell.
    """
    argv = [program(argv[0]), *argv[1:]]
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={"PATH": PATH, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        name = os.path.basename(argv[0])
        raise NetjailError("timeout", f"{name} did not end within {timeout:g} s") from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise NetjailError("system", f"{os.path.basename(argv[0])} failed: {said}")
    return done.stdout


def start(
    name: str,
    argv: list[str],
    log: str,
    env: dict[str, str] | None = None,
    *,
    cwd: str = "/",
    stdout: int | None = None,
    stdin: str | int | None = None,
) -> Process:
    """Start a program in the calling thread's namespace, in a session of its own, logging to `log`.

    It keeps no descriptor of ours but the log and, where that is not its standard output as well,
    the file open as `stdout`, so that nobody waits on a pipe it holds. `stdin`: what it may read
    there, from memory that belongs to no file system; or a descriptor, which stays the caller's.
    """
    argv = [program(argv[0]), *argv[1:]]
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    given = None
    try:
        given = _in_memory(stdin) if isinstance(stdin, str) else None
        instead = stdin if isinstance(stdin, int) else subprocess.DEVNULL
        child = subprocess.Popen(
            argv,
            stdin=instead if given is None else given,
            stdout=fd if stdout is None else stdout,
            stderr=fd,
            cwd=cwd,
            env={"PATH": PATH, "LC_ALL": "C", **(env or {})},
            start_new_session=True,
        )
    finally:
        os.close(fd)
        if given is not None:
            os.close(given)
    started = start_time(child.pid)
    if started is None:
        raise NetjailError("system", f"{name} ended at once: {log_tail(log)}")
    child.returncode = 0  # ours to reap by pid; keeps Popen from complaining when collected
    return Process(name, child.pid, started)


def _in_memory(text: str) -> int:
    """A descriptor from which the text can be read, once it is a program's own, from the start."""
    fd = os.memfd_create("netjail", os.MFD_CLOEXEC)
    data = text.encode()
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def start_time(pid: int) -> int | None:
    """Start time in clock ticks since boot, or None where it does not run (proc(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    values = text[text.rfind(b")") + 2 :].split()
    return None if values[0] in (b"Z", b"X") else int(values[19])


def stop(process: Process, seconds: float = 3) -> None:
    """SIGTERM, and SIGKILL when that does not help. Idempotent; reaps where it is our child."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if process.alive():
            for number, wait in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
                try:
                    signal.pidfd_send_signal(fd, number)
                except ProcessLookupError:
                    break
                if select.select([fd], [], [], wait)[0]:
                    break
    finally:
        os.close(fd)
    reap(process.pid)


def end_user(user: int) -> None:
    """End all programs of a user that only one program of ours is: what it has forked, too.
    Idempotent; nothing happens for users that others might be as well.

    One that has become the user does it: then the kernel signals all that there are at once, so
    that none gets away by forking meanwhile, or is missed by who looks through /proc. Such programs
    can do that to it, too; hence again.
    """
    if not _FIRST_OF_OURS <= user < _LAST_OF_OURS:
        return
    for _ in range(_TIMES):
        try:
            run([sys.executable, "-I", "-S", "-c", _KILL_ALL, str(user)])
        except NetjailError:
            pass  # one of them has killed it, or there is no such user here
        found = of_user(user)
        if not found:
            return
        for pid in found:
            _kill(pid, user)


_KILL_ALL = """
import os, sys
user = int(sys.argv[1])
os.setgroups([])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
with open("/proc/self/status") as file:
    status = dict(line.split(":", 1) for line in file)
if set(status["Uid"].split()) == {str(user)} and int(status["CapEff"], 16) == 0:
    try:
        os.kill(-1, 9)
    except ProcessLookupError:
        pass
"""
"""Sends SIGKILL to all that a user may signal, but to itself: with a capability left, that would be
everybody. It executes nothing after it has become the user, who cannot trace it therefore."""


def of_user(user: int) -> list[int]:
    """Numbers of the processes that a user has."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _belongs(entry, user):
            found.append(int(entry))
    return found


def _belongs(pid: str, user: int) -> bool:
    """By its real user: /proc/PID is root's where it may not be traced. Not one that has ended."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            text = file.read()
        return int(text.partition(b"\nUid:")[2].split()[0]) == user and b"\nState:\tZ" not in text
    except (OSError, ValueError, IndexError):
        return False


def _kill(pid: int, user: int) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _belongs(str(pid), user):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            select.select([fd], [], [], 1.0)
    except ProcessLookupError:
        pass
    finally:
        os.close(fd)


def reap(pid: int) -> None:
    """Take the exit status of a child of ours that ended; for others nothing happens."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def find(
    argv: list[str], name: str, user: int = 0, network: tuple[int, int] | None = None
) -> Process | None:
    """The process started with exactly this argument list (its first word apart), in our mount
    namespace: what a helper that was killed between start and record has left behind. It is
    root's, or that of the `user` it becomes: anybody may call a program of his own so. `network`:
    device and inode of the network namespace that it is in."""
    ours = own_mounts()
    wanted = [word.encode() for word in argv[1:]]
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().split(b"\0")[:-1]
            if not words or words[1:] != wanted or os.path.basename(words[0]) != argv[0].encode():
                continue
            mounts = os.stat(f"/proc/{entry}/ns/mnt")
            if (mounts.st_dev, mounts.st_ino) != ours or not _is_of(entry, user):
                continue
            if network is not None:
                net = os.stat(f"/proc/{entry}/ns/net")
                if (net.st_dev, net.st_ino) != network:
                    continue
        except OSError:
            continue
        started = start_time(int(entry))
        if started is not None:
            return Process(name, int(entry), started)
    return None


def _is_of(pid: str, user: int) -> bool:
    return os.stat(f"/proc/{pid}").st_uid in (0, user)


def wait_for(what: str, test: object, seconds: float, process: Process, log: str) -> None:
    """Wait until `test()` is true. Raises NetjailError when the process ends or time runs out."""
    assert callable(test)
    end = time.monotonic() + seconds
    pause = 0.002
    while not test():
        if not process.alive():
            reap(process.pid)
            raise NetjailError("system", f"{process.name} ended: {log_tail(log)}")
        if time.monotonic() > end:
            raise NetjailError("timeout", f"{process.name}: {what} took over {seconds:g} s")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def log_tail(path: str, limit: int = 300) -> str:
    """The last words of a log, on one line, fit to be shown: others may have had a say in them."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - limit))
            words = " ".join(file.read().decode(errors="replace").split())
        return checks.printable(words, limit) or "it said nothing"
    except OSError:
        return "it said nothing"
