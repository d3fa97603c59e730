# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of [[link]], and the types of values that links and switches share."""

from __future__ import annotations

from netjail.profile import checks, linkchecks
from netjail.profile.checks import MTU_MAX, MTU_MIN
from netjail.profile.key import Key, Type

PEER = Type("a profile's name: a-z, 0-9, - and _, at most 31 characters", checks.profile_name)
SWITCH = Type("a switch's name: a-z, 0-9, - and _, at most 31 characters", linkchecks.switch_name)
LINK_ADDRESS = Type(
    'an address with its prefix length like "10.10.10.10/24" or "fd10::10/64", a list of them, '
    'or "dhcp"',
    linkchecks.link_address,
)
GATEWAYS = Type("an address, or one of IPv4 and one of IPv6", linkchecks.gateways)
MAC = Type('an address of one interface like "02:00:00:00:00:01"', linkchecks.mac)
LINK_NAME = Type("the name of an interface, at most 15 characters, like lab0", linkchecks.link_name)
LINK_MTU = Type(f"{MTU_MIN} to {MTU_MAX} bytes, at least 1280 with IPv6", checks.mtu)
VLAN = Type("1 to 4094", linkchecks.vlan)
YES_OR_NO = Type("true or false", checks.boolean)

LINK_KEYS: tuple[Key, ...] = (
    Key(
        "link.peer",
        PEER,
        "The profile at the other end of a cable, which has a link to this one in turn. The "
        "cable is there while both are up.",
        default="none: the link is to a `switch`",
    ),
    Key(
        "link.switch",
        SWITCH,
        "The switch that the link is plugged into (see `netjail switch`).",
        default="none: the link is to a `peer`",
    ),
    Key(
        "link.address",
        LINK_ADDRESS,
        'Addresses of the jail\'s end; `"dhcp"`: whatever a DHCP server there gives it.',
        default="none; what runs inside may use the bare interface",
    ),
    Key(
        "link.gateway",
        GATEWAYS,
        "Who on the link leads to everywhere else. Only for profiles without an uplink, and on "
        "one link of a profile.",
        default="none",
    ),
    Key("link.name", LINK_NAME, "Name of the interface in the jail.", default="the other end's"),
    Key(
        "link.mac",
        MAC,
        "Hardware address of the jail's end.",
        default="made from the names, the same every time",
    ),
    Key("link.mtu", LINK_MTU, "Largest packet.", default="1500"),
    Key("link.vlan", VLAN, "VLAN of this port, on a switch with VLANs.", default="the switch's"),
    Key(
        "link.serve_dhcp",
        YES_OR_NO,
        "Whether the switch's DHCP server runs in this jail.",
        default="`false`",
    ),
)
