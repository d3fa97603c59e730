# SPDX-License-Identifier: GPL-3.0-or-later
"""Icons with a badge: what they show, as librsvg draws them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from netjail.desktop import badge

Image = pytest.importorskip("PIL.Image")

DRAWINGS = {
    "box": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="10 10 40 40" {}/>',
    "millimetres": '<svg xmlns="http://www.w3.org/2000/svg" width="30mm" height="30mm" {}/>',
    "prefixed": '<s:svg xmlns:s="http://www.w3.org/2000/svg" width="9" height="9" {}/>',
}


def filled(name: str) -> bytes:
    """A drawing that is red all over."""
    prefix = "s:" if name == "prefixed" else ""
    inner = f'<{prefix}rect x="-99" y="-99" width="999" height="999"/>'
    text = DRAWINGS[name].format('fill="#ff0000"')
    return text.replace("/>", f">{inner}</{prefix}svg>").encode()


def drawn(tmp_path: Path, svg: bytes, size: int):
    if not shutil.which("rsvg-convert"):
        pytest.skip("rsvg-convert is not installed")
    source, target = tmp_path / "x.svg", tmp_path / "x.png"
    source.write_bytes(svg)
    subprocess.run(
        ["rsvg-convert", "-w", str(size), "-h", str(size), source, "-o", target], check=True
    )
    return Image.open(target).convert("RGBA")


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize("size", [*badge.SIZES, badge.SCALABLE])
def test_the_application_above_and_the_badge_below(tmp_path: Path, name: str, size: int) -> None:
    picture = drawn(tmp_path, badge.draw(filled(name), "vpn", size), size)
    red = (255, 0, 0, 255)
    assert picture.size == (size, size)
    assert [picture.getpixel(p) for p in ((0, 0), (size - 1, 0), (0, size - 1))] == [red] * 3
    wanted = tuple(bytes.fromhex(badge.colour("vpn")[1:]))
    right = [
        picture.getpixel((x, y)) for x in range(size // 2, size) for y in range(size // 2, size)
    ]
    near = [p for p in right if max(abs(a - b) for a, b in zip(p, wanted, strict=False)) < 25]
    assert len(near) > size * size / 30
    assert any(min(p[:3]) > 230 for p in right)  # the ring, and what is on it


def test_pixels_are_carried_along(tmp_path: Path) -> None:
    Image.new("RGBA", (48, 48), "#ff0000").save(tmp_path / "i.png")
    picture = drawn(tmp_path, badge.draw((tmp_path / "i.png").read_bytes(), "vpn", 48), 48)
    assert picture.getpixel((3, 3)) == (255, 0, 0, 255)
    assert picture.getpixel((46, 38)) != (255, 0, 0, 255)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"<html/>",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b'<svg xmlns="http://www.w3.org/2000/svg" width="0" height="1"/>',
        b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 . 1" width="1"/>',
    ],
)
def test_what_is_no_picture(data: bytes) -> None:
    with pytest.raises(ValueError):
        badge.draw(data, "vpn", 48)


def test_profiles_differ_by_colour_or_letter() -> None:
    marks = {(badge.colour(name), name[0]) for name in ("vpn", "work", "lab", "none")}
    assert len(marks) == 4
    assert {badge.colour(f"vpn{number}") for number in range(100)} == set(badge._COLOURS)
    ElementTree.fromstring(badge.draw(filled("box"), "9lives", 48))
