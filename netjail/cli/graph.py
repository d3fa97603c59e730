# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail graph`: all networks as one picture."""

from __future__ import annotations

import os

from netjail.cli.context import Context, Result
from netjail.cli.output import Output, Text, state_text
from netjail.cli.parser import VerbParser
from netjail.errors import NetjailError
from netjail.graph import layout, model, svg, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any


def parser() -> VerbParser:
    """The arguments of `graph`."""
    parser = VerbParser(
        "graph",
        "[--svg FILE] [--up]",
        "Draws the host, your profiles, and the tunnels, links and switches between them: as\n"
        "text, or as a picture (SVG, light and dark) that browsers and documents can show.",
        examples=(
            ("netjail graph", "as text"),
            ("netjail graph --svg networks.svg", "as a picture"),
            ("netjail graph --up --svg - | rsvg-convert -o networks.png", "only what is up"),
        ),
    )
    parser.option("--svg", metavar="FILE", help="write a picture to this file (-: standard output)")
    parser.option("--up", action="store_true", help="only what is up")
    return parser


def execute(args: Namespace, context: Context) -> Result:
    """{file, nodes, edges}: what is in the picture, and where it was written (null: nowhere)."""
    if context.output.json and args.svg == "-":
        raise NetjailError(
            "usage", "with --json the picture must go to a file", "netjail graph --json --svg FILE"
        )
    graph = model.build(context.call("graph", "asking for the networks"), down=not args.up)
    data = {
        "file": args.svg,
        "nodes": [
            {"id": n.id, "kind": n.kind, "name": n.title, "state": n.state, "lines": list(n.lines)}
            for n in graph.nodes
        ],
        "edges": [
            {"upper": e.upper, "lower": e.lower, "bond": e.bond, "label": e.label}
            for e in graph.edges
        ],
    }
    if args.svg is not None:
        picture = svg.render(layout.place(graph), "Networks of netjail")
        if args.svg == "-":
            context.output.out.write(picture)
        else:
            _write(args.svg, picture)
    return Result(data)


def _write(path: str, picture: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(picture)
    except OSError as error:
        raise NetjailError("system", f"cannot write {path}: {error.strerror}") from None


def render(data: dict[str, Any], output: Output) -> None:
    """The tree, or where the picture is."""
    if data["file"] is not None:
        if data["file"] != "-":
            output.note(f"{os.path.basename(data['file'])}: {len(data['nodes'])} networks drawn.")
        return
    graph = model.Graph(
        tuple(
            model.Node(n["id"], n["kind"], n["name"], tuple(n["lines"]), n["state"])
            for n in data["nodes"]
        ),
        tuple(model.Edge(e["upper"], e["lower"], e["bond"], e["label"]) for e in data["edges"]),
    )
    for tree, name, state, said in text.render(graph, unicode=output.out.unicode):
        parts: list[object] = [Text(tree, "dim"), Text(name, "bold")]
        if state:
            parts += [" ", state_text(state)]
        if said:
            parts += ["  ", Text(said, "dim")]
        output.line(*parts)
