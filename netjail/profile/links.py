# SPDX-License-Identifier: GPL-3.0-or-later
"""The [[link]] tables of a profile: read, judged among each other and beside the uplink.

A link must never be a way around the uplink: no default route by a link where there is an uplink,
no network on a link that takes the tunnel's own resolvers or addresses away from it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from netjail.profile import checks, keys, shaping
from netjail.profile.linkchecks import DHCP
from netjail.profile.model import (
    Address,
    Device,
    Dns,
    Interface,
    Link,
    Network,
    Shape,
    Uplink,
    WireGuard,
)
from netjail.profile.tables import Path, Report, Values, table

MOST = 64
"""Links of one profile."""
_NAME_MAX = 15
_SHARED = IPv4Network("100.64.0.0/10")
"""RFC 6598: as little of the internet as the private ones."""


def read_links(profile: str, raw: object, kind: str | None, report: Report) -> tuple[Link, ...]:
    """All [[link]] tables. `kind`: the uplink's, None where that is not known."""
    if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
        report.problem(("link",), "is not a list of tables; write [[link]]")
        return ()
    if len(raw) > MOST:
        report.problem(("link",), f"are {len(raw)} links; allowed: at most {MOST} in a profile")
        return ()
    found = []
    names: dict[str, int] = {}
    for number, each in enumerate(raw):
        path: Path = ("link", number)
        before = report.bad()
        values = table(each, "link", None, path, report)
        shape = _shape(each.get("shape"), (*path, "shape"), report)
        _relations(profile, values, each, path, report)
        if report.bad() != before:
            continue
        name = values.get("name") or default_name(values.get("peer") or values["switch"])
        if name == keys.JAIL_IFS.get(kind or ""):
            report.problem(
                (*path, "name"), f"{checks.show(name)} is what the uplink's interface is called"
            )
        elif name in names:
            report.problem(
                (*path, "name"),
                f"{checks.show(name)} is what link {names[name] + 1} is called; "
                'give one of them another, like name = "lab1"',
            )
        names.setdefault(name, number)
        found.append(
            Link(
                name=name,
                peer=values.get("peer"),
                switch=values.get("switch"),
                addresses=values.get("address", ()),
                gateways=values.get("gateway", ()),
                mac=values.get("mac"),
                mtu=values.get("mtu"),
                vlan=values.get("vlan"),
                serve_dhcp=values.get("serve_dhcp", False),
                shape=shape,
            )
        )
    return tuple(found)


def _shape(raw: object, path: Path, report: Report) -> Shape | None:
    if raw is None:
        return None
    if not isinstance(raw, dict):
        report.problem(path, f"{checks.show(raw)} is not a table; write [link.shape]")
        return None
    try:
        return shaping.shape(table(raw, "link.shape", None, path, report))
    except checks.Bad as bad:
        report.problem((*path, "jitter"), bad.why)
        return None


def default_name(other: str) -> str:
    """What an interface is called after the profile or switch at its other end."""
    if len(other) <= _NAME_MAX and other not in ("all", "default", "lo"):
        return other
    return f"{other[:8]}-{zlib.crc32(other.encode()) & 0xFFFFFF:06x}"


def _relations(profile: str, values: Values, raw: Values, path: Path, report: Report) -> None:
    """What the keys of one link must be to each other."""
    if "peer" not in raw and "switch" not in raw:
        report.problem((*path, "switch"), "is missing; a link has a switch or a peer")
    if "peer" in raw and "switch" in raw:
        report.problem((*path, "peer"), "and switch: a link leads to one of them only")
    if values.get("peer") == profile:
        report.problem((*path, "peer"), "is this profile itself")
    addresses: tuple[Interface, ...] | str = values.get("address", ())
    if "peer" in raw:
        for name in ("vlan", "serve_dhcp"):
            if name in values:
                report.problem((*path, name), "belongs to links to a switch, this one has a peer")
    if isinstance(addresses, str):
        if "peer" in raw:
            report.problem(
                (*path, "address"),
                f'"{DHCP}" is for links to a switch; the two ends of a cable have fixed addresses',
            )
        if "gateway" in values:
            report.problem((*path, "gateway"), f'comes by itself with address = "{DHCP}"')
        return
    mtu = values.get("mtu")
    if mtu is not None and mtu < checks.MTU_MIN_IPV6 and any(a.version == 6 for a in addresses):
        report.problem(
            (*path, "mtu"),
            f"{mtu} is too small for the IPv6 address of this link; "
            f"allowed: {checks.MTU_MIN_IPV6} to {checks.MTU_MAX}",
        )
    for gateway in values.get("gateway", ()):
        if any(gateway == address.ip for address in addresses):
            report.problem((*path, "gateway"), f"{gateway} is the address of this end itself")
        elif "address" in values and not gateway.is_link_local and not _on(gateway, addresses):
            nets = ", ".join(str(a.network) for a in addresses) or "no network at all"
            report.problem(
                (*path, "gateway"), f"{gateway} is not on the link, whose addresses are of {nets}"
            )
        elif "address" not in raw:
            report.problem((*path, "gateway"), "needs an address of the jail's own on the link")


def _on(address: Address, interfaces: Sequence[Interface]) -> bool:
    return any(address.version == i.version and address in i.network for i in interfaces)


def overlap(one: Network, other: Network) -> bool:
    """Whether two networks have addresses in common."""
    return one.version == other.version and one.overlaps(other)


def judge(links: Sequence[Link], uplink: Uplink, dns: Dns, report: Report) -> None:
    """What links must be to each other, and to the uplink."""
    _judge_networks(links, report)
    _judge_gateways(links, uplink, report)
    _judge_servers(links, report)
    for number, link in enumerate(links):
        if isinstance(uplink, Device) and link.name == uplink.device:
            report.problem(
                ("link", number, "name"),
                f"{checks.show(link.name)} is what the uplink's interface is called",
            )
    if isinstance(uplink, WireGuard):
        _judge_tunnel(links, uplink, dns, report)


def _judge_networks(links: Sequence[Link], report: Report) -> None:
    for number, link in enumerate(links):
        for earlier, other in enumerate(links[:number]):
            for address in link.static:
                for theirs in other.static:
                    if overlap(address.network, theirs.network):
                        report.problem(
                            ("link", number, "address"),
                            f"{address} overlaps {theirs} of link {earlier + 1}: the kernel would "
                            "send by one of the two only; each link needs a network of its own",
                        )


def _judge_servers(links: Sequence[Link], report: Report) -> None:
    served: dict[str | None, int] = {}
    for number, link in enumerate(links):
        if link.serve_dhcp and served.setdefault(link.switch, number) != number:
            report.problem(
                ("link", number, "serve_dhcp"),
                f"is for one link to switch {link.switch} only, and link "
                f"{served[link.switch] + 1} has it already",
            )


def _judge_gateways(links: Sequence[Link], uplink: Uplink, report: Report) -> None:
    first: dict[int, int] = {}
    for number, link in enumerate(links):
        for gateway in link.gateways:
            path = ("link", number, "gateway")
            if uplink.kind != "none":
                report.problem(
                    path,
                    f"{gateway} would be a second way out, around the uplink of kind "
                    f'"{uplink.kind}"; leave it out, or have kind = "none"',
                )
            elif gateway.version in first:
                report.problem(
                    path,
                    f"{gateway} is a second gateway for IPv{gateway.version}, beside that of link "
                    f"{first[gateway.version] + 1}; only one can lead to everywhere else",
                )
            first.setdefault(gateway.version, number)


def _judge_tunnel(links: Sequence[Link], uplink: WireGuard, dns: Dns, report: Report) -> None:
    """A link's network is nearer than any default route: what is in it does not use the tunnel."""
    servers = uplink.dns_servers if dns.mode == "uplink" else dns.servers
    for number, link in enumerate(links):
        path = ("link", number, "address")
        for address in link.static:
            for own in uplink.addresses:
                if own.ip in address.network:
                    report.problem(path, f"{address} overlaps {own.ip}, the tunnel's own address")
            for server in servers:
                if server.version != address.version or server not in address.network:
                    continue
                if dns.mode == "uplink":
                    report.problem(
                        path,
                        f"{address} takes the DNS server {server} away from the tunnel: questions "
                        "would go to whoever is on the link",
                    )
                else:
                    report.warn(
                        f"link {number + 1}: the DNS server {server} is on the link {address}, "
                        "so that questions do not go through the tunnel"
                    )
            if not _is_private(address.network):
                report.warn(
                    f"link {number + 1}: {address.network} are addresses of the internet, and "
                    "those do not go through the tunnel any more"
                )


def _is_private(network: IPv4Network | IPv6Network) -> bool:
    if isinstance(network, IPv4Network) and network.subnet_of(_SHARED):
        return True
    return network.is_private or network.is_link_local


def dump(link: Link) -> dict[str, Any]:
    """A link as its table; what is as by default is left out."""
    raw: dict[str, Any] = {}
    for key in ("peer", "switch"):
        if getattr(link, key) is not None:
            raw[key] = getattr(link, key)
    if link.addresses:
        raw["address"] = (
            link.addresses if isinstance(link.addresses, str) else _one_or_many(link.addresses)
        )
    if link.gateways:
        raw["gateway"] = _one_or_many(link.gateways)
    if link.name != default_name(link.peer or link.switch or ""):
        raw["name"] = link.name
    for key in ("mac", "mtu", "vlan"):
        if getattr(link, key) is not None:
            raw[key] = getattr(link, key)
    if link.serve_dhcp:
        raw["serve_dhcp"] = True
    if link.shape is not None:
        raw["shape"] = shaping.dump(link.shape)
    return raw


def _one_or_many(values: Sequence[object]) -> str | list[str]:
    texts = [str(value) for value in values]
    return texts[0] if len(texts) == 1 else texts
