# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away host with real ordinary users and a helper that serves them.

The users stand in the /etc/passwd of a private mount namespace, the network is one of its own, and
the process namespace is the machine's, as firejail, ps and /proc want it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
PYTHON = "/usr/bin/python3"
ALICE, BOB, MALLORY = 7001, 7002, 7003
"""Mallory is a user like the others, but one whom the test gate refuses."""
USERS = (ALICE, BOB, MALLORY)
READERS = 7100
NONE = 'version = 1\n[uplink]\nkind = "none"\n'

_SETUP = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /var/lib/netjail
mount -t tmpfs tmpfs /var/lib/netjail
mkdir /run/etc /run/lock /run/netns /run/home
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
rm -rf /etc/netjail /etc/netns
mkdir -m 700 -p /etc/netjail/profiles
for user in alice:7001 bob:7002 mallory:7003; do
    name=${user%:*} id=${user#*:}
    echo $name:x:$id:$id::/run/home/$name:/bin/bash >> /etc/passwd
    echo $name:x:$id: >> /etc/group
    echo "$name:*:19000:0:99999:7:::" >> /etc/shadow
    install -d -m 700 -o $id -g $id /run/home/$name
done
echo readers:x:7100:alice >> /etc/group
ip link set lo up
mkdir /run/pkg
"""


def missing() -> str | None:
    """Why none of this works here; None when it does."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("unshare", "nsenter", "ip", "setpriv"):
        if shutil.which(program) is None:
            return f"needs the program {program}"
    if not os.path.exists(PYTHON):
        return f"needs {PYTHON}"
    return None


class UserBox:
    def __init__(self, setup: str = "", profiles: Sequence[str] = ("lab",)) -> None:
        script = f"{_SETUP}{setup}\necho ready\nexec sleep 900"
        self.holder = subprocess.Popen(
            ["unshare", "-mn", "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == "ready\n", "the throw-away host did not come up"
        self.pid = self.holder.pid
        # users must be able to read the code, wherever the checkout is
        package = self.path("/run/pkg/netjail")
        shutil.copytree(REPO / "netjail", package, ignore=shutil.ignore_patterns("__pycache__"))
        tests = self.path("/run/pkg/tests/netns")
        tests.mkdir(parents=True)
        shutil.copy(HERE / "open_helper.py", tests)
        compileall = [PYTHON, "-m", "compileall", "-q", "/run/pkg/netjail"]
        subprocess.run(self.argv(compileall), check=True)
        self.launcher = self._launcher()
        for profile in profiles:
            file = self.path(f"/etc/netjail/profiles/{profile}.toml")
            file.write_text(NONE)
            file.chmod(0o600)
        self.helper: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        self.stop_helper()
        for pid in self.inside():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.holder.kill()
        self.holder.wait()
        assert self.holder.stdout is not None
        self.holder.stdout.close()

    def inside(self) -> list[int]:
        """Processes of the users of this host."""
        mine, here = [], self.path("/run").stat().st_dev
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                uid = os.stat(f"/proc/{entry}").st_uid
                # other hosts have users of the same numbers, but a /run of their own
                if uid in USERS and os.stat(f"/proc/{entry}/root/run").st_dev == here:
                    mine.append(int(entry))
            except OSError:
                continue
        return mine

    def path(self, path: str) -> Path:
        """A path of the host as this process reaches it."""
        return Path(f"/proc/{self.pid}/root{path}")

    def _launcher(self) -> str:
        path = "/run/netjail-launcher"
        code = (
            f"from netjail.launch.stub import render; print(render({PYTHON!r}, '/run/pkg'), end='')"
        )
        text = subprocess.run(
            [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
        ).stdout
        self.path(path).write_text(text)
        self.path(path).chmod(0o755)
        return path

    def argv(self, argv: Sequence[str]) -> list[str]:
        """A command line that runs `argv` on the host, as root."""
        return ["nsenter", "-t", str(self.pid), "-m", "-n", *argv]

    def as_user(self, argv: Sequence[str], uid: int = ALICE) -> list[str]:
        """The same as a user: with their groups, and no capability."""
        groups = f"{uid},{READERS}" if uid == ALICE else str(uid)
        words = ["--reuid", str(uid), "--regid", str(uid), "--groups", groups, "--inh-caps=-all"]
        return self.argv(["setpriv", *words, *argv])

    def env(self, uid: int = ALICE, **more: str) -> dict[str, str]:
        name = {ALICE: "alice", BOB: "bob", MALLORY: "mallory"}[uid]
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": f"/run/home/{name}",
            "USER": name,
            "TERM": "xterm",
            "LANG": "C.UTF-8",
            **more,
        }

    def netjail(
        self,
        *words: str,
        uid: int = ALICE,
        env: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run the launcher as a user, to its end."""
        options = {"capture_output": True, "text": True, "timeout": 60, "check": False} | options
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        argv = self.as_user([*prefix, self.launcher, *words], uid)
        options.setdefault("start_new_session", True)
        env = self.env(uid) if env is None else env
        return subprocess.run(argv, env=env, **options)

    def popen(
        self,
        *words: str,
        uid: int = ALICE,
        env: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
        **options: Any,
    ) -> subprocess.Popen[str]:
        options.setdefault("start_new_session", True)
        argv = self.as_user([*prefix, self.launcher, *words], uid)
        env = self.env(uid) if env is None else env
        return subprocess.Popen(argv, env=env, text=True, **options)

    def start_helper(
        self, *options: str, uids: Sequence[int] = (ALICE, BOB), thinks: float = 0.001
    ) -> int:
        """A helper that serves `uids`, after `thinks` seconds each time; its pid."""
        ready, ready_child = os.pipe()
        words = [PYTHON, "-I", "/run/pkg/tests/netns/open_helper.py", *map(str, uids)]
        words += [f"thinks={thinks}"]
        words += ["--", "--idle-timeout", "3600", "--ready-fd", str(ready_child), *options]
        os.makedirs(self.path("/run/netjail"), exist_ok=True)
        with open(self.path("/run/netjail/netjaild.log"), "ab") as log:
            self.helper = subprocess.Popen(
                self.argv(words),
                pass_fds=[ready_child],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SECRET_OF_ROOT": "yes"},
                start_new_session=True,
                cwd="/",
            )
        os.close(ready_child)
        said = os.read(ready, 65536)
        os.close(ready)
        assert said == b"\n", self.log()
        return self.helper.pid

    def stop_helper(self, number: int = signal.SIGTERM) -> None:
        if self.helper is not None:
            self.helper.send_signal(number)
            self.helper.wait(30)
            self.helper = None

    def spawner(self) -> int:
        """The spawner's pid."""
        assert self.helper is not None
        pid = self.helper.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if b"spawner.py" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        return 0

    def call(self, method: str, **params: Any) -> Any:
        """Ask the helper as root."""
        code = (
            "import sys, json; sys.path.insert(0, '/run/pkg')\n"
            "from netjail import client\n"
            f"c = client.connect(start=False); print(json.dumps(c.call({method!r}, "
            f"json.loads({json.dumps(json.dumps(params))}))))"
        )
        done = subprocess.run(
            self.argv([PYTHON, "-c", code]), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def log(self) -> str:
        return self.path("/run/netjail/netjaild.log").read_text(encoding="utf-8")


def eventually(ready: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)
