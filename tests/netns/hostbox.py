# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away host on which the real netjail runs, with a little neighbourhood around it.

    inet   192.0.2.1, 2001:db8::1, and "servers" 203.0.113.80, 2001:db8:80::80; a WireGuard
      |    server on port 51820 (10.9.0.1, fd09::1)
    up0    192.0.2.10, 2001:db8::10, the host's default route
    host
    lan0   192.168.7.10, fd77::10
      |
    neigh  192.168.7.2, fd77::2, who would like to use the host as a router

With `second` there is another way to the same servers: alt0 (198.51.100.10) to `alt`.

The host has network, mount and process namespaces of its own and writable copies of /etc and
/run; all of it ends with the one process that holds it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
SERVER4, SERVER6 = "203.0.113.80", "2001:db8:80::80"
NEIGHBOUR4, NEIGHBOUR6 = "192.168.7.2", "fd77::2"
HOST4, HOST6 = "192.0.2.10", "2001:db8::10"
PROVIDER4, PROVIDER6 = "10.9.0.1", "fd09::1"

_SETUP = """
set -e
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /var/lib/netjail
mount -t tmpfs tmpfs /var/lib/netjail
mkdir /run/etc
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
mount -t sysfs sysfs /sys
rm -rf /etc/netjail /etc/netns /etc/resolv.conf
mkdir /etc/netjail /etc/netns
mount -t tmpfs -o mode=755 tmpfs /etc/netjail
mount -t tmpfs -o mode=755 tmpfs /etc/netns
echo 'nameserver 192.0.2.1' > /etc/resolv.conf
ip link set lo up
echo 0 > /proc/sys/net/ipv6/conf/default/dad_transmits
link() {  # link NS HOSTIF ITSIF PREFIX4 PREFIX6 HOST ITS
    ip netns add "$1"
    ip netns exec "$1" sh -c 'echo 0 > /proc/sys/net/ipv6/conf/default/dad_transmits'
    ip link add "$2" type veth peer name "$3" netns "$1"
    ip addr add "$4.$6/24" dev "$2"
    ip -n "$1" addr add "$4.$7/24" dev "$3"
    ip -6 addr add "$5::$6/64" dev "$2" nodad
    ip -n "$1" -6 addr add "$5::$7/64" dev "$3" nodad
    ip link set "$2" up
    ip -n "$1" link set "$3" up
    ip -n "$1" link set lo up
}
link inet up0 up1 192.0.2 2001:db8 10 1
link neigh lan0 lan1 192.168.7 fd77 10 2
ip -n inet addr add 203.0.113.80/32 dev lo
ip -n inet -6 addr add 2001:db8:80::80/128 dev lo nodad
ip route add default via 192.0.2.1
ip -6 route add default via 2001:db8::1
ip -n neigh route add default via 192.168.7.10
ip -n neigh -6 route add default via fd77::10
"""
_SECOND = """
link alt alt0 alt1 198.51.100 2001:db8:51 10 1
ip -n alt addr add 203.0.113.80/32 dev lo
ip -n alt -6 addr add 2001:db8:80::80/128 dev lo nodad
ip route add default via 198.51.100.1 metric 500
ip -6 route add default via 2001:db8:51::1 metric 5000
"""
_PROVIDER = """
ip netns exec inet wireguard-go --foreground wgs > /run/wgs.log 2>&1 &
while ! [ -S /run/wireguard/wgs.sock ]; do sleep 0.01; done
ip netns exec inet wg setconf wgs /run/wgs.conf
ip -n inet addr add 10.9.0.1/24 dev wgs
ip -n inet -6 addr add fd09::1/64 dev wgs nodad
ip -n inet link set wgs up
"""
_WHO = """
import socket, sys, threading
def serve(sock):
    while True:
        peer, address = sock.accept()
        text = sys.argv[1] + " " + address[0].removeprefix("::ffff:") + "\\n"
        try:
            peer.sendall(text.encode()); peer.close()
        except OSError:
            pass
sock = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True, backlog=99)
open(f"/run/who-{sys.argv[1]}", "w").close()
serve(sock)
"""
ASK = """
import errno, socket, sys, threading
answers = {}
def ask(address):
    try:
        with socket.create_connection((address, 80), float(sys.argv[1])) as sock:
            answers[address] = sock.recv(99).decode().strip()
    except TimeoutError:
        answers[address] = "silence"
    except OSError as error:
        answers[address] = errno.errorcode.get(error.errno, str(error))
threads = [threading.Thread(target=ask, args=[address]) for address in sys.argv[2:]]
for thread in threads: thread.start()
for thread in threads: thread.join()
for address in sys.argv[2:]: print(answers[address])
"""
_REQUEST = """
import json, sys
from netjail import client, errors
try:
    print(client.connect(start=False).call(sys.argv[1], json.loads(sys.argv[2])))
except errors.NetjailError as error:
    sys.exit(str(error))
"""
_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": str(REPO),
    "PYTHONDONTWRITEBYTECODE": "1",
    "LC_ALL": "C.UTF-8",
}
_SNAPSHOT = """
import glob, json, os, subprocess
def out(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    return done.stdout.splitlines()
def tree(path):
    return sorted(os.path.join(d, n) for d, ds, fs in os.walk(path) for n in (*ds, *fs))
def text(path):
    try:
        return open(path).read().strip()
    except OSError:
        return None
keys = [p for k in ("ipv4/conf/*/forwarding", "ipv4/conf/*/rp_filter", "ipv6/conf/*/forwarding",
        "ipv6/conf/*/force_forwarding", "ipv6/conf/*/accept_ra", "ipv4/ip_forward")
        for p in glob.glob("/proc/sys/net/" + k) if "/nj-" not in p]
processes = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    words = (text(f"/proc/{pid}/cmdline") or "").split("\\0")
    if os.path.basename(words[0]) in ("wireguard-go", "dnsmasq", "ovsdb-server", "ovs-vswitchd"):
        processes.append(" ".join(words).strip())
print(json.dumps({
    "namespaces": sorted(os.listdir("/run/netns")),
    "mounts": sorted(p for p in (l.split()[4] for l in open("/proc/self/mountinfo"))
                     if p.startswith(("/run/", "/etc", "/sys"))),
    "links": sorted(l.split(": ")[1].split("@")[0] for l in out("ip", "-o", "link")),
    "tables": out("nft", "list", "tables"),
    "rules": sorted(out("ip", "rule") + out("ip", "-6", "rule")),
    "routes": sorted(l for f in ("-4", "-6") for l in out("ip", f, "route", "show", "table", "all")
                     if not any(w in l for w in ("dev nj-", "multicast", "fe80:"))),
    "processes": sorted(processes),
    "files": tree("/run/netjail/jails") + tree("/run/netjail/view") + tree("/etc/netns")
        + tree("/run/netjail/switches")
        + sorted(glob.glob("/run/netjail/made-*") + glob.glob("/run/netjail/host.json*"))
        + sorted(glob.glob("/run/wireguard/*"))
        + [p for p in ("/run/nscd", "/run/avahi-daemon") if os.path.exists(p)],
    "sysctls": {key: text(key) for key in sorted(keys)},
}))
"""


def missing() -> str | None:
    """Why none of this works here; None when it does."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("unshare", "nsenter", "ip", "wg", "wireguard-go", "nft", "dnsmasq"):
        if shutil.which(program) is None:
            return f"needs the program {program}"
    probe = "mount -t tmpfs t /mnt && mount -t overlay -o lowerdir=/mnt:/etc o /mnt"
    done = subprocess.run(
        ["unshare", "-mnp", "--fork", "--propagation", "private", "sh", "-c", probe],
        capture_output=True,
        check=False,
    )
    return None if done.returncode == 0 else "needs to unshare, and to mount tmpfs and overlay"


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    argv: tuple[str, ...]
    status: int
    out: str
    err: str

    def json(self) -> Any:
        """The `result` of a --json envelope."""
        return json.loads(self.out)["result"]

    def ok(self) -> Said:
        assert self.status == 0, self
        return self

    def failed(self, *words: str, status: int = 1) -> Said:
        """It failed as a command of ours may: one clear sentence with these words in it."""
        assert self.status == status, self
        assert "Traceback" not in self.err + self.out, self
        assert "bug" not in self.err, self
        assert self.err.strip(), self
        for word in words:
            assert word in self.err, (word, self)
        return self


class Host:
    """The throw-away host. `ready()` puts everything back between two tests."""

    def __init__(self, second: bool = False, setup: str = "") -> None:
        keys = [self._key() for _ in range(4)]
        self._server, *self._clients = keys
        script = _SETUP + (_SECOND if second else "") + setup + "echo ready\nexec sleep 1200"
        shell = ["sh", "-c", script]
        self._holder = subprocess.Popen(
            ["unshare", "-mnp", "--propagation", "private", "--fork", "--kill-child", *shell],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n", "the throw-away host did not come up"
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self.pid = int(children.read_text().split()[0])
        self._provider()
        spaces = ["", "inet", "neigh", *(["alt"] if second else [])]
        self._who = [self._serve(space) for space in spaces]
        assert wait_until(lambda: len(self.glob("/run/who-*")) == len(spaces))
        self.baseline = self.snapshot()

    def close(self) -> None:
        self._holder.kill()  # and --kill-child ends the first process, and with it all others
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()
        for process in self._who:
            process.kill()
            process.wait()

    @staticmethod
    def _key() -> tuple[str, str]:
        private = subprocess.run(["wg", "genkey"], capture_output=True, check=True).stdout
        public = subprocess.run(["wg", "pubkey"], input=private, capture_output=True, check=True)
        return private.decode().strip(), public.stdout.decode().strip()

    def _provider(self) -> None:
        peers = "".join(
            f"[Peer]\nPublicKey = {public}\nAllowedIPs = 10.9.0.{n}/32, fd09::{n}/128\n"
            for n, (_, public) in enumerate(self._clients, 2)
        )
        text = f"[Interface]\nPrivateKey = {self._server[0]}\nListenPort = 51820\n{peers}"
        self.write("/run/wgs.conf", text)
        self.sh(_PROVIDER)

    def _serve(self, space: str) -> subprocess.Popen[bytes]:
        enter = ["ip", "netns", "exec", space] if space else []
        argv = [*enter, "/usr/bin/python3", "-S", "-c", _WHO, space or "host"]
        return subprocess.Popen(self.argv(argv), stdin=subprocess.DEVNULL)

    # -- the machine ---------------------------------------------------------------------------

    def path(self, path: str) -> Path:
        """A path of the host as this process reaches it."""
        return Path(f"/proc/{self.pid}/root{path}")

    def glob(self, pattern: str) -> list[str]:
        root = f"/proc/{self.pid}/root"
        return sorted(str(p).removeprefix(root) for p in Path(root).glob(pattern.lstrip("/")))

    def write(self, path: str, text: str, mode: int = 0o600) -> str:
        self.path(path).write_text(text)
        self.path(path).chmod(mode)
        return path

    def argv(self, argv: Sequence[str]) -> list[str]:
        """A command line that runs `argv` on the host."""
        return ["nsenter", "-t", str(self.pid), "-m", "-n", "-p", *argv]

    def run(self, *argv: str, timeout: float = 40, **env: str) -> Said:
        """Run a command on the host."""
        done = subprocess.run(
            self.argv(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=_ENV | env,
            cwd="/",
        )
        return Said(argv, done.returncode, done.stdout, done.stderr)

    def sh(self, script: str) -> str:
        # descriptors to a file, not a pipe: what stays in the background must not hold us
        log = self.path(f"/run/sh-{time.monotonic_ns()}")
        with log.open("w+") as file:
            done = subprocess.run(
                self.argv(["sh", "-ec", script]),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=40,
                check=False,
                env=_ENV,
            )
            file.seek(0)
            text = file.read()
        log.unlink()
        assert done.returncode == 0, (script, text)
        return text

    def start(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command on the host, with pipes."""
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE} | options
        return subprocess.Popen(self.argv(argv), text=True, env=_ENV, cwd="/", **options)

    def sysctl(self, key: str) -> str:
        return self.run("cat", f"/proc/sys/{key}").ok().out.strip()

    def cmdlines(self) -> dict[int, list[str]]:
        """All processes of the host by their numbers there."""
        found = {}
        for entry in self.path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")[:-1]
                except OSError:
                    continue
                if words:
                    found[int(entry.name)] = [word.decode(errors="replace") for word in words]
        return found

    def pids(self, *words: str) -> list[int]:
        """Numbers of the processes whose command line holds all of `words`."""
        return [
            pid
            for pid, argv in self.cmdlines().items()
            if all(any(word in arg for arg in argv) for word in words)
        ]

    def kill(self, *pids: int, signal: str = "KILL") -> None:
        if pids:
            self.run("sh", "-c", f"kill -{signal} {' '.join(map(str, pids))} 2>&1 || true").ok()

    # -- netjail -------------------------------------------------------------------------------

    def cli(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "netjail", *words]

    def netjail(self, *words: str, timeout: float = 40, **env: str) -> Said:
        """Run a command of ours on the host."""
        return self.run(*self.cli(*words), timeout=timeout, **env)

    def background(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command of ours on the host, with pipes."""
        return self.start(*self.cli(*words), **options)

    def request(self, method: str, **params: Any) -> subprocess.Popen[str]:
        """Start to ask the helper that runs, and no other: a command would go on to the next one.
        Exit status 1, and the error, where it does not answer well."""
        return self.start(
            sys.executable, "-c", _REQUEST, method, json.dumps(params), stderr=subprocess.PIPE
        )

    def helpers(self) -> list[int]:
        """Process numbers of helpers; also of those that a test started by a wrapper."""
        return [p for p in self.pids("--no-bus") if self._is_netjaild(p)]

    def _is_netjaild(self, pid: int) -> bool:
        argv = self.cmdlines().get(pid, [])
        return any(word.endswith(("daemon/__main__.py", "/wrapper.py")) for word in argv)

    def wrap_helper(self, code: str, *words: str) -> int:
        """Start a helper after `code`, in which `words` are sys.argv[1:]; its process number.

        `code` may change modules; `netjail` can be imported in it.
        """
        head = f"import os, signal, sys\nsys.path.insert(0, {str(REPO)!r})\n"
        tail = "\nfrom netjail.daemon.__main__ import main\nsys.exit(main(['--no-bus']))\n"
        self.kill_helper()
        self.path("/run/netjail/socket").unlink(missing_ok=True)
        self.write("/run/wrapper.py", head + code + tail)
        argv = ["setsid", "-f", sys.executable, "-I", "/run/wrapper.py", *words, "--no-bus"]
        self.sh(f"{shlex.join(argv)} >> /run/helper.log 2>&1")
        assert wait_until(lambda: self.path("/run/netjail/socket").exists()), "no helper"
        return self.helpers()[0]

    def kill_helper(self) -> None:
        """kill -9, and wait until it is gone."""
        pids = self.helpers()
        self.kill(*pids)
        assert wait_until(lambda: not set(pids) & set(self.helpers())), "a helper does not die"

    def profile(
        self, name: str, uplink: str = 'kind = "veth"', rest: str = "", top: str = ""
    ) -> str:
        """Store a profile by the command line."""
        text = f"version = 1\n{top}\n[uplink]\n{uplink}\n{rest}\n"
        self.write(f"/run/{name}.toml", text)
        self.netjail("profile", "add", "--name", name, f"/run/{name}.toml").ok()
        return name

    def conf(self, number: int = 0, endpoint: str = "192.0.2.1:51820") -> str:
        """A provider's file for the client of that number (0 to 2)."""
        private, n = self._clients[number][0], number + 2
        return (
            f"[Interface]\nPrivateKey = {private}\nAddress = 10.9.0.{n}/32, fd09::{n}/128\n"
            f"DNS = {PROVIDER4}\n\n[Peer]\nPublicKey = {self._server[1]}\n"
            f"Endpoint = {endpoint}\nAllowedIPs = 0.0.0.0/0, ::/0\n"
        )

    def tunnel(self, name: str, number: int = 0, **options: str) -> str:
        """Import a provider's file by the command line. `through`, `stop`: as in a profile."""
        endpoint = options.pop("endpoint", "192.0.2.1:51820")
        self.write(f"/run/{name}.conf", self.conf(number, endpoint))
        self.netjail("import", f"/run/{name}.conf", "--name", name).ok()
        if options:
            text = self.netjail("profile", "show", "--reveal", name)
            text = text if text.status == 0 else self.netjail("profile", "show", name).ok()
            source = self.path(f"/etc/netjail/profiles/{name}.toml").read_text()
            if "stop" in options:
                source = source.replace("[uplink]", f'stop = "{options["stop"]}"\n[uplink]', 1)
            if "through" in options:
                line = f'[uplink]\nthrough = "{options["through"]}"'
                source = source.replace("[uplink]", line, 1)
            self.write(f"/run/{name}.toml", source)
            self.netjail("profile", "add", "--replace", "--name", name, f"/run/{name}.toml").ok()
        return name

    def state(self, name: str) -> str:
        found = self.netjail("list", "--json").ok().json()["profiles"]
        return next((row["state"] for row in found if row["name"] == name), "absent")

    def ask(self, jail: str, address: str, seconds: float = 2) -> str:
        """What a program in the jail gets from a server: its name and the address it saw."""
        return self.ask_all(jail, [address], seconds)[address]

    def ask_all(self, jail: str, addresses: Sequence[str], seconds: float = 2) -> dict[str, str]:
        """The same of several servers at once."""
        argv = ["/usr/bin/python3", "-S", "-c", ASK, str(seconds), *addresses]
        said = self.netjail("run", "--no-wait", jail, "--", *argv)
        assert said.status == 0, said
        return dict(zip(addresses, said.out.splitlines(), strict=True))

    def ask_from(self, space: str, address: str, seconds: float = 1) -> str:
        """The same from one of the neighbourhood's namespaces."""
        argv = ["/usr/bin/python3", "-S", "-c", ASK, str(seconds), address]
        return self.run("ip", "netns", "exec", space, *argv).ok().out.strip()

    # -- what is left --------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.run("/usr/bin/python3", "-S", "-c", _SNAPSHOT).ok().out
        )
        return found

    def left(self) -> dict[str, Any]:
        """How the host differs from what it was at first; {} when in nothing."""
        now = self.snapshot()
        return {
            key: _difference(self.baseline[key], now[key])
            for key in now
            if now[key] != self.baseline[key]
        }

    def clean(self, seconds: float = 5) -> None:
        """Assert that nothing is left. The kernel may take a moment to clear up behind us."""
        end = time.monotonic() + seconds
        while left := self.left():
            assert time.monotonic() < end, left
            time.sleep(0.05)

    def ready(self) -> None:
        """Take everything down, end the helper, forget all profiles; nothing may be left."""
        for log in self.glob("/run/netjail/*.log") + self.glob("/run/helper.log"):
            print(f"--- {log}\n{self.path(log).read_text()}")  # pytest shows it on failure
        try:
            self.netjail("down", "--all", "--kill").ok()
            self.clean()
        finally:
            self.kill_helper()
            self.sh("rm -rf /etc/netjail/* /run/netjail /run/*.toml /run/*.conf /run/*.log")


def _difference(before: Any, now: Any) -> Any:
    if isinstance(before, dict):
        return {k: (before.get(k), now.get(k)) for k in now if before.get(k) != now.get(k)}
    return {
        "more": [item for item in now if item not in before],
        "less": [item for item in before if item not in now],
    }


class Hosts:
    """Lends a host to one test after the other: the same one, as long as nothing is left on it."""

    def __init__(self, second: bool = False, setup: str = "") -> None:
        self._options = (second, setup)
        self._host: Host | None = None

    @contextmanager
    def lend(self) -> Iterator[Host]:
        host = self._host = self._host or Host(*self._options)
        try:
            yield host
            host.ready()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._host is not None:
            self._host.close()
            self._host = None


@contextmanager
def a_host(second: bool = False, setup: str = "") -> Iterator[Host]:
    hosts = Hosts(second, setup)
    try:
        with hosts.lend() as host:
            yield host
    finally:
        hosts.close()


def wait_until(condition: Callable[[], object], seconds: float = 30) -> bool:
    """Whether `condition()` became true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False
