# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads for what blocks, and the turns by which operations on one profile follow each other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from netjail.daemon import log

Job = Callable[[], None]


class Workers:
    """Runs each job in a thread of its own; a few idle threads are kept for the next ones.

    Jobs wait only where `most` threads are busy: the bound is there against a flood, not for use.
    """

    def __init__(self, most: int = 256, keep: int = 4) -> None:
        self._most = most
        self._keep = keep
        self._lock = threading.Lock()
        self._more = threading.Condition(self._lock)
        self._jobs: deque[Job] = deque()
        self._threads = 0
        self._idle = 0

    def run(self, job: Job) -> None:
        """Run `job` soon. It must not raise: what it does raise is logged as a bug."""
        with self._lock:
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._more.notify()
                return
            if self._threads >= self._most:
                return
            self._threads += 1
        # Daemon threads: the process may end over one that hangs in the kernel.
        try:
            threading.Thread(target=self._work, name="worker", daemon=True).start()
        except RuntimeError:  # no more threads to be had: one that runs will take the job
            with self._lock:
                self._threads -= 1
            log.error("cannot start another thread")

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._jobs:
                    if self._idle >= self._keep:
                        self._threads -= 1
                        return
                    self._idle += 1
                    self._more.wait()
                    self._idle -= 1
                job = self._jobs.popleft()
            try:
                job()
            except BaseException:
                log.crash("in a worker thread")
            del job


class WouldDeadlockError(Exception):
    """`also` would wait for an operation that waits, directly or not, for this one."""


class Lane:
    """At most `width` of the turns that share it run at the same time."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.running = 0
        self.waiting: deque[Turn] = deque()


class Turn:
    """One operation's hold on its profiles, from when it is first in each of their lines."""

    def __init__(self, turns: Turns, names: Iterable[str], job: Callable[[Turn], None]) -> None:
        self._turns = turns
        self.job = job
        self.names = list(dict.fromkeys(names))
        self.lane: Lane | None = None
        self.started = False
        self.over = False
        self.waits_for: str | None = None

    def also(self, name: str) -> None:
        """Wait until this running operation has a further profile for itself as well.

        It goes before all operations that have not started, so that it never waits for one that
        waits for it. Raises WouldDeadlockError.
        """
        self._turns._also(self, name)

    def release(self, name: str) -> None:
        """Give one profile back early."""
        self._turns._release(self, [name])

    def done(self) -> None:
        """Give all back. May be called early, and more than once."""
        self._turns._done(self)


class _Place:
    """A turn's place in one profile's line; `granted` where the running turn itself waits."""

    __slots__ = ("granted", "turn")

    def __init__(self, turn: Turn, granted: threading.Event | None = None) -> None:
        self.turn = turn
        self.granted = granted

    @property
    def started(self) -> bool:
        return self.turn.started


class Turns:
    """A line per profile. An operation joins the lines of all its profiles at once and runs when
    it is first in every one of them: order of arrival, and no deadlock among those. What a running
    operation asks for in addition is checked for cycles.
    """

    def __init__(self, workers: Workers, emptied: Callable[[], None] = lambda: None) -> None:
        """`emptied` is called, on any thread, when no operation runs or waits any more."""
        self._workers = workers
        self._emptied = emptied
        self._lock = threading.Lock()
        self._lines: dict[str, deque[_Place]] = {}

    def submit(
        self, names: Iterable[str], job: Callable[[Turn], None], lane: Lane | None = None
    ) -> Turn:
        """Run `job(turn)` in a worker when all of `names` are free; then the turn is over."""
        turn = Turn(self, names, job)
        turn.lane = lane
        with self._lock:
            for name in turn.names:
                self._lines.setdefault(name, deque()).append(_Place(turn))
            self._start_if_first(turn)
        return turn

    def busy(self) -> set[str]:
        """Profiles on which an operation runs or waits."""
        with self._lock:
            return set(self._lines)

    def _start_if_first(self, turn: Turn) -> None:
        if turn.started or any(self._lines[name][0].turn is not turn for name in turn.names):
            return
        lane = turn.lane
        if lane is not None:
            if lane.running >= lane.width:
                if turn not in lane.waiting:
                    lane.waiting.append(turn)
                return
            lane.running += 1
        turn.started = True
        self._workers.run(lambda: self._run(turn))

    def _run(self, turn: Turn) -> None:
        try:
            turn.job(turn)
        finally:
            turn.done()

    def _done(self, turn: Turn) -> None:
        with self._lock:
            if turn.over:
                return
            turn.over = True
            lane = turn.lane
            if lane is not None:
                lane.running -= 1
            self._leave(turn, turn.names)
            turn.names = []
            # One that is no longer first (`also` went before it) comes back when it is.
            while lane is not None and lane.waiting and lane.running < lane.width:
                self._start_if_first(lane.waiting.popleft())
            empty = not self._lines
        if empty:
            self._emptied()

    def _release(self, turn: Turn, names: list[str]) -> None:
        with self._lock:
            held = [name for name in names if name in turn.names]
            self._leave(turn, held)
            turn.names = [name for name in turn.names if name not in held]

    def _leave(self, turn: Turn, names: list[str]) -> None:
        for name in names:
            line = self._lines[name]
            first = line.popleft()
            assert first.turn is turn, name
            if not line:
                del self._lines[name]
        for name in names:
            if name not in self._lines:
                continue
            following = self._lines[name][0]
            if following.granted is not None:
                following.turn.names.append(name)
                following.turn.waits_for = None
                following.granted.set()
            else:
                self._start_if_first(following.turn)

    def _also(self, turn: Turn, name: str) -> None:
        with self._lock:
            if name in turn.names:
                return
            line = self._lines.setdefault(name, deque())
            place = 0
            while place < len(line) and line[place].started:
                place += 1
            if place == 0:
                line.appendleft(_Place(turn))
                turn.names.append(name)
                return
            holder: Turn | None = line[0].turn
            while holder is not None:
                if holder is turn:
                    raise WouldDeadlockError(name)
                wanted = holder.waits_for
                holder = self._lines[wanted][0].turn if wanted is not None else None
            granted = threading.Event()
            line.insert(place, _Place(turn, granted))
            turn.waits_for = name
        granted.wait()
