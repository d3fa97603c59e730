# SPDX-License-Identifier: GPL-3.0-or-later
""".ovpn files, as providers and employers hand them out, to an uplink.

openvpn(8) is never run on such a file, not even to look at it: it loads plugins and opens logs
while it reads. The file is taken apart as openvpn would (its options.c: words, quotes, comments,
inline blocks), what is known is kept as data, the table of keys judges each value, and the rest is
listed with the reason. Nothing of the text itself reaches the configuration that openvpn is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from netjail.errors import NetjailError
from netjail.profile import checks, leftout, ovpnout, schema
from netjail.profile.leftout import LeftOut
from netjail.profile.model import OpenVpn
from netjail.profile.ovpnlex import Block, Line, Wrong, lex, lines_of

SIZE_MAX = 1 << 20
_DIRECTIVE = re.compile(r"[a-z][a-z0-9-]{1,39}")
_SIGNS = re.compile(
    r"^\s*(--)?(client|remote\s+\S+|dev\s+tun\S*|<(ca|cert|key|tls-auth|tls-crypt|connection)>"
    r"|tls-client|auth-user-pass|remote-cert-tls)(\s|$)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file."""

    uplink: OpenVpn
    left_out: list[LeftOut]
    warnings: list[str]


def looks_like(text: str) -> bool:
    """Whether a text is an OpenVPN file rather than one of another sort."""
    if re.search(r"^\s*\[\s*(interface|peer)\s*\]", text, re.MULTILINE | re.IGNORECASE):
        return False
    return _SIGNS.search(text) is not None


def side_files(text: str) -> dict[str, bool]:
    """The files that a file names besides itself, as it names them; True: what is in it would be
    sent to the server, so it must be a file of the same place."""
    reader = _Reader(text, {})
    reader.scan()
    return dict(reader.named)


def parse(text: str, files: Mapping[str, str] | None = None) -> Imported:
    """Read a .ovpn file. `files`: the texts of `side_files`, those that could be read.

    Raises "import-refused" for a file of another sort and "invalid-profile" with all problems.
    """
    if len(text) > SIZE_MAX:
        raise _refuse(f"it has more than {SIZE_MAX} characters")
    if not text.strip("\ufeff \t\r\n"):
        raise _refuse("it is empty")
    if not looks_like(text):
        raise _refuse(
            "it has neither a remote nor a client line, so it is not an OpenVPN client's file",
            "give the .ovpn file that your provider has for OpenVPN",
        )
    reader = _Reader(text, files or {})
    reader.scan()
    raw = reader.finish()
    uplink = schema.read_uplink(raw, reader.report)
    if not isinstance(uplink, OpenVpn) or reader.report.bad():
        raise schema.invalid(
            "the OpenVPN file",
            reader.report.problems,
            "correct the file, or download it once more",
        )
    return Imported(uplink, reader.left_out(), reader.report.warnings)


def _refuse(why: str, hint: str | None = None) -> NetjailError:
    return NetjailError("import-refused", f"the file cannot be imported: {why}", hint)


@dataclass(slots=True)
class _Remote:
    number: int
    host: str
    port: str | None
    proto: str | None


@dataclass(slots=True)
class _Defaults:
    """What holds for remotes that do not say it themselves."""

    port: str | None = None
    proto: str | None = None


class _Reader:
    """One file on its way to the nested dict that `schema` takes."""

    def __init__(self, text: str, files: Mapping[str, str]) -> None:
        self._text = text
        self._files = files
        self.report = schema.Report(self._locate, self._line_of)
        self.named: dict[str, bool] = {}
        self._raw: dict[str, Any] = {"kind": "openvpn", "server_usage": False}
        self._lines: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._remotes: list[_Remote] = []
        self._defaults = _Defaults()
        self._left_out: list[tuple[int, str, str]] = []
        self._secrets: list[str] = []
        self._dns: list[str] = []
        self._routes: list[str] = []
        self._client = False
        self._exit_notify: tuple[int, str] | None = None

    # Where things are --------------------------------------------------------------------------

    def _line_of(self, path: schema.Path) -> int | None:
        if path and path[0] == "line":
            return int(path[1])
        return self._lines.get(str(path[1])) if len(path) > 1 else None

    def _locate(self, path: schema.Path) -> str:
        line = self._line_of(path)
        at = f"line {line}" if line else "the file"
        if not path or path[0] == "line" or len(path) < 2:
            return at
        return f"{at}: {self._names.get(str(path[1]), str(path[1]))}"

    def _bad(self, number: int, text: str) -> None:
        self.report.problem(("line", number), text)

    def _set(self, key: str, value: object, line: Line) -> None:
        self._raw[key] = value
        self._lines[key], self._names[key] = line.number, line.name

    def _leave_out(self, line: Line, why: str) -> None:
        self._left_out.append((line.number, " ".join([line.name, *line.values]), why))

    def left_out(self) -> list[LeftOut]:
        """The lines not obeyed, without secrets."""
        return [
            LeftOut(number, leftout.mask_command(text, self._secrets), why)
            for number, text, why in sorted(self._left_out)
        ]

    # Lines -------------------------------------------------------------------------------------

    def scan(self) -> None:
        """Take the file apart."""
        self._scan(lines_of(self._text), 1, self._directive, self._defaults)

    def _scan(
        self,
        lines: list[str],
        first: int,
        take: Callable[[Line, _Defaults], None],
        defaults: _Defaults,
    ) -> None:
        for each in lex(lines, first):
            if isinstance(each, Wrong):
                self._bad(each.number, each.why)
            elif isinstance(each, Block):
                nested = take == self._in_connection
                self._block(each.tag, each.body, each.number, nested)
            elif not _DIRECTIVE.fullmatch(each.name):
                self._bad(each.number, f"{_shown(each.name)} is not a directive of OpenVPN")
            else:
                take(each, defaults)

    def _block(self, tag: str, body: list[str], number: int, nested: bool) -> None:
        text = "\n".join(body)
        line = Line(number, tag, [])
        if tag == "connection" and nested:
            self._bad(number, "<connection> stands in another one")
        elif tag == "connection":
            inner = _Defaults()
            before = len(self._remotes)
            self._scan(body, number + 1, self._in_connection, inner)
            for remote in self._remotes[before:]:
                remote.port, remote.proto = remote.port or inner.port, remote.proto or inner.proto
        elif tag == "auth-user-pass":
            self._login(line, text)
        elif tag in ovpnout.FILES:
            self._text_of(line, text)
        elif tag == "peer-fingerprint":
            found = [each for each in (x.strip() for x in body) if each and each[0] not in "#;"]
            self._set("fingerprint", found, line)
        elif tag in ovpnout.REFUSED:
            self._bad(number, f"{tag} {ovpnout.REFUSED[tag]}")
        else:
            why = ovpnout.LEFT_OUT.get(tag, ovpnout.UNKNOWN)
            self._left_out.append((number, f"<{tag}>", why))

    def _in_connection(self, line: Line, defaults: _Defaults) -> None:
        if line.name in ("remote", "port", "rport", "proto"):
            self._server(line, defaults)
        else:
            self._directive(line, defaults)

    # Directives --------------------------------------------------------------------------------

    def _directive(self, line: Line, defaults: _Defaults) -> None:
        name = line.name
        if name in ovpnout.FILES:
            self._file(line)
        elif name in ovpnout.NUMBERS:
            self._number(line)
        elif name in ovpnout.TEXTS:
            self._set(ovpnout.TEXTS[name], line.value(), line)
        elif name in ("remote", "port", "rport", "proto"):
            self._server(line, defaults)
        elif name in _SPECIAL:
            _SPECIAL[name](self, line)
        elif name in ovpnout.SAME:
            pass
        elif name in ovpnout.REFUSED:
            self._bad(line.number, f"{name} {ovpnout.REFUSED[name]}")
        else:
            self._leave_out(line, ovpnout.LEFT_OUT.get(name, ovpnout.UNKNOWN))

    def _server(self, line: Line, defaults: _Defaults) -> None:
        if line.name == "proto":
            defaults.proto = self._proto(line, line.value())
        elif line.name != "remote":
            defaults.port = line.value()
        elif not line.values:
            self._bad(line.number, "remote names no server")
        else:
            proto = self._proto(line, line.value(2)) if line.value(2) else None
            found = _Remote(line.number, line.value(), line.value(1) or None, proto)
            self._remotes.append(found)
            self._lines.setdefault("remote", line.number)

    def _proto(self, line: Line, text: str) -> str | None:
        known = ovpnout.PROTOCOLS.get(text.lower())
        if known is None:
            self._bad(line.number, f"{_shown(text)} is not a protocol of clients: udp or tcp")
        return known

    def _number(self, line: Line) -> None:
        text = line.value()
        if line.name == "mssfix" and not text:
            return  # openvpn's own
        if line.name == "tun-mtu" and text == "1500":
            return
        self._set(ovpnout.NUMBERS[line.name], _number(text), line)

    def _file(self, line: Line) -> None:
        name = line.value()
        if name in ("", "[inline]"):
            return  # its text stands in a block
        if line.name == "crl-verify" and line.value(1) == "dir":
            self._bad(line.number, "crl-verify names a directory; give the list as one file")
            return
        self.named.setdefault(name, False)
        if line.name == "tls-auth" and line.value(1):
            self._set("key_direction", _number(line.value(1)), line)
        text = self._files.get(name)
        if text is None:
            self._bad(line.number, f"{line.name} names the file {_shown(name)}, which is missing")
        else:
            self._text_of(line, text)

    def _text_of(self, line: Line, text: str) -> None:
        if line.name not in ("ca", "cert", "extra-certs", "crl-verify"):
            self._secrets += [each.strip() for each in text.split("\n") if len(each.strip()) > 15]
        self._set(ovpnout.FILES[line.name], text, line)

    def _login(self, line: Line, text: str | None) -> None:
        self._set("login", True, line)
        if text is None:
            return
        found = [each.rstrip("\r") for each in text.split("\n")]
        for key, value in zip(("username", "password"), found, strict=False):
            if value:
                self._set(key, value, line)
                self._secrets.append(value)

    def _auth_user_pass(self, line: Line) -> None:
        name = line.value()
        if name in ("", "[inline]"):
            self._login(line, None)
            return
        self.named[name] = True
        text = self._files.get(name)
        self._login(line, text)
        if text is None:
            self._leave_out(line, ovpnout.NOT_ONE_FILE)

    def _be_client(self, _line: Line) -> None:
        self._client = True

    def _dev(self, line: Line) -> None:
        if line.value().startswith("tap"):
            self._bad(
                line.number,
                "dev tap is for a tunnel that carries Ethernet, which netjail does not know; "
                "ask for a file with dev tun",
            )

    def _cipher(self, line: Line) -> None:
        if line.value().lower() == "none":
            self._bad(line.number, "cipher none means that nothing is encrypted")
        else:
            self._set("fallback_cipher", line.value(), line)

    def _ciphers(self, line: Line) -> None:
        found: list[str] = []
        for each in line.value().split(":"):
            plain = each.removeprefix("?")
            found += ovpnout.DEFAULT_CIPHERS if plain == "DEFAULT" else [plain]
        if any(each.lower() == "none" for each in found):
            self._bad(line.number, f"{line.name} has none, which means that nothing is encrypted")
        else:
            self._set("ciphers", found, line)

    def _keepalive(self, line: Line) -> None:
        self._set("ping", _number(line.value()), line)
        self._set("ping_restart", _number(line.value(1)), line)

    def _compress(self, line: Line) -> None:
        algorithm = line.value()
        if line.name == "comp-lzo":
            algorithm = "lzo"
        framing = ovpnout.FRAMINGS.get(algorithm)
        if framing is None:
            self._bad(line.number, f"{_shown(algorithm)} is not a compression of OpenVPN")
            return
        self._set("framing", framing, line)
        if line.values[:1] not in (["no"], ["stub"], ["stub-v2"], ["migrate"]):
            self._leave_out(line, ovpnout.NO_COMPRESSION)

    def _usage(self, line: Line) -> None:
        if line.name == "remote-cert-tls" and line.value() != "server":
            self._bad(line.number, f"remote-cert-tls {_shown(line.value())} is not for clients")
        elif line.name == "ns-cert-type":
            self._leave_out(line, ovpnout.OLD_USAGE)
        elif line.name == "remote-cert-eku" and line.value() != "TLS Web Server Authentication":
            self._bad(line.number, "remote-cert-eku is known for servers' certificates alone")
        elif line.name != "remote-cert-ku":
            self._set("server_usage", True, line)

    def _server_name(self, line: Line) -> None:
        self._set("server_name", line.value(), line)
        kind = "name" if line.name == "tls-remote" else line.value(1)
        if kind and kind != "subject":
            self._set("server_name_type", kind, line)

    def _fingerprint(self, line: Line) -> None:
        if line.value() not in ("", "[inline]"):
            self._set("fingerprint", [line.value()], line)

    def _exit(self, line: Line) -> None:
        self._exit_notify = (line.number, line.value() or "1")

    def _challenge(self, line: Line) -> None:
        self._set("challenge", line.value(), line)
        if line.value(1) == "1":
            self._set("challenge_echo", True, line)

    def _flag(self, line: Line) -> None:
        if line.name == "remote-random":
            self._set("remote_random", True, line)
        else:
            self._set("take_routes", False, line)

    def _pull_filter(self, line: Line) -> None:
        if line.value() != "ignore":
            self._leave_out(line, "netjail takes what it knows of what a server pushes, no more")
            return
        self._lines["ignore"], self._names["ignore"] = line.number, line.name
        self._raw.setdefault("ignore", []).append(line.value(1).strip())

    def _route(self, line: Line) -> None:
        destination, mask, gateway = line.value(), line.value(1), line.value(2)
        if line.name == "route-ipv6":
            gateway, mask = mask, ""
        if gateway == "net_gateway":
            self._leave_out(line, ovpnout.AROUND)
            return
        try:
            if line.name == "route":
                destination = str(_network(destination, mask or "255.255.255.255"))
            checks.network(destination)
        except (checks.Bad, ValueError):
            self._leave_out(line, ovpnout.NO_NAME)
            return
        self._routes.append(destination)
        self._lines["routes"], self._names["routes"] = line.number, line.name

    def _redirect(self, line: Line) -> None:
        if "!ipv4" not in line.values:
            self._routes.append("0.0.0.0/0")
        if "ipv6" in line.values:
            self._routes.append("::/0")

    def _dhcp_option(self, line: Line) -> None:
        kind = line.value().upper()
        if kind in ("DNS", "DNS6", "DOMAIN", "DOMAIN-SEARCH", "ADAPTER_DOMAIN_SUFFIX"):
            self._dns += line.values[1:]
            self._lines["dns"], self._names["dns"] = line.number, line.name
        else:
            self._leave_out(line, "of what DHCP hands out, a jail needs resolvers and domains")

    def _dns_directive(self, line: Line) -> None:
        self._lines["dns"], self._names["dns"] = line.number, line.name
        if line.value() == "search-domains":
            self._dns += line.values[1:]
        elif line.value() == "server" and line.value(2) == "address":
            self._dns += [re.sub(r"^\[(.*)\](:53)?$", r"\1", each) for each in line.values[3:]]
        else:
            self._leave_out(line, "in a jail all names go to the profile's servers, by plain DNS")

    # The whole ---------------------------------------------------------------------------------

    def finish(self) -> dict[str, Any]:
        """The table [uplink]."""
        raw = self._raw
        if not self._client and not self.report.bad():
            self._bad(0, "neither client nor tls-client is among its lines")
        remotes = []
        for each in self._remotes:
            host = f"[{each.host}]" if ":" in each.host else each.host
            port = each.port or self._defaults.port or "1194"
            proto = each.proto or self._defaults.proto or "udp"
            remotes.append(f"{host}:{port}/{proto}")
        raw["remote"] = remotes
        self._notify(remotes)
        if self._dns:
            raw["dns"] = list(dict.fromkeys(self._dns))
        if self._routes:
            raw["routes"] = list(dict.fromkeys(self._routes))
        if raw["server_usage"]:
            del raw["server_usage"]
        if "key_direction" in raw and "tls_auth" not in raw:
            del raw["key_direction"]
        return raw

    def _notify(self, remotes: list[str]) -> None:
        tcp = any("/tcp" in each for each in remotes)
        if self._exit_notify is not None:
            number, text = self._exit_notify
            line = Line(number, "explicit-exit-notify", [text])
            if tcp:
                self._leave_out(line, ovpnout.UDP_ONLY)
            else:
                self._set("exit_notify", _number(text), line)
        if tcp and "fragment" in self._raw:
            line = Line(self._lines["fragment"], "fragment", [str(self._raw.pop("fragment"))])
            self._leave_out(line, ovpnout.UDP_ONLY)


_SPECIAL: dict[str, Callable[[_Reader, Line], None]] = {
    **dict.fromkeys(("client", "pull", "tls-client"), _Reader._be_client),
    "dev": _Reader._dev,
    "cipher": _Reader._cipher,
    **dict.fromkeys(("data-ciphers", "ncp-ciphers"), _Reader._ciphers),
    "data-ciphers-fallback": _Reader._cipher,
    "keepalive": _Reader._keepalive,
    **dict.fromkeys(("comp-lzo", "compress"), _Reader._compress),
    **dict.fromkeys(
        ("remote-cert-tls", "remote-cert-eku", "remote-cert-ku", "ns-cert-type"), _Reader._usage
    ),
    **dict.fromkeys(("verify-x509-name", "tls-remote"), _Reader._server_name),
    "peer-fingerprint": _Reader._fingerprint,
    "explicit-exit-notify": _Reader._exit,
    "static-challenge": _Reader._challenge,
    **dict.fromkeys(("remote-random", "route-nopull"), _Reader._flag),
    "pull-filter": _Reader._pull_filter,
    **dict.fromkeys(("route", "route-ipv6"), _Reader._route),
    "redirect-gateway": _Reader._redirect,
    "dhcp-option": _Reader._dhcp_option,
    "dns": _Reader._dns_directive,
    "auth-user-pass": _Reader._auth_user_pass,
}


def _number(text: str) -> object:
    """A number where it is one; else the text, at which the key's type will take offence."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text


def _network(address: str, mask: str) -> object:
    from ipaddress import IPv4Network

    return IPv4Network(f"{address}/{mask}", strict=False)


def _shown(text: str) -> str:
    return checks.show(text[:60])
