# SPDX-License-Identifier: GPL-3.0-or-later
"""Uplinks in a network of others: what their tables may say, and what not."""

from __future__ import annotations

import pytest

from netjail.errors import NetjailError
from netjail.profile import toml
from netjail.profile.model import Bridge, Device, ForeignNetns, Ipvlan, Macvlan, SwitchUplink

STATIC = 'address = "192.168.1.7/24"\n'
NAMES = "[dns]\nservers = []\n"
KINDS = {
    "device": ('device = "eth1"\n', Device),
    "macvlan": ('parent = "eth0"\n', Macvlan),
    "ipvlan": ('parent = "wlan0"\n', Ipvlan),
    "bridge": ('bridge = "br0"\n', Bridge),
    "switch": ('switch = "lab"\n', SwitchUplink),
}


def text(kind: str, rest: str = "", dns: str = "") -> str:
    own = KINDS[kind][0] if kind in KINDS else ""
    return f'version = 1\n[uplink]\nkind = "{kind}"\n{own}{rest}{dns}'


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("rest", "dns"),
    [
        ("", ""),
        ('address = "dhcp"\naccept_ra = true\nmtu = 1400\n', ""),
        (STATIC + 'gateway = "192.168.1.1"\n', NAMES),
        ('address = ["10.0.0.7/32", "fd00::7/64"]\ngateway = ["10.9.9.9", "fe80::1"]\n', NAMES),
    ],
)
def test_a_good_table_is_read_and_written_again(kind: str, rest: str, dns: str) -> None:
    profile, warnings = toml.parse("lab", text(kind, rest, dns))
    assert isinstance(profile.uplink, KINDS[kind][1]) and warnings == []
    assert profile.dns.mode == ("static" if dns else "uplink")
    assert toml.parse("lab", toml.dump(profile))[0] == profile


def test_a_namespace_has_a_name_and_nothing_else() -> None:
    profile, _ = toml.parse("own", text("netns", 'name = "blue"\n'))
    assert profile.uplink == ForeignNetns("blue")
    assert toml.parse("own", toml.dump(profile))[0] == profile


@pytest.mark.parametrize(
    ("kind", "rest", "dns", "words"),
    [
        ("macvlan", 'mode = "l2"\n', "", "is not a mode of macvlan"),
        ("ipvlan", 'mode = "vepa"\n', "", "is not a mode of ipvlan"),
        ("ipvlan", 'mode = "l3"\n', "", "must be a list of addresses"),
        ("bridge", STATIC, "", "dns.servers: is missing"),
        ("bridge", STATIC, '[dns]\nmode = "uplink"\n', "makes no sense"),
        ("bridge", STATIC + 'gateway = "192.168.2.1"\n', NAMES, "is not in the network"),
        ("bridge", STATIC + 'gateway = "192.168.1.7"\n', NAMES, "the jail's own address"),
        ("bridge", STATIC + 'gateway = "fd00::1"\n', NAMES, "is an IPv6 router"),
        ("bridge", STATIC + 'gateway = ["192.168.1.1", "192.168.1.2"]\n', NAMES, "two gateways"),
        ("bridge", "accept_ra = true\nmtu = 1000\n", "", "too small for IPv6"),
        ("bridge", "address = []\n", "", "is an empty list"),
        ("bridge", 'mac = "01:00:5e:00:00:01"\n', "", "group"),
        ("bridge", 'mac = "x"\n', "", "is not a hardware address"),
        ("bridge", "", '[dns]\nmode = "host"\n', "makes no sense"),
        ("bridge", "cut_off_host = true\n", "", 'belongs to uplinks of kind "device"'),
        ("netns", 'name = "../x"\n', "", "is not a name as ip-netns(8) has them"),
        ("netns", 'name = ".."\n', "", "is not a name as ip-netns(8) has them"),
        ("netns", 'name = "netjail-x"\n', "", "netjail's own"),
        ("netns", 'name = "b"\n[[link]]\nswitch = "s"\n', "", "somebody else's"),
    ],
)
def test_a_mistake_is_one_clear_problem(kind: str, rest: str, dns: str, words: str) -> None:
    with pytest.raises(NetjailError) as caught:
        toml.parse("lab", text(kind, rest, dns))
    assert any(words in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_stands_on_must_be_named(kind: str) -> None:
    with pytest.raises(NetjailError) as caught:
        toml.parse("lab", f'version = 1\n[uplink]\nkind = "{kind}"\n')
    assert any("is missing" in problem for problem in caught.value.problems)
