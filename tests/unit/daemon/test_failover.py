# SPDX-License-Identifier: GPL-3.0-or-later
"""When a pool looks for another place, how long it pauses in between, and when it gives up. Loop,
turns and pools are stand-ins that keep a clock of their own; the real ones are in tests/netns."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from netjail.daemon import failover
from netjail.daemon.failover import PATIENCE, PAUSE_MOST, ROUNDS_MOST, SETTLED, Failover
from netjail.errors import NetjailError
from netjail.profile import places, toml
from tests.unit.profile.examples import OTHER, PRIVATE, PUBLIC

POOL = f"""version = 1
[uplink]
kind = "wireguard"
private_key = "{PRIVATE}"
address = ["10.2.0.2/32"]
FAILOVER
[[uplink.peer]]
public_key = "{PUBLIC}"
allowed_ips = ["0.0.0.0/0"]
endpoint = "192.0.2.1:51820"
[[uplink.place]]
name = "a"
[[uplink.place]]
name = "b"
public_key = "{OTHER}"
endpoint = "192.0.2.2:51820"
"""


class Timer:
    def __init__(self, at: float, call: Any) -> None:
        self.at, self.call, self.active = at, call, True

    def cancel(self) -> None:
        self.active = False


class World:
    """One pool, "p", whose other places answer as `answers` says: a name, None, or an error."""

    def __init__(self, keep: bool = True) -> None:
        text = POOL.replace("FAILOVER", "" if keep else "failover = false")
        self.profile = places.choose(toml.parse("p", text)[0], "a")
        self.now = 0.0
        self.timers: list[Timer] = []
        self.answers: Any = None
        self.rounds: list[tuple[float, list[str]]] = []
        self.said: list[str] = []
        self.entry = SimpleNamespace(
            name="p", state="up", reason=None, live=True, profile=self.profile, tunnel=True
        )
        made: Any = self
        self.failover = Failover(made, made, made, made, lambda _, text: self.said.append(text))

    # the loop
    def call_later(self, seconds: float, call: Any) -> Timer:
        self.timers.append(Timer(self.now + seconds, call))
        return self.timers[-1]

    def call_soon(self, call: Any) -> None:
        call()

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [t for t in self.timers if t.active and t.at <= end]:
            timer = min(due, key=lambda t: t.at)
            self.now, timer.active = timer.at, False
            timer.call()
        self.now = end

    # turns, registry, pools
    def submit(self, names: list[str], job: Any) -> None:
        assert names == ["p"]
        job(None)

    def get(self, name: str) -> Any:
        return self.entry

    def move(self, name: str, state: str, reason: str, only_from: tuple[str, ...]) -> bool:
        if self.entry.state not in only_from:
            return False
        self.become(state, reason)
        return True

    def change(self, turn: Any, name: str, tried: list[str], say: Any) -> str | None:
        self.rounds.append((self.now, list(tried)))
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers

    def become(self, state: str, reason: str | None = None) -> None:
        self.entry.state, self.entry.reason = state, reason
        self.entry.live = state != "down"
        self.failover.changed(self.entry)


def test_the_healer_has_its_time_before_another_place_is_looked_for() -> None:
    world = World()
    world.become("degraded")
    world.pass_time(PATIENCE - 0.1)
    assert world.rounds == []
    world.pass_time(0.2)
    assert [tried for _, tried in world.rounds] == [["a"]]


def test_what_answers_again_in_time_stays_where_it_is() -> None:
    world = World()
    world.become("degraded")
    world.pass_time(PATIENCE / 2)
    world.become("up")
    world.pass_time(SETTLED * 2)
    assert world.rounds == []


@pytest.mark.parametrize("answers", [None, NetjailError("timeout", "the host is offline")])
def test_pauses_double_up_to_a_limit_and_then_it_is_left_to_the_user(answers: Any) -> None:
    world = World()
    world.answers = answers
    world.become("degraded")
    world.pass_time(86400)
    times = [at for at, _ in world.rounds]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == ROUNDS_MOST
    assert pauses[:3] == [30, 60, 120] and max(pauses) == PAUSE_MOST == pauses[-1]
    assert "netjail use chooses another" in world.entry.reason
    assert "nothing can leave" in world.entry.reason
    assert "tried again in 30 s" in world.said[0]


def test_what_was_tried_is_forgotten_once_a_place_has_answered_for_long() -> None:
    world = World()
    world.become("degraded")
    world.pass_time(PATIENCE)
    world.become("up")
    world.pass_time(SETTLED / 2)
    world.become("degraded")  # soon again: the pause goes on where it was
    world.pass_time(PATIENCE)
    assert len(world.rounds) == 1
    world.pass_time(30)
    assert len(world.rounds) == 2
    world.become("up")
    world.pass_time(SETTLED + 1)
    world.become("degraded")
    world.pass_time(PATIENCE)
    assert len(world.rounds) == 3


def test_a_profile_that_is_taken_down_is_left_alone() -> None:
    world = World()
    world.become("degraded")
    world.become("down")
    world.pass_time(3600)
    assert world.rounds == []


def test_failover_that_is_off_and_a_helper_that_ends_change_nothing() -> None:
    world = World(keep=False)
    world.become("degraded")
    world.pass_time(3600)
    assert world.rounds == []
    world = World()
    world.become("degraded")
    world.failover.stop()
    world.pass_time(3600)
    assert world.rounds == []


def test_a_bug_in_a_round_is_not_the_end_of_the_rounds(capsys: Any) -> None:
    world = World()
    world.answers = ZeroDivisionError()
    world.become("degraded")
    world.pass_time(PATIENCE + 30)
    assert len(world.rounds) == 2
    assert "a bug in netjail" in world.entry.reason
    assert failover.PAUSE_FIRST == 30
