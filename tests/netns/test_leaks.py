# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing of a program in a VPN profile leaves but ciphertext: real packets, seen on the wire.

Each test has the whole way on a stage: a host with its provider's file, an ISP with a resolver
that logs every question, a provider with a resolver of its own. `capture` is what anybody on the
wire between home and ISP can see.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
import uuid
from pathlib import Path

import pytest

from netjail.demo.nodes import wait_until
from netjail.demo.provider import PORT
from netjail.demo.stage import RESOLVER4, WEB4, WEB6, WEB_NAME, Stage

REPO = Path(__file__).resolve().parents[2]
HOME4, PROVIDER4, PROVIDER6 = "203.0.113.7", "198.51.100.20", "2001:db8:20::20"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make namespaces"),
    pytest.mark.skipif(shutil.which("tcpdump") is None, reason="needs tcpdump"),
]


@pytest.fixture(scope="module")
def stage():
    with Stage() as made:
        made.home.run(["mkdir", "-p", "/run/systemd"])  # as wherever systemd runs
        netjail(made, "import", "-", "--name", "vpn", input=made.provider_conf)
        netjail(made, "up", "vpn")
        yield made


def netjail(stage, *words, check=True, **options):
    done = stage.home.run([sys.executable, "-m", "netjail", *words], cwd=str(REPO), **options)
    if check:
        assert done.returncode == 0, f"netjail {' '.join(words)}: {done.stderr or done.stdout}"
    return done


def inside(stage, *command, check=True, profile="vpn"):
    return netjail(stage, "run", profile, "--", *command, check=check).stdout.strip()


def status_of(stage, profile):
    answer = json.loads(netjail(stage, "status", profile, "--json").stdout)
    return answer["result"]["profiles"][0]


def plaintext(capture, endpoint=(PROVIDER4, PORT), looked_up=None):
    """What was on the wire that is neither the encrypted stream nor the wire's own upkeep.

    A dead server's machine answers the stream by ICMP (port unreachable): that is about it.
    `looked_up`: the server's name, for which the helper asks anew while the server is silent.
    """
    return [
        str(packet)
        for packet in capture.packets
        if not packet.neighbourhood
        and (packet.asked != looked_up or not looked_up)
        and (packet.protocol, packet.source) != ("icmp", endpoint[0])
        and not (
            packet.protocol == "udp"
            and endpoint
            in (
                (packet.source, packet.source_port),
                (packet.destination, packet.destination_port),
            )
        )
    ]


class Questions:
    """The questions that a resolver sees from now on."""

    def __init__(self, stage, who):
        self.stage, self.who, self.before = stage, who, len(stage.dns_log(who))

    def new(self):
        time.sleep(0.1)  # dnsmasq writes its log when it likes
        return self.stage.dns_log(self.who)[self.before :]


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        (["curl", "-sS4", f"http://{WEB_NAME}/"], PROVIDER4),
        (["curl", "-sS6", f"http://{WEB_NAME}/"], PROVIDER6),
        (["curl", "-sS", f"http://{WEB4}/"], PROVIDER4),
        (["curl", "-sS", f"http://[{WEB6}]/"], PROVIDER6),
    ],
    ids=["IPv4 by name", "IPv6 by name", "IPv4 by address", "IPv6 by address"],
)
def test_the_world_sees_the_provider_and_the_wire_carries_ciphertext_alone(stage, command, seen):
    with stage.capture() as wire:
        assert inside(stage, *command) == seen
    assert wire.packets, "the capture itself must work"
    assert plaintext(wire) == []


def test_without_netjail_the_same_command_is_seen_from_home_and_in_plain(stage):
    """The control: the tests above could not pass on a stage that hides everything."""
    with stage.capture() as wire:
        assert stage.home.run(["curl", "-sS4", f"http://{WEB_NAME}/"]).stdout.strip() == HOME4
    assert plaintext(wire)


def test_names_are_asked_of_the_providers_resolver_alone(stage):
    isp, provider = Questions(stage, "isp"), Questions(stage, "provider")
    assert WEB4 in inside(stage, "getent", "ahostsv4", WEB_NAME)
    assert WEB_NAME in provider.new()
    assert isp.new() == []


def test_a_question_straight_to_the_isps_resolver_goes_through_the_tunnel_too(stage):
    """Programs may ask whom they like: the question arrives from the provider, not from home."""
    if shutil.which("dig") is None:
        pytest.skip("needs dig (bind9-dnsutils)")
    before = len(stage.dns_queries("isp"))
    with stage.capture() as wire:
        inside(stage, "dig", "+short", "+time=3", f"@{RESOLVER4}", WEB_NAME)
    askers = {asker for _, _, asker in stage.dns_queries("isp")[before:]}
    assert askers == {PROVIDER4}
    assert plaintext(wire) == []


def test_a_host_that_renames_a_new_resolv_conf_into_place_changes_nothing_inside(stage):
    script = (
        "cat /etc/resolv.conf; echo ready; read line; cat /etc/resolv.conf; "
        f"getent ahostsv4 {WEB_NAME} >/dev/null && echo found"
    )
    program = stage.home.popen(
        [sys.executable, "-m", "netjail", "run", "vpn", "sh", "-c", script],
        cwd=str(REPO),
        stdin=-1,
        stdout=-1,
        text=True,
    )
    before = "".join(iter(program.stdout.readline, "ready\n"))
    isp = Questions(stage, "isp")
    rename = f"echo nameserver {RESOLVER4} > /etc/new && mv /etc/new /etc/resolv.conf"
    stage.home.run(["sh", "-c", rename], check=True)
    after, _ = program.communicate("go on\n", timeout=20)
    assert "nameserver 10.64.0.1" in before
    assert after == before + "found\n"
    assert isp.new() == []


def test_a_change_of_the_profiles_dns_reaches_a_running_program(stage):
    script = "echo ready; read line; cat /etc/resolv.conf"
    text = netjail(stage, "profile", "show", "--secrets", "vpn").stdout
    program = stage.home.popen(
        [sys.executable, "-m", "netjail", "run", "vpn", "sh", "-c", script],
        cwd=str(REPO),
        stdin=-1,
        stdout=-1,
        text=True,
    )
    program.stdout.readline()
    changed = text + '\n[dns]\nmode = "static"\nservers = ["10.64.0.1", "192.0.2.99"]\n'
    netjail(stage, "profile", "add", "-", "--name", "vpn", "--replace", input=changed)
    netjail(stage, "up", "vpn")
    after, _ = program.communicate("go on\n", timeout=20)
    netjail(stage, "profile", "add", "-", "--name", "vpn", "--replace", input=text)
    netjail(stage, "up", "vpn")
    assert "nameserver 192.0.2.99" in after


@pytest.mark.skipif(shutil.which("nscd") is None, reason="needs nscd")
def test_a_real_nscd_on_the_host_is_not_asked(stage):
    """nscd's path socket crosses network namespaces: what asks it, asks in the host's network."""
    mark = uuid.uuid4().hex[:8]
    settings = "enable-cache hosts yes\\npersistent hosts no\\n"
    start = (
        f"mkdir -p /run/nscd; printf '{settings}' >/etc/nscd.test; exec nscd -F -f /etc/nscd.test"
    )
    daemon = stage.home.service(["sh", "-c", start])
    try:
        ready = ["sh", "-c", "test -S /run/nscd/socket"]
        assert wait_until(lambda: stage.home.run(ready).returncode == 0, 10)
        isp = Questions(stage, "isp")
        stage.home.run(["getent", "ahostsv4", f"outside-{mark}.example"])
        assert f"outside-{mark}.example" in isp.new(), "outside nscd does ask the ISP"
        isp, provider = Questions(stage, "isp"), Questions(stage, "provider")
        inside(stage, "getent", "ahostsv4", f"inside-{mark}.example", check=False)
        assert f"inside-{mark}.example" in provider.new()
        assert isp.new() == []
    finally:
        daemon.terminate()
        daemon.wait()


LISTENER = """
import os, socket, sys
path = sys.argv[1]
os.makedirs(os.path.dirname(path), exist_ok=True)
server = socket.socket(socket.AF_UNIX); server.bind(path); server.listen(); os.chmod(path, 0o666)
print("ready", flush=True)
while True:
    server.accept(); print("somebody came", flush=True)
"""
CONNECT = """
import socket, sys
socket.socket(socket.AF_UNIX).connect(sys.argv[1])
"""


@pytest.mark.parametrize(
    "path",
    [
        "/run/systemd/resolve/io.systemd.Resolve",
        "/run/nscd/socket",
        "/var/run/nscd/socket",
        "/run/avahi-daemon/socket",
    ],
)
def test_the_sockets_of_the_hosts_resolvers_cannot_be_reached(stage, path):
    """Also those that appear after the jail: a stand-in listens where the real daemon would."""
    stage.home.run(["rm", "-f", path])
    daemon = stage.home.service([sys.executable, "-c", LISTENER, path], stdout=-1, text=True)
    try:
        assert daemon.stdout.readline() == "ready\n"
        outside = stage.home.run([sys.executable, "-c", CONNECT, path])
        assert outside.returncode == 0, outside.stderr
        assert daemon.stdout.readline() == "somebody came\n"
        done = netjail(stage, "run", "vpn", "--", sys.executable, "-c", CONNECT, path, check=False)
        assert done.returncode == 1 and "FileNotFoundError" in done.stderr
    finally:
        daemon.kill()
        daemon.wait()
        stage.home.run(["rm", "-f", path])


@pytest.mark.parametrize("directory", ["/run/nscd", "/run/systemd/resolve", "/run/avahi-daemon"])
def test_a_host_that_makes_a_resolvers_directory_anew_opens_no_door(stage, directory):
    """As systemd does with a RuntimeDirectory= when the service restarts."""
    path = f"{directory}/socket"
    script = f"echo ready; read line; test -S {path} && echo open || echo shut"
    program = stage.home.popen(
        [sys.executable, "-m", "netjail", "run", "vpn", "sh", "-c", script],
        cwd=str(REPO),
        stdin=-1,
        stdout=-1,
        text=True,
    )
    assert program.stdout.readline() == "ready\n"
    stage.home.run(["sh", "-c", f"rm -r {directory}; mkdir -p {directory}"])
    daemon = stage.home.service([sys.executable, "-c", LISTENER, path], stdout=-1, text=True)
    try:
        assert daemon.stdout.readline() == "ready\n"
        seen, _ = program.communicate("go on\n", timeout=20)
        assert seen == "shut\n"
        assert "shut" in inside(stage, "sh", "-c", f"test -S {path} && echo open || echo shut")
    finally:
        daemon.kill()
        daemon.wait()
        stage.home.run(["rm", "-f", path])


def test_nsswitch_on_the_host_may_name_resolve_first_without_effect_inside(stage):
    line = "hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns"
    stage.home.run(["sh", "-c", f"sed -i 's/^hosts:.*/{line}/' /etc/nsswitch.conf"], check=True)
    try:
        netjail(stage, "down", "vpn")
        netjail(stage, "up", "vpn")
        assert "resolve" not in inside(stage, "grep", "^hosts:", "/etc/nsswitch.conf")
        assert WEB4 in inside(stage, "getent", "ahostsv4", WEB_NAME)
    finally:
        fix = "sed -i 's/^hosts:.*/hosts: files dns/' /etc/nsswitch.conf"
        stage.home.run(["sh", "-c", fix], check=True)


def test_programs_see_the_tunnel_and_loopback_only(stage):
    links = inside(stage, "ls", "/sys/class/net").split()
    assert sorted(links) == ["lo", "wg0"]
    shown = inside(stage, "ip", "-json", "link")
    assert sorted(link["ifname"] for link in json.loads(shown)) == ["lo", "wg0"]


def test_ip_netns_exec_agrees_about_dns(stage):
    done = stage.home.run(["ip", "netns", "exec", "netjail-vpn", "cat", "/etc/resolv.conf"])
    assert "nameserver 10.64.0.1" in done.stdout


def test_status_tells_the_tunnel_as_it_is(stage):
    inside(stage, "curl", "-sS4", f"http://{WEB_NAME}/")
    result = status_of(stage, "vpn")
    assert result["state"] == "up"
    peer = result["uplink"]["peers"][0]
    assert peer["endpoint"] == f"{PROVIDER4}:{PORT}"
    assert time.time() - peer["latest_handshake"] < 180
    assert peer["received"] > 0 and peer["sent"] > 0
    assert "10.64.0.1" in result["dns"]["servers"]


def test_when_the_server_dies_nothing_goes_another_way(stage):
    stage.cut_provider()
    try:
        with stage.capture() as wire:
            command = ["curl", "-sS", "--max-time", "2", f"http://{WEB4}/"]
            assert netjail(stage, "run", "vpn", "--", *command, check=False).returncode != 0
            inside(stage, "getent", "ahostsv4", WEB_NAME, check=False)
        assert plaintext(wire, looked_up=stage.providers[0].endpoint_name) == []
    finally:
        stage.restore_provider()
    command = ["curl", "-sS4", "--max-time", "3", f"http://{WEB_NAME}/"]
    assert wait_until(lambda: inside(stage, *command, check=False) == PROVIDER4, 40, 0.5)


def test_when_our_own_wireguard_dies_nothing_leaves_and_the_helper_mends_it(stage):
    status = status_of(stage, "vpn")
    if not status["processes"]:
        pytest.skip("the kernel does WireGuard here: there is no process to kill")
    program = stage.home.popen(
        [sys.executable, "-m", "netjail", "run", "vpn", "sleep", "60"], cwd=str(REPO)
    )
    pid = str(status["processes"][0]["pid"])
    isp = Questions(stage, "isp")
    with stage.capture(expression="not port 53") as wire:
        stage.home.run(["kill", "-9", pid], check=True)
        command = ["curl", "-sS", "--max-time", "1", f"http://{WEB4}/"]
        assert stage.home.run(["ip", "netns", "exec", "netjail-vpn", *command]).returncode, (
            "no route until it is mended"
        )
    assert plaintext(wire) == []
    curl = ["curl", "-sS4", "--max-time", "2", f"http://{WEB_NAME}/"]
    assert wait_until(lambda: inside(stage, *curl, check=False) == PROVIDER4, 20, 0.5)
    assert set(isp.new()) <= {stage.providers[0].endpoint_name}, "asked by the helper alone"
    assert program.poll() is None, "the program lives on in the same namespace"
    program.kill()
    program.wait()


def test_a_second_default_route_of_the_host_changes_nothing_inside(stage):
    stage.add_home_uplink()
    try:
        with stage.capture(interface="wan1") as other, stage.capture() as wire:
            curl = ["curl", "-sS4", "--max-time", "5", f"http://{WEB_NAME}/"]
            assert inside(stage, *curl) == PROVIDER4
        assert plaintext(wire) == [] and plaintext(other) == []
    finally:
        stage.remove_home_uplink()


def test_keys_are_nowhere_but_in_the_profile(stage):
    secret = re.search(r"PrivateKey\s*=\s*(\S+)", stage.provider_conf)[1]
    places = ["/run", "/etc/netns", "/tmp", "/var/log", "/var/run"]
    found = stage.home.run(["grep", "-rlsF", secret, *places]).stdout.split()
    assert found == []
    listed = stage.home.run(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).stdout
    assert secret not in listed.replace(f"grep -rlsF {secret}", "")
    mode = stage.home.run(["stat", "-c", "%a %U", "/etc/netjail/profiles/vpn.toml"]).stdout
    assert mode.strip() == "600 root"


def test_two_hops_the_wire_knows_the_first_and_the_world_the_second():
    with Stage(providers=2) as stage:
        netjail(stage, "import", "-", "--name", "first", input=stage.provider_conf)
        netjail(
            stage,
            *("import", "-", "--name", "second", "--through", "first"),
            input=stage.provider2_conf,
        )
        isp = Questions(stage, "isp")
        with stage.capture() as wire:
            seen = inside(stage, "curl", "-sS4", f"http://{WEB_NAME}/", profile="second")
        assert seen == stage.providers[1].wan4
        second = stage.providers[1].endpoint_name
        assert second not in isp.new(), "the second endpoint is looked up in the first jail"
        assert second in stage.dns_log("provider")
        names = {str(packet) for packet in wire.packets if stage.providers[1].wan4 in str(packet)}
        assert not names, "nobody on the wire learns of the second provider"
        states = json.loads(netjail(stage, "list", "--json").stdout)["result"]["profiles"]
        assert {p["name"]: p["state"] for p in states} == {"first": "up", "second": "up"}
        refused = netjail(stage, "down", "first", check=False)
        assert refused.returncode == 1 and "second" in refused.stderr
        netjail(stage, "down", "--all")
        left = stage.home.run(["sh", "-c", "ls /run/netns /etc/netns /run/netjail/jails"])
        assert "netjail-" not in left.stdout and "first" not in left.stdout
        mounts = stage.home.run(["cat", "/proc/self/mounts"]).stdout
        assert "/run/nscd" not in mounts and stage.home.run(["ls", "/run/nscd"]).returncode


def test_a_tunnel_that_does_not_answer_is_said_and_the_program_has_no_other_way_out():
    with Stage() as stage:
        netjail(stage, "import", "-", "--name", "vpn", input=stage.provider_conf)
        stage.cut_provider()
        with stage.capture(expression="not port 53") as wire:
            begin = time.monotonic()
            command = ["curl", "-sS", "--max-time", "1", f"http://{WEB4}/"]
            done = netjail(stage, "run", "--wait", "1", "vpn", "--", *command, check=False)
            took = time.monotonic() - begin
        assert done.returncode == 28, done.stderr  # curl's own: timed out
        assert "does not answer" in done.stderr
        assert took < 15
        assert plaintext(wire) == []
        listed = json.loads(netjail(stage, "list", "--json").stdout)["result"]["profiles"]
        assert listed[0]["state"] == "degraded"


@pytest.mark.parametrize("shared", [True, False], ids=["shared mounts", "private mounts"])
def test_a_host_with_resolveds_stub_keeps_its_questions_apart(shared):
    with Stage(systemd_resolved_stub=True, shared_root=shared) as stage:
        netjail(stage, "import", "-", "--name", "vpn", input=stage.provider_conf)
        netjail(stage, "up", "vpn")
        isp = Questions(stage, "isp")
        with stage.capture() as wire:
            assert inside(stage, "curl", "-sS4", f"http://{WEB_NAME}/") == PROVIDER4
            for name in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
                assert "nameserver 10.64.0.1" in inside(stage, "cat", name)
        assert isp.new() == [] and plaintext(wire) == []
        target = stage.home.run(["readlink", "/etc/resolv.conf"]).stdout.strip()
        assert target == "../run/systemd/resolve/stub-resolv.conf", "the host's own is untouched"
