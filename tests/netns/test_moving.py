# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that changes its network, for the tunnels that are another program's work, and for what a
new way out has room for. (WireGuard's whole day is in test_day.)"""

from __future__ import annotations

import json
import re

import pytest

from netjail.demo.stage import WEB4
from tests.netns import vpnservers
from tests.netns.vpnservers import OC_PASSWORD, USER, OcServer, OpenVpnServer, until

pytestmark = pytest.mark.slow
CURL = ("curl", "-sS", "--max-time", "3", f"http://{WEB4}/")
SLEEPER = ("run", "vpn", "--", "sleep", "600")


@pytest.fixture(autouse=True)
def afterwards(stage, netjail):
    yield
    print(netjail("logs", "vpn").stdout)  # pytest shows it of a test that failed
    netjail("down", "--all", "--kill")
    netjail("profile", "remove", "vpn")
    if stage.home.run(["ip", "link", "show", "wan1"]).returncode == 0:
        stage.remove_home_uplink()
    stage.home.ip("link set wan0 up", "route replace default via 203.0.113.1 dev wan0 metric 100")


def lines(netjail):
    found = netjail("logs", "vpn", "--json", check=True).json["result"]["lines"]
    return [line["text"] for line in found]


def state(netjail):
    (row,) = netjail("list", "--json", check=True).json["result"]["profiles"]
    return row["state"]


def inode(stage):
    return stage.home.run(["stat", "-Lc", "%i", "/run/netns/netjail-vpn"], check=True).stdout


def processes(netjail):
    (row,) = netjail("status", "vpn", "--json", check=True).json["result"]["profiles"]
    assert row["processes"]
    return row["processes"]


def mtu(netjail):
    shown = netjail("run", "vpn", "--", "ip", "-json", "link", "show", "wg0", check=True).stdout
    return json.loads(shown)[0]["mtu"]


def test_the_mtu_follows_the_way_out(stage, netjail):
    text = re.sub(r"(?m)^MTU.*\n", "", stage.provider_conf)
    netjail("import", stage.write("vpn.conf", text), "--name", "vpn", check=True)
    netjail("up", "vpn", check=True)
    before = mtu(netjail)
    stage.add_home_uplink()
    stage.home.ip("link set wan1 down", "link set wan1 mtu 1400", "link set wan1 up")
    stage.home.ip("route add default via 203.0.113.129 dev wan1 metric 50")
    assert until(lambda: mtu(netjail) == before - 100, 60)
    assert f"the MTU of wg0 is {before - 100} now (before: {before})" in lines(netjail)
    assert netjail("run", "vpn", "--", *CURL, check=True).stdout
    stage.remove_home_uplink()
    assert until(lambda: mtu(netjail) == before, 60)
    again = netjail("up", "vpn", check=True).stdout
    assert "already" in again, "what was measured is not what up would make"


@pytest.fixture
def openvpn(stage, netjail):
    if why := vpnservers.missing("openvpn"):
        pytest.skip(why)
    # on its own it would find out after a minute
    push = ["redirect-gateway def1", "dhcp-option DNS 10.64.0.1", "ping 20", "ping-restart 60"]
    server = OpenVpnServer(stage, push=push).start()
    path = stage.write("vpn.ovpn", server.client_file())
    netjail("import", path, "--name", "vpn", check=True)
    yield
    server.kill()


@pytest.fixture
def openconnect(stage, netjail):
    if why := vpnservers.missing("openvpn", "openconnect", "ocserv"):
        pytest.skip(why)
    server = OcServer(stage).start()
    text = server.toml(f'username = "{USER}"', f'password = "{OC_PASSWORD}"')
    netjail("profile", "add", stage.write("vpn.toml", text), "--name", "vpn", check=True)
    yield
    netjail("down", "--all", "--kill")
    server.stop()


@pytest.mark.parametrize("kind", ["openvpn", "openconnect"])
def test_a_client_is_told_to_connect_anew_in_the_same_jail(stage, netjail, request, kind):
    request.getfixturevalue(kind)
    netjail("up", "vpn", check=True)
    program = netjail.popen(*SLEEPER)
    before = inode(stage)
    client = processes(netjail)
    assert netjail("run", "vpn", "--", *CURL, check=True).stdout
    stage.add_home_uplink()
    stage.home.ip("link set wan0 down")  # what was bound to its address leads nowhere
    assert until(lambda: "the VPN's client was told to connect again" in lines(netjail), 60)
    assert until(lambda: netjail("run", "vpn", "--", *CURL).stdout.strip(), 60)
    assert until(lambda: state(netjail) == "up", 30)
    assert inode(stage) == before and program.poll() is None
    assert processes(netjail) == client, "it was started anew"
    program.kill()
