# SPDX-License-Identifier: GPL-3.0-or-later
"""wg-quick(8) files, as providers hand them out, to an uplink and back. The only user of wgconfig.

wgconfig is a tokenizer that trusts its input: it takes `#!` comments for live lines, merges peers
with the same key, minds the case of keys, and accepts anything as a line. So the text is cleaned
first, which also says what is left out and why; wgconfig reads what remains; and the table of
keys judges the values, as in a profile file.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from netjail import names
from netjail.errors import NetjailError
from netjail.profile import amnezia, checks, keys, leftout, schema
from netjail.profile.key import Key
from netjail.profile.leftout import LeftOut
from netjail.profile.model import AmneziaWG, Dns, Peer, Profile, WireGuard

SIZE_MAX = 1 << 20
_VALUE_MAX = 65536


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file."""

    uplink: WireGuard
    left_out: list[LeftOut]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    key: str  # as wg spells it
    value: str = field(repr=False)


@dataclass(slots=True)
class _Section:
    number: int
    title: str  # "Interface" or "Peer"
    lines: list[_Line] = field(default_factory=list)

    def find(self, key: str) -> int:
        """Line of a key, or of the section's header."""
        return next((x.number for x in self.lines if x.key == key), self.number)


_INTERFACE = {
    (k.wg or "").lower(): k for k in keys.KEYS if k.wg and not k.name.startswith("uplink.peer.")
}
_PEER = {(k.wg or "").lower(): k for k in keys.KEYS if k.name.startswith("uplink.peer.")}
_WG_NAME = {k.name: k.wg for k in keys.KEYS if k.wg}

_AMNEZIA = re.compile(r"jc|jmin|jmax|s[1-4]|h[1-4]|i[1-5]|j[1-3]|itime")
_AMNEZIA_3 = {
    "headerprotectionkey": "HeaderProtectionKey",
    "contentpaddingaddition": "ContentPaddingAddition",
    "rekeyaftertime": "RekeyAfterTime",
    "rekeytimeout": "RekeyTimeout",
    "rejectaftertime": "RejectAfterTime",
    "keepalivetimeout": "KeepaliveTimeout",
    "maxhandshakeattempts": "MaxHandshakeAttempts",
    "randomtrailers": "RandomTrailers",
    "disablecookies": "DisableCookies",
}

_LENDS = re.compile(r"^[ \t]*#[ \t]*NAT-PMP\b[^=\n]{0,60}=[ \t]*on\b", re.I | re.M)
"""What Proton VPN notes in its files, when that was chosen there."""
_BLANKS = str.maketrans("\t\v\f\u00a0\u2007\u202f\u3000", " " * 7, "\u200b\u2060\ufeff")
"""Blanks that web pages and word processors leave behind, and characters of no width."""
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,29}")


def decode(data: bytes) -> str:
    """The text of a file that a person hands over: UTF-8 or, from Windows, UTF-16.

    Raises "import-refused" for what is no text. Comments in an old 8-bit encoding do no harm.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            raise _refuse("it is not a text file") from None
    if b"\0" in data:
        raise _refuse("it is not a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def kind_of(text: str) -> str:
    """The kind of uplink that a file is for: one line of AmneziaWG's makes it AmneziaWG's."""
    reader = _Reader(text[:SIZE_MAX])
    reader.scan()
    return amnezia.KIND if reader.amnezia or reader.amnezia3 else "wireguard"


def parse(text: str) -> Imported:
    """Read a wg-quick file.

    Raises "import-refused" for a file of another sort (OpenVPN, a web page, ...) and
    "invalid-profile" with all problems of a file of the right sort.
    """
    if len(text) > SIZE_MAX:
        raise _refuse(f"it has more than {SIZE_MAX} characters")
    reader = _Reader(text)
    reader.scan()
    reader.refuse_foreign()
    raw = reader.tokenize()
    uplink = schema.read_uplink(raw, reader.report)
    if not isinstance(uplink, WireGuard) or reader.report.bad():
        raise schema.invalid(
            "the WireGuard file",
            reader.report.problems,
            "correct the file, or download it once more",
        )
    for warning in schema.wireguard_warnings(uplink):
        reader.report.warn(warning)
    for warning in schema.dns_warnings(uplink, Dns("uplink")):
        reader.report.warn(warning)
    if _LENDS.search(text):
        reader.report.warn(
            "the provider lends a port (NAT-PMP = on): natpmp = true under [uplink] borrows it"
        )
    return Imported(uplink, reader.left_out(), reader.report.warnings)


class _Reader:
    """One file on its way to the nested dict that `schema` takes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.report = schema.Report(self._locate, self._line)
        self.interface: _Section | None = None
        self.peers: list[_Section] = []
        self.amnezia = False
        self.amnezia3: dict[str, None] = {}
        self._left_out: list[tuple[int, str, str, str]] = []

    # Where things are -------------------------------------------------------------------------

    def _section_of(self, path: schema.Path) -> tuple[_Section | None, str | None]:
        if len(path) > 2 and path[1] == "peer" and isinstance(path[2], int):
            wg = _WG_NAME.get(f"uplink.peer.{path[3]}") if len(path) > 3 else None
            return self.peers[path[2]], wg
        return self.interface, _WG_NAME.get(".".join(str(p) for p in path[:2]))

    def _line(self, path: schema.Path) -> int | None:
        if path and path[0] == "line":
            return int(path[1])
        section, wg = self._section_of(path)
        return section.find(wg or "") if section else 0

    def _locate(self, path: schema.Path) -> str:
        line = self._line(path)
        at = f"line {line}" if line else "the file"
        if path and path[0] == "line":
            return at
        _, wg = self._section_of(path)
        if wg is None:
            return f"{at}: [Peer]" if path[-1] == "peer" else at
        return f"{at}: {wg}"

    def _bad(self, number: int, text: str) -> None:
        self.report.problem(("line", number), text)

    # Cleaning ---------------------------------------------------------------------------------

    def scan(self) -> None:
        """Sort the lines into sections; note what is left out and what is wrong."""
        section: _Section | None = None
        text = self.text.replace("\r\n", "\n").replace("\r", "\n")
        for number, raw in enumerate(text.split("\n"), 1):
            line = raw.translate(_BLANKS).strip()
            if not line or line[0] in "#;":
                continue
            body = line.partition("#")[0].strip()
            if body.startswith("["):
                section = self._header(body, number)
            elif body:
                self._assignment(body, number, section)

    def _header(self, body: str, number: int) -> _Section:
        title = "".join(re.sub(r"\s;.*", "", body).split())
        if title.lower() == "[interface]":
            if self.interface is not None:
                self._bad(
                    number,
                    f"a second [Interface], the first is on line {self.interface.number}; "
                    "are these two files in one?",
                )
                return _Section(number, "Interface")
            self.interface = _Section(number, "Interface")
            return self.interface
        if title.lower() == "[peer]":
            self.peers.append(_Section(number, "Peer"))
            return self.peers[-1]
        name = title.strip("[]")
        meant = checks.did_you_mean(name, ["Interface", "Peer"])
        hint = f"did you mean [{meant}]?" if meant else "allowed: [Interface] and [Peer]"
        shown = f"[{name}]" if _KEY.fullmatch(name) else "a line that begins with ["
        self._bad(number, f"{shown} is no section of a WireGuard file; {hint}")
        if meant == "Interface" and self.interface is None:
            self.interface = _Section(number, "Interface")
            return self.interface
        if meant == "Peer":
            self.peers.append(_Section(number, "Peer"))
            return self.peers[-1]
        # What follows belongs to nothing we know; complaining about each line helps nobody.
        return _Section(number, "Unknown")

    def _assignment(self, body: str, number: int, section: _Section | None) -> None:
        name, equals, value = body.partition("=")
        folded = _fold(name)
        value = value.strip()
        if not equals:
            self._bad(number, 'is not of the form "Key = value"')
            return
        if _AMNEZIA.fullmatch(folded):
            self.amnezia = True
        if folded in _AMNEZIA_3:
            self.amnezia3[_AMNEZIA_3[folded]] = None
            return
        if folded in leftout.KEYS:
            self._leave_out(number, leftout.KEYS[folded], value, leftout.reason(folded, value))
            return
        value = re.sub(r"(^|\s);.*", "", value).strip()
        if section is None:
            self._bad(number, "stands before the first [Interface] or [Peer]")
            return
        if section.title == "Unknown":
            return
        if _AMNEZIA.fullmatch(folded) and not value:
            return  # as for awg-quick
        key = (_INTERFACE if section.title == "Interface" else _PEER).get(folded)
        if key is None:
            self._unknown(name.strip(), value, number, section)
        else:
            self._keep(key, value, number, section)

    def _unknown(self, name: str, value: str, number: int, section: _Section) -> None:
        own, other = (_INTERFACE, _PEER) if section.title == "Interface" else (_PEER, _INTERFACE)
        folded = _fold(name)
        if folded in other:
            there = "Peer" if section.title == "Interface" else "Interface"
            self._bad(number, f"{other[folded].wg} belongs in [{there}], not in [{section.title}]")
            return
        known = [k.wg or "" for k in own.values()]
        meant = checks.did_you_mean(name, known)
        if meant is None and (not value or not _KEY.fullmatch(name)):
            # Perhaps the second half of a key that was broken in two: show nothing of it.
            self._bad(number, 'is not of the form "Key = value"')
            return
        hint = f"did you mean {meant}?" if meant else f"allowed: {', '.join(known)}"
        self._bad(number, f"{checks.printable(name, 30)} is unknown to WireGuard; {hint}")

    def _keep(self, key: Key, value: str, number: int, section: _Section) -> None:
        if key.name in ("uplink.address", "uplink.dns"):
            value = ",".join(value.split())  # wg-quick separates these by blanks, too
        if key.many:
            value = ",".join(filter(None, (v.strip() for v in value.split(","))))
        if key.name == "uplink.dns":
            value = self._without_tilde(value, number)
        if not value and (key.many or key.name == "uplink.mtu"):
            return  # as for wg-quick
        wg = key.wg or ""
        shown = checks.show(value, key.secret or key.type.hidden)
        earlier = next((x for x in section.lines if x.key == wg), None)
        why = None
        if not value:
            why = f"has no value; allowed: {key.type.allowed}"
        elif not value.isascii() or not value.isprintable():
            why = f"{shown} has characters that do not belong there; allowed: {key.type.allowed}"
        elif len(value) > _VALUE_MAX or (value.isdecimal() and len(value) > 18):
            why = "the value is too long"
        elif not key.many and "," in value:
            why = f"{shown} is more than one value"
        elif earlier is not None and not key.many:
            if earlier.value == value:
                return
            why = f"is given on line {earlier.number} already, with another value"
        if why is None:
            section.lines.append(_Line(number, wg, value))
        else:
            self._bad(number, f"{wg}: {why}")
            self.report.settled.add(self._path(section, key))

    def _path(self, section: _Section, key: Key) -> schema.Path:
        if section.title == "Peer":
            return ("uplink", "peer", self.peers.index(section), key.leaf)
        return ("uplink", key.leaf)

    def _without_tilde(self, value: str, number: int) -> str:
        kept = []
        for entry in filter(None, value.split(",")):
            if entry.startswith("~"):
                self._leave_out(number, "DNS", entry, leftout.TILDE)
            else:
                kept.append(entry)
        return ",".join(kept)

    # What is not obeyed -----------------------------------------------------------------------

    def _leave_out(self, number: int, key: str, value: str, why: str) -> None:
        self._left_out.append((number, key, value, why))

    def left_out(self) -> list[LeftOut]:
        """The lines not obeyed, with the secrets of the file and whatever looks like one masked."""
        secrets = [
            x.value
            for s in (self.interface, *self.peers)
            if s is not None
            for x in s.lines
            if x.key in ("PrivateKey", "PresharedKey")
        ]
        return [
            LeftOut(number, f"{key} = {leftout.mask_command(value, secrets)}", why)
            for number, key, value, why in self._left_out
        ]

    # Judging the sort of file -----------------------------------------------------------------

    def refuse_foreign(self) -> None:
        """Raise "import-refused" if this is not a WireGuard file at all."""
        if self.amnezia3:
            raise _refuse(
                f"it is for AmneziaWG 3 ({', '.join(self.amnezia3)}), and netjail knows "
                "AmneziaWG up to 2.0",
                "ask the provider for a file for AmneziaWG 1.5 or 2.0, or for plain WireGuard",
            )
        if self.interface is not None or self.peers:
            if self.interface is None:
                self._bad(self.peers[0].number, "there is no [Interface] before the peers")
            return
        start = self.text.lstrip("\ufeff \t\r\n")[:4096]
        if not start:
            raise _refuse("it is empty")
        if start.startswith("<") and re.search(r"<(!doctype|html|head)", start, re.IGNORECASE):
            raise _refuse("it is a web page", "download the file while logged in to the provider")
        if re.search(r"^\s*(client|remote\s+\S+|dev\s+tun|<ca>)", start, re.MULTILINE):
            raise _refuse("it is an OpenVPN file", "netjail import FILE reads it, too")
        if re.search(r"^\s*\[+uplink", self.text, re.MULTILINE):
            raise _refuse(
                "it is a netjail profile, not a WireGuard file", "netjail profile add FILE"
            )
        raise _refuse(
            "it has no [Interface] section, so it is not a WireGuard file",
            "give the .conf file that your provider has for WireGuard",
        )

    # Reading ----------------------------------------------------------------------------------

    def tokenize(self) -> dict[str, Any]:
        """Let wgconfig read the cleaned lines; the [uplink] table they make."""
        import io

        import wgconfig

        # Its index of peers goes by one attribute; a number of ours keeps equal peers apart.
        index = "PeerNumber"
        clean = ["[Interface]"]
        if self.interface is not None:
            clean += [f"{x.key} = {x.value}" for x in self.interface.lines]
        for n, peer in enumerate(self.peers):
            clean += ["[Peer]", f"{index} = {n}"]
            clean += [f"{x.key} = {x.value}" for x in peer.lines]
        config = wgconfig.WGConfig(keyattr=index)
        config.read_from_fileobj(io.StringIO("\n".join(clean) + "\n"))
        raw: dict[str, Any] = {"kind": amnezia.KIND if self.amnezia else "wireguard"}
        raw |= _translate(config.get_interface(), _INTERFACE)
        found = config.get_peers(keys_only=False)
        raw["peer"] = [_translate(found[n], _PEER) for n in range(len(self.peers))]
        return raw


def _fold(name: str) -> str:
    # wg ignores case, and blanks inside a line altogether: "Private Key" is right to it.
    return "".join(name.split()).lower()


def _translate(found: dict[str, Any], known: dict[str, Key]) -> dict[str, Any]:
    """wgconfig's dict in our names: lists where we want lists, texts in them."""
    raw: dict[str, Any] = {}
    for key in known.values():
        if key.wg not in found:
            continue
        value = found[key.wg]
        if key.many:
            items = value if isinstance(value, list) else [value]
            raw[key.leaf] = [str(item) for item in items]
        else:
            raw[key.leaf] = value
    if known is _PEER and raw.get("allowed_ips") == []:
        del raw["allowed_ips"]
    return raw


def _refuse(why: str, hint: str | None = None) -> NetjailError:
    return NetjailError("import-refused", f"the file cannot be imported: {why}", hint)


# Out ---------------------------------------------------------------------------------------------


def export(profile: Profile) -> str:
    """The wg-quick file of a WireGuard profile, secrets included.

    wg-quick(8) wants it under a name of at most 15 characters before `.conf`. What it has no
    words for (users, stop, through, lines for /etc/hosts) is not in it.
    """
    uplink = profile.uplink
    if not isinstance(uplink, WireGuard):
        raise NetjailError(
            "usage",
            f'profile {profile.name} has an uplink of kind "{uplink.kind}", '
            "and wg-quick files describe WireGuard tunnels only",
            f"netjail profile show {profile.name}",
        )
    title = f"{profile.name}: {profile.description}" if profile.description else profile.name
    lines = [f"# {title}"] + ([f"# place: {uplink.place}"] if uplink.place is not None else [])
    if uplink.through is not None:
        lines.append(f"# in netjail this tunnel goes through the profile {uplink.through}")
    lines += ["[Interface]", f"PrivateKey = {uplink.private_key}"]
    lines.append(f"Address = {', '.join(map(str, uplink.addresses))}")
    dns = _dns(profile, uplink)
    if dns:
        lines.append(f"DNS = {', '.join(dns)}")
    if uplink.mtu is not None:
        lines.append(f"MTU = {uplink.mtu}")
    if uplink.listen_port is not None:
        lines.append(f"ListenPort = {uplink.listen_port}")
    if uplink.fwmark is not None:
        lines.append(f"FwMark = {uplink.fwmark:#x}")
    if isinstance(uplink, AmneziaWG):
        lines += amnezia.lines(uplink)
    for peer in uplink.peers:
        lines += _peer(peer)
    return "\n".join(lines) + "\n"


def _dns(profile: Profile, uplink: WireGuard) -> list[str]:
    if profile.dns.mode == "uplink":
        servers, search = uplink.dns_servers, uplink.dns_search
    else:
        servers, search = profile.dns.servers, ()
    return [*map(str, servers), *dict.fromkeys((*search, *profile.dns.search))]


def _peer(peer: Peer) -> list[str]:
    lines = ["", "[Peer]", f"PublicKey = {peer.public_key}"]
    if peer.preshared_key is not None:
        lines.append(f"PresharedKey = {peer.preshared_key}")
    if peer.allowed_ips:
        lines.append(f"AllowedIPs = {', '.join(map(str, peer.allowed_ips))}")
    if peer.endpoint is not None:
        lines.append(f"Endpoint = {peer.endpoint}")
    if peer.persistent_keepalive is not None:
        lines.append(f"PersistentKeepalive = {peer.persistent_keepalive}")
    return lines


def suggest_name(filename: str) -> str:
    """A profile name out of a file's: "SE 12 Mullvad.conf" gives "se-12-mullvad"."""
    base = re.split(r"[/\\]", filename)[-1]
    base = re.sub(r"(?i)(\.(conf|wg|txt|cfg|ini))+$", "", base)
    plain = unicodedata.normalize("NFKD", base).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9_]+", "-", plain).lstrip("-_")[: names.NAME_MAX].rstrip("-_")
    return name if names.valid_name(name) else "vpn"
