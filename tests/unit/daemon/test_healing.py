# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases are opened, helped and closed; what happened is kept; a sleep is noticed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from fake_engine import profile
from manager_stage import Stage, turn_until

from netjail.daemon import healer
from netjail.daemon.journal import FILE_MAX, LINES_MAX, Journal
from netjail.daemon.loop import Loop
from netjail.daemon.state import Entry
from netjail.daemon.wake import Wake
from netjail.errors import NetjailError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healer, "ANSWER_SECONDS", 0.02)
    monkeypatch.setattr(healer, "ANSWER_SECONDS_CASE", 0.02)
    monkeypatch.setattr(healer, "ANSWER_GRACE", -1)
    monkeypatch.setattr(healer, "PAUSE_FIRST", 0.02)
    monkeypatch.setattr(healer, "PAUSE_MOST", 0.05)


@pytest.fixture
def tunnel(started: Stage) -> Stage:
    started.store.put(profile("a", tunnel=True))
    started.engine.answers["a"] = True
    started.engine.ways["a"] = "dev wan0"
    started.ask("up", profile="a").result  # noqa: B018
    started.until(lambda: keeper(started).healer._ways.get("a") == "dev wan0")
    return started


def keeper(stage: Stage) -> Any:
    return stage.manager._keeper


def helped(stage: Stage) -> list[str]:
    return [what for what, name in stage.engine.log if what.startswith("heal") and name == "a"]


def lines(stage: Stage) -> list[str]:
    return [line["text"] for line in stage.ask("logs", profile="a").result["lines"]]


def test_a_silent_tunnel_is_helped_again_and_again_until_it_answers(tunnel: Stage) -> None:
    tunnel.engine.answers["a"] = False
    tunnel.until(lambda: tunnel.state("a") == "degraded" and len(helped(tunnel)) >= 4)
    assert helped(tunnel)[:3] == ["heal 1", "heal 2", "heal 3"]
    tunnel.engine.answers["a"] = True
    tunnel.until(lambda: tunnel.state("a") == "up" and "a" not in keeper(tunnel).healer._cases)
    before = len(helped(tunnel))
    assert any("does not answer" in line for line in lines(tunnel))
    tunnel.until(lambda: any(t.startswith("the other end answers") for t in lines(tunnel)))
    assert len(helped(tunnel)) == before


def test_a_suspected_tunnel_that_does_not_answer_is_helped_before_it_is_called_silent(
    tunnel: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healer, "ANSWER_GRACE", 3600)  # it was asked: being fresh is no excuse
    tunnel.engine.verified["a"] = False
    tunnel.engine.waiting["a"] = 0.0
    tunnel.until(lambda: tunnel.state("a") == "degraded" and helped(tunnel) != [])
    assert helped(tunnel)[0] == "heal 1"
    assert ("verify", "a") in tunnel.engine.log
    tunnel.engine.waiting["a"] = None
    tunnel.until(lambda: tunnel.state("a") == "up")


def test_a_suspicion_that_proves_wrong_changes_nothing(tunnel: Stage) -> None:
    tunnel.engine.verified["a"] = True
    tunnel.engine.waiting["a"] = 0.0
    tunnel.until(lambda: tunnel.engine.log.count(("verify", "a")) >= 2)
    assert tunnel.state("a") == "up"
    assert helped(tunnel) == []


def test_a_host_without_a_way_out_degrades_it_at_once(tunnel: Stage) -> None:
    tunnel.engine.ways["a"] = ""
    tunnel.engine.answers["a"] = None
    keeper(tunnel)._host_changed()
    tunnel.until(lambda: tunnel.state("a") == "degraded")
    tunnel.engine.ways["a"] = "dev wan1 via 192.0.2.1"
    keeper(tunnel)._host_changed()
    tunnel.until(lambda: any("dev wan1" in line for line in lines(tunnel)))
    tunnel.engine.answers["a"] = True
    tunnel.until(lambda: tunnel.state("a") == "up")


def test_a_change_that_leaves_the_way_as_it_was_helps_nobody(tunnel: Stage) -> None:
    keeper(tunnel)._host_changed()
    tunnel.until(lambda: ("host_changed", "") in tunnel.engine.log)
    tunnel.until(lambda: not keeper(tunnel)._host_busy)
    assert helped(tunnel) == []


def test_after_a_sleep_every_tunnel_is_doubted_and_helped(tunnel: Stage) -> None:
    # the function that logind's signal and the clock's jump call
    keeper(tunnel).healer.woken(3 * 3600.0)
    tunnel.until(lambda: "heal 0" in helped(tunnel) and ("doubt", "a") in tunnel.engine.log)
    tunnel.until(lambda: "a" not in keeper(tunnel).healer._cases)
    assert any("slept for 3.0 h" in line for line in lines(tunnel))


def test_what_has_no_tunnel_is_left_alone(started: Stage) -> None:
    started.store.put(profile("a"))
    started.ask("up", profile="a").result  # noqa: B018
    keeper(started).healer.woken(60.0)
    started.until(lambda: "a" not in keeper(started).healer._cases)
    assert helped(started) == []


def test_help_that_fails_is_told_and_tried_again(tunnel: Stage) -> None:
    tunnel.engine.fail("heal 1", "a", NetjailError("resolve-failed", "nobody knows the name"))
    tunnel.engine.answers["a"] = False
    tunnel.until(lambda: len(helped(tunnel)) >= 2)
    tunnel.until(lambda: any("nobody knows the name" in line for line in lines(tunnel)))


def test_the_state_of_a_jail_that_went_down_meanwhile_stays_so(tunnel: Stage) -> None:
    gate = tunnel.engine.gate("heal 1", "a")
    tunnel.engine.answers["a"] = False
    tunnel.until(lambda: "heal 1" in helped(tunnel))
    tunnel.ask("down", profiles=["a"]).result  # noqa: B018
    gate.set()
    tunnel.until(lambda: "a" not in keeper(tunnel).healer._cases)
    assert tunnel.state("a") == "down"
    assert lines(tunnel)[-1] == "it is down"


# The journal ---------------------------------------------------------------------------------


def journal(tmp_path: Path) -> tuple[Loop, Journal]:
    loop = Loop()
    return loop, Journal(loop, str(tmp_path / "ring"))


def test_the_next_helper_has_the_old_lines_and_goes_on_counting(tmp_path: Path) -> None:
    _, first = journal(tmp_path)
    first.changed(Entry("a", "up"))
    first.changed(Entry("a", "degraded", "the tunnel does not answer"))
    with open(tmp_path / "ring" / "a", "ab") as file:
        file.write(b'{"n": 7, "ti')  # killed in the middle of a line
    assert os.stat(tmp_path / "ring").st_mode & 0o777 == 0o700
    assert os.stat(tmp_path / "ring" / "a").st_mode & 0o777 == 0o600
    _, second = journal(tmp_path)
    assert [line["text"] for line in second.read("a", 0, 0)] == [
        "it is up",
        "the tunnel does not answer",
    ]
    second.changed(Entry("a", "up"))
    numbers = [line["n"] for line in second.read("a", 0, 0)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 3


def test_neither_memory_nor_the_file_grows_for_ever(tmp_path: Path) -> None:
    loop, ring = journal(tmp_path)
    for number in range(3 * LINES_MAX):
        ring.say("a", f"{number} " + "x" * 1000)
        loop.dispatch()
    assert len(ring.read("a", 0, 0)) == LINES_MAX
    assert (tmp_path / "ring" / "a").stat().st_size < FILE_MAX + 2000
    _, after = journal(tmp_path)
    kept = after.read("a", 0, 0)
    assert kept[-1]["text"].startswith(f"{3 * LINES_MAX - 1} ")
    assert len(kept) > 50
    assert json.loads((tmp_path / "ring" / "a").read_text().splitlines()[0])["n"]


def test_a_question_is_answered_by_the_next_line_or_when_its_time_is_up(tmp_path: Path) -> None:
    loop, ring = journal(tmp_path)
    answers: list[dict[str, Any]] = []
    ring.ask("a", 0, 0, 10, answers.append)
    ring.say("b", "not this one")
    loop.dispatch()
    assert answers == []
    ring.say("a", "this one")
    turn_until(loop, lambda: bool(answers))
    assert [line["text"] for line in answers[0]["lines"]] == ["this one"]
    ring.ask("a", 0, answers[0]["lines"][-1]["n"], 0.01, answers.append)
    turn_until(loop, lambda: len(answers) == 2)
    assert answers[1] == {"lines": []}
    ring.ask("a", time.time() + 99, 0, 10, answers.append)
    ring.stop()
    assert len(answers) == 3


def test_whoever_may_not_see_a_profile_does_not_see_its_past(started: Stage) -> None:
    from netjail.daemon.authorise import Peer

    started.store.put(profile("a"))
    started.manager.registry.move("a", "up")
    stranger = Peer(uid=54321, gid=54321, pid=1)
    with pytest.raises(NetjailError):
        started.ask("logs", stranger, profile="a").result  # noqa: B018


def test_a_profile_that_is_removed_leaves_no_past(tunnel: Stage) -> None:
    tunnel.ask("down", profiles=["a"]).result  # noqa: B018
    tunnel.ask("profile.remove", name="a").result  # noqa: B018
    tunnel.until(lambda: lines(tunnel) == [])


# Sleep ---------------------------------------------------------------------------------------


def test_a_clock_that_jumped_tells_of_a_sleep_once() -> None:
    loop, slept, clock = Loop(), [], [100.0]
    wake = Wake(loop, slept.append, lambda: clock[0])
    wake._jumped(0)  # somebody has set the clock: nobody slept
    clock[0] += 3600.0
    wake._jumped(0)
    wake.sleeping(False)  # and logind says so too
    assert slept == [3600.0]
    wake.close()


def test_what_logind_says_is_believed_whatever_the_clocks_say() -> None:
    slept: list[float] = []
    wake = Wake(Loop(), slept.append, lambda: 0.0)
    wake.sleeping(True)
    assert slept == []
    wake.sleeping(False)
    assert slept == [0.0]
    wake.close()
