# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of [[forward]] and [[expose]]."""

from __future__ import annotations

from netjail.profile import portchecks
from netjail.profile.key import Key, Type, choice

_LISTEN = Type('a port, or "address:port" like "127.0.0.1:9091" or "[::1]:9091"', portchecks.listen)
_LISTEN_IN = Type('a port, or "address:port" of the loopback', portchecks.listen_inside)
_TO = Type('a port, or "address:port" as seen in the jail', portchecks.target)
_TO_OUT = Type('a port, "address:port" of the host, or "unix:/path"', portchecks.target_outside)
_PROTOCOL = choice("tcp", "udp")
_LABEL = Type(f"a name of at most {portchecks.NAME_MAX} characters", portchecks.label)

PORT_KEYS: tuple[Key, ...] = (
    Key(
        "forward.listen",
        _LISTEN,
        "Where programs of the host connect. A port alone is that of 127.0.0.1 and ::1; any other "
        "address than a loopback one lets the neighbourhood in.",
        required=True,
    ),
    Key(
        "forward.to",
        _TO,
        "Which service in the jail they reach. A port alone is that of 127.0.0.1, or ::1.",
        default="the port of `listen`",
    ),
    Key("forward.protocol", _PROTOCOL, "TCP or UDP.", default='`"tcp"`'),
    Key("forward.name", _LABEL, "What `netjail port list` calls it.", default="empty"),
    Key(
        "expose.listen",
        _LISTEN_IN,
        "Where programs in the jail connect, on the jail's own loopback.",
        required=True,
    ),
    Key(
        "expose.to",
        _TO_OUT,
        "Which service of the host they reach, and nothing else of it.",
        default="the port of `listen`",
    ),
    Key("expose.protocol", _PROTOCOL, "TCP or UDP.", default='`"tcp"`'),
    Key("expose.name", _LABEL, "What `netjail port list` calls it.", default="empty"),
)
