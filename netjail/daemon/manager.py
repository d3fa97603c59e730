# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper without its faces: takes calls, checks and authorises them, has them done in turn.

`call` and everything that it calls back belong to the main loop's thread; the work is done in
worker threads. Neither face decides anything.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import netjail
from netjail import names
from netjail.daemon import log, methods, programs
from netjail.daemon.authorise import Gate, Peer, RootOnly
from netjail.daemon.call import Call, Reply, Result, abandoned, ending
from netjail.daemon.capturing import Captured
from netjail.daemon.failover import Failover
from netjail.daemon.keeper import Keeper
from netjail.daemon.launching import Launcher
from netjail.daemon.loop import Loop
from netjail.daemon.operations import Operations, internal
from netjail.daemon.pools import Pools
from netjail.daemon.porting import Porting
from netjail.daemon.queries import QUERIES, Queries
from netjail.daemon.rights import Grant, Rights
from netjail.daemon.rooms import Adopted, Rooms
from netjail.daemon.soon import Asked, Soon, judge
from netjail.daemon.state import Entry, Registry, tied
from netjail.daemon.workers import Lane, Turn, Turns, Workers
from netjail.errors import NetjailError
from netjail.uplinks.login import Login

DOWN_WIDTH = 4  # jails that one `down` takes down at the same time
CALLS_PER_USER = 32
"""Requests that one user may have going on, on both faces together; root has no such limit."""


class Manager(Porting):
    def __init__(
        self,
        loop: Loop,
        rooms: Rooms,
        workers: Workers | None = None,
        gate: Gate | None = None,
        bus: bool = False,
    ) -> None:
        """`bus`: whether this helper serves a bus as well; told to whoever says hello."""
        self._loop = loop
        self._rooms = rooms
        self._bus = bus
        self.gate: Gate = gate or RootOnly()
        self.workers = self._workers = workers or Workers()
        self._listeners: list[Callable[[Entry], None]] = []
        self.quiet_changed: Callable[[], None] = lambda: None
        """Called whenever `quiet` may have changed."""
        self._turns = Turns(self._workers, lambda: loop.call_soon(self.quiet_changed))
        self.registry = Registry(lambda entry: loop.call_soon(partial(self._tell, entry)))
        self.keeper = self._keeper = Keeper(loop, self._workers, self._turns, rooms, self.registry)
        self._operations = Operations(rooms, self.registry, self._keeper)
        self._keeper.actions = self._operations
        self._pools = Pools(rooms, self.registry, self._operations)
        journal = self._keeper.healer.journal
        self._failover = Failover(loop, self._turns, self.registry, self._pools, journal.say)
        self.listen(self._failover.changed)
        self.listen(self._keeper.healer.journal.changed)
        self.queries = self._queries = Queries(rooms, self.registry)
        self.rights = self._rights = Rights(rooms, self.registry)
        self._launcher = Launcher(
            loop,
            self._workers,
            turns=self._turns,
            registry=self.registry,
            operations=self._operations,
            watch=self._keeper,
        )
        self.spawning = self._launcher.spawning
        self._pending: set[Call] = set()
        self._users: Counter[int] = Counter()
        self.adopted: Callable[[], None] = lambda: None
        """Called once, when what stood before is taken over."""
        self.files_changed: Callable[[str], None] = lambda _name: None
        """Called when a profile was stored or removed."""
        self._held: list[Call] | None = []
        self._early: frozenset[str] = frozenset()
        self._ending = False

    # Life --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Adopt what stands. Calls that come before that is done wait for it, but for those that
        only need to know that nothing stands: the engine takes a while to import."""
        self._early = frozenset() if self._rooms.standing() else _EARLY
        self._workers.run(self._adopt)

    def renew(self) -> None:
        """What the engine keeps on disk has been deleted: write it again, mend all jails."""

        def write() -> None:
            try:
                self._rooms.engine.write_again()
            except NetjailError as error:
                log.error(f"cannot write again what was deleted: {error}")
            for entry in self.registry.live():
                self._keeper.mend(entry.name)

        if self._held is None:  # else the engine has not even started
            self._workers.run(write)

    def end(self) -> None:
        """Begin nothing any more. What runs goes on; `busy` says for how long."""
        self._ending = True
        self._keeper.stop()
        self._failover.stop()
        held, self._held = self._held or [], None
        for call in held:
            self._finish(call, ending())

    @property
    def busy(self) -> bool:
        """Whether anything that was begun is not done yet."""
        return bool(self._pending) or bool(self._turns.busy())

    @property
    def quiet(self) -> bool:
        """Whether nothing is up and nothing going on: the helper is not needed."""
        return not self.busy and self._held is None and not self.registry.live()

    def listen(self, listener: Callable[[Entry], None]) -> None:
        """Have each change of a profile's state or reason told, on the main loop's thread."""
        self._listeners.append(listener)

    def _tell(self, entry: Entry) -> None:
        for listener in self._listeners:
            listener(entry)
        self.quiet_changed()

    def _adopt(self) -> None:
        jails: Sequence[Adopted] = ()
        try:
            self._rooms.engine.listen(self._keeper.told)
            jails = self._rooms.engine.start()
        except NetjailError as error:
            log.error(f"cannot take over what an earlier helper has left: {error}")
        except Exception:
            log.crash("while taking over what an earlier helper has left")
        for jail in jails:
            self.registry.move(jail.name, "up" if jail.state == "up" else "failed", jail.reason)
            self.registry.note(
                jail.name,
                since=int(jail.since),
                through=jail.through,
                stop=jail.stop,
                processes=tuple(jail.processes),
            )
            reason = f" ({jail.reason})" if jail.reason else ""
            log.info(f"{jail.name}: found {jail.state}{reason}")
        self._loop.call_soon(partial(self._adopted, jails))

    def _adopted(self, jails: Sequence[Adopted]) -> None:
        if self._ending:
            return
        self._keeper.adopted(jails)
        held, self._held = self._held or [], None
        for call in held:
            self._authorise(call)
        self.adopted()
        self.quiet_changed()

    # Calls -------------------------------------------------------------------------------------

    def call(
        self,
        peer: Peer,
        method: str,
        params: dict[str, Any],
        progress: Callable[[str], None],
        reply: Reply,
        *,
        interactive: bool = True,
        soon: Soon | None = None,
    ) -> Call:
        """Have `method` done. `reply` is called exactly once, maybe before this returns, unless
        the call is abandoned. `interactive`: whether a person may be asked for a password."""
        call = Call(peer, method, progress, reply, interactive=interactive)
        call.child, call.asked = (None, None) if soon is None else (soon.child, soon.asked)
        self._pending.add(call)
        self._users[peer.uid] += 1
        try:
            call.params = methods.check(method, params)
            if self._ending:
                raise ending()
            if peer.uid != 0:
                self._admit(peer)
        except NetjailError as error:
            self._finish(call, error)
            return call
        if method == "hello":
            self._finish(call, self._hello())
        elif self._held is not None and not (peer.uid == 0 and method in self._early):
            self._held.append(call)
        else:
            self._authorise(call)
        if method == "launch" and not (self._held or call.begun or call.done):
            self._launcher.prepare(call)  # while polkit thinks
        return call

    def soon(self, peer: Peer, profile: str) -> Soon | None:
        """What can be done for a peer who is about to ask for a program in a profile."""
        if self._held is not None or self._ending or self.gate.refuses(peer) is not None:
            return None
        needs = self._rights.needs_at_once(peer, profile)
        return Soon(self._launcher.soon(peer), Asked(self.gate, peer, needs))

    def _hello(self) -> Result:
        return {
            "version": netjail.__version__,
            "protocol": names.PROTOCOL,
            "pid": os.getpid(),
            "bus": self._bus,
        }

    def _admit(self, peer: Peer) -> None:
        refusal = self.gate.refuses(peer)
        if refusal is not None:
            raise refusal
        if self._users[peer.uid] > CALLS_PER_USER:
            raise NetjailError(
                "system",
                f"you have {CALLS_PER_USER} requests going on already, and that is the most",
                "try again when some are answered",
            )

    def _authorise(self, call: Call) -> None:
        """See whether the caller may; then begin."""
        if call.peer.uid == 0:
            self._begin(call)
            return

        try:
            grant = self._rights.at_once(call.peer, call.method, call.params)
        except NetjailError as error:
            self._judged(call, error)
            return
        if grant is not None:
            self._judged(call, grant)
            return

        def judge() -> None:
            # What it needs is a matter of files and users, which may take a while to read.
            outcome: Grant | NetjailError
            try:
                outcome = self._rights.grant(call.peer, call.method, call.params)
            except NetjailError as error:
                outcome = error
            except Exception:
                log.crash(f"while judging {call.method}")
                outcome = internal(call.method)
            self._loop.call_soon(partial(self._judged, call, outcome))

        self._workers.run(judge)

    def _judged(self, call: Call, grant: Grant | NetjailError) -> None:
        if call.abandoned or isinstance(grant, NetjailError):
            self._finish(call, grant if isinstance(grant, NetjailError) else abandoned())
            return
        call.grant = grant
        answered = False

        def verdict(error: NetjailError | None) -> None:
            nonlocal answered
            answered = True
            call.asking = None
            if error is None and self._ending:
                error = ending()
            if error is not None:
                self._finish(call, error)
                return
            call.params = grant.params
            self._begin(call)

        def take_back() -> None:
            call.asking = None
            cancel()
            self._finish(call, abandoned())

        cancel = judge(self.gate, call, grant.needs, verdict)
        if not answered:
            call.asking = take_back

    def _still(self, call: Call, **params: Any) -> None:
        """In a worker, when a call's turn has come: raise unless what was granted still holds."""
        if call.grant is not None and call.grant.needs:
            self._rights.again(call.peer, call.method, {**call.params, **params}, call.grant)

    def _begin(self, call: Call) -> None:
        call.begun = True
        begin = getattr(self, "_begin_" + call.method.replace(".", "_"), None)
        if begin is not None:
            begin(call, **call.params)
            return
        query = QUERIES[call.method]

        def answer() -> Result:
            result = query(self._queries, **call.params)
            return self._rights.trim(call.peer.uid, call.method, result)

        self._workers.run(lambda: self._work(call, answer))

    def _begin_up(
        self, call: Call, profile: str, wait: float, credentials: dict[str, str] | None
    ) -> None:
        answers = None if credentials is None else Login.of(credentials)

        def up(turn: Turn) -> Result:
            pointless = lambda: call.abandoned or self._ending  # noqa: E731
            say = self._say(call)
            return self._operations.up(turn, profile, wait, say, pointless, login=answers)

        self._in_turn(call, [profile], up)

    def _begin_use(self, call: Call, profile: str, **how: Any) -> None:
        how |= {"say": self._say(call), "pointless": lambda: call.abandoned or self._ending}
        self._in_turn(call, [profile], lambda turn: self._pools.use(turn, profile, **how))

    def _begin_launch(self, call: Call, **_params: Any) -> None:
        def check() -> None:
            self._still(call)
            if self._ending:
                raise ending()

        self._launcher.begin(call, check, self._say(call), partial(self._finish, call))

    def _begin_check(self, call: Call, **_params: Any) -> None:
        from netjail.daemon.checking import Checking  # seldom asked for

        def check() -> None:
            self._still(call)
            if self._ending:
                raise ending()

        started = Checking(self._loop, self._workers, self._launcher, self._rooms, call)
        started.begin(check, self._say(call), partial(self._finish, call))

    def _begin_down(self, call: Call, profiles: list[str] | None, kill: bool) -> None:
        busy = self._turns.busy()
        everything = profiles is None
        if profiles is None:
            profiles = sorted({entry.name for entry in self.registry.live()} | busy)
        # Apart where nothing ties them together. What a waiting operation will tie is not known
        # yet: then all in one turn.
        together = [profiles] if busy.intersection(profiles) else tied(self.registry, profiles)
        results: dict[str, Result] = {}
        lane = Lane(DOWN_WIDTH)
        left = len(together)

        def group_done(names_: list[str], done: list[Result] | NetjailError) -> None:
            nonlocal left
            left -= 1
            if isinstance(done, NetjailError):
                done = [
                    {
                        "profile": name,
                        "state": self.registry.get(name).state,
                        "changed": False,
                        "errors": [done.as_dict()],
                    }
                    for name in names_
                ]
            results.update((each["profile"], each) for each in done)
            if left == 0:
                ordered = [results[name] for name in profiles]
                if any(error["code"] == "ending" for each in ordered for error in each["errors"]):
                    self._finish(call, ending())  # the next helper does the rest
                    return
                if everything:  # what an operation only looked at is none of what was meant
                    ordered = [
                        each for each in ordered if each["changed"] or each["state"] != "down"
                    ]
                self._finish(call, {"results": ordered})

        if not profiles:
            self._finish(call, {"results": []})
            return
        for group in together:

            def job(turn: Turn, group: list[str] = group) -> None:
                done: list[Result] | NetjailError
                try:
                    if self._ending:
                        raise ending()
                    self._still(call, profiles=group)
                    done = self._operations.down(group, kill, self._say(call))
                except NetjailError as error:
                    done = error
                except Exception:
                    log.crash("while taking down " + ", ".join(group))
                    done = internal("down")
                turn.done()
                self._loop.call_soon(partial(group_done, group, done))

            self._turns.submit(group, job, lane)

    def _begin_profile_add(self, call: Call, name: str, text: str, replace: bool) -> None:
        self._in_turn(call, [name], lambda _turn: self._queries.add(name, text, replace))

    def _begin_profile_remove(self, call: Call, name: str, down: bool) -> None:
        def remove(_turn: Turn) -> Result:
            if self.registry.get(name).live:
                if not down:
                    raise NetjailError(
                        "in-use", f"profile {name} is up", f"netjail profile remove --down {name}"
                    )
                result = self._operations.down([name], False, self._say(call))[0]
                if result["state"] != "down":
                    raise NetjailError.from_dict(result["errors"][0])
            self._queries.remove(name)
            self._loop.call_soon(partial(self._keeper.healer.journal.forget, name))
            return {}

        self._in_turn(call, [name], remove)

    def _begin_logs(self, call: Call, **wanted: Any) -> None:
        self._keeper.healer.journal.ask(answer=partial(self._finish, call), **wanted)

    def _begin_enter(self, call: Call, profile: str, pid: int) -> None:
        def enter() -> Result:
            entry = self.registry.get(profile)
            if not entry.live:
                raise NetjailError("not-up", f"profile {profile} is not up")
            if entry.stop == "when-idle":
                inside = {each.pid for each in self._rooms.engine.programs([profile])}
                if pid not in inside and programs.running(pid):
                    raise NetjailError(
                        "bad-request", f"process {pid} does not run in profile {profile}"
                    )
                self._keeper.entered(profile, pid)
            return {}

        self._workers.run(lambda: self._work(call, enter))

    # In workers, and back ----------------------------------------------------------------------

    def _in_turn(self, call: Call, profiles: Sequence[str], do: Callable[[Turn], Result]) -> None:
        def job(turn: Turn) -> None:
            def run() -> Result:
                if self._ending:
                    raise ending()
                return do(turn)

            self._work(call, run, turn)

        self._turns.submit(profiles, job)

    def _work(self, call: Call, do: Callable[[], Result], turn: Turn | None = None) -> None:
        outcome: Result | NetjailError
        try:
            self._still(call)
            outcome = do()
        except NetjailError as error:
            outcome = error
        except Exception:
            log.crash(f"in {call.method}")
            outcome = internal(call.method)
        if turn is not None:
            turn.done()  # before the caller knows: what it asks next must find nothing in the way
        self._loop.call_soon(partial(self._finish, call, outcome))

    def _say(self, call: Call) -> Callable[[str], None]:
        def tell(text: str) -> None:
            if not call.abandoned and not call.done:
                call.progress(text)

        return lambda text: self._loop.call_soon(partial(tell, text))

    def _finish(self, call: Call, outcome: Result | NetjailError) -> None:
        assert not call.done, call.method
        call.done = True
        self._pending.discard(call)
        if call.child is not None:
            call.child.drop()
        self._users[call.peer.uid] -= 1
        if not self._users[call.peer.uid]:
            del self._users[call.peer.uid]
        if call.method in _FILES and not isinstance(outcome, NetjailError):
            self.files_changed(call.params["name"])
        if not call.abandoned:
            call.reply(outcome)
        elif isinstance(outcome, Captured):
            outcome.close()
        self.quiet_changed()


_EARLY = frozenset({"list", "status", "profile.add", "profile.get", "profile.check"})
_FILES = frozenset({"profile.add", "profile.remove"})
