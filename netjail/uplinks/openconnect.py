# SPDX-License-Identifier: GPL-3.0-or-later
"""AnyConnect, GlobalProtect, Fortinet, Pulse and the like: openconnect(8) outside the jail, its tun
inside. All that it is told is written here, into files of its own user's that nobody else reads."""

from __future__ import annotations

import json

from netjail import names
from netjail.profile.model import Endpoint, OpenConnect, Profile
from netjail.profile.tunnelchecks import encrypted
from netjail.uplinks.facts import Facts
from netjail.uplinks.login import KEY_PASSWORD, PASSWORD, RESPONSE, USERNAME, Ask, Login
from netjail.uplinks.naming import host_interface
from netjail.uplinks.wanted import Resource, VpnClient

PROGRAM = "openconnect"
_RECONNECT_SECONDS = 86400
"""For so long it tries to connect again by itself with the session that it has."""


def describe(profile: Profile, uplink: OpenConnect, facts: Facts) -> tuple[Resource, ...]:
    """The client. Through another jail the gateway's name is looked up there, now."""
    facts.require_program(PROGRAM, "setpriv")
    resolved = None
    if uplink.through is not None:
        host = _host(uplink.server)
        address, _ = facts.resolve(Endpoint(host, 443), uplink.through)
        resolved = f"{host}:{address}"
    return (
        VpnClient(
            program=PROGRAM,
            profile=profile.name,
            netns=names.netns_name(profile.name),
            birth=None if uplink.through is None else names.netns_name(uplink.through),
            born_as=host_interface(profile.name),
            jail_if=names.TUN_IF,
            mtu=uplink.mtu,
            routes=tuple(str(net) for net in uplink.routes),
            dns=tuple(str(server) for server in uplink.dns_servers),
            search=(*uplink.dns_search, *profile.dns.search),
            take_dns=profile.dns.mode == "uplink" and uplink.take_routes,
            take_routes=uplink.take_routes,
            config=files(profile.name, uplink, resolved),
            login=Login(uplink.username, uplink.password, None, uplink.key_password),
            asks=asks(uplink),
        ),
    )


def _host(server: str) -> str:
    head = server.partition("/")[0]
    return head[1:].partition("]")[0] if head.startswith("[") else head.partition(":")[0]


def asks(uplink: OpenConnect) -> tuple[Ask, ...]:
    """What somebody has to say when it starts, be it the profile itself."""
    found = []
    if encrypted(uplink.key):
        found.append(Ask(KEY_PASSWORD, "Password of the private key"))
    if uplink.cert is None or uplink.username is not None:
        found += [Ask(USERNAME, "User name", echo=True), Ask(PASSWORD, "Password")]
    if uplink.challenge is not None:
        found.append(Ask(RESPONSE, uplink.challenge))
    return tuple(found)


def files(profile: str, uplink: OpenConnect, resolved: str | None) -> str:
    """Its files, by name, as JSON; `config` is what --config reads. What a user answers is added
    when it starts."""
    directory = names.tunnel_dir(profile)
    said = f"{directory}/said"
    lines = [
        f"protocol={uplink.protocol}",
        f"interface={host_interface(profile)}",
        # what it hears from the gateway, put down for us whole, and nothing done about it
        f"script=umask 077; env -0 >{said}.new && mv -f {said}.new {said}",
        f"reconnect-timeout={_RECONNECT_SECONDS}",
        *(f"servercert={pin}" for pin in uplink.server_pin),
    ]
    if uplink.group is not None:
        lines.append(f"authgroup={uplink.group}")
    if not uplink.dtls:
        lines.append("no-dtls")
    if uplink.mtu is not None:
        lines.append(f"mtu={uplink.mtu}")
    if resolved is not None:
        lines.append(f"resolve={resolved}")
    if uplink.challenge is None:
        lines.append("non-inter")
    found = {}
    for name, option, text in (
        ("ca", "cafile", uplink.ca),
        ("cert", "certificate", uplink.cert),
        ("key", "sslkey", uplink.key),
    ):
        if text is not None:
            found[name] = text
            lines.append(f"{option}={directory}/{name}")
    found["config"] = "\n".join(lines) + "\n"
    found["server"] = uplink.server
    return json.dumps(found)
