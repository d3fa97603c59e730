# SPDX-License-Identifier: GPL-3.0-or-later
"""A request to start a program, from the authorised call to the answer with its descriptors: the
profile brought up, the spawner's order made with what the kernel says of the caller."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from netjail import names
from netjail.daemon import log, origin
from netjail.daemon.authorise import Peer
from netjail.daemon.call import Call, abandoned
from netjail.daemon.loop import Loop
from netjail.daemon.operations import Operations, internal
from netjail.daemon.rooms import Say
from netjail.daemon.spawning import Child, Spawned, Spawning
from netjail.daemon.state import Registry
from netjail.daemon.workers import Turn, Turns, Workers
from netjail.errors import NetjailError
from netjail.launch import caller, wire

FRESH_SECONDS = 0.25
"""For so long what a caller was granted is not looked at once more."""
MODES = {
    "plain": wire.PLAIN,
    "terminal": wire.TERMINAL,
    "background": wire.BACKGROUND,
    "detached": wire.DETACHED,
}
"""What a request calls them; see `wire`."""


class Launched(dict[str, Any]):
    """The result of `launch`. `fds` go with it: pidfd, status pipe, channel (see `wire`); they
    belong to whoever gets it."""

    def __init__(self, result: dict[str, Any], fds: Sequence[int]) -> None:
        super().__init__(result)
        self.fds = fds


class Watch(Protocol):
    """Told of programs in jails that are to stop when idle."""

    def entered(self, name: str, pid: int) -> None: ...


class Launcher:
    def __init__(
        self,
        loop: Loop,
        workers: Workers,
        *,
        turns: Turns,
        registry: Registry,
        operations: Operations,
        watch: Watch,
    ) -> None:
        self._loop = loop
        self._workers = workers
        self._turns = turns
        self._registry = registry
        self._operations = operations
        self._watch = watch
        self.spawning = Spawning(loop)

    def soon(self, peer: Peer) -> Child | None:
        """A process that is made before the request comes that it is for; see `Spawning.spare`."""
        if peer.elsewhere is not None:
            return None
        try:
            return self.spawning.spare(caller.cgroup(peer.pid))
        except OSError:
            return None  # it has gone

    def prepare(self, call: Call) -> None:
        """While it is still found out whether the caller may: have a process ready for what they
        want, which then need not be waited for. It begins nothing, and ends if they may not."""
        name = call.params["profile"]
        if call.peer.elsewhere is not None or not self._registry.get(name).usable:
            return
        if call.params["env"] is None:
            return  # that of another process may take a while to read
        wanted = self._order(call)
        if isinstance(wanted, NetjailError):
            return  # which comes again, for those who may know
        # Somebody whom the profile's own `users` leave out is not to see that it is up.
        offers = call.params["early"] and call.grant is not None and not kept(call.peer)
        offer = partial(_offer, call) if offers else None
        call.child = self.spawning.prepare(wanted, call.child, offer)

    def begin(
        self,
        call: Call,
        check: Callable[[], None],
        say: Say,
        finish: Callable[[dict[str, Any] | NetjailError], None],
    ) -> None:
        """Bring the profile up where it is not, start the program. On the main loop's thread, as
        is `finish`, which is called once. `check` (in a worker) raises where it may not be."""
        name, wait = call.params["profile"], call.params["wait"]

        def work(turn: Turn | None) -> None:
            outcome: tuple[dict[str, Any], dict[str, Any]] | NetjailError
            try:
                check()
                state = self._as_it_is(name) if turn is None else self._up(turn, call, check, say)
                wanted = self._order(call)
                outcome = wanted if isinstance(wanted, NetjailError) else (state, wanted)
            except NetjailError as error:
                outcome = error
            except Exception:
                log.crash("in launch")
                outcome = internal("launch")
            if turn is not None:
                turn.done()
            self._loop.call_soon(partial(self._spawn, call, outcome, finish))

        # What is up is entered at once, as root does it: the spawner's child sees whether it is.
        if not self._registry.get(name).usable or name in self._turns.busy() or wait:
            self._turns.submit([name], work)
            return
        prepared = None if call.child is None else call.child.order
        if prepared is not None and time.monotonic() - call.began < FRESH_SECONDS:
            # Authorised this moment, so that there is nothing to look at once more.
            self._spawn(call, (self._as_it_is(name), prepared), finish)
        else:
            self._workers.run(partial(work, None))

    @staticmethod
    def _order(call: Call) -> dict[str, Any] | NetjailError:
        try:
            return order(call.peer, call.params)
        except NetjailError as error:
            return error
        except Exception:
            log.crash("in launch")
            return internal("launch")

    def _as_it_is(self, name: str) -> dict[str, Any]:
        entry = self._registry.get(name)
        return {
            "profile": name,
            "state": entry.state,
            "reason": entry.reason,
            "changed": False,
            "answered": None,
        }

    def _up(self, turn: Turn, call: Call, check: Callable[[], None], say: Say) -> dict[str, Any]:
        """As `up`; where nobody says how long to wait for its tunnel's first answer, not at all if
        it stood before."""
        name, wait = call.params["profile"], call.params["wait"]

        def pointless() -> bool:
            try:
                check()
            except NetjailError:
                return True
            return call.abandoned

        done = self._operations.up(turn, name, wait or 0, say, pointless)
        if wait is None and done["changed"]:
            done = self._operations.up(turn, name, names.UP_WAIT, say, pointless)
            done["changed"] = True
        return done

    def _spawn(
        self,
        call: Call,
        outcome: tuple[dict[str, Any], dict[str, Any]] | NetjailError,
        finish: Callable[[dict[str, Any] | NetjailError], None],
    ) -> None:
        if isinstance(outcome, NetjailError) or call.abandoned:
            finish(outcome if isinstance(outcome, NetjailError) else abandoned())
            return
        state, wanted = outcome

        def started(spawned: Spawned | NetjailError) -> None:
            if isinstance(spawned, NetjailError):
                finish(spawned)
            elif call.abandoned:
                spawned.close()
                finish(abandoned())
            else:
                self._watch.entered(state["profile"], spawned.pid)
                finish(result(state, spawned, call.peer))

        def ended(status: int) -> None:
            if call.ended is not None:
                call.ended(status)

        if call.child is None or call.child.order is not wanted:
            call.child = self.spawning.prepare(wanted, call.child)
        call.child.carry_out(kept(call.peer), started, ended)


def kept(peer: Peer) -> bool:
    """Whether the spawner keeps the channel: on the bus, nobody sends descriptors."""
    return peer.sender is not None


def order(peer: Peer, params: dict[str, Any]) -> dict[str, Any]:
    """A launch.child.Order. Reads of the caller's process; not for the main loop's thread.

    Raises NetjailError("not-authorised") when the caller is not the plain process that asked.
    """
    try:
        inherited, groups = caller.read(peer.pid, peer.uid, peer.gid)
        env, umask = params["env"], params["umask"]
        # Of what it does not say, it says to go by the process that asks.
        env = caller.environment(peer.pid) if env is None else env
        umask = caller.umask(peer.pid) if umask is None else umask
        label = caller.label(peer.pid) if peer.label is None else peer.label
    except caller.ChangedError as changed:
        raise _refused(peer, str(changed)) from None
    except (OSError, KeyError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise _refused(peer, f"it cannot be looked at ({why})") from None
    if peer.start is not None and origin.start_time(peer.pid) != peer.start:
        raise _refused(peer, "it has ended")
    mode = wire.DETACHED if kept(peer) else MODES[params["stdio"]]
    return {
        "profile": params["profile"],
        "argv": list(params["argv"]),
        "env": list(env),
        "umask": umask,
        "ignored": params["ignored"],
        "mode": mode,
        "channel": not kept(peer),
        "directory": params["directory"] or "/",
        "uid": peer.uid,
        "gid": peer.gid,
        "groups": groups if peer.groups is None else list(peer.groups),
        "label": label,
        "inherited": inherited,
    }


def result(state: dict[str, Any], spawned: Spawned, peer: Peer) -> Launched:
    """`state`: the result of bringing the profile up."""
    if spawned.offered:
        spawned.close()
        return Launched({**state, "pid": spawned.pid}, ())
    if kept(peer):
        os.close(spawned.pidfd)
        return Launched({**state, "pid": spawned.pid}, ())
    fds = (spawned.pidfd, spawned.status, spawned.channel)
    return Launched({**state, "pid": spawned.pid}, fds)


def _refused(peer: Peer, why: str) -> NetjailError:
    return NetjailError(
        "not-authorised",
        f"no program is started for process {peer.pid}, which asked: {why}",
        "run the command again, from an ordinary shell",
    )


def _offer(call: Call, fds: Sequence[int]) -> None:
    """Hand the child's descriptors to a client who may turn out not to be let in: they are good
    for nothing but to send its own."""
    if call.offered is not None and not call.abandoned:
        call.offered(fds)
    else:
        for fd in fds:
            os.close(fd)
