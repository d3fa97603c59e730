# SPDX-License-Identifier: GPL-3.0-or-later
"""What each uplink wants of the kernel, from its profile and the host alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from netjail.errors import NetjailError
from netjail.profile.model import (
    Address,
    Dns,
    Endpoint,
    NoUplink,
    Peer,
    Port,
    Profile,
    Veth,
    WireGuard,
)
from netjail.uplinks import registry, wireguard
from netjail.uplinks.facts import HostDns, Subnet
from netjail.uplinks.naming import host_interface
from netjail.uplinks.wanted import (
    DnsRelay,
    Files,
    Masquerade,
    Netns,
    PinnedRoutes,
    VethPair,
    WireGuardDevice,
    from_json,
    to_json,
)

ORDINARY_DNS = HostDns(("192.0.2.53",), (), ("lan",), "/etc/resolv.conf")


@dataclass
class FakeFacts:
    """A host that is all answers: stands in for the kernel, where only descriptions are tested."""

    addresses: dict[str, str] = field(default_factory=dict)
    added: tuple[Port, ...] = ()
    removed: tuple[Port, ...] = ()
    mtu: int = 1500
    ipv6: bool = True
    host_dns: HostDns = field(default_factory=lambda: ORDINARY_DNS)
    interfaces: tuple[str, ...] = ("up0",)
    missing: tuple[str, ...] = ()
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def resolve(self, endpoint: Endpoint, through: str | None) -> tuple[Address, int]:
        self.asked.append((endpoint.host, through))
        return ip_address(self.addresses.get(endpoint.host, endpoint.host)), endpoint.port

    def path_mtu(self, destination: Address, through: str | None) -> int:
        return self.mtu

    def subnet(self, profile: str) -> Subnet:
        if self.ipv6:
            return Subnet(
                ("10.213.0.1/30", "fd00::1/64"),
                ("10.213.0.2/30", "fd00::2/64"),
                ("10.213.0.1", "fd00::1"),
            )
        return Subnet(("10.213.0.1/30",), ("10.213.0.2/30",), ("10.213.0.1",))

    def dns(self) -> HostDns:
        return self.host_dns

    def port_changes(self, profile: str) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
        return self.added, self.removed

    def has_ipv6(self) -> bool:
        return self.ipv6

    def way_out_mtu(self, interface: str | None) -> int:
        return self.mtu

    def require_interface(self, interface: str) -> None:
        if interface not in self.interfaces:
            raise NetjailError("conflict", f"no interface {interface}")

    def require_program(self, *names: str) -> None:
        for name in names:
            if name in self.missing:
                raise NetjailError("missing-program", f"the program {name} is not installed")


KEY = "6Dkh15402pudZ5tKXTrwo9u7woZ5pNQ3efYMK6WdoXA="
PEER = "NqPzmgBEnggiL/EivHtD4V/DgSecYccEl1/YLFDCgBE="
PSK = "PHO3DiGx9vy+Xf3b+4eU7MdQhXpiMd6Uy2FyaDQmwzk="


def tunnel(**changes):
    peer = Peer(
        PEER,
        (ip_network("0.0.0.0/0"), ip_network("::/0")),
        Endpoint("vpn.example", 51820),
        PSK,
        25,
    )
    values = {
        "private_key": KEY,
        "addresses": (ip_interface("10.9.0.2/32"), ip_interface("fd09::2/128")),
        "peers": (peer,),
        "dns_servers": (ip_address("10.9.0.1"),),
        "dns_search": ("corp.example",),
        **changes,
    }
    return WireGuard(**values)


def profile(uplink, mode, **dns):
    return Profile("vpn", uplink, Dns(mode, **dns))


def describe(profile, facts=None):
    return registry.describe(profile, facts or FakeFacts(addresses={"vpn.example": "192.0.2.1"}))


def one(resources, kind):
    found = [r for r in resources if isinstance(r, kind)]
    assert len(found) == 1
    return found[0]


def test_every_jail_begins_with_its_namespace_and_its_own_files():
    for uplink, mode in ((tunnel(), "uplink"), (Veth(), "host"), (NoUplink(), "static")):
        resources = describe(profile(uplink, mode))
        assert isinstance(resources[0], Netns) and isinstance(resources[1], Files)


def test_no_uplink_wants_nothing_more():
    assert len(describe(profile(NoUplink(), "static"))) == 2


def test_a_tunnel_takes_dns_from_the_file_and_adds_the_profiles_search_domains():
    files = one(describe(profile(tunnel(), "uplink", search=("my.example",))), Files)
    assert files.servers == ("10.9.0.1",)
    assert files.search == ("corp.example", "my.example")


def test_static_dns_replaces_what_the_file_says():
    servers = (ip_address("9.9.9.9"),)
    files = one(describe(profile(tunnel(), "static", servers=servers)), Files)
    assert (files.servers, files.search) == (("9.9.9.9",), ())


def test_the_tunnels_endpoint_is_looked_up_outside_and_handed_to_wg_as_a_number():
    device = one(describe(profile(tunnel(), "uplink")), WireGuardDevice)
    assert "Endpoint = 192.0.2.1:51820" in device.config
    assert "vpn.example" not in device.config


def test_an_ipv6_endpoint_is_bracketed():
    facts = FakeFacts(addresses={"vpn.example": "2001:db8::7"})
    device = one(describe(profile(tunnel(), "uplink"), facts), WireGuardDevice)
    assert "Endpoint = [2001:db8::7]:51820" in device.config


def test_secrets_are_in_the_configuration_only_never_in_a_record_or_a_repr():
    device = one(describe(profile(tunnel(), "uplink")), WireGuardDevice)
    assert KEY in device.config and PSK in device.config
    assert KEY not in repr(device) and PSK not in repr(device)
    assert KEY not in json.dumps(to_json(device)) and PSK not in json.dumps(to_json(device))


@pytest.mark.parametrize(
    ("configured", "path", "wanted"),
    [(None, 1500, 1420), (None, 1400, 1320), (None, 1300, 1280), (1380, 1500, 1380)],
)
def test_mtu_comes_from_the_file_else_from_the_path(configured, path, wanted):
    facts = FakeFacts(addresses={"vpn.example": "192.0.2.1"}, mtu=path)
    device = one(describe(profile(tunnel(mtu=configured), "uplink"), facts), WireGuardDevice)
    assert device.mtu == wanted


def test_through_another_profile_the_tunnel_is_born_and_resolved_there():
    facts = FakeFacts(addresses={"vpn.example": "192.0.2.1"})
    device = one(describe(profile(tunnel(through="first"), "uplink"), facts), WireGuardDevice)
    assert device.birth == "netjail-first"
    assert facts.asked == [("vpn.example", "first")]


@pytest.mark.parametrize(
    ("allowed", "dns", "wanted"),
    [
        (("0.0.0.0/0",), ("10.9.0.1",), "10.9.0.1"),
        (("0.0.0.0/0",), (), "192.0.2.1"),
        (("::/0",), ("10.9.0.1",), "2001:db8::1"),
        (("10.20.0.0/16",), ("10.9.0.1",), "10.20.0.1"),
        ((), (), None),
    ],
)
def test_the_probe_goes_to_an_address_behind_the_tunnel(allowed, dns, wanted):
    peer = Peer(PEER, tuple(map(ip_network, allowed)))
    uplink = tunnel(peers=(peer,), dns_servers=tuple(map(ip_address, dns)))
    assert wireguard.probe_address(uplink) == wanted


def test_a_veth_jail_may_ask_the_hosts_resolvers_and_needs_no_relay():
    resources = describe(profile(Veth(), "host"))
    assert one(resources, Files).servers == ("192.0.2.53",)
    assert one(resources, Masquerade).resolvers == ("192.0.2.53",)
    assert not any(isinstance(r, DnsRelay) for r in resources)


def test_a_resolver_on_loopback_gets_a_relay_at_the_host_end():
    facts = FakeFacts(host_dns=HostDns((), ("127.0.0.53",), ("lan",), "/etc/resolv.conf"))
    resources = describe(profile(Veth(), "host"), facts)
    assert one(resources, DnsRelay).upstreams == ("127.0.0.53",)
    assert one(resources, Files).servers == one(resources, DnsRelay).listen == ("10.213.0.1",)


def test_a_relay_is_refused_before_anything_is_made_where_dnsmasq_is_missing():
    facts = FakeFacts(
        host_dns=HostDns((), ("127.0.0.53",), (), "/etc/resolv.conf"), missing=("dnsmasq",)
    )
    with pytest.raises(NetjailError, match="dnsmasq"):
        describe(profile(Veth(), "host"), facts)


def test_a_pinned_way_out_has_its_own_routes_right_after_the_pair():
    resources = describe(profile(Veth(interface="up0"), "host"))
    kinds = [type(r) for r in resources]
    assert kinds == [Netns, Files, VethPair, PinnedRoutes, Masquerade]
    assert one(resources, Masquerade).way_out == "up0"


def test_a_pinned_interface_must_exist():
    with pytest.raises(NetjailError, match="wlan7"):
        describe(profile(Veth(interface="wlan7"), "host"))


def test_without_ipv6_on_the_host_the_pair_is_ipv4_alone():
    resources = describe(profile(Veth(), "host"), FakeFacts(ipv6=False))
    assert one(resources, VethPair).gateways == ("10.213.0.1",)
    assert one(resources, Masquerade).ipv6 is False


def test_all_resources_survive_the_trip_through_a_record():
    facts = FakeFacts(host_dns=HostDns((), ("127.0.0.53",), (), "x"))
    all_of_them = [
        *describe(profile(Veth(interface="up0"), "host", hosts=(("a", ip_address("::1")),)), facts),
        *describe(profile(tunnel(), "uplink")),
    ]
    for resource in all_of_them:
        assert from_json(json.loads(json.dumps(to_json(resource)))) == resource


@pytest.mark.parametrize("data", [{}, {"resource": "Nonsense"}, {"resource": "Netns"}])
def test_a_record_nobody_wrote_is_a_value_error(data):
    with pytest.raises(ValueError, match="resource"):
        from_json(data)


@pytest.mark.parametrize("name", ["vpn", "a" * 12, "a" * 13, "a" * 31, "lab-east_2-and-more"])
def test_host_interface_names_fit_the_kernel_and_bear_our_prefix(name):
    assert len(host_interface(name)) <= 15 and host_interface(name).startswith("nj-")


def test_long_names_that_begin_alike_do_not_collide():
    assert host_interface("office-network-east") != host_interface("office-network-west")
