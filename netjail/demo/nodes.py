# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of the stage: namespaces held by a process, and programs run in them.

A program on the stage is a direct child of this process (so signals, exit statuses and terminals
work as ever), but lives in the stage's PID namespace, so that it ends with the stage.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

from netjail.errors import NetjailError

CLONE_NEWPID = 0x20000000
CLOSE_SECONDS = 10
HOME_DIR = "/run/root"
"""Root's home directory on the stage, so that nothing is written into the machine's."""
HOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "holder.py")

_libc = ctypes.CDLL(None, use_errno=True)
Environment = Mapping[str, str | None]


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise NetjailError(
            "system",
            f"the stage cannot be set up: {what}: {os.strerror(number)}",
            "run it as root, outside of a container that forbids namespaces",
        )


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM take effect at the end: a child that was started, but of which nobody
    knows, would never be reaped, and the stage's process 1 cannot end before that."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python's signal handlers run in the main thread only
        return
    came: list[int] = []
    before: dict[int, Any] = {}
    try:
        for number in map(int, (signal.SIGINT, signal.SIGTERM)):
            if callable(signal.getsignal(number)):
                before[number] = signal.signal(number, lambda n, _: came.append(n))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)


@contextlib.contextmanager
def _children_in(pidns: int | None) -> Iterator[None]:
    """Children that this thread starts meanwhile are born in the PID namespace (a descriptor),
    or in a new one (None). Holds for this thread alone."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if pidns is None:
            _check(_libc.unshare(CLONE_NEWPID), "a new PID namespace")
        else:
            _check(_libc.setns(pidns, CLONE_NEWPID), "entering the PID namespace")
        try:
            yield
        finally:
            _check(_libc.setns(own, CLONE_NEWPID), "returning to the own PID namespace")
    finally:
        os.close(own)


def base_environment() -> dict[str, str]:
    """Ours, with the sbin directories, without what leads off the stage or belongs to a session."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("SUDO_", "XDG_"))
    }
    env["HOME"] = HOME_DIR
    path = env.get("PATH", "").split(":")
    path += [p for p in ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin") if p not in path]
    env["PATH"] = ":".join(p for p in path if p)
    return env


def listens(path: str) -> bool:
    """Whether somebody answers at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


class Output:
    """What a program says, read as it comes by a thread of its own (it never blocks on us)."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._data = bytearray()
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while data := os.read(stream.fileno(), 65536):
                with self._changed:
                    self._data += data
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def data(self) -> bytes:
        """All so far."""
        with self._changed:
            return bytes(self._data)

    def text(self) -> str:
        """All so far."""
        return self.data().decode(errors="replace")

    def wait_for(self, what: bytes, seconds: float) -> bool:
        """Whether it said so in time (and before its end)."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or what in self._data, seconds)
            return what in self._data

    def join(self, seconds: float) -> None:
        """Wait until the program closed its end."""
        self._thread.join(seconds)


class Node:
    """One machine. `role` and `shared` as in `holder`; `inside`: on whose files it stands."""

    def __init__(
        self, name: str, role: str, *, shared: bool = True, inside: Node | None = None
    ) -> None:
        self.name = name
        self._children: list[subprocess.Popen[Any]] = []
        self._pidns = -1
        argv = [sys.executable, "-I", "-S", HOLDER, role, name, "shared" if shared else "private"]
        if inside is not None:
            argv = [*inside._enter("mount", "root"), *argv]
        with _children_in(inside._pidns if inside is not None else None):
            self._holder = self._hold(argv)
        self.pid = self._holder.pid
        self._pidns = os.open(f"/proc/{self.pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    @staticmethod
    def _hold(argv: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us, not for the stage
            cwd="/",
            env=base_environment(),
        )

    def wait_ready(self) -> None:
        """Wait for the holder. Raises NetjailError("system")."""
        holder = self._holder
        assert holder.stdout is not None and holder.stderr is not None
        line = holder.stdout.readline()
        if not line:
            said = holder.stderr.read().decode(errors="replace").strip()
            reason = said.splitlines()[-1] if said else "no reason given"
            raise NetjailError(
                "system",
                f"the stage's machine “{self.name}” cannot be set up: {reason}",
                "run it as root, outside of a container that forbids namespaces",
            )
        self.inner_pid = int(line)

    def path(self, path: str) -> str:
        """An absolute path on this machine, as one that this process can open."""
        return f"/proc/{self.pid}/root{path}"

    def _enter(self, *kinds: str) -> list[str]:
        proc = f"/proc/{self.pid}"
        where = {
            "mount": f"--mount={proc}/ns/mnt",
            "net": f"--net={proc}/ns/net",
            "uts": f"--uts={proc}/ns/uts",
            "root": f"--root={proc}/root",
        }
        return ["nsenter", *(where[kind] for kind in kinds)]

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Environment | None = None,
        cwd: str | None = None,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Start a program here; the result is the program's own process.

        env: changes to the environment (None removes). cwd: default is ours. options: as
        subprocess.Popen has them.
        """
        variables = base_environment()
        for name, value in (env or {}).items():
            if value is None:
                variables.pop(name, None)
            else:
                variables[name] = value
        wd = cwd if cwd is not None else os.getcwd()
        enter = [*self._enter("mount", "net", "uts", "root"), f"--wdns={wd}", "--"]
        self._children = [c for c in self._children if c.poll() is None]
        with uninterrupted():
            with _children_in(self._pidns):
                child = subprocess.Popen([*enter, *argv], env=variables, **options)
            self._children.append(child)
        return child

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = False,
        env: Environment | None = None,
        input: str | None = None,
        timeout: float = 60,
        cwd: str | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program here to its end; stdout and stderr as text in the result.

        check: raise NetjailError("system") with what it said when it fails. timeout: seconds,
        then the program is killed and subprocess.TimeoutExpired raised.
        """
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("stdin", subprocess.DEVNULL if input is None else subprocess.PIPE)
        child = self.popen(argv, env=env, cwd=cwd, text=True, errors="replace", **options)
        try:
            out, err = child.communicate(input, timeout=timeout)
        except BaseException:
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):  # what it left may hold them
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            raise
        if check and child.returncode != 0:
            raise NetjailError(
                "system",
                f"on the stage's machine “{self.name}”, `{' '.join(argv)}` ended with status "
                f"{child.returncode}: {(err or out or '').strip()}",
            )
        return subprocess.CompletedProcess(list(argv), child.returncode, out, err)

    def service(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program that is not to see our Ctrl-C."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return self.popen(argv, start_new_session=True, cwd="/", **options)

    def ip(self, *commands: str) -> None:
        """ip-batch(8); blank commands are skipped."""
        lines = "\n".join(line for line in commands if line)
        self.run(["ip", "-batch", "-"], input=lines + "\n", check=True, cwd="/")

    def kill(self) -> None:
        """End the holder (for "home": and with it every process on the stage)."""
        if self._holder.poll() is None:
            self._holder.kill()

    def close(self) -> None:
        """End the holder and whatever was started here. May be called twice."""
        self.kill()
        for child in self._children:
            if child.poll() is None:
                child.kill()
        for child in [*self._children, self._holder]:
            # It has been killed; should it not end, then it does when we have.
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(CLOSE_SECONDS)
        for stream in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if self._pidns >= 0:
            os.close(self._pidns)
            self._pidns = -1


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.01) -> bool:
    """Whether the condition came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True


_QUERY = re.compile(r"query\[(\S+)\] (\S+) from (\S+)")


def queries(log: str) -> list[tuple[str, str, str]]:
    """(type, name, asker) of each question in a query log of dnsmasq."""
    return [(m[1], m[2], m[3]) for m in _QUERY.finditer(log)]
