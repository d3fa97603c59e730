# SPDX-License-Identifier: GPL-3.0-or-later
"""The VPN clients of a helper: who follows each, what users have answered, and one lock for each
profile, because news from a server come on a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from netjail.uplinks.facts import Told
from netjail.uplinks.login import Ask, Login, needed
from netjail.uplinks.wanted import Resource, VpnClient


@dataclass(frozen=True, slots=True)
class Condition:
    """How a client is. `state`: connecting, connected, asking (for `asks`), refused (the server did
    not take what was answered), ended. `reason` for people: why it is not connected."""

    state: str
    reason: str | None = None
    asks: tuple[Ask, ...] = ()
    server: str | None = None


class Session(Protocol):
    """What follows one running client in a thread of its own."""

    def start(self) -> None: ...
    def stop(self) -> None:
        """Follow it no longer. Does not wait for the thread."""
        ...

    def condition(self) -> Condition: ...
    def answer(self, login: Login) -> None:
        """Go on with these answers, where it asks or was refused."""
        ...

    def wait(self, seconds: float) -> Condition:
        """Until it is connected, or needs somebody, or time is up."""
        ...

    def kick(self) -> bool:
        """Have it connect anew, as its network has become another; whether it was told to. Not
        where it waits for somebody's answer."""
        ...


class Tunnels:
    """The clients of a helper: their sessions and what was answered. `changed(name)` is called on
    whatever thread when one's condition has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._logins: dict[str, Login] = {}
        self._refused: dict[str, Login] = {}
        self._busy: dict[str, threading.RLock] = {}
        self.changed: Callable[[str], None] = lambda _name: None
        self.heard: Callable[[VpnClient, Told, Session], None] = lambda *_: None
        """Called on a session's thread: what the server has said of the network."""

    @contextmanager
    def busy(self, name: str) -> Iterator[None]:
        """One at a time is about a profile: an operation, or a session with news of its server."""
        with self._lock:
            lock = self._busy.setdefault(name, threading.RLock())
        with lock:
            yield

    def session(self, name: str) -> Session | None:
        """Whoever follows the client of a profile."""
        with self._lock:
            return self._sessions.get(name)

    def follow(self, name: str, session: Session) -> None:
        """From now on this one."""
        with self._lock:
            old = self._sessions.pop(name, None)
            self._sessions[name] = session
        if old is not None:
            old.stop()
        session.start()

    def drop(self, name: str) -> None:
        """Nobody follows it any more."""
        with self._lock:
            old = self._sessions.pop(name, None)
        if old is not None:
            old.stop()

    def offer(self, name: str, login: Login) -> None:
        """Answers of a user's. All but a one-time code are good for as long as the jail is up."""
        with self._lock:
            self._logins[name] = login.over(self._logins.get(name, Login()))

    def login(self, wanted: VpnClient) -> Login:
        """All that is known for a client: what a user said goes before what the profile says."""
        with self._lock:
            return self._logins.get(wanted.profile, Login()).over(wanted.login)

    def refuse(self, name: str, login: Login) -> None:
        """A server did not take it, and is not to be bothered with it again: some lock an account
        after a few times."""
        with self._lock:
            self._refused[name] = replace(login, response=None)
            self._logins.pop(name, None)

    def used(self, name: str) -> None:
        """A one-time code is spent."""
        with self._lock:
            if name in self._logins:
                self._logins[name] = replace(self._logins[name], response=None)

    def forget(self, name: str) -> None:
        """The jail is gone."""
        self.drop(name)
        with self._lock:
            self._logins.pop(name, None)
            self._refused.pop(name, None)

    def require(self, resources: Iterable[Resource]) -> None:
        """Raises credentials-needed where one of them is a client that could not be started with
        what is known."""
        for wanted in resources:
            if isinstance(wanted, VpnClient):
                login = self.login(wanted)
                missing = login.lacks(wanted.asks)
                refused = self._refused.get(wanted.profile)
                why = None if refused is None else "what it had was refused"
                if missing:
                    raise needed(wanted.profile, missing, why)
                if wanted.asks and refused == replace(login, response=None):
                    raise needed(wanted.profile, wanted.asks, why)

    def nudge(self, resources: Iterable[Resource], given: Login | None) -> bool:
        """Help a client that waits for answers; whether it did. Raises credentials-needed."""
        return any(isinstance(r, VpnClient) and self._nudge(r, given) for r in resources)

    def _nudge(self, wanted: VpnClient, given: Login | None) -> bool:
        session = self.session(wanted.profile)
        condition = None if session is None else session.condition()
        if session is None or condition is None or condition.state not in ("asking", "refused"):
            return False
        known = self.login(wanted) if condition.state == "asking" else (given or Login())
        if condition.state == "refused" and given is None and not wanted.login.lacks(wanted.asks):
            known = wanted.login  # kept in the profile: once more
        missing = known.lacks(condition.asks)
        if missing:
            raise needed(wanted.profile, missing, condition.reason)
        session.answer(known)
        self.used(wanted.profile)
        return True
