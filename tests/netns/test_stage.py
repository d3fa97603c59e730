# SPDX-License-Identifier: GPL-3.0-or-later
"""The stage is honest, separate from the machine, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from netjail.demo import stage as places
from netjail.demo.nodes import queries, wait_until
from netjail.demo.servers import plain_address
from netjail.demo.stage import Stage, kernel_has_wireguard

ROOT = Path(__file__).parent.parent.parent


def fetch(node, *words: str) -> str:
    return node.run(["curl", "-s", "--max-time", "5", *words]).stdout.strip()


def machine() -> dict[str, object]:
    """What a stage must not change."""
    interfaces = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout
    return {
        "mounts": sorted(line.split(" ", 2)[2] for line in open("/proc/self/mountinfo")),
        "interfaces": [line.split(":")[1] for line in interfaces.splitlines()],
        "netns": sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else None,
        "resolv": Path("/etc/resolv.conf").read_bytes()
        if os.path.exists("/etc/resolv.conf")
        else b"",
        "etc": [n for n in ("netjail", "netns") if os.path.exists(f"/etc/{n}")],
        "run": [n for n in ("netjail", "wireguard") if os.path.exists(f"/run/{n}")],
        "hostname": os.uname().nodename,
    }


def marked(token: str) -> set[int]:
    """Processes whose environment has the token, without us."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if token.encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.add(int(pid))
    return found - {os.getpid()}


def test_the_page_sees_home(stage: Stage) -> None:
    assert fetch(stage.home, "-4", stage.web_url) == places.HOME4
    if stage.ipv6:
        assert fetch(stage.home, "-6", stage.web_url) == places.HOME6
    assert places.HOME4 in fetch(stage.home, "-4", "-H", "Accept: text/html", stage.web_url)
    assert fetch(stage.provider, "-4", stage.web_url) == stage.providers[0].wan4


def test_the_isps_resolver_sees_the_names(stage: Stage) -> None:
    before = len(stage.dns_log("isp"))
    assert stage.home.run(["getent", "hosts", "nowhere.example"]).returncode == 2
    assert wait_until(lambda: "nowhere.example" in stage.dns_log("isp")[before:], 5)
    assert stage.dns_log("provider") == []


def test_the_wire_shows_packets(stage: Stage) -> None:
    with stage.capture("home", "port 80 or port 53") as wire:
        fetch(stage.home, "-4", stage.web_url)
    seen = {(p.protocol, p.destination, p.destination_port) for p in wire.packets}
    assert ("udp", places.RESOLVER4, 53) in seen
    assert ("tcp", places.WEB4, 80) in seen
    assert any("GET / HTTP" in line for line in wire.lines)
    with stage.capture("isp", "icmp") as wire:
        stage.home.run(["ip", "route", "get", places.WEB4])
    assert wire.packets == []


def test_a_program_is_ours_and_at_home(stage: Stage) -> None:
    child = stage.home.popen(["sleep", "60"])
    try:
        comm = Path(f"/proc/{child.pid}/comm")
        assert wait_until(lambda: comm.read_text() == "sleep\n", 5)
        child.send_signal(signal.SIGTERM)
        assert child.wait(5) == -signal.SIGTERM
    finally:
        child.kill()
    assert stage.home.run(["sh", "-c", "exit 7"]).returncode == 7
    assert stage.home.run(["cat"], input="hello").stdout == "hello"
    assert stage.home.run(["pwd"], cwd="/usr").stdout == "/usr\n"
    assert stage.home.run(["hostname"]).stdout == "home\n"
    assert "wan0" in stage.home.run(["ls", "/sys/class/net"]).stdout
    assert stage.home.run(["env"], env={"A": "b", "HOME": None}).stdout.count("HOME=") == 0


def test_orphans_live_on_at_home_only(stage: Stage) -> None:
    """What a program leaves in the background belongs to the stage's process 1."""
    stage.home.run(["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $! >/run/orphan"])
    pid = int(Path(stage.home.path("/run/orphan")).read_text())
    status = stage.home.run(["cat", f"/proc/{pid}/status"]).stdout
    assert "PPid:\t1\n" in status
    stage.home.run(["kill", str(pid)], check=True)
    assert wait_until(lambda: stage.home.run(["test", "-d", f"/proc/{pid}"]).returncode == 1, 5), (
        "process 1 does not reap"
    )


def test_files_are_private(stage: Stage) -> None:
    before = machine()
    stage.home.run(["sh", "-c", "echo x >/etc/resolv.new; mv /etc/resolv.new /etc/resolv.conf"])
    stage.home.run(["sh", "-c", "mkdir -p /etc/netjail /run/netns; mkdir -p /run/netjail"])
    stage.home.run(["mount", "-t", "tmpfs", "none", "/mnt"], check=True)
    assert machine() == before
    stage.home.run(["umount", "/mnt"])
    stage.home.run(["sh", "-c", f"echo nameserver {places.RESOLVER4} >/etc/resolv.conf"])


@pytest.mark.parametrize("kernel", [False, True])
def test_the_providers_file_works_by_hand(stage_possible: None, kernel: bool) -> None:
    """Without netjail: wg and ip, as an independent witness that the server is a good one."""
    if kernel and not kernel_has_wireguard():
        pytest.skip("this kernel has no wireguard")
    if not kernel and places.which("wireguard-go") is None:
        pytest.skip("not installed: wireguard-go")
    with Stage(kernel_wireguard=kernel, providers=2) as stage:
        for provider, conf in zip(
            stage.providers, (stage.provider_conf, stage.provider2_conf), strict=True
        ):
            connect(stage, conf, kernel)
            assert fetch(stage.home, "-4", stage.web_url) == provider.wan4
            if stage.ipv6:
                assert fetch(stage.home, "-6", stage.web_url) == provider.wan6
            stage.cut_provider() if provider is stage.providers[0] else provider.cut()
            assert stage.home.run(["ping", "-c1", "-W1", provider.resolver]).returncode != 0
            disconnect(stage, kernel)


def connect(stage: Stage, conf: str, kernel: bool) -> None:
    fields = dict(
        line.split(" = ", 1) for line in conf.splitlines() if " = " in line and line[0] != "#"
    )
    keep = ("[", "PrivateKey", "PublicKey", "PresharedKey", "AllowedIPs", "Endpoint")
    bare = "\n".join(line for line in conf.splitlines() if line.startswith(keep)) + "\n"
    if kernel:
        stage.home.ip("link add wgt type wireguard")
    else:
        stage.home.service(["wireguard-go", "-f", "wgt"], stdout=-3, stderr=-3)
        socket = stage.home.path("/run/wireguard/wgt.sock")
        assert wait_until(lambda: os.path.exists(socket), 5)
    stage.home.run(["wg", "setconf", "wgt", "/dev/stdin"], input=bare, check=True)
    stage.home.ip(
        *(f"addr add {address} dev wgt" for address in fields["Address"].split(", ")),
        "link set wgt up mtu 1420",
        "route add 198.51.100.0/24 via 203.0.113.1",
        "route add default dev wgt metric 1",
        "route add ::/0 dev wgt metric 1" if stage.ipv6 else "",
    )


def disconnect(stage: Stage, kernel: bool) -> None:
    stage.home.ip("link del wgt", "route del 198.51.100.0/24")


def test_the_second_uplink(stage: Stage) -> None:
    stage.add_home_uplink()
    assert fetch(stage.home, "-4", stage.web_url) == places.SECOND4
    if stage.ipv6:
        assert fetch(stage.home, "-6", stage.web_url) == places.SECOND6
    stage.remove_home_uplink()
    assert fetch(stage.home, "-4", stage.web_url) == places.HOME4


def test_unplug_and_plug(stage: Stage) -> None:
    ping = ["ping", "-c1", "-W1", stage.providers[0].wan4]
    assert stage.home.run(ping).returncode == 0
    stage.unplug_provider()
    assert stage.home.run(ping).returncode != 0
    stage.plug_provider()
    assert wait_until(lambda: stage.home.run(ping).returncode == 0, 5)
    if stage.ipv6:
        ping[-1] = stage.providers[0].wan6
        assert wait_until(lambda: stage.home.run(ping).returncode == 0, 5)


def test_two_stages_side_by_side(stage: Stage) -> None:
    before = len(stage.dns_log("isp"))
    with Stage() as other:
        assert other.provider_conf != stage.provider_conf
        assert fetch(other.home, "-4", other.web_url) == places.HOME4
        assert other.dns_log("isp")
        other.cut_provider()
        assert stage.provider.run(["ip", "link", "show", "wg0"]).returncode == 0
    assert len(stage.dns_log("isp")) == before
    assert fetch(stage.home, "-4", stage.web_url) == places.HOME4


def test_a_host_with_systemd_resolved(stage_possible: None) -> None:
    with Stage(systemd_resolved_stub=True, ipv6=False) as stage:
        resolv = stage.home.path("/etc/resolv.conf")
        assert os.readlink(resolv) == "../run/systemd/resolve/stub-resolv.conf"
        assert fetch(stage.home, stage.web_url) == places.HOME4
        assert wait_until(lambda: stage.web_name in stage.dns_log("isp"), 5)
        assert "inet6" not in stage.home.run(["ip", "addr", "show", "scope", "global"]).stdout


@pytest.fixture
def before(stage_possible: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine is the same after the test, and no process of its stage is left."""
    token = f"netjail-test-{uuid.uuid4()}"
    monkeypatch.setenv("NETJAIL_TEST_TOKEN", token)
    state = machine()
    yield
    assert wait_until(lambda: not marked(token), 5), f"left: {marked(token)}"
    assert wait_until(lambda: machine() == state, 5), "the machine was changed"


def test_nothing_is_left(before: None) -> None:
    with Stage() as stage:
        stage.home.popen(["sleep", "100"])
        stage.home.run(["sh", "-c", "setsid sleep 100 >/dev/null 2>&1 &"])
        stage.add_home_uplink()


def test_nothing_is_left_after_an_error(before: None) -> None:
    with pytest.raises(ZeroDivisionError), Stage():
        raise ZeroDivisionError


SCRIPT = textwrap.dedent("""
    import sys, time
    from netjail.demo.stage import Stage
    with Stage() as stage:
        stage.home.run(["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &"])
        child = stage.home.popen(["sleep", "1000"])
        print(child.pid, flush=True)
        time.sleep(1000)
""")


@pytest.mark.parametrize("propagation", ["private", "shared"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_after_a_kill(before: None, number: int, propagation: str) -> None:
    """The maker of the stage is killed; on a machine with private and with shared mounts."""
    unshare = ["unshare", "--mount", f"--propagation={propagation}"]
    maker = subprocess.Popen(
        [*unshare, sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert maker.stdout is not None
    with maker.stdout:
        child = int(maker.stdout.readline())
        maker.send_signal(number)
        maker.wait(30)
    assert wait_until(lambda: not os.path.exists(f"/proc/{child}"), 5)


def test_set_up_is_fast(stage_possible: None) -> None:
    begin = time.monotonic()
    with Stage() as stage:
        assert stage.setup_seconds < 2
    assert time.monotonic() - begin < 3


def test_the_servers_helpers() -> None:
    assert plain_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert plain_address("2001:db8::1%eth0") == "2001:db8::1"
    assert queries("dnsmasq: query[AAAA] a.example from 192.0.2.1\n") == [
        ("AAAA", "a.example", "192.0.2.1")
    ]
