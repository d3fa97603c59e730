# SPDX-License-Identifier: GPL-3.0-or-later
"""Repair, silent tunnels, jails that stop when idle: over a fake engine, with real processes."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from fake_engine import FakeAdopted, FakeProcess, FakeProgram, profile
from manager_stage import Stage

from netjail.daemon import healer, keeper, programs
from netjail.errors import NetjailError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "REPAIR_FIRST", 0.02)
    monkeypatch.setattr(healer, "ANSWER_SECONDS", 0.02)
    monkeypatch.setattr(healer, "ANSWER_GRACE", -1)
    monkeypatch.setattr(keeper, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(keeper, "IDLE_AGAIN_SECONDS", 0.05)


class Sleepers:
    def __init__(self) -> None:
        self.all: list[subprocess.Popen[bytes]] = []

    def __call__(self, *argv: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(argv or ("sleep", "60"), stdout=subprocess.PIPE)
        self.all.append(child)
        return child


@pytest.fixture
def sleeper() -> Iterator[Sleepers]:
    sleepers = Sleepers()
    yield sleepers
    for child in sleepers.all:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def test_a_dead_process_is_noticed_and_repaired(started: Stage, sleeper: Sleepers) -> None:
    child = sleeper()
    started.store.put(profile("a", tunnel=True))
    started.engine.processes["a"] = [FakeProcess("wireguard-go", child.pid)]
    started.ask("up", profile="a").result  # noqa: B018
    started.engine.fail("up", "a", NetjailError("system", "not yet"))
    reasons: list[str | None] = []
    started.manager.listen(lambda entry: reasons.append(entry.reason))
    started.engine.processes["a"] = []
    child.kill()
    started.until(lambda: started.state("a") == "failed")
    started.until(lambda: started.state("a") == "up")
    assert reasons[0] is not None and reasons[0].startswith("wireguard-go has ended")
    assert "not yet" in reasons
    assert len(started.logged("up")) == 3


def test_the_pauses_between_repairs_grow(started: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    started.store.put(profile("a", tunnel=True))
    gone = subprocess.Popen(["true"])
    gone.wait()
    started.engine.processes["a"] = [FakeProcess("wireguard-go", gone.pid)]
    started.ask("up", profile="a")
    started.until(lambda: len(started.logged("up")) == 5)
    pauses = [
        float(line.split("repair in ")[1].split()[0])
        for line in capfd.readouterr().err.splitlines()
        if "repair in" in line
    ]
    assert pauses[:4] == [0.02, 0.04, 0.08, 0.16]
    started.ask("down", profiles=["a"]).result  # noqa: B018
    started.until(lambda: started.manager.quiet)


def test_down_is_no_accident(started: Stage, sleeper: Sleepers) -> None:
    child = sleeper()
    started.store.put(profile("a", tunnel=True))
    started.engine.processes["a"] = [FakeProcess("wireguard-go", child.pid)]
    started.ask("up", profile="a").result  # noqa: B018
    gate = started.engine.gate("down", "a")
    going = started.ask("down", profiles=["a"])
    started.until(lambda: started.state("a") == "stopping")
    child.kill()
    started.loop.dispatch(50)
    gate.set()
    assert going.result["results"][0]["state"] == "down"
    assert "failed" not in [state for _, state in started.changes]


def test_what_was_found_failed_is_repaired(stage: Stage) -> None:
    stage.store.put(profile("a", tunnel=True))
    stage.engine.standing = [FakeAdopted("a", state="failed", reason="wireguard-go is gone")]
    stage.start()
    stage.until(lambda: stage.state("a") == "up")


def test_silent_tunnels(started: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    started.store.put(profile("a", tunnel=True), profile("b"))
    started.ask("up", profile="a").result  # noqa: B018
    started.ask("up", profile="b").result  # noqa: B018
    started.engine.answers["a"] = False
    started.until(lambda: started.state("a") == "degraded")
    assert (
        started.manager.registry.get("a").reason
        == "the tunnel does not answer; nothing can leave until that changes"
    )
    started.engine.answers["a"] = True
    started.until(lambda: started.state("a") == "up")
    assert started.state("b") == "up"


def test_stop_when_idle(started: Stage, sleeper: Sleepers) -> None:
    started.store.put(profile("a", stop="when-idle"))
    started.ask("up", profile="a").result  # noqa: B018
    first, second = sleeper(), sleeper()
    started.engine.inside = [FakeProgram("a", first.pid), FakeProgram("a", second.pid)]
    # only the first was told of; the second is its child
    assert started.ask("enter", profile="a", pid=first.pid).result == {}
    first.kill()
    first.wait()
    started.until(lambda: started.manager._keeper._programs.pids("a") == {second.pid})
    assert started.state("a") == "up"
    second.kill()
    second.wait()
    started.until(lambda: started.state("a") == "down")
    started.until(lambda: started.manager.quiet)


def test_stop_when_idle_waits_for_what_enters_meanwhile(started: Stage, sleeper: Sleepers) -> None:
    started.store.put(profile("a", stop="when-idle"))
    started.ask("up", profile="a").result  # noqa: B018
    first = sleeper()
    started.engine.inside = [FakeProgram("a", first.pid)]
    started.ask("enter", profile="a", pid=first.pid).result  # noqa: B018
    first.kill()
    first.wait()
    started.until(lambda: "a" in started.manager._keeper._idle)
    second = sleeper()
    started.engine.inside = [FakeProgram("a", second.pid)]
    started.until(lambda: started.manager._keeper._programs.pids("a") == {second.pid})
    assert started.state("a") == "up"


def test_up_again_gives_time_to_enter(
    started: Stage, sleeper: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "IDLE_AGAIN_SECONDS", 60)
    started.store.put(profile("a", stop="when-idle"))
    started.ask("up", profile="a").result  # noqa: B018
    first = sleeper()
    started.engine.inside = [FakeProgram("a", first.pid)]
    started.ask("enter", profile="a", pid=first.pid).result  # noqa: B018
    first.kill()
    first.wait()
    started.until(lambda: "a" in started.manager._keeper._idle)
    before = started.manager._keeper._idle["a"]
    started.ask("up", profile="a").result  # noqa: B018
    started.until(lambda: not before.active)
    assert started.state("a") == "up"
    assert started.manager._keeper._idle["a"].active


def test_stop_when_idle_is_for_those_that_say_so(started: Stage, sleeper: Sleepers) -> None:
    started.store.put(profile("a"), profile("idle", stop="when-idle"))
    started.ask("up", profile="a").result  # noqa: B018
    started.ask("up", profile="idle").result  # noqa: B018
    child = sleeper()
    assert started.ask("enter", profile="a", pid=child.pid).result == {}
    assert started.ask("enter", profile="idle", pid=child.pid).error.code == "bad-request"
    assert not started.manager._keeper._programs.pids("a")


def test_a_base_that_is_to_stop_when_idle_goes_with_its_last_user(stage: Stage) -> None:
    stage.store.put(profile("b", "a"), profile("a", stop="when-idle"))
    stage.start()
    stage.ask("up", profile="b").result  # noqa: B018
    stage.ask("down", profiles=["b"]).result  # noqa: B018
    stage.until(lambda: stage.state("a") == "down")


def test_adopted_jails_stop_when_idle(stage: Stage, sleeper: Sleepers) -> None:
    child = sleeper()
    stage.store.put(profile("a", stop="when-idle"), profile("b", stop="when-idle"))
    stage.engine.standing = [FakeAdopted(name, stop="when-idle") for name in "ab"]
    stage.engine.inside = [FakeProgram("b", child.pid)]
    stage.start()
    stage.until(lambda: stage.state("a") == "down")
    stage.until(lambda: stage.manager._keeper._programs.pids("b") == {child.pid})
    assert stage.state("b") == "up"
    child.kill()
    child.wait()
    stage.until(lambda: stage.state("b") == "down")


# Programs ------------------------------------------------------------------------------------


def test_kill_signals_those_inside_and_no_others(started: Stage, sleeper: Sleepers) -> None:
    started.store.put(profile("a"))
    inside, outside = sleeper(), sleeper()
    assert started.ask("kill", profile="a", signal=15).error.code == "not-up"
    started.ask("up", profile="a").result  # noqa: B018
    started.engine.inside = [FakeProgram("a", inside.pid)]
    error = started.ask("kill", profile="a", pids=[inside.pid, outside.pid], signal=9).error
    assert error.code == "usage"
    assert inside.poll() is None and outside.poll() is None
    done = started.ask("kill", profile="a", pids=None, signal=9).result
    assert done == {"signalled": [inside.pid]}
    assert inside.wait(5) == -signal.SIGKILL
    assert outside.poll() is None


def test_down_kill(started: Stage, sleeper: Sleepers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "TERM_SECONDS", 0.2)
    started.store.put(profile("a"), profile("b"))
    for name in "ab":
        started.ask("up", profile=name).result  # noqa: B018
    obedient = sleeper()
    stubborn = sleeper("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    assert stubborn.stdout is not None
    assert stubborn.stdout.readline() == b"ready\n"
    started.engine.inside = [FakeProgram("a", obedient.pid), FakeProgram("b", stubborn.pid)]
    asked = started.ask("down", profiles=["a", "b"], kill=True)
    assert [each["state"] for each in asked.result["results"]] == ["down", "down"]
    assert obedient.wait(5) == -signal.SIGTERM
    assert stubborn.wait(5) == -signal.SIGKILL


def test_a_stopped_program_is_ended_as_well(
    started: Stage, sleeper: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    started.store.put(profile("a"))
    started.ask("up", profile="a").result  # noqa: B018
    child = sleeper()
    child.send_signal(signal.SIGSTOP)
    started.engine.inside = [FakeProgram("a", child.pid)]
    started.ask("down", profiles=["a"], kill=True).result  # noqa: B018
    assert child.wait(5) == -signal.SIGTERM


def test_long_command_lines_are_shortened() -> None:
    shown = programs.as_dict(FakeProgram("a", 1, argv=("x", "y" * 100_000, "z")))
    assert shown["argv"] == ["x", "y" * (programs.ARGV_MAX - 1) + "..."]
    assert shown["user"] == "root"


def test_a_jails_files_are_looked_at_again_but_not_without_a_pause(
    started: Stage, sleeper: Sleepers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "FOLLOW_SECONDS", 0.1)
    looks: list[float] = []

    def follow(_name: str) -> bool:
        looks.append(time.monotonic())
        file.write_text("and again")  # as somebody does who never pauses
        return False

    monkeypatch.setattr(started.engine, "follow", follow)
    file = tmp_path / "lease"
    file.write_text("")
    started.engine.files["a"] = [str(file)]
    started.engine.processes["a"] = [FakeProcess("natpmp", sleeper().pid)]
    started.store.put(profile("a", tunnel=True))
    started.ask("up", profile="a").result  # noqa: B018
    started.until(lambda: len(looks) == 4)
    assert all(after - before >= 0.09 for before, after in pairwise(looks))
