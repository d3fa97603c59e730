# SPDX-License-Identifier: GPL-3.0-or-later
"""The icon of a second launcher: the application's own, with a small badge in a corner.

Written as SVG into the user's hicolor theme, one for each of the small sizes, where the badge is
drawn larger and on whole pixels, and one for all others. The application's picture is carried
along: drawings as they are, pictures of pixels in the size that fits best. Nothing is drawn by us,
so nothing is needed to draw it. The badge is a disc in a colour of the profile's own, with the
first letter of its name where there is room for one.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import os
import re
import zlib
from xml.etree import ElementTree

from netjail.desktop import icons, places, rewrite
from netjail.desktop.keyfile import KeyFile
from netjail.errors import NetjailError

SIZES = (16, 22, 24, 32, 48)
"""Pixels for which there is a drawing of its own; all others scale that of SCALABLE."""
SCALABLE = 128
_LOOKED_UP = 256
_SIZE_MAX = 4 << 20
_COLOURS = (
    "#1c71d8",
    "#26a269",
    "#c64600",
    "#a51d2d",
    "#813d9c",
    "#865e3c",
    "#007f8c",
    "#c0267e",
)
"""Dark enough for white bars; all different in hue."""
_DISC = {16: 9, 22: 11, 24: 12, 32: 15, 48: 20, SCALABLE: 50}
"""Diameter of the badge, ring and all, in pixels of the icon."""
_LETTER_FROM = 22
"""Pixels of an icon from which a letter can be read; below, a dot."""

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_UNITS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0}
_LENGTH = re.compile(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(px|pt|pc|mm|cm|in|)\s*")
_NUMBER = re.compile(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?")
_PNG = b"\x89PNG\r\n\x1a\n"


def name_of(entry_id: str) -> str | None:
    """The name of the icon that a launcher has of ours, None where it has none."""
    name = entry_id.removesuffix(".desktop")
    return name if os.path.exists(_file(name, SCALABLE)) else None


def put(entry_id: str, source: bytes, profile: str) -> str | None:
    """Make the icon of a launcher from the entry `source`; gives its name. None where there is no
    picture that could carry a badge: then the launcher shows what the application shows."""
    name = entry_id.removesuffix(".desktop")
    original = KeyFile(source).get(rewrite.MAIN, "Icon") or ""
    drawn = {}
    for size in (*SIZES, SCALABLE):
        picture = _load(original, _LOOKED_UP if size == SCALABLE else size)
        if picture is not None:
            drawn[size] = draw(picture, profile, size)
    if SCALABLE not in drawn:
        remove(entry_id)
        return None
    for size in (*SIZES, SCALABLE):
        if size in drawn:
            places.write(_file(name, size), drawn[size])
        else:
            places.remove(_file(name, size))
    _announce()
    return name


def remove(entry_id: str) -> None:
    """Take the icon of a launcher away."""
    name = entry_id.removesuffix(".desktop")
    for size in (*SIZES, SCALABLE):
        places.remove(_file(name, size))
    _announce()


def colour(profile: str) -> str:
    """A colour that a profile always gets."""
    return _COLOURS[zlib.crc32(profile.encode()) % len(_COLOURS)]


def draw(picture: bytes, profile: str, size: int) -> bytes:
    """The icon, `size` pixels wide. `picture`: SVG or PNG. Raises ValueError for anything else."""
    root = ElementTree.Element(
        f"{{{_SVG}}}svg",
        {"width": f"{size}", "height": f"{size}", "viewBox": f"0 0 {size} {size}"},
    )
    root.append(_pixels(picture, size) if picture.startswith(_PNG) else _drawing(picture, size))
    root.append(_badge(profile, size))
    for prefix, space in (("", _SVG), ("xlink", _XLINK)):
        ElementTree.register_namespace(prefix, space)
    head = b'<?xml version="1.0" encoding="UTF-8"?>\n'
    text: bytes = ElementTree.tostring(root, encoding="utf-8")
    return head + text + b"\n"


def _badge(profile: str, size: int) -> ElementTree.Element:
    diameter = _DISC[size]
    middle = size - diameter / 2
    ring = max(1.0, diameter / 14)
    group = ElementTree.Element(f"{{{_SVG}}}g")

    def add(tag: str, **attributes: object) -> ElementTree.Element:
        given = {
            key.replace("_", "-"): f"{value:g}" if isinstance(value, float) else str(value)
            for key, value in attributes.items()
        }
        return ElementTree.SubElement(group, f"{{{_SVG}}}{tag}", given)

    add("circle", cx=middle, cy=middle, r=diameter / 2, fill="#ffffff")
    add("circle", cx=middle, cy=middle, r=diameter / 2 - ring, fill=colour(profile))
    if size < _LETTER_FROM or not profile:
        add("circle", cx=middle, cy=middle, r=diameter / 6, fill="#ffffff")
    else:
        letter = add(
            "text",
            x=middle,
            y=middle + 0.265 * diameter,  # capitals are 0.73 of the size of a font
            fill="#ffffff",
            font_family="Cantarell, 'Noto Sans', 'DejaVu Sans', sans-serif",
            font_weight="bold",
            font_size=0.73 * diameter,
            text_anchor="middle",
        )
        letter.text = profile[0].upper()
    return group


def _pixels(picture: bytes, size: int) -> ElementTree.Element:
    data = "data:image/png;base64," + base64.b64encode(picture).decode()
    return ElementTree.Element(
        f"{{{_SVG}}}image",
        # xlink:href and not href: QtSvg and librsvg before 2.48 know only that
        {"width": f"{size}", "height": f"{size}", f"{{{_XLINK}}}href": data},
    )


def _drawing(picture: bytes, size: int) -> ElementTree.Element:
    """The whole drawing in a group: QtSvg takes no <svg> in an <svg>, and none as an image."""
    try:
        old = ElementTree.fromstring(picture)  # noqa: S314 - expat bounds entities
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from None
    if old.tag != f"{{{_SVG}}}svg":
        raise ValueError(old.tag)
    x, y, width, height = _box(old)
    scale = size / max(width, height)
    # in the middle, as preserveAspectRatio has it
    dx = (size - width * scale) / 2 - x * scale
    dy = (size - height * scale) / 2 - y * scale
    group = ElementTree.Element(
        f"{{{_SVG}}}g", {"transform": f"translate({dx:.6g} {dy:.6g}) scale({scale:.6g})"}
    )
    inherited = ElementTree.SubElement(group, f"{{{_SVG}}}g")
    for key, value in old.attrib.items():
        if key not in ("width", "height", "viewBox", "version", "baseProfile", "x", "y", "id"):
            inherited.set(key, value)
    inherited.text = old.text
    inherited.extend(list(old))
    return group


def _box(root: ElementTree.Element) -> tuple[float, float, float, float]:
    """What a drawing shows of its plane: x, y, width, height."""
    numbers = [float(n) for n in _NUMBER.findall(root.get("viewBox", ""))]
    if len(numbers) == 4 and numbers[2] > 0 and numbers[3] > 0:
        return numbers[0], numbers[1], numbers[2], numbers[3]
    sides = []
    for key in ("width", "height"):
        found = _LENGTH.fullmatch(root.get(key, ""))
        if found is None or float(found[1]) <= 0:
            raise ValueError(f"no {key}")
        sides.append(float(found[1]) * _UNITS[found[2]])
    return 0.0, 0.0, sides[0], sides[1]


def _load(icon: str, size: int) -> bytes | None:
    """The application's picture for a size, if it is one that can be carried."""
    path = icons.path(icon, size)
    if path is None or not path.endswith((".svg", ".svgz", ".png")):
        return None
    try:
        if os.path.getsize(path) > _SIZE_MAX:
            return None
        data = places.read(path)
        if data is not None and data.startswith(b"\x1f\x8b"):
            with gzip.open(path) as opened:
                data = opened.read(_SIZE_MAX)
        if data is None:
            return None
        draw(data, "", size if size in SIZES else SCALABLE)
        return data
    except (NetjailError, OSError, EOFError, ValueError, zlib.error):
        return None


def _file(name: str, size: int) -> str:
    directory = "scalable" if size == SCALABLE else f"{size}x{size}"
    return os.path.join(_theme(), directory, "apps", f"{name}.svg")


def _theme() -> str:
    return os.path.join(places.data_home(), "icons", "hicolor")


def _announce() -> None:
    """Desktops look at the time of the theme's directory (and distrust a cache that is older)."""
    with contextlib.suppress(OSError):
        os.utime(_theme())
    icons.forget()
