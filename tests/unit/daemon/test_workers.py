# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest

from netjail.daemon.workers import Lane, Turn, Turns, Workers, WouldDeadlockError


def eventually(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def turns() -> Turns:
    return Turns(Workers())


def test_jobs_run_side_by_side_and_few_threads_stay() -> None:
    workers = Workers(keep=2)
    together = threading.Barrier(10)
    for _ in range(10):
        workers.run(lambda: together.wait(10) and None)
    eventually(lambda: workers._idle == 2 and workers._threads == 2)
    # and those are used again
    done = threading.Event()
    workers.run(done.set)
    assert done.wait(10)
    assert workers._threads == 2


def test_a_crash_of_a_job_costs_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    workers = Workers(most=1)
    workers.run(lambda: 1 // 0 and None)
    done = threading.Event()
    workers.run(done.set)
    assert done.wait(10)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_beyond_the_most_they_wait() -> None:
    workers = Workers(most=2)
    hold, done = threading.Event(), []

    def job() -> None:
        hold.wait(10)
        done.append(1)

    for _ in range(5):
        workers.run(job)
    assert workers._threads == 2
    hold.set()
    eventually(lambda: len(done) == 5)


def test_one_after_the_other_on_one_profile_in_order_of_arrival(turns: Turns) -> None:
    order: list[int] = []
    for number in range(20):
        turns.submit(["a"], lambda _turn, number=number: order.append(number))
    eventually(lambda: not turns.busy())
    assert order == list(range(20))


def test_different_profiles_do_not_wait_for_each_other(turns: Turns) -> None:
    together = threading.Barrier(8)
    for number in range(8):
        turns.submit([f"p{number}"], lambda _turn: together.wait(10) and None)
    eventually(lambda: not turns.busy())


def test_several_at_once_wait_for_all_and_hold_all(turns: Turns) -> None:
    hold, order = threading.Event(), []
    turns.submit(["a"], lambda _turn: hold.wait(10) and order.append("a"))
    turns.submit(["a", "b"], lambda _turn: order.append("ab"))
    turns.submit(["b"], lambda _turn: order.append("b"))
    time.sleep(0.02)
    assert order == []
    hold.set()
    eventually(lambda: not turns.busy())
    assert order == ["a", "ab", "b"]


def test_a_turn_may_be_over_before_its_job(turns: Turns) -> None:
    hold, order = threading.Event(), []

    def job(turn: Turn) -> None:
        turn.done()
        hold.wait(10)
        order.append("first")

    turns.submit(["a"], job)
    turns.submit(["a"], lambda _turn: order.append("second"))
    eventually(lambda: order == ["second"])
    hold.set()
    eventually(lambda: order == ["second", "first"])


def test_also_goes_before_what_has_not_started(turns: Turns) -> None:
    """`up b` (through a) against a waiting `down a b`: were it to queue behind, both would wait
    for ever."""
    hold, order = threading.Event(), []

    def up(turn: Turn) -> None:
        hold.wait(10)
        turn.also("a")
        order.append("up b, a")

    turns.submit(["b"], up)
    turns.submit(["a", "b"], lambda _turn: order.append("down a b"))
    hold.set()
    eventually(lambda: not turns.busy())
    assert order == ["up b, a", "down a b"]


def test_also_waits_for_what_runs_and_release_gives_back(turns: Turns) -> None:
    hold, held, order = threading.Event(), threading.Event(), []

    def one(turn: Turn) -> None:
        turn.also("base")
        order.append("one")
        turn.release("base")
        hold.wait(10)

    turns.submit(["base"], lambda _turn: held.wait(10) and order.append("base"))
    turns.submit(["x"], one)
    turns.submit(["y"], one)
    time.sleep(0.02)
    assert order == []
    held.set()
    # the second gets it although the first still runs
    eventually(lambda: order == ["base", "one", "one"])
    hold.set()
    eventually(lambda: not turns.busy())


def test_a_deadlock_is_refused(turns: Turns) -> None:
    both, refused = threading.Barrier(2), []

    def job(other: str) -> Callable[[Turn], None]:
        def run(turn: Turn) -> None:
            both.wait(10)
            try:
                turn.also(other)
            except WouldDeadlockError:
                refused.append(other)

        return run

    turns.submit(["a"], job("b"))
    turns.submit(["b"], job("a"))
    eventually(lambda: not turns.busy())
    assert len(refused) == 1


def test_a_lane_is_as_wide_as_it_says(turns: Turns) -> None:
    lane, running, most, lock = Lane(3), 0, 0, threading.Lock()

    def job(_turn: Turn) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1

    for number in range(12):
        turns.submit([f"p{number}"], job, lane)
    eventually(lambda: not turns.busy())
    assert most == 3


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_no_profile_is_held_twice_and_all_end(turns: Turns, seed: int) -> None:
    chance = random.Random(seed)
    names = "abcdef"
    holders: dict[str, int] = {}
    lock, problems, ended = threading.Lock(), [], []
    lane = Lane(2)

    def take(name: str, number: int) -> None:
        with lock:
            if name in holders:
                problems.append((name, number, holders[name]))
            holders[name] = number

    def job(number: int, mine: list[str], more: list[str]) -> Callable[[Turn], None]:
        def run(turn: Turn) -> None:
            held = list(mine)
            for name in mine:
                take(name, number)
            for name in more:
                try:
                    turn.also(name)
                except WouldDeadlockError:
                    break
                if name not in held:
                    take(name, number)
                    held.append(name)
                time.sleep(0.0005)
            with lock:
                for name in held:
                    del holders[name]
            ended.append(number)

        return run

    for number in range(200):
        mine = chance.sample(names, chance.randint(1, 3))
        more = chance.sample(names, chance.choice([0, 0, 1, 2]))
        turns.submit(mine, job(number, mine, more), lane if chance.random() < 0.3 else None)
    eventually(lambda: len(ended) == 200)
    eventually(lambda: not turns.busy())
    assert not problems
