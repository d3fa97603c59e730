# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away host with jails made by hand: what the engine does, without the engine.

The "host" is a network and a mount namespace with an /etc and a /run of its own, held open by
one child process. Nothing of the machine is touched, and everything goes when the child ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
ALICE, BOB = 7001, 7002

_SETUP = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /var/lib/netjail
mount -t tmpfs tmpfs /var/lib/netjail
mkdir /run/etc /run/lock /run/netns /run/home
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
mount --bind /run/netns /run/netns
mount --make-shared /run/netns
rm -f /etc/resolv.conf
echo 'nameserver 192.0.2.53' > /etc/resolv.conf
echo alice:x:7001:7001:Alice:/run/home/alice:/bin/sh >> /etc/passwd
echo bob:x:7002:7002:Bob:/run/home/bob:/bin/sh >> /etc/passwd
echo 'alice:*:19000:0:99999:7:::' >> /etc/shadow
echo alice:x:7001: >> /etc/group
echo bob:x:7002: >> /etc/group
echo readers:x:7100:alice >> /etc/group
mkdir -p /run/netjail/jails /run/netjail/view
chmod 700 /run/netjail/jails
install -d -m 700 -o 7001 -g 7001 /run/home/alice
install -d -m 700 -o 7002 -g 7002 /run/home/bob
ip link set lo up
"""


def missing() -> str | None:
    """Why none of this works here; None when it does."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return f"needs the program {program}"
    probe = "mount -t tmpfs t /mnt && mount -t overlay -o lowerdir=/mnt:/etc o /mnt"
    done = subprocess.run(
        ["unshare", "-mn", "--propagation", "private", "sh", "-c", probe],
        capture_output=True,
        check=False,
    )
    return None if done.returncode == 0 else "needs to unshare, and to mount tmpfs and overlay"


class Box:
    """The host. `shared`: with / shared, as systemd has it, rather than private."""

    def __init__(self, shared: bool = False, setup: str = "") -> None:
        propagation = "mount --make-rshared /\n" if shared else ""
        script = propagation + _SETUP + setup + "echo ready\nexec sleep 600"
        self.holder = subprocess.Popen(
            ["unshare", "-mn", "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == "ready\n", "the throw-away host did not come up"
        self.pid = self.holder.pid
        self.lock = os.open(self.path("/run/netjail/helper.lock"), os.O_RDWR | os.O_CREAT)
        fcntl.flock(self.lock, fcntl.LOCK_EX)  # as a helper that is alive
        self.launcher = self._launcher()

    def close(self) -> None:
        os.close(self.lock)
        self.holder.kill()
        self.holder.wait()
        assert self.holder.stdout is not None
        self.holder.stdout.close()

    def path(self, path: str) -> Path:
        """A path of the host as this process reaches it."""
        return Path(f"/proc/{self.pid}/root{path}")

    def _launcher(self) -> str:
        path = "/run/netjail-launcher"
        code = (
            "import sys; from netjail.launch.stub import render;"
            f"print(render({sys.executable!r}, {str(REPO)!r}), end='')"
        )
        text = subprocess.run(
            [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
        ).stdout
        self.path(path).write_text(text)
        self.path(path).chmod(0o755)
        return path

    def argv(self, argv: Sequence[str]) -> list[str]:
        """A command line that runs `argv` on the host."""
        return ["nsenter", "-t", str(self.pid), "-m", "-n", *argv]

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a command on the host; its output."""
        return subprocess.run(
            self.argv(argv), stdout=subprocess.PIPE, text=True, check=check, timeout=30
        ).stdout

    def sh(self, script: str) -> str:
        return self.run("sh", "-ec", script)

    def jail(self, name: str, *lines: str, stop: str = "never") -> str:
        """Make a jail that is up; `lines` come on top of what its `enter` file must have."""
        netns = f"netjail-{name}"
        view = f"/run/netjail/view/{name}"
        self.sh(
            f"ip netns add {netns}; ip -n {netns} link set lo up;"
            f"ip link add nj-{name} type veth peer name eth0 netns {netns} ||"
            f" ip -n {netns} tuntap add eth0 mode tun;"
            f"mkdir -p {view}/etc {view}/dns {view}/resolve {view}/empty /run/netjail/jails/{name};"
            f"echo nameserver 198.51.100.1 > {view}/dns/resolv.conf;"
            f"echo 'hosts: files dns' > {view}/etc/nsswitch.conf;"
            f"ln -s {view}/dns/resolv.conf {view}/etc/resolv.conf;"
            f"ln -s {view}/dns/resolv.conf {view}/resolve/resolv.conf;"
        )
        self.write_enter(name, *lines, stop=stop)
        return name

    def write_enter(self, name: str, *lines: str, stop: str = "never", **change: str) -> None:
        """Put the `enter` file in place; `change` replaces the values of single keys."""
        net = f"/run/netns/netjail-{name}"
        dev, ino = self.run("stat", "-c", "%d\t%i", net).strip().split("\t")
        fields = {
            "netjail-enter": "1",
            "profile": name,
            "stop": stop,
            "net": f"{net}\t{dev}\t{ino}",
            "etc": f"/run/netjail/view/{name}/etc",
        } | change
        text = "".join(f"{key}\t{value}\n" for key, value in fields.items())
        text += "".join(line + "\n" for line in lines)
        file = self.path(f"/run/netjail/jails/{name}/enter")
        new = file.with_name("enter.new")
        new.touch(mode=0o600)
        new.write_text(text)
        new.rename(file)

    def unjail(self, name: str) -> None:
        self.sh(
            f"rm -r /run/netjail/jails/{name} /run/netjail/view/{name};"
            f"ip link del nj-{name} 2>/dev/null || true; ip netns del netjail-{name}"
        )

    def netjail(
        self,
        *args: str,
        env: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
        **options: object,
    ) -> subprocess.CompletedProcess[str]:
        """Run our launcher on the host, with nothing in the environment but `env` and PATH."""
        options = {"capture_output": True, "text": True, "timeout": 30, "check": False} | options
        words = self.argv([*prefix, self.launcher, *args])
        return subprocess.run(words, env=clean_env(env), **options)  # type: ignore[call-overload,no-any-return]

    def inside(self, name: str, *options: str, env: dict[str, str] | None = None) -> Session:
        """A shell that runs in the jail, to be asked things while the host changes."""
        words = self.argv([self.launcher, "run", *options, name, "sh"])
        return Session(words, clean_env(env))


def clean_env(env: dict[str, str] | None) -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | (env or {})


class Session:
    """A shell that waits for commands."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, bufsize=1
        )
        self.ask("true")

    def ask(self, command: str) -> str:
        """Have the shell do it; its output without the last line end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{{ {command}\n}} 2>&1; echo; echo =end=\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == "=end=\n":
                return "".join(lines).rstrip("\n")
            lines.append(line)
        raise AssertionError(f"the shell ended with {self.process.wait()}: {''.join(lines)}")

    def close(self) -> None:
        self.process.communicate("exit\n", timeout=10)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wait_until(condition: object, seconds: float = 30) -> bool:
    """Whether `condition()` became true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False
