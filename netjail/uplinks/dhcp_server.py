# SPDX-License-Identifier: GPL-3.0-or-later
"""The DHCP server of a switch: in the switch's own namespace, or in the profile that serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netjail import names
from netjail.errors import NetjailError
from netjail.profile import serving
from netjail.profile.model import Interface, Link, Profile, SwitchUplink
from netjail.profile.switch import Switch
from netjail.uplinks import naming
from netjail.uplinks.wanted_dhcp import DhcpPort, DhcpServer

Known = Callable[[str], Profile | None]
"""A profile by its name, as its file has it; None: there is none."""

INTERFACE = "dhcp0"
_MTU = 1500


def of_switch(
    switch: Switch, machine: str, on_host: bool, known: Known
) -> tuple[DhcpPort, DhcpServer] | None:
    """The server with its port; None: it has none. `on_host`: ports stand among the host's."""
    if switch.dhcp is None:
        return None
    own = serving.server_addresses(switch.dhcp, switch.host_addresses)
    netns = names.switch_netns(switch.name)
    port = DhcpPort(
        switch=switch.name,
        netns=netns,
        interface=INTERFACE,
        port=naming.port(switch.name, "dhcp", True) if on_host else "dhcp.port",
        mac=naming.mac(machine, "dhcp", switch.name),
        mtu=switch.mtu or _MTU,
        addresses=tuple(map(str, own)),
        vlan=switch.vlan,
    )
    hosts = _hosts(switch, machine, known)
    return port, _server(switch, netns, INTERFACE, own, hosts)


def of_link(profile: Profile, link: Link, switch: Switch, machine: str, known: Known) -> DhcpServer:
    """The server in a jail. Raises NetjailError where the switch hands out nothing, or the jail
    has no address on its networks."""
    hint = f"netjail switch edit {switch.name}"
    if switch.dhcp is None:
        raise NetjailError(
            "conflict",
            f"profile {profile.name} is to serve DHCP on switch {switch.name}, which has no [dhcp]",
            hint,
        )
    for version in serving.versions(switch.dhcp):
        net = serving.network(switch.dhcp, version, (*link.static, *switch.host_addresses))
        if not any(a.version == version and a.ip in net for a in link.static):
            raise NetjailError(
                "conflict",
                f"profile {profile.name} is to serve DHCP on switch {switch.name}, but its link "
                f"has no address on {net}",
                f"netjail profile edit {profile.name}, and give the link an address there",
            )
        for first, last in switch.dhcp.ranges:
            for address in link.static:
                if address.version == version and int(first) <= int(address.ip) <= int(last):
                    raise NetjailError(
                        "conflict",
                        f"profile {profile.name} has the address {address.ip} on switch "
                        f"{switch.name}, which it is to hand out to others",
                        hint,
                    )
    hosts = _hosts(switch, machine, known)
    return _server(switch, names.netns_name(profile.name), link.name, link.static, hosts)


def _hosts(switch: Switch, machine: str, known: Known) -> tuple[tuple[str, str], ...]:
    """A profile is known by its hardware address: its client tells nobody a name."""
    found = []
    for who, address in switch.dhcp.hosts if switch.dhcp is not None else ():
        profile = None if ":" in who else known(who)
        macs = [] if profile is None else macs_on(profile, switch.name, machine)
        found.append((",".join([*macs, who]), str(address)))
    return tuple(found)


def macs_on(profile: Profile, switch: str, machine: str) -> list[str]:
    """The hardware addresses of a profile on a switch."""
    ends = [(link.name, link.mac) for link in profile.links if link.switch == switch]
    if isinstance(profile.uplink, SwitchUplink) and profile.uplink.switch == switch:
        ends.append((names.VETH_IF, profile.uplink.mac))
    return [mac or naming.mac(machine, profile.name, "switch", switch, name) for name, mac in ends]


def _server(
    switch: Switch,
    netns: str,
    interface: str,
    own: Sequence[Interface],
    hosts: tuple[tuple[str, str], ...],
) -> DhcpServer:
    dhcp = switch.dhcp
    assert dhcp is not None
    nets = {v: serving.network(dhcp, v, (*own, *switch.host_addresses)) for v in (4, 6)
            if v in serving.versions(dhcp)}  # fmt: skip
    return DhcpServer(
        switch=switch.name,
        netns=netns,
        interface=interface,
        ranges=tuple((str(a), str(b), nets[a.version].prefixlen) for a, b in dhcp.ranges),
        lease=dhcp.lease,
        gateways=tuple(map(str, dhcp.gateways)),
        dns=tuple(map(str, dhcp.dns)),
        domain=dhcp.domain,
        hosts=hosts,
        router=serving.announced(dhcp, own),
    )
