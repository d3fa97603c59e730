# SPDX-License-Identifier: GPL-3.0-or-later
"""An OpenVPN tunnel: openvpn(8) outside the jail, its tun inside.

openvpn never sees the provider's file. What it reads is written here, from values that were
checked one by one; it names no file, no script and no plugin.
"""

from __future__ import annotations

from netjail import names
from netjail.errors import NetjailError
from netjail.profile.model import Endpoint, OpenVpn, Profile
from netjail.profile.tunnelchecks import encrypted
from netjail.uplinks.facts import Facts
from netjail.uplinks.login import KEY_PASSWORD, PASSWORD, RESPONSE, USERNAME, Ask, Login
from netjail.uplinks.naming import host_interface
from netjail.uplinks.wanted import Resource, VpnClient

PROGRAM = "openvpn"
_CIPHERS = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305")
_PULLED = (
    *("ifconfig ", "ifconfig-ipv6 ", "topology ", "tun-mtu ", "tun-ipv6"),
    *("route ", "route-ipv6 ", "route-gateway ", "redirect-gateway", "redirect-private"),
    *("block-ipv6", "dhcp-option ", "dns "),
    *("ping ", "ping-restart ", "reneg-sec ", "explicit-exit-notify"),
    *("peer-id ", "cipher ", "protocol-flags ", "key-derivation ", "auth-token", "comp-lzo"),
    *("compress", "push-continuation "),
)
"""Beginnings of what a server may push; the rest is ignored, whatever this openvpn makes of it."""
_TRY_SECONDS = 10
"""For so long one server is tried before the next."""


def describe(profile: Profile, uplink: OpenVpn, facts: Facts) -> tuple[Resource, ...]:
    """The client. Names of servers are looked up by openvpn itself, each time that it connects;
    where it goes through another jail they are looked up there, now."""
    facts.require_program(PROGRAM, "setpriv")
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
            config=config(profile.name, uplink, _remotes(uplink, facts)),
            login=Login(uplink.username, uplink.password, None, uplink.key_password),
            asks=asks(uplink),
        ),
    )


def _remotes(uplink: OpenVpn, facts: Facts) -> list[str]:
    if uplink.through is None:
        return [f"{r.host} {r.port} {r.proto}" for r in uplink.remote]
    found, failed = [], None
    for r in uplink.remote:
        try:
            address, port = facts.resolve(Endpoint(r.host, r.port), uplink.through)
        except NetjailError as error:
            failed = error
            continue
        found.append(f"{address} {port} {r.proto.rstrip('46')}")
    if failed is not None and not found:
        raise failed
    return found


def asks(uplink: OpenVpn) -> tuple[Ask, ...]:
    """What somebody has to say when it starts, be it the profile itself."""
    found = []
    if encrypted(uplink.key) or (uplink.pkcs12 is not None and uplink.key_password is not None):
        found.append(Ask(KEY_PASSWORD, "Password of the private key"))
    if uplink.login:
        found += [Ask(USERNAME, "User name", echo=True), Ask(PASSWORD, "Password")]
    if uplink.challenge is not None:
        found.append(Ask(RESPONSE, uplink.challenge, uplink.challenge_echo))
    return tuple(found)


def config(profile: str, uplink: OpenVpn, remotes: list[str]) -> str:
    """What openvpn reads from its standard input."""
    lines = [
        "client",
        f"dev {host_interface(profile)}",
        "dev-type tun",
        "nobind",
        *(f"remote {each}" for each in remotes),
        f"server-poll-timeout {_TRY_SECONDS}",
        "connect-retry 1 15",
        # the jail's network is netjail's business
        "ifconfig-noexec",
        "route-noexec",
        "persist-tun",
        "persist-key",
        "script-security 0",
        # for versions that do not know them yet
        "ignore-unknown-option disable-dco allow-compression",
        "disable-dco",
        "allow-compression no",
        "management-hold",
        "management-query-passwords",
        "management-up-down",
        "auth-retry interact",
        "suppress-timestamps",
        "verb 3",
        *(f"pull-filter ignore {_quoted(each)}" for each in uplink.ignore),
        *(f"pull-filter accept {_quoted(each)}" for each in _PULLED),
        'pull-filter ignore ""',
    ]
    if uplink.remote_random:
        lines.append("remote-random")
    if not uplink.take_routes:
        lines.append("route-nopull")
    lines += _crypto(uplink)
    lines += _timing(uplink)
    if uplink.login:
        lines.append("auth-user-pass")
    if uplink.challenge is not None:
        lines.append(f"static-challenge {_quoted(uplink.challenge)} {int(uplink.challenge_echo)}")
    for tag, text in (
        ("ca", uplink.ca),
        ("cert", uplink.cert),
        ("key", uplink.key),
        ("pkcs12", uplink.pkcs12),
        ("extra-certs", uplink.extra_certs),
        ("crl-verify", uplink.crl),
        ("tls-auth", uplink.tls_auth),
        ("tls-crypt", uplink.tls_crypt),
        ("tls-crypt-v2", uplink.tls_crypt_v2),
        ("peer-fingerprint", "".join(f"{each}\n" for each in uplink.fingerprint) or None),
    ):
        if text is not None:
            lines += [f"<{tag}>", *text.splitlines(), f"</{tag}>"]
    return "\n".join(lines) + "\n"


def _crypto(uplink: OpenVpn) -> list[str]:
    ciphers = list(uplink.ciphers or _CIPHERS)
    lines = []
    if uplink.fallback_cipher is not None:
        if uplink.fallback_cipher not in ciphers:
            ciphers.append(uplink.fallback_cipher)
        lines.append(f"data-ciphers-fallback {uplink.fallback_cipher}")
    lines.append(f"data-ciphers {':'.join(ciphers)}")
    for option, value in (
        ("auth", uplink.auth),
        ("tls-version-min", uplink.tls_version_min),
        ("tls-cipher", uplink.tls_cipher),
        ("tls-ciphersuites", uplink.tls_ciphersuites),
        ("tls-groups", uplink.tls_groups),
        ("tls-cert-profile", uplink.tls_cert_profile),
        ("key-direction", uplink.key_direction),
    ):
        if value is not None:
            lines.append(f"{option} {value}")
    if uplink.server_usage:
        lines.append("remote-cert-tls server")
    if uplink.server_name is not None:
        lines.append(f"verify-x509-name {_quoted(uplink.server_name)} {uplink.server_name_type}")
    lines += {
        "lzo": ["comp-lzo no"],
        "stub": ["compress stub"],
        "stub-v2": ["compress stub-v2"],
    }.get(uplink.framing, [])
    return lines


def _timing(uplink: OpenVpn) -> list[str]:
    return [
        f"{option} {value}"
        for option, value in (
            ("tun-mtu", uplink.mtu),
            ("mssfix", uplink.mssfix),
            ("fragment", uplink.fragment),
            ("ping", uplink.ping),
            ("ping-restart", uplink.ping_restart),
            ("reneg-sec", uplink.reneg_seconds),
            ("explicit-exit-notify", uplink.exit_notify or None),
        )
        if value is not None
    ]


def _quoted(text: str) -> str:
    """One word of a configuration: in double quotes a backslash takes what follows as it is."""
    assert text.isprintable() or not text, "checked when the profile was read"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
