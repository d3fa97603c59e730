# SPDX-License-Identifier: GPL-3.0-or-later
"""Interface names in the host namespace: at most 15 characters, stable for a profile."""

from __future__ import annotations

import hashlib
import zlib

from netjail import names

_MAX = 15
_USERS = 0x70000000
"""First of the numbers of users that clients run as. systemd's list of what distributions and
containers use (UIDS-GIDS.md) has nobody there."""


def host_interface(profile: str) -> str:
    """`nj-PROFILE`, or a shortened name with a check sum where that is too long."""
    name = names.HOST_IF_PREFIX + profile
    if len(name) <= _MAX:
        return name
    return f"{names.HOST_IF_PREFIX}{profile[:6]}{zlib.crc32(profile.encode()) & 0xFFFFFF:06x}"


def client_user(profile: str) -> int:
    """The number of the user that a profile's VPN client runs as; of its group, too. Two profiles
    may come to the same one, but are never up together (engine.conflicts)."""
    return _USERS | zlib.crc32(profile.encode()) & 0x3FFFFF


def switch_host_interface(switch: str) -> str:
    """The same of a switch's port for the host: `nj-sw.SWITCH`; no profile's name has a dot."""
    name = f"{names.HOST_IF_PREFIX}sw.{switch}"
    if len(name) <= _MAX:
        return name
    return f"{names.HOST_IF_PREFIX}sw.{switch[:3]}{zlib.crc32(switch.encode()) & 0xFFFFFF:06x}"


def switch_bridge(switch: str) -> str:
    """The name of a bridge in a namespace of its own, where there is nothing else of that name."""
    return switch if len(switch) <= _MAX else f"{switch[:8]}-{_short(switch)}"


def system_bridge(switch: str) -> str:
    """The name of a bridge that stands among those of the system's Open vSwitch."""
    name = f"{names.HOST_IF_PREFIX}br.{switch}"
    return name if len(name) <= _MAX else f"{names.HOST_IF_PREFIX}br.{switch[:3]}{_short(switch)}"


def port(profile: str, link: str, host: bool = False) -> str:
    """The name of a port on a switch; with `host` it stands among the interfaces of the host."""
    if host:
        return f"{names.HOST_IF_PREFIX}p.{_short(f'{profile} {link}')}{_short(link + profile)[:3]}"
    name = f"{profile}.{link}"
    return name if len(name) <= _MAX else f"{profile[:8]}.{_short(name)}"


def _short(text: str) -> str:
    return f"{zlib.crc32(text.encode()) & 0xFFFFFF:06x}"


def mac(machine: str, *words: str) -> str:
    """A locally administered hardware address for one end of something, the same every time:
    neighbours and DHCP servers know it again."""
    digest = hashlib.sha256("\0".join(("netjail", machine, *words)).encode()).digest()
    first = digest[0] & 0xFC | 0x02
    return ":".join(f"{byte:02x}" for byte in (first, *digest[1:6]))
