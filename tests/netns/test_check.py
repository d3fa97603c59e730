# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail check` on the stage: each leak built on purpose is found, and none where there is none.

A host with its provider's file, an ISP, a provider, a page that tells who visits; real tunnels,
real packets. Each test undoes what it has built.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from teststage import ROOT, Netjail, TestStage
from vpnservers import OpenVpnServer

from netjail.demo.nodes import wait_until
from netjail.demo.provider import start_dnsmasq
from netjail.demo.stage import HOME4, HOME6, WEB4

EXIT4, EXIT6 = "198.51.100.20", "2001:db8:20::20"
ECHO = "http://whoami.example/"
VPN, LAB, NONE = "netjail-vpn", "netjail-lab", "netjail-none"
VETH = 'version = 1\n[uplink]\nkind = "veth"\n'
NO_UPLINK = 'version = 1\n[uplink]\nkind = "none"\n'
VIEW = "/run/netjail/view/vpn"

LISTEN = """
import os, socket, sys
path, name = sys.argv[1:3]
if name:
    open("/proc/self/comm", "w").write(name)
os.makedirs(os.path.dirname(path), exist_ok=True)
server = socket.socket(socket.AF_UNIX); server.bind(path); os.chmod(path, 0o666); server.listen()
print("ready", flush=True)
while True:
    server.accept()
"""
HOLD = """
import socket, subprocess, sys
sock = socket.socket(socket.AF_INET, getattr(socket, sys.argv[1]))
subprocess.run([sys.executable, "-m", "netjail", "run", "vpn", "sh", "-c", "echo in; sleep 100"],
               stdin=sock)
"""
ASKER = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind((sys.argv[1], 53))
print("ready", flush=True)
while True:
    question, asker = sock.recvfrom(512)
    end = question.index(0, 12) + 5
    known = question[end - 4 : end] == bytes([0, 1, 0, 1])
    answer = bytes([192, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]) + socket.inet_aton(asker[0])
    head = question[:2] + bytes([0x84, 0, 0, 1, 0, int(known), 0, 0, 0, 0])
    sock.sendto(head + question[12:end] + (answer if known else b""), asker)
"""
"""A name server, of any name, whose answer is the address of who asks."""


@pytest.fixture(scope="module")
def vpn(stage: Any, netjail: Any) -> Any:
    """The stage with three profiles up."""
    netjail("import", "-", "--name", "vpn", input=stage.provider_conf, check=True)
    for name, text in (("lab", VETH), ("none", NO_UPLINK)):
        netjail("profile", "add", "-", "--name", name, input=text, check=True)
    netjail("up", "vpn", "lab", "none", check=True)
    return stage


@pytest.fixture
def check(vpn: Any, netjail: Any) -> Callable[..., dict[str, Any]]:
    """The result of a check; its exit status agrees with it."""

    def run(*words: str, env: dict[str, str | None] | None = None) -> dict[str, Any]:
        done = netjail("check", "--json", *(words or ("vpn",)), env=env)
        assert done.stderr == "", done
        result = done.json["result"]
        assert done.returncode == (0 if result["clean"] else 1), done
        return result

    return run


def bad(result: dict[str, Any]) -> list[tuple[str, str]]:
    """What is not well."""
    found = [(f["code"], f["level"]) for f in result["findings"]]
    return sorted({each for each in found if each[1] in ("warning", "leak")})


def texts(result: dict[str, Any]) -> dict[str, str]:
    return {f["code"]: f["text"] for f in result["findings"]}


def home(stage: Any, *argv: str) -> str:
    return stage.home.run(argv, check=True, cwd="/").stdout


@contextmanager
def service(stage: Any, script: str, *words: str, node: str = "home") -> Iterator[str]:
    """A program that runs meanwhile; its first line."""
    process = getattr(stage, node).service([sys.executable, "-c", script, *words], stdout=-1)
    try:
        yield process.stdout.readline().decode().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def done_and_undone(stage: Any, do: list[str], undo: list[str], netns: str = "") -> Iterator[None]:
    """Lines of ip(8), at home or in a namespace."""
    own = ["-n", netns] if netns else []
    for line in do:
        home(stage, "ip", *own, *line.split())
    try:
        yield
    finally:
        for line in undo:
            home(stage, "ip", *own, *line.split())


# None where there is none ---------------------------------------------------------------------


def test_a_tunnel_does_not_leak_and_others_see_the_provider(check) -> None:
    result = check("vpn", "--echo", ECHO)
    assert bad(result) == [] and result["verdict"] == "ok"
    said = texts(result)
    assert said["exit-ipv4"] == f"seen as {EXIT4}; outside as {HOME4}"
    assert said["exit-ipv6"] == f"seen as {EXIT6}; outside as {HOME6}"
    assert "wg0" in said["route-default"] and "outside the jail" in said["tunnel-socket"]
    assert "1420" in said["mtu"]


def test_a_veth_profile_does_not_leak_and_others_see_the_host(check) -> None:
    result = check("lab", "--echo", ECHO)
    assert bad(result) == []
    assert texts(result)["exit-ipv4"] == f"seen as {HOME4}, the host's own line"
    assert HOME4 in texts(result)["fence"]


def test_nothing_leaves_none(check) -> None:
    result = check("none", "--echo", ECHO)
    assert bad(result) == []
    assert texts(result)["exit-ipv4"] == "no page is reached by IPv4"


def test_a_network_of_others_and_one_of_somebody_elses(vpn: Any, netjail, check) -> None:
    dns = '[dns]\nmode = "static"\nservers = ["192.0.2.53"]\n'
    address = 'address = ["203.0.113.9/25"]\ngateway = ["203.0.113.1"]\n'
    lan = f'version = 1\n[uplink]\nkind = "macvlan"\nparent = "wan0"\n{address}{dns}'
    other = f'version = 1\n[uplink]\nkind = "netns"\nname = "foreign"\n{dns}'
    do = [
        "netns add foreign",
        "link add odd0 type veth peer name odd1 netns foreign",
        "-n foreign addr add 10.9.9.2/30 dev odd1",
        "-n foreign link set odd1 up",
        "-n foreign route add default via 10.9.9.1",
    ]
    try:
        with done_and_undone(vpn, do, ["netns del foreign"]):
            for name, text in (("lan", lan), ("other", other)):
                netjail("profile", "add", "-", "--name", name, input=text, check=True)
                assert bad(check(name)) == []
            netjail("down", "lan", "other", check=True)
    finally:
        netjail("profile", "remove", "--yes", "lan", "other")


@pytest.mark.slow
def test_a_tunnel_in_a_tunnel_does_not_leak() -> None:
    with TestStage(providers=2) as stage:
        netjail = Netjail(stage)
        netjail("import", "-", "--name", "first", input=stage.provider_conf, check=True)
        more = ("import", "-", "--name", "second", "--through", "first")
        netjail(*more, input=stage.provider2_conf, check=True)
        result = netjail("check", "second", "--json", "--echo", ECHO, check=True).json["result"]
        assert bad(result) == []
        assert texts(result)["exit-ipv4"].startswith(f"seen as {stage.providers[1].wan4};")


def test_offline_nothing_is_sent_in_plain(vpn: Any, check) -> None:
    with vpn.capture() as wire:
        result = check("vpn", "--offline", "--echo", ECHO, "--echo-dns", "who.example")
    assert bad(result) == []
    assert result["sent_outside"] == []
    assert all("10.64.0.1" in sent for sent in result["sent_inside"]), "into the tunnel alone"
    strays = [
        p for p in wire.packets if not p.neighbourhood and EXIT4 not in (p.source, p.destination)
    ]
    assert wire.packets and strays == []


def test_what_is_sent_is_told(vpn: Any, check) -> None:
    result = check("vpn", "--echo", ECHO)
    assert f"GET {ECHO} to {WEB4}" in result["sent_outside"]
    assert f"GET {ECHO} to {WEB4}" in result["sent_inside"]


def test_a_profile_that_is_down_comes_up_for_it(vpn: Any, netjail, check) -> None:
    netjail("down", "none", check=True)
    assert bad(check("none")) == []
    assert "up" in netjail("list").stdout


def test_a_person_reads_the_verdict_last(vpn: Any, netjail) -> None:
    done = netjail("check", "vpn")
    assert done.returncode == 0 and done.stdout.endswith("vpn: nothing leaks.\n")


# Interfaces and routes ------------------------------------------------------------------------


def test_an_interface_moved_in_by_hand(vpn: Any, check) -> None:
    do = [f"link add odd0 type veth peer name odd1 netns {VPN}"]
    with done_and_undone(vpn, do, ["link del odd0"]):
        result = check()
    assert bad(result) == [("interface-foreign", "leak")]
    assert "odd1 (veth)" in texts(result)["interface-foreign"]


@pytest.mark.slow
def test_a_second_way_out_by_hand_is_seen_in_the_exit_address_too(vpn: Any, check) -> None:
    """All that somebody with ip(8) would do: a cable to the host, NAT, a better route."""
    chain = "chain c { type nat hook postrouting priority 100; oif wan0 masquerade; }"
    nat = f"table ip hand {{ {chain}; }}"
    vpn.home.run(["nft", "-f", "-"], input=nat, check=True, cwd="/")
    home(vpn, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    do = [
        f"link add odd0 type veth peer name odd1 netns {VPN}",
        "addr add 10.9.9.1/30 dev odd0",
        "link set odd0 up",
        f"-n {VPN} addr add 10.9.9.2/30 dev odd1",
        f"-n {VPN} link set odd1 up",
        f"-n {VPN} route add 128.0.0.0/1 via 10.9.9.1",
    ]
    try:
        with done_and_undone(vpn, do, ["link del odd0"]):
            result = check("vpn", "--echo", ECHO)
    finally:
        home(vpn, "nft", "delete", "table", "ip", "hand")
        home(vpn, "sysctl", "-qw", "net.ipv4.ip_forward=0")
    codes = dict(bad(result))
    assert codes["exit-ipv4"] == "leak" and "exit-ipv6" not in codes
    assert codes["route-default"] == codes["interface-foreign"] == "leak"
    assert texts(result)["exit-ipv4"] == f"seen as {HOME4}, inside and outside"


def test_a_way_out_of_none_by_hand(vpn: Any, check) -> None:
    do = [
        f"link add odd0 type veth peer name odd1 netns {NONE}",
        "link set odd0 up",
        f"-n {NONE} addr add 10.9.9.2/30 dev odd1",
        f"-n {NONE} link set odd1 up",
        f"-n {NONE} route add default via 10.9.9.1",
    ]
    with done_and_undone(vpn, do, ["link del odd0"]):
        codes = dict(bad(check("none")))
    assert set(codes.values()) == {"leak"}
    assert {"interface-foreign", "route-default", "dns-public"} <= set(codes)


def test_a_route_in_a_table_of_its_own_with_a_rule_for_marked_packets(vpn: Any, check) -> None:
    do = ["route add default dev wg0 table 77", "rule add fwmark 0x1 lookup 77"]
    with done_and_undone(vpn, do, ["rule del fwmark 0x1", "route flush table 77"], VPN):
        result = check()
    assert bad(result) == [("route-other", "warning")]
    told = [f["text"] for f in result["findings"] if f["code"] == "route-other"]
    assert any("table 77" in text for text in told)
    assert any("fwmark 0x1 lookup 77" in text for text in told)


def test_an_address_of_the_host_inside(vpn: Any, check) -> None:
    """What a page would be told by WebRTC."""
    line = f"addr {{}} {HOME4}/32 dev wg0"
    with done_and_undone(vpn, [line.format("add")], [line.format("del")], VPN):
        result = check()
    assert bad(result) == [("address-shared", "leak")]
    assert HOME4 in texts(result)["address-shared"]


def test_a_hole_in_the_fence_of_a_veth_profile(vpn: Any, check) -> None:
    home(vpn, "nft", "insert", "rule", "inet", "netjail", "to_host", "accept")
    try:
        result = check("lab")
    finally:
        listed = home(vpn, "nft", "-a", "list", "chain", "inet", "netjail", "to_host")
        handle = next(line.split()[-1] for line in listed.splitlines() if "accept # handle" in line)
        home(vpn, "nft", "delete", "rule", "inet", "netjail", "to_host", "handle", handle)
    assert bad(result) == [("fence", "leak")]
    assert bad(check("lab")) == []


# DNS ------------------------------------------------------------------------------------------


def test_resolv_conf_replaced_by_hand(vpn: Any, check, netjail) -> None:
    home(vpn, "sh", "-c", f"echo nameserver 192.0.2.53 > {VIEW}/dns/resolv.conf")
    try:
        result = check()
    finally:
        netjail("up", "vpn", check=True)
    assert ("dns-servers", "leak") in bad(result) and ("record", "warning") in bad(result)
    assert "192.0.2.53, not 10.64.0.1" in texts(result)["dns-servers"]
    assert bad(check()) == [], "up has mended it"


def test_nsswitch_conf_replaced_by_hand(vpn: Any, check) -> None:
    path = f"{VIEW}/etc/nsswitch.conf"
    before = home(vpn, "cat", path)
    home(vpn, "sh", "-c", f"echo 'hosts: mymachines resolve files dns' > {path}")
    try:
        result = check()
    finally:
        vpn.home.run(["tee", path], input=before, check=True, cwd="/")
    assert bad(result) == [("dns-nsswitch", "warning")]
    assert "mymachines, resolve" in texts(result)["dns-nsswitch"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        # what the jail shows in place of the host's directories
        (f"{VIEW}/empty/socket", [("dns-avahi", "leak"), ("dns-nscd", "leak")]),
        (f"{VIEW}/resolve/io.systemd.Resolve", [("dns-resolved", "leak")]),
    ],
)
def test_a_resolvers_socket_that_is_not_covered(
    vpn: Any, check, path: str, found: list[tuple[str, str]]
) -> None:
    home(vpn, "mkdir", "-p", "/run/systemd/resolve", "/run/nscd", "/run/avahi-daemon")
    with service(vpn, LISTEN, path, "") as said:
        assert said == "ready"
        result = check()
    home(vpn, "rm", path)
    covered = [
        each for each in found if each[0] != "dns-resolved" or "dns-resolved" in texts(result)
    ]
    assert bad(result) == covered


@pytest.mark.slow
def test_the_same_resolver_inside_and_outside(vpn: Any, check, netjail) -> None:
    """A real dnsmasq that passes questions on: it is who asks in the end, whoever asked it."""
    shared, asker = "198.51.100.30", "192.0.2.99"
    vpn.isp.ip(f"addr add {asker}/32 dev lo")
    vpn.provider.ip(f"addr add {shared}/25 dev wan0")
    text = netjail("profile", "show", "--secrets", "vpn", check=True).stdout
    changed = f'{text}\n[dns]\nmode = "static"\nservers = ["{shared}"]\n'
    before = home(vpn, "cat", "/etc/resolv.conf")
    with service(vpn, ASKER, asker, node="isp") as said:
        assert said == "ready"
        log = start_dnsmasq(vpn.provider, {}, (shared,), upstream=asker)
        assert log.wait_for(b"started", 20), log.text()
        straight = check("vpn", "--echo-dns", "who.example", "--resolver", asker)
        home(vpn, "sh", "-c", f"echo nameserver {shared} > /etc/resolv.conf")
        netjail("profile", "add", "-", "--name", "vpn", "--replace", input=changed, check=True)
        netjail("up", "vpn", check=True)
        try:
            leaking = check("vpn", "--echo-dns", "who.example")
        finally:
            vpn.home.run(["tee", "/etc/resolv.conf"], input=before, check=True, cwd="/")
            netjail("profile", "add", "-", "--name", "vpn", "--replace", input=text, check=True)
            netjail("up", "vpn", check=True)
    told = [f["text"] for f in straight["findings"] if f["code"] == "dns-exit"]
    assert f"straight {asker}: asked by {EXIT4}" in told, "through the tunnel, so by the provider"
    assert ("dns-exit", "leak") in bad(leaking)


# Ways around ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "code", "level"),
    [
        ("/run/docker.sock", "socket-docker", "warning"),
        ("/run/podman/podman.sock", "socket-podman", "warning"),
        ("/run/libvirt/libvirt-sock", "socket-libvirt", "warning"),
        ("/run/snapd.socket", "socket-snapd", "info"),
    ],
)
def test_a_socket_that_leads_out(vpn: Any, check, path: str, code: str, level: str) -> None:
    with service(vpn, LISTEN, path, "") as said:
        assert said == "ready"
        result = check()
        known = check("vpn", "--accept", code)
    home(vpn, "rm", path)
    assert [f["level"] for f in result["findings"] if f["code"] == code] == [level]
    assert bad(result) == ([(code, level)] if level == "warning" else [])
    assert known["clean"] and known["counts"]["accepted"] == 1
    assert code not in texts(check())


def test_what_only_root_reaches_is_nothing_to_a_user(vpn: Any, check) -> None:
    """Under sudo the probes run as who called it."""
    vpn.add_user()
    path = "/run/docker.sock"
    with service(vpn, LISTEN, path, "") as said:
        assert said == "ready"
        home(vpn, "chmod", "600", path)
        assert bad(check()) == [("socket-docker", "warning")]
        assert bad(check(env={"SUDO_UID": "4242", "SUDO_GID": "4242", "SUDO_USER": "alice"})) == []
    home(vpn, "rm", path)


@pytest.mark.parametrize(("comm", "level"), [("ssh-agent", "info"), ("sshd-session", "warning")])
def test_an_ssh_agent_and_whether_it_is_forwarded(vpn: Any, check, comm: str, level: str) -> None:
    path = "/run/ssh-XXXX/agent.7"
    with service(vpn, LISTEN, path, comm) as said:
        assert said == "ready"
        result = check(env={"SSH_AUTH_SOCK": path})
    home(vpn, "rm", path)
    assert [f["level"] for f in result["findings"] if f["code"] == "ssh-agent"] == [level]


def test_a_shared_ssh_connection(vpn: Any, check) -> None:
    path = "/run/root/.ssh/cm/alice@server:22"
    with service(vpn, LISTEN, path, "ssh") as said:
        assert said == "ready"
        assert bad(check()) == [("ssh-master", "warning")]
    assert bad(check()) == [], "a dead one leads nowhere"
    home(vpn, "rm", "-r", "/run/root/.ssh")


@pytest.mark.parametrize("kind", ["SOCK_DGRAM", "SOCK_STREAM"])
def test_a_socket_of_the_host_in_a_program_inside(vpn: Any, check, netjail, kind: str) -> None:
    """Not even bound, so in no table of /proc/net: the kernel alone can tell whose it is."""
    with service(vpn, f"import os; os.chdir({str(ROOT)!r})" + HOLD, kind) as said:
        assert said == "in"
        result = check()
        netjail("kill", "vpn", "--signal", "KILL")
    assert bad(result) == [("held-socket", "leak")]
    assert "has one as descriptor 0: IPv4" in texts(result)["held-socket"]


def test_programs_of_its_own_network_are_none(vpn: Any, check, netjail) -> None:
    script = "import socket, time; s = socket.socket(); print('in', flush=True); time.sleep(100)"
    inside = netjail.popen("run", "vpn", sys.executable, "-c", script, stdout=-1, stdin=-3)
    try:
        assert inside.stdout.readline() == b"in\n"
        assert bad(check()) == []
    finally:
        inside.kill()
        inside.wait()
        inside.stdout.close()


def test_a_program_that_entered_by_another_door(vpn: Any, check) -> None:
    """It sees the host's resolv.conf and the sockets of its resolvers."""
    script = "echo in; exec sleep 100"
    path = f"/run/netns/{VPN}"
    argv = ["nsenter", f"--net={path}", "sh", "-c", script]
    other = vpn.home.service(argv, stdout=-1)
    try:
        assert other.stdout.readline() == b"in\n"
        assert wait_until(lambda: bad(check()) == [("program-view", "warning")], 20, 0.1)
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


def test_proxy_and_preload_variables_are_told(vpn: Any, check) -> None:
    maps = home(vpn, "cat", "/proc/self/maps").split()
    library = next(word for word in maps if "/libc.so" in word or "/libc-" in word)
    env = {"https_proxy": "http://me:secret@127.0.0.1:3128", "LD_PRELOAD": library}
    result = check(env=env)
    assert bad(result) == []
    assert texts(result)["proxy"] == "https_proxy=http://127.0.0.1:3128"
    assert texts(result)["preload"] == f"LD_PRELOAD={library}"


# Tunnel ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_large_packets_vanish_on_the_way(vpn: Any, check) -> None:
    chain = "chain c { type filter hook forward priority 0; meta length > 1300 drop; }"
    hole = f"table inet hole {{ {chain}; }}"
    vpn.isp.run(["nft", "-f", "-"], input=hole, check=True, cwd="/")
    try:
        result = check()
    finally:
        vpn.isp.run(["nft", "delete", "table", "inet", "hole"], check=True, cwd="/")
    assert bad(result) == [("mtu", "warning")]


@pytest.mark.slow
def test_a_line_that_takes_less_than_the_tunnel_sends(vpn: Any, check) -> None:
    with done_and_undone(vpn, ["link set wan0 mtu 1400"], ["link set wan0 mtu 1500"]):
        found = bad(check())
    assert ("mtu-path", "warning") in found


@pytest.mark.slow
def test_a_tunnel_whose_other_end_never_answered(vpn: Any, netjail, check) -> None:
    """The server does not know the key."""
    import base64

    key = base64.b64encode(bytes(range(1, 33))).decode()
    lines = [
        f"PrivateKey = {key}" if line.startswith("PrivateKey") else line
        for line in vpn.provider_conf.splitlines()
    ]
    netjail("import", "-", "--name", "mute", input="\n".join(lines), check=True)
    netjail("up", "--wait", "0", "mute")
    try:
        result = check("mute", "--echo", ECHO)
    finally:
        netjail("down", "mute", check=True)
    assert bad(result) == [("handshake", "warning")]
    assert texts(result)["exit-ipv4"] == "no page is reached by IPv4"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openvpn", path="/usr/sbin:/usr/bin") is None, reason="openvpn")
def test_an_openvpn_tunnel_does_not_leak(vpn: Any, netjail, check) -> None:
    server = OpenVpnServer(vpn).start()
    try:
        path = vpn.write("p.ovpn", server.client_file())
        netjail("import", path, "--name", "ovpn", check=True)
        netjail("up", "--wait", "30", "ovpn", check=True)
        result = check("ovpn", "--echo", ECHO)
        netjail("down", "ovpn", check=True)
    finally:
        server.kill()
    assert bad(result) == []
    assert texts(result)["tunnel-socket"] == "outside the jail (openvpn)"
    assert texts(result)["exit-ipv4"].startswith(f"seen as {EXIT4};")
