# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails that depend on what happens outside: leases that come and go, devices that are lost."""

from __future__ import annotations

import time
from dataclasses import replace

from netjail import names
from netjail.engine import dhcp, drivers, view
from netjail.engine.context import Context
from netjail.engine.record import Record
from netjail.errors import NetjailError
from netjail.uplinks.wanted import Files, Resource
from netjail.uplinks.wanted_lan import AdoptedNetns, BridgePort, ChildLink, DhcpClient, HostDevice


def clients(found: Record) -> list[DhcpClient]:
    """All DHCP clients of a jail."""
    return [r for r in found.resources if isinstance(r, DhcpClient)]


def client(found: Record) -> DhcpClient | None:
    """The one that the way out depends on."""
    return next((each for each in clients(found) if each.uplink), None)


def sources(found: Record) -> list[str]:
    """The files that their hooks write to."""
    return [dhcp.events_file(each) for each in clients(found)]


def has_address(found: Record) -> bool:
    """Whether the way out has a lease."""
    wanted = client(found)
    return wanted is not None and dhcp.lease(wanted.profile, wanted.jail_if) is not None


def wait(found: Record, seconds: float) -> bool:
    """Wait until it has one. Somebody else has to `follow` meanwhile."""
    end = time.monotonic() + seconds
    pause = 0.02
    while not has_address(found):
        if time.monotonic() + pause > end:
            return False
        time.sleep(pause)
        pause = min(pause * 1.3, 0.2)
    return True


def follow(found: Record) -> Record | None:
    """Do what the clients say. The record as it is then, or None where nothing has changed."""
    changed = False
    resources = found.resources
    for wanted in clients(found):
        before = dhcp.state(wanted.profile, wanted.jail_if)
        log = f"{names.jail_dir(wanted.profile)}/{dhcp.name_of(wanted)}.log"
        after = dhcp.follow(wanted, log)
        changed = changed or before.lease != after.lease
        if not wanted.dns:
            continue
        old: Files = found.find(Files)
        new = dhcp.with_dns(old, wanted, after.lease)
        if new != old:
            view.update(new)
            resources = tuple(new if r is old else r for r in resources)
    return replace(found, resources=resources) if changed else None


def lost(found: Record, context: Context) -> str | None:
    """The first thing of the host's that the jail stands on and that is gone, as a sentence."""
    for resource in found.resources:
        text = _what(resource)
        if text is not None and not drivers.of(resource).present(resource, context):
            return f"{text}; nothing can leave until it is back"
    return None


def _what(resource: Resource) -> str | None:
    match resource:
        case HostDevice():
            return f"the interface {resource.device} is gone"
        case ChildLink():
            return f"the host's interface {resource.parent} is gone"
        case BridgePort():
            return f"the port of the host's bridge {resource.bridge} is gone"
        case AdoptedNetns():
            return f"the network namespace {resource.name} is no longer there by its name"
    return None


def gone(netns: str, profile: str) -> NetjailError:
    """The error for an adopted namespace whose maker has removed it."""
    return NetjailError(
        "conflict",
        f"the network namespace {netns} is gone, or another one has its name; programs that were "
        "started in it are still in the old one",
        f"netjail down --kill {profile} && netjail up {profile}",
    )
