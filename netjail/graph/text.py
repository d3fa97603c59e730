# SPDX-License-Identifier: GPL-3.0-or-later
"""A graph as lines of text: what hangs on what, as a tree with box-drawing characters."""

from __future__ import annotations

from collections import defaultdict

from netjail.graph.model import HOST, Edge, Graph, Node

Line = tuple[str, str, str, str]
"""What a line is made of: the tree's own characters, a name, its state, what is to be said."""

_BRANCH = {True: ("├─ ", "└─ ", "│  ", "   "), False: ("|- ", "`- ", "|  ", "   ")}
_MARK = {
    "uplink": "",
    "tunnel": "tunnel ",
    "through": "tunnel ",
    "port": "",
    "link": "cable ",
}


def render(graph: Graph, *, unicode: bool = True) -> list[Line]:
    """Every node once with all that is to be said of it; where it comes again, by its name.

    Every edge is a line: cables stand below both of their ends.
    """
    return _Tree(graph, _BRANCH[unicode]).lines()


class _Tree:
    def __init__(self, graph: Graph, branch: tuple[str, str, str, str]) -> None:
        self._nodes = {node.id: node for node in graph.nodes}
        self._branch = branch
        self._below: dict[str, list[tuple[str, Edge]]] = defaultdict(list)
        self._has_parent: set[str] = set()
        for edge in graph.edges:
            self._below[edge.upper].append((edge.lower, edge))
            if edge.bond == "link":
                self._below[edge.lower].append((edge.upper, edge))
            else:
                self._has_parent.add(edge.lower)
        self._told: set[str] = set()
        self._lines: list[Line] = []

    def lines(self) -> list[Line]:
        roots = [HOST] if HOST in self._nodes else []
        roots += [name for name in self._nodes if name not in self._has_parent and name != HOST]
        # switches first: whoever hangs on one is then told below it
        roots.sort(key=lambda n: ("host", "switch", "profile").index(self._nodes[n].kind))
        for name in [*roots, *self._nodes]:
            if name not in self._told:
                self._tell(name, "", "", None)
        return self._lines

    def _tell(self, name: str, head: str, indent: str, edge: Edge | None) -> None:
        node = self._nodes[name]
        again = name in self._told
        self._told.add(name)
        self._lines.append((head, _name(node), node.state, _said(node, edge, again)))
        if again:
            return
        below = self._below[name]
        tee, corner, line, blank = self._branch
        for number, (other, its) in enumerate(below):
            last = number == len(below) - 1
            if its.bond == "link" and (other in self._told or other in self._has_parent):
                said = f"cable: {self._nodes[other].title}"
                self._lines.append((indent + (corner if last else tee), said, "", ""))
                continue
            self._tell(
                other, indent + (corner if last else tee), indent + (blank if last else line), its
            )


def _name(node: Node) -> str:
    return f"switch {node.title}" if node.kind == "switch" else node.title


def _said(node: Node, edge: Edge | None, again: bool) -> str:
    words = []
    if edge is not None and edge.bond in ("port", "link") and edge.label:
        words.append(_MARK[edge.bond] + edge.label)
    if again:
        return ", ".join([*words, "see above"])
    if node.kind == "switch":
        words.append(node.lines[0].removeprefix("switch · "))
    else:
        told = edge.label if edge is not None else ""
        words += [line for line in node.lines if not told or not told.startswith(line)]
    return ", ".join(words)
