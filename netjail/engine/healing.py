# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tunnel's outside is helped with when the host's network has changed or its other end is
silent: names looked up again, endpoints set again, clients told to begin anew, the MTU measured.

Never touches the namespace or the interfaces in it, but for an MTU.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from netjail import names
from netjail.engine import dhcp, following, ns, wg
from netjail.engine.endpoints import LOWER_UP, NOWHERE, Endpoints, address_of, reachable, way_to
from netjail.engine.hostfacts import HostFacts, Subnets
from netjail.engine.netlink import Socket, index_of, set_link
from netjail.engine.record import Record, Records
from netjail.engine.tunnels import Tunnels
from netjail.profile.model import Profile, WireGuard
from netjail.uplinks import wireguard
from netjail.uplinks.wanted import VpnClient, WireGuardDevice
from netjail.uplinks.wanted_lan import BridgePort, ChildLink

Say = Callable[[str], None]


# How the packets of a tunnel leave ---------------------------------------------------------------


def way(found: Record, tunnels: Tunnels) -> str | None:
    """By which interface, gateway and address a tunnel's own packets leave, or to what a DHCP
    client's network is plugged: differs when the host's network has become another. NOWHERE: there
    is no way just now. None: it is no matter of the host's.
    """
    device: WireGuardDevice | None = found.find(WireGuardDevice)
    client: VpnClient | None = found.find(VpnClient)
    if device is not None:
        peers = wg.show(device, wg.userspace(found, device) is not None)
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
        found = [way_to(netlink, address) for address in addresses]
    return "; ".join(sorted({each for each in found if each})) or NOWHERE


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
            if link is None or not link["flags"] & LOWER_UP:
                continue
            own = sorted(
                str(each.get_attr("IFA_ADDRESS"))
                for each in netlink.addresses()
                if each["index"] == link["index"] and each["family"] == 2
            )
            said.append(f"dev {name} with {', '.join(own) or 'no address'}")
    return "; ".join(said) or NOWHERE


# Help --------------------------------------------------------------------------------------------


def verify(found: Record, profile: Profile, good: Mapping[str, str]) -> bool | None:
    """Ask a tunnel's servers themselves whether they answer; None: it cannot be told so."""
    device: WireGuardDevice | None = found.find(WireGuardDevice)
    if device is None or not isinstance(profile.uplink, WireGuard):
        return None
    answers = Endpoints(found, device, profile.uplink, lambda _text: None).answers(good)
    wg.probe(device)  # the server is to send here, not to where it was asked from
    return answers


def heal(
    found: Record,
    profile: Profile,
    attempt: int,
    good: dict[str, str],
    *,
    records: Records,
    tunnels: Tunnels,
    say: Say,
) -> bool:
    """Do what may help. `attempt`: 0 where only the host has changed, more the longer the other
    end is silent; `good`: the endpoint of each peer (by public key) that answered last.

    Whether a server has answered a question of ours. Names are looked up, which may take a while.
    Raises NetjailError.
    """
    device: WireGuardDevice | None = found.find(WireGuardDevice)
    if device is not None and isinstance(profile.uplink, WireGuard):
        proven = Endpoints(found, device, profile.uplink, say).try_all(attempt, good)
        with tunnels.busy(found.profile):
            _measure(records, found.profile, profile.uplink, say)
        wg.probe(device)
        return proven
    session = tunnels.session(found.profile)
    if session is not None:
        if session.kick():
            say("the VPN's client was told to connect again")
        return False
    for client in following.clients(found):
        running = found.process(dhcp.name_of(client))
        if running is not None and running.alive():
            os.kill(running.pid, signal.SIGUSR1)  # udhcpc(8): renew
            say(f"the DHCP client of {client.jail_if} was told to renew its lease")
    return False


def _measure(records: Records, name: str, uplink: WireGuard, say: Say) -> None:
    """The MTU, where it was derived from the way out. The record's too, so that a later `up` finds
    nothing to change."""
    found = records.get(name)
    device = None if found is None else found.find(WireGuardDevice)
    if found is None or device is None or uplink.mtu is not None:
        return
    peers = wg.show(device, wg.userspace(found, device) is not None)
    servers = [address_of(peer.endpoint) for peer in peers if peer.endpoint is not None]
    there = list(reachable(device.birth, [each for each in servers if each is not None]))
    if not there:
        return
    mtu = wireguard.mtu_for(there, uplink, HostFacts(Subnets(), say, records=records))
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
