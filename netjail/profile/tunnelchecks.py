# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging the values of OpenVPN and OpenConnect profiles. As in `checks`, every function gives the
value in its final form or raises `Bad`.

What passes here is written into a configuration that openvpn(8) reads: so nothing passes that
could end a line, a quoted word or an inline block. Certificates and keys are taken out of their
armour and armoured again; whatever stands around them in a file is dropped.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable

from netjail.profile import checks
from netjail.profile.checks import Bad, string
from netjail.profile.model import Endpoint, Remote

PROTOCOLS = ("udp", "tcp", "udp4", "tcp4", "udp6", "tcp6")
"""What may stand behind the slash of a remote; without a number: whichever family answers."""
TEXT_MAX = 200
"""openvpn takes lines of at most 255 bytes."""
PEM_MAX = 1 << 18
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,63}")
_WORDS = re.compile(r"[A-Za-z0-9!@+_-][A-Za-z0-9:!@+=._-]{0,199}")
_OPTION = re.compile(r"[a-z0-9][a-z0-9-]{0,39}(?: [A-Za-z0-9.:/_-]{1,64}){0,4}")
_MARK = re.compile(r"-----(BEGIN|END) ([A-Za-z0-9](?:[A-Za-z0-9 ]|-(?!-)){0,39})-----")
_HEADER = re.compile(r"(Proc-Type|DEK-Info): ?([A-Za-z0-9,-]{1,80})")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_PIN = re.compile(r"pin-sha256:[A-Za-z0-9+/]{43}=|sha256:[0-9A-Fa-f]{64}")

CERTIFICATES = ("CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE")
KEYS = ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")
REVOKED = ("X509 CRL",)
STATIC = ("OpenVPN Static key V1",)
CLIENT_V2 = ("OpenVPN tls-crypt-v2 client key",)


def remote(value: object) -> Remote:
    """`host:port/proto`; without a slash it is udp."""
    text = string(value)
    head, slash, proto = text.rpartition("/")
    if not slash:
        head, proto = text, "udp"
    if proto not in PROTOCOLS:
        meant = proto.lower().removesuffix("-client")
        raise Bad(
            "has something else than a protocol after the slash",
            f"{head}/{meant}" if meant in PROTOCOLS else None,
        )
    found: Endpoint = checks.endpoint(head)
    if len(found.host) > TEXT_MAX:
        raise Bad(f"has a name longer than {TEXT_MAX} characters")
    return Remote(found.host, found.port, proto)


def word(value: object) -> str:
    """The name of a cipher, a digest, a profile of certificates."""
    text = string(value)
    if not _WORD.fullmatch(text):
        raise Bad("is not a name of that sort")
    return text


def word_list(value: object) -> str:
    """Names with colons between them, as OpenSSL takes them."""
    text = string(value)
    if not _WORDS.fullmatch(text):
        raise Bad("is not a list of names with colons between them")
    return text


def line(value: object) -> str:
    """One printable line, as a name or a question to the user."""
    text = string(value)
    if not text:
        raise Bad("is empty")
    if not text.isprintable():
        raise Bad("has a line break or another character that cannot be printed")
    if len(text.encode()) + text.count("\\") + text.count('"') > TEXT_MAX:
        raise Bad(f"is longer than {TEXT_MAX} bytes")
    return text


def secret_line(value: object) -> str:
    """A password or a user's name: what can be typed on one line."""
    text = string(value)
    if not text:
        raise Bad("is empty")
    if len(text.encode(errors="replace")) > 4096:
        raise Bad("is too long")
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise Bad("has a line break or another control character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Bad("is not Unicode text") from None
    return text


def option(value: object) -> str:
    """The beginning of an option that a server pushes."""
    text = string(value)
    if not _OPTION.fullmatch(text):
        raise Bad("is not the beginning of an option")
    return text


def number(low: int, high: int) -> Callable[[object], int]:
    """A whole number in these bounds."""
    return lambda value: checks.integer(value, low, high)


def fingerprint(value: object) -> str:
    """SHA-256 of a certificate, 32 bytes in hex, with colons or without; gives colons."""
    text = string(value)
    plain = text.replace(":", "")
    if len(plain) != 64 or not _HEX.fullmatch(plain):
        raise Bad("is not a SHA-256 fingerprint")
    plain = plain.upper()
    return ":".join(plain[n : n + 2] for n in range(0, 64, 2))


def pin(value: object) -> str:
    """A pin of a server's key or certificate, as openconnect(8) takes it with --servercert."""
    text = string(value)
    if not _PIN.fullmatch(text):
        raise Bad("is not a pin of a server")
    return text


def server(value: object) -> str:
    """`host`, `host:port` or either with a /path, with or without https:// before it."""
    text = string(value).removeprefix("https://")
    head, slash, path = text.partition("/")
    if slash and not re.fullmatch(r"[A-Za-z0-9._~/+=-]{0,200}", path):
        raise Bad("has a path with other characters than letters, digits and ._~/+=-")
    if head.startswith("["):
        found = checks.endpoint(head if head.rpartition("]")[2] else f"{head}:443")
    elif head.count(":") == 1:
        found = checks.endpoint(head)
    else:
        found = checks.endpoint(f"{head}:443")
    host = f"[{found.host}]" if ":" in found.host else found.host
    port = "" if found.port == 443 else f":{found.port}"
    return f"{host}{port}{slash if path else ''}{path}"


def pem(*labels: str, several: bool = False) -> Callable[[object], str]:
    """Blocks of PEM (RFC 7468) with one of `labels`, written anew."""

    def read(value: object) -> str:
        text = string(value)
        if len(text) > PEM_MAX:
            raise Bad(f"is longer than {PEM_MAX} characters")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        blocks = _blocks(text)
        found = [_armoured(label, body) for label, body in blocks if label in labels]
        if not found:
            others = {label for label, _ in blocks}
            if others & set(KEYS) and not set(KEYS) & set(labels):
                raise Bad("holds a private key, which does not belong here")
            raise Bad(f"has no block -----BEGIN {labels[0]}-----")
        if len(found) > 1 and not several:
            raise Bad("holds more than one")
        return "".join(found)

    return read


def _blocks(text: str) -> list[tuple[str, str]]:
    """(label, what is inside) of each block, from a BEGIN to the next END of its label. In time
    linear in the text, whoever wrote it: a regular expression would hold up all threads."""
    marks = list(_MARK.finditer(text))
    ends: dict[str, list[re.Match[str]]] = {}
    for mark in reversed(marks):
        if mark[1] == "END":
            ends.setdefault(mark[2], []).append(mark)
    found = []
    at = 0
    for mark in marks:
        if mark[1] != "BEGIN" or mark.start() < at:
            continue
        left = ends.get(mark[2], [])
        while left and left[-1].start() < mark.end():
            left.pop()
        if left:
            found.append((mark[2], text[mark.end() : left[-1].start()]))
            at = left[-1].end()
    return found


def _armoured(label: str, body: str) -> str:
    headers, data = [], []
    for raw in body.split("\n"):
        stripped = raw.strip()
        header = _HEADER.fullmatch(stripped)
        if header:
            headers.append(f"{header[1]}: {header[2]}")
        elif stripped and not stripped.startswith("#"):
            data.append(stripped)
    joined = "".join(data)
    if label in STATIC:
        if len(joined) != 512 or not _HEX.fullmatch(joined):
            raise Bad("is not a static key of 2048 bits in hexadecimal")
        lines = [joined[n : n + 32] for n in range(0, 512, 32)]
    else:
        if not _BASE64.fullmatch(joined) or len(joined) % 4:
            raise Bad("has something else than base64 between BEGIN and END")
        lines = [joined[n : n + 64] for n in range(0, len(joined), 64)]
    if headers:
        headers.append("")
    text = "\n".join([*headers, *lines])
    return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"


def base64(value: object) -> str:
    """Binary data in base64, in lines of 64 characters."""
    joined = "".join(string(value).split())
    if len(joined) > PEM_MAX:
        raise Bad("is too long")
    try:
        b64decode(joined, validate=True)
    except ValueError:
        raise Bad("is not base64") from None
    if not joined:
        raise Bad("is empty")
    return "".join(f"{joined[n : n + 64]}\n" for n in range(0, len(joined), 64))


def encrypted(key: str | None) -> bool:
    """Whether a private key wants a password."""
    return key is not None and ("ENCRYPTED" in key)
