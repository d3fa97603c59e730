# SPDX-License-Identifier: GPL-3.0-or-later
"""What links and switches want of the kernel; as `wanted`, of which it is a part.

The resources of a switch are not in the record of a profile: a switch has one of its own, as long
as it is up.
"""

from __future__ import annotations

from dataclasses import dataclass

Shaped = tuple[()] | tuple[float, float, float, int]
"""Delay and jitter in milliseconds, loss in percent, rate in bits a second; 0: none of it."""


@dataclass(frozen=True, slots=True)
class CrossLink:
    """One end of a cable between two jails. The other end is a `CrossLink` of the same `number`
    in the record of `peer`, whose `peer` is this profile; the cable is there while both stand.

    Addresses with prefix length. `strict`: what comes in with a source address that belongs
    elsewhere is dropped (rp_filter).
    """

    profile: str
    netns: str
    jail_if: str
    peer: str
    number: int
    mac: str
    mtu: int
    addresses: tuple[str, ...]
    gateways: tuple[str, ...] = ()
    strict: bool = True
    shape: Shaped = ()


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """A veth pair between a jail and a switch, where its end is called `port`."""

    profile: str
    netns: str
    jail_if: str
    switch: str
    port: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]
    gateways: tuple[str, ...] = ()
    vlan: int | None = None
    isolated: bool = False
    strict: bool = True
    shape: Shaped = ()


@dataclass(frozen=True, slots=True)
class SwitchBridge:
    """A bridge of the kernel in the switch's namespace. `vlans`: whether it looks at tags."""

    switch: str
    netns: str
    bridge: str
    vlans: bool


@dataclass(frozen=True, slots=True)
class OvsBridge:
    """A bridge of Open vSwitch. `netns` None: of the one that the system runs, in the host's
    namespace; else of one of our own in that namespace. `datapath`: "system" or "netdev"."""

    switch: str
    netns: str | None
    bridge: str
    datapath: str


@dataclass(frozen=True, slots=True)
class SwitchHostPort:
    """The host's own port: a veth pair between the switch's namespace (None: a bridge of the
    system's Open vSwitch) and the host."""

    switch: str
    netns: str | None
    host_if: str
    port: str
    mtu: int
    addresses: tuple[str, ...]
    vlan: int | None = None


@dataclass(frozen=True, slots=True)
class SwitchUplink:
    """An interface of the host, which stands in the switch's namespace by now (None: still among
    the host's, for the system's Open vSwitch), as a port of all `vlans`, if there are any."""

    switch: str
    netns: str | None
    interface: str
    vlans: bool


LinkResource = CrossLink | SwitchPort | SwitchBridge | OvsBridge | SwitchHostPort | SwitchUplink
KINDS = (CrossLink, SwitchPort, SwitchBridge, OvsBridge, SwitchHostPort, SwitchUplink)
