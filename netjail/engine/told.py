# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VPN's server says of addresses, routes and resolvers: judged, and cut down to what can
stand in a jail. Pure. Whoever runs the server may be hostile; the worst it can do here is to make
its own tunnel useless.

OpenVPN 2.6 tells most of it in the environment of an `up` script (openvpn(8), "environmental
variables"); of redirect-gateway only the pushed options themselves tell. openconnect(8) has the
environment of vpnc-script.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, collapse_addresses, ip_address, ip_network

from netjail.profile import checks
from netjail.profile.checks import Bad
from netjail.profile.model import Address, Interface, Network
from netjail.uplinks.facts import Told

ROUTES_MAX = 2000
"""Routes of one jail, after those that lie in others are left out."""
SERVERS_MAX = 6
SEARCH_MAX = 12
MTU_MAX = 9000
_SENTENCES_MAX = 20
_INDEX_MAX = 100_000
Environment = Mapping[str, str]


class Judge:
    """Collects what can stand, and sentences about what cannot."""

    def __init__(self, routes: Iterable[str] = ()) -> None:
        """`routes`: the profile's own."""
        self.addresses: dict[Interface, None] = {}
        self.routes: dict[Network, None] = dict.fromkeys(checks.network(net) for net in routes)
        self.servers: dict[Address, None] = {}
        self.search: dict[str, None] = {}
        self.mtu: int | None = None
        self.server: str | None = None
        self._left_out: dict[str, None] = {}

    def leave_out(self, what: str, value: str, why: str) -> None:
        """Note what is not taken."""
        self._left_out[f"{what} {checks.show(value)} {why}"] = None

    def address(self, text: str) -> None:
        """An address with its prefix length."""
        try:
            self.addresses[checks.interface_address(text)] = None
        except Bad as bad:
            self.leave_out("address", text, bad.why)

    def route(self, text: str) -> None:
        """A network that is to go into the tunnel."""
        try:
            found = checks.network(text)
        except Bad as bad:
            self.leave_out("route", text, bad.why)
            return
        if found.is_loopback or found.is_multicast:
            self.leave_out("route", text, "is of addresses that no tunnel has")
        else:
            self.routes[found] = None

    def resolver(self, text: str) -> None:
        """A DNS server."""
        try:
            found = checks.dns_server(text)
            if found.is_loopback:
                raise Bad("is the jail's own loopback, where no resolver is")
        except Bad as bad:
            self.leave_out("resolver", text, bad.why)
            return
        if len(self.servers) < SERVERS_MAX:
            self.servers[found] = None

    def domain(self, text: str) -> None:
        """A search domain."""
        try:
            found = checks.domain(text)
        except Bad as bad:
            self.leave_out("domain", text, bad.why)
            return
        if len(self.search) < SEARCH_MAX:
            self.search[found] = None

    def size(self, text: str) -> None:
        """MTU of the tunnel in bytes."""
        if not text:
            return
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
        if not checks.MTU_MIN <= number <= MTU_MAX:
            self.leave_out("MTU", text, f"is not from {checks.MTU_MIN} to {MTU_MAX} bytes")
        else:
            self.mtu = number

    def told(self) -> Told:
        """The whole."""
        if self.mtu is not None and self.mtu < checks.MTU_MIN_IPV6:
            for each in [a for a in self.addresses if a.version == 6]:
                self.leave_out("address", str(each), f"needs a larger MTU than {self.mtu} bytes")
                del self.addresses[each]
        versions = {each.version for each in self.addresses}
        routes = [net for net in self.routes if net.version in versions]
        # a resolver outside of all routes is meant to be asked through the tunnel all the same
        routes += [ip_network(each) for each in self.servers if each.version in versions]
        kept = [*_collapsed(routes, 4), *_collapsed(routes, 6)]
        if len(kept) > ROUTES_MAX:
            self._left_out[f"{len(kept) - ROUTES_MAX} of {len(kept)} routes: too many"] = None
            del kept[ROUTES_MAX:]
        left_out = list(self._left_out)
        if len(left_out) > _SENTENCES_MAX:
            more = len(left_out) - _SENTENCES_MAX
            left_out[_SENTENCES_MAX:] = [f"and {more} more"]
        return Told(
            addresses=tuple(str(each) for each in self.addresses),
            routes=tuple(str(net) for net in kept),
            mtu=self.mtu,
            servers=tuple(str(each) for each in self.servers),
            search=tuple(self.search),
            server=self.server,
            left_out=tuple(left_out),
        )


def _collapsed(routes: Iterable[Network], version: int) -> list[Network]:
    """Without those that lie in others; the widest first."""
    same = [net for net in routes if net.version == version]
    found: list[Network] = list(collapse_addresses(same))  # type: ignore[type-var]
    return sorted(found, key=lambda net: (net.prefixlen, net.network_address))


def _numbered(env: Environment, *parts: str) -> Iterator[tuple[str, ...]]:
    """The values of PART_1, PART_2, ... of several parts, up to the first that is missing."""
    for n in range(1, _INDEX_MAX):
        if f"{parts[0]}_{n}" not in env:
            return
        yield tuple(env.get(f"{part}_{n}", "") for part in parts)


def _masked(address: str, mask: str) -> str:
    """`10.0.0.0`, `255.0.0.0` as 10.0.0.0/8. Gives what `checks` refuses where it is none."""
    try:
        number = int(IPv4Address(mask))
    except ValueError:
        return f"{address}/{mask}"
    inverse = number ^ 0xFFFFFFFF
    if inverse & (inverse + 1):
        return f"{address}/{mask}"
    return f"{address}/{32 - inverse.bit_length()}"


# OpenVPN -----------------------------------------------------------------------------------------


def openvpn(env: Environment, pushed: Iterable[str], routes: Iterable[str]) -> Told:
    """From the environment of `up` and the options as they were pushed."""
    judge = Judge(routes)
    local, mask = env.get("ifconfig_local", ""), env.get("ifconfig_netmask")
    if local:
        # Without a netmask it is one address facing another (topology net30 and p2p).
        judge.address(f"{local}/32" if mask is None else _masked(local, mask))
        if mask is None and env.get("ifconfig_remote"):
            judge.route(f"{env['ifconfig_remote']}/32")
    if env.get("ifconfig_ipv6_local"):
        judge.address(f"{env['ifconfig_ipv6_local']}/{env.get('ifconfig_ipv6_netbits', '128')}")
    _openvpn_routes(judge, env, pushed)
    _openvpn_dns(judge, env)
    judge.size(env.get("tun_mtu", ""))
    judge.server = _endpoint(
        env.get("trusted_ip") or env.get("trusted_ip6", ""), env.get("trusted_port", "")
    )
    return judge.told()


def _openvpn_routes(judge: Judge, env: Environment, pushed: Iterable[str]) -> None:
    around, inside = env.get("route_net_gateway"), env.get("route_vpn_gateway")
    for network, mask, gateway in _numbered(env, "route_network", "route_netmask", "route_gateway"):
        text = _masked(network, mask)
        if gateway and gateway == around and gateway != inside:
            judge.leave_out("route", text, "leads around the tunnel, which nothing does here")
        else:
            judge.route(text)
    for (network,) in _numbered(env, "route_ipv6_network"):
        judge.route(network)
    for option in pushed:
        flags = option.split()
        if flags[:1] != ["redirect-gateway"]:
            continue
        if "!ipv4" not in flags:
            judge.route("0.0.0.0/0")
        if "ipv6" in flags:
            judge.route("::/0")


_DNS_SERVER = re.compile(r"dns_server_(-?\d{1,4})_address_(\d{1,3})")


def _openvpn_dns(judge: Judge, env: Environment) -> None:
    found = {(int(m[1]), int(m[2])): env[m[0]] for m in map(_DNS_SERVER.fullmatch, env) if m}
    lowest = min((priority for priority, _ in found), default=None)
    for (priority, _), text in sorted(found.items()):
        if priority == lowest:  # the others are for those that do without this one
            judge.resolver(text)
    for (text,) in _numbered(env, "dns_search_domain"):
        judge.domain(text)
    for (option,) in _numbered(env, "foreign_option"):
        words = option.split(" ")
        if len(words) < 3 or words[0] != "dhcp-option":
            continue
        kind = words[1].upper()
        if kind in ("DNS", "DNS6"):
            judge.resolver(words[2])
        elif kind in ("DOMAIN", "DOMAIN-SEARCH", "ADAPTER_DOMAIN_SUFFIX"):
            for each in words[2:]:
                judge.domain(each)


def _endpoint(address: str, port: str) -> str | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    shown = f"[{parsed}]" if parsed.version == 6 else str(parsed)
    return f"{shown}:{port}" if port.isascii() and port.isdecimal() else shown


# OpenConnect -------------------------------------------------------------------------------------


def openconnect(env: Environment, routes: Iterable[str], take_routes: bool = True) -> Told:
    """From the environment of vpnc-script."""
    judge = Judge(routes)
    if env.get("INTERNAL_IP4_ADDRESS"):
        # the netmask is of no use: the tunnel has one address, and what it leads to are routes
        judge.address(f"{env['INTERNAL_IP4_ADDRESS']}/32")
    six = env.get("INTERNAL_IP6_NETMASK") or env.get("INTERNAL_IP6_ADDRESS", "")
    if six:
        judge.address(f"{six.partition('/')[0]}/128")
    if take_routes:
        _openconnect_routes(judge, env, bool(six))
        for name in ("INTERNAL_IP4_DNS", "INTERNAL_IP6_DNS"):
            for text in env.get(name, "").split():
                judge.resolver(text)
        for text in env.get("CISCO_DEF_DOMAIN", "").split():
            judge.domain(text)
    judge.size(env.get("INTERNAL_IP4_MTU", ""))
    judge.server = _endpoint(env.get("VPNGATEWAY", ""), "")
    return judge.told()


def _openconnect_routes(judge: Judge, env: Environment, six: bool) -> None:
    for prefix, everything in (("CISCO_SPLIT_INC", "0.0.0.0/0"), ("CISCO_IPV6_SPLIT_INC", "::/0")):
        text = env.get(prefix, "")
        count = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
        if not count:
            if six or prefix == "CISCO_SPLIT_INC":
                judge.route(everything)
            continue
        for n in range(count):
            address = env.get(f"{prefix}_{n}_ADDR", "")
            if address:
                judge.route(f"{address}/{env.get(f'{prefix}_{n}_MASKLEN', '')}")
    for prefix in ("CISCO_SPLIT_EXC", "CISCO_IPV6_SPLIT_EXC"):
        if env.get(prefix, "0") not in ("", "0"):
            judge.leave_out("routes", prefix, "lead around the tunnel, which nothing does here")
