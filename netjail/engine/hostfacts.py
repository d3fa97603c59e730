# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host is like, found when an uplink asks. One object per operation: answers are kept."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import threading
import zlib
from collections.abc import Callable
from ipaddress import IPv4Network, ip_address

from netjail import names
from netjail.engine import hostdns, ns, portfile, process, served, sysctl, toldfile
from netjail.engine.lanfacts import LanFacts
from netjail.engine.netlink import Socket, index_of
from netjail.engine.record import Record, Records
from netjail.errors import NetjailError
from netjail.profile import store, switches
from netjail.profile.model import Address, Endpoint, Port, Profile
from netjail.profile.switch import Switch
from netjail.uplinks.facts import HostDns, Subnet, Told

_POOLS = tuple(IPv4Network(text) for text in ("10.213.0.0/16", "172.29.0.0/16", "192.168.213.0/24"))
_LIKE_A_DEFAULT_ROUTE = 3
"""Prefix length up to which a route counts as a default route: OpenVPN's pair of /1, some /3."""
_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); from netjail.main import main; main()"
_ANYWHERE = ("198.51.100.1", "2001:db8::1")
"""Only looked up in the routing table, never sent to."""


class Subnets:
    """Which small subnets are given out; shared by all operations of a helper."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[str, str] = {}

    def hold(self, profile: str, network: str) -> bool:
        """Reserve a network for a profile; False when another one has it."""
        with self._lock:
            return self._taken.setdefault(network, profile) == profile

    def looked_at(self) -> Subnets:
        """A copy: what is given out of it is given to nobody."""
        copy = Subnets()
        copy._taken = dict(self._taken)
        return copy

    def release(self, profile: str) -> None:
        """Give back what the profile has."""
        with self._lock:
            for network in [key for key, value in self._taken.items() if value == profile]:
                del self._taken[network]


class HostFacts(LanFacts):
    """`netjail.uplinks.facts.Facts`, read from the kernel and the host's files."""

    def __init__(
        self,
        subnets: Subnets,
        progress: Callable[[str], None],
        subnet: Subnet | None = None,
        *,
        records: Records | None = None,
        standing: Record | None = None,
        on_host: Callable[[Switch], bool] = lambda _switch: False,
    ) -> None:
        """`subnet`, `standing`: what the jail has, when it is up. `on_host`: see `Facts`."""
        super().__init__(records, standing)
        self.on_host = on_host
        self._subnets = subnets
        self._progress = progress
        self._subnet = subnet
        self._dns: HostDns | None = None

    def served(self, switch: Switch) -> bool:
        return served.by_profile(switch)

    def resolve(self, endpoint: Endpoint, through: str | None) -> tuple[Address, int]:
        """By the host's resolver, or by the one of the jail that the tunnel goes through."""
        try:
            return ip_address(endpoint.host), endpoint.port
        except ValueError:
            pass
        self._progress(f"looking up {endpoint.host}")
        found = addresses(endpoint.host, through)
        if not found:
            where = "" if through is None else f" in the jail of {through}"
            raise NetjailError(
                "resolve-failed",
                f"the endpoint's name {endpoint.host} has no address{where}",
                "check the network connection and the name; an address works as an endpoint too",
            )
        return ip_address(found[0]), endpoint.port

    def path_mtu(self, destination: Address, through: str | None) -> int:
        """From the route's own mtu, else the interface it leaves by; 1500 where there is none."""
        netns = None if through is None else names.netns_name(through)
        with ns.inside_named(netns), Socket() as netlink:
            found = netlink.route_to(str(destination))
            if found is None:
                return 1500
            metrics = found.get_attr("RTA_METRICS")
            mtu = metrics.get_attr("RTAX_MTU") if metrics is not None else None
            return int(mtu) if mtu else _mtu_of(netlink, found.get_attr("RTA_OIF"))

    def subnet(self, profile: str) -> Subnet:
        """A /30 and, with IPv6, a /64, by the profile's name; the next free one on collision."""
        if self._subnet is None:
            self._subnet = self._find_subnet(profile)
        return self._subnet

    def _find_subnet(self, profile: str) -> Subnet:
        start = zlib.crc32(profile.encode())
        with Socket() as netlink:
            for pool in _POOLS:
                size = pool.num_addresses // 4
                for step in range(size):
                    base = int(pool.network_address) + 4 * ((start + step) % size)
                    host, jail = str(ip_address(base + 1)), str(ip_address(base + 2))
                    blocking = max(_matched(netlink, host), _matched(netlink, jail))
                    if 0 <= blocking <= pool.prefixlen:
                        break  # one route covers the whole pool
                    if blocking < 0 and self._subnets.hold(profile, host):
                        return self._with_ipv6(netlink, host, jail, (start + step) % size)
        raise NetjailError(
            "conflict",
            "no free private subnet is left for a veth uplink: the host has routes to all of "
            + ", ".join(map(str, _POOLS)),
            "remove a route to one of them, or take some veth profiles down",
        )

    def _with_ipv6(self, netlink: Socket, host: str, jail: str, index: int) -> Subnet:
        if self.has_ipv6():
            for prefix in _local_prefixes():
                host6, jail6 = f"{prefix}:{index:x}::1", f"{prefix}:{index:x}::2"
                if _matched(netlink, host6) < 0 and _matched(netlink, jail6) < 0:
                    return Subnet(
                        (f"{host}/30", f"{host6}/64"), (f"{jail}/30", f"{jail6}/64"), (host, host6)
                    )
        return Subnet((f"{host}/30",), (f"{jail}/30",), (host,))

    def dns(self) -> HostDns:
        """The host's resolvers, read once per operation."""
        if self._dns is None:
            self._dns = hostdns.read()
        return self._dns

    def told(self, profile: str) -> Told:
        """As it was written down when it was applied."""
        return toldfile.read(profile)

    def port_changes(self, profile: str) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
        """As portfile has it."""
        return portfile.read(profile)

    def has_ipv6(self) -> bool:
        """False with ipv6.disable=1 (no such directory) and with disable_ipv6 = 1."""
        return read_sysctl("net/ipv6/conf/all/disable_ipv6") == "0"

    def way_out_mtu(self, interface: str | None) -> int:
        """Of the pinned interface, else of the smaller of the default ways out."""
        with Socket() as netlink:
            if interface is not None:
                return netlink.mtu(index_of(interface) or 0) or 1500
            ways = {netlink.way_to(address) for address in _ANYWHERE}
            mtus = [_mtu_of(netlink, index) for index in ways if index is not None]
            return min([mtu for mtu in mtus if mtu <= 9000], default=1500)

    def require_interface(self, interface: str) -> None:
        """The host must have it now; a name alone proves nothing about its routes."""
        if index_of(interface) is None:
            raise NetjailError(
                "conflict",
                f"the host has no network interface {interface}, to which this profile is "
                "pinned (uplink.interface)",
                "`ip link` lists the interfaces; is it unplugged or renamed?",
            )

    def profile(self, name: str) -> Profile:
        """By its file, whatever it is up as."""
        return store.load(name)

    def switch(self, name: str) -> Switch:
        """By its file, whatever it is up as."""
        return switches.load(name)

    def machine(self) -> str:
        """The number of machine-id(5), or the name."""
        return machine_id()

    def require_program(self, *programs: str) -> None:
        """Raises missing-program with the package to install."""
        for name in programs:
            process.program(name)


def machine_id() -> str:
    """The number of machine-id(5), or the machine's name."""
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            return file.read(64).strip()
    except (OSError, ValueError):
        return os.uname().nodename


def read_sysctl(key: str) -> str | None:
    """A value below /proc/sys, or None. The thread must be in the host's network."""
    try:
        fd = sysctl.open_on_host(key, os.O_RDONLY)
    except OSError:
        return None
    try:
        return os.read(fd, 4096).decode("ascii").strip()
    except OSError:
        return None
    finally:
        os.close(fd)


def _matched(netlink: Socket, address: str) -> int:
    """Prefix length of the host route that covers an address; -1 where only a default does."""
    length = netlink.prefix_to(address)
    return -1 if length is None or length <= _LIKE_A_DEFAULT_ROUTE else length


def _mtu_of(netlink: Socket, index: int | None) -> int:
    mtu = (netlink.mtu(index) if index else None) or 1500
    return mtu if mtu < 65536 else 1500  # loopback: an endpoint on this very machine


def _local_prefixes() -> list[str]:
    """Unique local /48 prefixes (RFC 4193), the same on one machine every time."""
    try:
        with open("/etc/machine-id", "rb") as file:
            seed = file.read(64)
    except OSError:
        seed = os.uname().nodename.encode()
    found = []
    for salt in range(8):
        digest = hashlib.sha256(b"netjail" + bytes([salt]) + seed).hexdigest()
        found.append(f"fd{digest[:2]}:{digest[2:6]}:{digest[6:10]}")
    return found


def addresses(host: str, through: str | None) -> list[str]:
    """Of a name, by the host's resolver or by that of the jail `through`; none where it has none or
    nobody answers. May take as long as resolv.conf(5) says."""
    if through is not None:
        return _inside(host, through)
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return []
    return [str(answer[4][0]) for answer in answers]


def _inside(host: str, through: str) -> list[str]:
    """Addresses by the resolver of another jail: getent(1), entered as any program is."""
    netjail = [sys.executable, "-I", "-c", _RUN, os.path.dirname(os.path.dirname(_PACKAGE))]
    argv = [*netjail, "run", "-u", "nobody", through, "getent", "ahosts", host]
    try:
        answer = process.run(argv, timeout=20)
    except NetjailError:
        return []
    return [line.split()[0] for line in answer.splitlines() if line.split()]
