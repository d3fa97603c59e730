# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenVPN against a real openvpn server: what comes up, what stays up, and what a server that means
harm can do."""

from __future__ import annotations

import base64
import json
import re
import sys

import pytest

from netjail.demo.stage import WEB4, WEB_NAME
from tests.netns import vpnservers
from tests.netns.vpnservers import PASSWORD, USER, OpenVpnServer, until

pytestmark = [
    pytest.mark.skipif(vpnservers.missing("openvpn") is not None, reason="needs openvpn, openssl"),
    pytest.mark.slow,
]

CURL = ("curl", "-sS", "--max-time", "5")


@pytest.fixture(autouse=True)
def afterwards(stage, netjail):
    """Each test has the host to itself; servers end with it."""
    servers = []
    stage.serve = lambda **options: servers.append(OpenVpnServer(stage, **options)) or servers[-1]
    yield
    netjail("down", "--all", "--kill")
    for name in state(netjail):
        netjail("profile", "remove", name)
    for server in servers:
        if server.process is not None:
            server.kill()


def state(netjail):
    """{profile: (state, reason)}."""
    rows = netjail("list", "--json", check=True).json["result"]["profiles"]
    return {row["name"]: (row["state"], row["reason"]) for row in rows}


def status(netjail, name="vpn"):
    return netjail("status", name, "--json", check=True).json["result"]["profiles"][0]


def add(stage, netjail, server, *more, name="vpn", **options):
    path = stage.write(f"{name}.ovpn", server.client_file(*more, **options))
    return netjail("import", path, "--name", name, check=True)


def outside(capture, *ports):
    """What was on the wire that is neither the encrypted stream nor the wire's own upkeep."""
    return [
        str(packet)
        for packet in capture.packets
        if not packet.neighbourhood
        and packet.protocol not in ("icmp", "icmp6")
        and not {packet.source_port, packet.destination_port} & set(ports)
    ]


ASK = """
import json, sys
from netjail import client
from netjail.errors import NetjailError
params = json.loads(sys.stdin.read())
try:
    print(json.dumps(client.connect(start=True).call("up", params)))
except NetjailError as error:
    print(json.dumps(error.as_dict()))
"""


def up(stage, netjail, name="vpn", wait=20, **credentials):
    """The helper's own answer."""
    params = {"profile": name, "wait": wait}
    if credentials:
        params["credentials"] = credentials
    done = stage.home.run(
        [sys.executable, "-c", ASK], input=json.dumps(params), env=netjail.env, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("proto", "wrap", "six"),
    [
        ("udp", "tls-crypt", False),
        ("tcp", "tls-auth", False),
        ("udp", "tls-crypt-v2", False),
        ("udp", "none", True),
        ("tcp", "tls-crypt", True),
    ],
)
def test_the_world_sees_the_provider_and_the_wire_ciphertext_alone(
    stage, netjail, proto, wrap, six
):
    server = stage.serve(proto=proto, wrap=wrap).start()
    add(stage, netjail, server, address=server.address6 if six else None)
    provider = stage.providers[0]
    before = len(stage.dns_log("isp"))
    with stage.capture() as wire:
        assert netjail("up", "vpn", check=True).stdout == "vpn is up; its tunnel answers.\n"
        for family, seen in (("-4", provider.wan4), ("-6", provider.wan6)):
            command = (*CURL, family, f"http://{WEB_NAME}/")
            assert netjail("run", "vpn", "--", *command, check=True).stdout.strip() == seen
    assert wire.packets and outside(wire, server.port) == []
    assert stage.dns_log("isp")[before:] == []
    found = status(netjail)
    assert found["state"] == "up" and found["dns"]["servers"] == [provider.resolver]
    assert found["dns"]["search"] == ["corp.example"]
    assert "default dev tun0" in found["routes"] and "default (IPv6) dev tun0" in found["routes"]


ECHO = """
import socket, sys
s = socket.create_connection((sys.argv[1], 7), timeout=60)
for line in iter(sys.stdin.readline, ""):
    s.sendall(line.encode()); print(s.recv(100).decode(), end="", flush=True)
"""
ECHO_SERVER = """
import socket, threading
server = socket.create_server(("", 7)); print("ready", flush=True)
def serve(c):
    while data := c.recv(100): c.sendall(data)
while True: threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
"""


def test_a_server_that_dies_and_comes_back_with_other_settings(stage, netjail):
    """The tun is made anew, and the connection of a program inside goes on; nothing left."""
    echo = stage.isp.service([sys.executable, "-c", ECHO_SERVER], stdout=-1, text=True)
    assert echo.stdout.readline() == "ready\n"
    server = stage.serve().start()
    add(stage, netjail, server)
    netjail("up", "vpn", check=True)
    program = netjail.popen(
        *("run", "vpn", "--", sys.executable, "-c", ECHO, WEB4), stdin=-1, stdout=-1, text=True
    )

    def say(word):
        program.stdin.write(f"{word}\n")
        program.stdin.flush()
        return program.stdout.readline()

    assert say("one") == "one\n"
    tun = netjail("run", "vpn", "cat", "/sys/class/net/tun0/ifindex").stdout
    with stage.capture() as wire:
        server.kill()
        assert until(lambda: state(netjail)["vpn"][0] == "degraded")
        assert "nothing can leave" in state(netjail)["vpn"][1]
        netjail("run", "vpn", "--", "curl", "-s", "--max-time", "1", f"http://{WEB4}/")
        server.push += ["route 172.20.0.0 255.255.0.0", "dhcp-option DOMAIN-SEARCH new.example"]
        server.start()
        assert until(lambda: state(netjail)["vpn"][0] == "up")
        assert say("two") == "two\n"
    assert outside(wire, server.port) == []
    assert tun != netjail("run", "vpn", "cat", "/sys/class/net/tun0/ifindex").stdout
    assert status(netjail)["dns"]["search"] == ["corp.example", "new.example"]
    program.stdin.close()
    assert program.wait(20) == 0
    echo.kill()
    echo.wait()


def test_a_hostile_server_makes_its_own_tunnel_useless_at_worst(stage, netjail):
    push = [
        "up /tmp/canary",
        "script-security 3",
        "plugin /tmp/canary.so",
        "setenv PATH /tmp",
        "setenv-safe ifconfig_local 127.0.0.1",
        "log /tmp/canary",
        "ifconfig-push 127.0.0.1 255.0.0.0",
        "redirect-gateway local block-local autolocal",
        "route 0.0.0.0 0.0.0.0 net_gateway",
        "route 192.0.2.0 255.255.255.0 net_gateway 1",
        "route 127.0.0.0 255.0.0.0",
        "route 224.0.0.0 240.0.0.0",
        "route localhost",
        "route-ipv6 ::1/128",
        "route-ipv6 2001:db8:80::/64 fe80::1",
        "dhcp-option DNS 127.0.0.1",
        "dhcp-option DNS 0.0.0.0",
        "dhcp-option DNS 10.64.0.1",
        "dhcp-option DOMAIN a.example\\\\nnameserver192.0.2.53",
        "dhcp-option DOMAIN $(touch.canary)",
        "dhcp-option DOMAIN -options",
        "dhcp-option DOMAIN good.example",
        "dhcp-option PROXY_HTTP 192.0.2.80 80",
        "tun-mtu 60000",
        "sndbuf 1",
        "socket-flags TCP_NODELAY",
        "ping-exit 1",
        "inactive 1",
        "persist-key",
        "management /tmp/canary unix",
        "ping 1",
        "ping-restart 4",
    ]
    server = stage.serve(push=push).start()
    add(stage, netjail, server)
    with stage.capture() as wire:
        netjail("up", "vpn", check=True)
        found = status(netjail)
        command = (*CURL, "-4", f"http://{WEB_NAME}/")
        seen = netjail("run", "vpn", "--", *command, check=True).stdout.strip()
    assert seen == stage.providers[0].wan4 and outside(wire, server.port) == []
    assert found["dns"]["servers"] == ["10.64.0.1"]
    assert found["dns"]["search"] == ["good.example"]
    assert all("dev tun0" in route for route in found["routes"])
    assert all("127." not in each["address"] for each in found["addresses"])
    assert 576 <= found["mtu"] <= 9000
    resolv = netjail("run", "vpn", "cat", "/etc/resolv.conf").stdout
    assert re.findall(r"^nameserver (.*)", resolv, re.M) == ["10.64.0.1"]
    assert any("127.0.0.1" in each for each in found["uplink"]["left_out"])
    assert stage.home.run(["sh", "-c", "ls -d /tmp/canary* /canary* 2>/dev/null"]).stdout == ""
    host = stage.home.run(["ip", "route"]).stdout
    assert "172.20" not in host and "tun" not in host


def test_ten_thousand_routes(stage, netjail):
    push = [
        "dhcp-option DNS 10.64.0.1",
        "ping 5",
        *(f"route 172.{16 + n // 256 % 16}.{n % 256}.{n // 4096 * 64} 255.255.255.254"
          for n in range(10_000)),
    ]  # fmt: skip
    server = stage.serve(push=push).start()
    add(stage, netjail, server)
    netjail("up", "--wait", "60", "vpn", check=True)
    found = status(netjail)
    assert found["state"] == "up" and 100 < len(found["routes"]) <= 2100
    assert any("too many" in each for each in found["uplink"]["left_out"])
    assert netjail("run", "vpn", "--", "curl", "-s", f"http://{WEB4}/").returncode != 0


def test_a_wrong_password_is_said_and_the_right_one_asked_for_on_the_terminal(stage, netjail):
    server = stage.serve(login=True).start()
    add(stage, netjail, server)
    refused = netjail("up", "vpn")
    assert refused.returncode == 1 and "needs a user name and a password" in refused.stderr
    needed = up(stage, netjail)
    assert needed["code"] == "credentials-needed"
    assert [each["name"] for each in needed["wanted"]] == ["username", "password"]
    wrong = up(stage, netjail, username=USER, password="wrong")
    assert wrong["code"] == "credentials-refused", wrong
    assert state(netjail)["vpn"][0] == "failed"
    typed = (
        "import pexpect, sys\n"
        f"c = pexpect.spawn({sys.executable!r}, ['-m', 'netjail', 'up', 'vpn'], timeout=40)\n"
        f"c.expect('User name: '); c.sendline({USER!r})\n"
        f"c.expect('Password: '); c.waitnoecho(); c.sendline({PASSWORD!r})\n"
        "c.expect(pexpect.EOF); print(c.before.decode())\n"
    )
    done = stage.home.run([sys.executable, "-c", typed], env=netjail.env, timeout=90)
    assert "vpn is up" in done.stdout, done
    assert PASSWORD not in done.stdout
    assert state(netjail)["vpn"] == ("up", None)


def test_a_one_time_code_and_an_encrypted_key(stage, netjail):
    server = stage.serve(login=True).start()
    text = server.client_file('static-challenge "Code of your token" 0')
    keys = vpnservers.pki()
    text = text.replace(keys.client_key.strip(), keys.encrypted_key.strip())
    netjail("import", stage.write("otp.ovpn", text), "--name", "vpn", check=True)
    needed = up(stage, netjail)
    assert {each["name"]: each["prompt"] for each in needed["wanted"]} == {
        "key_password": "Password of the private key",
        "username": "User name",
        "password": "Password",
        "response": "Code of your token",
    }
    answers = {"username": USER, "password": PASSWORD, "key_password": "opensesame"}
    wrong = up(stage, netjail, **answers, response="000000")
    assert wrong["code"] == "credentials-refused", wrong
    right = up(stage, netjail, **answers, response="424242")
    assert right.get("answered") is True, right


def test_a_question_that_the_server_asks_by_itself(stage, netjail):
    """It takes the password, and then wants one thing more (CRV1)."""
    server = stage.serve(login=True, question=True).start()
    add(stage, netjail, server)
    answers = {"username": USER, "password": PASSWORD}
    wrong = up(stage, netjail, username=USER, password="wrong")
    assert wrong["code"] == "credentials-refused", wrong
    for code, expected in (("000000", "credentials-refused"), ("424242", None)):
        asked = up(stage, netjail, **answers)
        assert asked.get("code") == "credentials-needed", asked
        question = {"profile": "vpn", "name": "response", "prompt": "Which number?", "echo": True}
        assert asked["wanted"] == [question]
        said = up(stage, netjail, response=code)
        assert said.get("code") == expected, said
    assert said["answered"] is True and state(netjail)["vpn"] == ("up", None)


@pytest.mark.parametrize("password", ["opensesame", None])
def test_a_pkcs12_file(stage, netjail, password):
    """Key and certificates in one file beside the provider's, opened with its password."""
    server = stage.serve(wrap="none").start()
    text = re.sub(r"<(ca|cert|key)>.*?</\1>\n", "", server.client_file(), flags=re.DOTALL)
    with open(stage.home.path("/run/root/me.p12"), "wb") as file:
        file.write(base64.b64decode(vpnservers.pki().pkcs12))
    path = stage.write("p12.ovpn", text + "pkcs12 me.p12\n")
    netjail("import", path, "--name", "vpn", check=True)
    if password is None:
        wrong = up(stage, netjail, key_password="wrong")
        assert wrong.get("code") == "credentials-refused", (wrong, state(netjail))
        return
    needed = up(stage, netjail)
    assert [each["name"] for each in needed["wanted"]] == ["key_password"]
    said = up(stage, netjail, key_password=password)
    assert said.get("answered") is True, said


def test_fragments_and_a_word_of_farewell(stage, netjail):
    extra = ("fragment 1200", "mssfix 1200")
    server = stage.serve(extra=extra).start()
    add(stage, netjail, server, *extra, "explicit-exit-notify 2")
    netjail("up", "vpn", check=True)
    big = ("ping", "-c1", "-W5", "-s", "4000", server.resolver)
    with stage.capture() as wire:
        netjail("run", "vpn", "--", *big, check=True)
    assert outside(wire, server.port) == []
    assert max(packet.length for packet in wire.packets) < 1350
    netjail("down", "vpn", check=True)
    assert server.log.wait_for(b"exit message received", 10), server.log.text()[-2000:]


def test_a_password_kept_in_the_profile_is_nowhere_else(stage, netjail):
    server = stage.serve(login=True).start()
    stage.write("login.txt", f"{USER}\n{PASSWORD}\n")
    add(stage, netjail, server, "auth-user-pass login.txt")
    netjail("up", "vpn", check=True)
    keys = vpnservers.pki()
    secrets = [PASSWORD, keys.client_key.splitlines()[1], keys.static.splitlines()[6]]
    for secret in secrets:
        places = ["/run/netjail", "/etc/netns", "/tmp", "/var/log"]
        found = stage.home.run(["grep", "-rlsF", "--", secret, *places]).stdout
        assert found == ""
        listed = stage.home.run(
            ["sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null"]
        ).stdout
        assert secret not in listed.replace("\0", " ").replace(f"-- {secret}", "")
    pid = next(p["pid"] for p in status(netjail)["processes"] if p["name"] == "openvpn")
    rights = stage.home.run(["cat", f"/proc/{pid}/status"]).stdout
    assert re.search(r"CapEff:\t0+\n", rights) and re.search(r"CapBnd:\t0+\n", rights)
    assert "NoNewPrivs:\t1" in rights and "Uid:\t0" not in rights


def test_a_helper_that_is_killed_finds_the_tunnel_as_it_is(stage, netjail):
    server = stage.serve().start()
    add(stage, netjail, server)
    netjail("up", "vpn", check=True)
    program = netjail.popen("run", "vpn", "sleep", "100")
    pids = {p["name"]: p["pid"] for p in status(netjail)["processes"]}
    helper = stage.home.run(["fuser", "/run/netjail/helper.lock"]).stdout.split()
    stage.home.run(["kill", "-9", *helper], check=True)
    assert until(lambda: state(netjail)["vpn"][0] == "up")
    assert {p["name"]: p["pid"] for p in status(netjail)["processes"]} == pids
    server.kill()
    server.push.append("dhcp-option DOMAIN-SEARCH after.example")
    server.start()
    assert until(lambda: "after.example" in status(netjail)["dns"]["search"])
    assert program.poll() is None
    program.kill()
    program.wait()


def test_openvpn_that_is_killed_is_started_again_in_the_same_jail(stage, netjail):
    server = stage.serve().start()
    add(stage, netjail, server)
    netjail("up", "vpn", check=True)
    program = netjail.popen("run", "vpn", "sleep", "100")
    first = next(p["pid"] for p in status(netjail)["processes"] if p["name"] == "openvpn")
    with stage.capture() as wire:
        stage.home.run(["kill", "-9", str(first)], check=True)
        command = ["ip", "netns", "exec", "netjail-vpn", "curl", "-s", "--max-time", "1"]
        assert stage.home.run([*command, f"http://{WEB4}/"]).returncode != 0
        again = (*CURL, "-4", f"http://{WEB_NAME}/")
        assert until(
            lambda: netjail("run", "vpn", "--", *again).stdout.strip() == stage.providers[0].wan4
        )
    assert outside(wire, server.port) == [] and program.poll() is None
    program.kill()
    program.wait()


def test_no_server_is_said_and_nothing_leaves(stage, netjail):
    server = stage.serve()
    add(stage, netjail, server)
    with stage.capture() as wire:
        done = netjail("run", "--wait", "2", "vpn", "--", "curl", "-s", f"http://{WEB4}/")
    assert done.returncode == 7 and "does not answer" in done.stderr, done
    assert outside(wire, server.port) == []
    assert state(netjail)["vpn"][0] == "degraded"
    server.start()
    assert until(lambda: state(netjail)["vpn"][0] == "up")


def test_the_next_server_is_tried_and_another_certificate_is_not_taken(stage, netjail):
    first, second = stage.serve(port=1201), stage.serve(port=1202, proto="tcp", net=9).start()
    more = (f"remote {second.address4} 1202 tcp", 'verify-x509-name "CN=server"')
    add(stage, netjail, first, *more)
    assert up(stage, netjail, wait=40)["answered"] is True
    assert status(netjail)["uplink"]["live_endpoint"].endswith(":1202")
    add(stage, netjail, second, 'verify-x509-name "CN=other"', name="other")
    assert up(stage, netjail, "other", wait=3)["answered"] is False
    assert until(lambda: "certificate" in (state(netjail)["other"][1] or ""))


def test_through_a_wireguard_profile(stage, netjail):
    server = stage.serve().start()
    netjail("import", stage.write("wg.conf", stage.provider_conf), "--name", "first", check=True)
    path = stage.write("two.ovpn", server.client_file())
    netjail("import", path, "--name", "second", "--through", "first", check=True)
    with stage.capture() as wire:
        command = (*CURL, "-4", f"http://{WEB_NAME}/")
        seen = netjail("run", "--wait", "20", "second", "--", *command, check=True)
    assert seen.stdout.strip() == stage.providers[0].wan4
    assert outside(wire, 51820, 53) == [], "but for the name of the first endpoint"
    assert netjail("down", "first").returncode == 1


def test_a_pool_fails_over_to_the_next_place_in_the_same_jail(stage, netjail):
    """An OpenVPN server cannot be asked beforehand: the next one is taken, and told of."""
    first, second = stage.serve(port=1201).start(), stage.serve(port=1202, net=9).start()
    stage.home.run(["mkdir", "-p", "/run/root/pool"], check=True)
    for name, server in (("se-sto-1", first), ("se-sto-2", second)):
        stage.write(f"pool/{name}.ovpn", server.client_file())
    netjail("import", "/run/root/pool", "--name", "vpn", check=True)
    netjail("use", "vpn", "se-sto-1", check=True)
    netjail("up", "vpn", check=True)
    program = netjail.popen("run", "vpn", "sleep", "300")
    inode = stage.home.run(["stat", "-c", "%i", "/run/netns/netjail-vpn"]).stdout
    again = (*CURL, "-4", f"http://{WEB_NAME}/")
    assert netjail("run", "vpn", "--", *again, check=True).stdout.strip()
    with stage.capture() as wire:
        first.kill()
        assert until(lambda: state(netjail)["vpn"][0] == "degraded")
        assert until(lambda: status(netjail)["place"] == "se-sto-2", 90)
        assert until(
            lambda: netjail("run", "vpn", "--", *again).stdout.strip() == stage.providers[0].wan4,
            60,
        )
    # the provider's WireGuard server may still be sending to a client of an earlier test
    assert outside(wire, 1201, 1202, 51820) == [] and program.poll() is None
    assert stage.home.run(["stat", "-c", "%i", "/run/netns/netjail-vpn"]).stdout == inode
    assert "se-sto-1 does not answer: changing to se-sto-2" in netjail("logs", "vpn").stdout
    listed = netjail("use", "vpn", check=True).stdout
    assert "vpn uses se-sto-2." in listed
    program.kill()
    program.wait()
