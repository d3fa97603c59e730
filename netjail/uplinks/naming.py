# SPDX-License-Identifier: GPL-3.0-or-later
"""Interface names in the host namespace: at most 15 characters, stable for a profile."""

from __future__ import annotations

import zlib

from netjail import names

_MAX = 15


def host_interface(profile: str) -> str:
    """`nj-PROFILE`, or a shortened name with a check sum where that is too long."""
    name = names.HOST_IF_PREFIX + profile
    if len(name) <= _MAX:
        return name
    return f"{names.HOST_IF_PREFIX}{profile[:6]}{zlib.crc32(profile.encode()) & 0xFFFFFF:06x}"
