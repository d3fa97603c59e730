# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging single values: keys, addresses, endpoints, names. Stricter than wg(8) and wg-quick(8).

What wg lets pass, and this does not: ports above 65535 (it wraps them), IPv4 addresses written in
octal or as one number, an empty or all-zero key, a base64 text with bits to spare.

Every function takes what the TOML reader gives, returns the value in its final form, and raises
`Bad` with a clause that reads on after the value: `"0.0.0.0" is not an address one can reach`.
The clause never repeats the value, which may be a secret.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

from netjail import names
from netjail.profile.model import Address, Endpoint, Interface, Network

MTU_MIN = 576
"""RFC 791: what every IPv4 host must take in one piece."""
MTU_MIN_IPV6 = 1280
"""RFC 8200 section 5; below it the kernel switches IPv6 off on the interface."""
MTU_MAX = 65535

DESCRIPTION_MAX = 200

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@~-]{0,14}")
_PREFIX = re.compile(r"[0-9]{1,3}")
_NUMERIC = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_LOOKS_IPV4 = re.compile(r"[0-9.]+")
_USER_BAD = re.compile(r"[\s:/,\"'`$;&|<>*?()\[\]{}!]")
_HEX = re.compile(r"0[xX][0-9A-Fa-f]{1,8}")
_DECIMAL = re.compile(r"[0-9]{1,10}")

_KEY_LIKE = re.compile(
    r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}=?(?![A-Za-z0-9+/=])"  # 32 bytes in base64
    r"|(?<![A-Za-z0-9])[0-9A-Fa-f]{32,}(?![A-Za-z0-9])"
)
HIDDEN = "(hidden)"


class Bad(ValueError):
    """A value that cannot stand. `why` reads on after the value; `meant` is a better one."""

    def __init__(self, why: str, meant: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.meant = meant


# What may be shown -----------------------------------------------------------------------------


def mask(text: str) -> str:
    """`text` with everything that looks like a key replaced."""
    return _KEY_LIKE.sub(HIDDEN, text)


def printable(text: str, limit: int = 80) -> str:
    """`text` fit for a terminal: no control characters, no key, at most `limit` characters."""
    text = mask(text[: 16 * limit])
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def show(value: object, hidden: bool = False) -> str:
    """A value as an error message quotes it; `hidden` for what is or may be a key."""
    if hidden:
        length = f", {len(value)} characters" if isinstance(value, str) else ""
        return f"{HIDDEN[:-1]}{length})"
    if isinstance(value, str):
        return f'"{printable(value)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # Python refuses to print integers of more than 4300 digits; TOML can hold them in hex.
        return str(value) if abs(value) < 10**20 else "a huge number"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a table"
    return "a number with a fraction" if isinstance(value, float) else "a date or time"


def did_you_mean(word: str, known: list[str] | tuple[str, ...]) -> str | None:
    """The one of `known` that `word` was probably meant to be."""
    import difflib  # only needed once something is wrong

    folded = {k.lower().replace("_", "").replace("-", ""): k for k in known}
    plain = word[:64].lower().replace("_", "").replace("-", "")
    close = difflib.get_close_matches(plain, folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


# Plain kinds of values -------------------------------------------------------------------------


def string(value: object) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise Bad("is not a text in quotes")
    return value


def boolean(value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise Bad("is neither true nor false")
    return value


def integer(value: object, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    if isinstance(value, bool) or not isinstance(value, int):
        if isinstance(value, str) and _DECIMAL.fullmatch(value):
            raise Bad("is a text, not a number", meant=str(int(value)))
        raise Bad("is not a whole number")
    if value < low:
        raise Bad("is too small")
    if value > high:
        raise Bad("is too large")
    return value


def description(value: object) -> str:
    """One line for people, shown in lists."""
    text = string(value)
    if len(text) > DESCRIPTION_MAX:
        raise Bad(f"has {len(text)} characters")
    if not text.isprintable():
        raise Bad("has a line break or another character that cannot be printed")
    return text


def version(value: object) -> int:
    """The version of the file's format."""
    number = integer(value, 1, 2**63)
    if number != 1:
        raise Bad("is of a newer netjail than this one")
    return number


# Names -----------------------------------------------------------------------------------------


def profile_name(value: object) -> str:
    """The name of a profile."""
    text = string(value)
    if not names.valid_name(text):
        meant = text.lower()
        raise Bad("is not a profile's name", meant if names.valid_name(meant) else None)
    return text


def user_name(value: object) -> str:
    """A login name. Lenient (directories have names like `DOM\\anne` or `anne@corp.example`)."""
    text = string(value)
    if not 0 < len(text) <= 256 or not text.isprintable() or _USER_BAD.search(text):
        raise Bad("is not a user name")
    if text[0] in "-~" or text in (".", ".."):
        raise Bad("is not a user name")
    if text.isdecimal():
        raise Bad("is a number; users are named here, not numbered")
    if text[0] in "@%+":
        raise Bad("is a group; only users can be listed")
    return text


def interface_name(value: object) -> str:
    """A network interface of the host (the kernel: at most 15 bytes, no slash, no blank).

    Narrower than the kernel: the name ends up in nft rules, where `*` and quotes mean something.
    """
    text = string(value)
    if not _INTERFACE.fullmatch(text):
        raise Bad("is not an interface name")
    if text == "lo":
        raise Bad("is the loopback interface, which leads nowhere")
    if text.startswith(names.HOST_IF_PREFIX):
        raise Bad("is one of netjail's own interfaces")
    return text


def _host_labels(text: str) -> None:
    if not text:
        raise Bad("is empty")
    if not text.isascii():
        raise Bad("has characters outside ASCII; write an international name in its xn-- form")
    bare = text.removesuffix(".")
    if len(bare) > 253:
        raise Bad("is longer than 253 characters")
    labels = bare.split(".")
    for label in labels:
        if not label:
            raise Bad("has an empty part between dots")
        if len(label) > 63:
            raise Bad("has a part longer than 63 characters")
        if not _LABEL.fullmatch(label):
            raise Bad("is not a host name")
    if _NUMERIC.fullmatch(labels[-1]):
        # inet_aton(3) reads 010.0.0.1, 0x7f.1 and 2130706433 as addresses nobody meant.
        raise Bad("is neither a host name nor an IPv4 address of four decimal numbers")


def host_name(value: object) -> str:
    """A host name (RFC 1123, underscores allowed as in the wild)."""
    text = string(value)
    _host_labels(text)
    return text


def hosts_entry_name(value: object) -> str:
    """A name for /etc/hosts."""
    text = host_name(value)
    if text.lower().removesuffix(".") in ("localhost", "localhost.localdomain", "ip6-localhost"):
        raise Bad("is the jail's own loopback and stays so")
    return text


def domain(value: object) -> str:
    """A search domain."""
    text = string(value)
    if text.startswith("~"):
        raise Bad("has a ~, which only systemd-resolved knows", meant=text.lstrip("~.") or None)
    _host_labels(text)
    return text


# Addresses -------------------------------------------------------------------------------------


def _parse_address(text: str) -> Address:
    if "%" in text:
        raise Bad("names an interface after %, which means nothing in another namespace")
    try:
        if ":" in text:
            six = IPv6Address(text)
            if six.ipv4_mapped is not None:
                raise Bad("is an IPv4 address in IPv6 dress", meant=str(six.ipv4_mapped))
            return six
        return IPv4Address(text)
    except AddressValueError:
        pass
    if text.count(".") == 3 and any(p != "0" and p.startswith("0") for p in text.split(".")):
        raise Bad("has a leading zero, which some programs read as octal")
    raise Bad("is not an IP address")


def looks_like_address(text: str) -> bool:
    """How wg-quick(8) tells a DNS server from a search domain."""
    return ":" in text or _LOOKS_IPV4.fullmatch(text) is not None


def address(value: object) -> Address:
    """An address of one host."""
    parsed = _parse_address(string(value))
    if parsed.is_unspecified or parsed.is_multicast or parsed == IPv4Address("255.255.255.255"):
        raise Bad("is not the address of a host")
    return parsed


def dns_server(value: object) -> Address:
    """An address of a resolver."""
    parsed = address(value)
    if isinstance(parsed, IPv6Address) and parsed.is_link_local:
        raise Bad("is link-local and reachable only with an interface named after %")
    return parsed


def dns_entry(value: object) -> Address | str:
    """One word of a DNS line: a server's address or a search domain."""
    text = string(value)
    return dns_server(text) if looks_like_address(text) else domain(text)


def _split_prefix(text: str) -> tuple[Address, int]:
    head, slash, tail = text.partition("/")
    parsed = _parse_address(head)
    if not slash:
        return parsed, parsed.max_prefixlen
    if not _PREFIX.fullmatch(tail):
        raise Bad("has no number of bits after the slash")
    if int(tail) > parsed.max_prefixlen:
        raise Bad(f"has more than {parsed.max_prefixlen} bits after the slash")
    return parsed, int(tail)


def interface_address(value: object) -> Interface:
    """An address with its prefix length; alone it counts as /32 or /128, as for ip(8)."""
    parsed, bits = _split_prefix(string(value))
    if parsed.is_unspecified or parsed.is_multicast or parsed.is_loopback:
        raise Bad("is not an address that an interface can have")
    if bits == 0:
        raise Bad("has 0 bits after the slash, which makes the whole world one link")
    if isinstance(parsed, IPv4Address):
        return IPv4Interface((parsed, bits))
    return IPv6Interface((parsed, bits))


def network(value: object) -> Network:
    """A network; bits after the prefix are cleared, as wg(8) does (`masked` tells)."""
    parsed, bits = _split_prefix(string(value))
    if isinstance(parsed, IPv4Address):
        return IPv4Network((parsed, bits), strict=False)
    return IPv6Network((parsed, bits), strict=False)


def masked(text: str, result: Network) -> bool:
    """Whether `network(text)` had to clear host bits."""
    return _parse_address(text.partition("/")[0]) != result.network_address


# WireGuard -------------------------------------------------------------------------------------


def wireguard_key(value: object) -> str:
    """32 bytes in canonical base64, not all zero (to wg(8) a zero key is no key)."""
    text = string(value)
    if not text:
        raise Bad("is empty")
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        words = text.lower()
        if any(w in words for w in ("your", "insert", "<", "key", "xxx", "replace", "...")):
            raise Bad("is a placeholder, not a key") from None
        raise Bad("is not a WireGuard key") from None
    if len(raw) != 32 or b64encode(raw).decode() != text:
        raise Bad("is not a WireGuard key")
    if raw == bytes(32):
        raise Bad("is a key of zeros only")
    return text


ZERO_KEY = b64encode(bytes(32)).decode()


def preshared_key(value: object) -> str | None:
    """Like `wireguard_key`; zeros mean that there is none."""
    return None if value == ZERO_KEY else wireguard_key(value)


def port(value: object) -> int | None:
    """A UDP port to listen on; 0 (any free one) becomes None."""
    return integer(value, 0, 65535) or None


def mtu(value: object) -> int:
    """Bytes of the largest packet."""
    return integer(value, MTU_MIN, MTU_MAX)


def keepalive(value: object) -> int | None:
    """Seconds; 0 and "off" become None."""
    if isinstance(value, str) and value.lower() == "off":
        return None
    return integer(value, 0, 65535) or None


def fwmark(value: object) -> int | None:
    """A 32-bit mark; 0 and "off" become None. Also as text, in hexadecimal."""
    if isinstance(value, str):
        if value.lower() == "off":
            return None
        if _HEX.fullmatch(value):
            value = int(value, 16)
    return integer(value, 0, 0xFFFFFFFF) or None


def endpoint(value: object) -> Endpoint:
    """`host:port`, `192.0.2.1:port` or `[2001:db8::1]:port`."""
    text = string(value)
    if text.startswith("["):
        host, bracket, tail = text[1:].partition("]")
        if not bracket or not tail.startswith(":"):
            raise Bad("has no ]: between address and port")
        port_text = tail[1:]
        if ":" not in host:
            raise Bad("has something else than an IPv6 address in brackets")
        _reachable(_parse_address(host))
    else:
        host, colon, port_text = text.rpartition(":")
        if not colon:
            raise Bad("has no port", meant=f"{text}:51820" if _is_host(text) else None)
        if ":" in host:
            six = _is_ipv6(host) and _DECIMAL.fullmatch(port_text)
            raise Bad(
                "has an IPv6 address without brackets", f"[{host}]:{port_text}" if six else None
            )
        if _LOOKS_IPV4.fullmatch(host):
            _reachable(_parse_address(host))
        else:
            _host_labels(host)
    if not port_text.isascii() or not port_text.isdecimal():
        raise Bad("has no number for a port")
    if len(port_text) > 5 or int(port_text) > 65535:
        raise Bad("has a port above 65535")
    if int(port_text) == 0:
        raise Bad("has port 0")
    if ":" in host:
        host = str(IPv6Address(host))
    return Endpoint(host, int(port_text))


def _reachable(parsed: Address) -> None:
    if parsed.is_unspecified or parsed.is_multicast or parsed == IPv4Address("255.255.255.255"):
        raise Bad("is not an address one can reach")
    if isinstance(parsed, IPv6Address) and parsed.is_link_local:
        raise Bad("is link-local and reachable only with an interface named after %")


def _is_host(text: str) -> bool:
    try:
        _host_labels(text)
    except Bad:
        return _LOOKS_IPV4.fullmatch(text) is not None
    return True


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
