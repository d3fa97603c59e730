# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of [uplink] for OpenVPN and OpenConnect."""

from __future__ import annotations

from netjail.profile import checks, tunnelchecks
from netjail.profile.key import Key, Type, choice

_OVPN = ("openvpn",)
_OC = ("openconnect",)
_BOTH = ("openvpn", "openconnect")

YES_OR_NO = Type("true or false", checks.boolean)
REMOTE = Type('"host:port/udp" or "host:port/tcp"', tunnelchecks.remote)
WORD = Type("one name as openvpn(8) has it", tunnelchecks.word)
WORDS = Type("names with colons between them", tunnelchecks.word_list)
LINE = Type(f"one line of at most {tunnelchecks.TEXT_MAX} bytes", tunnelchecks.line)
USER = Type("one line", tunnelchecks.secret_line)
PASSWORD = Type("one line", tunnelchecks.secret_line, hidden=True)
OPTION = Type('the beginning of an option, like "route-ipv6"', tunnelchecks.option)
SECONDS = Type("0 to 86400 seconds", tunnelchecks.number(0, 86400))
RENEGOTIATE = Type("0 to 604800 seconds", tunnelchecks.number(0, 604800))
NOTIFY = Type("0 to 5 times", tunnelchecks.number(0, 5))
BYTES = Type("0 to 65535 bytes", tunnelchecks.number(0, 65535))
DIRECTION = Type("0 or 1", tunnelchecks.number(0, 1))
FINGERPRINT = Type("SHA-256 in hexadecimal", tunnelchecks.fingerprint)
PIN = Type('"pin-sha256:..." or "sha256:..."', tunnelchecks.pin)
SERVER = Type('"host", "host:port" or "host/path"', tunnelchecks.server)
CERTIFICATES = Type(
    "certificates in PEM", tunnelchecks.pem(*tunnelchecks.CERTIFICATES, several=True)
)
KEY = Type("a private key in PEM", tunnelchecks.pem(*tunnelchecks.KEYS), hidden=True)
REVOKED = Type("a list in PEM", tunnelchecks.pem(*tunnelchecks.REVOKED, several=True))
STATIC = Type("an OpenVPN static key", tunnelchecks.pem(*tunnelchecks.STATIC), hidden=True)
V2 = Type("a tls-crypt-v2 client key", tunnelchecks.pem(*tunnelchecks.CLIENT_V2), hidden=True)
PKCS12 = Type("PKCS #12 in base64", tunnelchecks.base64, hidden=True)
NETWORK = Type('networks like "0.0.0.0/0" or "fd00::/64"', checks.network)
NAME_TYPE = choice("subject", "name", "name-prefix")
VERSION = choice("1.0", "1.1", "1.2", "1.3")
FRAMING = choice("none", "lzo", "stub", "stub-v2")
PROTOCOL = choice("anyconnect", "gp", "fortinet", "pulse", "nc", "f5", "array")

TUNNEL_KEYS: tuple[Key, ...] = (
    Key(
        "uplink.remote",
        REMOTE,
        "Servers, tried in turn. Without a slash it is udp; udp4, udp6, tcp4, tcp6 pin the family.",
        kinds=_OVPN,
        many=True,
        required=True,
    ),
    Key(
        "uplink.remote_random",
        YES_OR_NO,
        "Whether the servers are tried in random order.",
        kinds=_OVPN,
        default="`false`",
    ),
    Key("uplink.server", SERVER, "The gateway.", kinds=_OC, required=True),
    Key(
        "uplink.protocol",
        PROTOCOL,
        "What the gateway speaks: Cisco AnyConnect, GlobalProtect, Fortinet, Pulse, Juniper's "
        "Network Connect, F5, Array.",
        kinds=_OC,
        default='`"anyconnect"`',
    ),
    Key(
        "uplink.server_pin",
        PIN,
        "The gateway's key, where no authority vouches for it.",
        kinds=_OC,
        many=True,
        default="authorities decide",
    ),
    Key(
        "uplink.group",
        LINE,
        "Which of the gateway's groups or realms to log in to.",
        kinds=_OC,
        default="the gateway's first",
    ),
    Key(
        "uplink.dtls",
        YES_OR_NO,
        "Whether packets go by UDP (DTLS or ESP) where the gateway lets them.",
        kinds=_OC,
        default="`true`",
    ),
    Key(
        "uplink.login",
        YES_OR_NO,
        "Whether the server wants a user name and password; what is not below is asked for when "
        "the profile comes up.",
        kinds=_OVPN,
        default="`false`, `true` with a `username`",
    ),
    Key("uplink.username", USER, "Your name there.", kinds=_BOTH, default="asked for"),
    Key(
        "uplink.password",
        PASSWORD,
        "Your password there.",
        kinds=_BOTH,
        secret=True,
        default="asked for",
    ),
    Key(
        "uplink.challenge",
        LINE,
        "A further question to you, as for a one-time code.",
        kinds=_BOTH,
        default="none",
    ),
    Key(
        "uplink.challenge_echo",
        YES_OR_NO,
        "Whether the answer may be seen while it is typed.",
        kinds=_OVPN,
        default="`false`",
    ),
    Key(
        "uplink.ca",
        CERTIFICATES,
        "Authorities that vouch for the server.",
        kinds=_BOTH,
        default="OpenVPN: **required** unless there is a `fingerprint`; OpenConnect: the system's",
    ),
    Key("uplink.cert", CERTIFICATES, "Your certificate.", kinds=_BOTH, default="none"),
    Key("uplink.key", KEY, "The key to it.", kinds=_BOTH, secret=True, default="none"),
    Key(
        "uplink.key_password",
        PASSWORD,
        "What opens an encrypted `key` or `pkcs12`.",
        kinds=_BOTH,
        secret=True,
        default="asked for",
    ),
    Key(
        "uplink.pkcs12",
        PKCS12,
        "Certificate and key in one, in place of `cert` and `key`.",
        kinds=_OVPN,
        secret=True,
        default="none",
    ),
    Key(
        "uplink.extra_certs",
        CERTIFICATES,
        "Certificates between yours and the authority.",
        kinds=_OVPN,
        default="none",
    ),
    Key("uplink.crl", REVOKED, "Revoked certificates.", kinds=_OVPN, default="none"),
    Key(
        "uplink.tls_auth",
        STATIC,
        "Signs the control channel.",
        kinds=_OVPN,
        secret=True,
        default="none",
    ),
    Key(
        "uplink.key_direction",
        DIRECTION,
        "Which half of `tls_auth` is ours.",
        kinds=_OVPN,
        default="both",
    ),
    Key(
        "uplink.tls_crypt",
        STATIC,
        "Encrypts the control channel.",
        kinds=_OVPN,
        secret=True,
        default="none",
    ),
    Key(
        "uplink.tls_crypt_v2",
        V2,
        "The same, a key for this client alone.",
        kinds=_OVPN,
        secret=True,
        default="none",
    ),
    Key(
        "uplink.server_usage",
        YES_OR_NO,
        "Whether the server's certificate must say that it is a server's.",
        kinds=_OVPN,
        default="`true`",
    ),
    Key(
        "uplink.server_name",
        LINE,
        "The name that the server's certificate must have.",
        kinds=_OVPN,
        default="any that the authorities vouch for",
    ),
    Key(
        "uplink.server_name_type",
        NAME_TYPE,
        "What of the certificate that is.",
        kinds=_OVPN,
        default='`"subject"`',
    ),
    Key(
        "uplink.fingerprint",
        FINGERPRINT,
        "The server's certificates, by their fingerprints.",
        kinds=_OVPN,
        many=True,
        default="none",
    ),
    Key(
        "uplink.ciphers",
        WORD,
        "Ciphers to offer for the packets.",
        kinds=_OVPN,
        many=True,
        default="`AES-256-GCM`, `AES-128-GCM`, `CHACHA20-POLY1305`",
    ),
    Key(
        "uplink.fallback_cipher",
        WORD,
        "Cipher for a server that is too old to negotiate.",
        kinds=_OVPN,
        default="none",
    ),
    Key("uplink.auth", WORD, "Digest that signs packets.", kinds=_OVPN, default="OpenVPN's own"),
    Key(
        "uplink.tls_version_min",
        VERSION,
        "Oldest TLS to accept.",
        kinds=_OVPN,
        default="OpenVPN's own",
    ),
    Key("uplink.tls_cipher", WORDS, "Ciphers of TLS 1.2.", kinds=_OVPN, default="OpenVPN's own"),
    Key(
        "uplink.tls_ciphersuites",
        WORDS,
        "Ciphers of TLS 1.3.",
        kinds=_OVPN,
        default="OpenVPN's own",
    ),
    Key("uplink.tls_groups", WORDS, "Curves of TLS.", kinds=_OVPN, default="OpenVPN's own"),
    Key(
        "uplink.tls_cert_profile",
        WORD,
        "How good the certificates must be.",
        kinds=_OVPN,
        default="OpenVPN's own",
    ),
    Key(
        "uplink.framing",
        FRAMING,
        "Room that the server leaves in each packet for a sort of compression; nothing is ever "
        "compressed.",
        kinds=_OVPN,
        default='`"none"`',
    ),
    Key("uplink.mssfix", BYTES, "See openvpn(8).", kinds=_OVPN, default="OpenVPN's own"),
    Key("uplink.fragment", BYTES, "See openvpn(8).", kinds=_OVPN, default="none"),
    Key(
        "uplink.ping", SECONDS, "Silence after which we ping.", kinds=_OVPN, default="the server's"
    ),
    Key(
        "uplink.ping_restart",
        SECONDS,
        "Silence of the server after which the next is tried.",
        kinds=_OVPN,
        default="the server's",
    ),
    Key(
        "uplink.reneg_seconds",
        RENEGOTIATE,
        "How often keys are renewed.",
        kinds=_OVPN,
        default="OpenVPN's own",
    ),
    Key(
        "uplink.exit_notify",
        NOTIFY,
        "How often the server is told that we go (udp).",
        kinds=_OVPN,
        default="0",
    ),
    Key(
        "uplink.routes",
        NETWORK,
        "Networks that are sent into the tunnel, besides those that the server names.",
        kinds=_BOTH,
        many=True,
        default="none",
    ),
    Key(
        "uplink.take_routes",
        YES_OR_NO,
        "Whether routes and resolvers that the server names are taken.",
        kinds=_BOTH,
        default="`true`",
    ),
    Key(
        "uplink.ignore",
        OPTION,
        "Options that the server may push in vain.",
        kinds=_OVPN,
        many=True,
        default="none",
    ),
)
