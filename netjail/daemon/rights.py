# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request needs: which polkit actions, with which profiles; and what its answer may show.

Only for callers that are not root. Runs in worker threads: it reads profiles and asks for users.
What polkit has granted is compared with what is needed once more when the request's turn has come:
a password prompt is a long time, in which profiles may change hands.
"""

from __future__ import annotations

import json
import pwd
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netjail import names
from netjail.daemon import capturing, drawing, portwords
from netjail.daemon.authorise import Need, Peer
from netjail.daemon.rooms import Rooms
from netjail.daemon.state import Registry
from netjail.errors import NetjailError
from netjail.profile.model import NoUplink, OpenConnect, OpenVpn, Profile, WireGuard

OWN_MAX = 64
"""Profiles that a user may have for themselves without an administrator."""
LATELY_SECONDS = 30.0
"""For so long a user's name means the same number."""
LOWEST_PORT = 1024
"""Below it, a UDP port of the host is root's to give."""

Params = dict[str, Any]
Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Grant:
    """`params`: the request's, as they are to be carried out for this caller."""

    needs: tuple[Need, ...]
    params: Params


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to know about a profile here. `users` None: only root may see it."""

    name: str
    stored: bool
    live: bool
    users: tuple[str, ...] | None
    kind: str = ""
    through: str | None = None
    harmless: bool = False


class Rights:
    def __init__(self, rooms: Rooms, registry: Registry) -> None:
        self._rooms = rooms
        self._registry = registry
        self._lock = threading.Lock()
        self._known: dict[str, tuple[object, Profile | None]] = {}
        self._rules: dict[str, Callable[[int, Params], Grant]] = {
            "list": _free,
            "doctor": _free,
            "graph": _free,
            "profile.check": _free,
            "status": self._look,
            "plan": self._look,
            "places": self._look,
            "logs": self._look,
            "ps": self._ps,
            "up": self._use,
            "use": self._use,
            "launch": self._use,
            "enter": self._use,
            "check": self._use,
            "down": self._down,
            "kill": self._kill,
            "capture": self._capture,
            "port.list": self._look,
            "port.lent": self._look,
            "port.add": self._port_add,
            "port.remove": self._port,
            "profile.add": self._add,
            "profile.get": self._get,
            "profile.remove": self._remove,
            "switch.list": _free,
            "switch.status": _free,
            "switch.get": self._switch_get,
            "switch.check": _free,
            "switch.add": _switch,
            "switch.remove": _switch,
        }

    def grant(self, peer: Peer, method: str, params: Params) -> Grant:
        """What must be granted for a request. Raises NetjailError where it is out of question."""
        rule = self._rules.get(method)
        if rule is None:
            raise NetjailError("not-authorised", f"only root may do this ({method})")
        return rule(peer.uid, params)

    def at_once(self, peer: Peer, method: str, params: Params) -> Grant | None:
        """The same for a launch in profiles that were looked at before, when no file need be read
        and nobody asked for users: may be called where nothing may block. None: not so simple."""
        if method != "launch":
            return None
        name: str | None = params["profile"]
        seen: set[str] = set()
        while name is not None and name not in seen:
            seen.add(name)
            with self._lock:
                known = self._known.get(name)
            if known is None or known[0] is None or known[0] != self._rooms.store.signature(name):
                return None
            profile = known[1]
            if profile is None or not all(map(_known_lately, profile.users)):
                return None
            name = self._registry.get(name).through or profile.through
        return self.grant(peer, method, params)

    def needs_at_once(self, peer: Peer, profile: str) -> tuple[Need, ...]:
        """Of a launch in a profile; none, where it is not so simple, or out of question."""
        try:
            grant = self.at_once(peer, "launch", {"profile": profile})
        except NetjailError:
            return ()
        return () if grant is None or peer.uid == 0 else grant.needs

    def again(self, peer: Peer, method: str, params: Params, granted: Grant) -> None:
        """Raise NetjailError unless what was granted still is all that is needed."""
        if not set(self.grant(peer, method, params).needs) <= set(granted.needs):
            raise NetjailError(
                "not-authorised",
                "the profile or what runs in it has changed since this was authorised",
                "run the command again",
            )

    def audience(self, name: str) -> frozenset[int] | None:
        """The uids, besides root's, that may know of a profile; None: everybody."""
        users = self._facts(name).users
        return None if users == () else frozenset(_uids(users or ()))

    def trim(self, uid: int, method: str, result: Result) -> Result:
        """An answer without what is not for this user."""
        if uid == 0:
            return result
        if method == "list":
            return {"profiles": [row for row in result["profiles"] if self._sees(uid, row["name"])]}
        if method == "ps":
            rows = [row for row in result["programs"] if self._sees(uid, row["profile"])]
            return {"programs": [_own_words(uid, row) for row in rows]}
        if method == "status":
            status = dict(result["profile"])
            status["programs"] = [_own_words(uid, row) for row in status["programs"]]
            status["given"] = [
                {**row, "profile": row["profile"] if self._sees(uid, row["profile"]) else None}
                if row["profile"]
                else row
                for row in status.get("given", ())
            ]
            return {"profile": status}
        if method == "doctor":
            return {"checks": _unnamed(result["checks"])}
        if method == "graph":
            known = (row["name"] for row in result["profiles"])
            return drawing.trim(result, frozenset(name for name in known if self._sees(uid, name)))
        if method == "switch.status":
            return {"switch": self._trim_switch(uid, result["switch"])}
        if method == "switch.remove":
            return {"members": [name for name in result["members"] if self._sees(uid, name)]}
        return result

    def _trim_switch(self, uid: int, status: dict[str, Any]) -> dict[str, Any]:
        """A switch is everybody's to look at; who is on it, whoever may know of the profile's."""
        unseen = {p["profile"] for p in status["ports"] if p["profile"]}
        unseen = {name for name in unseen if not self._sees(uid, name)}
        hidden = {p["port"] for p in status["ports"] if p["profile"] in unseen}
        macs = {p["mac"] for p in status["ports"] if p["profile"] in unseen}
        return status | {
            "ports": [p for p in status["ports"] if p["profile"] not in unseen],
            "macs": [m for m in status["macs"] if m["port"] not in hidden],
            "neighbours": [n for n in status["neighbours"] if n["lladdr"] not in macs],
            # of IPv6, no lease says whose it is
            "leases": [
                e for e in status["leases"] if e["mac"] not in macs and (e["mac"] or not macs)
            ],
            "members": [name for name in status["members"] if self._sees(uid, name)],
        }

    # Rules -------------------------------------------------------------------------------------

    def _look(self, uid: int, params: Params) -> Grant:
        self._seen(uid, params["profile"])
        return Grant((), params)

    def _ps(self, uid: int, params: Params) -> Grant:
        if params["profile"] is not None:
            self._seen(uid, params["profile"])
        return Grant((), params)

    def _use(self, uid: int, params: Params) -> Grant:
        """Of a profile, and so of all that it goes through."""
        needs: list[Need] = []
        name: str | None = params["profile"]
        while name is not None and all(need.profile != name for need in needs):
            facts = self._seen(uid, name)
            needs.append(Need(names.ACTION_RUN, name, facts.kind))
            name = facts.through
        return Grant(tuple(needs), params)

    def _down(self, uid: int, params: Params) -> Grant:
        wanted = params["profiles"]
        if wanted is None:
            live = sorted(entry.name for entry in self._registry.live())
            wanted = [name for name in live if self._sees(uid, name)]
            params = {**params, "profiles": wanted}
        needs = []
        for name in wanted:
            facts = self._seen(uid, name)
            needs.append(Need(names.ACTION_RUN, name, facts.kind))
            if params["kill"] and self._others(uid, name, None):
                needs.append(Need(names.ACTION_CONTROL, name, facts.kind))
        return Grant(tuple(needs), params)

    def _kill(self, uid: int, params: Params) -> Grant:
        name = params["profile"]
        facts = self._seen(uid, name)
        needs = [Need(names.ACTION_RUN, name, facts.kind)]
        if self._others(uid, name, params["pids"]):
            needs.append(Need(names.ACTION_CONTROL, name, facts.kind))
            return Grant(tuple(needs), params)
        # Whatever another user starts in this moment is not among what was asked about.
        return Grant(tuple(needs), {**params, "uid": uid})

    def _capture(self, uid: int, params: Params) -> Grant:
        """What goes over a network that belongs to oneself alone is one's own; else others'."""
        name = params["profile"]
        facts = self._seen(uid, name)
        alone = facts.users is not None and len(facts.users) == 1
        own = alone and not self._others(uid, name, None)
        action = names.ACTION_RUN if own else names.ACTION_CAPTURE
        return Grant((Need(action, name, facts.kind),), {**params, "uid": uid})

    def _port_add(self, uid: int, params: Params) -> Grant:
        """Of what any user can do by himself, as for changing the profile; else of the host's."""
        port = portwords.read(params)
        if portwords.harmless(port):
            return self._port(uid, params)
        facts = self._seen(uid, params["profile"])
        return Grant((Need(names.ACTION_MANAGE, facts.name, facts.kind),), params)

    def _port(self, uid: int, params: Params) -> Grant:
        facts = self._seen(uid, params["profile"])
        action = names.ACTION_MANAGE_OWN if _own(uid, facts) else names.ACTION_MANAGE
        return Grant((Need(action, facts.name, facts.kind),), params)

    def _switch_get(self, uid: int, params: Params) -> Grant:
        """A switch's text is everybody's to read, unless it names profiles that are not."""
        name = params["name"]
        hosts: tuple[tuple[str, object], ...] = ()
        try:
            switch = self._rooms.switches.load(name)
            hosts = () if switch.dhcp is None else switch.dhcp.hosts
            hidden = not all(":" in who or self._sees(uid, who) for who, _ in hosts)
        except NetjailError as error:
            hidden = error.code != "no-such-switch"  # nobody knows what it names
        if hidden:
            return Grant((Need(names.ACTION_REVEAL, name, "switch"),), params)
        return Grant((), params)

    def _get(self, uid: int, params: Params) -> Grant:
        facts = self._seen(uid, params["name"])
        if not facts.stored:
            return Grant((), params)  # the store says so
        own = _own(uid, facts)
        action = names.ACTION_MANAGE_OWN if own else names.ACTION_REVEAL
        return Grant((Need(action, facts.name, facts.kind),), params)

    def _remove(self, uid: int, params: Params) -> Grant:
        facts = self._seen(uid, params["name"])
        action = names.ACTION_MANAGE_OWN if _own(uid, facts) else names.ACTION_MANAGE
        return Grant((Need(action, facts.name, facts.kind),), params)

    def _add(self, uid: int, params: Params) -> Grant:
        name, text = params["name"], params["text"]
        old = self._facts(name)
        profile, _ = self._rooms.store.parse(name, text)
        kind = profile.uplink.kind
        if not profile.users and _harmless(profile) and not _says_users(text):
            mine = own_text(text, _user(uid))
            profile, _ = self._rooms.store.parse(name, mine)
            params = {**params, "text": mine}
        new = Facts(name, True, False, profile.users, kind, None, _harmless(profile))
        # A jail without a file is not free to be taken over by whoever writes a new one.
        owned = _own(uid, old) if old.stored else not old.live
        if owned and _own(uid, new):
            if profile.through is not None:
                self._seen(uid, profile.through)
            if not old.stored:
                self._room_for_one_more(uid)
            return Grant((Need(names.ACTION_MANAGE_OWN, name, kind),), params)
        return Grant((Need(names.ACTION_MANAGE, name, kind),), params)

    # Facts -------------------------------------------------------------------------------------

    def _facts(self, name: str) -> Facts:
        entry = self._registry.get(name)
        store = self._rooms.store
        signature = store.signature(name)
        stored = signature is not None
        profile = self._profile(name, signature) if stored else entry.profile
        if profile is None:
            users = None if stored or entry.live else ()
            return Facts(name, stored, entry.live, users, through=entry.through)
        return Facts(
            name,
            stored,
            entry.live,
            profile.users,
            profile.uplink.kind,
            entry.through or profile.through,
            _harmless(profile),
        )

    def _profile(self, name: str, signature: object) -> Profile | None:
        """None: it is not valid."""
        with self._lock:
            known = self._known.get(name)
        if known is not None and known[0] == signature:
            return known[1]
        try:
            profile: Profile | None = self._rooms.store.load(name)
        except NetjailError:
            profile = None
        with self._lock:
            if len(self._known) > 4096:
                self._known.clear()  # names of profiles that were removed
            self._known[name] = (signature, profile)
        return profile

    def _sees(self, uid: int, name: str) -> bool:
        users = self._facts(name).users
        return users is not None and (not users or uid in _uids(users))

    def _seen(self, uid: int, name: str) -> Facts:
        facts = self._facts(name)
        if facts.users is None:
            raise NetjailError(
                "not-authorised",
                f"only root may use profile {name}: its file has mistakes, so that nobody knows "
                "whose it is",
                f"sudo netjail profile validate {name}",
            )
        if facts.users and uid not in _uids(facts.users):
            raise NetjailError(
                "not-authorised",
                f"profile {name} is for other users only",
                f"who may use it stands in its file: `users`, in sudo netjail profile edit {name}",
            )
        return facts

    def _others(self, uid: int, name: str, pids: list[int] | None) -> bool:
        """Whether programs of another user run in a profile (among `pids`)."""
        if not self._registry.get(name).live:
            return False
        captures = capturing.of(uid)
        return any(
            program.uid != uid
            and program.ppid not in captures
            and (pids is None or program.pid in pids)
            for program in self._rooms.engine.programs([name])
        )

    def _room_for_one_more(self, uid: int) -> None:
        own = sum(_own(uid, self._facts(name)) for name in self._rooms.store.names())
        if own >= OWN_MAX:
            raise NetjailError(
                "not-authorised",
                f"you have {own} profiles of your own already, and that is the most",
                "remove one (netjail profile remove NAME), or let an administrator add more",
            )


def own_text(text: str, user: str) -> str:
    """A profile's text, which says nothing of users, as that of a profile for `user` alone."""
    # Lines as TOML has them: str.splitlines would end a comment at characters that do not end it.
    lines = text.removeprefix("\ufeff").split("\n")
    at = 0
    while at < len(lines) - 1 and (not lines[at].strip() or lines[at].lstrip().startswith("#")):
        at += 1
    name = json.dumps(user, ensure_ascii=False).replace("\x7f", "\\u007f")
    return "\n".join([*lines[:at], f"users = [{name}]", *lines[at:]])


def _free(_uid: int, params: Params) -> Grant:
    return Grant((), params)


def _switch(_uid: int, params: Params) -> Grant:
    """A switch belongs to nobody alone."""
    return Grant((Need(names.ACTION_MANAGE, params["name"], "switch"),), params)


def _own(uid: int, facts: Facts) -> bool:
    return (
        facts.stored
        and facts.harmless
        and facts.users is not None
        and len(facts.users) == 1
        and uid in _uids(facts.users)
    )


def _harmless(profile: Profile) -> bool:
    """Whether a profile takes nothing of the host but a port for its encrypted packets, and that
    only while its user is there; and joins no network but its own: who is on a link may be
    anybody's profile."""
    if profile.links or profile.autostart or not all(map(portwords.harmless, profile.ports)):
        return False
    uplink = profile.uplink
    if isinstance(uplink, WireGuard):
        # A mark on the packets may lead them past the host's own rules.
        return uplink.fwmark is None and (
            not uplink.listen_port or uplink.listen_port >= LOWEST_PORT
        )
    # Of OpenVPN and OpenConnect a profile can say neither a port of the host nor a mark, and their
    # clients have fewer rights than the user.
    return isinstance(uplink, NoUplink | OpenVpn | OpenConnect)


def _says_users(text: str) -> bool:
    """Whether a valid text has the key, be it empty: `users = []` asks for a shared profile."""
    import tomllib  # late, as all that the socket need not wait for

    return "users" in tomllib.loads(text.removeprefix("\ufeff"))


def _own_words(uid: int, row: dict[str, Any]) -> dict[str, Any]:
    """A program without its command line where it is another user's (see hidepid in proc(5))."""
    return row if row["uid"] == uid else {**row, "argv": [row["command"]]}


def _uids(users: tuple[str, ...]) -> set[int]:
    found = set()
    for user in users:
        known = _lately.get(user)
        if known is None or time.monotonic() - known[1] > LATELY_SECONDS:
            try:
                known = pwd.getpwnam(user).pw_uid, time.monotonic()
            except KeyError:
                continue
            if len(_lately) > 4096:
                _lately.clear()
            _lately[user] = known
        found.add(known[0])
    return found


_lately: dict[str, tuple[int, float]] = {}
"""Users' numbers, and when they were asked for: whoever keeps users may be far away."""


_NAMING = ("profile", "exposed")
"""Codes of the doctor's findings that tell whose file has mistakes, and which."""


def _unnamed(checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without names of profiles: of one that has mistakes nobody but root is to know."""
    rest = [row for row in checks if row["code"] not in _NAMING]
    if len(rest) == len(checks):
        return rest
    row = {
        "code": "profiles",
        "title": "profiles",
        "status": "error",
        "text": "there are files with mistakes, or that others than root can read",
        "hint": "sudo netjail doctor",
    }
    return [*rest, row]


def _known_lately(user: str) -> bool:
    known = _lately.get(user)
    return known is not None and time.monotonic() - known[1] < LATELY_SECONDS


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise NetjailError(
            "not-authorised",
            f"user number {uid} has no name, so no profile can be theirs",
        ) from None
