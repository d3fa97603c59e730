# SPDX-License-Identifier: GPL-3.0-or-later
"""A WireGuard tunnel, its encrypted socket outside the jail."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

from netjail import names
from netjail.profile import amnezia
from netjail.profile.model import Address, AmneziaWG, Endpoint, Profile, WireGuard
from netjail.uplinks.facts import Facts
from netjail.uplinks.naming import host_interface
from netjail.uplinks.wanted import Resource, WireGuardDevice

_OVERHEAD = 80
"""Bytes that WireGuard adds to a packet over IPv6, the larger case (wg-quick(8) takes it too)."""
_MTU_MIN = 1280
_DISCARD = ("192.0.2.1", "2001:db8::1")
"""Documentation addresses (RFC 5737, RFC 3849): nobody answers there."""


def describe(profile: Profile, uplink: WireGuard, facts: Facts) -> tuple[Resource, ...]:
    """The device. Endpoints are looked up now, outside the jail, so that `wg` need not."""
    facts.require_program("awg" if isinstance(uplink, AmneziaWG) else "wg")
    found = {
        peer.endpoint: facts.resolve(peer.endpoint, uplink.through)
        for peer in uplink.peers
        if peer.endpoint is not None
    }
    return (
        WireGuardDevice(
            profile=profile.name,
            netns=names.netns_name(profile.name),
            birth=None if uplink.through is None else names.netns_name(uplink.through),
            born_as=host_interface(profile.name),
            jail_if=names.TUNNEL_IF,
            mtu=uplink.mtu or mtu_for([each for each, _ in found.values()], uplink, facts),
            addresses=tuple(str(address) for address in uplink.addresses),
            routes=routes(uplink),
            probe=probe_address(uplink),
            config=setconf(uplink, found),
            protocol=uplink.kind,
        ),
    )


def routes(uplink: WireGuard) -> tuple[str, ...]:
    """One route per distinct network in AllowedIPs, as wg-quick(8) makes them."""
    seen = dict.fromkeys(net for peer in uplink.peers for net in peer.allowed_ips)
    return tuple(str(net) for net in seen)


def probe_address(uplink: WireGuard) -> str | None:
    """An address behind the tunnel that one datagram is sent to, so that a handshake begins.

    WireGuard is silent until there is something to send. The profile's own resolver is the
    natural addressee; else an address that nobody owns; else the first one of some network.
    """
    networks = [net for peer in uplink.peers for net in peer.allowed_ips]
    candidates = [*(str(server) for server in uplink.dns_servers), *_DISCARD]
    for candidate in candidates:
        address = ip_network(candidate)
        if any(net.version == address.version and address.subnet_of(net) for net in networks):  # type: ignore[arg-type]
            return candidate
    return str(next(iter(networks[0].hosts()))) if networks else None


def setconf(uplink: WireGuard, found: dict[Endpoint, tuple[Address, int]]) -> str:
    """Text for wg-setconf(8): the keys of wg(8) alone, endpoints as numbers."""
    lines = ["[Interface]", f"PrivateKey = {uplink.private_key}"]
    if uplink.listen_port is not None:
        lines.append(f"ListenPort = {uplink.listen_port}")
    if uplink.fwmark is not None:
        lines.append(f"FwMark = {uplink.fwmark:#x}")
    if isinstance(uplink, AmneziaWG):
        # what another place, or the file before it was changed, has set would stay
        pool = amnezia.PADDINGS if uplink.places else ()
        lines += amnezia.lines(uplink, {*amnezia.ALWAYS, *pool})
    for peer in uplink.peers:
        lines += ["", "[Peer]", f"PublicKey = {peer.public_key}"]
        if peer.preshared_key is not None:
            lines.append(f"PresharedKey = {peer.preshared_key}")
        if peer.allowed_ips:
            lines.append("AllowedIPs = " + ", ".join(str(net) for net in peer.allowed_ips))
        if peer.endpoint is not None:
            address, port = found[peer.endpoint]
            lines.append(f"Endpoint = {Endpoint(str(address), port)}")
        if peer.persistent_keepalive:
            lines.append(f"PersistentKeepalive = {peer.persistent_keepalive}")
    return "\n".join(lines) + "\n"


def mtu_for(servers: Iterable[Address], uplink: WireGuard, facts: Facts) -> int:
    """What fits the ways to all servers."""
    mtus = [facts.path_mtu(address, uplink.through) for address in servers]
    padding = (uplink.s4 or 0) if isinstance(uplink, AmneziaWG) else 0
    return max(min(mtus, default=1500) - _OVERHEAD - padding, _MTU_MIN)
