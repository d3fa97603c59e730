# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the helper, anywhere: a complete jail or nothing, and one further command puts it
right. What runs inside does not notice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import HOST4, HOST6, SERVER4, SERVER6, Host, Hosts, missing, wait_until

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

STUB = "127.0.0.53"
"""The host's resolver is on loopback, so that veth jails need every kind of resource there is."""

KILL_AT_STEP = """
from netjail.engine import api
phase, number = sys.argv[1], int(sys.argv[2])
def observer(now, step, resource):
    with open("/run/steps", "a") as file:
        print(now, step, file=file)
    if (now, step) == (phase, number):
        os.kill(os.getpid(), signal.SIGKILL)
api.observer = observer
"""

KILL_BEFORE_CALL = """
import threading
from netjail.engine import api, hostnet, netlink, nft, process, view
from netjail.launch import syscalls
left = int(sys.argv[1])
armed = threading.local()
def counting(function):
    def wrapped(*args, **kwargs):
        global left
        if getattr(armed, "on", False):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapped
def arming(function):
    def wrapped(*args, **kwargs):
        armed.on = True
        try:
            return function(*args, **kwargs)
        finally:
            armed.on = False
            with open("/run/calls", "w") as file:
                print(int(sys.argv[1]) - left, file=file)
    return wrapped
for owner, names in (
    (os, ("rename", "unlink", "rmdir", "mkdir", "symlink")),
    (syscalls, ("mount", "umount2", "unshare", "setns")),
    (netlink.Socket, ("send",)),
    (process, ("start", "run", "stop")),
    (nft.Nft, ("_apply",)),
    (hostnet, ("_write",)),
):
    for name in names:
        setattr(owner, name, counting(getattr(owner, name)))
api.Engine.up = arming(api.Engine.up)
api.Engine.down = arming(api.Engine.down)
"""

UP = {"none": 2, "wireguard": 3, "veth": 6}
"""How many resources there are of each kind: a step each."""


def steps(kind: str) -> list[tuple[str, int]]:
    """All (phase, step) of an `up` and a `down`."""
    number = range(1, UP[kind] + 1)
    up = [("record", 0), *(("up", n) for n in number), ("enter", 0)]
    return [*up, ("stopping", 0), *(("down", n) for n in number)]


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    hosts = Hosts(setup=f"echo nameserver {STUB} > /etc/resolv.conf\n")
    yield hosts
    hosts.close()


@pytest.fixture
def host(hosts: Hosts) -> Iterator[Host]:
    with hosts.lend() as host:
        yield host


def make(host: Host, kind: str) -> str:
    if kind == "wireguard":
        return host.tunnel("jail")
    return host.profile("jail", {"none": 'kind = "none"', "veth": VETH}[kind])


VETH = 'kind = "veth"\ninterface = "up0"'


def enter_alone(host: Host, *argv: str) -> str | None:
    """What a program in the jail says, entered without any helper; None: it cannot be entered."""
    code = (
        "import sys; from netjail.launch import enter;"
        "enter.run_in_place('jail', sys.argv[1:], None)"
    )
    said = host.run(sys.executable, "-c", code, *argv)
    if said.status:
        assert "not up" in said.err, said
        return None
    return said.out


def complete(host: Host, kind: str) -> None:
    """The jail is whole: it has its network and its own resolv.conf, and no other."""
    resolv = enter_alone(host, "cat", "/etc/resolv.conf")
    assert resolv is not None
    assert "Written by netjail for profile jail" in resolv
    assert STUB not in resolv
    assert (resolv.count("nameserver") == 1) == (kind != "none")
    seen = {"none": ("ENETUNREACH",) * 2, "wireguard": ("inet 10.9.0.2", "inet fd09::2")}
    expected = seen.get(kind, (f"inet {HOST4}", f"inet {HOST6}"))
    assert tuple(host.ask_all("jail", [SERVER4, SERVER6], 5).values()) == expected


def put_right(host: Host, kind: str, command: str) -> None:
    """One command with a new helper, after which all is as if nothing had happened."""
    if command == "list":  # nothing but the start of a helper
        state = host.state("jail")
        assert state in ("up", "down")
        if state == "down":
            return host.clean()
    else:
        host.netjail(command, "jail").ok()
    if command == "down":
        assert host.state("jail") == "down"
        return host.clean()
    complete(host, kind)
    host.netjail("down", "jail").ok()
    return host.clean()


def killed_at(host: Host, kind: str, code: str, *words: str, down: bool) -> bool:
    """Bring the jail up, and down again if asked, with a helper that kills itself on the way.
    Whether it did."""
    if down:
        host.netjail("up", "jail").ok()
    pid = host.wrap_helper(code, *words)
    asking = ask(host, "down" if down else "up")
    out, err = asking.communicate(timeout=30)
    if asking.returncode == 0 and pid in host.helpers():
        host.kill_helper()
        return False
    assert pid not in host.helpers(), (out, err)
    assert "helper ended before it had answered" in err
    if enter_alone(host, "true") is not None:
        complete_without_helper(host, kind)
    return True


def ask(host: Host, verb: str, kill: bool = False) -> subprocess.Popen[str]:
    """Ask the helper that runs to bring the jail up or down."""
    if verb == "up":
        return host.request("up", profile="jail", wait=5)
    return host.request("down", profiles=["jail"], kill=kill)


def complete_without_helper(host: Host, kind: str) -> None:
    resolv = enter_alone(host, "cat", "/etc/resolv.conf")
    assert resolv is not None
    assert "Written by netjail for profile jail" in resolv
    links = enter_alone(host, "ip", "-br", "link") or ""
    assert {"none": "lo", "wireguard": "wg0", "veth": "eth0"}[kind] in links


@pytest.mark.parametrize("kind", UP)
def test_the_table_of_steps_is_right(host: Host, kind: str) -> None:
    make(host, kind)
    host.wrap_helper("open('/run/steps', 'w').close()" + KILL_AT_STEP, "never", "0")
    host.netjail("up", "jail").ok()
    host.netjail("down", "jail").ok()
    seen = host.path("/run/steps").read_text().splitlines()
    assert [tuple(line.split()) for line in seen] == [(p, str(n)) for p, n in steps(kind)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", UP)
def test_killed_after_making_the_middle_step(host: Host, kind: str) -> None:
    make(host, kind)
    for phase in ("up", "down"):
        assert killed_at(host, kind, KILL_AT_STEP, phase, "2", down=phase == "down")
        put_right(host, kind, phase)


@pytest.mark.parametrize("kind", UP)
def test_a_command_whose_helper_is_killed_goes_on_by_itself(host: Host, kind: str) -> None:
    make(host, kind)
    host.wrap_helper(KILL_AT_STEP, "up", "2")
    host.netjail("up", "jail").ok()
    complete(host, kind)
    host.wrap_helper(KILL_AT_STEP, "down", "1")
    host.netjail("down", "jail").ok()
    host.clean()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["up", "down"])
@pytest.mark.parametrize("kind", UP)
def test_killed_at_every_step(host: Host, kind: str, command: str) -> None:
    make(host, kind)
    for phase, number in steps(kind):
        down = phase in ("stopping", "down")
        assert killed_at(host, kind, KILL_AT_STEP, phase, str(number), down=down), (phase, number)
        put_right(host, kind, command)


@pytest.mark.slow
@pytest.mark.parametrize("down", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("kind", ["wireguard", "veth"])
def test_killed_before_every_call_to_the_kernel(host: Host, kind: str, down: bool) -> None:
    make(host, kind)
    stride = {"veth": 1, "wireguard": 4}[kind]  # what they have in common is tried with the one
    number = 0
    while True:
        number += stride
        if not killed_at(host, kind, KILL_BEFORE_CALL, str(number), down=down):
            break
        try:
            put_right(host, kind, ("up", "down", "list")[number // stride % 3])
        except AssertionError as error:
            raise AssertionError(f"killed before call {number}") from error
    assert number > 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wireguard", "veth"])
def test_killed_at_any_moment(host: Host, kind: str) -> None:
    make(host, kind)
    rng = random.Random(20)
    for turn in range(14):
        host.netjail("list").ok()  # a helper that has been there for a while
        verb = "up"
        if turn % 2:
            host.netjail("up", "jail").ok()
            verb = "down"
        command = ask(host, verb)
        time.sleep(0.02 + rng.random() * (0.15 if kind == "wireguard" else 0.08))
        host.kill_helper()
        _, err = command.communicate(timeout=20)
        assert "Traceback" not in err
        if enter_alone(host, "true") is not None:
            complete_without_helper(host, kind)
        put_right(host, kind, ("up", "down", "list")[turn % 3])


@pytest.mark.parametrize("kind", UP)
def test_what_runs_inside_does_not_notice(host: Host, kind: str) -> None:
    make(host, kind)
    host.netjail("up", "jail").ok()
    inside = host.background("run", "jail", "--", "sh")
    assert inside.stdin is not None
    assert wait_until(lambda: host.netjail("ps", "jail", "--json").json()["programs"])
    (program,) = host.netjail("ps", "jail", "--json").json()["programs"]
    servers = host.pids("wireguard-go", "nj-jail") + host.pids("dnsmasq.conf")
    host.kill_helper()
    complete_without_helper(host, kind)
    assert host.pids("wireguard-go", "nj-jail") + host.pids("dnsmasq.conf") == servers
    assert bool(servers) == (kind != "none")
    (later,) = host.netjail("ps", "jail", "--json").ok().json()["programs"]
    assert (later["pid"], later["argv"]) == (program["pid"], program["argv"])
    assert host.state("jail") == "up"
    complete(host, kind)
    host.netjail("down", "jail").failed("a program runs in it", str(program["pid"]))
    assert host.pids("wireguard-go", "nj-jail") + host.pids("dnsmasq.conf") == servers
    inside.stdin.close()
    assert inside.wait(10) == 0
    host.netjail("down", "jail").ok()
    host.clean()


@pytest.mark.slow
def test_killed_while_it_ends_the_programs(host: Host) -> None:
    host.profile("jail")
    host.netjail("up", "jail").ok()
    program = "trap '' TERM; echo ready; read line"
    stubborn = host.background("run", "jail", "--", "sh", "-c", program)
    assert stubborn.stdout is not None
    assert stubborn.stdout.readline() == "ready\n"
    assert wait_until(lambda: host.netjail("ps", "jail", "--json").json()["programs"])
    down = ask(host, "down", kill=True)
    time.sleep(0.7)
    host.kill_helper()
    assert down.wait(10) == 1
    assert enter_alone(host, "true") is None
    assert host.state("jail") == "up"
    complete(host, "veth")
    host.netjail("down", "--kill", "jail", timeout=20).ok()
    assert stubborn.wait(10) in (-signal.SIGKILL, 128 + signal.SIGKILL)
    host.clean()


def test_the_helper_is_found_dead_and_the_jail_incomplete(host: Host) -> None:
    """Both at once: killed together with the process that serves the tunnel."""
    host.tunnel("jail")
    host.netjail("up", "jail").ok()
    host.kill_helper()
    host.kill(*host.pids("wireguard-go", "nj-jail"))
    assert host.state("jail") == "failed"
    host.netjail("up", "jail").ok()
    complete(host, "wireguard")
