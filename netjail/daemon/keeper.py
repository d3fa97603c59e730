# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what is up as it should be: repairs a jail whose process has ended, takes down jails that
are to stop when idle, follows the host's networks; connections are the `healer`'s.

Lives on the main loop's thread; whatever blocks it hands to workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from netjail.daemon import log
from netjail.daemon.filewatch import FileWatch
from netjail.daemon.healer import Healer
from netjail.daemon.lending import Lending
from netjail.daemon.loop import Loop, Timer
from netjail.daemon.rooms import Adopted, Process, Rooms, Say
from netjail.daemon.state import Registry
from netjail.daemon.wake import Wake
from netjail.daemon.watchers import Deaths, HostNetworks
from netjail.daemon.workers import Turn, Turns, Workers
from netjail.errors import NetjailError

REPAIR_FIRST = 1.0
REPAIR_MOST = 60.0
"""Seconds before the first repair and at most between two; doubled each time in between. Begun
again from the first for a jail that had lasted REPAIR_MOST."""
IDLE_SECONDS = 2.0
"""Between the end of the last program and the end of a `stop = "when-idle"` jail."""
IDLE_AGAIN_SECONDS = 10.0
"""The same where it was brought up once more meanwhile, or where this helper has not seen the last
program end."""
FOLLOW_SECONDS = 0.25
"""At least so long between two looks at what a jail's processes write: they may be a stranger's by
then, or have one to talk to who says something else each time."""

_LOST = {
    "ports": "the ports are closed until it is started again",
    "natpmp": "the provider's port is not renewed until it is started again",
}
"""What is missing without a process, where that is not the way out."""


class Actions(Protocol):
    """What the keeper has done, in a worker, within a turn."""

    def repair(self, turn: Turn, name: str, say: Say) -> None: ...
    def idle_down(self, name: str) -> Sequence[int]: ...


class Keeper:
    def __init__(
        self, loop: Loop, workers: Workers, turns: Turns, rooms: Rooms, registry: Registry
    ) -> None:
        self._loop = loop
        self._workers = workers
        self._turns = turns
        self._rooms = rooms
        self._registry = registry
        self.actions: Actions | None = None
        """Set before anything is up."""
        self._ended = False
        self._processes = Deaths(loop, self._process_ended)
        self._process_names: dict[tuple[str, int], str] = {}
        self._files = FileWatch(loop, self._follow)
        self._following: set[str] = set()
        self._followed: dict[str, float] = {}
        """When a jail's files were last looked at."""
        self._repairs: dict[str, Timer] = {}
        self._delays: dict[str, float] = {}
        self._up_at: dict[str, float] = {}
        self._programs = Deaths(loop, self._program_ended)
        self._idle: dict[str, Timer] = {}
        self.healer = Healer(loop, workers, rooms, registry, self._repair_later)
        self.lending = Lending(loop, rooms, workers)
        self.wake = Wake(loop, self.healer.woken)
        self._host = HostNetworks(loop, self._host_changed)
        self._host_busy = False
        self._host_again = False

    def stop(self) -> None:
        """Watch nothing any more."""
        self._ended = True
        for timer in (*self._repairs.values(), *self._idle.values()):
            timer.cancel()
        self.healer.stop()
        self.lending.stop()
        self.wake.close()
        self._host.close()

    # From worker threads (operations.Watch) ----------------------------------------------------

    def jail_up(self, name: str, processes: Sequence[Process]) -> None:
        self._loop.call_soon(partial(self._watch, name, processes))

    def jail_going(self, name: str) -> None:
        self._loop.call_soon(partial(self._unwatch, name))

    def jail_gone(self, name: str, through: str | None) -> None:
        self._loop.call_soon(partial(self._gone, name, through))

    def entered(self, name: str, pid: int) -> None:
        """A program has entered a jail that is to stop when idle."""
        self._loop.call_soon(partial(self._watch_programs, name, [pid]))

    def adopted(self, jails: Iterable[Adopted]) -> None:
        """What stood when the helper started. On the main loop's thread."""
        for jail in jails:
            self._watch(jail.name, jail.processes)
            if jail.state == "failed":
                self._repair_later(jail.name)
            if jail.stop == "when-idle":
                self._look_later(jail.name, IDLE_AGAIN_SECONDS)

    # Processes that serve jails ----------------------------------------------------------------

    def _watch(self, name: str, processes: Sequence[Process]) -> None:
        self._unwatch(name)
        if self._ended:
            return
        self._up_at[name] = time.monotonic()
        if processes:
            self._follow_files(name)
        for process in processes:
            if self._processes.add(name, process.pid, process.alive):
                self._process_names[name, process.pid] = process.name
            else:
                self._failed(name, process.name)
        if name in self._idle:
            # Whoever had it brought up is about to enter.
            self._idle.pop(name).cancel()
            self._look_later(name, IDLE_AGAIN_SECONDS)
        self.healer.watch(name)

    def _unwatch(self, name: str) -> None:
        for pid in self._processes.pids(name):
            self._process_names.pop((name, pid), None)
        self._processes.drop(name)
        self._files.drop(name)
        timer = self._repairs.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _gone(self, name: str, through: str | None) -> None:
        if self._registry.get(name).live:
            return  # brought up again since
        self._unwatch(name)
        self.lending.changed(name)
        self.healer.gone(name)
        self._delays.pop(name, None)
        self._up_at.pop(name, None)
        self._followed.pop(name, None)
        self._programs.drop(name)
        timer = self._idle.pop(name, None)
        if timer is not None:
            timer.cancel()
        if through is not None and self._registry.get(through).stop == "when-idle":
            self._look(through)

    def _process_ended(self, name: str, pid: int) -> None:
        self._failed(name, self._process_names.pop((name, pid), "a process"))

    def _failed(self, name: str, process: str) -> None:
        lost = _LOST.get(process, "nothing can leave until it is started again")
        reason = f"{process} has ended unexpectedly; {lost}"
        # Not while an operation is about it: that one finds out by itself.
        if self._registry.move(name, "failed", reason, only_from=("up", "degraded")):
            log.warning(f"{name}: {reason}")
            self._repair_later(name)

    def _repair_later(self, name: str) -> None:
        lasted = time.monotonic() - self._up_at.get(name, 0.0)
        delay = self._delays.get(name, 0.0) * 2
        if delay == 0.0 or lasted > REPAIR_MOST + delay:
            delay = REPAIR_FIRST
        self._delays[name] = delay = min(delay, REPAIR_MOST)
        if not self._ended:
            log.info(f"{name}: repair in {delay:g} s")
            self.healer.journal.say(name, f"it is repaired in {delay:g} s")
            self._repairs[name] = self._loop.call_later(delay, partial(self._repair, name))

    def mend(self, name: str) -> None:
        """Have a jail looked after that may be incomplete. On any thread."""
        self._repair(name, ("up", "degraded", "failed"))

    def _repair(self, name: str, states: tuple[str, ...] = ("failed",)) -> None:
        def job(turn: Turn) -> None:
            if self._ended or self._registry.get(name).state not in states:
                return
            try:
                self._do().repair(turn, name, lambda text: log.debug(f"{name}: {text}"))
            except NetjailError as error:
                log.warning(f"{name}: repair failed: {error}")
                self.healer.journal.say(name, f"the repair has failed: {error}")
            except Exception:
                log.crash(f"while repairing {name}")
            if self._registry.get(name).state == "failed":
                self._loop.call_soon(partial(self._repair_later, name))

        self._turns.submit([name], job)

    # Leases ------------------------------------------------------------------------------------

    def _follow_files(self, name: str) -> None:
        """Watch what the jail's processes write, and read what is there already."""

        def look() -> None:
            paths = self._rooms.engine.follows(name)
            if paths:
                self._loop.call_soon(partial(self._watch_files, name, paths))

        self._workers.run(_logged(look, name))

    def _watch_files(self, name: str, paths: Sequence[str]) -> None:
        if self._ended or not self._registry.get(name).live:
            return
        self._files.add(name, paths)
        self._follow(name)

    def _follow(self, name: str) -> None:
        """Once more after the one that is waiting for its turn is enough, however often called."""
        if name in self._following or self._ended:
            return
        self._following.add(name)
        left = self._followed.get(name, 0.0) + FOLLOW_SECONDS - time.monotonic()
        if left > 0:
            self._loop.call_later(left, partial(self._follow_now, name))
        else:
            self._follow_now(name)

    def _follow_now(self, name: str) -> None:
        if self._ended:
            return

        def job(_turn: Turn) -> None:
            self._followed[name] = time.monotonic()
            self._following.discard(name)
            if self._ended or not self._registry.get(name).live:
                return
            said = self._rooms.engine.lent_anew(name)
            if said is not None:
                log.info(f"{name}: {said}")
                self.healer.journal.say(name, said)
            self._loop.call_soon(partial(self.lending.changed, name))
            if self._rooms.engine.follow(name):
                log.info(f"{name}: its lease has changed")
                self.healer.journal.say(name, "its DHCP lease has changed")
                self.healer.ask(name)

        self._turns.submit([name], lambda turn: _logged(partial(job, turn), name)())

    def told(self, name: str) -> None:
        """A tunnel says by itself that something has changed. On any thread."""

        def look() -> None:
            if not self._ended and self._registry.get(name).live:
                self.healer.ask(name)

        self._loop.call_soon(lambda: self._workers.run(_logged(look, name)))

    # Jails that stop when idle -----------------------------------------------------------------

    def _watch_programs(self, name: str, pids: Iterable[int]) -> None:
        if self._registry.get(name).stop != "when-idle" or self._ended:
            return
        for pid in pids:
            self._programs.add(name, pid)
        timer = self._idle.pop(name, None)
        if timer is not None:
            timer.cancel()
        if not self._programs.pids(name):  # all of them have ended already
            self._look_later(name, IDLE_SECONDS)

    def _program_ended(self, name: str, _pid: int) -> None:
        if not self._programs.pids(name):
            self._look(name)

    def _look(self, name: str) -> None:
        """See whether others are inside: those that the entered ones have started."""

        def look() -> None:
            pids = [program.pid for program in self._rooms.engine.programs([name])]
            if pids:
                self._loop.call_soon(partial(self._watch_programs, name, pids))
            else:
                self._loop.call_soon(partial(self._look_later, name, IDLE_SECONDS))

        self._workers.run(_logged(look, name))

    def _look_later(self, name: str, seconds: float) -> None:
        if name not in self._idle and not self._programs.pids(name) and not self._ended:
            self._idle[name] = self._loop.call_later(seconds, partial(self._stop_if_idle, name))

    def _stop_if_idle(self, name: str) -> None:
        self._idle.pop(name, None)

        def job(_turn: Turn) -> None:
            pids = [] if self._ended else self._do().idle_down(name)
            if pids:
                self._loop.call_soon(partial(self._watch_programs, name, pids))

        self._turns.submit([name], lambda turn: _logged(partial(job, turn), name)())

    # The host's networks -----------------------------------------------------------------------

    def _host_changed(self) -> None:
        if self._ended or not self._registry.live():
            return
        if self._host_busy:
            self._host_again = True
            return
        self._host_busy = True
        self._workers.run(self._tell_engine)

    def _tell_engine(self) -> None:
        try:
            _logged(self._rooms.engine.host_changed, "the host's networks changed")()
            _logged(self.healer.host_changed, "the host's networks changed")()
        finally:
            self._loop.call_soon(self._told_engine)

    def _told_engine(self) -> None:
        self._host_busy = False
        if self._host_again:
            self._host_again = False
            self._host_changed()

    def _do(self) -> Actions:
        assert self.actions is not None
        return self.actions


def _logged(call: Callable[[], None], what: str) -> Callable[[], None]:
    """`call`, with errors logged: nobody waits for its result."""

    def run() -> None:
        try:
            call()
        except NetjailError as error:
            log.warning(f"{what}: {error}")
        except Exception:
            log.crash(what)

    return run
