# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper as a process: started on demand, killed, ending, adopting; with the real engine.

The host is throw-away: a network, mount and pid namespace with a /run and an /etc of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
MAIN = REPO / "netjail" / "daemon" / "__main__.py"
NONE = 'version = 1\n[uplink]\nkind = "none"\n'
WIREGUARD = """version = 1
[uplink]
kind = "wireguard"
private_key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
address = ["10.2.0.2/32"]
[[uplink.peer]]
public_key = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
endpoint = "192.0.2.1:51820"
allowed_ips = ["0.0.0.0/0"]
"""

SETUP = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /var/lib/netjail
mount -t tmpfs tmpfs /var/lib/netjail
mkdir /run/etc
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
rm -rf /etc/netjail /etc/netns
ip link set lo up
echo ready
exec sleep 600
"""


SHELL = ("--mount-proc", "sh", "-c", SETUP)


def _missing() -> str | None:
    if os.geteuid() != 0:
        return "needs root"
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return f"needs the program {program}"
    return None


pytestmark = pytest.mark.skipif(_missing() is not None, reason=str(_missing()))


class Host:
    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "-mnp", "--propagation", "private", "--fork", "--kill-child", *SHELL],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        pid = self._holder.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        self.pid = int(children.split()[0])

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)  # with it everything in its pid namespace
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()

    def popen(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        words = ["nsenter", "-t", str(self.pid), "-m", "-n", "-p", *argv]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env, **options)

    def run(self, *argv: str) -> str:
        child = self.popen(*argv)
        said, _ = child.communicate(timeout=60)
        assert child.returncode == 0, said
        return said

    def python(self, code: str, **options: Any) -> subprocess.Popen[str]:
        """Python on the host, with the client imported; what it prints is JSON."""
        head = (
            f"import sys; sys.path.insert(0, {str(REPO)!r}); import json, time, os\n"
            "from netjail import client\nfrom netjail.errors import NetjailError\n"
        )
        return self.popen(sys.executable, "-c", head + code, **options)

    def ask(self, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
        """One client, several calls; an error comes as its dict. The first answer is `hello`'s."""
        code = (
            f"calls = json.loads({json.dumps(json.dumps(calls))})\n"
            "with client.connect() as c:\n"
            "    answers = [c.helper]\n"
            "    for method, params in calls:\n"
            "        try:\n"
            "            answers.append(c.call(method, params))\n"
            "        except NetjailError as error:\n"
            "            answers.append(error.as_dict())\n"
            "print(json.dumps(answers))"
        )
        child = self.python(code)
        said, _ = child.communicate(timeout=60)
        assert child.returncode == 0, said
        return json.loads(said)

    def path(self, path: str) -> Path:
        return Path(f"/proc/{self.pid}/root{path}")

    def alive(self, pid: int) -> bool:
        """Of a pid as the host sees it; a zombie is not alive."""
        try:
            status = self.path(f"/proc/{pid}/stat").read_text(encoding="ascii")
        except FileNotFoundError:
            return False
        return status.rpartition(")")[2].split()[0] != "Z"

    def kill(self, pid: int, number: int) -> None:
        self.run("kill", f"-{number}", str(pid))

    def log(self) -> str:
        return self.path("/run/netjail/netjaild.log").read_text(encoding="utf-8")


def eventually(ready: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


def add(*names: str, text: str = NONE) -> list[tuple[str, dict[str, Any]]]:
    return [("profile.add", {"name": name, "text": text, "replace": True}) for name in names]


def up(name: str) -> tuple[str, dict[str, Any]]:
    return ("up", {"profile": name})


def test_several_clients_at_once_start_one_helper(host: Host) -> None:
    code = "c = client.connect(); print(json.dumps([c.helper['pid'], c.call('list')]))"
    children = [host.python(code) for _ in range(4)]
    said = [child.communicate(timeout=60)[0] for child in children]
    assert all(child.returncode == 0 for child in children), said
    pids = {json.loads(each)[0] for each in said}
    assert len(pids) == 1
    (pid,) = pids
    assert host.path("/run/netjail/socket").stat().st_mode & 0o777 == 0o600
    assert host.path("/run/netjail").stat().st_mode & 0o777 == 0o755
    assert "Traceback" not in host.log()
    # what it is started with is nothing of the caller's
    environ = host.path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert {each.split(b"=")[0] for each in environ if each} == {b"PATH", b"LANG"}
    assert os.readlink(host.path(f"/proc/{pid}/cwd")) == "/"
    assert os.readlink(host.path(f"/proc/{pid}/fd/0")) == "/dev/null"


def test_a_caller_without_stdio_and_with_odd_descriptors(host: Host) -> None:
    code = (
        "out = os.dup(1)\n"
        "[os.dup2(os.open('/', os.O_RDONLY), fd) for fd in (50, 51)]\n"
        "os.closerange(0, 3)\nos.umask(0o777)\n"
        "c = client.connect()\nos.write(out, json.dumps(c.helper['pid']).encode())"
    )
    child = host.python(code)
    said, _ = child.communicate(timeout=60)
    pid = int(said)
    descriptors = {
        os.readlink(host.path(f"/proc/{pid}/fd/{fd}"))
        for fd in os.listdir(host.path(f"/proc/{pid}/fd"))
    }
    assert "/" not in descriptors
    assert host.path("/run/netjail").stat().st_mode & 0o777 == 0o755


def test_killed_and_started_again_it_knows_what_is_up(host: Host) -> None:
    hello, *_, brought = host.ask(*add("a", "b"), up("a"))
    assert brought["changed"] is True
    before = host.run("stat", "-c", "%i", "/run/netns/netjail-a")
    host.kill(hello["pid"], signal.SIGKILL)
    again, listed, second = host.ask(("list", {}), up("a"))
    assert again["pid"] != hello["pid"]
    assert [row["state"] for row in listed["profiles"]] == ["up", "down"]
    assert second["changed"] is False
    assert host.run("stat", "-c", "%i", "/run/netns/netjail-a") == before
    assert "a: found up" in host.log()


def test_asked_to_end_it_leaves_jails_up(host: Host) -> None:
    hello, *_ = host.ask(*add("a"), up("a"))
    host.kill(hello["pid"], signal.SIGTERM)
    eventually(lambda: not host.alive(hello["pid"]))
    assert not host.path("/run/netjail/socket").exists()
    assert host.path("/run/netns/netjail-a").exists()
    _, down = host.ask(("down", {"profiles": None, "kill": False}))
    assert down["results"] == [{"profile": "a", "state": "down", "changed": True, "errors": []}]


def serve(host: Host, *options: str) -> subprocess.Popen[str]:
    words = (sys.executable, "-I", str(MAIN), "--no-bus", *options)
    helper = host.popen(*words, stderr=subprocess.PIPE)
    eventually(lambda: host.path("/run/netjail/socket").exists())
    return helper


def test_it_ends_when_it_is_not_needed(host: Host) -> None:
    helper = serve(host, "--idle-timeout", "0.3")
    hello, *_ = host.ask(*add("a"), up("a"))
    time.sleep(0.8)
    assert helper.poll() is None  # something is up
    # somebody is connected
    child = host.python("c = client.connect(start=False)\nc.call('down', {'profiles': None})\n"
                        "time.sleep(0.8)\nprint(json.dumps(c.call('hello')))")  # fmt: skip
    said, _ = child.communicate(timeout=30)
    assert json.loads(said)["pid"] == hello["pid"]
    assert helper.wait(timeout=10) == 0
    assert not host.path("/run/netjail/socket").exists()
    # and the next client starts another
    assert host.ask(("list", {}))[0]["pid"] != hello["pid"]


@pytest.mark.slow
def test_clients_that_come_while_helpers_end(host: Host) -> None:
    """Each comes about when the helper gives up waiting; none may see an error."""
    package = host.path("/run/short/netjail")
    shutil.copytree(REPO / "netjail", package, ignore=shutil.ignore_patterns("*.pyc"))
    main = package / "daemon" / "__main__.py"
    text = main.read_text(encoding="utf-8")
    assert "IDLE_SECONDS = 10.0" in text
    main.write_text(text.replace("IDLE_SECONDS = 10.0", "IDLE_SECONDS = 0.05"), encoding="utf-8")
    code = (
        "import sys, time; sys.path.insert(0, '/run/short')\n"
        "from netjail import client\n"
        "for n in range(25):\n"
        "    with client.connect() as c: c.call('list')\n"
        "    time.sleep(0.04 + n % 5 * 0.005)\n"
    )
    children = [host.popen(sys.executable, "-c", code) for _ in range(2)]
    for each in children:
        each.communicate(timeout=120)
        assert each.returncode == 0, host.log()[-2000:]
    assert host.log().count("serves root") > 1


def test_a_second_one_leaves_the_first_alone(host: Host) -> None:
    first = serve(host)
    reader, writer = os.pipe()
    second = host.popen(
        *(sys.executable, "-I", str(MAIN), "--no-bus", "--ready-fd", str(writer)),
        pass_fds=[writer],
    )
    os.close(writer)
    assert os.read(reader, 100) == b"\n"
    os.close(reader)
    assert second.wait(10) == 0
    assert first.poll() is None


def test_what_it_cannot_do_it_says(host: Host) -> None:
    words = (sys.executable, "-I", str(MAIN), "--allow-unsafe-code")  # a checkout may be a user's
    bus = host.popen(*words, stderr=subprocess.PIPE)
    assert "--no-bus" in bus.communicate(timeout=10)[1]
    assert bus.returncode == 1
    user = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    shutil.copytree(
        REPO / "netjail", host.path("/run/pkg/netjail"), ignore=shutil.ignore_patterns("*.pyc")
    )
    main = "/run/pkg/netjail/daemon/__main__.py"
    other = host.popen(*user, "/usr/bin/python3", "-I", main, "--no-bus", stderr=subprocess.PIPE)
    assert "root only" in other.communicate(timeout=10)[1]
    assert other.returncode == 1


def test_others_than_root_are_told_what_to_do(host: Host) -> None:
    shutil.copytree(
        REPO / "netjail", host.path("/run/pkg/netjail"), ignore=shutil.ignore_patterns("*.pyc")
    )
    code = (
        "import sys; sys.path.insert(0, '/run/pkg')\nfrom netjail import client\n"
        "try: client.connect()\nexcept client.NetjailError as e: print(e.code, e.hint)"
    )
    user = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    words = (*user, "/usr/bin/python3", "-c", code)
    for running in (False, True):
        if running:
            host.ask(("list", {}))
        said = host.run(*words)
        assert said.startswith("not-authorised") and "sudo netjail" in said


def test_no_room_for_it(host: Host) -> None:
    host.run("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/run")
    child = host.python("try: client.connect()\nexcept NetjailError as e: print(e.code, e.message)")
    said, _ = child.communicate(timeout=30)
    assert said.startswith("no-helper") and "Read-only file system" in said


def test_many_at_once_and_nothing_lost(host: Host) -> None:
    names = [f"p{number}" for number in range(6)]
    hello, *_ = host.ask(*add(*names))
    pid = hello["pid"]
    host.ask(*[up(name) for name in names], ("down", {"profiles": None}))
    fds = len(os.listdir(host.path(f"/proc/{pid}/fd")))
    code = (
        "import random, sys\n"
        "c = client.connect()\n"
        "for _ in range(15):\n"
        f"    name = random.choice({names!r})\n"
        "    if random.random() < 0.5: c.call('up', {'profile': name})\n"
        "    else:\n"
        "        (result,) = c.call('down', {'profiles': [name]})['results']\n"
        "        assert not result['errors'], result\n"
        "    c.call('list'); c.call('status', {'profile': name})\n"
    )
    children = [host.python(code) for _ in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4
    answers = host.ask(("down", {"profiles": None}), ("list", {}))
    assert answers[0]["pid"] == pid
    assert {row["state"] for row in answers[2]["profiles"]} == {"down"}
    assert "bug" not in host.log()
    assert not [each for each in host.path("/run/netns").iterdir() if "netjail" in each.name]
    eventually(lambda: len(os.listdir(host.path(f"/proc/{pid}/fd"))) <= fds + 2)


def test_the_hosts_networks_are_watched(host: Host) -> None:
    code = (
        "import subprocess\n"
        "from netjail.daemon import watchers\nfrom netjail.daemon.loop import Loop\n"
        "loop, seen = Loop(), []\n"
        "watch = watchers.HostNetworks(loop, lambda: seen.append(time.monotonic()))\n"
        "def turn(seconds):\n"
        "    end = time.monotonic() + seconds\n"
        "    while time.monotonic() < end: loop.dispatch(20)\n"
        "turn(0.6); counts = [len(seen)]\n"
        "for n in range(20):\n"
        "    subprocess.run(['ip', 'addr', 'add', f'10.9.{n}.1/24', 'dev', 'lo'], check=True)\n"
        "turn(0.8); counts.append(len(seen))\n"
        "subprocess.run(['ip', 'route', 'add', '10.77.0.0/16', 'dev', 'lo'], check=True)\n"
        "turn(0.8); counts.append(len(seen))\n"
        "print(json.dumps(counts))"
    )
    child = host.python(code)
    said, _ = child.communicate(timeout=30)
    assert json.loads(said) == [0, 1, 2]


@pytest.mark.skipif(shutil.which("wireguard-go") is None, reason="needs wireguard-go")
def test_a_killed_wireguard_go_comes_back(host: Host) -> None:
    hello, *_, brought = host.ask(*add("vpn", text=WIREGUARD), up("vpn"))
    assert brought.get("changed") is True, brought
    _, status = host.ask(("status", {"profile": "vpn"}))
    if status["profile"]["uplink"]["implementation"] != "wireguard-go":
        pytest.skip("the kernel has WireGuard")
    (process,) = status["profile"]["processes"]
    host.kill(process["pid"], signal.SIGKILL)

    def state() -> str:
        return host.ask(("status", {"profile": "vpn"}))[1]["profile"]["state"]

    eventually(lambda: state() == "failed", 5)
    eventually(lambda: state() == "up", 15)
    _, status = host.ask(("status", {"profile": "vpn"}))
    (again,) = status["profile"]["processes"]
    assert again["pid"] != process["pid"]
    # and what a helper that comes later finds dead, it repairs as well
    host.kill(hello["pid"], signal.SIGKILL)
    host.kill(again["pid"], signal.SIGKILL)
    eventually(lambda: state() == "up", 15)
    assert "vpn: found failed" in host.log()
