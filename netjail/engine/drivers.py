# SPDX-License-Identifier: GPL-3.0-or-later
"""One driver per kind of resource: find it, make it, remove it. The only table of its kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netjail.engine import ns, pinned, veth, view, wg
from netjail.engine.context import Context
from netjail.uplinks.wanted import (
    DnsRelay,
    Files,
    Masquerade,
    Netns,
    PinnedRoutes,
    Resource,
    VethPair,
    WireGuardDevice,
)


@dataclass(frozen=True, slots=True)
class Driver:
    """`present`: does it stand, as recorded; `apply` makes it whole from any remains; `undo` is
    idempotent and removes only what is ours."""

    present: Callable[[Any, Context], bool]
    apply: Callable[[Any, Context], None]
    undo: Callable[[Any, Context], None]


def _make_netns(wanted: Netns, _context: Context) -> None:
    ns.create(wanted.name)


def _files_undo(wanted: Files, _context: Context) -> None:
    view.remove(wanted)


def _join(wanted: Masquerade, context: Context) -> None:
    context.host.join(wanted)


_DRIVERS: dict[type, Driver] = {
    Netns: Driver(
        present=lambda wanted, _: ns.identity(ns.path_of(wanted.name)) is not None,
        apply=_make_netns,
        undo=lambda wanted, _: ns.remove(wanted.name),
    ),
    Files: Driver(
        present=lambda wanted, _: view.present(wanted),
        apply=lambda wanted, _: view.make(wanted),
        undo=_files_undo,
    ),
    VethPair: Driver(veth.present, veth.apply, veth.undo),
    Masquerade: Driver(
        present=lambda wanted, context: context.host.present(wanted),
        apply=_join,
        undo=lambda wanted, context: context.host.leave(wanted.host_if),
    ),
    PinnedRoutes: Driver(
        present=lambda wanted, _: pinned.present(wanted),
        apply=lambda wanted, context: context.host.pin(wanted),
        undo=lambda wanted, context: context.host.unpin(wanted),
    ),
    DnsRelay: Driver(veth.relay_present, veth.apply_relay, veth.undo_relay),
    WireGuardDevice: Driver(wg.present, wg.apply, wg.undo),
}


def of(resource: Resource) -> Driver:
    """The driver of a resource."""
    return _DRIVERS[type(resource)]
