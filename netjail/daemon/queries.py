# SPDX-License-Identifier: GPL-3.0-or-later
"""What only looks: list, status, ps, plan, doctor; and the profiles' files, which only the store
touches. Runs in worker threads, never waits for an operation.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from netjail import names
from netjail.daemon import portwords, programs
from netjail.daemon.rooms import Rooms, Store
from netjail.daemon.state import Entry, Registry
from netjail.daemon.switches import Switches
from netjail.errors import NetjailError
from netjail.profile import places
from netjail.profile.model import AmneziaWG, Profile, WireGuard


class Catalogue:
    """All stored profiles, read again only where a file has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known: dict[str, tuple[object, Profile | NetjailError]] = {}

    def all(self) -> dict[str, Profile | NetjailError]:
        """By name, in order; in place of a profile that is not valid, the error that says why."""
        with self._lock:
            known: dict[str, tuple[object, Profile | NetjailError]] = {}
            for name in self._store.names():
                signature = self._store.signature(name)
                old = self._known.get(name)
                if old is not None and old[0] == signature and signature is not None:
                    known[name] = old
                    continue
                try:
                    known[name] = (signature, self._store.load(name))
                except NetjailError as error:
                    if error.code != "no-such-profile":  # removed since names()
                        known[name] = (signature, error)
            self._known = known
            return {name: profile for name, (_, profile) in known.items()}


class Queries:
    def __init__(self, rooms: Rooms, registry: Registry) -> None:
        self._rooms = rooms
        self._registry = registry
        self._catalogue: Catalogue | None = None
        self._lock = threading.Lock()
        self.switches = Switches(rooms, self._profiles)

    def _profiles(self) -> dict[str, Profile | NetjailError]:
        with self._lock:
            # Late, because the rooms are imported late.
            catalogue = self._catalogue = self._catalogue or Catalogue(self._rooms.store)
        return catalogue.all()

    def list_all(self) -> dict[str, Any]:
        profiles = self._profiles()
        live = [entry.name for entry in self._registry.live()]
        inside = Counter(p.profile for p in self._rooms.engine.programs(live)) if live else {}
        rows = []
        for name in sorted({*profiles, *live}):
            entry = self._registry.get(name)
            profile = profiles.get(name) or entry.profile
            invalid = isinstance(profile, NetjailError)
            rows.append(
                {
                    "name": name,
                    "description": profile.description if isinstance(profile, Profile) else "",
                    "kind": profile.uplink.kind if isinstance(profile, Profile) else None,
                    "place": _place(profile if isinstance(profile, Profile) else None, entry),
                    "state": entry.state,
                    "reason": str(profile) if invalid and not entry.live else entry.reason,
                    "since": entry.since,
                    "programs": inside.get(name, 0),
                }
            )
        return {"profiles": rows}

    def status(self, profile: str) -> dict[str, Any]:
        entry = self._registry.get(profile)
        try:
            wanted: Profile | None = self._rooms.store.load(profile)
        except NetjailError:
            if not entry.live:
                raise
            wanted = entry.profile  # its file is gone or broken; the jail is not
        status = _wanted_status(entry, wanted)
        if entry.live:
            try:
                live = self._rooms.engine.status(profile, entry.profile or wanted)
            except NetjailError as error:
                if error.code != "not-up":
                    raise
                live = {}  # it is just coming or going
            uplink = {**status["uplink"], **(live.pop("uplink", None) or {})}
            status |= {key: value for key, value in live.items() if key not in _OURS}
            status["uplink"] = uplink
            status["netns"] = status["netns"] or names.netns_name(profile)
            inside = self._rooms.engine.programs([profile])
            status["programs"] = [programs.as_dict(each) for each in inside]
        return {"profile": status}

    def ports(self, profile: str) -> dict[str, Any]:
        self._must_exist(profile)
        return portwords.listing(self._rooms, self._registry, profile)

    def ps(self, profile: str | None) -> dict[str, Any]:
        if profile is None:
            wanted = [entry.name for entry in self._registry.live()]
        else:
            self._must_exist(profile)
            wanted = [profile] if self._registry.get(profile).live else []
        found = self._rooms.engine.programs(wanted) if wanted else []
        return {"programs": [programs.as_dict(each) for each in found]}

    def kill(
        self, profile: str, pids: list[int] | None, signal: int, uid: int | None = None
    ) -> dict[str, Any]:
        """`uid`: only programs of this user, whoever's others there are by now."""
        if not self._registry.get(profile).live:
            self._must_exist(profile)
            raise NetjailError("not-up", f"profile {profile} is not up, so nothing runs in it")
        return {"signalled": programs.send(self._rooms.engine, profile, pids, signal, uid)}

    def capture(
        self, profile: str, interface: str, filter: list[str], uid: int = 0, **how: Any
    ) -> dict[str, Any]:
        """`how`: see capturing.begin."""
        from netjail.daemon import capturing

        if not self._registry.get(profile).live:
            self._must_exist(profile)
            hint = f"netjail up {profile}"
            raise NetjailError("not-up", f"profile {profile} is not up", hint)
        return capturing.begin(profile, interface, list(filter), uid=uid, **how)

    def graph(self) -> dict[str, Any]:
        from netjail.daemon import drawing

        rows, profiles = self.list_all()["profiles"], dict(self._profiles())
        for entry in self._registry.live():
            profiles.setdefault(entry.name, entry.profile or NetjailError("no-such-profile", ""))
        return drawing.networks(self._rooms, rows, profiles)

    def places(self, profile: str) -> dict[str, Any]:
        from netjail.daemon import pools

        return pools.listing(self._rooms, self._registry, profile)

    def plan(self, profile: str) -> dict[str, Any]:
        wanted = self._rooms.store.load(profile)
        steps: list[dict[str, Any]] = []
        through = wanted.through
        first = through is not None and not self._registry.get(through).usable
        if first:
            what = f"bring up profile {through}, which {profile} goes through"
            steps.append({"what": what, "command": f"netjail up {through}"})
        try:
            for step in self._rooms.engine.plan(wanted):
                what, command = step.describe()
                steps.append({"what": what, "command": command})
        except NetjailError as error:
            if not first or error.code != "not-up":
                raise
            what = f"make {profile} in the network of {through} (its steps show once that is up)"
            steps.append({"what": what, "command": f"netjail up {profile}"})
        return {
            "profile": profile,
            "state": self._registry.get(profile).state,
            "steps": steps,
        }

    def doctor(self) -> dict[str, Any]:
        return {
            "checks": [
                {
                    "code": check.code,
                    "title": check.title,
                    "status": check.status,
                    "text": check.text,
                    "hint": check.hint,
                }
                for check in self._rooms.checks()
            ]
        }

    def stored(self) -> list[str]:
        """The names of all profiles that have a file."""
        return list(self._rooms.store.names())

    # Files of profiles -------------------------------------------------------------------------

    def get(self, name: str) -> dict[str, Any]:
        return {"name": name, "text": self._rooms.store.read_text(name)}

    def check(self, name: str, text: str) -> dict[str, Any]:
        profile, warnings = self._rooms.store.parse(name, text)
        return {"warnings": [*warnings, *self._beside_the_file(profile)]}

    def add(self, name: str, text: str, replace: bool) -> dict[str, Any]:
        profile, warnings = self._rooms.store.parse(name, text)
        self._rooms.store.save(name, text, replace)
        warnings = [*warnings, *self._beside_the_file(profile)]
        if self._registry.get(name).live:
            warnings.append(
                f"profile {name} is up as it was: the new text takes effect at the next "
                f"`netjail up {name}`"
            )
        return {"profile": name, "warnings": warnings}

    def remove(self, name: str) -> None:
        """Of a profile that is down."""
        self._rooms.store.remove(name)
        self._registry.forget(name)

    def _beside_the_file(self, profile: Profile) -> list[str]:
        missing = []
        through = profile.through
        if through is not None and through not in self._rooms.store.names():
            missing.append(
                f"uplink.through: there is no profile {through} yet, without which it cannot go up"
            )
        if isinstance(profile.uplink, AmneziaWG):
            from netjail.engine import wg  # late: few have such a profile

            lack = wg.lack(profile.uplink.kind)
            if lack is not None:
                missing.append(f"{lack.message}, and the profile cannot go up; {lack.hint}")
        if profile.links:
            profiles, switches = self._rooms.store.names(), self._rooms.switches.names()
            for link in profile.links:
                what, name = ("switch", link.switch) if link.switch else ("peer", link.peer)
                if name not in (switches if link.switch else profiles):
                    noun = "switch" if link.switch else "profile"
                    missing.append(
                        f"link.{what}: there is no {noun} {name} yet, without which it cannot go up"
                    )
        return missing

    def _must_exist(self, name: str) -> None:
        if not self._registry.get(name).live and name not in self._rooms.store.names():
            self._rooms.store.load(name)  # raises no-such-profile in the store's own words


def _place(profile: Profile | None, entry: Entry) -> str | None:
    """The place that a pool is in, or would come up in; None where it is none."""
    return places.current(entry.profile if entry.live and entry.profile else profile)


_OURS = frozenset({"place", "name", "description", "kind", "state", "reason", "since", "programs"})
"""Keys of a status that the engine does not decide."""


def _wanted_status(entry: Entry, profile: Profile | None) -> dict[str, Any]:
    """A whole STATUS with what is known without looking at the kernel."""
    uplink = profile.uplink if profile is not None else None
    peers = uplink.peers if isinstance(uplink, WireGuard) else ()
    dns = profile.dns if profile is not None else None
    return {
        "name": entry.name,
        "description": profile.description if profile is not None else "",
        "kind": uplink.kind if uplink is not None else None,
        "place": _place(profile, entry),
        "state": entry.state,
        "reason": entry.reason,
        "since": entry.since,
        "netns": None,
        "uplink": {
            "interface": None,
            "implementation": None,
            "through": entry.through or (profile.through if profile is not None else None),
            "endpoint": next((str(peer.endpoint) for peer in peers if peer.endpoint), None),
            "peers": [
                {
                    "public_key": peer.public_key,
                    "endpoint": str(peer.endpoint) if peer.endpoint else None,
                    "allowed_ips": [str(network) for network in peer.allowed_ips],
                    "latest_handshake": None,
                    "received": 0,
                    "sent": 0,
                    "persistent_keepalive": peer.persistent_keepalive,
                }
                for peer in peers
            ],
            "way_out": None,
            "gateway": None,
        },
        "received": 0,
        "sent": 0,
        "mtu": getattr(uplink, "mtu", None),
        "addresses": [],
        "routes": [],
        "dns": {
            "mode": dns.mode if dns is not None else None,
            "servers": [str(server) for server in dns.servers] if dns is not None else [],
            "search": list(dns.search) if dns is not None else [],
        },
        "neighbours": [],
        "links": [
            {
                "interface": link.name,
                "peer": link.peer,
                "switch": link.switch,
                "mac": link.mac,
                "addresses": [str(address) for address in link.static],
                "up": False,
            }
            for link in (profile.links if profile is not None else ())
        ],
        "ports": [port._asdict() for port in (profile.ports if profile is not None else ())],
        "lent": None,
        "programs": [],
        "processes": [],
    }


QUERIES: dict[str, Callable[..., dict[str, Any]]] = {
    "list": Queries.list_all,
    "status": Queries.status,
    "ps": Queries.ps,
    "kill": Queries.kill,
    "capture": Queries.capture,
    "graph": Queries.graph,
    "plan": Queries.plan,
    "places": Queries.places,
    "doctor": Queries.doctor,
    "port.list": Queries.ports,
    "profile.get": Queries.get,
    "profile.check": Queries.check,
    "switch.list": lambda queries: queries.switches.list_all(),
    "switch.status": lambda queries, **params: queries.switches.status(**params),
    "switch.get": lambda queries, **params: queries.switches.get(**params),
    "switch.check": lambda queries, **params: queries.switches.check(**params),
    "switch.add": lambda queries, **params: queries.switches.add(**params),
    "switch.remove": lambda queries, **params: queries.switches.remove(**params),
}
"""What is asked by which method, where nothing has to wait for its turn."""
