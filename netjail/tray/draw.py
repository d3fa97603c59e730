# SPDX-License-Identifier: GPL-3.0-or-later
"""The icon's four looks, drawn by us: a gate with bars, and a badge that tells the state.

Each is told by its shape as well as by its colour: down is a hollow gate; up a filled one with a
round light; degraded has a triangle, failed a cross. Every edge has a rim of the other brightness,
so that it stands out on a light and on a dark panel. Measures are sixteenths of the width, so that
at 16 pixels nothing is thinner than a pixel.
"""

from __future__ import annotations

import functools

from PIL import Image, ImageDraw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from netjail.tray.state import Look

SIZE = 64
"""Pixels: panels scale down, from a multiple of 16 without blur."""
_OVER = 4
"""Drawn so many times larger, then scaled down: PIL does not smooth edges itself."""

_WHITE = (255, 255, 255, 255)
_INK = (38, 44, 52, 255)
_WALL = {
    "down": (119, 128, 138, 255),
    "up": (38, 128, 96, 255),
    "degraded": (176, 108, 0, 255),
    "failed": (190, 38, 50, 255),
}
_BADGE = {
    "up": (64, 222, 128, 255),
    "degraded": (255, 200, 40, 255),
    "failed": (240, 60, 70, 255),
}


@functools.lru_cache(maxsize=8)
def image(look: Look, size: int = SIZE) -> Any:
    """The icon as a PIL image, RGBA, square."""
    full = size * _OVER
    picture = Image.new("RGBA", (full, full), (0, 0, 0, 0))
    pen = _Pen(ImageDraw.Draw(picture), full / 16)
    _gate(pen, look)
    _MARKS[look](pen)
    return picture.resize((size, size), Image.Resampling.BOX)


def tile(look: Look, size: int = SIZE) -> Any:
    """The icon on a ground of its own, for where nothing can be transparent."""
    ground = Image.new("RGB", (size, size), _INK[:3])
    picture = image(look, size)
    ground.paste(picture, (0, 0), picture)
    return ground


class _Pen:
    """Draws in sixteenths of the icon's width."""

    def __init__(self, draw: Any, unit: float) -> None:
        self._draw = draw
        self._unit = unit

    def _box(self, box: Sequence[float]) -> list[float]:
        left, top, right, bottom = (each * self._unit for each in box)
        return [left, top, right - 1, bottom - 1]

    def arch(self, box: tuple[float, float, float, float], fill: Any) -> None:
        """A rectangle whose upper half is round."""
        left, top, right, bottom = box
        middle = top + (right - left) / 2
        self._draw.ellipse(self._box((left, top, right, top + (right - left))), fill=fill)
        self._draw.rectangle(self._box((left, middle, right, bottom)), fill=fill)

    def bar(self, box: tuple[float, float, float, float], fill: Any) -> None:
        self._draw.rectangle(self._box(box), fill=fill)

    def round(self, x: float, y: float, radius: float, fill: Any) -> None:
        self._draw.ellipse(self._box((x - radius, y - radius, x + radius, y + radius)), fill=fill)

    def shape(self, points: Sequence[tuple[float, float]], fill: Any) -> None:
        self._draw.polygon([(x * self._unit, y * self._unit) for x, y in points], fill=fill)

    def stroke(self, points: Sequence[tuple[float, float]], width: float, fill: Any) -> None:
        """A line with round ends."""
        scaled = [(x * self._unit, y * self._unit) for x, y in points]
        self._draw.line(scaled, fill=fill, width=round(width * self._unit))
        for x, y in points:
            self.round(x, y, width / 2, fill)


def _gate(pen: _Pen, look: Look) -> None:
    wall = _WALL[look]
    pen.arch((0, 0, 14, 16), _WHITE)
    pen.arch((1, 1, 13, 15), wall)
    if look == "down":
        pen.arch((3, 3, 11, 13), (0, 0, 0, 0))
    else:
        pen.arch((3, 3, 11, 13), _INK)
    for left in (5, 8):
        pen.bar((left, 3, left + 1, 13), wall if look == "down" else _WHITE)


def _light(pen: _Pen) -> None:
    pen.round(11.5, 11.5, 4.5, _WHITE)
    pen.round(11.5, 11.5, 3.5, _BADGE["up"])


def _triangle(pen: _Pen) -> None:
    pen.shape([(10.5, 5), (12.5, 5), (16, 14), (16, 16), (6, 16), (6, 14)], _INK)
    pen.shape([(11, 6), (12, 6), (15.5, 15), (15.5, 15.5), (7, 15.5)], _BADGE["degraded"])
    pen.bar((11, 9, 12.3, 12.5), _INK)
    pen.bar((11, 13.4, 12.3, 14.7), _INK)


def _cross(pen: _Pen) -> None:
    for width, colour in ((4.2, _WHITE), (2.2, _BADGE["failed"])):
        pen.stroke([(8.5, 8.5), (13.5, 13.5)], width, colour)
        pen.stroke([(13.5, 8.5), (8.5, 13.5)], width, colour)


def _nothing(_pen: _Pen) -> None:
    pass


_MARKS = {"down": _nothing, "up": _light, "degraded": _triangle, "failed": _cross}
