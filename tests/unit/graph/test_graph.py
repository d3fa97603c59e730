# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures: no two boxes overlap, every line is there and ends at its boxes, texts stay texts."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from netjail.graph import layout, model, svg, text

NAMES = st.text("abcdefgh-0123", min_size=1, max_size=31)


def profile(name: str, kind: str | None = "none", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": "",
        "kind": kind,
        "state": "up",
        "programs": 0,
        "through": None,
        "endpoint": None,
        "uplink_switch": None,
        "links": [],
        **more,
    }


def switch(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": "",
        "state": "up",
        "engine": "bridge",
        "host": False,
        "host_addresses": [],
        "isolated": False,
        "uplink": None,
        "dhcp": None,
        **more,
    }


def link(name: str = "lab", **more: Any) -> dict[str, Any]:
    return {"name": name, "peer": None, "switch": None, "addresses": ["10.0.0.1/24"], **more}


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Any]:
    """Any answer of the helper, also from files that contradict each other."""
    names = draw(st.lists(NAMES, unique=True, max_size=24))
    switches = draw(st.lists(NAMES, unique=True, max_size=4))
    anyone, any_switch = st.sampled_from([*names, "gone"]), st.sampled_from([*switches, "gone"])
    ends = st.one_of(
        st.builds(lambda n: link(switch=n), any_switch), st.builds(lambda n: link(peer=n), anyone)
    )
    return {
        "host": {"name": draw(st.text(max_size=70))},
        "profiles": [
            profile(
                name,
                draw(st.sampled_from(["none", "veth", "wireguard", None])),
                state=draw(st.sampled_from(["up", "down", "failed"])),
                through=draw(st.none() | anyone),
                endpoint=draw(st.none() | st.just("198.51.100.20:51820")),
                links=draw(st.lists(ends, max_size=4)),
                programs=draw(st.integers(0, 2)),
            )
            for name in names
        ],
        "switches": [switch(name, host=draw(st.booleans())) for name in switches],
    }


@given(networks())
def test_no_two_boxes_overlap_and_all_are_on_the_page(data: dict[str, Any]) -> None:
    placed = layout.place(model.build(data))
    assert len(placed.boxes) == 1 + len(data["profiles"]) + len(data["switches"])
    for one, other in combinations(placed.boxes, 2):
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        above = one.y + one.height <= other.y or other.y + other.height <= one.y
        assert beside or above, (one, other)
    for box in placed.boxes:
        assert box.x >= 0 and box.x + box.width <= placed.width
        assert box.y >= 0 and box.y + box.height <= placed.height


@given(networks())
def test_every_line_is_drawn_from_box_to_box(data: dict[str, Any]) -> None:
    graph = model.build(data)
    placed = layout.place(graph)
    boxes = {box.node.id: box for box in placed.boxes}
    assert sorted(map(repr, (w.edge for w in placed.wires))) == sorted(map(repr, graph.edges))
    for wire in placed.wires:
        ends = boxes[wire.edge.upper], boxes[wire.edge.lower]
        for x, y in (wire.points[0], wire.points[-1]):
            assert any(_touches(box, x, y) for box in ends), wire
        assert all(-1 <= x <= placed.width and 0 <= y <= placed.height for x, y in wire.points)


def _touches(box: layout.Box, x: float, y: float) -> bool:
    inside = box.x - 0.1 <= x <= box.x + box.width + 0.1
    return inside and box.y - 0.1 <= y <= box.y + box.height + 0.1


@given(networks(), st.booleans())
def test_the_tree_tells_of_every_box_and_every_line(data: dict[str, Any], unicode: bool) -> None:
    graph = model.build(data)
    lines = text.render(graph, unicode=unicode)
    told = " ".join(name for _, name, _, _ in lines).split()
    for node in graph.nodes:
        assert set(node.title.split()) <= set(told)
    links = sum(edge.bond == "link" for edge in graph.edges)
    assert len(lines) >= len(graph.edges) - links
    if not unicode:
        assert all(tree.isascii() for tree, _, _, _ in lines)


@given(networks())
def test_the_picture_is_well_formed(data: dict[str, Any]) -> None:
    graph = model.build(data)
    root = ET.fromstring(svg.render(layout.place(graph), "x"))
    paths = root.findall("{http://www.w3.org/2000/svg}path")
    assert len(paths) == len(graph.edges)


def test_a_description_is_no_markup() -> None:
    graph = model.Graph((model.Node("a", "profile", "<b>", ("&amp;\x1b\x00", '"'), "up"),), ())
    root = ET.fromstring(svg.render(layout.place(graph), "</title>"))
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["<b>", "&amp;\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}", '"']


def test_bonds_are_what_the_files_say() -> None:
    data = {
        "host": {"name": "notebook"},
        "profiles": [
            profile("vpn", "wireguard", endpoint="198.51.100.20:51820"),
            profile("far", "wireguard", endpoint="203.0.113.1:1", through="vpn"),
            profile("plain", "veth"),
            profile("a", links=[link(peer="b"), link(switch="lab")]),
            profile("b", links=[link(peer="a"), link(peer="secret")]),
        ],
        "switches": [switch("lab", uplink="eth1")],
    }
    edges = {(e.upper, e.lower, e.bond) for e in model.build(data).edges}
    assert edges == {
        ("host:", "profile:vpn", "tunnel"),
        ("profile:vpn", "profile:far", "through"),
        ("host:", "profile:plain", "uplink"),
        ("profile:a", "profile:b", "link"),
        ("switch:lab", "profile:a", "port"),
        ("host:", "switch:lab", "port"),
    }


def test_many_on_one_switch_stay_together() -> None:
    names = [f"node-{n}" for n in range(200)]
    data = {
        "host": {"name": "notebook"},
        "profiles": [profile(name, links=[link(switch="lab")]) for name in names],
        "switches": [switch("lab")],
    }
    placed = layout.place(model.build(data))
    assert placed.width < 4000 and placed.height < 4000
