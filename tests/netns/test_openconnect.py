# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenConnect against a real ocserv."""

from __future__ import annotations

import json
import re
import sys

import pytest

from netjail.demo.stage import WEB4, WEB_NAME
from tests.netns import vpnservers
from tests.netns.vpnservers import OC_PASSWORD, USER, OcServer, until

pytestmark = [
    pytest.mark.skipif(
        vpnservers.missing("openvpn", "openconnect", "ocserv") is not None,
        reason="needs openconnect, ocserv, openvpn (for keys), openssl",
    ),
    pytest.mark.slow,
]
CURL = ("curl", "-sS", "--max-time", "5")


@pytest.fixture
def server(stage, netjail):
    made = OcServer(stage).start()
    yield made
    print(netjail("logs", "work").stdout)  # pytest shows it of a test that failed
    print(stage.home.run(["sh", "-c", "cat /run/netjail/jails/work/openconnect.log"]).stdout)
    netjail("down", "--all", "--kill")
    netjail("profile", "remove", "work")
    made.stop()


def add(stage, netjail, server, *more):
    path = stage.write("work.toml", server.toml(*more))
    netjail("profile", "add", path, "--name", "work", check=True)


def row(netjail):
    rows = netjail("list", "--json", check=True).json["result"]["profiles"]
    return next((each["state"], each["reason"]) for each in rows if each["name"] == "work")


def outside(capture):
    return [
        str(packet)
        for packet in capture.packets
        if not packet.neighbourhood
        and packet.protocol not in ("icmp", "icmp6")
        and 443 not in (packet.source_port, packet.destination_port)
    ]


def answer(stage, netjail, **credentials):
    code = (
        "import json, sys\nfrom netjail import client\nfrom netjail.errors import NetjailError\n"
        "try: r = client.connect(start=True).call('up', json.loads(sys.stdin.read()))\n"
        "except NetjailError as e: r = e.as_dict()\nprint(json.dumps(r))"
    )
    params = {
        "profile": "work",
        "wait": 20,
        **({"credentials": credentials} if credentials else {}),
    }
    done = stage.home.run(
        [sys.executable, "-c", code], input=json.dumps(params), env=netjail.env, check=True
    )
    return json.loads(done.stdout)


def test_it_connects_and_the_wire_carries_ciphertext_alone(stage, netjail, server):
    add(stage, netjail, server, f'username = "{USER}"', f'password = "{OC_PASSWORD}"')
    provider = stage.providers[0]
    with stage.capture() as wire:
        netjail("up", "work", check=True)
        for family, seen in (("-4", provider.wan4), ("-6", provider.wan6)):
            command = (*CURL, family, f"http://{WEB_NAME}/")
            assert netjail("run", "work", "--", *command, check=True).stdout.strip() == seen
    assert wire.packets and outside(wire) == []
    found = netjail("status", "work", "--json").json["result"]["profiles"][0]
    assert found["dns"]["servers"] == [provider.resolver]
    assert found["dns"]["search"] == ["corp.example"]
    pid = next(p["pid"] for p in found["processes"] if p["name"] == "openconnect")
    rights = stage.home.run(["cat", f"/proc/{pid}/status"]).stdout
    assert re.search(r"CapEff:\t0+\n", rights) and "Uid:\t0" not in rights
    listed = stage.home.run(
        ["sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; grep -rsF horse /run/netjail"]
    ).stdout
    assert OC_PASSWORD not in listed


def test_a_wrong_password_is_said_once_and_not_tried_again(stage, netjail, server):
    add(stage, netjail, server)
    needed = answer(stage, netjail)
    assert [each["name"] for each in needed["wanted"]] == ["username", "password"]
    wrong = answer(stage, netjail, username=USER, password="wrong")
    assert wrong["code"] == "credentials-refused", wrong
    assert until(lambda: "refused" in (row(netjail)[1] or ""), 15)
    tries = server.log.text().count("failed authentication")
    right = answer(stage, netjail, username=USER, password=OC_PASSWORD)
    assert right.get("answered") is True, right
    assert server.log.text().count("failed authentication") == tries <= 3
    assert row(netjail) == ("up", None)


def test_a_gateway_that_dies_and_comes_back(stage, netjail, server):
    add(stage, netjail, server, f'username = "{USER}"', f'password = "{OC_PASSWORD}"')
    netjail("up", "work", check=True)
    program = netjail.popen("run", "work", "sleep", "100")
    with stage.capture() as wire:
        server.stop()
        assert until(lambda: row(netjail)[0] in ("degraded", "failed"), 40)
        netjail("run", "work", "--", "curl", "-s", "--max-time", "1", f"http://{WEB4}/")
        server.start()
        again = (*CURL, "-4", f"http://{WEB_NAME}/")
        assert until(
            lambda: netjail("run", "work", "--", *again).stdout.strip() == stage.providers[0].wan4,
            60,
        )
    assert outside(wire) == [] and program.poll() is None
    program.kill()
    program.wait()


def test_a_gateway_with_another_certificate_gets_no_password(stage, netjail, server):
    add(stage, netjail, server, f'username = "{USER}"', f'password = "{OC_PASSWORD}"')
    other = vpnservers.Pki()
    text = server.toml(f'username = "{USER}"', f'password = "{OC_PASSWORD}"')
    text = text.replace(vpnservers.pki().ca, other.ca)
    netjail("profile", "add", stage.write("w.toml", text), "--name", "work", "--replace")
    assert netjail("up", "--wait", "3", "work").returncode == 0
    assert until(lambda: row(netjail)[0] in ("degraded", "failed"))  # not in the midst of a repair
    assert "using 'plain' authentication" not in server.log.text()


CLOSING = """
import socket
server = socket.create_server(("", 443), reuse_port=True)
print("ready", flush=True)
while True:
    server.accept()[0].close()
"""


def test_a_gateway_that_hangs_up_before_the_login_has_refused_nobody(stage, netjail, server):
    """As one that is restarted does: it is tried again with the password that there is."""
    add(stage, netjail, server, f'username = "{USER}"', f'password = "{OC_PASSWORD}"')
    server.stop()
    closing = stage.provider.service([sys.executable, "-c", CLOSING], stdout=-1, text=True)
    assert closing.stdout.readline() == "ready\n"
    netjail("up", "--wait", "3", "work")
    assert until(lambda: row(netjail)[0] in ("degraded", "failed"))
    assert "refused" not in (row(netjail)[1] or "") and "take" not in (row(netjail)[1] or "")
    closing.kill()
    closing.wait()
    server.start()
    netjail("up", "--wait", "20", "work", check=True)  # now: its own next try may be a minute off
    assert until(lambda: row(netjail) == ("up", None))
