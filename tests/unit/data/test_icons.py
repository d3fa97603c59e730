# SPDX-License-Identifier: GPL-3.0-or-later
"""The icons: what desktops need of them, and that the states differ at 16 pixels."""

from __future__ import annotations

import itertools
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest

import netjail

ICONS = Path(netjail.__file__).parents[1] / "data" / "icons" / "hicolor"
APP = ICONS / "scalable" / "apps" / "org.netjail.Netjail.svg"
SYMBOLIC = ICONS / "symbolic" / "apps"
STATES = ("up", "down", "degraded", "failed")
SVG = "{http://www.w3.org/2000/svg}"


def icon(state: str) -> Path:
    return SYMBOLIC / f"org.netjail.Netjail-{state}-symbolic.svg"


def shape(path: Path, size: int) -> list[int]:
    """How opaque each pixel is, 0 to 255, row by row."""
    command = ["rsvg-convert", "-w", str(size), "-h", str(size), str(path)]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, width, height = 8, b"", 0, 0
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert (depth, colour) == (8, 6), "RGBA"
        if kind == b"IDAT":
            packed += body
        at += length + 12
    raw, stride = zlib.decompress(packed), width * 4
    before = bytearray(stride)
    opacity: list[int] = []
    for row in range(height):
        start = row * (stride + 1)
        line = unfilter(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), before)
        opacity += line[3::4]
        before = line
    return opacity


def unfilter(method: int, line: bytearray, before: bytearray) -> bytearray:
    """One row of a PNG of four bytes a pixel (RFC 2083, section 6)."""
    for i in range(len(line)):
        left = line[i - 4] if i >= 4 else 0
        up = before[i]
        corner = before[i - 4] if i >= 4 else 0
        paeth = min((left, up, corner), key=lambda c: abs(left + up - corner - c))
        line[i] = (line[i] + (0, left, up, (left + up) // 2, paeth)[method]) & 255
    return line


def test_every_state_has_one() -> None:
    names = {path.name for path in SYMBOLIC.iterdir()}
    wanted = {icon(state).name for state in STATES}
    assert names == wanted | {"org.netjail.Netjail-symbolic.svg"}
    assert APP.exists()


@pytest.mark.parametrize("path", sorted(SYMBOLIC.glob("*.svg")), ids=lambda path: path.stem)
def test_desktops_can_recolour_it(path: Path) -> None:
    """GTK gives every fill the panel's colour and no stroke; Plasma replaces the style element."""
    root = ElementTree.parse(path).getroot()
    assert (root.get("width"), root.get("height")) == ("16", "16")
    style = root.find(f"{SVG}style")
    assert style is not None and style.get("id") == "current-color-scheme"
    groups = root.findall(f"{SVG}g")
    assert [(g.get("class"), g.get("fill")) for g in groups] == [
        ("ColorScheme-Text", "currentColor")
    ]
    for element in groups[0]:
        assert element.tag in (f"{SVG}path", f"{SVG}circle")
        assert not {"fill", "stroke", "style"} & set(element.attrib)


needs_rsvg = pytest.mark.skipif(not shutil.which("rsvg-convert"), reason="needs rsvg-convert")


@needs_rsvg
@pytest.mark.parametrize("size", [16, 22, 48])
def test_states_differ(size: int) -> None:
    shapes = {state: shape(icon(state), size) for state in STATES}
    for one, other in itertools.combinations(STATES, 2):
        different = sum(abs(a - b) > 96 for a, b in zip(shapes[one], shapes[other], strict=True))
        assert different >= size * size * 0.05, (one, other)


@needs_rsvg
def test_frame_is_crisp() -> None:
    """At 16 pixels the posts stand on whole pixels: no grey at their edges."""
    for state in STATES:
        pixels = shape(icon(state), 16)
        row = pixels[10 * 16 : 11 * 16]
        assert row[:4] == [0, 255, 255, 0], (state, row)


@needs_rsvg
def test_application_icon_fills_its_square() -> None:
    pixels = shape(APP, 48)
    assert 0.5 < sum(p > 128 for p in pixels) / len(pixels) < 0.9
