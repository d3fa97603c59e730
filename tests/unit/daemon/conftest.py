# SPDX-License-Identifier: GPL-3.0-or-later
"""A manager over fake rooms as fixtures (see manager_stage)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from manager_stage import Stage

from netjail import names


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What happens to profiles is written down elsewhere than where a real helper does."""
    monkeypatch.setattr(names, "LOGS_DIR", str(tmp_path / "logs"))


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    for gate in stage.engine.gates.values():
        gate.set()
    stage.manager.end()
    stage.until(lambda: not stage.manager.busy)
    stage.loop.close()


@pytest.fixture
def started(stage: Stage) -> Stage:
    stage.start()
    return stage
