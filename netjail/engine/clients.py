# SPDX-License-Identifier: GPL-3.0-or-later
"""Which module drives which VPN client."""

from __future__ import annotations

from typing import Protocol

from netjail.engine import openconnect, openvpn, vpn
from netjail.engine.context import Context
from netjail.errors import NetjailError
from netjail.uplinks.wanted import VpnClient


class _Client(Protocol):
    def apply(self, wanted: VpnClient, context: Context) -> None: ...
    def adopt(self, wanted: VpnClient, context: Context) -> None: ...
    def undo(self, wanted: VpnClient, context: Context) -> None: ...


_CLIENTS: dict[str, _Client] = {"openvpn": openvpn, "openconnect": openconnect}


def apply(wanted: VpnClient, context: Context) -> None:
    """Start it. Raises NetjailError."""
    context.progress(f"starting {wanted.program}")
    _CLIENTS[wanted.program].apply(wanted, context)


def adopt(context: Context) -> None:
    """Follow the client of a jail, if it has one that an earlier helper has started. Where that is
    not possible, `present` says so."""
    wanted: VpnClient | None = context.record.find(VpnClient)
    if wanted is None:
        return
    try:
        _CLIENTS[wanted.program].adopt(wanted, context)
    except (NetjailError, OSError):
        pass


def undo(wanted: VpnClient, context: Context) -> None:
    """End it, and take its interface away. Idempotent."""
    _CLIENTS[wanted.program].undo(wanted, context)


def present(wanted: VpnClient, context: Context) -> bool:
    """Whether it runs and is followed."""
    return vpn.present(wanted, context) and context.tunnels.session(wanted.profile) is not None
