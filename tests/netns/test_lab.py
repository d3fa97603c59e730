# SPDX-License-Identifier: GPL-3.0-or-later
"""Labs as a whole, and the shape of links, on a real kernel."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import Host, Hosts, missing
from test_switches import NONE, reaches

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

HEAD = f"version = 1\n[uplink]\n{NONE}\n"
DIR = "/run/office"


def kernel_has(qdisc: str) -> bool:
    words = ["unshare", "-n", "tc", "qdisc", "add", "dev", "lo", "root", *qdisc.split()]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    hosts = Hosts()
    yield hosts
    hosts.close()


@pytest.fixture
def host(hosts: Hosts) -> Iterator[Host]:
    with hosts.lend() as host:
        host.run("rm", "-rf", DIR)
        host.run("mkdir", "-p", f"{DIR}/profiles", f"{DIR}/switches")
        yield host


def member(host: Host, name: str, address: str, more: str = "", switch: str = "lan") -> None:
    text = f'{HEAD}[[link]]\nswitch = "{switch}"\naddress = "{address}"\n{more}\n'
    host.write(f"{DIR}/profiles/{name}.toml", text)


def lan(host: Host, text: str = "") -> None:
    host.write(f"{DIR}/switches/lan.toml", f"version = 1\n{text}\n")


def stored(host: Host) -> list[str]:
    return sorted(path.rsplit("/", 1)[-1] for path in host.glob("/etc/netjail/*/*.toml"))


def test_a_lab_comes_and_goes_as_one(host: Host) -> None:
    lan(host)
    for number in range(1, 5):
        member(host, f"n{number}", f"10.0.0.{number}/24")
    said = host.netjail("lab", "up", DIR).ok()
    assert said.out == "Lab office is up: 4 profiles, 1 switch.\n"
    assert reaches(host, "n1", "10.0.0.4")
    assert "is up already" in host.netjail("lab", "up", DIR).ok().out
    assert "4 of 4 profiles up" in host.netjail("lab", "status", DIR).ok().out
    member(host, "n4", "10.0.0.44/24")
    assert "file changed" in host.netjail("lab", "status", DIR).ok().out
    host.netjail("lab", "up", DIR).ok()
    assert reaches(host, "n1", "10.0.0.44")
    host.netjail("lab", "down", DIR).ok()
    assert stored(host) == []
    assert "already" in host.netjail("lab", "down", DIR).ok().out
    host.clean()


def test_what_is_there_already_is_never_touched(host: Host) -> None:
    host.profile("n1", NONE)
    before = host.netjail("profile", "show", "n1").ok().out
    lan(host)
    member(host, "n1", "10.0.0.1/24")
    member(host, "n2", "10.0.0.2/24")
    said = host.netjail("lab", "up", DIR).failed("not overwritten")
    assert "profile n1 is there already" in said.err
    assert stored(host) == ["n1.toml"]
    host.netjail("lab", "down", DIR).ok()
    assert host.netjail("profile", "show", "n1").ok().out == before
    host.netjail("profile", "remove", "n1").ok()
    host.clean()


def test_all_mistakes_are_told_before_anything_is_done(host: Host) -> None:
    lan(host)
    member(host, "n1", "10.0.0.1/24")
    member(host, "n2", "10.0.0.1/24", "nonsense = 1")
    member(host, "n3", "10.0.0.1/24")
    member(host, "n4", "10.0.0.4/24", switch="gone")
    for verb in ("validate", "up"):
        said = host.netjail("lab", verb, DIR)
        assert said.status == 1
        text = said.out + said.err
        assert "nonsense" in text and "10.0.0.1 on switch lan is n1's already" in text
        assert "no switches/gone.toml" in text
    assert stored(host) == []


def test_of_a_lab_that_cannot_be_nothing_is_left(host: Host) -> None:
    lan(host)
    member(host, "n1", "10.0.0.1/24")
    member(host, "n2", "10.0.0.2/24")
    host.run("ip", "netns", "add", "netjail-n2")  # somebody else's
    host.netjail("lab", "up", DIR).failed("netjail-n2")
    assert stored(host) == []
    host.run("ip", "netns", "del", "netjail-n2")
    host.clean()


def test_programs_inside_keep_it_up(host: Host) -> None:
    lan(host)
    member(host, "n1", "10.0.0.1/24")
    member(host, "n2", "10.0.0.2/24")
    host.netjail("lab", "up", DIR).ok()
    stays = host.background("run", "-u", "root", "n1", "--", "sh", "-c", "echo in; exec sleep 600")
    assert stays.stdout is not None and stays.stdout.readline() == "in\n"
    host.netjail("lab", "down", DIR).failed("runs in it")
    assert stored(host) == ["lan.toml", "n1.toml"]
    host.netjail("lab", "down", "--kill", DIR).ok()
    stays.communicate(timeout=20)
    assert stored(host) == []
    host.clean()


# Shapes ----------------------------------------------------------------------------------------


def qdisc(host: Host, netns: str, device: str) -> str:
    words = ["ip", "netns", "exec", netns, "tc", "qdisc", "show", "dev", device]
    return host.run(*words).out


@pytest.mark.skipif(not kernel_has("tbf rate 1mbit burst 32k latency 50ms"), reason="no tbf")
def test_a_rate_holds_in_both_directions(host: Host) -> None:
    lan(host)
    member(host, "slow", "10.0.0.1/24", '[link.shape]\nrate = "2mbit"')
    member(host, "quick", "10.0.0.2/24")
    for name, other in (("slow", "quick"), ("quick", "slow")):
        with host.path(f"{DIR}/profiles/{name}.toml").open("a") as file:
            address = "10.1.0.1/24" if name == "slow" else "10.1.0.2/24"
            file.write(f'[[link]]\npeer = "{other}"\naddress = "{address}"\n')
            file.write('[link.shape]\nrate = "3mbit"\n' if name == "slow" else "")
    plan = host.netjail("lab", "up", DIR)
    plan.ok()
    assert "rate 2Mbit" in qdisc(host, "netjail-slow", "lan")
    assert "rate 2Mbit" in qdisc(host, "netjail-switch.lan", "slow.lan")
    assert "tbf" not in qdisc(host, "netjail-quick", "lan")
    assert "rate 3Mbit" in qdisc(host, "netjail-slow", "quick")
    assert "rate 3Mbit" in qdisc(host, "netjail-quick", "slow")
    assert reaches(host, "slow", "10.0.0.2") and reaches(host, "quick", "10.1.0.1")
    host.netjail("lab", "down", DIR).ok()
    host.clean()


@pytest.mark.skipif(not kernel_has("netem delay 1ms"), reason="this kernel has no netem")
def test_delay_and_loss(host: Host) -> None:
    lan(host)
    member(host, "far", "10.0.0.1/24", '[link.shape]\ndelay = "40ms"')
    member(host, "near", "10.0.0.2/24")
    member(host, "dead", "10.0.0.3/24", '[link.shape]\nloss = "100%"')
    host.netjail("lab", "up", DIR).ok()
    ping = ["ping", "-n", "-c", "3", "-i", "0.2", "10.0.0.1"]
    said = host.netjail("run", "-u", "root", "near", "--", *ping).ok().out
    times = [float(time) for time in re.findall(r"time=([\d.]+) ms", said)]
    assert min(times) >= 80, said  # there and back
    assert not reaches(host, "near", "10.0.0.3", 1)
    host.netjail("lab", "down", DIR).ok()
    host.clean()


@pytest.mark.skipif(kernel_has("netem delay 1ms"), reason="this kernel has netem")
def test_a_kernel_without_netem_is_told(host: Host) -> None:
    lan(host)
    member(host, "far", "10.0.0.1/24", '[link.shape]\ndelay = "40ms"')
    said = host.netjail("lab", "up", DIR).failed("cannot delay or lose packets")
    assert "sch_netem" in said.err
    assert stored(host) == []
    host.clean()
