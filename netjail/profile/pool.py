# SPDX-License-Identifier: GPL-3.0-or-later
"""Many files of one provider ("download all") to one uplink with a place for each server.

What most files have in common becomes the uplink's own; a place has what differs.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from netjail.errors import NetjailError
from netjail.profile import amnezia, checks, ovpn, wgquick
from netjail.profile.countries import PROTOCOLS
from netjail.profile.leftout import LeftOut
from netjail.profile.model import OpenVpn, Place, WireGuard
from netjail.profile.placekeys import NAME_MAX, PEER_LEAVES, PLACES_MAX, WIREGUARDS, leaves

_SUFFIXES = re.compile(r"(?i)(\.(conf|wg|txt|cfg|ini|ovpn))+$")
_SHOWN = {
    "wireguard": "a WireGuard file",
    amnezia.KIND: "an AmneziaWG file",
    "openvpn": "an OpenVPN file",
}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not in the pool, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Pool:
    """What became of the files. `left_out`: lines of theirs that are not obeyed, each with the
    number of files that have it."""

    uplink: WireGuard | OpenVpn
    skipped: list[Skipped]
    left_out: list[tuple[LeftOut, int]]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class _Server:
    """One file, read. `values`: what a place may say, by leaf."""

    path: str
    uplink: WireGuard | OpenVpn
    values: dict[str, Any]


def build(files: Mapping[str, bytes], kind: str | None = None) -> Pool:
    """The pool of these files, by their paths in the archive. `kind`: only those of that kind;
    None: of the kind that most are of. Raises "import-refused" where there is nothing to use."""
    reader = _Reader(files)
    servers = reader.servers(kind)
    if not servers:
        raise _nothing(len(files), reader.skipped)
    kind = servers[0].uplink.kind
    if kind == "openvpn":
        servers = reader.alike(servers)
    servers = reader.distinct(servers)
    if len(servers) > PLACES_MAX:
        raise NetjailError(
            "import-refused",
            f"there are {len(servers)} servers, and a profile holds {PLACES_MAX} at most",
            "take some of the files into a directory of their own, for example those of a region",
        )
    base = {leaf: _common(leaf, [each.values[leaf] for each in servers]) for leaf in leaves(kind)}
    names = _names([each.path for each in servers])
    made = tuple(
        Place(name, tuple(_differing(kind, each.values, base)))
        for name, each in zip(names, servers, strict=True)
    )
    uplink = replace(_with(servers[0].uplink, base), places=made)
    return Pool(
        uplink,
        sorted(reader.skipped, key=lambda each: each.name),
        sorted(reader.left_out.items(), key=lambda each: -each[1]),
        list(reader.warnings),
    )


class _Reader:
    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self.skipped: list[Skipped] = []
        self.left_out: Counter[LeftOut] = Counter()
        self.warnings: dict[str, None] = {}
        self._used: set[str] = set()
        """Files that other files name."""

    def servers(self, kind: str | None) -> list[_Server]:
        """The files of one kind, read; the rest is skipped."""
        texts: dict[str, dict[str, str]] = {each: {} for each in _SHOWN}
        others: dict[str, str] = {}
        for path in sorted(self._files):
            try:
                text = wgquick.decode(self._files[path])
            except NetjailError as error:
                others[path] = _short(error)
                continue
            if re.search(r"^\s*\[\s*(interface|peer)\s*\]", text, re.MULTILINE | re.IGNORECASE):
                texts[wgquick.kind_of(text)][path] = text
            elif ovpn.looks_like(text):
                texts["openvpn"][path] = text
            else:
                others[path] = "it is neither a WireGuard nor an OpenVPN file"
        kind = kind or max(texts, key=lambda each: len(texts[each]))
        for other, found in texts.items():
            if other != kind:
                for path in found:
                    self.skip(path, f"it is {_SHOWN[other]}, and this pool is of kind {kind}")
        servers = [made for each in texts[kind].items() if (made := self._read(kind, *each))]
        for path, why in others.items():
            if path not in self._used:
                self.skip(path, why)
        return servers

    def skip(self, path: str, why: str) -> None:
        self.skipped.append(Skipped(checks.printable(path, 120), why))

    def _read(self, kind: str, path: str, text: str) -> _Server | None:
        imported: wgquick.Imported | ovpn.Imported
        try:
            if kind in WIREGUARDS:
                imported = wgquick.parse(text)
            else:
                imported = ovpn.parse(text, self._side_files(path, ovpn.side_files(text)))
        except NetjailError as error:
            self.skip(path, _short(error))
            return None
        uplink = imported.uplink
        why = _unfit(uplink)
        if why is not None:
            self.skip(path, why)
            return None
        for each in imported.left_out:
            self.left_out[replace(each, line_no=0)] += 1
        self.warnings |= dict.fromkeys(imported.warnings)
        return _Server(path, uplink, _values(uplink))

    def _side_files(self, path: str, named: Mapping[str, bool]) -> dict[str, str]:
        """Of the archive alone, and of the same folder."""
        folder = path.rpartition("/")[0]
        found = {}
        for name in named:
            where = f"{folder}/{name}" if folder else name
            data = self._files.get(where.replace("/./", "/").removeprefix("./"))
            if data is None:
                continue
            self._used.add(where)
            try:
                found[name] = data.decode("utf-8-sig")
            except UnicodeDecodeError:
                found[name] = base64.b64encode(data).decode()  # PKCS #12
        return found

    def alike(self, servers: Sequence[_Server]) -> list[_Server]:
        """Those that agree in all that a place cannot change; of several such sets the largest."""
        fixed = [each.name for each in fields(OpenVpn) if each.name not in _MOVABLE]
        sets: dict[tuple[Any, ...], list[_Server]] = {}
        for server in servers:
            sets.setdefault(tuple(getattr(server.uplink, name) for name in fixed), []).append(
                server
            )
        most = max(sets, key=lambda key: len(sets[key]))
        for key, others in sets.items():
            differing = [n for n, a, b in zip(fixed, key, most, strict=True) if a != b]
            for server in others if key != most else ():
                what = ", ".join(differing)
                self.skip(server.path, f"it differs from most in {what}, which a place cannot")
        return sets[most]

    def distinct(self, servers: Sequence[_Server]) -> list[_Server]:
        """Each server once."""
        seen: dict[tuple[Any, ...], str] = {}
        kept = []
        for server in servers:
            key = tuple(server.values.values())
            if key in seen:
                self.skip(server.path, f"it says the same as {seen[key]}")
                continue
            seen[key] = checks.printable(server.path, 120)
            kept.append(server)
        return kept


_MOVABLE = frozenset(
    {*leaves("openvpn"), "dns_servers", "dns_search", "places", "place", "base", "failover"}
)


def _unfit(uplink: WireGuard | OpenVpn) -> str | None:
    if isinstance(uplink, WireGuard):
        if len(uplink.peers) != 1:
            return f"it has {len(uplink.peers)} peers, and a place is one server"
        if uplink.peers[0].endpoint is None:
            return "its peer has no Endpoint, so that it cannot be called"
    return None


def _values(uplink: WireGuard | OpenVpn) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for leaf in leaves(uplink.kind):
        if leaf == "dns":
            values[leaf] = (*uplink.dns_servers, *uplink.dns_search)
        elif leaf == "address":
            values[leaf] = getattr(uplink, "addresses")  # noqa: B009 - of WireGuard
        elif isinstance(uplink, WireGuard) and leaf in PEER_LEAVES:
            values[leaf] = getattr(uplink.peers[0], leaf)
        else:
            values[leaf] = getattr(uplink, leaf)
    return values


_OFF = ("persistent_keepalive",)
"""What a place can switch off where the uplink has it."""


def _common(leaf: str, values: Sequence[Any]) -> Any:
    """What most have; but nothing where some have nothing, as a place cannot say so."""
    if leaf not in _OFF and None in values:
        return None
    return Counter(values).most_common(1)[0][0]


def _differing(
    kind: str, values: Mapping[str, Any], base: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    always = ("endpoint", "public_key") if kind in WIREGUARDS else ("remote",)
    for leaf in dict.fromkeys((*always, *values)):
        if leaf in always or values[leaf] != base[leaf]:
            yield leaf, values[leaf]


def _with(uplink: WireGuard | OpenVpn, base: Mapping[str, Any]) -> WireGuard | OpenVpn:
    from netjail.profile import places

    made = places.at(uplink, Place("", tuple(base.items())))
    return replace(made, place=None, base=None)


def _names(paths: Sequence[str]) -> list[str]:
    """Names of places out of those of files, each once."""
    plain = [_plain(path.rpartition("/")[2]) for path in paths]
    for prefix in sorted(PROTOCOLS):
        head = f"{prefix}-"
        if all(name.startswith(head) and len(name) > len(head) for name in plain):
            plain = [name.removeprefix(head) for name in plain]
    often = Counter(plain)
    names: dict[str, None] = {}
    for name, path in zip(plain, paths, strict=True):
        folder = path.rpartition("/")[0].rpartition("/")[2]
        if often[name] > 1 and folder:
            name = f"{_plain(folder)}-{name}"[:NAME_MAX]  # noqa: PLW2901
        chosen, number = name, 1
        while chosen in names:
            number += 1
            chosen = f"{name[: NAME_MAX - 5]}-{number}"
        names[chosen] = None
    return list(names)


def _plain(filename: str) -> str:
    base = _SUFFIXES.sub("", filename)
    text = unicodedata.normalize("NFKD", base).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._-]+", "-", text).strip("._-")[:NAME_MAX] or "place"


def _short(error: NetjailError) -> str:
    if error.problems:
        more = len(error.problems) - 1
        return error.problems[0] + (f" (and {more} more)" if more else "")
    return error.message.removeprefix("the file cannot be imported: ")


def _nothing(count: int, skipped: Sequence[Skipped]) -> NetjailError:
    if not count:
        return NetjailError(
            "import-refused",
            "there is no file in it",
            "give the directory or .zip that your provider has under `download all`",
        )
    return NetjailError(
        "import-refused",
        f"none of the {count} files in it can be used",
        "give the directory or .zip that your provider has under `download all`",
        tuple(f"{each.name}: {each.why}" for each in skipped[:20]),
    )
