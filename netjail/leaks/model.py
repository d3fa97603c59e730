# SPDX-License-Identifier: GPL-3.0-or-later
"""What flows into the judgement and out of it: Seen (by a probe), Facts (root's), Finding."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from netjail.errors import NetjailError
from netjail.leaks.codes import CODES, INFO, LEAK, LEVELS, WARNING

TEXT_MAX = 1 << 18
"""Characters of a probe's answer."""
_MANY, _LONG = 256, 512


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `text`: what was seen; `accepted`: the user knows."""

    code: str
    level: str
    text: str
    todo: str = ""
    accepted: bool = False

    def as_dict(self, profile: str) -> dict[str, Any]:
        """For JSON and the bus. `why` and `todo` are empty where all is well."""
        about = CODES[self.code]
        said = self.level != "ok"
        todo = (self.todo or about.todo).replace("NAME", profile)
        return {
            "code": self.code,
            "level": self.level,
            "group": about.group,
            "title": about.title,
            "text": self.text,
            "why": about.why if said else "",
            "todo": todo if said else "",
            "accepted": self.accepted,
        }


def verdict(findings: Iterable[Finding]) -> str:
    """The worst level among what is not accepted."""
    levels = [LEVELS.index(each.level) for each in findings if not each.accepted]
    return LEVELS[max(levels, default=0)]


def clean(level: str) -> bool:
    """Whether a verdict is good enough for exit status 0."""
    return level not in (WARNING, LEAK)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a probe has seen (see `probe`). Its words may be forged by whoever it ran as."""

    uid: int = 0
    netns: str = ""
    interfaces: tuple[str, ...] = ()
    sysfs: tuple[str, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)
    public: dict[str, str] = field(default_factory=dict)
    nameservers: tuple[str, ...] = ()
    servers: dict[str, str] = field(default_factory=dict)
    nsswitch: tuple[str, ...] = ()
    doors: dict[str, str] = field(default_factory=dict)
    bus: dict[str, str] = field(default_factory=dict)
    agent: str = ""
    masters: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    exits: dict[str, str] = field(default_factory=dict)
    askers: dict[str, str] = field(default_factory=dict)
    fence: dict[str, str] = field(default_factory=dict)
    mtu: dict[str, str] = field(default_factory=dict)
    sent: tuple[str, ...] = ()

    @staticmethod
    def parse(text: str) -> Seen:
        """From a probe's answer. Raises NetjailError("bad-request") for what is none."""
        try:
            data = json.loads(text[:TEXT_MAX])
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict) or data.get("version") != 1:
            raise NetjailError("bad-request", "what the probe said cannot be read")
        words: dict[str, Any] = {}
        for name in Seen.__dataclass_fields__:
            value = data.get(name)
            default = getattr(_NOTHING, name)
            if isinstance(default, int):
                words[name] = value if type(value) is int else -1
            elif isinstance(default, str):
                words[name] = _short(value)
            elif isinstance(default, tuple):
                listed = value if isinstance(value, list) else []
                words[name] = tuple(_short(each) for each in listed[:_MANY])
            else:
                pairs = list(value.items()) if isinstance(value, dict) else []
                words[name] = {_short(k): _short(v) for k, v in pairs[:_MANY]}
        return Seen(**words)


_NOTHING = Seen()


def _short(value: Any) -> str:
    text = value[:_LONG] if isinstance(value, str) else ""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Link:
    """An interface inside. `kind`: as ip-link(8) has it, "" for hardware."""

    name: str
    kind: str
    up: bool
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A route inside that leads somewhere. `text`: as ip-route(8) prints it."""

    text: str
    device: str
    default: bool
    table: int


@dataclass(frozen=True, slots=True)
class Held:
    """A socket of another network namespace in a program inside. `what`: "IPv4 UDP" ...; `uid`: the
    program's user."""

    pid: int
    command: str
    fd: int
    what: str
    uid: int = -1

    def seen_by(self, uid: int) -> Held:
        """As it is told to a user: with whom another's program talks is not for them."""
        if uid in (0, self.uid):
            return self
        return replace(self, what=self.what.partition(" to ")[0])


@dataclass(frozen=True, slots=True)
class Facts:
    """What only root sees of a jail. `own`: names of the interfaces that netjail made inside.

    `configured`: addresses that it gave them.
    `missing`: what the record has and the kernel has not, in words; `fence`: that the nft table is
    among it. `socket`: "" where there is none or it is where it belongs, else what is wrong.
    `handshake`: seconds since the last one, None for never; `handshakes`: whether the kind of
    tunnel tells of any. `path_mtu`: of the host towards the endpoint; `overhead`: bytes that the
    tunnel adds. `strangers`: programs inside that do not see the jail's files.
    """

    profile: str
    kind: str
    netns: str
    own: tuple[str, ...] = ()
    configured: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[str, ...] = ()
    host_addresses: tuple[str, ...] = ()
    host_netns: str = ""
    missing: tuple[str, ...] = ()
    fence: bool = False
    dns_mode: str = ""
    servers: tuple[str, ...] = ()
    host_allowed: bool = True
    gateways: tuple[str, ...] = ()
    tunnel: bool = False
    implementation: str = ""
    socket: str = ""
    handshake: float | None = None
    handshakes: bool = True
    mtu: int | None = None
    path_mtu: int | None = None
    overhead: int = 0
    held: tuple[Held, ...] = ()
    strangers: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()


def accepted(findings: Sequence[Finding], codes: Sequence[str]) -> list[Finding]:
    """The findings with those of these codes marked as known; a leak cannot be accepted away."""
    return [
        Finding(f.code, f.level, f.text, f.todo, True)
        if f.code in codes and f.level in (INFO, WARNING)
        else f
        for f in findings
    ]
