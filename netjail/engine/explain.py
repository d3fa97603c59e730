# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps in words, and as the commands of ip(8), wg(8) and nft(8) that a person would type."""

from __future__ import annotations

from netjail import names
from netjail.engine import explain_lan, explain_links, explain_ports, nft
from netjail.engine.wg import TOOLS
from netjail.uplinks.wanted import (
    DnsRelay,
    Files,
    Masquerade,
    Netns,
    PinnedRoutes,
    Resource,
    VethPair,
    VpnClient,
    WireGuardDevice,
)
from netjail.uplinks.wanted_dhcp import DhcpPort, DhcpServer
from netjail.uplinks.wanted_lan import (
    AdoptedNetns,
    BridgePort,
    ChildLink,
    DhcpClient,
    HostDevice,
    Station,
)
from netjail.uplinks.wanted_links import (
    CrossLink,
    OvsBridge,
    SwitchBridge,
    SwitchHostPort,
    SwitchPort,
    SwitchUplink,
)
from netjail.uplinks.wanted_ports import BorrowedPort, PortSet

_UNDO = {
    Netns: "remove the network namespace",
    Files: "remove the jail's own resolv.conf, nsswitch.conf and hosts",
    VethPair: "remove the veth pair",
    Masquerade: "close the way out",
    PinnedRoutes: "remove the routing table of the pinned way out",
    DnsRelay: "stop the DNS relay",
    WireGuardDevice: "remove the WireGuard interface",
    CrossLink: "remove the cable",
    SwitchPort: "unplug it from the switch",
    SwitchBridge: "remove the bridge",
    OvsBridge: "remove the bridge of Open vSwitch",
    SwitchHostPort: "remove the host's port",
    SwitchUplink: "pull the uplink's plug",
    **explain_lan.UNDO,
    VpnClient: "end the VPN's client and remove its interface",
    DhcpPort: "unplug the DHCP server from the switch",
    DhcpServer: "stop the DHCP server",
    PortSet: "close its ports",
    BorrowedPort: "give the provider's port back",
}


def step(verb: str, resource: Resource) -> tuple[str, str | None]:
    """(sentence, commands or None)."""
    if verb == "remove":
        return _UNDO[type(resource)], _removal(resource)
    if verb == "update" and isinstance(resource, WireGuardDevice):
        return "set the tunnel's peer, keys and addresses anew, in place", "\n".join(
            [
                f"ip netns exec {resource.netns} wg setconf {resource.jail_if} /dev/stdin",
                *(
                    f"ip -n {resource.netns} addr replace {each} dev {resource.jail_if}"
                    for each in resource.addresses
                ),
            ]
        )
    what, commands = _making(resource)
    return (f"renew: {what}" if verb == "update" else what), "\n".join(commands) or None


def _removal(resource: Resource) -> str | None:
    match resource:
        case Netns():
            return f"ip netns del {resource.name}"
        case VethPair():
            return f"ip link del {resource.host_if}"
        case WireGuardDevice() | CrossLink() | SwitchPort():
            return f"ip -n {resource.netns} link del {resource.jail_if}"
        case SwitchHostPort():
            return f"ip link del {resource.host_if}"
        case AdoptedNetns() | HostDevice() | ChildLink() | BridgePort() | Station() | DhcpClient():
            return explain_lan.removal(resource)
        case VpnClient():
            return f"kill $(pidof {resource.program})"
    return None


def _making(resource: Resource) -> tuple[str, list[str]]:
    match resource:
        case Netns():
            return "make the network namespace", [
                f"ip netns add {resource.name}",
                f"ip -n {resource.name} link set lo up",
            ]
        case Files():
            return _files(resource)
        case VethPair():
            return "join it to the host by a veth pair", _veth(resource)
        case Masquerade():
            return _masquerade(resource)
        case PinnedRoutes():
            return f"route it by {resource.way_out} alone", [
                f"ip route add default dev {resource.way_out} table TABLE",
                f"ip rule add iif {resource.host_if} lookup TABLE",
            ]
        case DnsRelay():
            servers = " ".join(f"--server={server}" for server in resource.upstreams)
            return "relay DNS questions to the host's own resolver", [
                f"dnsmasq --no-resolv --bind-interfaces --listen-address={resource.listen[0]} "
                f"{servers}"
            ]
        case WireGuardDevice():
            return _wireguard(resource)
        case VpnClient():
            return _client(resource)
        case PortSet():
            return explain_ports.making(resource)
        case BorrowedPort():
            return explain_ports.borrowing(resource)
        case AdoptedNetns() | HostDevice() | ChildLink() | BridgePort() | Station() | DhcpClient():
            return explain_lan.making(resource)
        case _:
            return explain_links.making(resource)


def _files(resource: Files) -> tuple[str, list[str]]:
    path = f"{names.NETNS_ETC_DIR}/{resource.netns}"
    servers = ", ".join(resource.servers) or "no server"
    return f"give it its own DNS: {servers} (from {resource.origin})", [
        f"mkdir -p {path}",
        *(f"echo nameserver {server} >> {path}/resolv.conf" for server in resource.servers),
    ]


def _veth(r: VethPair) -> list[str]:
    return [
        f"ip link add {r.host_if} mtu {r.mtu} type veth peer {r.jail_if} netns {r.netns}",
        *(f"ip addr add {address} dev {r.host_if}" for address in r.host_addresses),
        f"ip link set {r.host_if} up",
        *(f"ip -n {r.netns} addr add {a} dev {r.jail_if}" for a in r.jail_addresses),
        f"ip -n {r.netns} link set {r.jail_if} up",
        *(f"ip -n {r.netns} route add default via {gateway}" for gateway in r.gateways),
    ]


def _masquerade(r: Masquerade) -> tuple[str, list[str]]:
    reach = [
        name for name, on in (("its services", r.host), ("its neighbourhood", r.lan)) if not on
    ]
    fence = f", but not to the host's {' and '.join(x[4:] for x in reach)}" if reach else ""
    sets = {"jails": (r.host_if,), "lan_ok": (r.host_if,) if r.lan else ()}
    return f"let it out through the host's NAT{fence}", [
        f"sysctl net.ipv4.conf.{r.host_if}.forwarding=1",
        *(f"nft '{line}'" for line in nft.commands("add", sets).splitlines()),
    ]


def _wireguard(r: WireGuardDevice) -> tuple[str, list[str]]:
    born = "" if r.birth is None else f"ip netns exec {r.birth} "
    where = "on the host" if r.birth is None else f"in the jail {r.birth}"
    tools = TOOLS[r.protocol]
    commands = [
        f"{born}ip link add {r.born_as} type {tools.kind}",
        f"{born}{tools.tool} setconf {r.born_as} /dev/stdin",
        f"{born}ip link set {r.born_as} netns {r.netns} name {r.jail_if}",
        *(f"ip -n {r.netns} addr add {address} dev {r.jail_if}" for address in r.addresses),
        f"ip -n {r.netns} link set {r.jail_if} mtu {r.mtu} up",
        *(f"ip -n {r.netns} route add {net} dev {r.jail_if}" for net in r.routes),
    ]
    return f"make the {tools.title} tunnel, its socket {where}, and move it in", commands


def _client(r: VpnClient) -> tuple[str, list[str]]:
    born = "" if r.birth is None else f"ip netns exec {r.birth} "
    where = "on the host" if r.birth is None else f"in the jail {r.birth}"
    run = f"{r.program} --config /dev/stdin" if r.program == "openvpn" else r.program
    commands = [
        f"{born}ip tuntap add {r.born_as} mode tun user NOBODY-ELSE",
        f"{born}setpriv --reuid=NOBODY-ELSE --no-new-privs --bounding-set=-all {run}",
        f"{born}ip link set {r.born_as} netns {r.netns} name {r.jail_if}",
        f"ip -n {r.netns} addr add WHAT-THE-SERVER-SAYS dev {r.jail_if}",
        *(f"ip -n {r.netns} route add {net} dev {r.jail_if}" for net in r.routes),
    ]
    return f"start {r.program} without any right, its socket {where}; move its tun in", commands
