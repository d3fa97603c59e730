# SPDX-License-Identifier: GPL-3.0-or-later
"""What a switch is: the model, its table of keys, its TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from netjail.profile import checks, linkchecks, serving, toml
from netjail.profile.checks import Bad
from netjail.profile.key import Key, KeySet, Type, choice
from netjail.profile.keys import TEXT, VERSION, VERSION_TYPE
from netjail.profile.linkkeys import GATEWAYS, LINK_MTU, VLAN, YES_OR_NO
from netjail.profile.links import overlap
from netjail.profile.model import Address, Interface
from netjail.profile.tables import Report, Values, invalid, subtable, table

Engine = Literal["bridge", "openvswitch"]
Range = tuple[Address, Address]
LEASE_DEFAULT = 3600
LEASE_MIN, LEASE_MAX = 120, 86400 * 30


@dataclass(frozen=True, slots=True)
class Dhcp:
    """[dhcp]: what a switch hands out. `ranges`: first and last address; `lease` in seconds;
    `gateways`, `dns` empty: none is named. `addresses`: the server's own, empty: the last free
    ones. `hosts`: (name or MAC, address) pairs."""

    ranges: tuple[Range, ...]
    lease: int = LEASE_DEFAULT
    gateways: tuple[Address, ...] = ()
    dns: tuple[Address, ...] = ()
    domain: str | None = None
    addresses: tuple[Interface, ...] = ()
    hosts: tuple[tuple[str, Address], ...] = ()


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch, whole and valid. `host_addresses` are those of the host's own port, which is there
    only with `host`. `vlan`: the VLAN of ports that name none; None: no VLANs at all. `uplink`: an
    interface of the host that is plugged in; `cut_off_host`: also where it is its only way out."""

    name: str
    engine: Engine = "bridge"
    description: str = ""
    host: bool = False
    host_addresses: tuple[Interface, ...] = ()
    isolated: bool = False
    vlan: int | None = None
    mtu: int | None = None
    uplink: str | None = None
    cut_off_host: bool = False
    dhcp: Dhcp | None = None


def _range(value: object) -> Range:
    text = checks.string(value)
    head, dash, tail = text.partition("-")
    if not dash:
        raise Bad("has no - between the first and the last address")
    first, last = checks.address(head.strip()), checks.address(tail.strip())
    if first.version != last.version:
        raise Bad("goes from one family of addresses to another")
    if int(first) > int(last):
        raise Bad("ends before it begins", f"{last}-{first}")
    return first, last


def _ranges(value: object) -> tuple[Range, ...]:
    items = value if isinstance(value, list) else [value]
    if not items:
        raise Bad("is empty")
    return tuple(_range(item) for item in items)


def _seconds(value: object) -> int:
    return checks.integer(value, LEASE_MIN, LEASE_MAX)


ENGINE = choice("bridge", "openvswitch")
HOST_ADDRESS = Type(
    'an address with its prefix length like "10.20.0.1/24" or "fd20::1/64", or a list of them',
    linkchecks.interfaces,
)
UPLINK = Type("the name of a network interface of the host, like eth1", checks.interface_name)
RANGES = Type('"FIRST-LAST" like "10.20.0.100-10.20.0.199", or a list of them', _ranges)
SECONDS = Type(f"{LEASE_MIN} to {LEASE_MAX} seconds", _seconds)
SERVERS = Type('addresses like "10.20.0.1"', checks.dns_server)
DOMAIN = Type('a domain like "lab.example"', checks.domain)
ADDRESS = Type("an address", checks.address)

KEYS: tuple[Key, ...] = (
    Key("version", VERSION_TYPE, "Version of this format.", required=True),
    Key("description", TEXT, "A line for yourself, shown by `switch list`.", default="empty"),
    Key(
        "engine",
        ENGINE,
        "What does the switching: the kernel's bridge, or Open vSwitch.",
        default='`"bridge"`',
    ),
    Key("host", YES_OR_NO, "Whether the host has a port of its own.", default="`false`"),
    Key("host_address", HOST_ADDRESS, "Addresses of the host's port.", default="none"),
    Key(
        "isolated",
        YES_OR_NO,
        "Whether the ports of jails reach only the host's port and the uplink, not each other.",
        default="`false`",
    ),
    Key(
        "vlan",
        VLAN,
        "The VLAN of ports that name none. The uplink carries all VLANs, tagged.",
        default="no VLANs",
    ),
    Key("mtu", LINK_MTU, "Largest packet on ports that name none.", default="1500"),
    Key(
        "uplink",
        UPLINK,
        "An interface of the host that is plugged in while the switch is up. It leaves the host "
        "for that time.",
        default="none",
    ),
    Key(
        "cut_off_host",
        YES_OR_NO,
        "Take the `uplink` even where it is the host's only way out.",
        default="`false`",
    ),
    Key("dhcp.range", RANGES, "Addresses to hand out.", required=True),
    Key(
        "dhcp.address",
        HOST_ADDRESS,
        "The server's own address on the switch. Its prefix length is that of the network.",
        default="the last free one of the network: of `host_address`, else /24, for IPv6 /64",
    ),
    Key("dhcp.lease", SECONDS, "For how long.", default=str(LEASE_DEFAULT)),
    Key("dhcp.gateway", GATEWAYS, "The way to everywhere else.", default="none"),
    Key("dhcp.dns", SERVERS, "Resolvers.", many=True, default="none"),
    Key("dhcp.domain", DOMAIN, "Search domain.", default="none"),
    Key(
        "dhcp.hosts.NAME",
        ADDRESS,
        "Always the same address for the profile, host name or hardware address called NAME.",
        default="none",
    ),
)
SECTIONS = {"": "the file", "dhcp": "[dhcp]", "dhcp.hosts": "[dhcp.hosts]"}
SWITCH = KeySet(KEYS, SECTIONS, named=frozenset({"dhcp.hosts"}))
"""What a switch's file may hold."""


def parse(name: str, text: str) -> tuple[Switch, list[str]]:
    """(the switch, warnings). Raises "invalid-switch" with every problem of the file."""
    toml.check_name(name, "switch")
    file = f"{name}.toml"
    raw, report = toml.read(file, text, "switch")
    switch = _switch(name, raw, report)
    if switch is None:
        raise invalid(file, report.problems, noun="switch")
    return switch, report.warnings


def _switch(name: str, raw: Mapping[str, Any], report: Report) -> Switch | None:
    values = table(raw, "", None, (), report, SWITCH)
    dhcp = None
    raw_dhcp = subtable(raw, "dhcp", report)
    if raw_dhcp is not None:
        dhcp = _dhcp(raw_dhcp, report)
    _relations(values, raw, report)
    if dhcp is not None:
        serving.judge(dhcp, values.get("host_address", ()), report)
    if report.bad():
        return None
    return Switch(
        name=name,
        engine=values.get("engine", "bridge"),
        description=values.get("description", ""),
        host=values.get("host", False),
        host_addresses=values.get("host_address", ()),
        isolated=values.get("isolated", False),
        vlan=values.get("vlan"),
        mtu=values.get("mtu"),
        uplink=values.get("uplink"),
        cut_off_host=values.get("cut_off_host", False),
        dhcp=dhcp,
    )


def _relations(values: Values, raw: Mapping[str, Any], report: Report) -> None:
    addresses: tuple[Interface, ...] = values.get("host_address", ())
    if "host_address" in raw and not values.get("host", False):
        report.problem(("host_address",), "is that of the host's port; it needs host = true")
    for number, address in enumerate(addresses):
        for other in addresses[:number]:
            if overlap(address.network, other.network) and address.network != other.network:
                report.problem(("host_address",), f"{address} overlaps {other}")
    if "cut_off_host" in raw and "uplink" not in raw:
        report.problem(("cut_off_host",), "is about the uplink, and there is none")
    mtu = values.get("mtu")
    if mtu is not None and mtu < checks.MTU_MIN_IPV6 and any(a.version == 6 for a in addresses):
        report.problem(
            ("mtu",),
            f"{mtu} is too small for IPv6; allowed: {checks.MTU_MIN_IPV6} to {checks.MTU_MAX}",
        )
    if values.get("isolated") and not values.get("host") and "uplink" not in raw:
        report.warn(
            "isolated: there is neither a port of the host nor an uplink, so that nobody on this "
            "switch reaches anybody"
        )


def _dhcp(raw: Mapping[str, Any], report: Report) -> Dhcp | None:
    before = report.bad()
    values = table(raw, "dhcp", None, ("dhcp",), report, SWITCH)
    hosts: list[tuple[str, Address]] = []
    raw_hosts = raw.get("hosts", {})
    if not isinstance(raw_hosts, dict):
        report.problem(("dhcp", "hosts"), "is not a table; write [dhcp.hosts]")
        raw_hosts = {}
    for name, value in raw_hosts.items():
        try:
            who = linkchecks.mac(name) if ":" in name else checks.host_name(name)
            hosts.append((who, checks.address(value)))
        except Bad as bad:
            report.problem(("dhcp", "hosts", name), bad.why)
    if report.bad() != before:
        return None
    return Dhcp(
        ranges=values["range"],
        lease=values.get("lease", LEASE_DEFAULT),
        gateways=values.get("gateway", ()),
        dns=values.get("dns", ()),
        domain=values.get("domain"),
        addresses=values.get("address", ()),
        hosts=tuple(hosts),
    )


def dump(switch: Switch) -> str:
    """The file of a switch; what is as by default is left out. `parse` gives it back."""
    import tomli_w  # on writing only

    raw: dict[str, Any] = {"version": VERSION}
    for key in ("description", "host", "isolated", "vlan", "mtu", "uplink", "cut_off_host"):
        if getattr(switch, key):
            raw[key] = getattr(switch, key)
    if switch.engine != "bridge":
        raw["engine"] = switch.engine
    if switch.host_addresses:
        raw["host_address"] = [str(a) for a in switch.host_addresses]
    if switch.dhcp is not None:
        raw["dhcp"] = _dump_dhcp(switch.dhcp)
    return tomli_w.dumps(raw)


def _dump_dhcp(dhcp: Dhcp) -> dict[str, Any]:
    raw: dict[str, Any] = {"range": [f"{first}-{last}" for first, last in dhcp.ranges]}
    if dhcp.lease != LEASE_DEFAULT:
        raw["lease"] = dhcp.lease
    for key, values in (
        ("address", dhcp.addresses),
        ("gateway", dhcp.gateways),
        ("dns", dhcp.dns),
    ):
        if values:
            raw[key] = [str(value) for value in values]
    if dhcp.domain is not None:
        raw["domain"] = dhcp.domain
    if dhcp.hosts:
        raw["hosts"] = {name: str(address) for name, address in dhcp.hosts}
    return raw
