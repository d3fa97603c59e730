# SPDX-License-Identifier: GPL-3.0-or-later
"""The rooms of the program: who may import whom, and how long a module may be."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import netjail

PACKAGE = Path(netjail.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

BASE = {"names", "errors", "__init__"}
ROOMS: dict[str, set[str]] = {
    "names": set(),
    "errors": set(),
    "__init__": set(),
    "profile": BASE,
    "uplinks": BASE | {"profile"},
    "leaks": BASE,
    "ports": set(),  # programs of their own: the standard library only
    "engine": BASE | {"profile", "uplinks", "launch", "leaks", "ports"},  # launch.syscalls
    "launch": {"names", "errors"},
    "daemon": BASE | {"profile", "uplinks", "engine", "launch", "leaks"},
    "activation": BASE,
    "agent": BASE,
    "client": BASE | {"activation", "agent"},
    "graph": set(),
    "cli": BASE
    | {"client", "graph", "agent", "profile", "launch", "demo", "desktop", "leaks", "tray"},
    "main": BASE | {"cli", "launch"},
    "__main__": {"main"},
    "demo": BASE | {"client", "cli", "profile"},
    "desktop": BASE | {"client"},
    "tray": BASE | {"client", "desktop", "leaks"},
}
"""Room to the rooms that it may import besides itself."""

OUTSIDE: dict[str, tuple[str, ...]] = {
    "pyroute2": ("engine/",),
    "nftables": ("engine/",),
    "wgconfig": ("profile/",),
    "tomli_w": ("profile/", "desktop/appsfile.py"),
    "gi": ("daemon/", "tray/"),
    "pydbus": ("daemon/", "tray/"),
    "xdg": ("desktop/",),
    "pystray": ("tray/icon.py",),
    "PIL": ("tray/draw.py",),
    "Xlib": ("tray/session.py", "tray/icon.py"),
}
"""What is not in the standard library, and the only places where it is imported."""

ONE_FILE = ("wgconfig", "pystray")


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Dotted names of all that a module imports, anywhere in it."""
    found: set[str] = set()
    package = ("netjail", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                start = ".".join(package[: len(package) - node.level + 1])
                base = f"{start}.{base}".rstrip(".")
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def rooms_of(dotted: str) -> str:
    parts = dotted.split(".")
    inner = parts[1] if len(parts) > 1 else "__init__"
    return inner if (PACKAGE / inner).is_dir() or (PACKAGE / f"{inner}.py").exists() else "__init__"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_point_one_way(path: Path) -> None:
    own = room(path)
    assert own in ROOMS, f"{own}: say in this test what this room may import"
    for dotted in imports(path):
        if dotted.split(".")[0] == "netjail":
            other = rooms_of(dotted)
            assert other == own or other in ROOMS[own], f"{own} must not import {dotted}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_other_packages_stay_in_their_rooms(path: Path) -> None:
    for dotted in imports(path):
        top = dotted.split(".")[0]
        if top == "netjail" or top in sys.stdlib_module_names:
            continue
        assert top in OUTSIDE, f"{top} is not among the known dependencies"
        assert relative(path).startswith(OUTSIDE[top]), f"{top} belongs to {OUTSIDE[top]}"


@pytest.mark.parametrize("name", ONE_FILE)
def test_imported_in_one_file(name: str) -> None:
    users = [relative(p) for p in MODULES if any(d.split(".")[0] == name for d in imports(p))]
    assert len(users) <= 1, users


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_module_fits_a_head(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 500
    assert lines[0] == "# SPDX-License-Identifier: GPL-3.0-or-later"
