# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of uplinks in a network of others, and of adopted namespaces."""

from __future__ import annotations

from netjail import names
from netjail.profile import checks, linkchecks
from netjail.profile.key import Key, Type, choice
from netjail.profile.linkkeys import GATEWAYS, MAC, SWITCH, VLAN

LAN = ("device", "macvlan", "ipvlan", "bridge", "switch")
"""Kinds whose interface stands in a network of others (model.Lan)."""
LAN_KINDS = {
    "device": "an interface of the host, moved into the jail for as long as it is up",
    "macvlan": "an address of its own on the host's network, with a MAC address of its own",
    "ipvlan": "an address of its own on the host's network, with the host's MAC address: for Wi-Fi",
    "bridge": "a port of a bridge of the host",
    "switch": "a port of a switch of netjail's",
    "netns": "a network namespace that something else has made, as it is",
}
"""With what they are."""
LAN_JAIL_IFS = dict.fromkeys(("macvlan", "ipvlan", "bridge", "switch"), names.VETH_IF)
_CHILD = ("macvlan", "ipvlan")

IFNAME = Type("the name of a network interface of the host, like eth0", checks.interface_name)
ADDRESS = Type(
    '"dhcp", an address with its prefix length like "192.168.1.7/24", or a list of them',
    linkchecks.uplink_address,
)
MODE = choice("bridge", "private", "vepa", "passthru", "l2", "l3")
NETNS = Type("a name that `ip netns` lists", linkchecks.netns_name)
YES_OR_NO = Type("true or false", checks.boolean)

LAN_KEYS: tuple[Key, ...] = (
    Key(
        "uplink.device",
        IFNAME,
        "The interface that is moved in. The host has it back when the jail goes down.",
        kinds=("device",),
        required=True,
    ),
    Key(
        "uplink.parent",
        IFNAME,
        "The interface of the host whose network the jail joins.",
        kinds=_CHILD,
        required=True,
    ),
    Key(
        "uplink.bridge",
        IFNAME,
        "The bridge of the host that the jail is a port of.",
        kinds=("bridge",),
        required=True,
    ),
    Key(
        "uplink.switch",
        SWITCH,
        "The switch that the jail is plugged into (see `netjail switch`).",
        kinds=("switch",),
        required=True,
    ),
    Key(
        "uplink.vlan",
        VLAN,
        "VLAN of this port, on a switch with VLANs.",
        kinds=("switch",),
        default="the switch's",
    ),
    Key(
        "uplink.name",
        NETNS,
        "The namespace to start programs in. Nothing in it is changed, and it stays.",
        kinds=("netns",),
        required=True,
    ),
    Key(
        "uplink.mode",
        MODE,
        'As ip-link(8) has it: `"bridge"`, `"private"`, `"vepa"`, `"passthru"` for macvlan, '
        '`"l2"`, `"l3"` for ipvlan.',
        kinds=_CHILD,
        default='macvlan `"bridge"`, ipvlan `"l2"`',
    ),
    Key(
        "uplink.address",
        ADDRESS,
        "The jail's addresses there: leased from the network's DHCP server (IPv4), or these.",
        kinds=LAN,
        default='`"dhcp"`',
    ),
    Key(
        "uplink.gateway",
        GATEWAYS,
        "The router. With DHCP: instead of the server's.",
        kinds=LAN,
        default="the DHCP server's; with fixed addresses none: only the own network is reached",
    ),
    Key(
        "uplink.accept_ra",
        YES_OR_NO,
        "Whether routers there may give the jail IPv6 addresses and a default route (with privacy "
        "extensions).",
        kinds=LAN,
        default="`false`",
    ),
    Key(
        "uplink.mac",
        MAC,
        "The MAC address of the jail's interface.",
        kinds=("macvlan", "bridge", "switch"),
        default="made up from the machine and the profile's name, the same every time",
    ),
    Key(
        "uplink.cut_off_host",
        YES_OR_NO,
        "Whether the interface may be taken even where it is the host's only way out.",
        kinds=("device",),
        default="`false`",
    ),
)
