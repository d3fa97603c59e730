# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tunnel's outside is helped with when the host's network has changed or its other end is
silent: names looked up again, endpoints set again, clients told to begin anew, the MTU measured.

Never touches the namespace or the interfaces in it, but for an MTU.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from netjail import names
from netjail.engine import dhcp, following, hostfacts, ns, process, wg
from netjail.engine.hostfacts import HostFacts, Subnets
from netjail.engine.netlink import NetlinkError, Socket, index_of, set_link
from netjail.engine.record import Record, Records
from netjail.engine.tunnels import Tunnels
from netjail.profile.model import Address, Endpoint, Profile, WireGuard
from netjail.uplinks import wireguard
from netjail.uplinks.wanted import VpnClient, WireGuardDevice
from netjail.uplinks.wanted_lan import BridgePort, ChildLink

Say = Callable[[str], None]
_LOWER_UP = 0x10000
"""IFF_LOWER_UP of linux/if.h: there is a carrier."""
_BROADCAST = IPv4Address("255.255.255.255")
NOWHERE = ""
"""The `way` of what has none."""


# How the packets of a tunnel leave ---------------------------------------------------------------


def way(found: Record, tunnels: Tunnels) -> str | None:
    """By which interface, gateway and address a tunnel's own packets leave, or to what a DHCP
    client's network is plugged: differs when the host's network has become another. NOWHERE: there
    is no way just now. None: it is no matter of the host's.
    """
    device: WireGuardDevice | None = found.find(WireGuardDevice)
    client: VpnClient | None = found.find(VpnClient)
    if device is not None:
        peers = wg.show(device, found.process(wg.USERSPACE) is not None)
        return _ways(device.birth, [p.endpoint for p in peers if p.endpoint is not None])
    if client is not None:
        session = tunnels.session(found.profile)
        server = None if session is None else session.condition().server
        return None if server is None else _ways(client.birth, [server])
    if following.clients(found):
        return _plugged(found)
    return None


def _ways(birth: str | None, servers: Iterable[str]) -> str | None:
    addresses = [each for each in map(address_of, servers) if each is not None]
    if not addresses:
        return None
    with ns.inside_named(birth), Socket() as netlink:
        found = [_way_to(netlink, address) for address in addresses]
    return "; ".join(sorted({each for each in found if each})) or NOWHERE


def _way_to(netlink: Socket, address: Address) -> str:
    try:
        route = netlink.route_to(str(address))
    except NetlinkError:
        return NOWHERE
    if route is None:
        return NOWHERE
    link = netlink.link_by_index(route.get_attr("RTA_OIF") or 0)
    if link is None or not link["flags"] & _LOWER_UP:
        return NOWHERE
    words = [f"dev {link.get_attr('IFLA_IFNAME')}"]
    for word, attribute in (("via", "RTA_GATEWAY"), ("src", "RTA_PREFSRC")):
        if route.get_attr(attribute):
            words.append(f"{word} {route.get_attr(attribute)}")
    return " ".join(words)


def _plugged(found: Record) -> str | None:
    """What the interface below a DHCP client's is plugged to, as far as the host knows."""
    below = [r.parent for r in found.resources if isinstance(r, ChildLink)]
    below += [r.bridge for r in found.resources if isinstance(r, BridgePort)]
    if not below:
        return None
    said = []
    with Socket() as netlink:
        for name in below:
            link = netlink.link(name)
            if link is None or not link["flags"] & _LOWER_UP:
                continue
            own = sorted(
                str(each.get_attr("IFA_ADDRESS"))
                for each in netlink.addresses()
                if each["index"] == link["index"] and each["family"] == 2
            )
            said.append(f"dev {name} with {', '.join(own) or 'no address'}")
    return "; ".join(said) or NOWHERE


def address_of(server: str) -> Address | None:
    """The address in ADDRESS:PORT, [ADDRESS]:PORT or ADDRESS."""
    text = server
    if server.startswith("["):
        text = server[1:].partition("]")[0]
    elif server.count(":") == 1:
        text = server.partition(":")[0]
    try:
        return ip_address(text)
    except ValueError:
        return None


def _reachable(birth: str | None, address: Address) -> bool:
    with ns.inside_named(birth), Socket() as netlink:
        return _way_to(netlink, address) != NOWHERE


# Help --------------------------------------------------------------------------------------------


def heal(
    found: Record,
    profile: Profile,
    attempt: int,
    good: dict[str, str],
    *,
    records: Records,
    tunnels: Tunnels,
    say: Say,
) -> None:
    """Do what may help. `attempt`: 0 where only the host has changed, more the longer the other
    end is silent; `good`: the endpoint of each peer (by public key) that answered last.

    Names are looked up, which may take a while. Raises NetjailError.
    """
    device: WireGuardDevice | None = found.find(WireGuardDevice)
    if device is not None and isinstance(profile.uplink, WireGuard):
        _WireGuard(found, device, profile.uplink, say).try_all(attempt, good)
        with tunnels.busy(found.profile):
            _measure(records, found.profile, profile.uplink, say)
        wg.probe(device)
        return
    session = tunnels.session(found.profile)
    if session is not None:
        if session.kick():
            say("the VPN's client was told to connect again")
        return
    for client in following.clients(found):
        running = found.process(dhcp.name_of(client))
        if running is not None and running.alive():
            os.kill(running.pid, signal.SIGUSR1)  # udhcpc(8): renew
            say(f"the DHCP client of {client.jail_if} was told to renew its lease")


@dataclass(frozen=True)
class _WireGuard:
    """Endpoints of a tunnel that stands."""

    found: Record
    device: WireGuardDevice
    uplink: WireGuard
    say: Say

    def try_all(self, attempt: int, good: dict[str, str]) -> None:
        """Set the endpoint of each peer to what should be tried next."""
        userspace = self.found.process(wg.USERSPACE) is not None
        live = {peer.public_key: peer.endpoint for peer in wg.show(self.device, userspace)}
        for peer in self.uplink.peers:
            if peer.endpoint is None or peer.public_key not in live:
                continue
            now = live[peer.public_key]
            best = good.get(peer.public_key) or now
            wanted = self._choose(peer.endpoint, now, best, attempt)
            if wanted is None:
                continue
            # Also where it is the same: WireGuard then forgets by which address of ours it went.
            _set_endpoint(self.device, userspace, peer.public_key, wanted)
            if wanted != now:
                self.say(f"the server {peer.endpoint.host} is now asked at {wanted}, not at {now}")

    def _choose(
        self, endpoint: Endpoint, now: str | None, good: str | None, attempt: int
    ) -> str | None:
        """The address and port to try next; None: there is none that could be reached.

        A name is looked up unless the present address may do. Whoever answers for names just now
        (a captive portal) may lie: the address that answered last stays among those tried.
        """
        birth = self.device.birth
        if attempt == 0 and now is not None and _can(birth, now):
            return now
        fixed = _literal(endpoint.host)
        found = look_up(endpoint.host, self.uplink.through) if fixed is None else [fixed]
        if not found:
            self.say(f"the server's name {endpoint.host} cannot be resolved just now")
        told = [str(Endpoint(str(each), endpoint.port)) for each in found if usable(each)]
        order = [*(each for each in told if each != now), now, good]
        able = [each for each in dict.fromkeys(order) if each is not None and _can(birth, each)]
        if not able:
            return None
        if attempt <= 1 and now in told and now in able:
            return now  # the name means the same as before: nothing better is known
        return able[max(attempt - 1, 0) % len(able)]


def _can(birth: str | None, server: str) -> bool:
    address = address_of(server)
    return address is not None and _reachable(birth, address)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def usable(address: Address) -> bool:
    """Whether an address can be a server's: what a resolver says is judged before it is used."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return False
    return not (address.is_multicast or address.is_unspecified or address == _BROADCAST)


def look_up(host: str, through: str | None) -> list[Address]:
    """The addresses of a name, in the order of RFC 6724; none where it cannot be resolved."""
    found = hostfacts.addresses(host, through)
    return list(dict.fromkeys(each for each in map(_literal, found) if each is not None))


def _set_endpoint(device: WireGuardDevice, userspace: bool, key: str, endpoint: str) -> None:
    words = ["peer", key, "endpoint", endpoint]
    if userspace:
        process.run(["wg", "set", device.born_as, *words], timeout=5)
        return
    with ns.inside_named(device.netns):
        process.run(["wg", "set", device.jail_if, *words], timeout=5)


def _measure(records: Records, name: str, uplink: WireGuard, say: Say) -> None:
    """The MTU, where it was derived from the way out. The record's too, so that a later `up` finds
    nothing to change."""
    found = records.get(name)
    device = None if found is None else found.find(WireGuardDevice)
    if found is None or device is None or uplink.mtu is not None:
        return
    peers = wg.show(device, found.process(wg.USERSPACE) is not None)
    servers = [address_of(peer.endpoint) for peer in peers if peer.endpoint is not None]
    there = [each for each in servers if each is not None and _reachable(device.birth, each)]
    if not there:
        return
    mtu = wireguard.mtu_for(there, uplink.through, HostFacts(Subnets(), say, records=records))
    if mtu == device.mtu:
        return
    with ns.inside_named(device.netns), Socket() as netlink:
        if (index := index_of(device.jail_if)) is None:
            return
        netlink.send(set_link(index, mtu=mtu))
    new = replace(device, mtu=mtu)
    records.save(
        replace(found, resources=tuple(new if r is device else r for r in found.resources))
    )
    say(f"the MTU of {names.TUNNEL_IF} is {mtu} now (before: {device.mtu})")
