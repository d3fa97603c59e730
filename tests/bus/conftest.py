# SPDX-License-Identifier: GPL-3.0-or-later
"""One world with a helper per module; profiles of different names keep the tests apart."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import world as worlds
from face import MANAGER, M, none

_reason = worlds.missing()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    for item in items:
        if _reason is not None and str(item.path).startswith(here):
            item.add_marker(pytest.mark.skip(reason=_reason))


@pytest.fixture(scope="module")
def bare() -> Iterator[worlds.World]:
    """A world without a helper."""
    made = worlds.World()
    yield made
    made.close()


@pytest.fixture(scope="module")
def world(bare: worlds.World) -> Iterator[worlds.World]:
    bare.start_helper()
    yield bare
    log = bare.log()
    assert "bug:" not in log, log
    assert "Traceback" not in log, log


@pytest.fixture(scope="module")
def people(world: worlds.World) -> dict[str, worlds.Client]:
    """A client of each user; "root" too."""
    return {
        "root": world.client(),
        **{name: world.client(name) for name in ("alice", "bob", "carol", "dave", "erin")},
    }


_numbers = itertools.count(1)


@pytest.fixture
def made(people: dict[str, worlds.Client]) -> Iterator[Callable[..., str]]:
    """Makes profiles as root; gives their names. They are removed again."""
    names: list[str] = []
    root = people["root"]

    def make(users: list[str] | None = None, text: str | None = None, up: bool = False) -> str:
        name = f"p{next(_numbers)}"
        root.ask("profile.add", name=name, text=text or none(users)).get()
        names.append(name)
        if up:
            root.ask("up", profile=name).get()
        root.call(MANAGER, M + "GetProfile", "sa{sv}", name, {})  # shown by now
        return name

    yield make
    for name in reversed(names):
        try:
            root.ask("down", profiles=[name], kill=True).get()
            root.ask("profile.remove", name=name).get()
        except worlds.BusError as error:
            assert error.name == "no-such-profile", error
