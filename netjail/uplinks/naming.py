# SPDX-License-Identifier: GPL-3.0-or-later
"""Interface names in the host namespace: at most 15 characters, stable for a profile. And the
numbers of users that its programs run as.

Where a check sum stands for a profile's name, it is one with the machine's own key: else whoever
knows the name of another's profile could make a profile whose names are the same, and so be in the
way of it. Switches, which only an administrator makes, have plain check sums.
"""

from __future__ import annotations

import hashlib
import zlib

from netjail import names

_MAX = 15
_key = b""
_before: set[str] = set()
"""Jails that came up under the names of a netjail without keys, or while there was none."""


def use_key(key: bytes) -> None:
    """Derive names with this from now on; b"": with plain check sums. The helper does it once,
    before it makes or finds anything."""
    global _key  # noqa: PLW0603 - names are derived wherever something is described
    _key = key
    _before.clear()


def keyed(profile: str) -> bool:
    """Whether the names of a jail are derived with the key."""
    return bool(_key) and profile not in _before


def keep(profile: str, keyed: bool) -> None:
    """A jail stands whose names were derived with the key, or were not."""
    if keyed:
        _before.discard(profile)
    else:
        _before.add(profile)


def forget(profile: str) -> None:
    """The jail is gone: the next one has the names that a new one has."""
    _before.discard(profile)


def _sum(profile: str) -> int:
    """32 bits of a profile's name."""
    if not keyed(profile):
        return zlib.crc32(profile.encode())
    return int.from_bytes(hashlib.blake2s(profile.encode(), digest_size=4, key=_key).digest())


_USERS = 0x70000000
"""First of the numbers of users that clients run as. systemd's list of what distributions and
containers use (UIDS-GIDS.md) has nobody there."""


def host_interface(profile: str) -> str:
    """`nj-PROFILE`, or a shortened name with a check sum where that is too long."""
    name = names.HOST_IF_PREFIX + profile
    if len(name) <= _MAX:
        return name
    return f"{names.HOST_IF_PREFIX}{profile[:6]}{_sum(profile) & 0xFFFFFF:06x}"


def client_user(profile: str) -> int:
    """The number of the user that a profile's VPN client runs as; of its group, too. Two profiles
    may come to the same one, but are never up together (engine.conflicts)."""
    return own_user(profile, _USERS)


def own_user(profile: str, first: int) -> int:
    """The number of a user that one program of a profile's runs as, among 2 ** 22 from `first`."""
    return first | _sum(profile) & 0x3FFFFF


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
