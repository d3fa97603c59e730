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


@dataclass(frozen=True, slots=True)
class BorrowedPort:
    """A port of the provider's, by NAT-PMP or PCP. `gateway`: who lends it, empty: found out
    inside; `port`: the internal one, 0: the same as the external."""

    profile: str
    netns: str
    gateway: str
    port: int


PortResource = PortSet | BorrowedPort
KINDS = (PortSet, BorrowedPort)
