# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging single values of links and switches; as `checks`, for what only they have."""

from __future__ import annotations

import re
from ipaddress import IPv4Interface

from netjail import names
from netjail.profile import checks
from netjail.profile.checks import Bad
from netjail.profile.model import Address, Interface

Addresses = tuple[Interface, ...]

DHCP = "dhcp"
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_NETNS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,62}")
_WIDEST = {4: 8, 6: 16}
"""Shortest prefix, in bits: a network any wider is half the internet, not a link."""
_TAKEN = frozenset({"all", "default"})
"""The kernel's own words among the interfaces below /proc/sys/net."""


def switch_name(value: object) -> str:
    """The name of a switch: made as those of profiles are."""
    text = checks.string(value)
    if not names.valid_name(text):
        meant = text.lower()
        raise Bad("is not a switch's name", meant if names.valid_name(meant) else None)
    return text


def interface(value: object) -> Interface:
    """An address with its prefix length on a network with neighbours."""
    text = checks.string(value)
    found = checks.interface_address(text)
    if "/" not in text:
        meant = f"{text}/{24 if isinstance(found, IPv4Interface) else 64}"
        raise Bad("has no prefix length, so that nobody would be its neighbour", meant)
    if found.network.prefixlen < _WIDEST[found.version]:
        raise Bad(f"has fewer than {_WIDEST[found.version]} bits after the slash")
    if isinstance(found, IPv4Interface) and found.network.prefixlen < 31:
        if found.ip == found.network.network_address:
            raise Bad("is the network itself, not an address in it", _next(found))
        if found.ip == found.network.broadcast_address:
            raise Bad("is the broadcast address of its network")
    return found


def _next(found: Interface) -> str:
    return f"{found.ip + 1}/{found.network.prefixlen}"


def interfaces(value: object) -> Addresses:
    """One such address, or a list of them."""
    items = value if isinstance(value, list) else [value]
    found = [interface(item) for item in items]
    seen = set()
    for address in found:
        if address.ip in seen:
            raise Bad(f"has {address.ip} twice")
        seen.add(address.ip)
    return tuple(found)


def link_address(value: object) -> Addresses | str:
    """The same, or "dhcp"."""
    if isinstance(value, str) and value.lower() == DHCP:
        return DHCP
    return interfaces(value)


def uplink_address(value: object) -> Addresses:
    """The same; "dhcp" becomes an empty tuple."""
    if isinstance(value, str) and value.lower() == DHCP:
        return ()
    if isinstance(value, list) and not value:
        raise Bad("is an empty list")
    return interfaces(value)


def netns_name(value: object) -> str:
    """A namespace by its ip-netns(8) name, which is a file's name in /run/netns."""
    text = checks.string(value)
    if not _NETNS.fullmatch(text):
        raise Bad("is not a name as ip-netns(8) has them")
    if text.startswith(names.NETNS_PREFIX):
        raise Bad("is the name of one of netjail's own namespaces")
    return text


def gateways(value: object) -> tuple[Address, ...]:
    """One address, or two of different families."""
    items = value if isinstance(value, list) else [value]
    found = tuple(checks.address(item) for item in items)
    if len({address.version for address in found}) != len(found):
        raise Bad("has two gateways of one family, and only one can lead to everywhere else")
    return found


def mac(value: object) -> str:
    """A hardware address of one interface, in the kernel's form."""
    text = checks.string(value).replace("-", ":")
    if not _MAC.fullmatch(text):
        raise Bad("is not a hardware address")
    if int(text[:2], 16) & 1:
        raise Bad("is the address of a group, not of one interface")
    if not int(text.replace(":", ""), 16):
        raise Bad("is no address")
    return text.lower()


def link_name(value: object) -> str:
    """An interface's name in a jail."""
    text = checks.interface_name(value)
    if text in _TAKEN:
        raise Bad("is a word of the kernel's for all interfaces")
    return text


def vlan(value: object) -> int:
    """IEEE 802.1Q: 0 and 4095 are reserved."""
    return checks.integer(value, 1, 4094)
