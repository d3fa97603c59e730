# SPDX-License-Identifier: GPL-3.0-or-later
"""Several commands at once on one profile, and many profiles at once."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import ASK, HOST4, SERVER4, Host, Hosts, missing, wait_until

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

MANY = 50

INSIDE = """
import os, sys
# what a program of a whole jail sees, asked at once after its start
links = os.listdir("/sys/class/net")
resolv = open("/etc/resolv.conf").read()
routes = open("/proc/net/route").read().count("\\n")
whole = "eth0" in links and routes > 2 and "Written by netjail for profile lab" in resolv
print("whole" if whole else f"half: {links} {routes} {resolv}")
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    hosts = Hosts()
    yield hosts
    hosts.close()


@pytest.fixture
def host(hosts: Hosts) -> Iterator[Host]:
    with hosts.lend() as host:
        yield host


@pytest.mark.parametrize("kind", ["veth", "wireguard"])
def test_two_up_at_once(host: Host, kind: str) -> None:
    name = host.profile("lab") if kind == "veth" else host.tunnel("lab")
    for _ in range(3):
        host.kill_helper()  # so that they also race to start one
        both = [host.background("up", name, "--json", stderr=-1) for _ in range(2)]
        said = [one.communicate(timeout=30) for one in both]
        assert [one.returncode for one in both] == [0, 0], said
        assert sorted('"changed": true' in out for out, _ in said) == [False, True], said
        assert wait_until(lambda: len(host.helpers()) == 1)  # the loser is just ending
        assert host.ask(name, SERVER4) == "inet " + (HOST4 if kind == "veth" else "10.9.0.2")
        assert len(host.pids("wireguard-go", "nj-lab")) == (kind == "wireguard")
        host.netjail("down", name).ok()
        host.clean()


@pytest.mark.slow
def test_up_and_down_racing(host: Host) -> None:
    host.profile("lab")
    host.tunnel("vpn", through="lab")
    rng = random.Random(7)
    for _ in range(8):
        verbs = [rng.choice(["up", "down"]) for _ in range(4)]
        names = [rng.choice(["lab", "vpn"]) for _ in verbs]
        racing = [
            host.background(verb, name, stderr=-1) for verb, name in zip(verbs, names, strict=True)
        ]
        for one, verb in zip(racing, verbs, strict=True):
            _, err = one.communicate(timeout=30)
            assert "Traceback" not in err
            assert "bug" not in err
            expected = ("stays up: vpn goes through it", "taken down again meanwhile")
            assert one.returncode == 0 or any(words in err for words in expected), (verb, err)
        for name in ("lab", "vpn"):
            if host.state(name) == "up":
                assert host.ask(name, SERVER4).startswith("inet ")
    host.netjail("down", "vpn", "lab").ok()


@pytest.mark.slow
def test_run_racing_with_down(host: Host) -> None:
    """A program runs in a whole jail, or not at all; and it is never taken down under it."""
    host.profile("lab")
    rng = random.Random(3)
    seen = set()
    for _ in range(25):
        runs = [
            host.background("run", "lab", "--", "/usr/bin/python3", "-c", INSIDE, stderr=-1)
            for _ in range(3)
        ]
        time.sleep(rng.random() * 0.2)
        down = host.background("down", "lab", stderr=-1)
        for one in runs:
            out, err = one.communicate(timeout=30)
            assert "Traceback" not in err
            assert (one.returncode, out) == (0, "whole\n"), err
        _, err = down.communicate(timeout=30)
        assert down.returncode == 0 or "in it" in err, err
        seen.add(down.returncode)
    assert seen == {0, 1}  # both happened


@pytest.mark.slow
def test_many_at_once(host: Host) -> None:
    names = [f"lab{n}" for n in range(MANY)]
    for name in names:
        host.write(f"/run/{name}.toml", 'version = 1\n[uplink]\nkind = "veth"\n')
    add = " && ".join(
        f"{' '.join(host.cli('profile', 'add', '--name', name, f'/run/{name}.toml'))}"
        for name in names
    )
    host.sh(add)
    up = [host.background("up", name, stderr=-1) for name in names]
    said = [one.communicate(timeout=60) for one in up]
    assert [one.returncode for one in up] == [0] * MANY, [err for _, err in said if err]
    assert len(host.helpers()) == 1
    subnets = host.sh("ip -4 -o addr show | grep nj- | awk '{print $4}'").split()
    assert len(subnets) == len(set(subnets)) == MANY
    assert len(host.glob("/run/netns/netjail-lab*")) == MANY
    asking = [
        host.background("run", name, "--", "/usr/bin/python3", "-S", "-c", ASK, "5", SERVER4)
        for name in names
    ]
    assert {one.communicate(timeout=60)[0] for one in asking} == {f"inet {HOST4}\n"}
    assert len(host.netjail("list", "--json").ok().json()["profiles"]) == MANY
    host.netjail("down", "--all").ok()
    host.clean(20)


def test_down_all_while_others_come_up(host: Host) -> None:
    names = [host.profile(f"lab{n}") for n in range(6)]
    up = [host.background("up", name, stderr=-1) for name in names]
    time.sleep(0.15)
    down = [host.background("down", "--all", stderr=-1) for _ in range(2)]
    for one in (*up, *down):
        _, err = one.communicate(timeout=30)
        assert one.returncode == 0 or "taken down again meanwhile" in err, err
    host.netjail("down", "--all").ok()
    host.clean()


@pytest.mark.slow
def test_a_launch_that_is_stopped_half_way_does_not_hang_down_for_ever(host: Host) -> None:
    host.profile("lab")
    host.netjail("up", "lab").ok()
    code = (
        "import os, signal; from netjail.launch import enter\n"
        "enter.read_enter('lab'); os.kill(os.getpid(), signal.SIGSTOP)"
    )
    stopped = host.start(sys.executable, "-c", code)
    assert wait_until(lambda: host.pids("SIGSTOP"))
    time.sleep(0.3)
    try:
        host.netjail("down", "lab").failed("a program that was entering lab has not got inside")
    finally:
        stopped.kill()
        host.kill(*host.pids("SIGSTOP"))
        stopped.wait()
    host.netjail("down", "lab").ok()
