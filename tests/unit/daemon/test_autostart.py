# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles that ask for it come up once after a boot, as soon as that is possible."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_engine import profile

from netjail.daemon import autostart
from netjail.daemon.autostart import Autostart
from netjail.errors import NetjailError


@pytest.fixture
def early(stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stage whose profile "early" asks for it, with short pauses."""
    monkeypatch.setattr(autostart, "PAUSES", (0.01,))
    asks = dataclasses.replace(profile("early"), autostart=True)
    stage.store.put(profile("other"), asks)
    stage.mark = str(tmp_path / "booted")
    stage.start()
    return stage


def begin(stage: Any) -> None:
    Autostart(stage.loop, stage.manager, stage.rooms, stage.mark).begin()


def state(stage: Any, name: str) -> str:
    return stage.manager.registry.get(name).state


def settle(stage: Any, seconds: float = 0.3) -> None:
    """Until nothing more would happen by itself."""
    end = stage.loop.call_later(seconds, lambda: None)
    stage.until(lambda: not end.active)


def test_those_that_ask_come_up_and_no_others(early: Any) -> None:
    begin(early)
    early.until(lambda: state(early, "early") == "up")
    settle(early)
    assert state(early, "other") == "down"


def test_once_a_boot(early: Any) -> None:
    begin(early)
    early.until(lambda: state(early, "early") == "up")
    assert early.ask("down", profiles=["early"], kill=False).result
    begin(early)
    settle(early)
    assert state(early, "early") == "down"


def test_it_is_tried_until_it_works(early: Any) -> None:
    early.engine.fail("up", "early", *[NetjailError("system", "no network yet")] * 3)
    begin(early)
    early.until(lambda: state(early, "early") == "up")
    assert early.logged("up") == [("up", "early")] * 4


def test_who_takes_it_in_hand_is_not_overruled(early: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autostart, "PAUSES", (0.5,))
    early.engine.fail("up", "early", NetjailError("system", "no network yet"))
    begin(early)
    early.until(lambda: ("early", "starting") in early.changes)
    early.until(lambda: state(early, "early") == "down")
    assert early.ask("up", profile="early", wait=0).result
    assert early.ask("down", profiles=["early"], kill=False).result
    settle(early, 1.0)
    assert state(early, "early") == "down"


def test_what_cannot_be_helped_is_tried_once(early: Any) -> None:
    early.engine.fail("up", "early", NetjailError("credentials-needed", "who are you?"))
    begin(early)
    settle(early)
    assert early.logged("up") == [("up", "early")]
    assert state(early, "early") != "up"


def test_a_profile_that_has_gone_meanwhile_is_left_alone(early: Any) -> None:
    early.engine.fail("up", "early", NetjailError("system", "no network yet"))
    begin(early)
    early.until(lambda: early.logged("up") != [])
    early.store.remove("early")
    settle(early)
    assert early.logged("up") == [("up", "early")]
