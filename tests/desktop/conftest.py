# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine with a helper that the bus starts, and one desktop session on it, per module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import desk

_reason = desk.missing()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    for item in items:
        if _reason is not None and str(item.path).startswith(here):
            item.add_marker(pytest.mark.skip(reason=_reason))


@pytest.fixture(scope="module")
def world() -> Iterator[desk.World]:
    """Alice may what the person at the machine may; see tests/bus/world.py."""
    made = desk.World()
    try:
        made.install_service()
        yield made
        log = made.path("/run/helper.log")
        said = log.read_text() if log.exists() else ""
    finally:
        made.close()
    assert "bug:" not in said, said
    assert "Traceback" not in said, said


@pytest.fixture(scope="module")
def desktop(world: desk.World) -> desk.Desktop:
    """Alice's session with a light panel at the top of the screen."""
    return desk.Desktop(world)
