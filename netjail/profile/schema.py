# SPDX-License-Identifier: GPL-3.0-or-later
"""From nested dicts, as the TOML reader or the wg-quick import makes them, to a `Profile`.

Collects every problem instead of stopping at the first. Single values are judged by the table
of keys; what several values must be to each other is judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Any

from netjail.errors import NetjailError
from netjail.profile import checks, keys
from netjail.profile.checks import Bad
from netjail.profile.model import (
    Address,
    Dns,
    Interface,
    Network,
    NoUplink,
    Peer,
    Profile,
    Uplink,
    Veth,
    WireGuard,
)

Path = tuple[str | int, ...]
Values = dict[str, Any]

MANY = 100
"""Complaints that are still worth reading; a message on the socket has an end, too."""


def dotted(path: Path) -> str:
    """`("uplink", "peer", 0, "endpoint")` as people read it: `uplink.peer#1.endpoint`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"#{part + 1}"
        else:
            text += f".{_plain(part)}" if text else _plain(part)
    return text


def _plain(name: str) -> str:
    return checks.printable(name, 40) if name else '""'


class Report:
    """Problems (the file cannot stand) and warnings (it can, but look). No secrets in either."""

    def __init__(
        self,
        locate: Callable[[Path], str] = dotted,
        line: Callable[[Path], int | None] = lambda _: None,
    ) -> None:
        """`locate` words where a path is in the file, `line` gives the order of problems."""
        self._locate = locate
        self._line = line
        self._count = 0
        self._found: dict[tuple[int, str], None] = {}
        self._warnings: dict[str, None] = {}
        self.settled: set[Path] = set()
        """Paths already complained about in other words."""

    @property
    def problems(self) -> list[str]:
        """In the order of the file; at most MANY."""
        return _first([text for _, text in sorted(self._found, key=lambda f: f[0])])

    @property
    def warnings(self) -> list[str]:
        """In the order they came up; at most MANY."""
        return _first(list(self._warnings))

    def bad(self) -> int:
        """How many times something was wrong so far, settled and repeated ones included."""
        return self._count

    def problem(self, path: Path, text: str) -> None:
        """A complaint about what stands at `path`."""
        self._count += 1
        if path not in self.settled:
            self._found[(self._line(path) or 0, f"{self._locate(path)}: {text}")] = None

    def warn(self, text: str) -> None:
        """Something to know. Names no file and no line, so that it reads alike everywhere."""
        self._warnings[text] = None


def _first(texts: list[str]) -> list[str]:
    return texts if len(texts) <= MANY else [*texts[:MANY], f"and {len(texts) - MANY} more"]


def invalid(what: str, problems: list[str], hint: str | None = None) -> NetjailError:
    """The one error for a file with problems."""
    count = str(len(problems)) if len(problems) <= MANY else f"more than {MANY}"
    said = "a problem" if len(problems) == 1 else f"{count} problems"
    return NetjailError("invalid-profile", f"{what} has {said}", hint, tuple(problems))


# Single values ---------------------------------------------------------------------------------


def _complain(key: keys.Key, value: object, bad: Bad, path: Path, report: Report) -> None:
    hidden = key.secret or key.type.hidden
    text = f"{checks.show(value, hidden)} {bad.why}; allowed: {key.type.allowed}"
    if bad.meant is not None and not hidden:
        text += f"; did you mean {checks.show(bad.meant)}?"
    report.problem(path, text)


def _read(key: keys.Key, value: object, path: Path, report: Report) -> tuple[bool, Any]:
    """(readable, the final value)."""
    if not key.many:
        try:
            return True, key.type.read(value)
        except Bad as bad:
            _complain(key, value, bad, path, report)
            return False, None
    if not isinstance(value, list):
        shown = checks.show(value)
        meant = f"; did you mean [{shown}]?" if isinstance(value, str) else ""
        report.problem(path, f"{shown} is not a list; allowed: {key.type.allowed}{meant}")
        return False, None
    result: dict[Any, None] = {}
    good = True
    for item in value:
        try:
            read = key.type.read(item)
        except Bad as bad:
            _complain(key, item, bad, path, report)
            good = False
            continue
        if key.type is keys.NETWORK and checks.masked(item, read):
            report.warn(f"allowed_ips: {item} has bits set after its prefix; {read} is what counts")
        result[read] = None
    return good, tuple(result)


def _unknown(name: str, section: str, kind: str | None, path: Path, report: Report) -> None:
    full = f"{section}.{name}" if section else name
    if full in keys.LATER:
        report.problem(path, f"{keys.LATER[full]}: not yet in this version of netjail")
        return
    if report.bad() > MANY:
        report.problem(path, "unknown key")
        return
    here = keys.leaves(section, kind)
    meant = checks.did_you_mean(name, here)
    if meant is None:
        # A right key in the wrong place is as frequent as a misspelt one.
        elsewhere = {k.leaf: k.section for k in keys.KEYS if k.section != section}
        close = checks.did_you_mean(name, list(elsewhere))
        if close is not None:
            meant = f"{close} in {keys.SECTIONS[elsewhere[close]]}"
    hint = f"did you mean {meant}?" if meant else f"allowed: {', '.join(here)}"
    report.problem(path, f"unknown key; {hint}")


def _table(
    raw: Mapping[str, Any], section: str, kind: str | None, path: Path, report: Report
) -> Values:
    """Read the plain keys of one table; sub-tables are the caller's. `kind` None: not known."""
    values: Values = {}
    for name, value in raw.items():
        here = (*path, name)
        full = f"{section}.{name}" if section else name
        # A quoted "uplink.mtu" at the top level is not the mtu of [uplink].
        key = None if "." in name else keys.BY_NAME.get(full)
        if key is None:
            if "." in name or full not in keys.SECTIONS:
                _unknown(name, section, kind, here, report)
        elif kind is not None and key.kinds and kind not in key.kinds:
            later = keys.LATER_OF_KIND.get((kind, name))
            if later is not None:
                report.problem(here, f"{later}: not yet in this version of netjail")
            else:
                owners = " and ".join(f'"{k}"' for k in key.kinds)
                report.problem(here, f'belongs to uplinks of kind {owners}, this one is "{kind}"')
        else:
            good, read = _read(key, value, here, report)
            if good:
                values[name] = read
    for key in keys.KEYS:
        if (
            key.section == section
            and key.required
            and key.leaf not in raw
            and (not key.kinds or kind in key.kinds)
        ):
            what = key.doc.partition(".")[0]
            report.problem(
                (*path, key.leaf),
                f"is missing; needed: {what[0].lower()}{what[1:]}, {key.type.allowed}",
            )
    return values


def _subtable(raw: Mapping[str, Any], name: str, report: Report) -> Mapping[str, Any] | None:
    value = raw.get(name)
    if value is None:
        return None
    if not isinstance(value, dict):
        report.problem((name,), f"{checks.show(value)} is not a table; write [{name}]")
        return None
    return value


# Uplinks ---------------------------------------------------------------------------------------


def covered(target: Address | Network, networks: Iterable[Network]) -> bool:
    """Whether an address, or a whole network, lies in `networks` taken together."""
    if isinstance(target, (IPv4Network, IPv6Network)):
        same = [n for n in networks if n.version == target.version]
        # Two halves make a whole: 0.0.0.0/1 and 128.0.0.0/1 are a default route, too.
        merged = collapse_addresses(same)  # type: ignore[type-var]
        return any(target.subnet_of(n) for n in merged)  # type: ignore[arg-type]
    return any(target.version == n.version and target in n for n in networks)


DEFAULT4 = IPv4Network("0.0.0.0/0")
DEFAULT6 = IPv6Network("::/0")


def _wireguard_relations(values: Values, peers: list[Values], path: Path, report: Report) -> None:
    """What the values of a tunnel must be to each other."""
    addresses: tuple[Interface, ...] = values.get("address", ())
    if values.get("address") == ():
        report.problem((*path, "address"), "an empty list; a tunnel needs an address of its own")
    mtu = values.get("mtu")
    if mtu is not None and mtu < checks.MTU_MIN_IPV6 and any(a.version == 6 for a in addresses):
        report.problem(
            (*path, "mtu"),
            f"{mtu} is too small for the IPv6 address of this tunnel; "
            f"allowed: {checks.MTU_MIN_IPV6} to {checks.MTU_MAX}",
        )
    own = None
    if "private_key" in values and any("public_key" in p for p in peers):
        from netjail.profile.curve import public_key

        own = public_key(values["private_key"])
    owner: dict[Network, int] = {}
    seen: dict[str, int] = {}
    for n, peer in enumerate(peers):
        here = (*path, "peer", n)
        key = peer.get("public_key")
        if key is not None:
            if key == own:
                report.problem(
                    (*here, "public_key"),
                    "is the public key of your own private_key; the other side's belongs here",
                )
            elif key == values.get("private_key"):
                report.problem((*here, "public_key"), "is the same as your private_key")
            if key in seen:
                report.problem(
                    (*here, "public_key"),
                    f"is the same as that of peer {seen[key] + 1}; "
                    "write one peer with all of its allowed_ips",
                )
            seen.setdefault(key, n)
        for net in peer.get("allowed_ips", ()):
            first = owner.setdefault(net, n)
            if first != n:
                report.problem(
                    (*here, "allowed_ips"),
                    f"{net} also belongs to peer {first + 1}; each network can go to one peer only",
                )


def wireguard_warnings(uplink: WireGuard) -> list[str]:
    """What works, but perhaps not as meant. One sentence each."""
    found = []
    networks = [n for p in uplink.peers for n in p.allowed_ips]
    default4, default6 = covered(DEFAULT4, networks), covered(DEFAULT6, networks)
    if not networks:
        found.append("no peer has AllowedIPs: nothing at all can be reached through the tunnel")
    elif not default4 and not default6:
        some = ", ".join(str(n) for n in networks[:3]) + (", ..." if len(networks) > 3 else "")
        found.append(
            f"no default route: only {some} can be reached through the tunnel, "
            "and nothing else from this profile at all"
        )
    if any(a.version == 6 for a in uplink.addresses) and not any(n.version == 6 for n in networks):
        found.append(
            "the tunnel has an IPv6 address, but AllowedIPs holds no IPv6 network: "
            "there is no IPv6 in this profile"
        )
    for n, peer in enumerate(uplink.peers):
        which = "the peer" if len(uplink.peers) == 1 else f"peer {n + 1}"
        if peer.endpoint is None:
            found.append(f"{which} has no Endpoint: nothing works until it calls by itself")
    return found


def dns_warnings(uplink: Uplink, dns: Dns) -> list[str]:
    """The same for names."""
    if not isinstance(uplink, WireGuard):
        return []
    servers = uplink.dns_servers if dns.mode == "uplink" else dns.servers
    found = []
    if not servers and dns.mode == "uplink":
        found.append(
            "no DNS server: names do not resolve in this profile "
            "until servers are added under [dns]"
        )
    networks = [n for p in uplink.peers for n in p.allowed_ips]
    for server in servers:
        if server.is_loopback:
            found.append(
                f"DNS server {server} is the jail's own loopback: "
                "names resolve only if a resolver runs inside the jail"
            )
        elif networks and not covered(server, networks):
            found.append(
                f"DNS server {server} is in no AllowedIPs: it cannot be reached "
                "through the tunnel, and netjail does not ask it any other way"
            )
    return found


def _wireguard(raw: Mapping[str, Any], path: Path, report: Report) -> WireGuard | None:
    before = report.bad()
    values = _table(raw, "uplink", "wireguard", path, report)
    raw_peers = raw.get("peer", [])
    peers: list[Values] = []
    if not isinstance(raw_peers, list) or not all(isinstance(p, dict) for p in raw_peers):
        report.problem((*path, "peer"), "is not a list of tables; write [[uplink.peer]]")
    elif not raw_peers:
        report.problem((*path, "peer"), "is missing; a tunnel needs at least one peer")
    else:
        for n, raw_peer in enumerate(raw_peers):
            here = (*path, "peer", n)
            peers.append(_table(raw_peer, "uplink.peer", "wireguard", here, report))
    _wireguard_relations(values, peers, path, report)
    if report.bad() != before:
        return None
    entries = values.pop("dns", ())
    return WireGuard(
        private_key=values["private_key"],
        addresses=values["address"],
        peers=tuple(Peer(**p) for p in peers),
        mtu=values.get("mtu"),
        listen_port=values.get("listen_port"),
        fwmark=values.get("fwmark"),
        through=values.get("through"),
        dns_servers=tuple(e for e in entries if not isinstance(e, str)),
        dns_search=tuple(e for e in entries if isinstance(e, str)),
    )


def _veth(raw: Mapping[str, Any], path: Path, report: Report) -> Veth | None:
    before = report.bad()
    values = _table(raw, "uplink", "veth", path, report)
    if "peer" in raw:
        report.problem((*path, "peer"), 'belongs to uplinks of kind "wireguard"')
    mtu = values.get("mtu")
    if mtu is not None and mtu < checks.MTU_MIN_IPV6:
        report.warn(f"an MTU of {mtu} is too small for IPv6: there is no IPv6 in this profile")
    values.pop("kind", None)
    return Veth(**values) if report.bad() == before else None


def _none(raw: Mapping[str, Any], path: Path, report: Report) -> NoUplink | None:
    before = report.bad()
    _table(raw, "uplink", "none", path, report)
    if "peer" in raw:
        report.problem((*path, "peer"), 'belongs to uplinks of kind "wireguard"')
    return NoUplink() if report.bad() == before else None


_BY_KIND: dict[str, Callable[[Mapping[str, Any], Path, Report], Uplink | None]] = {
    "wireguard": _wireguard,
    "veth": _veth,
    "none": _none,
}


def read_uplink(raw: Mapping[str, Any], report: Report) -> Uplink | None:
    """The [uplink] table; None if `report` got a problem."""
    kind = raw.get("kind")
    if isinstance(kind, str) and kind in _BY_KIND:
        return _BY_KIND[kind](raw, ("uplink",), report)
    if isinstance(kind, str) and kind in keys.LATER_KINDS:
        # Its other keys are of a table that this version does not know.
        _table({"kind": kind}, "uplink", None, ("uplink",), report)
    else:
        _table(raw, "uplink", None, ("uplink",), report)
    return None


# DNS and the whole -----------------------------------------------------------------------------


def _hosts(raw: object, report: Report) -> tuple[tuple[str, Address], ...]:
    path: Path = ("dns", "hosts")
    if not isinstance(raw, dict):
        report.problem(path, f"{checks.show(raw)} is not a table; write [dns.hosts]")
        return ()
    key = keys.BY_NAME["dns.hosts.NAME"]
    pairs: dict[tuple[str, Address], None] = {}
    for name, value in raw.items():
        here = (*path, name)
        if isinstance(value, dict):
            report.problem(here, f'a name with dots wants quotes, as in "{_plain(name)}.example"')
            continue
        try:
            checks.hosts_entry_name(name)
        except Bad as bad:
            report.problem(here, f"the name {bad.why}")
        for item in value if isinstance(value, list) else [value]:
            good, read = _read(key, item, here, report)
            if good:
                pairs[(name, read)] = None
    return tuple(pairs)


def _dns(raw: Mapping[str, Any] | None, kind: str | None, report: Report) -> Dns | None:
    if raw is None:
        return Dns(mode=keys.DNS_MODES[kind][0]) if kind else None  # type: ignore[arg-type]
    before = report.bad()
    values = _table(raw, "dns", kind, ("dns",), report)
    hosts = _hosts(raw["hosts"], report) if "hosts" in raw else ()
    if kind is None:
        return None
    modes = keys.DNS_MODES[kind]
    mode = values.get("mode", "static" if "servers" in raw else modes[0])
    allowed = " or ".join(f'"{m}"' for m in modes)
    if mode not in modes:
        report.problem(
            ("dns", "mode"),
            f'"{mode}" makes no sense with an uplink of kind "{kind}"; allowed: {allowed}',
        )
    elif mode != "static" and "servers" in raw:
        report.problem(
            ("dns", "servers"),
            f'are not used with mode = "{mode}"; leave them out, or write mode = "static"',
        )
    elif mode == "static" and kind != "none" and "servers" not in raw:
        report.problem(
            ("dns", "servers"),
            'is missing, and mode = "static" needs it; '
            f"allowed: {keys.DNS_SERVER.allowed} (an empty list: no names at all)",
        )
    if report.bad() != before:
        return None
    return Dns(mode, values.get("servers", ()), values.get("search", ()), hosts)


def read_profile(name: str, raw: Mapping[str, Any], report: Report) -> Profile | None:
    """The whole file; None if `report` got a problem. `name` is taken as valid."""
    values = _table(raw, "", None, (), report)
    uplink: Uplink | None = None
    raw_uplink = _subtable(raw, "uplink", report)
    kind = None
    if raw_uplink is not None:
        uplink = read_uplink(raw_uplink, report)
        raw_kind = raw_uplink.get("kind")
        kind = raw_kind if isinstance(raw_kind, str) and raw_kind in keys.KINDS else None
        if raw_uplink.get("through") == name and kind == "wireguard":
            report.problem(("uplink", "through"), "is this profile itself")
    elif "uplink" not in raw:
        report.problem(("uplink",), "is missing; every profile has one [uplink] with a kind")
    dns = _dns(_subtable(raw, "dns", report), kind, report)
    if report.bad() or uplink is None or dns is None:
        return None
    if isinstance(uplink, WireGuard):
        for text in wireguard_warnings(uplink) + dns_warnings(uplink, dns):
            report.warn(text)
    return Profile(
        name=name,
        uplink=uplink,
        dns=dns,
        description=values.get("description", ""),
        users=values.get("users", ()),
        stop=values.get("stop", "never"),
    )
