# SPDX-License-Identifier: GPL-3.0-or-later
"""What the helper needs of the other rooms, as protocols, and the real ones, imported late.

The manager sees only these, so its tests run it over fakes, and the socket listens before the
heavy imports begin.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from netjail import names
from netjail.daemon.choices import Choice, Choices
from netjail.errors import NetjailError
from netjail.profile.model import Place, Port, Profile
from netjail.uplinks.login import Login

if TYPE_CHECKING:
    from netjail.leaks.model import Facts
    from netjail.profile.switch import Switch

Say = Callable[[str], None]


class Process(Protocol):
    """A program that serves a jail from outside (wireguard-go, dnsmasq)."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...
    def alive(self) -> bool:
        """Whether the pid still is this process, and no other that was given its number."""
        ...


class Up(Protocol):
    @property
    def changed(self) -> bool: ...
    @property
    def processes(self) -> Sequence[Process]: ...


class Adopted(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def processes(self) -> Sequence[Process]: ...
    @property
    def stop(self) -> str: ...
    @property
    def since(self) -> float: ...
    @property
    def through(self) -> str | None: ...


class LivePort(Protocol):
    @property
    def port(self) -> Port: ...
    @property
    def connections(self) -> int | None: ...
    @property
    def served(self) -> int | None: ...
    @property
    def added(self) -> bool: ...


class Lent(Protocol):
    def as_dict(self) -> dict[str, Any]: ...


class Step(Protocol):
    def describe(self) -> tuple[str, str | None]: ...


class Program(Protocol):
    @property
    def profile(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def ppid(self) -> int: ...
    @property
    def uid(self) -> int: ...
    @property
    def command(self) -> str: ...
    @property
    def argv(self) -> Sequence[str]: ...
    @property
    def started(self) -> float: ...


class Check(Protocol):
    @property
    def code(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def hint(self) -> str | None: ...


class Engine(Protocol):
    """Blocking; called from worker threads, at most one operation per profile at a time."""

    def start(self) -> Sequence[Adopted]: ...
    def up(self, profile: Profile, progress: Say = ..., login: Login | None = ...) -> Up: ...
    def listen(self, changed: Callable[[str], None]) -> None:
        """`changed` is called, on any thread, when `answering` or `trouble` may have changed."""
        ...

    def trouble(self, name: str) -> tuple[str, str] | None:
        """("degraded" or "failed", why) where a tunnel says by itself what is wrong with it."""
        ...

    def wait_answer(self, name: str, seconds: float, progress: Say) -> bool | None: ...
    def down(self, name: str, progress: Say = ...) -> Sequence[NetjailError]: ...
    def close(self, name: str, force: bool = ...) -> Sequence[int]: ...
    def plan(self, profile: Profile) -> Sequence[Step]: ...
    def status(self, name: str, profile: Profile | None) -> dict[str, Any]: ...
    def leak_facts(self, name: str, profile: Profile | None) -> Facts: ...
    def programs(self, names: Collection[str] | None = ...) -> Sequence[Program]: ...
    def answering(self, name: str) -> bool | None: ...
    def host_changed(self) -> None: ...
    def known(self) -> Sequence[str]: ...
    def switches(self) -> Sequence[str]:
        """Names of the switches that are up."""
        ...

    def switch_status(self, name: str) -> dict[str, Any] | None:
        """The live part of a switch's status; None: it is not up."""
        ...

    def measure(
        self, profile: Profile, among: Sequence[Place], seconds: float
    ) -> dict[str, float] | None:
        """Seconds to the answer of each place that answers, fastest first; None: nothing can be
        told of this kind."""
        ...

    def silence(self, name: str) -> str:
        """What it is that does not answer, as the begin of a sentence."""
        ...

    def doubt(self, name: str) -> None:
        """Take nothing for an answer that came before now."""
        ...

    def way(self, name: str) -> str | None:
        """How a tunnel's own packets leave the host; "": not at all; None: no matter of its."""
        ...

    def heal(self, name: str, profile: Profile, attempt: int, say: Say) -> None:
        """Do what may help a tunnel, or a DHCP client, whose network has changed or is silent."""
        ...

    def due(self, name: str) -> float | None:
        """Seconds until a tunnel should be looked at out of its turn; 0.0: it should be asked."""
        ...

    def verify(self, name: str, profile: Profile) -> bool:
        """Whether a tunnel that is suspected answers, by asking its servers themselves."""
        ...

    def lost(self, name: str) -> str | None:
        """What of the host's a jail has lost that it stood on, as a sentence."""
        ...

    def lent(self, name: str) -> Lent | None:
        """The provider's port; None: the jail does not ask for one, or is not up."""
        ...

    def lent_anew(self, name: str) -> str | None:
        """Make the provider's port known to programs; what has happened to it, as a sentence."""
        ...

    def follows(self, name: str) -> Sequence[str]:
        """Files that grow when there is something to `follow`."""
        ...

    def follow(self, name: str) -> bool:
        """Take up what the processes of a jail have to say. Whether anything has changed."""
        ...

    def ports(self, name: str) -> Sequence[LivePort] | None:
        """The ports of a jail that is up; None: it is not."""
        ...

    def change_ports(
        self, name: str, add: Collection[Port] = ..., remove: Collection[Port] = ...
    ) -> Sequence[Process]:
        """Change them, not its file. The processes that serve the jail now."""
        ...

    def write_again(self) -> None:
        """Somebody has deleted what it keeps in /run/netjail."""
        ...


class Store(Protocol):
    def names(self) -> Sequence[str]: ...
    def load(self, name: str) -> Profile: ...
    def read_text(self, name: str) -> str: ...
    def save(self, name: str, text: str, replace: bool) -> None: ...
    def remove(self, name: str) -> None: ...
    def parse(self, name: str, text: str) -> tuple[Profile, Sequence[str]]: ...
    def signature(self, name: str) -> object:
        """Something that differs once the profile's file, or its place, has changed; None: there
        is no file."""
        ...

    def choice(self, name: str) -> Choice:
        """Which place of a pool `load` gives."""
        ...

    def choose(self, name: str, choice: Choice) -> None: ...


class SwitchStore(Protocol):
    def names(self) -> Sequence[str]: ...
    def load(self, name: str) -> Switch: ...
    def read_text(self, name: str) -> str: ...
    def save(self, name: str, text: str, replace: bool) -> None: ...
    def remove(self, name: str) -> None: ...
    def parse(self, name: str, text: str) -> tuple[Switch, Sequence[str]]: ...


class Rooms(Protocol):
    @property
    def engine(self) -> Engine: ...
    @property
    def store(self) -> Store: ...
    @property
    def switches(self) -> SwitchStore: ...
    def checks(self) -> Sequence[Check]: ...
    def standing(self) -> bool:
        """Whether there is anything to adopt; quick, and without the engine."""
        ...


class RealStore:
    """netjail.profile, as `Store`."""

    def __init__(self) -> None:
        from netjail.profile import places, store, toml

        self._store = store
        self._places = places
        self._choices = Choices()
        self.names = store.names
        self.read_text = store.read_text
        self.parse = toml.parse
        self.choice = self._choices.get
        self.choose = self._choices.take

    def load(self, name: str) -> Profile:
        profile = self._store.load(name)
        return self._places.choose(profile, self.choice(name).place)

    def remove(self, name: str) -> None:
        self._store.remove(name)
        self._choices.forget(name)

    def save(self, name: str, text: str, replace: bool) -> None:
        self._store.save(name, text, replace)

    def signature(self, name: str) -> object:
        try:
            status = os.stat(self._store.path(name), follow_symlinks=False)
        except OSError:
            return None
        # ctime too: an owner or mode that netjail refuses is mended without a change of mtime.
        times = status.st_mtime_ns, status.st_ctime_ns
        return (status.st_ino, status.st_size, *times, self.choice(name).place)


class RealSwitchStore:
    """netjail.profile, as `SwitchStore`."""

    def __init__(self) -> None:
        from netjail.profile import switch, switches

        self._store = switches
        self.names = switches.names
        self.load = switches.load
        self.read_text = switches.read_text
        self.remove = switches.remove
        self.parse = switch.parse

    def save(self, name: str, text: str, replace: bool) -> None:
        self._store.save(name, text, replace)


class RealRooms:
    """The rooms of this package, imported when first asked for, which must not be on the main
    loop's thread: it takes a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._store: RealStore | None = None
        self._switches: RealSwitchStore | None = None

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            with self._lock:
                if self._engine is None:
                    with libraries():
                        from netjail.engine.api import Engine as RealEngine
                    self._engine = RealEngine()
        return self._engine

    @property
    def store(self) -> Store:
        if self._store is None:
            with self._lock, libraries():
                self._store = self._store or RealStore()
        return self._store

    @property
    def switches(self) -> SwitchStore:
        if self._switches is None:
            with self._lock, libraries():
                self._switches = self._switches or RealSwitchStore()
        return self._switches

    def checks(self) -> Sequence[Check]:
        with libraries():
            from netjail.engine import doctor
        return doctor.checks()

    def standing(self) -> bool:
        try:
            return any(map(_holds_something, (names.JAILS_DIR, names.SWITCHES_DIR)))
        except OSError:
            return True  # whatever it is, the engine will say


def _holds_something(directory: str) -> bool:
    try:
        return bool(os.listdir(directory))
    except FileNotFoundError:
        return False


@contextmanager
def libraries() -> Iterator[None]:
    """Says which Python library is missing where an import fails for that."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in ("", "netjail"):
            raise
        raise NetjailError(
            "missing-program",
            f"the Python library {library} is not installed for {sys.executable}",
            f"install it: sudo apt install python3-{library.replace('_', '-')}, and run netjail "
            "by /usr/bin/python3 (or: python3 -m pip install it for this Python)",
        ) from None
