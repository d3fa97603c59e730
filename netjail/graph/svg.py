# SPDX-License-Identifier: GPL-3.0-or-later
"""A layout as SVG: light, and dark where whoever looks at it prefers that."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from netjail.graph.layout import LINE, Box, Layout, Point, Wire, fit

_STYLE = """\
text { font: 12px system-ui, "Cantarell", "Noto Sans", "DejaVu Sans", sans-serif; fill: #4a5568; }
.title { font-size: 14px; font-weight: 600; fill: #1a202c; }
.page { fill: #ffffff; }
.profile { fill: #f7fafc; stroke: #a0aec0; }
.switch { fill: #ebf4ff; stroke: #5a8dd6; }
.host { fill: #2d3748; stroke: #2d3748; }
.on-host { fill: #f7fafc; } .on-host-dim { fill: #cbd5e0; }
.wire { fill: none; stroke: #a0aec0; stroke-width: 1.6; }
.tunnel, .through { stroke: #2f9e64; stroke-width: 2.6; }
.port { stroke: #5a8dd6; } .link { stroke: #b7791f; }
.off { stroke-dasharray: 4 4; }
.dot { fill: #a0aec0; } .dot-up { fill: #2f9e64; }
.dot-degraded, .dot-starting, .dot-stopping { fill: #d69e2e; } .dot-failed { fill: #c53030; }
@media (prefers-color-scheme: dark) {
  text { fill: #a0aec0; } .title { fill: #f7fafc; } .page { fill: #171923; }
  .profile { fill: #232936; stroke: #4a5568; } .switch { fill: #1b2c47; stroke: #4d7fc4; }
  .host { fill: #cbd5e0; stroke: #cbd5e0; }
  .on-host { fill: #171923; } .on-host-dim { fill: #4a5568; }
  .wire { stroke: #5b6678; } .tunnel, .through { stroke: #48bb78; }
  .port { stroke: #4d7fc4; } .link { stroke: #d69e2e; }
}
"""


def render(layout: Layout, title: str) -> str:
    """The whole file. Texts are escaped: they come from files that anybody may have written."""
    width, height = round(layout.width), round(layout.height)
    states = {box.node.id: box.node.state for box in layout.boxes}
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img">',
            f"<title>{_text(title)}</title>",
            f"<style>\n{_STYLE}</style>",
            f'<rect class="page" width="{width}" height="{height}"/>',
            *(_wire(wire, states) for wire in layout.wires),
            *(line for box in layout.boxes for line in _box(box)),
            "</svg>\n",
        ]
    )


def _text(text: str) -> str:
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return escape(shown, {'"': "&quot;"})


def _wire(wire: Wire, states: dict[str, str]) -> str:
    edge = wire.edge
    off = any(states.get(end) in ("down", "failed") for end in (edge.upper, edge.lower))
    path = _smooth(wire.points) if wire.curved else _rounded(wire.points)
    label = f"<title>{_text(edge.label)}</title>" if edge.label else ""
    return f'<path class="wire {edge.bond}{" off" * off}" d="{path}">{label}</path>'


def _smooth(points: Sequence[Point]) -> str:
    (x, y), *rest = points
    words = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in rest:
        bend = (to_y - y) / 2
        words.append(f"C{x:.1f} {y + bend:.1f} {to_x:.1f} {to_y - bend:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return " ".join(words)


def _rounded(points: Sequence[Point]) -> str:
    """Straight lines with round corners."""
    words = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        one, other = _towards(corner, before), _towards(corner, after)
        words.append(f"L{one[0]:.1f} {one[1]:.1f}")
        words.append(f"Q{corner[0]:.1f} {corner[1]:.1f} {other[0]:.1f} {other[1]:.1f}")
    words.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    return " ".join(words)


def _towards(start: Point, end: Point, most: float = 8.0) -> Point:
    length = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
    part = min(most, length / 2) / length if length else 0.0
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part


def _box(box: Box) -> list[str]:
    node = box.node
    corner = 8 if node.kind != "switch" else 18
    host = node.kind == "host"
    words = [
        f'<rect class="{node.kind}" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="{corner}"/>'
    ]
    centred = node.kind != "profile"
    x = box.x + box.width / 2 if centred else box.x + 14
    anchor = ' text-anchor="middle"' if centred else ""
    room = box.width - 28
    title = fit(node.title, (room - 14) / 1.1)
    words.append(
        f'<text class="title{" on-host" * host}" x="{x:.1f}" y="{box.y + 22:.1f}"{anchor}>'
        f"{_text(title)}</text>"
    )
    if node.state:
        words.append(
            f'<circle class="dot dot-{_text(node.state)}" cx="{box.x + box.width - 14:.1f}" '
            f'cy="{box.y + 17:.1f}" r="4.5"><title>{_text(node.state)}</title></circle>'
        )
    for number, line in enumerate(node.lines):
        words.append(
            f'<text class="{"on-host-dim" * host}" x="{x:.1f}" '
            f'y="{box.y + 24 + LINE * (number + 1):.1f}"{anchor}>{_text(fit(line, room))}</text>'
        )
    return words
