# SPDX-License-Identifier: GPL-3.0-or-later
"""`natpmp` of [uplink]."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.errors import NetjailError
from netjail.profile import portchecks, toml, wgquick
from netjail.profile.checks import Bad
from netjail.profile.model import NatPmp
from tests.unit.profile.examples import NONE, VETH, WG_QUICK, WIREGUARD

OPENVPN = f"""version = 1
[uplink]
kind = "openvpn"
remote = ["vpn.example.net:1194/udp"]
login = true
fingerprint = ["{"AB" * 32}"]
"""
OPENCONNECT = 'version = 1\n[uplink]\nkind = "openconnect"\nserver = "vpn.example.net"\n'


def with_keys(text: str, *lines: str) -> str:
    return text.replace("[uplink]\n", "[uplink]\n" + "".join(line + "\n" for line in lines), 1)


@pytest.mark.parametrize("text", [WIREGUARD, OPENVPN, OPENCONNECT])
def test_every_kind_of_tunnel_may_borrow_a_port(text: str) -> None:
    assert toml.parse("vpn", text)[0].natpmp is None
    assert toml.parse("vpn", with_keys(text, "natpmp = false"))[0].natpmp is None
    assert toml.parse("vpn", with_keys(text, "natpmp = true"))[0].natpmp == NatPmp()


def good(address: object) -> bool:
    try:
        portchecks.gateway(str(address))
    except Bad:
        return False
    return True


@given(st.none() | st.ip_addresses().filter(good))
def test_what_is_written_is_read_again(gateway) -> None:
    for port in (None, 1, 51413):
        lines = ["natpmp = true"]
        lines += [] if gateway is None else [f'natpmp_gateway = "{gateway}"']
        lines += [] if port is None else [f"natpmp_port = {port}"]
        profile, _ = toml.parse("vpn", with_keys(WIREGUARD, *lines))
        assert profile.natpmp == NatPmp(gateway, port)
        assert toml.parse("vpn", toml.dump(profile))[0] == profile


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (with_keys(VETH, "natpmp = true"), "belongs to uplinks of kind"),
        (with_keys(NONE, "natpmp = true"), "belongs to uplinks of kind"),
        (with_keys(WIREGUARD, 'natpmp = "yes"'), "true or false"),
        (with_keys(WIREGUARD, "natpmp_port = 5"), "is of no use without natpmp = true"),
        (with_keys(OPENVPN, 'natpmp_gateway = "10.2.0.1"'), "is of no use without natpmp"),
        (with_keys(WIREGUARD, "natpmp = true", "natpmp_port = 0"), "1 to 65535"),
        (with_keys(WIREGUARD, "natpmp = true", 'natpmp_gateway = "127.0.0.1"'), "own loopback"),
        (with_keys(WIREGUARD, "natpmp = true", 'natpmp_gateway = "gw.example"'), "an address"),
        (with_keys(WIREGUARD, "natpmp = true", 'natpmp_gateway = "fe80::1"'), "link-local"),
        (with_keys(WIREGUARD, "natpmp = true", "natpmp_hook = 'x'"), "unknown key"),
    ],
)
def test_what_is_wrong_is_said(text: str, words: str) -> None:
    with pytest.raises(NetjailError) as caught:
        toml.parse("vpn", text)
    assert any(words in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    ("note", "told"),
    [
        ("# NAT-PMP (Port Forwarding) = on", True),
        ("# NAT-PMP (Port Forwarding) = off", False),
        ("# Moderate NAT = on", False),
    ],
)
def test_a_file_that_notes_that_the_provider_lends_a_port_is_told_of(note: str, told: bool) -> None:
    found = wgquick.parse(WG_QUICK.replace("[Interface]", f"[Interface]\n{note}"))
    assert any("natpmp = true" in warning for warning in found.warnings) is told
