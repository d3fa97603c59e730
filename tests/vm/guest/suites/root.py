# SPDX-License-Identifier: GPL-3.0-or-later
"""netjail as root on a real system: kernel WireGuard, real resolved, real sessions.

What ordinary users may do by polkit is another suite's business.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import guest
import provider
from guest import Capture, at_seat, background, by_ssh, eventually, main, needed, netjail, sh, test
from helper import helper_pid, helper_runs
from program import WHO

MODULES = ("wireguard", "openvswitch", "veth", "overlay", "nf_tables")
PLAIN = "/run/netjail-tests/plain.toml"
DNS_PORTS = "(port 53 or port 853 or port 5353 or port 5355)"


@test
def system_is_whole() -> None:
    """The machine came up with nothing failed, and with a session at the seat"""
    failed = sh("systemctl --failed --no-legend --plain").text
    assert not failed, failed
    assert at_seat("id -un").text == "alice"
    session = at_seat(["sh", "-c", "loginctl show-session $XDG_SESSION_ID"]).out
    for wanted in ("Seat=seat0", "Active=yes", "Remote=no", "VTNr=1"):
        assert wanted in session.split(), wanted
    remote = by_ssh("loginctl show-session $XDG_SESSION_ID").out
    assert "Remote=yes" in remote.split() and "Seat=seat0" not in remote.split()
    managed = "NetworkManager" if guest.DEBIAN == "bookworm" else "systemd-networkd"
    sh(f"systemctl is-active {managed} systemd-resolved polkit")


@test
def kernel_modules() -> None:
    """The kernel has WireGuard, Open vSwitch, veth, overlay and nf_tables"""
    for module in MODULES:
        sh(f"modprobe {module}")


@test
def doctor_is_content() -> None:
    """doctor finds no error"""
    checks = netjail("doctor")["checks"]
    bad = [check for check in checks if check["status"] == "error"]
    assert not bad, bad


@test
@needed
def the_internet_is_laid_out() -> None:
    """A provider with kernel WireGuard stands in a second namespace; its file is imported"""
    provider.start()
    sh(f"netjail import {provider.LOGS}/provider.conf --name vpn")
    Path(PLAIN).write_text('version = 1\n[uplink]\nkind = "veth"\n')
    sh(f"netjail profile add {PLAIN} --name plain", ok=None)
    assert "plain" in sh("netjail list").out


@test
@needed
def run_reaches_the_provider() -> None:
    """run goes through the tunnel; the page sees the tunnel's address"""
    assert sh(f"netjail run vpn curl -s -m 20 http://{provider.WEB}/").text == provider.JAIL4
    assert sh(f"curl -s -m 20 http://{provider.WEB}/").text == provider.HOST4
    sh("netjail run vpn ping -c 1 -W 10 fd64::1")


@test
def tunnel_is_the_kernels() -> None:
    """The tunnel is the kernel's WireGuard, and no wireguard-go runs"""
    assert provider.uplink("vpn")["implementation"] == "kernel"
    assert "wireguard" in sh("ip -n netjail-vpn -d link show wg0").out
    assert sh("pgrep -x wireguard-go", ok=None).code == 1


@test
def wire_shows_only_the_tunnel() -> None:
    """On the wire there is nothing but the encrypted stream to the endpoint"""
    other = f"not (udp port {provider.PORT} and host {provider.ISP4}) and not arp and not icmp6"
    with Capture("wan0", other) as leaked, Capture("wan0", f"udp port {provider.PORT}") as stream:
        sh(f"netjail run vpn curl -s -m 20 http://{provider.WEB}/")
        sh("netjail run vpn curl -s -m 20 http://whoami.example/")
        sh("netjail run vpn ping -c 1 -W 5 fd64::1")
    assert stream.lines
    assert not leaked.lines, leaked.lines


@test
def dns_control() -> None:
    """Control: outside, names go to resolved, and the captures would show it"""
    before = transactions()
    with Capture("wan0", DNS_PORTS) as wire, Capture("lo", DNS_PORTS) as loopback:
        assert provider.BY_LINE in sh("getent ahostsv4 which.example").out
        sh(["python3", "-c", ASK, "127.0.0.53", "control.whoami.example"])
    assert wire.lines and loopback.lines
    assert transactions() > before
    assert "resolve" in hosts_line(Path("/etc/nsswitch.conf").read_text())


@test
def dns_stays_inside() -> None:
    """Inside, no name goes to resolved, by any door, nor onto the wire"""
    line_before = provider.asked("line")
    before = transactions()
    with Capture("wan0", DNS_PORTS) as wire, Capture("lo", DNS_PORTS) as loopback:
        assert provider.BY_TUNNEL in sh("netjail run vpn getent ahostsv4 which.example").out
        # nss-resolve asked by name, whatever nsswitch.conf says
        sh("netjail run vpn getent -s resolve ahostsv4 which.example", ok=False)
        # resolved's sockets, and its addresses
        for name in ("io.systemd.Resolve", "io.systemd.Resolve.Monitor"):
            path = f"/run/systemd/resolve/{name}"
            sh(["netjail", "run", "vpn", "python3", "-c", CONNECT, path], ok=False)
        for address in ("127.0.0.53", "127.0.0.54"):
            sh(["netjail", "run", "vpn", "python3", "-c", ASK, address, "which.example"], ok=False)
    assert not loopback.lines, loopback.lines
    assert not wire.lines, wire.lines
    assert transactions() == before, "resolved was asked"
    assert provider.asked("line") == line_before
    assert "which.example" in provider.asked("tunnel")
    assert "resolve" not in hosts_line(sh("netjail run vpn cat /etc/nsswitch.conf").out)
    conf = sh("netjail run vpn cat /etc/resolv.conf").out
    assert f"nameserver {provider.TUNNEL_DNS}" in conf and "127.0.0.53" not in conf


@test
def dns_survives_resolved() -> None:
    """resolved restarting, with a new resolv.conf, changes nothing for a running program"""
    script = "getent ahostsv4 which.example; sleep 8; getent ahostsv4 which.example"
    with background(["netjail", "run", "vpn", "sh", "-c", script]) as program:
        time.sleep(2)
        sh("systemctl restart systemd-resolved")
        sh(f"resolvectl dns wan0 {provider.LINE_DNS}")
        sh(["resolvectl", "domain", "wan0", "~."])
        sh("resolvectl dnssec wan0 no")
        out, _ = program.communicate(timeout=60)
    lines = [line for line in out.splitlines() if "STREAM" in line]
    assert len(lines) == 2 and all(provider.BY_TUNNEL in line for line in lines), out


@test
def sudo_from_the_seat() -> None:
    """sudo netjail run at the seat: the user's own program, cgroup and session"""
    as_the_user(at_seat)


@test
def sudo_by_ssh() -> None:
    """sudo netjail run over ssh: the user's own program, cgroup and session"""
    as_the_user(by_ssh)


def as_the_user(ask) -> None:
    # Both in one session: each ssh is one of its own.
    script = 'python3 -c "$0"; sudo netjail run vpn python3 -c "$0"'
    plain, jailed = map(json.loads, ask(["sh", "-c", script, WHO]).out.splitlines())
    assert jailed["uids"] == plain["uids"] and jailed["gids"] == plain["gids"], jailed
    assert jailed["groups"] == plain["groups"], (jailed, plain)
    for key in ("cgroup", "cwd", "home", "user"):
        assert jailed[key] == plain[key], (key, jailed[key], plain[key])
    assert jailed["session"] == plain["session"] != "", "logind's session"
    assert jailed["caps"] == ["0000000000000000"] * 4, jailed["caps"]
    assert jailed["net"] != plain["net"]


@test
def network_managers_leave_us_alone() -> None:
    """NetworkManager and systemd-networkd leave our interfaces alone, also when restarted"""
    sh(f"netjail run plain curl -s -m 20 http://{provider.WEB}/")
    ours = host_ends()
    assert ours, "a veth profile has an end on the host"
    before = [sh(f"ip -o address show dev {name} scope global").out for name in ours]
    rules = sh("ip rule").out
    for unit in ("NetworkManager", "systemd-networkd"):
        sh(f"systemctl restart {unit}")
        if unit == "NetworkManager":
            states = dict(
                line.split(":") for line in sh("nmcli -t -f DEVICE,STATE device").out.splitlines()
            )
            for name in ours:
                assert states.get(name, "unmanaged") == "unmanaged", states
        else:
            for line in sh("networkctl --no-legend --no-pager list").out.splitlines():
                if line.split()[1] in ours:
                    assert line.split()[-1] == "unmanaged", line
    time.sleep(3)
    assert [sh(f"ip -o address show dev {name} scope global").out for name in ours] == before
    assert sh("ip rule").out == rules
    assert sh(f"netjail run plain curl -s -m 20 http://{provider.WEB}/").text == provider.HOST4
    if guest.DEBIAN == "bookworm":
        sh("systemctl stop systemd-networkd systemd-networkd.socket")
    else:
        sh("systemctl stop NetworkManager")


@test
def veth_with_resolved() -> None:
    """A veth profile on a host with resolved's stub: names are answered by the line's resolver"""
    conf = sh("netjail run plain cat /etc/resolv.conf").out
    assert "127.0.0.53" not in conf, conf
    assert provider.BY_LINE in sh("netjail run plain getent ahostsv4 which.example").out
    page = sh("netjail run plain curl -s -m 20 http://whoami.example/")
    assert page.text == provider.HOST4


@test
def flushed_rules() -> None:
    """nft flush ruleset: the tunnel goes on untouched, the veth profile gets its rules back"""
    with background("netjail run vpn sleep 120"), background("netjail run plain sleep 120"):
        sh("nft flush ruleset")
        assert sh(f"netjail run vpn curl -s -m 20 http://{provider.WEB}/").text == provider.JAIL4
        eventually(lambda: "table inet netjail" in sh("nft list tables").out, "our table is back")
        page = sh(f"netjail run plain curl -s -m 20 http://{provider.WEB}/")
        assert page.text == provider.HOST4


@test
def helper_killed() -> None:
    """kill -9 of the helper: programs go on, the next command has a helper that knows them"""
    with background("netjail run vpn sleep 600") as program:
        eventually(lambda: program.pid in inside_pids("vpn"), "ps knows the program")
        old = helper_pid()
        os.kill(old, signal.SIGKILL)
        assert sh(f"netjail run vpn curl -s -m 20 http://{provider.WEB}/").text == provider.JAIL4
        assert program.pid in inside_pids("vpn")
        assert program.poll() is None
        assert helper_pid() != old
        states = {each["name"]: each["state"] for each in netjail("list")["profiles"]}
        assert states["vpn"] == "up" and states["plain"] == "up", states


@test
def uplink_lost_and_back() -> None:
    """With the provider gone nothing gets out; when it is back, the same program goes on"""
    other = f"not (udp port {provider.PORT} and host {provider.ISP4}) and not arp and not icmp6"
    script = f"while sleep 1; do curl -s -m 3 http://{provider.WEB}/ || echo none; done"
    with background(["netjail", "run", "vpn", "sh", "-c", script]) as program:
        time.sleep(2)
        with Capture("wan0", other) as leaked:
            provider.inside("ip link set wg0 down")
            sh(f"netjail run vpn curl -s -m 4 http://{provider.WEB}/", ok=False)
            # As in sleep: the line itself is gone for a while.
            sh("ip link set wan0 down")
            time.sleep(2)
            sh("ip link set wan0 up")
            sh(f"ip address replace {provider.HOST6}/64 dev wan0 nodad")
            sh(f"ip route replace default via {provider.ISP4} dev wan0")
            sh(f"ip -6 route replace default via {provider.ISP6} dev wan0")
        # What resolved and avahi say on their own when a line comes up is not the program's.
        strange = [x for x in leaked.lines if provider.WEB in x or provider.TUNNEL_DNS in x]
        assert not strange, strange
        provider.inside("ip link set wg0 up")
        eventually(
            lambda: (
                sh(f"netjail run vpn curl -s -m 5 http://{provider.WEB}/", ok=None).text
                == provider.JAIL4
            ),
            "the tunnel works again",
            seconds=60,
        )
        time.sleep(5)
        assert program.poll() is None
        program.terminate()
        out, _ = program.communicate(timeout=20)
    assert out.split()[-1] == provider.JAIL4, out


@test
def down_leaves_nothing() -> None:
    """down --all leaves nothing of ours behind"""
    resolv = os.readlink("/etc/resolv.conf")
    sh("netjail down --all --kill")
    # The kernel clears a namespace up, and the host's end of its pair with it, in its own time.
    eventually(lambda: not host_ends(), "the host's ends of the pairs go")
    assert "netjail" not in sh("ip netns").out
    assert "netjail" not in sh("nft list tables").out
    assert not os.listdir("/run/netjail/jails")
    assert not [m for m in Path("/proc/mounts").read_text().splitlines() if "netjail" in m]
    assert os.readlink("/etc/resolv.conf") == resolv
    if sh("systemctl is-active netjaild", ok=None).code != 0:  # one started on demand
        eventually(lambda: not helper_runs(), "the helper ends when nothing is up", seconds=30)


# What the tests share -------------------------------------------------------------------------

ASK = """
import socket, sys
name = b"".join(bytes([len(x)]) + x.encode() for x in sys.argv[2].split(".")) + b"\\0"
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(3)
sock.connect((sys.argv[1], 53))
sock.send(b"\\x12\\x34\\x01\\0\\0\\1\\0\\0\\0\\0\\0\\0" + name + b"\\0\\1\\0\\1")
assert sock.recv(512)[:2] == b"\\x12\\x34"
"""
CONNECT = """
import socket, sys
socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect(sys.argv[1])
"""


def transactions() -> int:
    """How many questions resolved has been asked."""
    found = re.search(r"Total Transactions: *(\d+)", sh("resolvectl statistics").out)
    assert found, "resolvectl statistics"
    return int(found[1])


def hosts_line(text: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith("hosts:"))


def host_ends() -> list[str]:
    links = json.loads(sh("ip -j link").out)
    return [link["ifname"] for link in links if link["ifname"].startswith("nj-")]


def inside_pids(profile: str) -> list[int]:
    return [each["pid"] for each in netjail(["ps", profile])["programs"]]


if __name__ == "__main__":
    main()
