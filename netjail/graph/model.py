# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to draw: boxes and what connects them, from the helper's answer to `graph`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["host", "profile", "switch"]
Bond = Literal["uplink", "tunnel", "through", "port", "link"]
"""`uplink`: by the host's own way; `tunnel`: encrypted over it; `through`: a tunnel within
another profile; `port`: plugged into a switch; `link`: a cable between two profiles."""

HOST = "host:"


@dataclass(frozen=True, slots=True)
class Node:
    """A box. `state` is a profile's or a switch's, empty for the host."""

    id: str
    kind: Kind
    title: str
    lines: tuple[str, ...] = ()
    state: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """`upper` is drawn above `lower`, but for a `link`, which has no direction."""

    upper: str
    lower: str
    bond: Bond
    label: str = ""
    """What to know of the lower end: its interface and addresses."""


@dataclass(frozen=True, slots=True)
class Graph:
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def build(data: Mapping[str, Any], *, down: bool = True) -> Graph:
    """From the helper's answer. `down`: also profiles and switches that are not up.

    What leads to something that is not there, or may not be seen, is left out.
    """
    profiles = [p for p in data["profiles"] if down or p["state"] != "down"]
    switches = [s for s in data["switches"] if down or s["state"] != "down"]
    known = {_profile(p["name"]) for p in profiles} | {_switch(s["name"]) for s in switches}
    nodes = [Node(HOST, "host", data["host"]["name"] or "this computer", ("the host",))]
    edges: list[Edge] = []
    for switch in switches:
        nodes.append(_switch_node(switch))
        if switch["host"] or switch["uplink"]:
            label = ", ".join([*([switch["uplink"]] if switch["uplink"] else []),
                               *switch["host_addresses"]])  # fmt: skip
            edges.append(Edge(HOST, _switch(switch["name"]), "port", label))
    cables: set[frozenset[str]] = set()
    for profile in profiles:
        nodes.append(_profile_node(profile))
        mine = _profile(profile["name"])
        edges += _uplink(profile, known)
        for link in profile["links"]:
            label = " ".join([link["name"], *link["addresses"]])
            if link["switch"] is not None:
                if _switch(link["switch"]) in known:
                    edges.append(Edge(_switch(link["switch"]), mine, "port", label))
                continue
            other = _profile(link["peer"])
            if other in known and other != mine and frozenset((mine, other)) not in cables:
                cables.add(frozenset((mine, other)))
                edges.append(Edge(mine, other, "link", label))
    return Graph(tuple(nodes), tuple(edges))


def _profile(name: str) -> str:
    return f"profile:{name}"


def _switch(name: str) -> str:
    return f"switch:{name}"


def _uplink(profile: Mapping[str, Any], known: set[str]) -> list[Edge]:
    kind, mine = profile["kind"], _profile(profile["name"])
    if kind in (None, "none"):
        return []
    through = profile["through"]
    if through is not None:
        upper = _profile(through)
        return [Edge(upper, mine, "through")] if upper in known and upper != mine else []
    bond: Bond = "tunnel" if profile["endpoint"] else "uplink"
    switch = profile.get("uplink_switch")
    if switch is not None:
        return [Edge(_switch(switch), mine, "port")] if _switch(switch) in known else []
    return [Edge(HOST, mine, bond)]


def _profile_node(profile: Mapping[str, Any]) -> Node:
    lines = [profile["kind"] or "not valid"]
    if profile["kind"] == "none" and profile["links"]:
        lines = []
    if profile["endpoint"]:
        lines.append(f"to {profile['endpoint']}")
    for link in profile["links"]:
        lines.append(" ".join([link["name"], *link["addresses"][:2]]))
    if profile["programs"]:
        count = profile["programs"]
        lines.append("1 program" if count == 1 else f"{count} programs")
    name = profile["name"]
    return Node(_profile(name), "profile", name, tuple(lines), profile["state"])


def _switch_node(switch: Mapping[str, Any]) -> Node:
    what = "Open vSwitch" if switch["engine"] == "openvswitch" else "bridge"
    words = ["switch", what, *(["isolated"] if switch["isolated"] else [])]
    words += [f"DHCP {switch['dhcp']}"] if switch["dhcp"] else []
    return Node(
        _switch(switch["name"]), "switch", switch["name"], (" · ".join(words),), switch["state"]
    )
