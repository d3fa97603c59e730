# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes networks: up and down, with the order that `through` demands.

Runs in worker threads, each operation within its turn, so that nothing else touches its profiles.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from netjail import names
from netjail.daemon import log, programs
from netjail.daemon.rooms import Process, Rooms, Say
from netjail.daemon.state import Entry, Registry
from netjail.daemon.workers import Turn, WouldDeadlockError
from netjail.errors import NetjailError
from netjail.profile.model import OpenConnect, OpenVpn, Profile
from netjail.uplinks.login import Login

Client = OpenVpn | OpenConnect
CONNECTING = "the VPN connects anew; nothing can leave until it answers"
CLIENT_WAIT = 20.0
"""In place of names.UP_WAIT for VPNs that take several round trips and a login to connect."""
_LOGIN = ("credentials-needed", "credentials-refused")
WAIT_SLICE = 0.5
"""Seconds of waiting for an answer between two looks at whether it still matters."""


class Watch(Protocol):
    """Told from worker threads what there is to watch."""

    def jail_up(self, name: str, processes: Sequence[Process]) -> None: ...
    def jail_going(self, name: str) -> None: ...
    def jail_gone(self, name: str, through: str | None) -> None: ...


class Operations:
    def __init__(self, rooms: Rooms, registry: Registry, watch: Watch) -> None:
        self._rooms = rooms
        self._registry = registry
        self._watch = watch

    # Up ----------------------------------------------------------------------------------------

    def up(
        self,
        turn: Turn,
        name: str,
        wait: float,
        say: Say,
        pointless: Callable[[], bool],
        *,
        login: Login | None = None,
    ) -> dict[str, Any]:
        """Bring a profile up, after what it goes through, and wait for its tunnel to answer.

        The turn is over before the waiting begins: whoever wants it down need not wait as well.
        `pointless`: whether nobody waits for the answer any more.
        """
        changed = self.bring_up(turn, name, say, login)
        entry = self._registry.get(name)
        answered = None
        if wait == names.UP_WAIT and isinstance(entry.profile and entry.profile.uplink, Client):
            wait = CLIENT_WAIT
        if wait > 0:
            turn.done()
            answered = self._wait_answer(name, wait, say, pointless)
            entry = self._registry.get(name)
            if entry.state in ("stopping", "down"):
                raise NetjailError("not-up", f"profile {name} was taken down again meanwhile")
        return {
            "profile": name,
            "kind": entry.profile.uplink.kind if entry.profile is not None else None,
            "state": entry.state,
            "reason": entry.reason,
            "changed": changed,
            "answered": answered,
        }

    def bring_up(self, turn: Turn, name: str, say: Say, login: Login | None = None) -> bool:
        """Whether anything had to be changed. `turn` holds `name`."""
        return self._bring_up(turn, self._chain(name), say, login)

    def repair(self, turn: Turn, name: str, say: Say) -> None:
        """Bring a failed jail back to what it was brought up as."""
        before = self._registry.get(name)
        wanted = before.profile or self._rooms.store.load(name)
        # Whoever follows the state can tell it from a start that somebody has asked for.
        self._registry.move(name, "starting", names.REPAIRING, only_from=("failed",))
        try:
            self._bring_up(turn, [wanted], say)
        except Exception:
            self._registry.move(name, "failed", before.reason, only_from=("starting",))
            raise

    def _chain(self, name: str) -> list[Profile]:
        """The profile, then what it goes through, and so on, up to the first that is up.

        All are loaded, and every problem is found, before anything is touched.
        """
        chain: list[Profile] = []
        seen: list[str] = []
        current: str | None = name
        while current is not None:
            if current in seen:
                _cycle([*seen[seen.index(current) :], current])
            if chain and self._registry.get(current).usable:
                # It is up as it is, whatever its file says by now; but what it was brought up
                # through must not be what we are about to bring up.
                seen.append(current)
                current = self._registry.get(current).through
                while current is not None and current not in seen:
                    seen.append(current)
                    current = self._registry.get(current).through
                if current is not None:
                    _cycle([*seen[seen.index(current) :], current])
                break
            try:
                profile = self._rooms.store.load(current)
            except NetjailError as error:
                if not chain:
                    raise
                raise NetjailError(
                    error.code,
                    f"profile {seen[-1]} goes through {current}, but {error.message}",
                    error.hint,
                    error.problems,
                ) from None
            chain.append(profile)
            seen.append(current)
            current = profile.through
        return chain

    def _bring_up(
        self, turn: Turn, chain: Sequence[Profile], say: Say, login: Login | None = None
    ) -> bool:
        profile, rest = chain[0], chain[1:]
        name, through = profile.name, profile.through
        before = self._registry.get(name)
        if before.live and before.through != through:
            raise NetjailError(
                "in-use",
                f"profile {name} is up {_by_way(before.through)}, and by its file now goes "
                f"{_by_way(through)}: that cannot change while it is up",
                f"netjail down {name} && netjail up {name}",
            )
        if through is None:
            self._begin(before, None)
        else:
            self._base_up(turn, name, through, rest, say)
        try:
            engine = self._rooms.engine
            up = engine.up(profile, say) if login is None else engine.up(profile, say, login)
        except Exception as error:
            self._up_failed(name, error)
            raise
        # Whether a tunnel answers, only an answer can tell.
        if before.state != "degraded" or up.changed:
            connecting = (
                before.live
                and isinstance(profile.uplink, Client)
                and engine.answering(name) is False
            )
            # One that comes up for the first time is waited for; a client that was started again
            # has yet to show that it connects.
            self._registry.move(name, *(("degraded", CONNECTING) if connecting else ("up",)))
        self._registry.note(
            name,
            stop=profile.stop,
            processes=tuple(up.processes),
            profile=profile,
            tunnel=profile.uplink.kind not in ("veth", "none"),
        )
        self._watch.jail_up(name, up.processes)
        if up.changed:
            log.info(f"{name}: {'repaired' if before.live else 'up'} ({profile.uplink.kind})")
        return up.changed

    def _base_up(
        self, turn: Turn, name: str, through: str, rest: Sequence[Profile], say: Say
    ) -> None:
        """See that `through` is up, and from then on `name` keeps it from going down."""
        try:
            turn.also(through)
        except WouldDeadlockError:
            _cycle([name, through, name])
        try:
            if not self._registry.get(through).usable:
                say(f"bringing up {through} first, which {name} goes through")
                self._bring_base_up(turn, name, rest or self._chain(through), say)
            self._begin(self._registry.get(name), through)
        finally:
            turn.release(through)

    def _bring_base_up(self, turn: Turn, name: str, chain: Sequence[Profile], say: Say) -> None:
        try:
            self._bring_up(turn, chain, say)
        except NetjailError as error:
            wrapped = NetjailError(
                error.code,
                f"{chain[0].name}, which {name} goes through, cannot be brought up: {error}",
                error.hint,
                error.problems,
            )
            wrapped.wanted = error.wanted
            raise wrapped from None

    def _begin(self, before: Entry, through: str | None) -> None:
        if not before.usable:
            reason = before.reason if before.state == "starting" else None
            self._registry.move(before.name, "starting", reason)
            self._registry.note(before.name, through=through)

    def _up_failed(self, name: str, error: Exception) -> None:
        expected = isinstance(error, NetjailError)
        reason = str(error) if expected else "a bug in netjail; see the helper's log"
        log.warning(f"{name}: up failed: {error}")
        entry = self._registry.get(name)
        try:
            exists = self._exists(name)
        except NetjailError:
            exists = False  # there is no engine at all
        if exists:
            self._registry.move(name, "failed", reason)
        else:
            self._registry.move(name, "down", reason)
            self._watch.jail_gone(name, entry.through)

    def _wait_answer(
        self, name: str, seconds: float, say: Say, pointless: Callable[[], bool]
    ) -> bool | None:
        deadline = time.monotonic() + seconds
        answered: bool | None = False
        while answered is False and (left := deadline - time.monotonic()) > 0:
            try:
                answered = self._rooms.engine.wait_answer(name, min(left, WAIT_SLICE), say)
            except NetjailError as error:
                if error.code in _LOGIN:
                    self._registry.move(name, "failed", error.message, only_from=("up", "degraded"))
                    raise
                if self._registry.get(name).usable:
                    raise
                return None  # taken down under us, or its process has ended
            say = _nothing  # it says the same each time
            if pointless() or not self._registry.get(name).usable:
                if answered is not False or self._registry.get(name).state != "failed":
                    return answered
                answered = self._rooms.engine.wait_answer(name, 0, say)  # which says why
        if answered:
            self._registry.move(name, "up", only_from=("degraded",))
        elif answered is False:
            reason = (
                f"{self._rooms.engine.silence(name)} within {seconds:g} s; nothing can leave until "
                "that changes"
            )
            if self._registry.move(name, "degraded", reason, only_from=("up",)):
                log.warning(f"{name}: {reason}")
        return answered

    # Down --------------------------------------------------------------------------------------

    def down(self, profiles: Sequence[str], kill: bool, say: Say) -> list[dict[str, Any]]:
        """Take profiles down, dependents first. The turn holds all of them. One result each."""
        order = sorted(profiles, key=self._depth, reverse=True)
        if kill:
            self._kill_all([name for name in order if not self._kept(name, order)], say)
        return [self._take_down(name, kill, say) for name in order]

    def _take_down(self, name: str, kill: bool, say: Say) -> dict[str, Any]:
        errors: list[NetjailError] = []
        changed = False
        try:
            changed, errors = self._try_down(name, kill, say)
        except NetjailError as error:
            errors = [error]
        except Exception:
            log.crash(f"while taking down {name}")
            self._registry.move(
                name, "failed", "a bug in netjail; see the helper's log", only_from=("stopping",)
            )
            errors = [internal("down")]
        return {
            "profile": name,
            "state": self._registry.get(name).state,
            "changed": changed,
            "errors": [error.as_dict() for error in errors],
        }

    def _try_down(self, name: str, kill: bool, say: Say) -> tuple[bool, list[NetjailError]]:
        engine = self._rooms.engine
        entry = self._registry.get(name)
        if not entry.live and not self._exists(name):
            if entry.since is None and name not in self._rooms.store.names():
                self._rooms.store.load(name)  # raises no-such-profile in the store's own words
            return False, []
        dependents = self._registry.dependents(name)
        if dependents:
            raise NetjailError(
                "in-use",
                f"profile {name} stays up: {', '.join(dependents)} "
                f"{'goes' if len(dependents) == 1 else 'go'} through it",
                f"netjail down {' '.join([*self._above(name), name])}",
            )
        pids = engine.close(name, kill)
        if pids and not kill:
            raise NetjailError(
                "in-use",
                f"profile {name} stays up: " + programs.sentence(engine.programs([name]), pids),
                f"end them, or: netjail down --kill {name}",
            )
        self._registry.move(name, "stopping")
        self._watch.jail_going(name)
        left = programs.end(engine, [name]) if pids else []
        errors = list(engine.down(name, say))
        if left:
            errors.append(
                NetjailError(
                    "in-use",
                    f"{len(left)} programs of profile {name} cannot be ended (pid {left[0]}); "
                    "they have no network any more",
                )
            )
        if self._exists(name):
            reason = str(errors[0]) if errors else "something of it is left"
            self._registry.move(name, "failed", f"could not be taken down: {reason}")
        else:
            self._registry.move(name, "down")
            self._watch.jail_gone(name, entry.through)
        log.info(f"{name}: {self._registry.get(name).state}")
        for error in errors:
            log.warning(f"{name}: while going down: {error}")
        return True, errors

    def idle_down(self, name: str) -> list[int]:
        """Take a jail down unless something uses it. Returns the pids of what does."""
        entry = self._registry.get(name)
        if not entry.live or entry.stop != "when-idle" or self._registry.dependents(name):
            return []
        pids = list(self._rooms.engine.close(name, False))
        if not pids:
            log.info(f"{name}: its last program has ended")
            self._take_down(name, False, _nothing)
        return pids

    def _kill_all(self, names: Sequence[str], say: Say) -> None:
        """End the programs of all of them at once, so that the grace is waited for once."""
        inside = []
        for name in names:
            try:
                if self._exists(name) and self._rooms.engine.close(name, True):
                    inside.append(name)
            except NetjailError as error:
                log.warning(f"{name}: {error}")
        if inside:
            say(f"ending the programs in {', '.join(inside)}")
            programs.end(self._rooms.engine, inside)

    def _kept(self, name: str, going: Sequence[str]) -> bool:
        """Whether a profile that stays up goes, at some remove, through this one."""
        return any(
            other not in going or self._kept(other, going)
            for other in self._registry.dependents(name)
        )

    def _above(self, name: str) -> list[str]:
        """All that goes through a profile, at whatever remove; what must go down first, first."""
        found: list[str] = []
        for other in self._registry.dependents(name):
            found += [each for each in [*self._above(other), other] if each not in found]
        return found

    def _depth(self, name: str) -> int:
        depth, seen = 0, {name}
        through = self._registry.get(name).through
        while through is not None and through not in seen:
            seen.add(through)
            depth += 1
            through = self._registry.get(through).through
        return depth

    def _exists(self, name: str) -> bool:
        return name in self._rooms.engine.known()


def internal(method: str) -> NetjailError:
    """For an exception that nobody foresaw; the traceback is in the log, never in the answer."""
    return NetjailError(
        "internal",
        f"a bug in netjail: {method} failed in a way that was not foreseen",
        "please report it with the end of the helper's log, /run/netjail/netjaild.log",
    )


def _cycle(names: Sequence[str]) -> NoReturn:
    raise NetjailError(
        "invalid-profile",
        f"profiles go through each other in a circle: {' -> '.join(names)}",
        f"netjail profile edit {names[0]}",
    )


def _by_way(through: str | None) -> str:
    return f"through {through}" if through is not None else "through no other profile"


def _nothing(_text: str) -> None:
    pass
