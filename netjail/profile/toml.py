# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile files: text to `Profile` and back."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from typing import Any

from netjail import names
from netjail.errors import NetjailError
from netjail.profile import amnezia, keys, links, places, ports, schema, tunnels
from netjail.profile.lines import Locator
from netjail.profile.model import (
    AmneziaWG,
    Dns,
    ForeignNetns,
    Lan,
    OpenConnect,
    OpenVpn,
    Peer,
    Profile,
    Veth,
    WireGuard,
)
from netjail.profile.schema import invalid

SIZE_MAX = 1 << 20
"""Bytes; a message on the socket holds no more either."""


def check_name(name: str, noun: str = "profile") -> None:
    """Raise "invalid-name" unless `name` may be a profile's, or a switch's."""
    if not names.valid_name(name):
        from netjail.profile.checks import show

        raise NetjailError(
            "invalid-name",
            f"{show(name)} cannot be the name of a {noun}",
            "use a-z, 0-9, - and _, at most 31 characters, beginning with a letter or a digit",
        )


def parse(name: str, text: str) -> tuple[Profile, list[str]]:
    """(the profile, warnings). Raises "invalid-profile" with every problem of the file.

    A problem reads `NAME.toml:LINE: dotted.key: "value" why; allowed: ...; did you mean ...?`
    (without LINE where it cannot be told); peers are counted from 1: `uplink.peer#1`.
    """
    check_name(name)
    file = f"{name}.toml"
    raw, report = read(file, text)
    profile = schema.read_profile(name, raw, report)
    if profile is None:
        raise invalid(file, report.problems)
    return profile, report.warnings


def read(file: str, text: str, noun: str = "profile") -> tuple[dict[str, Any], schema.Report]:
    """The tables of a file, and a report whose problems tell its lines. Raises "invalid-NOUN"."""
    text = text.removeprefix("\ufeff")
    if len(text) > SIZE_MAX:
        raise invalid(file, [f"{file}: is larger than {SIZE_MAX} characters"], noun=noun)
    try:
        text.encode()
        raw = tomllib.loads(text)
    except UnicodeEncodeError:
        raise invalid(file, [f"{file}: is not Unicode text"], noun=noun) from None
    except ValueError as error:  # TOMLDecodeError, and integers too long for int()
        from netjail.profile.checks import printable

        raise invalid(
            file, [f"{file}: is not TOML: {printable(str(error), 200)}"], noun=noun
        ) from None
    except RecursionError:
        raise invalid(file, [f"{file}: is nested too deeply"], noun=noun) from None
    locator = Locator(text)

    def locate(path: schema.Path) -> str:
        line = locator.line(path)
        at = f"{file}:{line}" if line else file
        return f"{at}: {schema.dotted(path)}" if path else at

    return raw, schema.Report(locate, locator.line)


def dump(profile: Profile) -> str:
    """The file of a profile; what is as by default is left out. `parse` gives it back."""
    import tomli_w  # on writing only

    raw: dict[str, Any] = {"version": keys.VERSION}
    if profile.description:
        raw["description"] = profile.description
    if profile.users:
        raw["users"] = list(profile.users)
    if profile.stop != "never":
        raw["stop"] = profile.stop
    if profile.autostart:
        raw["autostart"] = True
    raw["uplink"] = _uplink(profile)
    dns = _dns(profile.dns, profile.uplink.kind)
    if dns:
        raw["dns"] = dns
    if profile.isolation.dbus:
        raw["isolation"] = {"dbus": True}
    if profile.links:
        raw["link"] = [links.dump(link) for link in profile.links]
    for way in ("forward", "expose"):
        if rows := ports.dump(profile.ports, way):
            raw[way] = rows
    # certificates over several lines, as everybody has them
    return tomli_w.dumps(raw, multiline_strings=isinstance(profile.uplink, OpenVpn | OpenConnect))


def _uplink(profile: Profile) -> dict[str, Any]:
    uplink = profile.uplink
    raw: dict[str, Any] = {"kind": uplink.kind, **ports.dump_natpmp(profile.natpmp)}
    if isinstance(uplink, WireGuard):
        raw["private_key"] = uplink.private_key
        raw["address"] = [str(a) for a in uplink.addresses]
        if uplink.dns_servers or uplink.dns_search:
            raw["dns"] = [*map(str, uplink.dns_servers), *uplink.dns_search]
        for name in ("mtu", "listen_port", "fwmark", "through"):
            if getattr(uplink, name) is not None:
                raw[name] = getattr(uplink, name)
        if isinstance(uplink, AmneziaWG):
            raw |= amnezia.plain(uplink)
        if not uplink.failover:
            raw["failover"] = False
        raw["peer"] = [_peer(p) for p in uplink.peers]
        if uplink.places:
            raw["place"] = places.dump(uplink)
    elif isinstance(uplink, OpenVpn | OpenConnect):
        raw |= tunnels.dump(uplink)
    elif isinstance(uplink, Veth):
        if uplink.interface is not None:
            raw["interface"] = uplink.interface
        if uplink.lan:
            raw["lan"] = True
        if uplink.host:
            raw["host"] = True
        if uplink.mtu is not None:
            raw["mtu"] = uplink.mtu
    elif isinstance(uplink, Lan):
        raw.update(_lan(uplink))
    elif isinstance(uplink, ForeignNetns):
        raw["name"] = uplink.name
    return raw


def _lan(uplink: Lan) -> dict[str, Any]:
    """What differs from the defaults; the names of the model are those of the file but for two."""
    raw: dict[str, Any] = {}
    for field in fields(uplink):
        value = getattr(uplink, field.name)
        if value == field.default or field.name == "dhcp":
            continue
        if field.name == "addresses":
            raw["address"] = [str(a) for a in value]
        elif field.name == "gateways":
            raw["gateway"] = str(value[0]) if len(value) == 1 else [str(a) for a in value]
        else:
            raw[field.name] = value
    return raw


def _peer(peer: Peer) -> dict[str, Any]:
    raw: dict[str, Any] = {"public_key": peer.public_key}
    if peer.preshared_key is not None:
        raw["preshared_key"] = peer.preshared_key
    if peer.endpoint is not None:
        raw["endpoint"] = str(peer.endpoint)
    if peer.allowed_ips:
        raw["allowed_ips"] = [str(n) for n in peer.allowed_ips]
    if peer.persistent_keepalive is not None:
        raw["persistent_keepalive"] = peer.persistent_keepalive
    return raw


def _dns(dns: Dns, kind: str) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    if dns.mode != keys.DNS_MODES[kind][0]:
        raw["mode"] = dns.mode
    if dns.servers or "mode" in raw:
        raw["servers"] = [str(s) for s in dns.servers]
    if dns.search:
        raw["search"] = list(dns.search)
    hosts: dict[str, list[str]] = {}
    for name, address in dns.hosts:
        hosts.setdefault(name, []).append(str(address))
    if hosts:
        raw["hosts"] = {n: a[0] if len(a) == 1 else a for n, a in hosts.items()}
    return raw
