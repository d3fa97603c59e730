# SPDX-License-Identifier: GPL-3.0-or-later
"""What the .ovpn import keeps, leaves out and refuses: which directives, and in which words.

A directive may be left out where nobody is worse off without it: it has no meaning in a jail, or
netjail does better, or this openvpn refuses it anyway. One that protects, or without which the
packets would take another way, makes the whole file refused.
"""

from __future__ import annotations

FILES = {
    "ca": "ca",
    "cert": "cert",
    "key": "key",
    "pkcs12": "pkcs12",
    "extra-certs": "extra_certs",
    "crl-verify": "crl",
    "tls-auth": "tls_auth",
    "tls-crypt": "tls_crypt",
    "tls-crypt-v2": "tls_crypt_v2",
}
"""Directives whose text stands in a block or in a file of its own, with our key."""
PROTOCOLS = {
    f"{base}{family}{suffix}": f"{base}{family}"
    for base in ("udp", "tcp")
    for family in ("", "4", "6")
    for suffix in ("", "-client")
    if not (base == "udp" and suffix)
}
NUMBERS = {
    "ping": "ping",
    "ping-restart": "ping_restart",
    "reneg-sec": "reneg_seconds",
    "fragment": "fragment",
    "mssfix": "mssfix",
    "tun-mtu": "mtu",
    "key-direction": "key_direction",
}
TEXTS = {
    "auth": "auth",
    "tls-version-min": "tls_version_min",
    "tls-cipher": "tls_cipher",
    "tls-ciphersuites": "tls_ciphersuites",
    "tls-groups": "tls_groups",
    "tls-cert-profile": "tls_cert_profile",
}
FRAMINGS = {
    **dict.fromkeys(("lzo",), "lzo"),
    **dict.fromkeys(("", "stub", "lz4"), "stub"),
    **dict.fromkeys(("stub-v2", "lz4-v2", "migrate"), "stub-v2"),
}
DEFAULT_CIPHERS = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305")

_COMMAND = "netjail never runs commands out of a file"
_PLUGIN = "a plugin is code that would run as root; netjail loads none"
_FILES = "netjail keeps openvpn's logs and files itself; `netjail status` shows what matters"
_RIGHTS = "openvpn runs without any right, as a user of its own, from the first moment"
_WINDOWS = "it is for Windows, and openvpn on Linux refuses it"
_LEAK = "it is for Windows; in a jail there is no resolver but the profile's"
_OWN = "netjail sets this itself"
_INTERFACE = "the interface in the jail is made by netjail"
_CONSOLE = "netjail speaks with openvpn over a socket of its own"
_ENVIRONMENT = "it is for scripts, and none are run"
_CONNECT = "it is for the OpenVPN Connect app"
_TIMES = "netjail tries servers for 10 s each, and again for as long as the profile is up"
_BIND = "the host's side of the connection is any free port"
_SERVER = "it is for servers"
_GONE = "openvpn has not had it since version 2.5 or before"
_TUNING = "the kernel's and openvpn's own values do"
_BUFFERS = "the system's own buffers do; those are from times of smaller ones"
_PEER_INFO = "the server learns no more of this machine than it must"
_ROUTES_HOST = "a jail has routes of its own; the host's stay as they are"
_AGAIN = "it is asked for when the profile comes up, and kept in memory as long as it is"

SAME = frozenset({"client", "pull", "tls-client", "nobind", "persist-key", "persist-tun"})
"""As netjail does it in any case: nothing of them is left out."""

LEFT_OUT: dict[str, str] = {
    **dict.fromkeys(
        (
            *("up", "down", "route-up", "route-pre-down", "ipchange", "tls-verify"),
            *("auth-user-pass-verify", "client-connect", "client-disconnect", "learn-address"),
            *("client-crresponse", "tls-crypt-v2-verify", "tls-export-cert", "iproute", "askfirst"),
            *("up-delay", "up-restart", "down-pre", "script-security", "route-delay", "dns-updown"),
        ),
        _COMMAND,
    ),
    "plugin": _PLUGIN,
    **dict.fromkeys(("engine", "providers"), "which code of OpenSSL's is loaded is the system's"),
    **dict.fromkeys(
        (
            *("log", "log-append", "syslog", "status", "status-version", "writepid", "daemon"),
            *("verb", "mute", "suppress-timestamps", "machine-readable-output", "errors-to-stderr"),
            *("cd", "chroot", "tmp-dir", "replay-persist", "ifconfig-pool-persist", "inetd"),
            *("service", "mute-replay-warnings", "echo", "gremlin", "show-net-up"),
        ),
        _FILES,
    ),
    **dict.fromkeys(("user", "group", "mlock", "nice", "setcon", "capath"), _RIGHTS),
    **dict.fromkeys(
        (
            *("register-dns", "ip-win32", "route-method", "tap-sleep", "dhcp-release"),
            *("dhcp-renew", "dhcp-pre-release", "win-sys", "pause-exit", "allow-nonadmin"),
            *("show-net", "windows-driver", "dhcp-internal", "msg-channel", "rdns-internal"),
        ),
        _WINDOWS,
    ),
    "block-outside-dns": _LEAK,
    "block-ipv6": "in a jail there is no IPv6 but the tunnel's",
    **dict.fromkeys(("dev-node", "dev-type", "lladdr", "txqueuelen", "tun-ipv6"), _INTERFACE),
    **dict.fromkeys(("ifconfig-noexec", "route-noexec", "auth-retry", "disable-dco"), _OWN),
    **dict.fromkeys(("auth-nocache", "tls-exit", "remap-usr1", "push-continuation"), _OWN),
    **dict.fromkeys(("allow-pull-fqdn", "route-metric", "max-routes", "route-gateway"), _OWN),
    **dict.fromkeys(("topology", "ifconfig-nowarn", "ifconfig-push", "opt-verify"), _OWN),
    **dict.fromkeys(("ignore-unknown-option", "allow-compression", "comp-noadapt"), _OWN),
    "askpass": _AGAIN,
    "auth-token": _AGAIN,
    "auth-token-user": _AGAIN,
    **dict.fromkeys(
        (
            *("management", "management-client", "management-hold", "management-query-passwords"),
            *("management-query-proxy", "management-query-remote", "management-signal"),
            *("management-forget-disconnect", "management-log-cache", "management-up-down"),
            *("management-client-user", "management-client-group", "management-client-auth"),
            *("management-external-key", "management-external-cert", "connect-freq"),
        ),
        _CONSOLE,
    ),
    **dict.fromkeys(("setenv", "setenv-safe", "x509-track", "compat-names"), _ENVIRONMENT),
    **dict.fromkeys(("vpn-on-demand", "redirect-dns", "client-ip", "no-name-remapping"), _CONNECT),
    **dict.fromkeys(
        (
            *("resolv-retry", "connect-retry", "connect-retry-max", "connect-timeout"),
            *("server-poll-timeout", "single-session", "inactive", "session-timeout", "ping-exit"),
            *("ping-timer-rem", "tls-timeout", "hand-window", "tran-window", "reneg-bytes"),
            *("reneg-pkts", "remote-random-hostname", "float", "persist-local-ip"),
            "persist-remote-ip",
        ),
        _TIMES,
    ),
    **dict.fromkeys(("local", "lport", "bind", "multihome", "bind-dev"), _BIND),
    "mark": "a mark could lead the packets past the host's own rules",
    **dict.fromkeys(("sndbuf", "rcvbuf", "socket-flags"), _BUFFERS),
    **dict.fromkeys(
        (
            *("fast-io", "mtu-disc", "mtu-test", "link-mtu", "udp-mtu", "tun-mtu-extra"),
            *("tun-mtu-max", "replay-window", "no-replay", "shaper", "passtos", "tcp-nodelay"),
            *("prng", "bcast-buffers", "tcp-queue-limit", "max-packet-size", "mtu-dynamic"),
        ),
        _TUNING,
    ),
    **dict.fromkeys(
        (
            *("keysize", "ncp-disable", "key-method", "tun-ipv6", "no-iv", "ifconfig-ipv6-nowarn"),
            *("ns-cert-type", "tls-remote", "secure-renegotiation"),
        ),
        _GONE,
    ),
    **dict.fromkeys(("push-peer-info", "push-client-info"), _PEER_INFO),
    **dict.fromkeys(("allow-recursive-routing", "client-nat", "redirect-private"), _ROUTES_HOST),
    **dict.fromkeys(
        (
            *("dh", "ecdh-curve", "duplicate-cn", "client-to-client", "push", "max-clients"),
            *("verify-client-cert", "username-as-common-name", "client-config-dir"),
            "x509-username-field",
        ),
        _SERVER,
    ),
    "tls-version-max": "an upper bound keeps newer and better versions of TLS away",
    "use-prediction-resistance": _TUNING,
}
"""Directive to the reason why it is left out."""

REFUSED: dict[str, str] = {
    "secret": (
        "is the mode with one static key for all, which has no forward secrecy and which newer "
        "versions of openvpn do not have any more; ask for a file with certificates"
    ),
    "http-proxy": (
        "sends the connection through a proxy, which netjail cannot do yet; without it the "
        "connection would take another way than meant"
    ),
    "socks-proxy": (
        "sends the connection through a proxy, which netjail cannot do yet; without it the "
        "connection would take another way than meant"
    ),
    "verify-hash": (
        "pins a certificate in a way that netjail does not know; without it others could pass "
        "for the server (peer-fingerprint is known)"
    ),
    "config": "includes another file; give that file, or put its lines in place of this one",
    "server": "makes this the file of a server, not of a client",
    "server-bridge": "makes this the file of a server, not of a client",
    "tls-server": "makes this the file of a server, not of a client",
    "mode": "makes this the file of a server, not of a client",
    "pkcs11-id": "needs a smart card, which openvpn cannot reach from its confinement",
    "pkcs11-providers": "needs a smart card, which openvpn cannot reach from its confinement",
    "pkcs11-id-management": "needs a smart card, which openvpn cannot reach from its confinement",
    "cryptoapicert": "needs the certificate store of Windows; export the certificate into a file",
    "test-crypto": "makes openvpn test itself; this is no file of a VPN",
    "genkey": "makes openvpn write a key; this is no file of a VPN",
    "mktun": "makes openvpn make an interface; this is no file of a VPN",
    "rmtun": "makes openvpn remove an interface; this is no file of a VPN",
    "show-ciphers": "makes openvpn list ciphers; this is no file of a VPN",
    "ifconfig": (
        "gives the tunnel a fixed address, which belongs to the mode without a server's settings; "
        "netjail knows the mode of clients alone"
    ),
    "ifconfig-ipv6": (
        "gives the tunnel a fixed address, which belongs to the mode without a server's settings; "
        "netjail knows the mode of clients alone"
    ),
}
"""Directive to the clause that says why a file with it is refused."""

UNKNOWN = "netjail does not know it; it knows what openvpn needs for a client"
AROUND = "it leads around the tunnel, and in a jail there is no other way"
NO_NAME = "only addresses of networks can be routed, not names"
NOT_ONE_FILE = (
    "it names a file outside of this file's directory, and what is in it would be sent to the "
    "server; user name and password are asked for instead"
)
UDP_ONLY = "it is for udp, and a server of this file is reached by tcp"
NO_COMPRESSION = (
    "netjail never compresses, because compressed data tells of its content (the VORACLE attack); "
    "the room for it in each packet is kept, so that the server understands"
)
OLD_USAGE = (
    "it is checked in a way that certificates do not support any more; remote-cert-tls server "
    "is the one of today"
)
