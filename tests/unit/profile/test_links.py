# SPDX-License-Identifier: GPL-3.0-or-later
"""[[link]] tables: what they may be, to each other and beside the uplink."""

from __future__ import annotations

import re
from ipaddress import IPv4Interface, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.errors import NetjailError
from netjail.profile import links, toml
from netjail.profile.linkchecks import mac
from netjail.profile.model import Link
from tests.unit.profile.examples import NONE, OTHER, PRIVATE, VETH, WIREGUARD

TUNNEL = (
    'version = 1\n[uplink]\nkind = "wireguard"\n'
    f'private_key = "{PRIVATE}"\naddress = ["10.2.0.2/32"]\ndns = ["10.2.0.1"]\n'
    f'[[uplink.peer]]\npublic_key = "{OTHER}"\n'
    'allowed_ips = ["0.0.0.0/0"]\nendpoint = "a.example:1"\n'
)
LAB = '[[link]]\nswitch = "lab"\n'
CABLE = '[[link]]\npeer = "server"\n'


def parsed(text: str) -> tuple[Link, ...]:
    return toml.parse("me", text)[0].links


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(NetjailError) as caught:
        toml.parse("me", text)
    assert caught.value.code == "invalid-profile"
    return caught.value.problems


def test_a_link_with_everything() -> None:
    (found,) = parsed(
        NONE + LAB + 'address = ["10.20.0.10/24", "fd20::10/64"]\nmac = "02-00-00-00-00-AB"\n'
        'gateway = ["10.20.0.1", "fe80::1"]\nname = "lan0"\nmtu = 1400\nvlan = 7\n'
    )
    assert found.switch == "lab"
    assert found.peer is None
    assert [str(a) for a in found.static] == ["10.20.0.10/24", "fd20::10/64"]
    assert found.gateways == (ip_address("10.20.0.1"), ip_address("fe80::1"))
    assert (found.name, found.mac, found.mtu, found.vlan) == ("lan0", "02:00:00:00:00:ab", 1400, 7)


def test_the_interface_is_called_after_the_other_end() -> None:
    assert [link.name for link in parsed(NONE + LAB + CABLE)] == ["lab", "server"]
    long = parsed(NONE + '[[link]]\nswitch = "a-very-long-name-for-a-switch"\n')[0].name
    assert re.fullmatch(r"a-very-l-[0-9a-f]{6}", long)
    assert links.default_name("all") != "all"


def test_one_address_may_stand_alone() -> None:
    assert parsed(NONE + LAB + 'address = "10.20.0.10/24"')[0].addresses == (
        IPv4Interface("10.20.0.10/24"),
    )
    assert parsed(NONE + LAB)[0].addresses == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[link]]\n", "link#1.switch: is missing; a link has a switch or a peer"),
        (LAB + 'peer = "x"', "a link leads to one of them only"),
        ('[[link]]\npeer = "me"', "is this profile itself"),
        ('[[link]]\npeer = "Server"', 'not a profile\'s name.*did you mean "server"'),
        (LAB + 'address = "10.20.0.1"', r'no prefix length.*did you mean "10.20.0.1/24"'),
        (LAB + 'address = "10.20.0.0/24"', r'the network itself.*did you mean "10.20.0.1/24"'),
        (LAB + 'address = "10.20.0.255/24"', "the broadcast address"),
        (LAB + 'address = "10.0.0.1/7"', "fewer than 8 bits"),
        (LAB + 'address = "fd00::1/8"', "fewer than 16 bits"),
        (LAB + 'address = ["10.20.0.1/24", "10.20.0.1/24"]', "has 10.20.0.1 twice"),
        (LAB + "address = 7", "is not a text"),
        (LAB + 'mac = "03:00:00:00:00:01"', "the address of a group"),
        (LAB + 'mac = "02:00:00:00:01"', "is not a hardware address"),
        (LAB + 'name = "a/b"', "is not an interface name"),
        (LAB + 'name = "default"', "a word of the kernel's"),
        (LAB + 'name = "lo"', "loopback"),
        (LAB + "vlan = 4095", "too large"),
        (LAB + "mtu = 1000\naddress = 'fd20::1/64'", "too small for the IPv6 address"),
        (CABLE + "vlan = 5", "belongs to links to a switch"),
        (CABLE + "serve_dhcp = true", "belongs to links to a switch"),
        (LAB + 'gateway = "10.20.0.1"', "needs an address of the jail's own"),
        (LAB + 'address = "10.20.0.1/24"\ngateway = "10.30.0.1"', "not on the link.*10.20.0.0/24"),
        (LAB + 'address = "10.20.0.1/24"\ngateway = "10.20.0.1"', "this end itself"),
        (LAB + 'gateway = ["10.20.0.1", "10.20.0.2"]', "two gateways of one family"),
        (LAB + "swich = 1", "did you mean switch"),
        (LAB + LAB, 'link#2.name: "lab" is what link 1 is called'),
        ("link = 7", r"is not a list of tables; write \[\[link\]\]"),
        ("[link]\nswitch = 'x'", r"write \[\[link\]\]"),
    ],
)
def test_one_problem(text: str, says: str) -> None:
    whole = f"version = 1\n{text}\n[uplink]\nkind = 'none'\n" if "link = 7" in text else NONE + text
    found = problems(whole)
    assert len(found) == 1, found
    assert re.search(says, found[0]), found


def test_networks_of_links_must_not_overlap() -> None:
    text = LAB + 'address = "10.20.0.10/24"\n' + CABLE + 'address = "10.20.0.200/25"\n'
    assert re.search(
        "link#2.address: 10.20.0.200/25 overlaps 10.20.0.10/24", problems(NONE + text)[0]
    )
    assert parsed(NONE + text.replace("10.20.0.200/25", "10.20.1.200/25"))


def test_two_gateways() -> None:
    text = LAB + 'address = "10.20.0.10/24"\ngateway = "10.20.0.1"\n'
    more = CABLE + 'address = "10.30.0.10/24"\ngateway = "10.30.0.1"\n'
    assert "a second gateway for IPv4, beside that of link 1" in problems(NONE + text + more)[0]
    six = CABLE + 'address = "fd30::10/64"\ngateway = "fd30::1"\n'
    assert len(parsed(NONE + text + six)) == 2


@pytest.mark.parametrize("uplink", [VETH, TUNNEL], ids=["veth", "wireguard"])
def test_a_gateway_would_be_a_way_around_the_uplink(uplink: str) -> None:
    text = LAB + 'address = "10.20.0.10/24"\ngateway = "10.20.0.1"\n'
    assert "would be a second way out" in problems(uplink + text)[0]


def test_a_link_takes_nothing_away_from_the_tunnel() -> None:
    assert "the tunnel's own address" in problems(TUNNEL + LAB + 'address = "10.2.0.5/29"')[0]
    found = problems(TUNNEL + LAB + 'address = "10.2.0.9/24"')
    assert any("takes the DNS server 10.2.0.1 away from the tunnel" in each for each in found)
    dns = '[dns]\nservers = ["10.30.0.1"]\n'
    _, warnings = toml.parse("me", TUNNEL + dns + LAB + 'address = "10.30.0.9/24"')
    assert any("questions do not go through the tunnel" in each for each in warnings)
    _, warnings = toml.parse("me", TUNNEL + LAB + 'address = "9.9.9.1/24"')
    assert any("are addresses of the internet" in each for each in warnings)
    assert toml.parse("me", TUNNEL + LAB + 'address = "10.20.0.1/24"')[1] == []


@pytest.mark.parametrize(("uplink", "name"), [(WIREGUARD, "wg0"), (VETH, "eth0")])
def test_the_uplinks_interface_is_not_a_links(uplink: str, name: str) -> None:
    assert "what the uplink's interface is called" in problems(uplink + LAB + f'name = "{name}"')[0]
    assert parsed(NONE + LAB + f'name = "{name}"')[0].name == name


def test_all_problems_at_once() -> None:
    text = LAB + 'address = "x"\nmac = "y"\n' + CABLE + "vlan = 1\n" + "[[link]]\nmtu = 1\n"
    assert len(problems(NONE + text)) == 5


octet = st.integers(1, 250)
addresses = st.builds(lambda a, b: f"10.{a}.{b}.7/24", octet, octet)
link_tables = st.builds(
    lambda number, address, vlan, mtu: (
        f'[[link]]\nswitch = "s{number}"\n'
        + (f'address = "{address}"\n' if address else "")
        + (f"vlan = {vlan}\n" if vlan else "")
        + (f"mtu = {mtu}\n" if mtu else "")
    ),
    st.integers(0, 9999),
    st.none() | addresses,
    st.none() | st.integers(1, 4094),
    st.none() | st.integers(1280, 9000),
)


@given(st.lists(link_tables, max_size=5))
def test_what_is_dumped_is_read_back(tables: list[str]) -> None:
    try:
        profile, _ = toml.parse("me", NONE + "".join(tables))
    except NetjailError:
        return  # two of them do not go together
    assert toml.parse("me", toml.dump(profile))[0] == profile


@given(st.text(max_size=40))
def test_any_text_for_an_address_is_an_address_or_a_problem(text: str) -> None:
    import json

    try:
        found = parsed(NONE + LAB + f"address = {json.dumps(text)}\n")
    except NetjailError as error:
        assert error.problems
        return
    assert found[0].addresses


@given(st.binary(min_size=6, max_size=6))
def test_hardware_addresses_are_in_the_kernels_form(raw: bytes) -> None:
    from netjail.profile.checks import Bad

    text = ":".join(f"{byte:02X}" for byte in raw)
    if raw[0] & 1 or not any(raw):
        with pytest.raises(Bad):
            mac(text)
    else:
        assert mac(text) == text.lower()
