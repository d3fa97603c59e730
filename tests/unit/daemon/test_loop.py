# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from netjail.daemon.loop import READ, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def test_timers_fire_in_order_and_not_when_cancelled(loop: Loop) -> None:
    fired: list[str] = []
    loop.call_later(0.03, lambda: fired.append("late"))
    loop.call_later(0.01, lambda: fired.append("early"))
    never = loop.call_later(0.02, lambda: fired.append("never"))
    never.cancel()
    loop.call_later(0.04, loop.stop)
    loop.run()
    assert fired == ["early", "late"]
    assert not never.active


def test_timeout_is_of_the_next_timer_that_still_counts(loop: Loop) -> None:
    assert loop.timeout() == -1
    loop.call_later(0.001, lambda: None).cancel()
    assert loop.timeout() == -1
    loop.call_later(5, lambda: None)
    assert 4000 < loop.timeout() <= 5001


def test_other_threads_wake_it(loop: Loop) -> None:
    ran_on: list[int] = []

    def wake() -> None:
        time.sleep(0.02)
        loop.call_soon(lambda: ran_on.append(threading.get_ident()))
        loop.call_soon(loop.stop)

    threading.Thread(target=wake).start()
    loop.run()
    assert ran_on == [threading.get_ident()]


def test_calls_that_queue_calls_do_not_starve_descriptors(loop: Loop) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"x")

    def again() -> None:
        loop.call_soon(again)

    again()
    loop.add(reader, READ, lambda _events: loop.stop())
    loop.run()
    loop.remove(reader)


def test_one_descriptor_stands_for_all(loop: Loop) -> None:
    """What another main loop needs in order to carry this one."""
    assert not select.select([loop.fileno()], [], [], 0)[0]
    loop.call_soon(lambda: None)
    assert select.select([loop.fileno()], [], [], 0)[0]
    loop.dispatch()
    assert not select.select([loop.fileno()], [], [], 0)[0]


def test_a_handler_removed_in_the_same_round_is_not_called(loop: Loop) -> None:
    pipes = [os.pipe(), os.pipe()]
    called: list[int] = []

    def handler(mine: int, other: int) -> None:
        called.append(mine)
        loop.remove(other)

    for (mine, writer), (other, _) in zip(pipes, reversed(pipes), strict=True):
        os.write(writer, b"x")
        loop.add(mine, READ, lambda _events, mine=mine, other=other: handler(mine, other))
    loop.dispatch()
    assert len(called) == 1


def test_a_callback_that_raises_is_logged_and_the_loop_goes_on(
    loop: Loop, capfd: pytest.CaptureFixture[str]
) -> None:
    loop.call_soon(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    loop.call_later(0.01, loop.stop)
    loop.run()
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_signals(loop: Loop) -> None:
    got: list[str] = []
    before = signal.getsignal(signal.SIGUSR1)
    try:
        loop.on_signal(signal.SIGUSR1, lambda: got.append("usr1"))
        loop.on_signal(signal.SIGUSR2, loop.stop)
        pid = os.getpid()
        threading.Timer(0.02, lambda: os.kill(pid, signal.SIGUSR1)).start()
        threading.Timer(0.04, lambda: os.kill(pid, signal.SIGUSR2)).start()
        loop.run()
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    assert got == ["usr1"]
