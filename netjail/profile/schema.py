# SPDX-License-Identifier: GPL-3.0-or-later
"""From nested dicts, as the TOML reader or the wg-quick import makes them, to a `Profile`.

Collects every problem instead of stopping at the first. Single values are judged by the table
of keys; what several values must be to each other is judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Any, TypeVar

from netjail.profile import amnezia, checks, keys, lans, links, placekeys, places, ports, tunnels
from netjail.profile.checks import Bad
from netjail.profile.model import (
    Address,
    AmneziaWG,
    Bridge,
    Device,
    Dns,
    ForeignNetns,
    Interface,
    Ipvlan,
    Isolation,
    Lan,
    Macvlan,
    Network,
    NoUplink,
    OpenConnect,
    OpenVpn,
    Peer,
    Profile,
    SwitchUplink,
    Uplink,
    Veth,
    WireGuard,
)
from netjail.profile.tables import (
    Path,
    Report,
    Values,
    dotted,
    invalid,
    plain,
    read,
    subtable,
    table,
)

__all__ = ["Path", "Report", "dotted", "invalid"]  # for those who read other formats

# Uplinks ---------------------------------------------------------------------------------------


def covered(target: Address | Network, networks: Iterable[Network]) -> bool:
    """Whether an address, or a whole network, lies in `networks` taken together."""
    if isinstance(target, (IPv4Network, IPv6Network)):
        same = [n for n in networks if n.version == target.version]
        # Two halves make a whole: 0.0.0.0/1 and 128.0.0.0/1 are a default route, too.
        merged = collapse_addresses(same)  # type: ignore[type-var]
        return any(target.subnet_of(n) for n in merged)  # type: ignore[arg-type]
    return any(target.version == n.version and target in n for n in networks)


DEFAULT4 = IPv4Network("0.0.0.0/0")
DEFAULT6 = IPv6Network("::/0")


def _wireguard_relations(values: Values, peers: list[Values], path: Path, report: Report) -> None:
    """What the values of a tunnel must be to each other."""
    addresses: tuple[Interface, ...] = values.get("address", ())
    if values.get("address") == ():
        report.problem((*path, "address"), "an empty list; a tunnel needs an address of its own")
    mtu = values.get("mtu")
    if mtu is not None and mtu < checks.MTU_MIN_IPV6 and any(a.version == 6 for a in addresses):
        report.problem(
            (*path, "mtu"),
            f"{mtu} is too small for the IPv6 address of this tunnel; "
            f"allowed: {checks.MTU_MIN_IPV6} to {checks.MTU_MAX}",
        )
    own = None
    if "private_key" in values and any("public_key" in p for p in peers):
        from netjail.profile.curve import public_key

        own = public_key(values["private_key"])
    owner: dict[Network, int] = {}
    seen: dict[str, int] = {}
    for n, peer in enumerate(peers):
        here = (*path, "peer", n)
        key = peer.get("public_key")
        if key is not None:
            if key == own:
                report.problem(
                    (*here, "public_key"),
                    "is the public key of your own private_key; the other side's belongs here",
                )
            elif key == values.get("private_key"):
                report.problem((*here, "public_key"), "is the same as your private_key")
            if key in seen:
                report.problem(
                    (*here, "public_key"),
                    f"is the same as that of peer {seen[key] + 1}; "
                    "write one peer with all of its allowed_ips",
                )
            seen.setdefault(key, n)
        for net in peer.get("allowed_ips", ()):
            first = owner.setdefault(net, n)
            if first != n:
                report.problem(
                    (*here, "allowed_ips"),
                    f"{net} also belongs to peer {first + 1}; each network can go to one peer only",
                )


def wireguard_warnings(uplink: WireGuard) -> list[str]:
    """What works, but perhaps not as meant. One sentence each."""
    found = []
    networks = [n for p in uplink.peers for n in p.allowed_ips]
    default4, default6 = covered(DEFAULT4, networks), covered(DEFAULT6, networks)
    if not networks:
        found.append("no peer has AllowedIPs: nothing at all can be reached through the tunnel")
    elif not default4 and not default6:
        some = ", ".join(str(n) for n in networks[:3]) + (", ..." if len(networks) > 3 else "")
        found.append(
            f"no default route: only {some} can be reached through the tunnel, "
            "and nothing else from this profile at all"
        )
    if any(a.version == 6 for a in uplink.addresses) and not any(n.version == 6 for n in networks):
        found.append(
            "the tunnel has an IPv6 address, but AllowedIPs holds no IPv6 network: "
            "there is no IPv6 in this profile"
        )
    for n, peer in enumerate(uplink.peers):
        which = "the peer" if len(uplink.peers) == 1 else f"peer {n + 1}"
        if peer.endpoint is None:
            found.append(f"{which} has no Endpoint: nothing works until it calls by itself")
    return found


def dns_warnings(uplink: Uplink, dns: Dns) -> list[str]:
    """The same for names."""
    if not isinstance(uplink, WireGuard):
        return []
    servers = uplink.dns_servers if dns.mode == "uplink" else dns.servers
    found = []
    if not servers and dns.mode == "uplink":
        found.append(
            "no DNS server: names do not resolve in this profile "
            "until servers are added under [dns]"
        )
    networks = [n for p in uplink.peers for n in p.allowed_ips]
    for server in servers:
        if server.is_loopback:
            found.append(
                f"DNS server {server} is the jail's own loopback: "
                "names resolve only if a resolver runs inside the jail"
            )
        elif networks and not covered(server, networks):
            found.append(
                f"DNS server {server} is in no AllowedIPs: it cannot be reached "
                "through the tunnel, and netjail does not ask it any other way"
            )
    return found


def _wireguard(raw: Mapping[str, Any], path: Path, report: Report) -> WireGuard | None:
    before = report.bad()
    kind = str(raw["kind"])
    values = table(raw, "uplink", kind, path, report)
    raw_peers = raw.get("peer", [])
    peers: list[Values] = []
    if not isinstance(raw_peers, list) or not all(isinstance(p, dict) for p in raw_peers):
        report.problem((*path, "peer"), "is not a list of tables; write [[uplink.peer]]")
    elif not raw_peers:
        report.problem((*path, "peer"), "is missing; a tunnel needs at least one peer")
    else:
        for n, raw_peer in enumerate(raw_peers):
            here = (*path, "peer", n)
            peers.append(table(raw_peer, "uplink.peer", kind, here, report))
    _wireguard_relations(values, peers, path, report)
    for leaf, text in amnezia.problems(values) if kind == amnezia.KIND else ():
        report.problem((*path, leaf), text)
    if report.bad() != before:
        return None
    entries = values.pop("dns", ())
    cls = AmneziaWG if kind == amnezia.KIND else WireGuard
    made = cls(
        private_key=values["private_key"],
        addresses=values["address"],
        peers=tuple(Peer(**p) for p in peers),
        mtu=values.get("mtu"),
        listen_port=values.get("listen_port"),
        fwmark=values.get("fwmark"),
        through=values.get("through"),
        dns_servers=tuple(e for e in entries if not isinstance(e, str)),
        dns_search=tuple(e for e in entries if isinstance(e, str)),
        failover=values.get("failover", True),
        **{leaf: values[leaf] for leaf in amnezia.LEAVES if leaf in values},
    )
    return _with_places(made, raw, path, report)


_P = TypeVar("_P", WireGuard, OpenVpn)


def _with_places(made: _P, raw: Mapping[str, Any], path: Path, report: Report) -> _P | None:
    if "place" not in raw:
        return made
    before = report.bad()
    found = places.read(raw["place"], made.kind, (*path, "place"), report)
    if report.bad() != before:
        return None
    made = replace(made, places=found)
    places.judge(made, path, report)
    return made if report.bad() == before else None


def _veth(raw: Mapping[str, Any], path: Path, report: Report) -> Veth | None:
    before = report.bad()
    values = table(raw, "uplink", "veth", path, report)
    if "peer" in raw:
        report.problem((*path, "peer"), 'belongs to uplinks of kind "wireguard"')
    mtu = values.get("mtu")
    if mtu is not None and mtu < checks.MTU_MIN_IPV6:
        report.warn(f"an MTU of {mtu} is too small for IPv6: there is no IPv6 in this profile")
    values.pop("kind", None)
    return Veth(**values) if report.bad() == before else None


def _none(raw: Mapping[str, Any], path: Path, report: Report) -> NoUplink | None:
    before = report.bad()
    table(raw, "uplink", "none", path, report)
    if "peer" in raw:
        report.problem((*path, "peer"), 'belongs to uplinks of kind "wireguard"')
    return NoUplink() if report.bad() == before else None


def _lan(cls: type[Lan]) -> Callable[[Mapping[str, Any], Path, Report], Uplink | None]:
    def read_lan(raw: Mapping[str, Any], path: Path, report: Report) -> Uplink | None:
        before = report.bad()
        values = table(raw, "uplink", cls.kind, path, report)
        if "peer" in raw:
            report.problem((*path, "peer"), 'belongs to uplinks of kind "wireguard"')
        lans.relations(cls.kind, values, path, report.problem)
        if report.bad() != before:
            return None
        addresses, gateways = values.pop("address", ()), values.pop("gateway", ())
        values.pop("kind", None)
        made: Any = cls(addresses=addresses, dhcp=not addresses, gateways=gateways, **values)
        return made  # type: ignore[no-any-return]

    return read_lan


def _foreign(raw: Mapping[str, Any], path: Path, report: Report) -> ForeignNetns | None:
    before = report.bad()
    values = table(raw, "uplink", "netns", path, report)
    if "peer" in raw:
        report.problem((*path, "peer"), 'belongs to uplinks of kind "wireguard"')
    return ForeignNetns(values["name"]) if report.bad() == before else None


def _openvpn(raw: Mapping[str, Any], path: Path, report: Report) -> OpenVpn | None:
    before = report.bad()
    values = table(raw, "uplink", "openvpn", path, report)
    for leaf, text in tunnels.openvpn_problems(values):
        report.problem((*path, leaf), text)
    if report.bad() != before:
        return None
    return _with_places(tunnels.openvpn(values), raw, path, report)


def _openconnect(raw: Mapping[str, Any], path: Path, report: Report) -> OpenConnect | None:
    before = report.bad()
    values = table(raw, "uplink", "openconnect", path, report)
    for leaf, text in tunnels.openconnect_problems(values):
        report.problem((*path, leaf), text)
    return tunnels.openconnect(values) if report.bad() == before else None


_BY_KIND: dict[str, Callable[[Mapping[str, Any], Path, Report], Uplink | None]] = {
    **dict.fromkeys(placekeys.WIREGUARDS, _wireguard),
    "openvpn": _openvpn,
    "openconnect": _openconnect,
    "veth": _veth,
    **{cls.kind: _lan(cls) for cls in (Device, Macvlan, Ipvlan, Bridge, SwitchUplink)},
    "netns": _foreign,
    "none": _none,
}


def read_uplink(raw: Mapping[str, Any], report: Report) -> Uplink | None:
    """The [uplink] table; None if `report` got a problem."""
    kind = raw.get("kind")
    if isinstance(kind, str) and kind in _BY_KIND:
        if "place" in raw and kind not in placekeys.POOLED:
            owners = " and ".join(f'"{each}"' for each in placekeys.POOLED)
            report.problem(("uplink", "place"), f"belongs to uplinks of kind {owners}")
        return _BY_KIND[kind](raw, ("uplink",), report)
    if isinstance(kind, str) and kind in keys.LATER_KINDS:
        # Its other keys are of a table that this version does not know.
        table({"kind": kind}, "uplink", None, ("uplink",), report)
    else:
        table(raw, "uplink", None, ("uplink",), report)
    return None


# DNS and the whole -----------------------------------------------------------------------------


def _hosts(raw: object, report: Report) -> tuple[tuple[str, Address], ...]:
    path: Path = ("dns", "hosts")
    if not isinstance(raw, dict):
        report.problem(path, f"{checks.show(raw)} is not a table; write [dns.hosts]")
        return ()
    key = keys.BY_NAME["dns.hosts.NAME"]
    pairs: dict[tuple[str, Address], None] = {}
    for name, value in raw.items():
        here = (*path, name)
        if isinstance(value, dict):
            report.problem(here, f'a name with dots wants quotes, as in "{plain(name)}.example"')
            continue
        try:
            checks.hosts_entry_name(name)
        except Bad as bad:
            report.problem(here, f"the name {bad.why}")
        for item in value if isinstance(value, list) else [value]:
            good, final = read(key, item, here, report)
            if good:
                pairs[(name, final)] = None
    return tuple(pairs)


def _dns(
    raw: Mapping[str, Any] | None, kind: str | None, report: Report, fixed: bool
) -> Dns | None:
    """`fixed`: addresses without DHCP, so that the uplink has no resolvers to tell of."""
    if raw is None and fixed:
        report.problem(
            ("dns", "servers"),
            "is missing: with fixed addresses there is no DHCP server to name resolvers; "
            f"allowed: {keys.DNS_SERVER.allowed} (an empty list: no names at all)",
        )
        return None
    if raw is None:
        return Dns(mode=keys.DNS_MODES[kind][0]) if kind else None  # type: ignore[arg-type]
    before = report.bad()
    values = table(raw, "dns", kind, ("dns",), report)
    hosts = _hosts(raw["hosts"], report) if "hosts" in raw else ()
    if kind is None:
        return None
    modes = ("static",) if fixed else keys.DNS_MODES[kind]
    mode = values.get("mode", "static" if "servers" in raw else modes[0])
    allowed = " or ".join(f'"{m}"' for m in modes)
    if mode not in modes:
        report.problem(
            ("dns", "mode"),
            f'"{mode}" makes no sense with an uplink of kind "{kind}"; allowed: {allowed}',
        )
    elif mode != "static" and "servers" in raw:
        report.problem(
            ("dns", "servers"),
            f'are not used with mode = "{mode}"; leave them out, or write mode = "static"',
        )
    elif mode == "static" and kind != "none" and "servers" not in raw:
        report.problem(
            ("dns", "servers"),
            'is missing, and mode = "static" needs it; '
            f"allowed: {keys.DNS_SERVER.allowed} (an empty list: no names at all)",
        )
    if report.bad() != before:
        return None
    return Dns(mode, values.get("servers", ()), values.get("search", ()), hosts)


def read_profile(name: str, raw: Mapping[str, Any], report: Report) -> Profile | None:
    """The whole file; None if `report` got a problem. `name` is taken as valid."""
    values = table(raw, "", None, (), report)
    uplink: Uplink | None = None
    raw_uplink = subtable(raw, "uplink", report)
    kind = None
    if raw_uplink is not None:
        uplink = read_uplink(raw_uplink, report)
        raw_kind = raw_uplink.get("kind")
        kind = raw_kind if isinstance(raw_kind, str) and raw_kind in keys.KINDS else None
        if raw_uplink.get("through") == name and kind in keys.BY_NAME["uplink.through"].kinds:
            report.problem(("uplink", "through"), "is this profile itself")
    elif "uplink" not in raw:
        report.problem(("uplink",), "is missing; every profile has one [uplink] with a kind")
    natpmp = None
    if uplink is not None and raw_uplink is not None:
        natpmp = ports.read_natpmp(raw_uplink, report)
    found_links = links.read_links(name, raw.get("link", []), kind, report)
    fixed = isinstance(uplink, Lan) and not uplink.dhcp
    dns = _dns(subtable(raw, "dns", report), kind, report, fixed)
    if found_links and isinstance(uplink, ForeignNetns):
        report.problem(("link",), "would change the namespace, which is somebody else's")
    elif found_links and uplink is not None and dns is not None:
        links.judge(found_links, uplink, dns, report)
    found_ports = ports.read_ports(raw, report)
    raw_isolation = subtable(raw, "isolation", report)
    isolation = table(raw_isolation or {}, "isolation", None, ("isolation",), report)
    if report.bad() or uplink is None or dns is None:
        return None
    if isinstance(uplink, WireGuard):
        for text in wireguard_warnings(uplink) + dns_warnings(uplink, dns):
            report.warn(text)
    elif isinstance(uplink, OpenVpn | OpenConnect):
        for text in tunnels.warnings(uplink):
            report.warn(text)
    return Profile(
        name=name,
        uplink=uplink,
        dns=dns,
        description=values.get("description", ""),
        users=values.get("users", ()),
        stop=values.get("stop", "never"),
        links=found_links,
        autostart=values.get("autostart", False),
        isolation=Isolation(dbus=isolation.get("dbus", False)),
        ports=found_ports,
        natpmp=natpmp,
    )
