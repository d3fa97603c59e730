# SPDX-License-Identifier: GPL-3.0-or-later
"""What an uplink may ask about the host before it says what it wants. Read by the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from netjail.profile.model import Address, Endpoint, Port, Profile
from netjail.profile.switch import Switch


@dataclass(frozen=True, slots=True)
class Subnet:
    """A free little network: host end and jail end, with prefix length."""

    host_addresses: tuple[str, ...]
    jail_addresses: tuple[str, ...]
    gateways: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostDns:
    """The host's resolvers. `stubs` are those on loopback, out of a jail's reach."""

    servers: tuple[str, ...]
    stubs: tuple[str, ...]
    search: tuple[str, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class HostDeviceFacts:
    """An interface of the host as it is before it is moved away (see wanted_lan.HostDevice).

    `only_way_out`: no default route of the host would be left without it.
    """

    index: int
    phy: str | None
    mtu: int
    up: bool
    addresses: tuple[str, ...]
    routes: tuple[tuple[str, str, int, int], ...]
    only_way_out: bool


@dataclass(frozen=True, slots=True)
class ParentFacts:
    """An interface of the host that others can be made on."""

    mtu: int
    wireless: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What a VPN's server says of the network, judged: as much of it as can stand in a jail.

    Addresses with prefix length; `mtu` in bytes; `server` is where the packets go, address and
    port; `left_out` are sentences on what was not taken.
    """

    addresses: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    mtu: int | None = None
    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    server: str | None = None
    left_out: tuple[str, ...] = ()


class Facts(Protocol):
    """Answers about the host, each found only when asked for."""

    def resolve(self, endpoint: Endpoint, through: str | None) -> tuple[Address, int]:
        """Address and port of an endpoint, looked up outside the jail. Raises resolve-failed."""

    def path_mtu(self, destination: Address, through: str | None) -> int:
        """MTU of the way to `destination`, in bytes."""

    def subnet(self, profile: str) -> Subnet:
        """A free small subnet, IPv6 included where the host has it."""

    def dns(self) -> HostDns:
        """The host's resolvers."""

    def told(self, profile: str) -> Told:
        """What the server of a VPN that is up has said last; empty before it has said anything."""

    def port_changes(self, profile: str) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
        """Ports that were added to a jail since it is up, and those that were removed."""

    def has_ipv6(self) -> bool:
        """False where the kernel runs with ipv6.disable=1 or the like."""

    def way_out_mtu(self, interface: str | None) -> int:
        """MTU of the pinned interface, or of the host's default way out."""

    def require_interface(self, interface: str) -> None:
        """Raises NetjailError where the host has no such interface."""

    def profile(self, name: str) -> Profile:
        """Another profile, as its file has it. Raises NetjailError where there is none."""

    def switch(self, name: str) -> Switch:
        """A switch, as its file has it. Raises NetjailError where there is none."""

    def on_host(self, switch: Switch) -> bool:
        """Whether a switch is, or would be, part of the Open vSwitch that the system runs."""

    def served(self, switch: Switch) -> bool:
        """Whether a profile is there to serve DHCP on a switch, in the place of its own server."""

    def machine(self) -> str:
        """Something that no other machine has."""

    def device(self, interface: str) -> HostDeviceFacts:
        """An interface that can be moved away. Raises NetjailError where there is none."""

    def parent(self, interface: str) -> ParentFacts:
        """An interface that is up. Raises NetjailError where there is none."""

    def bridge(self, interface: str) -> int:
        """The MTU of a bridge of the host. Raises NetjailError where there is none."""

    def leased(self, profile: str) -> HostDns:
        """The resolvers of the profile's lease, none as long as it has none."""

    def require_netns(self, name: str) -> None:
        """Raises NetjailError where there is no such network namespace, or it is the host's."""

    def netns_dns(self, name: str) -> HostDns:
        """The resolvers that /etc/netns/NAME/resolv.conf names for ip-netns(8)."""

    def require_program(self, *names: str) -> None:
        """Raises missing-program with the package to install."""
