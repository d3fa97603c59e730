# SPDX-License-Identifier: GPL-3.0-or-later
"""[dhcp] of a switch: what contradicts itself is told, and what is valid becomes a dnsmasq.conf
of exactly our lines."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.engine import dhcpserver
from netjail.errors import NetjailError
from netjail.profile import serving, switch, toml
from netjail.profile.switch import Dhcp
from netjail.uplinks import dhcp_server


def problems(text: str) -> str:
    try:
        switch.parse("lab", f"version = 1\n{text}\n")
    except NetjailError as error:
        return "\n".join(error.problems)
    return ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('range = "10.0.0.9-10.0.0.5"', "ends before it begins"),
        ('range = "10.0.0.5"', "has no -"),
        ('range = "10.0.0.5-fd00::1"', "from one family"),
        ('range = ["10.0.0.5-10.0.0.9", "10.0.0.9-10.0.0.20"]', "overlaps"),
        ('range = ["10.0.0.5-10.0.0.9", "10.9.0.9-10.9.0.20"]\naddress = "10.0.0.1/24"', "not all"),
        ('range = "10.0.0.5-10.0.0.9"\ngateway = "10.0.0.7"', "which is taken"),
        ('range = "10.0.0.5-10.0.0.9"\naddress = "10.0.0.7/24"', "which is taken"),
        ('range = "10.0.0.5-10.0.0.9"\naddress = "10.0.0.1/24"\ngateway = "10.1.0.1"', "is not on"),
        ('range = "10.0.0.5-10.0.0.9"\ngateway = "fd00::1"', "no range is handed out"),
        ('range = "10.0.0.5-10.0.0.9"\nhosts = {a = "10.0.0.3", b = "10.0.0.3"}', "that of a"),
        ('range = "10.0.0.5-10.0.0.9"\nhosts = {a = "10.7.0.3"}', "is not on 10.0.0.0/24"),
        ('range = "10.0.0.1-10.0.0.2"\naddress = "10.0.0.3/30"', "broadcast"),
        ('range = "10.0.0.5-10.0.0.9"\ndomain = "a b"', "domain"),
        ('range = "10.0.0.5-10.0.0.9"\ndomain = "a\\nport=53"', "domain"),
        ('range = "10.0.0.5-10.0.0.9"\nhosts = {"a,set:x" = "10.0.0.3"}', "hosts"),
        ('range = "10.0.0.5-10.0.0.9"\nlease = 5', "lease"),
    ],
)
def test_contradictions_are_told(text: str, said: str) -> None:
    assert said in problems(f"[dhcp]\n{text}")


def test_the_hosts_port_says_which_network_it_is() -> None:
    text = 'host = true\nhost_address = "10.0.0.1/16"\n[dhcp]\nrange = "10.0.9.1-10.0.9.200"'
    found, _ = switch.parse("lab", f"version = 1\n{text}\n")
    assert found.dhcp is not None
    own = serving.server_addresses(found.dhcp, found.host_addresses)
    assert [str(address) for address in own] == ["10.0.255.254/16"]
    assert "10.0.0.1" in problems(text.replace("10.0.9.1-", "10.0.0.1-"))


addresses4 = st.integers(0x0A000001, 0x0A0003FE).map(ip_address)


@st.composite
def dhcps(draw: st.DrawFn) -> Dhcp:
    first, last = sorted((draw(addresses4), draw(addresses4)), key=int)
    return Dhcp(
        ranges=((first, last),),
        gateways=tuple(draw(st.lists(addresses4, max_size=1))),
        dns=tuple(draw(st.lists(addresses4, max_size=2))),
        hosts=tuple(("h", a) for a in draw(st.lists(addresses4, max_size=2))),
    )


@given(dhcps())
def test_the_server_takes_an_address_that_is_nobodys(dhcp: Dhcp) -> None:
    net = serving.network(dhcp, 4, ())
    for own in serving.server_addresses(dhcp, ()):
        assert own.ip in net and own.network == net
        first, last = dhcp.ranges[0]
        assert not int(first) <= int(own.ip) <= int(last)
        assert own.ip not in (*dhcp.gateways, *dhcp.dns, *(a for _, a in dhcp.hosts))
        assert own.ip not in (net.network_address, net.broadcast_address)


def test_the_configuration_reads_nothing_of_the_hosts() -> None:
    found, _ = switch.parse(
        "lab",
        'version = 1\n[dhcp]\nrange = ["10.0.0.5-10.0.0.9", "fd00::5-fd00::9"]\n'
        'gateway = "10.0.0.1"\ndns = ["10.0.0.2", "fd00::2"]\ndomain = "lab.example"\n'
        'hosts = {"02:00:00:00:00:01" = "10.0.0.77", "b" = "fd00::77"}\n',
    )
    served = dhcp_server.of_switch(found, "machine", on_host=False, known=lambda _name: None)
    assert served is not None
    port, server = served
    assert port.addresses == ("10.0.0.254/24", "fd00::ffff:ffff:ffff:fffe/64")
    lines = dhcpserver.configuration(server, "/x/leases", "nobody").splitlines()
    assert {"no-resolv", "no-hosts", "no-poll", "port=0", "user=nobody", "enable-ra"} <= set(lines)
    assert "dhcp-range=10.0.0.5,10.0.0.9,255.255.255.0,3600s" in lines
    assert "dhcp-range=fd00::5,fd00::9,64,3600s" in lines
    assert "dhcp-option=option:router,10.0.0.1" in lines
    assert "dhcp-option=option6:dns-server,[fd00::2]" in lines
    assert "dhcp-host=02:00:00:00:00:01,10.0.0.77" in lines
    assert "dhcp-host=b,[fd00::77]" in lines
    assert "ra-param=dhcp0,60,0" in lines


def test_nothing_is_named_that_the_file_does_not_name() -> None:
    """Without these lines dnsmasq would offer itself."""
    found, _ = switch.parse("lab", 'version = 1\n[dhcp]\nrange = "10.0.0.5-10.0.0.9"\n')
    served = dhcp_server.of_switch(found, "machine", on_host=False, known=lambda _name: None)
    assert served is not None
    lines = dhcpserver.configuration(served[1], "/x", "nobody").splitlines()
    assert {"dhcp-option=option:router", "dhcp-option=option:dns-server"} <= set(lines)
    assert "enable-ra" not in lines


def test_a_switch_comes_back_from_its_text() -> None:
    text = (
        'version = 1\n[dhcp]\nrange = ["10.0.0.5-10.0.0.9"]\naddress = ["10.0.0.3/24"]\n'
        'gateway = "10.0.0.1"\n'
    )
    found, _ = switch.parse("lab", text)
    assert switch.parse("lab", switch.dump(found))[0] == found


LEASES = """\
1795466580 5e:a4:2a:99:b4:cc 10.20.0.7 beta 01:5e:a4:2a:99:b4:cc
0 16:26:3e:0d:16:21 10.20.0.170 * *
duid 00:01:00:01:32:97:53:c3:da:62:90:22:48:c4
1795466590 12345 fd20::17 alpha 00:01
half a
"""


def test_leases_are_read() -> None:
    assert dhcpserver.parse_leases(LEASES) == [
        {
            "address": "10.20.0.7",
            "mac": "5e:a4:2a:99:b4:cc",
            "name": "beta",
            "expires": 1795466580,
        },
        {"address": "10.20.0.170", "mac": "16:26:3e:0d:16:21", "name": None, "expires": None},
        {"address": "fd20::17", "mac": None, "name": "alpha", "expires": 1795466590},
    ]


@given(st.text())
def test_any_lease_file_is_read(text: str) -> None:
    for row in dhcpserver.parse_leases(text):
        assert ip_address(row["address"]) in ip_network(row["address"])


def test_a_profile_is_known_by_its_hardware_address() -> None:
    """Its client tells nobody a name."""
    text = 'version = 1\n[uplink]\nkind = "none"\n[[link]]\nswitch = "lab"\n'
    profile = toml.parse("beta", text + 'mac = "02:00:00:00:00:05"\n')[0]
    found, _ = switch.parse(
        "lab",
        'version = 1\n[dhcp]\nrange = "10.0.0.5-10.0.0.9"\nhosts = {beta = "10.0.0.7"}\n',
    )
    served = dhcp_server.of_switch(found, "machine", on_host=False, known=lambda _name: profile)
    assert served is not None
    assert served[1].hosts == (("02:00:00:00:00:05,beta", "10.0.0.7"),)
