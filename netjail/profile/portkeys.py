# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of [[forward]] and [[expose]]."""

from __future__ import annotations

from netjail.profile import checks, portchecks
from netjail.profile.key import Key, Type, choice

_LISTEN = Type('a port, or "address:port" like "127.0.0.1:9091" or "[::1]:9091"', portchecks.listen)
_LISTEN_IN = Type('a port, or "address:port" of the loopback', portchecks.listen_inside)
_TO = Type('a port, or "address:port" as seen in the jail', portchecks.target)
_TO_OUT = Type('a port, "address:port" of the host, or "unix:/path"', portchecks.target_outside)
_PROTOCOL = choice("tcp", "udp")
_BOOL = Type("true or false", checks.boolean)
_GATEWAY = Type('an address like "10.2.0.1"', portchecks.gateway)
_NUMBER = Type("1 to 65535", portchecks.port_number)
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


def natpmp_keys(kinds: tuple[str, ...]) -> tuple[Key, ...]:
    """Those of [uplink] for a port of the provider's. `kinds`: the uplinks that may have one."""
    return (
        Key(
            "uplink.natpmp",
            _BOOL,
            "Whether a port of the provider's is borrowed by NAT-PMP or PCP: what listens on it "
            "inside is reached from the internet.",
            kinds=kinds,
            default="`false`",
        ),
        Key(
            "uplink.natpmp_gateway",
            _GATEWAY,
            "Who is asked for it.",
            kinds=kinds,
            default="the tunnel's resolver, else the first address of its network",
        ),
        Key(
            "uplink.natpmp_port",
            _NUMBER,
            "The port inside that it leads to.",
            kinds=kinds,
            default="the same as outside",
        ),
    )
