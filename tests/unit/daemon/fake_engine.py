# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine, a store and their rooms without a kernel: what they were asked is written down, and a
test may hold, fail or crash any of it."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from netjail.errors import NetjailError
from netjail.profile import switch
from netjail.profile.model import Dns, NoUplink, Profile, WireGuard


def profile(name: str, through: str | None = None, stop: Any = "never", tunnel: bool = False):
    """A profile; one that goes through another is a tunnel."""
    if tunnel or through is not None:
        uplink: Any = WireGuard(private_key="secret", addresses=(), peers=(), through=through)
    else:
        uplink = NoUplink()
    return Profile(name, uplink, Dns("static"), stop=stop)


@dataclass(frozen=True)
class FakeProcess:
    name: str
    pid: int

    def alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True


@dataclass(frozen=True)
class FakeUp:
    changed: bool
    processes: list[FakeProcess]


@dataclass(frozen=True)
class FakeAdopted:
    name: str
    state: str = "up"
    reason: str | None = None
    processes: tuple[FakeProcess, ...] = ()
    stop: str = "never"
    since: float = 1000.5
    through: str | None = None


@dataclass(frozen=True)
class FakeProgram:
    profile: str
    pid: int
    ppid: int = 1
    uid: int = 0
    command: str = "sleep"
    argv: tuple[str, ...] = ("sleep", "60")
    started: float = 1.0


@dataclass(frozen=True)
class FakeStep:
    what: str

    def describe(self) -> tuple[str, str | None]:
        return self.what, None


@dataclass(frozen=True)
class FakeCheck:
    code: str = "kernel"
    title: str = "Kernel"
    status: str = "ok"
    text: str = "fine"
    hint: str | None = None


@dataclass
class FakeEngine:
    """`log`: (what, name) in order, with ("up", x) at the begin and ("up done", x) at the end."""

    log: list[tuple[str, str]] = field(default_factory=list)
    jails: set[str] = field(default_factory=set)
    standing: list[FakeAdopted] = field(default_factory=list)
    gates: dict[tuple[str, str], threading.Event] = field(default_factory=dict)
    failures: dict[tuple[str, str], list[BaseException]] = field(default_factory=dict)
    processes: dict[str, list[FakeProcess]] = field(default_factory=dict)
    inside: list[FakeProgram] = field(default_factory=list)
    answers: dict[str, bool | None] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)
    gone: dict[str, str] = field(default_factory=dict)
    ways: dict[str, str | None] = field(default_factory=dict)
    waiting: dict[str, float | None] = field(default_factory=dict)
    """Seconds until a silent tunnel is to be asked."""
    verified: dict[str, bool] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    lends: dict[str, Any] = field(default_factory=dict)
    news: dict[str, str] = field(default_factory=dict)
    down_seconds: float = 0.0
    logins: dict[str, Any] = field(default_factory=dict)
    troubles: dict[str, tuple[str, str]] = field(default_factory=dict)
    changed: Any = None
    """What the helper wants to be told by, with a profile's name."""
    switched: dict[str, dict[str, Any]] = field(default_factory=dict)

    def gate(self, what: str, name: str) -> threading.Event:
        """`what` of `name` waits until the event is set."""
        return self.gates.setdefault((what, name), threading.Event())

    def fail(self, what: str, name: str, *errors: BaseException) -> None:
        """The next calls of `what` raise these."""
        self.failures.setdefault((what, name), []).extend(errors)

    def _enter(self, what: str, name: str) -> None:
        self.log.append((what, name))
        if (what, name) in self.gates:
            assert self.gates[what, name].wait(10), f"nobody opened {what} {name}"
        if self.failures.get((what, name)):
            raise self.failures[what, name].pop(0)

    def start(self) -> list[FakeAdopted]:
        self._enter("start", "")
        self.jails |= {each.name for each in self.standing}
        return self.standing

    def up(self, profile: Profile, progress: Any = None, login: Any = None) -> FakeUp:
        if login is not None:
            self.logins[profile.name] = login
        progress(f"making {profile.name}")
        self._enter("up", profile.name)
        changed = profile.name not in self.jails
        self.jails.add(profile.name)
        self.log.append(("up done", profile.name))
        return FakeUp(changed, self.processes.get(profile.name, []))

    def wait_answer(self, name: str, seconds: float, progress: Any) -> bool | None:
        progress("waiting for the first handshake")
        self._enter("wait", name)
        answer = self.answers.get(name)
        if answer is False:
            time.sleep(seconds)
        return answer

    def lent(self, name: str) -> Any:
        return self.lends.get(name)

    def lent_anew(self, name: str) -> str | None:
        return self.news.pop(name, None)

    def listen(self, changed: Any) -> None:
        self.changed = changed

    def trouble(self, name: str) -> tuple[str, str] | None:
        return self.troubles.get(name)

    def answering(self, name: str) -> bool | None:
        return self.answers.get(name)

    def down(self, name: str, progress: Any = None) -> list[NetjailError]:
        self._enter("down", name)
        time.sleep(self.down_seconds)
        self.log.append(("down done", name))
        if name in self.stuck:
            return [NetjailError("system", "it sticks")]
        self.jails.discard(name)
        return []

    def close(self, name: str, force: bool = False) -> list[int]:
        self.log.append(("close", name))
        return [each.pid for each in self.programs([name])]

    def plan(self, profile: Profile) -> list[FakeStep]:
        self._enter("plan", profile.name)
        return [FakeStep(f"make {profile.name}")]

    def status(self, name: str, profile: Profile | None) -> dict[str, Any]:
        self._enter("status", name)
        return {"netns": f"netjail-{name}", "uplink": {"interface": "wg0"}, "received": 7}

    def programs(self, names: Any = None) -> list[FakeProgram]:
        return [
            each
            for each in self.inside
            if (names is None or each.profile in names) and _runs(each.pid)
        ]

    def silence(self, name: str) -> str:
        return "the tunnel does not answer"

    def doubt(self, name: str) -> None:
        self._enter("doubt", name)

    def way(self, name: str) -> str | None:
        return self.ways.get(name)

    def heal(self, name: str, profile: Profile, attempt: int, say: Any) -> None:
        self._enter(f"heal {attempt}", name)
        say("helped")

    def due(self, name: str) -> float | None:
        return self.waiting.get(name)

    def verify(self, name: str, profile: Profile) -> bool:
        self._enter("verify", name)
        return self.verified.get(name, True)

    def lost(self, name: str) -> str | None:
        return self.gone.get(name)

    def follows(self, name: str) -> list[str]:
        return self.files.get(name, [])

    def follow(self, name: str) -> bool:
        self._enter("follow", name)
        return True

    def host_changed(self) -> None:
        self._enter("host_changed", "")

    def known(self) -> list[str]:
        return sorted(self.jails)

    def switches(self) -> list[str]:
        return sorted(self.switched)

    def switch_status(self, name: str) -> dict[str, Any] | None:
        return self.switched.get(name)


class FakeStore:
    def __init__(self) -> None:
        self.profiles: dict[str, Any] = {}
        self.loads: list[str] = []
        self.versions: dict[str, int] = {}

    def put(self, *profiles: Profile) -> None:
        for each in profiles:
            self.profiles[each.name] = each
            self.versions[each.name] = self.versions.get(each.name, 0) + 1

    def names(self) -> list[str]:
        return sorted(self.profiles)

    def load(self, name: str) -> Profile:
        self.loads.append(name)
        if name not in self.profiles:
            raise NetjailError("no-such-profile", f"there is no profile {name}")
        if isinstance(self.profiles[name], NetjailError):
            raise self.profiles[name]
        return self.profiles[name]

    def read_text(self, name: str) -> str:
        self.load(name)
        return f"text of {name}"

    def parse(self, name: str, text: str) -> tuple[Profile, list[str]]:
        if text == "bad":
            raise NetjailError("invalid-profile", "bad", problems=("one", "two"))
        return profile(name, through=text or None), ["a warning"]

    def save(self, name: str, text: str, replace: bool) -> None:
        if name in self.profiles and not replace:
            raise NetjailError("exists", f"there is a profile {name} already")
        self.put(self.parse(name, text)[0])

    def remove(self, name: str) -> None:
        self.load(name)
        del self.profiles[name]

    def signature(self, name: str) -> object:
        return self.versions.get(name)


class FakeSwitches:
    """The real parser over a dict of texts."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def names(self) -> list[str]:
        return sorted(self.texts)

    def read_text(self, name: str) -> str:
        if name not in self.texts:
            raise NetjailError("no-such-switch", f"there is no switch {name}")
        return self.texts[name]

    def parse(self, name: str, text: str) -> tuple[switch.Switch, list[str]]:
        return switch.parse(name, text)

    def load(self, name: str) -> switch.Switch:
        return self.parse(name, self.read_text(name))[0]

    def save(self, name: str, text: str, replace: bool) -> None:
        if name in self.texts and not replace:
            raise NetjailError("exists", f"there is a switch {name} already")
        self.texts[name] = text

    def remove(self, name: str) -> None:
        self.read_text(name)
        del self.texts[name]


class FakeRooms:
    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.store = FakeStore()
        self.switches = FakeSwitches()

    def checks(self) -> list[FakeCheck]:
        return [FakeCheck()]

    def standing(self) -> bool:
        return bool(self.engine.standing)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
