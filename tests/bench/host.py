# SPDX-License-Identifier: GPL-3.0-or-later
"""The throw-away host on which everything is measured: a network and a mount namespace with an
/etc and a /run of their own, a neighbour to talk to, a copy of netjail, and a resident helper.

The helper runs from a byte-compiled copy, as it would when installed, so that a change of the
work tree during a run changes nothing.
"""

from __future__ import annotations

import compileall
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import Contender, run, timed

REPO = Path(__file__).resolve().parents[2]
ROOM = Path("/run/bench")
LAUNCHER = str(ROOM / "netjail")
PYTHON = os.path.realpath(sys.executable)
ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
}
"""What is set is what a root shell has; nothing of sudo's, so that it is -u that decides."""
VETH = 'version = 1\n[uplink]\nkind = "veth"\n[dns]\nmode = "static"\nservers = ["192.0.2.1"]\n'
NEIGHBOUR = "neighbour"
"""Namespace beyond the host's uplink: its router at 192.0.2.1 and 2001:db8::1."""
BEYOND = "198.51.100.1"
"""The neighbour by an address that is not of the host's own network, which is fenced off."""

_SETUP = """
set -e
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /var/lib/netjail
mount -t tmpfs tmpfs /var/lib/netjail
mkdir -p /run/bench/etc /run/netns /run/lock
cp -a /etc/. /run/bench/etc
mount --bind /run/bench/etc /etc
rm -rf /etc/netjail /etc/netns
mkdir /etc/netjail /etc/netns
rm -f /etc/resolv.conf
echo 'nameserver 192.0.2.1' > /etc/resolv.conf
ip link set lo up
"""

_NEIGHBOUR = """
set -e
ip netns add neighbour
ip link add up0 type veth peer name up1 netns neighbour
ip addr add 192.0.2.10/24 dev up0
ip -6 addr add 2001:db8::10/64 dev up0 nodad
ip link set up0 up
ip -n neighbour link set lo up
ip -n neighbour addr add 192.0.2.1/24 dev up1
ip -n neighbour -6 addr add 2001:db8::1/64 dev up1 nodad
ip -n neighbour link set up1 up
ip -n neighbour addr add 198.51.100.1/32 dev lo
ip -n neighbour route add default via 192.0.2.10
ip route add default via 192.0.2.1
ip -6 route add default via 2001:db8::1
"""


def missing() -> str | None:
    """Why nothing can be measured here, or None."""
    if os.geteuid() != 0:
        return "the benchmarks need root: they make namespaces"
    for program in ("unshare", "ip", "nft"):
        if shutil.which(program) is None:
            return f"the program {program} is not installed"
    return None


def argv(words: list[str], *, pids: bool) -> list[str]:
    """A command line that runs `words` on a new host. `pids`: with a process namespace too, so
    that nothing can be left running (firejail takes one for a sandbox and does nothing there)."""
    own = ["--pid", "--fork", "--kill-child", "--mount-proc"] if pids else []
    return ["unshare", "-mn", "--propagation", "private", *own, PYTHON, *words]


class Host:
    """Made by the process that `argv` started; its end is the host's."""

    def __init__(self) -> None:
        subprocess.run(["sh", "-c", _SETUP], check=True)
        package = ROOM / "package"
        shutil.copytree(
            REPO / "netjail", package / "netjail", ignore=shutil.ignore_patterns("__pycache__")
        )
        compileall.compile_dir(str(package), quiet=1)
        sys.path.insert(0, str(package))
        from netjail.launch.stub import render

        packages = [path for path in sys.path if path.endswith("-packages")]
        Path(LAUNCHER).write_text(render(PYTHON, str(package), packages))
        Path(LAUNCHER).chmod(0o755)
        from netjail.engine.ns import make_shared_directory

        make_shared_directory()  # as on a host where netjail was there before `ip netns`
        subprocess.run(["sh", "-c", _NEIGHBOUR], check=True)
        os.environ.clear()
        os.environ.update(ENV)
        self._helper = self._start(package)

    def _start(self, package: Path) -> subprocess.Popen[bytes]:
        ready, ready_child = os.pipe()
        main = str(package / "netjail" / "daemon" / "__main__.py")
        words = [PYTHON, "-I", main, "--no-bus", "--idle-timeout", "3600"]
        os.makedirs("/run/netjail", exist_ok=True)
        with open("/run/netjail/netjaild.log", "ab") as log:
            helper = subprocess.Popen(
                [*words, "--ready-fd", str(ready_child)],
                pass_fds=[ready_child],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=ENV,
                start_new_session=True,
                cwd="/",
            )
        os.close(ready_child)
        if os.read(ready, 4096) != b"\n":
            raise SystemExit(Path("/run/netjail/netjaild.log").read_text())
        os.close(ready)
        return helper

    @property
    def helper(self) -> int:
        """The helper's pid."""
        return self._helper.pid

    def close(self) -> None:
        """End the helper; the namespaces go with us."""
        self._helper.send_signal(signal.SIGTERM)
        try:
            self._helper.wait(30)
        except subprocess.TimeoutExpired:
            self._helper.kill()
            self._helper.wait()

    def client(self) -> Any:
        """A connection to the helper."""
        from netjail.client import connect

        return connect(start=False)

    def add(self, client: Any, name: str, text: str = VETH) -> None:
        """Store a profile."""
        client.call("profile.add", {"name": name, "text": text, "replace": True})

    def settle(self) -> None:
        """Let the helper be done with what follows an operation (the host's networks changed)."""
        time.sleep(0.02)


def whole(*words: str) -> Contender:
    """`netjail WORDS` as a whole command."""
    full = [LAUNCHER, *words]
    return lambda: timed(lambda: run(full, ENV))


def after(measured: Contender, *untimed: Callable[[], object]) -> Contender:
    """`measured`, with things done afterwards that do not count."""

    def once() -> float:
        value = measured()
        for act in untimed:
            act()
        return value

    return once


def before(measured: Contender, *untimed: Callable[[], object]) -> Contender:
    """`measured`, with things done before that do not count."""

    def once() -> float:
        for act in untimed:
            act()
        return measured()

    return once


def installed(program: str) -> str | None:
    """Where a program is."""
    return shutil.which(program, path=ENV["PATH"])
