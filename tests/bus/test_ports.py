# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports on the bus: opened and closed by whoever may, and the one that the provider lends."""

from __future__ import annotations

import base64
import shutil
import sys
from collections.abc import Callable
from typing import Any

import pytest
from face import PROPERTIES, QUIET, P, none, option, path
from world import Client, World

from netjail import names

People = dict[str, Client]
Made = Callable[..., str]

KEYS = [base64.b64encode(bytes([n]) * 32).decode() for n in (8, 16)]
TUNNEL = f"""version = 1
users = ["alice"]
[uplink]
kind = "wireguard"
private_key = "{KEYS[0]}"
address = ["10.9.0.2/32"]
natpmp = true
natpmp_gateway = "10.9.9.1"
[[uplink.peer]]
public_key = "{KEYS[1]}"
endpoint = "127.0.0.1:9"
allowed_ips = ["0.0.0.0/0"]
"""
LENDER = """
import socket, struct, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("10.9.9.1", 5351))
while True:
    data, who = sock.recvfrom(99)
    head = struct.pack("!BBHI", 0, data[1] | 128, 0, int(time.monotonic()))
    if data[1] == 0:
        sock.sendto(head + bytes([11, 0, 0, 1]), who)
    else:
        internal, _, lifetime = struct.unpack("!HHI", data[4:12])
        sock.sendto(head + struct.pack("!HHI", internal, 45678 if lifetime else 0, lifetime), who)
"""
"""A server of the test's own, which lends one port to everybody. It stands in the jail itself,
where an address of the tunnel's other end would be."""


def ports(client: Client, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.call(path(name), P + "Ports", "a{sv}", {})
    return rows


def test_ports_are_opened_listed_and_closed(people: People, made: Made) -> None:
    alice, name = people["alice"], made(["alice"], up=True)
    assert ports(alice, name) == []
    words = ("forward", "tcp", "9091", "", {"name": option("s", "web")})
    port = alice.call(path(name), P + "AddPort", "ssssa{sv}", *words)
    assert (port["listen"], port["to"]) == ("localhost:9091", "localhost:9091")
    assert (port["way"], port["name"]) == ("forward", "web")
    (row,) = ports(alice, name)
    assert (row["listen"], row["open"], row["added"]) == ("localhost:9091", True, True)
    gone = alice.call(path(name), P + "RemovePort", "sssa{sv}", "", "tcp", "9091", {})
    assert [each["listen"] for each in gone] == ["localhost:9091"]
    assert ports(alice, name) == []


def test_what_reaches_the_neighbourhood_takes_an_administrator(people: People, made: Made) -> None:
    alice, name = people["alice"], made(["alice"], up=True)
    wide = ("forward", "tcp", "0.0.0.0:9092", "", QUIET)
    refused = alice.error(path(name), P + "AddPort", "ssssa{sv}", *wide)
    assert refused.name == "org.netjail.Error.NotAuthorised"
    people["root"].call(path(name), P + "AddPort", "ssssa{sv}", *wide)
    assert [row["listen"] for row in ports(alice, name)] == ["0.0.0.0:9092"]


def test_errors_have_names_and_nobody_else_may(people: People, made: Made) -> None:
    alice, name = people["alice"], made(["alice"], up=True)
    bad = ("forward", "tcp", "not a port", "", {})
    assert alice.error(path(name), P + "AddPort", "ssssa{sv}", *bad).name.endswith(".Usage")
    bad = ("sideways", "tcp", "9091", "", {})
    assert alice.error(path(name), P + "AddPort", "ssssa{sv}", *bad).name.endswith(".BadRequest")
    none_such = alice.error(path(name), P + "RemovePort", "sssa{sv}", "", "udp", "9091", {})
    assert none_such.name.endswith(".Usage")
    good = ("forward", "tcp", "9093", "", {})
    for member, signature, words in (
        ("Ports", "a{sv}", ({},)),
        ("AddPort", "ssssa{sv}", good),
        ("RemovePort", "sssa{sv}", ("", "tcp", "9093", {})),
    ):
        error = people["dave"].error(path(name), P + member, signature, *words)
        assert error.name == "org.netjail.Error.NotAuthorised", member
    down = made(["alice"], text=none(["alice"]))
    assert alice.error(path(down), P + "AddPort", "ssssa{sv}", *good).name.endswith(".NotUp")


@pytest.mark.skipif(shutil.which("wireguard-go") is None, reason="needs wireguard-go")
def test_the_port_that_is_lent_is_a_property_and_announced(
    world: World, people: People, made: Made
) -> None:
    alice, name = people["alice"], made(text=TUNNEL, up=True)

    def value(property_: str) -> Any:
        return alice.call(path(name), PROPERTIES + "Get", "ss", names.BUS_PROFILE, property_)

    assert (value("LentPort"), value("LentAddress")) == (0, "")
    alice.forget()
    world.root("ip", "-n", f"netjail-{name}", "addr", "add", "10.9.9.1/32", "dev", "lo")
    world.popen("ip", "netns", "exec", f"netjail-{name}", sys.executable, "-c", LENDER)
    watching = world.popen(
        *(sys.executable, "-m", "netjail", "port", "watch", "--once", "--outside", name, "--"),
        *("sh", "-c", "id -u > /run/home/alice/hook; echo $NETJAIL_PORT >> /run/home/alice/hook"),
        user="alice",
    )
    said: dict[str, Any] = {}
    while said.get("LentPort") != 45678:
        signal = alice.signal("PropertiesChanged", 40)
        if signal[0] == path(name):
            said |= signal[3][1]
    assert (value("LentPort"), value("LentAddress")) == (45678, "11.0.0.1")
    assert watching.wait(40) == 0
    uid = world.run("id", "-u", user="alice").stdout
    assert world.path("/run/home/alice/hook").read_text() == f"{uid}45678\n"
    inside = world.netjail("run", name, "--", "sh", "-c", "echo $NETJAIL_PORT", user="alice")
    assert inside.stdout == "45678\n"
    assert world.netjail("port", "watch", "--once", name, user="dave").returncode != 0
    people["root"].ask("down", profiles=[name], kill=True).get()
    assert (value("LentPort"), value("LentAddress")) == (0, "")
