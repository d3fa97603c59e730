# SPDX-License-Identifier: GPL-3.0-or-later
"""What the values of an uplink in a network of others must be to each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netjail.profile import checks
from netjail.profile.model import Address, Interface

Path = tuple[str | int, ...]
Problem = Callable[[Path, str], None]

MODES = {"macvlan": ("bridge", "private", "vepa", "passthru"), "ipvlan": ("l2", "l3")}


def relations(kind: str, values: dict[str, Any], path: Path, problem: Problem) -> None:
    """Tell of every problem between several values of one [uplink] table."""
    addresses: tuple[Interface, ...] = values.get("address", ())
    mtu = values.get("mtu")
    six = values.get("accept_ra") or any(a.version == 6 for a in addresses)
    if mtu is not None and mtu < checks.MTU_MIN_IPV6 and six:
        allowed = f"{checks.MTU_MIN_IPV6} to {checks.MTU_MAX}"
        problem((*path, "mtu"), f"{mtu} is too small for IPv6; allowed: {allowed}")
    for gateway in values.get("gateway", ()):
        wrong = _gateway(gateway, addresses)
        if wrong is not None:
            problem((*path, "gateway"), f'"{gateway}" {wrong}')
    mode = values.get("mode")
    if mode is not None and kind in MODES and mode not in MODES[kind]:
        words = " or ".join(f'"{word}"' for word in MODES[kind])
        problem((*path, "mode"), f'"{mode}" is not a mode of {kind}; allowed: {words}')
    elif mode == "l3" and not addresses:
        problem(
            (*path, "address"),
            'must be a list of addresses with mode = "l3": DHCP needs broadcasts, which only "l2" '
            "lets through",
        )


def _gateway(gateway: Address, addresses: tuple[Interface, ...]) -> str | None:
    """Why it cannot be reached. Beyond a /32 it can, which is how some clouds do it."""
    if gateway.version == 6 and gateway.is_link_local:
        return None
    own = [a for a in addresses if a.version == gateway.version]
    if any(a.ip == gateway for a in own):
        return "is the jail's own address"
    if not own:
        if gateway.version == 4 and not addresses:
            return None  # DHCP will tell
        return f"is an IPv{gateway.version} router, and `address` has no IPv{gateway.version}"
    if any(gateway in a.network or a.network.num_addresses == 1 for a in own):
        return None
    return f"is not in the network of `address`, {', '.join(str(a.network) for a in own)}"
