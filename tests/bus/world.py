# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away machine with a system bus, real polkit, real users, and the real helper on it.

It has mount, process and network namespaces of its own, with writable copies of /etc and /run and
test directories in place of polkit's and the bus's; nothing of the machine's own is touched. There
is no logind, hence no session: everybody is judged by `allow_any`, and what an active session
would be allowed is said by rules. Everything ends with the one process that holds it.

    alice   may what the person at the machine may: run, manage-own
    bob     may nothing
    carol   is judged by the policy's defaults: a password is needed
    dave    may everything
    erin    is in the group netjail-lab (see docs/examples/50-netjail.rules)
    boss    is in the group sudo and has a password, PASSWORD
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
PASSWORD = "horse staple"
USERS = {"alice": 4001, "bob": 4002, "carol": 4003, "dave": 4004, "erin": 4005, "boss": 4006}
GROUPS = {"sudo": "boss", "netjail-lab": "erin"}
POLKITD = "/usr/lib/polkit-1/polkitd"
BUS_SOCKET = "/run/dbus/system_bus_socket"

RULES = """
polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.netjail.") != 0) return;
    if (subject.user == "bob") return polkit.Result.NO;
    if (subject.user == "dave") return polkit.Result.YES;
    if (subject.user == "alice" &&
        (action.id == "org.netjail.run" || action.id == "org.netjail.manage-own"))
        return polkit.Result.YES;
});
"""

_SETUP = """
set -e
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /var/lib/netjail
mount -t tmpfs tmpfs /var/lib/netjail
mkdir /run/etc /run/actions /run/services /run/dbus /run/home
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
rm -rf /etc/netjail /etc/netns /etc/polkit-1/rules.d /etc/dbus-1/system.d
mkdir -p /etc/netjail /etc/netns /etc/polkit-1/rules.d /etc/dbus-1/system.d
chown polkitd /etc/polkit-1/rules.d
mount --bind /run/actions /usr/share/polkit-1/actions
mount --bind /run/services /usr/share/dbus-1/system-services
mount -t sysfs sysfs /sys
ip link set lo up
"""

_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": str(REPO),
    "PYTHONDONTWRITEBYTECODE": "1",
    "LC_ALL": "C.UTF-8",
}


def missing() -> str | None:
    """Why these tests cannot run here."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("dbus-daemon", "unshare", "nsenter", "setpriv", "ip", "openssl"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if not os.path.exists(POLKITD):
        return "polkitd is not installed"
    try:
        import gi

        gi.require_version("PolkitAgent", "1.0")
        import pydbus  # noqa: F401
        from gi.repository import PolkitAgent  # noqa: F401
    except (ImportError, ValueError) as error:
        return f"not installed: {error}"
    probe = subprocess.run(["unshare", "-mnp", "--fork", "true"], capture_output=True, text=True)
    return f"no namespaces: {probe.stderr.strip()}" if probe.returncode else None


class World:
    def __init__(self, polkit: bool = True, rules: str = RULES) -> None:
        script = _SETUP + "echo ready\nexec sleep 3600"
        shell = ["sh", "-c", script]
        self._holder = subprocess.Popen(
            ["unshare", "-mnp", "--propagation", "private", "--fork", "--kill-child", *shell],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n", "the world could not be made"
        self._init = int(
            subprocess.check_output(
                ["ps", "-o", "pid=", "--ppid", str(self._holder.pid)], text=True
            )
        )
        self._processes: list[subprocess.Popen[str]] = []
        self._helper: subprocess.Popen[str] | None = None
        self._clients: list[Client] = []
        self._polkit: subprocess.Popen[str] | None = None
        self._bus: subprocess.Popen[str] | None = None
        self._people()
        self._files(rules)
        self.start_bus()
        if polkit:
            self.start_polkit()

    def close(self) -> None:
        for client in self._clients:
            client.close()
        for process in reversed(self._processes):
            if process.poll() is None:
                process.kill()
            process.wait()
        self._holder.kill()
        self._holder.wait()

    # Files -------------------------------------------------------------------------------------

    def path(self, inside: str) -> Path:
        return Path(f"/proc/{self._init}/root{inside}")

    def write(self, inside: str, text: str, mode: int = 0o644) -> None:
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def _people(self) -> None:
        hashed = subprocess.check_output(
            ["openssl", "passwd", "-6", "-stdin"], input=PASSWORD, text=True
        ).strip()
        with self.path("/etc/passwd").open("a") as passwd:
            for name, uid in USERS.items():
                passwd.write(f"{name}:x:{uid}:{uid}::/run/home/{name}:/bin/sh\n")
        with self.path("/etc/shadow").open("a") as shadow:
            for name in USERS:
                shadow.write(f"{name}:{hashed if name == 'boss' else '*'}:19000:0:99999:7:::\n")
        group = self.path("/etc/group")
        lines = group.read_text().splitlines()
        lines = [line for line in lines if line.split(":")[0] not in GROUPS]
        lines += [f"{name}:x:{uid}:" for name, uid in USERS.items()]
        lines += [f"{name}:x:{5000 + n}:{who}" for n, (name, who) in enumerate(GROUPS.items())]
        group.write_text("\n".join(lines) + "\n")
        for name, uid in USERS.items():
            home = self.path(f"/run/home/{name}")
            home.mkdir(mode=0o700)
            os.chown(home, uid, uid)
        pam = "auth required pam_unix.so\naccount required pam_unix.so\n"
        self.write("/etc/pam.d/polkit-1", pam)

    def _files(self, rules: str) -> None:
        policy = (REPO / "data/polkit/org.netjail.policy").read_text()
        self.write("/usr/share/polkit-1/actions/org.netjail.policy", policy)
        self.write("/etc/polkit-1/rules.d/40-test.rules", rules)
        conf = (REPO / "data/dbus/org.netjail.Netjail1.conf").read_text()
        self.write("/etc/dbus-1/system.d/org.netjail.Netjail1.conf", conf)

    def install_service(self, *options: str) -> None:
        """Let the bus start the helper when somebody asks for it."""
        main = REPO / "netjail/daemon/__main__.py"
        words = [sys.executable, "-I", str(main), "--allow-unsafe-code", *options]
        self.write(
            "/run/start-helper",
            f"#!/bin/sh\nexec {' '.join(words)} 2>> /run/helper.log\n",
            0o755,
        )
        service = (REPO / "data/dbus/org.netjail.Netjail1.service").read_text()
        assert "Exec=/usr/sbin/netjaild\n" in service
        service = service.replace("Exec=/usr/sbin/netjaild\n", "Exec=/run/start-helper\n")
        service = "".join(
            line for line in service.splitlines(True) if not line.startswith("SystemdService")
        )
        self.write("/usr/share/dbus-1/system-services/org.netjail.Netjail1.service", service)
        self.root("dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/",
                  "org.freedesktop.DBus.ReloadConfig")  # fmt: skip

    # Processes ---------------------------------------------------------------------------------

    def argv(self, words: tuple[str, ...], user: str | None = None) -> list[str]:
        enter = ["nsenter", "-t", str(self._init), "-m", "-n", "-p", "--wd=/"]
        env = {**_ENV}
        if user is not None:
            env |= {"HOME": f"/run/home/{user}", "USER": user, "LOGNAME": user}
            uid = str(USERS[user])
            groups = [uid]
            for number, who in enumerate(GROUPS.values()):
                groups += [str(5000 + number)] if who == user else []
            drop = ["setpriv", "--reuid", uid, "--regid", uid, "--groups", ",".join(groups), "--"]
        else:
            drop = []
        return [*enter, "env", "-i", *(f"{k}={v}" for k, v in env.items()), *drop, *words]

    def popen(self, *words: str, user: str | None = None, **options: Any) -> subprocess.Popen[str]:
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(self.argv(words, user), text=True, **options)
        self._processes.append(process)
        return process

    def run(
        self, *words: str, user: str | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        options.setdefault("timeout", 60)
        return subprocess.run(
            self.argv(words, user), capture_output=True, text=True, check=False, **options
        )

    def root(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def netjail(self, *words: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """The real command line."""
        return self.run(sys.executable, "-m", "netjail", *words, user=user)

    def start_bus(self) -> None:
        self._bus = self.popen("dbus-daemon", "--system", "--nofork", "--nopidfile")
        wait_for(lambda: self.path(BUS_SOCKET).exists(), "no bus")

    def stop_bus(self) -> None:
        assert self._bus is not None
        self._inside_kill(self._bus, 9)
        self._bus.wait()
        self.path(BUS_SOCKET).unlink(missing_ok=True)

    def start_polkit(self) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._polkit = self.popen(POLKITD, "--no-debug", **quiet)
        wait_for(lambda: self.owned("org.freedesktop.PolicyKit1"), "no polkit")

    def stop_polkit(self) -> None:
        assert self._polkit is not None
        self._inside_kill(self._polkit, 9)
        wait_for(lambda: not self.owned("org.freedesktop.PolicyKit1"), "polkit stays")

    def owned(self, name: str) -> bool:
        said = self.run(
            "dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/",
            "org.freedesktop.DBus.NameHasOwner", f"string:{name}",
        )  # fmt: skip
        return "boolean true" in said.stdout

    def start_helper(self, *options: str, fake: str | None = None) -> None:
        """The real netjaild; with `fake`, a file that is run in its place and calls its main()."""
        main = fake or str(REPO / "netjail/daemon/__main__.py")
        ready, child = os.pipe()
        words = (sys.executable, "-I", main, "--allow-unsafe-code", "--ready-fd", str(child))
        log = self.path("/run/helper.log").open("a")
        self._helper = self.popen(
            *words, "--log-level", "debug", *options, pass_fds=[child], stdout=log, stderr=log
        )
        os.close(child)
        with os.fdopen(ready) as said:
            line = said.readline()
        assert line == "\n", line + self.log()

    def stop_helper(self, number: int = 15) -> int:
        assert self._helper is not None
        self._inside_kill(self._helper, number)
        return self._helper.wait(30)

    @property
    def helper(self) -> subprocess.Popen[str]:
        assert self._helper is not None
        return self._helper

    def helper_pid(self) -> int:
        """As it is numbered out here."""
        return self._child(self.helper)

    def log(self) -> str:
        return self.path("/run/helper.log").read_text()

    @staticmethod
    def _child(process: subprocess.Popen[str]) -> int:
        """nsenter -p forks: the program is its child."""
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True
        ).stdout.split()
        return int(found[0]) if found else process.pid

    def _inside_kill(self, process: subprocess.Popen[str], number: int) -> None:
        if process.poll() is None:
            os.kill(self._child(process), number)

    def client(self, user: str | None = None) -> Client:
        """Somebody on the bus and the socket; `user` None: root."""
        client = Client(self, user)
        self._clients.append(client)
        return client


class BusError(Exception):
    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


class Answer:
    def __init__(self) -> None:
        self._done = threading.Event()
        self._said: dict[str, Any] = {}

    def fill(self, said: dict[str, Any]) -> None:
        self._said = said
        self._done.set()

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def get(self, seconds: float = 20) -> Any:
        assert self._done.wait(seconds), "no answer"
        if "error" in self._said:
            raise BusError(*self._said["error"])
        return self._said["result"]


class Client:
    """A process of a user (see puppet.py), told what to do line by line."""

    def __init__(self, world: World, user: str | None) -> None:
        self._process = world.popen(
            sys.executable,
            str(Path(__file__).with_name("puppet.py")),
            user=user,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._answers: dict[int, Answer] = {}
        self.signals: queue.Queue[list[Any]] = queue.Queue()
        self.prompts: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.name, self.pid = self.do("who").get()

    def do(self, what: str, *words: Any) -> Answer:
        answer = Answer()
        number = len(self._answers)
        self._answers[number] = answer
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([number, what, *words]) + "\n")
        self._process.stdin.flush()
        return answer

    def begin(self, path: str, member: str, signature: str = "", *values: Any) -> Answer:
        """Call a method on the bus: `member` with its interface."""
        return self.do("call", path, member, signature, list(values))

    def call(self, path: str, member: str, signature: str = "", *values: Any) -> Any:
        return self.begin(path, member, signature, *values).get()

    def ask(self, method: str, interactive: bool = True, **params: Any) -> Answer:
        """A request over the socket."""
        return self.do("ask", method, params, interactive)

    def error(self, path: str, member: str, signature: str = "", *values: Any) -> BusError:
        try:
            result = self.call(path, member, signature, *values)
        except BusError as error:
            return error
        raise AssertionError(f"{member} was answered: {result}")

    def agent(self, behaviour: str, pid: int | None = None) -> None:
        """Register a polkit agent for this process, or another of the same user: "right", "wrong",
        "slow" (and right), "dismiss" or "wait"."""
        self.do("agent", behaviour, pid or self.pid).get()

    def signal(self, member: str, seconds: float = 10) -> list[Any]:
        """The next signal of this name: [sender's path, interface, member, values]."""
        deadline = time.monotonic() + seconds
        while True:
            said = self.signals.get(timeout=max(0.01, deadline - time.monotonic()))
            if said[2] == member:
                return said

    def until(self, where: str, state: str) -> list[list[Any]]:
        """All changes of an object's properties that are announced until it is in `state`."""
        said = []
        while not said or said[-1][1].get("State") != state:
            signal = self.signal("PropertiesChanged")
            if signal[0] == where:
                said.append(signal[3])
        return said

    def forget(self) -> None:
        """Signals that came so far, or are on their way."""
        time.sleep(0.2)
        while not self.signals.empty():
            self.signals.get()

    def close(self) -> None:
        if self._process.poll() is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "signal" in said:
                self.signals.put(said["signal"])
            elif "prompt" in said:
                self.prompts.put(said["prompt"])
            else:
                self._answers[said["id"]].fill(said)


def wait_for(ready: Callable[[], Any], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
