# SPDX-License-Identifier: GPL-3.0-or-later
"""What suites are written with: tests that report as TAP, and the people who use the machine.

    from guest import main, sh, test

    @test
    def kernel_has_wireguard() -> None:
        "the kernel has WireGuard"
        sh("modprobe wireguard")

    main()

Tests run in the order they are written in, in one process, as root. One that fails does not stop
those after it.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path("/mnt/results")
SUITE = os.environ.get("NETJAIL_SUITE", "suite")
PHASE = int(os.environ.get("NETJAIL_PHASE", "0"))
"""How many reboots this suite has asked for."""
DEBIAN = json.loads((RESULTS / "job.json").read_text())["debian"]
DEB = str(RESULTS / "netjail.deb")
REBOOT = 75
TEST_SECONDS = 120


class Skip(Exception):
    """Raised by a test that makes no sense here: the reason."""


@dataclass(frozen=True)
class Done:
    """What came of a program."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out.strip()


_tests: list[tuple[Callable[[], None], int]] = []
_needed: set[Callable[[], None]] = set()


def test(function: Callable[[], None]) -> Callable[[], None]:
    """Register a test of the first phase. Its docstring is its title."""
    return in_phase(0)(function)


def needed(function: Callable[[], None]) -> Callable[[], None]:
    """Without this test (decorate it with `test` as well) the rest makes no sense."""
    _needed.add(function)
    return function


def in_phase(phase: int) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a test that runs after `phase` reboots."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        _tests.append((function, phase))
        return function

    return register


def main() -> None:
    """Run the tests of this phase; then end, or ask for a reboot if there are later phases."""
    last = max(phase for _, phase in _tests)
    number = sum(phase < PHASE for _, phase in _tests)
    path = RESULTS / f"{SUITE}.tap"
    with path.open("a") as tap:
        for function, phase in _tests:
            if phase != PHASE:
                continue
            number += 1
            line = _run(function, number)
            print(line, file=tap, flush=True)
            if line.startswith("not ok") and function in _needed:
                print("Bail out!", file=tap, flush=True)
                sys.exit(1)
        if last == PHASE:
            print(f"1..{number}", file=tap, flush=True)
    sys.exit(REBOOT if last > PHASE else 0)


def _run(function: Callable[[], None], number: int) -> str:
    title = (inspect.getdoc(function) or function.__name__).splitlines()[0].rstrip(".")
    print(f"--- {function.__name__}: {title}", flush=True)
    started = time.monotonic()
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(TEST_SECONDS)
    try:
        function()
    except Skip as reason:
        return f"ok {number} - {title} # SKIP {reason}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        text = traceback.format_exc()
        print(text, flush=True)
        detail = "".join(f"\n# {line}" for line in text.splitlines()[-12:])
        return f"not ok {number} - {title}{detail}"
    finally:
        signal.alarm(0)
        print(f"    {time.monotonic() - started:.1f} s", flush=True)
    return f"ok {number} - {title}"


def _late(number: int, frame: object) -> None:
    raise TimeoutError(f"the test took more than {TEST_SECONDS} s")


# Programs -------------------------------------------------------------------------------------


def sh(command: str | list[str], *, ok: bool | None = True, timeout: float = 60) -> Done:
    """Run a command as root (a string is split as a shell would, but no shell is used).

    `ok`: True, it must succeed; False, it must fail; None, either.
    """
    argv = shlex.split(command) if isinstance(command, str) else command
    print("$", shlex.join(argv), flush=True)
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
    return _judge(argv, Done(done.returncode, done.stdout, done.stderr), ok)


def at_seat(
    command: str | list[str],
    *,
    user: str = "alice",
    ok: bool | None = True,
    timeout: float = 60,
) -> Done:
    """Run a command in the session on seat0: an active local session, without a password."""
    argv = shlex.split(command) if isinstance(command, str) else command
    print(f"{user}@seat0 $", shlex.join(argv), flush=True)
    import pwd

    path = f"/run/user/{pwd.getpwnam(user).pw_uid}/netjail-tests.sock"
    eventually(lambda: os.path.exists(path), "the session on tty1 is there", seconds=60)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout + 10)
        sock.connect(path)
        with sock.makefile("rw") as stream:
            stream.write(json.dumps({"argv": argv, "timeout": timeout}) + "\n")
            stream.flush()
            answer = json.loads(stream.readline())
    return _judge(argv, Done(**answer), ok)


def by_ssh(command: str | list[str], *, user: str = "alice", ok: bool | None = True) -> Done:
    """Run a command in a session without a seat, as over the network. No terminal."""
    line = command if isinstance(command, str) else shlex.join(command)
    options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=30", "-o", "Ciphers=aes128-ctr"]
    return sh(["ssh", *options, f"{user}@localhost", line], ok=ok)


def _judge(argv: list[str], done: Done, ok: bool | None) -> Done:
    for text in (done.out, done.err):
        if text.strip():
            print("".join(f"  {line}\n" for line in text.splitlines()[-30:]), end="", flush=True)
    if ok is not None and (done.code == 0) != ok:
        wanted = "succeed" if ok else "fail"
        raise AssertionError(
            f"{shlex.join(argv)} did not {wanted}: status {done.code}, "
            f"{(done.err or done.out).strip()[-400:]}"
        )
    return done


@contextlib.contextmanager
def background(command: str | list[str], *, netns: str | None = None) -> Iterator[subprocess.Popen]:
    """A program that runs as long as the block does; ended by its pid."""
    argv = shlex.split(command) if isinstance(command, str) else command
    if netns:
        argv = ["ip", "netns", "exec", netns, *argv]
    print("&", shlex.join(argv), flush=True)
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()


def eventually(what: Callable[[], object], title: str, *, seconds: float = 20) -> object:
    """Wait until `what()` is true; its value. Raises AssertionError naming `title`."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(AssertionError, OSError, ValueError):
            value = what()
            if value:
                return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {title}")
        time.sleep(0.2)


class Capture:
    """Packets on an interface while a block runs: `with Capture("lo", "port 53") as seen: ...`

    Afterwards `seen.lines` holds one line per packet, as tcpdump prints it.
    """

    def __init__(self, interface: str, expression: str) -> None:
        self._argv = ["tcpdump", "-n", "-l", "--immediate-mode", "-i", interface, expression]
        self.lines: list[str] = []

    def __enter__(self) -> Capture:
        print("&", shlex.join(self._argv), flush=True)
        self._process = subprocess.Popen(
            self._argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr
        for line in self._process.stderr:
            if "listening on" in line:
                break
        else:
            raise AssertionError("tcpdump did not start")
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(0.5)  # what is under way
        self._process.terminate()
        out, _ = self._process.communicate(timeout=20)
        self.lines = [line for line in out.splitlines() if line.strip()]
        print("".join(f"  packet: {line}\n" for line in self.lines[:10]), end="", flush=True)


def netjail(words: str | list[str]) -> dict:
    """The result of a netjail command that reports (--json), as root."""
    argv = shlex.split(words) if isinstance(words, str) else words
    done = sh(["netjail", *argv, "--json"])
    return json.loads(done.out)["result"]
