# SPDX-License-Identifier: GPL-3.0-or-later
"""What ports want; as `wanted`, of which it is a part."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PortSet:
    """All ports of a jail, carried by one forwarder. `ports`: the fields of profile.model.Port."""

    profile: str
    netns: str
    ports: tuple[tuple[str, ...], ...]


PortResource = PortSet
KINDS = (PortSet,)
