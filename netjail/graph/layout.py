# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the boxes and lines of a graph go, in pixels. Pure.

Layers from top to bottom: the host, what hangs on it, what hangs on that. A line that goes past a
layer gets a place of its own there, so that it runs between the boxes (Sugiyama, Tagawa, Toda
1981). Many leaves of one parent stand below it in columns, each column along a line of its own.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from netjail.graph.model import HOST, Edge, Graph, Node

Point = tuple[float, float]

MARGIN = 24.0
GAP_X, GAP_Y = 26.0, 56.0
LINE = 16.0
"""Height of a line of text."""
CHAR = 6.9
"""Width of a character, at most on average."""
NARROW, WIDE, BAR = 132.0, 260.0, 920.0
"""Least and greatest width of a box; greatest of a switch, which is as wide as what it joins."""
MANY = 5
"""So many leaves of one parent go into columns."""
INDENT, ROW_GAP = 22.0, 12.0
_SWEEPS = 12


@dataclass(frozen=True, slots=True)
class Box:
    node: Node
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Wire:
    """Points from the border of one box to that of the other; `curved`: by a smooth line."""

    edge: Edge
    points: tuple[Point, ...]
    curved: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    width: float
    height: float


@dataclass(slots=True)
class _Item:
    """What has a place in a layer: a box, the leaves of one in columns, or a line going past."""

    layer: int
    width: float
    height: float
    node: Node | None = None
    leaves: list[Node] = field(default_factory=list)
    rows: int = 0
    cell: tuple[float, float] = (0.0, 0.0)
    x: float = 0.0
    """Of its middle."""
    top: float = 0.0
    floor: float = 0.0
    """Where its layer ends: lines leave straight to there, past what is taller."""
    near: list[_Item] = field(default_factory=list)
    """What it is connected with in the layers above and below."""


def fit(text: str, width: float) -> str:
    """As much of a text as goes into a width."""
    most = int(width / CHAR)
    return text if len(text) <= most else text[: max(1, most - 1)] + "…"


def size(node: Node) -> tuple[float, float]:
    """Width and height of a box by its texts."""
    longest = max([len(node.title) * 1.1 + 3, *(len(line) for line in node.lines)])
    width = min(WIDE, max(NARROW, longest * CHAR + 28))
    return width, 34.0 + LINE * len(node.lines)


def place(graph: Graph) -> Layout:
    """The whole picture."""
    return _Placing(graph).run()


class _Placing:
    def __init__(self, graph: Graph) -> None:
        self._nodes = {node.id: node for node in graph.nodes}
        self._edges = [e for e in graph.edges if e.upper in self._nodes and e.lower in self._nodes]
        self._layers = _layers(list(self._nodes), self._edges)
        self._items: dict[str, _Item] = {}
        """By a node's id; leaves in columns share one."""
        self._rows: dict[int, list[_Item]] = defaultdict(list)
        self._chains: dict[Edge, list[_Item]] = {}

    def run(self) -> Layout:
        self._make_items()
        self._connect()
        self._order()
        height = self._heights()
        self._spread()
        left = min((i.x - i.width / 2 for row in self._rows.values() for i in row), default=0.0)
        for row in self._rows.values():
            for item in row:
                item.x += MARGIN - left
        boxes = {box.node.id: box for item in self._unique() for box in _boxes(item)}
        wires = tuple(self._wire(edge, boxes) for edge in self._edges)
        right = max(
            [b.x + b.width for b in boxes.values()] + [x for w in wires for x, _ in w.points]
        )
        ordered = tuple(boxes[name] for name in self._nodes)
        return Layout(ordered, wires, right + MARGIN, height)

    def _unique(self) -> list[_Item]:
        return list({id(item): item for item in self._items.values()}.values())

    # What stands where -------------------------------------------------------------------------

    def _make_items(self) -> None:
        for parent, leaves in self._bunches().items():
            layer = self._layers[parent] + 1
            sizes = [size(leaf) for leaf in leaves]
            cell = max(w for w, _ in sizes), max(h for _, h in sizes)
            rows = max(1, math.ceil(math.sqrt(len(leaves) * 1.6 * cell[0] / (cell[1] * 4))))
            columns = math.ceil(len(leaves) / rows)
            item = _Item(
                layer,
                columns * (INDENT + cell[0]) + (columns - 1) * GAP_X,
                rows * cell[1] + (rows - 1) * ROW_GAP,
                leaves=leaves,
                rows=rows,
                cell=cell,
            )
            self._items |= dict.fromkeys((leaf.id for leaf in leaves), item)
            self._rows[layer].append(item)
        for node in self._nodes.values():
            if node.id not in self._items:
                width, height = size(node)
                item = _Item(self._layers[node.id], width, height, node=node)
                self._items[node.id] = item
                self._rows[item.layer].append(item)
        for item in self._unique():
            if item.node is not None and item.node.kind != "profile":
                below = {
                    id(i): i.width + GAP_X
                    for e in self._edges
                    if e.upper == item.node.id and (i := self._items[e.lower]) is not item
                }
                item.width = min(BAR, max(item.width, 0.75 * sum(below.values())))

    def _bunches(self) -> dict[str, list[Node]]:
        """Parents with many leaves: nodes that have no other connection."""
        degree: dict[str, int] = defaultdict(int)
        for edge in self._edges:
            degree[edge.upper] += 1
            degree[edge.lower] += 1
        found: dict[str, list[Node]] = defaultdict(list)
        for edge in self._edges:
            if edge.bond != "link" and degree[edge.lower] == 1:
                found[edge.upper].append(self._nodes[edge.lower])
        return {parent: leaves for parent, leaves in found.items() if len(leaves) >= MANY}

    def _connect(self) -> None:
        seen: set[tuple[int, int]] = set()
        for edge in self._edges:
            upper, lower = self._items[edge.upper], self._items[edge.lower]
            if upper.layer > lower.layer:
                upper, lower = lower, upper
            chain = [upper]
            pair = id(upper), id(lower)
            if upper.layer < lower.layer and (pair not in seen or not lower.leaves):
                seen.add(pair)
                for layer in range(upper.layer + 1, lower.layer):
                    past = _Item(layer, 10.0, 0.0)
                    self._rows[layer].append(past)
                    chain.append(past)
            chain.append(lower)
            for one, other in itertools.pairwise(chain):
                one.near.append(other)
                other.near.append(one)
            self._chains[edge] = chain

    def _order(self) -> None:
        for row in self._rows.values():
            _pack(row)
        for sweep in range(_SWEEPS):
            for layer in sorted(self._rows, reverse=sweep % 2 == 1):
                row = self._rows[layer]
                row.sort(key=lambda item: (not item.near, _middle(item)))
                _pack(row)

    def _heights(self) -> float:
        top = MARGIN
        for layer in sorted(self._rows):
            row = self._rows[layer]
            tallest = max(item.height for item in row)
            for item in row:
                item.top, item.floor = top, top + tallest
                item.height = item.height or tallest  # a line goes past all of it
            top += tallest + GAP_Y
        return top - GAP_Y + MARGIN + (30.0 if self._arcs() else 0.0)

    def _arcs(self) -> bool:
        return any(self._items[e.upper].layer == self._items[e.lower].layer for e in self._edges)

    def _spread(self) -> None:
        for sweep in range(_SWEEPS):
            for layer in sorted(self._rows, reverse=sweep % 2 == 1):
                row = self._rows[layer]
                wanted = [_middle(item) for item in row]
                _settle(row, wanted)

    # Lines -------------------------------------------------------------------------------------

    def _wire(self, edge: Edge, boxes: dict[str, Box]) -> Wire:
        chain = self._chains[edge]
        if chain[0].layer == chain[-1].layer:
            return _arc(edge, boxes[edge.upper], boxes[edge.lower])
        upper, lower = boxes[edge.upper], boxes[edge.lower]
        if self._items[edge.upper] is not chain[0]:
            upper, lower = lower, upper
        past = [p for i in chain[1:-1] for p in ((i.x, i.top), (i.x, i.top + i.height))]
        if chain[-1].leaves:
            trunk = lower.x - INDENT / 2
            first = past[0][0] if past else trunk
            middle = lower.y + lower.height / 2
            points = [*past, (trunk, chain[-1].top - GAP_Y / 3), (trunk, middle), (lower.x, middle)]
            start = _on(upper, first)
            down = (start, chain[0].top + chain[0].height), (start, chain[0].floor + GAP_Y / 3)
            return Wire(edge, (*down, *points), curved=False)
        floor = chain[0].floor
        aim = past[0][0] if past else lower.x + lower.width / 2
        come = past[-1][0] if past else upper.x + upper.width / 2
        start, end = _on(upper, aim), _on(lower, come)
        if not past and lower.node.kind == "profile":
            end = _on(lower, start, spare=lower.width / 4)
            start = _on(upper, end)
        leave = [(start, upper.y + upper.height)]
        leave += [(start, floor)] if leave[0][1] < floor - 1 else []
        return Wire(edge, (*leave, *past, (end, lower.y)))


def _layers(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Below all that it hangs on; a circle, which only files with mistakes have, is cut."""
    above: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        if edge.bond != "link":
            above[edge.lower].append(edge.upper)
    layers: dict[str, int] = {HOST: 0}
    for name in names:
        stack, inside = [name], {name}
        while stack:
            here = stack[-1]
            missing = [p for p in above[here] if p not in layers and p not in inside]
            if missing:
                stack.append(missing[0])
                inside.add(missing[0])
                continue
            stack.pop()
            if here not in layers:
                layers[here] = 1 + max((layers.get(p, 0) for p in above[here]), default=0)
    return layers


def _middle(item: _Item) -> float:
    return sum(i.x for i in item.near) / len(item.near) if item.near else item.x


def _apart(one: _Item, other: _Item) -> float:
    return (one.width + other.width) / 2 + GAP_X


def _pack(row: list[_Item]) -> None:
    """One beside the other, the whole centred at 0."""
    x = 0.0
    for before, item in zip([None, *row], row, strict=False):
        x += 0.0 if before is None else _apart(before, item)
        item.x = x
    for item in row:
        item.x -= x / 2


def _settle(row: list[_Item], wanted: list[float]) -> None:
    """As near to where they want to be as their order and widths allow: the mean of pushing all
    to the right and all to the left."""
    for n in range(1, len(row)):
        if not row[n].near:  # with nothing to be near to: beside the one before
            wanted[n] = wanted[n - 1] + _apart(row[n - 1], row[n])
    right, left = list(wanted), list(wanted)
    for n in range(1, len(row)):
        right[n] = max(right[n], right[n - 1] + _apart(row[n - 1], row[n]))
    for n in range(len(row) - 2, -1, -1):
        left[n] = min(left[n], left[n + 1] - _apart(row[n], row[n + 1]))
    for item, one, other in zip(row, right, left, strict=True):
        item.x = (one + other) / 2


def _boxes(item: _Item) -> list[Box]:
    left = item.x - item.width / 2
    if item.node is not None:
        return [Box(item.node, left, item.top, item.width, item.height)]
    found = []
    for number, leaf in enumerate(item.leaves):
        column, row = divmod(number, item.rows)
        x = left + column * (INDENT + item.cell[0] + GAP_X) + INDENT
        y = item.top + row * (item.cell[1] + ROW_GAP)
        found.append(Box(leaf, x, y, item.cell[0], size(leaf)[1]))
    return found


def _on(box: Box, x: float, spare: float = 18.0) -> float:
    """The place on a box's upper or lower border that is nearest to an x."""
    return min(max(x, box.x + spare), box.x + box.width - spare)


def _arc(edge: Edge, one: Box, other: Box) -> Wire:
    """Between two boxes of one layer, below what stands between them."""
    if one.x > other.x:
        one, other = other, one
    start = (one.x + one.width * 0.7, one.y + one.height)
    end = (other.x + other.width * 0.3, other.y + other.height)
    low = max(start[1], end[1]) + 30.0
    return Wire(edge, (start, (start[0], low), (end[0], low), end), curved=False)
