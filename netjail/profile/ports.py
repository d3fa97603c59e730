# SPDX-License-Identifier: GPL-3.0-or-later
"""The [[forward]] and [[expose]] tables: single services that are reached across a jail's wall.

The same words are taken from the command line (`netjail port add`) as from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from netjail.profile import checks
from netjail.profile.checks import Bad
from netjail.profile.model import NatPmp, Port
from netjail.profile.portchecks import (
    LOCALHOST,
    UNIX,
    addresses,
    join,
    label,
    listen,
    listen_inside,
    split,
    target,
    target_outside,
)
from netjail.profile.portkeys import natpmp_keys
from netjail.profile.tables import Path, Report, Values, table

MOST = 64
"""Ports of one profile, both ways together."""
NATPMP = {key.leaf: key for key in natpmp_keys(())}
"""Keys of [uplink] that are read here."""
_WAYS = {"forward": "[[forward]]", "expose": "[[expose]]"}


def made(way: str, values: Values) -> Port:
    """A port from values that have been judged."""
    listens = values["listen"]
    to = values.get("to") or join(LOCALHOST, split(listens)[1])
    return Port(way, values.get("protocol", "tcp"), listens, to, values.get("name", ""))


def from_words(words: dict[str, Any]) -> Port:
    """A port as a request has it: way, listen, to, protocol, name. Raises Bad."""
    outward = words["way"] == "expose"
    values: Values = {"protocol": words["protocol"]}
    values["listen"] = (listen_inside if outward else listen)(words["listen"])
    if words["to"] is not None:
        values["to"] = (target_outside if outward else target)(words["to"])
    if words["name"]:
        values["name"] = label(words["name"])
    port = made(words["way"], values)
    for text in relations(port):
        raise Bad(text)
    return port


def relations(port: Port) -> list[str]:
    """What is wrong between the values of one port."""
    if port.protocol == "udp" and port.to.startswith(UNIX):
        return ["is a socket for TCP's like only, not for UDP"]
    return []


def read_ports(raw: Mapping[str, Any], report: Report) -> tuple[Port, ...]:
    """All [[forward]] and [[expose]] tables of a file."""
    found: list[Port] = []
    for way, written in _WAYS.items():
        tables = raw.get(way, [])
        if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
            report.problem((way,), f"is not a list of tables; write {written}")
            continue
        if len(tables) > MOST:
            report.problem((way,), f"are {len(tables)}; allowed: at most {MOST} in a profile")
            continue
        for number, each in enumerate(tables):
            path: Path = (way, number)
            before = report.bad()
            values = table(each, way, None, path, report)
            if report.bad() != before:
                continue
            port = made(way, values)
            for text in relations(port):
                report.problem((*path, "to"), f"{checks.show(port.to)} {text}")
            if other := next((p for p in found if clash(p, port)), None):
                report.problem(
                    (*path, "listen"),
                    f"{checks.show(port.listen)} is what {written} {other.listen} listens on "
                    f"already ({port.protocol})",
                )
            found.append(port)
    if len(found) > MOST:
        report.problem(
            ("expose",), f"and forward are {len(found)} together; allowed: {MOST} in a profile"
        )
    return tuple(found)


def clash(one: Port, other: Port) -> bool:
    """Whether two ports of a profile would listen on the same address and port."""
    if (one.way, one.protocol) != (other.way, other.protocol):
        return False
    mine, theirs = addresses(one.listen), addresses(other.listen)
    return any(
        a[1] == b[1] and (a[0] == b[0] or _all_of(a[0], b[0]) or _all_of(b[0], a[0]))
        for a in mine
        for b in theirs
    )


def _all_of(one: str, other: str) -> bool:
    first, second = ip_address(one), ip_address(other)
    return first.is_unspecified and first.version == second.version


def dump(ports: tuple[Port, ...], way: str) -> list[dict[str, Any]]:
    """The tables of one sort; what is as by default is left out."""
    rows = []
    for port in ports:
        if port.way != way:
            continue
        row: dict[str, Any] = {"listen": _short(port.listen)}
        if port.to != join(LOCALHOST, split(port.listen)[1]):
            row["to"] = port.to if port.to.startswith(UNIX) else _short(port.to)
        if port.protocol != "tcp":
            row["protocol"] = port.protocol
        if port.name:
            row["name"] = port.name
        rows.append(row)
    return rows


def _short(text: str) -> str | int:
    host, port = split(text)
    return port if host == LOCALHOST else text


def read_natpmp(raw: Mapping[str, Any], report: Report) -> NatPmp | None:
    """What an [uplink] whose keys are good says of a port of the provider's."""
    values = {leaf: NATPMP[leaf].type.read(raw[leaf]) for leaf in NATPMP if leaf in raw}
    if not values.pop("natpmp", False):
        for leaf in values:
            report.problem(("uplink", leaf), "is of no use without natpmp = true")
        return None
    return NatPmp(values.get("natpmp_gateway"), values.get("natpmp_port"))


def dump_natpmp(natpmp: NatPmp | None) -> dict[str, Any]:
    """Its keys of [uplink]."""
    if natpmp is None:
        return {}
    row: dict[str, Any] = {"natpmp": True}
    if natpmp.gateway is not None:
        row["natpmp_gateway"] = str(natpmp.gateway)
    if natpmp.port is not None:
        row["natpmp_port"] = natpmp.port
    return row


def key(port: Port) -> tuple[str, str, str]:
    """What there is one of in a profile."""
    return port.way, port.protocol, port.listen
