# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging single values of [[forward]] and [[expose]]; as `checks`, for what only they have."""

from __future__ import annotations

import os
from ipaddress import ip_address

from netjail.profile import checks
from netjail.profile.checks import Bad
from netjail.profile.model import Address, Port

LOCALHOST = "localhost"
LOOPBACKS = ("127.0.0.1", "::1")
LOWEST = 1024
"""Below it, a port of the host is root's to give."""
UNIX = "unix:"
_UNIX_MAX = 107
"""Bytes of a path in unix(7)."""
NAME_MAX = 40


def port_number(value: object) -> int:
    """Of TCP or UDP."""
    return checks.integer(value, 1, 65535)


def split(text: str) -> tuple[str, int]:
    """`127.0.0.1:80`, `[::1]:80`, `localhost:80` or `80` as address and port."""
    host, colon, tail = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise Bad("has something else than an IPv6 address in brackets")
    elif ":" in host:
        raise Bad("has an IPv6 address without brackets", f"[{host}]:{tail}")
    if not (tail.isascii() and tail.isdecimal()) or len(tail) > 5:
        raise Bad("has no number for a port")
    port = int(tail)
    if not 1 <= port <= 65535:
        raise Bad("has a port that is not 1 to 65535")
    if not colon or host == LOCALHOST:
        return LOCALHOST, port
    try:
        address = ip_address(host)
    except ValueError:
        raise Bad("has something else than an address before the port") from None
    if getattr(address, "scope_id", None) is not None or (
        address.version == 6 and address.is_link_local
    ):
        raise Bad("is link-local, which belongs to one interface only")
    if getattr(address, "ipv4_mapped", None) is not None:
        raise Bad("is an IPv4 address in the clothes of an IPv6 one")
    if address.is_multicast or str(address) == "255.255.255.255":
        raise Bad("is not the address of one host")
    return str(address), port


def join(host: str, port: int) -> str:
    """The inverse of `split`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return join(LOCALHOST, port_number(value))
    return checks.string(value)


def listen(value: object) -> str:
    """Where somebody may connect, in the form of `join`."""
    return join(*split(_text(value)))


def listen_inside(value: object) -> str:
    """The same on the jail's own loopback."""
    text = listen(value)
    if not on_loopback(text):
        raise Bad("is not an address of the jail's loopback", join(LOCALHOST, split(text)[1]))
    return text


def target(value: object) -> str:
    """Where a connection goes on to."""
    host, port = split(_text(value))
    if host != LOCALHOST and ip_address(host).is_unspecified:
        raise Bad("is no address one can connect to", join(LOCALHOST, port))
    return join(host, port)


def target_outside(value: object) -> str:
    """The same on the host, or `unix:/path`."""
    if not (isinstance(value, str) and value.startswith(UNIX)):
        return target(value)
    path = value.removeprefix(UNIX)
    if not path.startswith("/") or not path.isprintable():
        raise Bad("is not unix: and a path from the root")
    if len(path.encode()) > _UNIX_MAX or os.path.normpath(path) != path or path == "/":
        raise Bad(f"is not a plain path of at most {_UNIX_MAX} bytes")
    return value


def on_loopback(text: str) -> bool:
    """Whether only programs on the same side can connect."""
    host, _ = split(text)
    return host == LOCALHOST or ip_address(host).is_loopback


def addresses(text: str) -> tuple[tuple[str, int], ...]:
    """All that a name like localhost:80 stands for."""
    host, port = split(text)
    return tuple((each, port) for each in (LOOPBACKS if host == LOCALHOST else (host,)))


def gateway(value: object) -> Address:
    """Who may lend a port."""
    found = checks.dns_server(value)
    if found.is_loopback:
        raise Bad("is the jail's own loopback")
    return found


def harmless(port: Port, lowest: int = LOWEST) -> bool:
    """Whether any user could do the same with a program of his own: listen on the loopback where
    no right is needed, or reach a service of the host's there."""
    side = port.listen if port.way == "forward" else port.to
    if side.startswith(UNIX):
        return False
    return on_loopback(side) and split(side)[1] >= lowest


def label(value: object) -> str:
    """What the service is called in lists."""
    text = checks.string(value)
    if not text or len(text) > NAME_MAX or not text.isprintable() or text != text.strip():
        raise Bad(f"is not a name of 1 to {NAME_MAX} characters")
    return text
