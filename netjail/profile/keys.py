# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of what a profile file may hold.

It drives the checking (`schema`), the words of the errors, the reference in docs/profile.md
(`reference`), the wg-quick import (`wgquick`), and whatever else speaks of keys.
"""

from __future__ import annotations

from netjail import names
from netjail.profile import checks
from netjail.profile.amnezia import AMNEZIA_KEYS
from netjail.profile.checks import DESCRIPTION_MAX, MTU_MAX, MTU_MIN
from netjail.profile.key import Key, KeySet, Type, choice
from netjail.profile.lankeys import LAN, LAN_JAIL_IFS, LAN_KEYS, LAN_KINDS
from netjail.profile.linkkeys import LINK_KEYS
from netjail.profile.placekeys import POOLED, WIREGUARDS, place_keys
from netjail.profile.portkeys import PORT_KEYS, natpmp_keys
from netjail.profile.shaping import SHAPE_KEYS
from netjail.profile.tunnelkeys import TUNNEL_KEYS

VERSION = 1


KINDS = {
    "wireguard": "a WireGuard tunnel, the only way out of the jail",
    "amneziawg": "WireGuard whose packets are disguised (AmneziaWG), the only way out",
    "openvpn": "an OpenVPN tunnel, the only way out of the jail",
    "openconnect": "AnyConnect, GlobalProtect, Fortinet, Pulse and the like, the only way out",
    "veth": "the host's own uplink, behind NAT",
    **LAN_KINDS,
    "none": "no network at all, only the jail's own loopback",
}
"""Uplink kinds of this version, with what they are."""

LATER_KINDS = {
    "socks": "a SOCKS proxy",
    "tor": "the Tor network",
}
"""Uplink kinds that are recognised and refused with "not yet"."""


def _read_kind(value: object) -> str:
    text = checks.string(value)
    if text in KINDS:
        return text
    if text in LATER_KINDS:
        raise checks.Bad(f"({LATER_KINDS[text]}) is not there yet in this version of netjail")
    raise checks.Bad("is not a kind of uplink", checks.did_you_mean(text, list(KINDS)))


KIND = Type(" or ".join(f'"{k}"' for k in KINDS), _read_kind, choices=tuple(KINDS))
TEXT = Type(f"one line, at most {DESCRIPTION_MAX} characters", checks.description)
VERSION_TYPE = Type(str(VERSION), checks.version)
USER = Type("names of users as in passwd(5)", checks.user_name)
STOP = choice("never", "when-idle")
BOOL = Type("true or false", checks.boolean)
PROFILE_NAME = Type(
    "a profile's name: a-z, 0-9, - and _, at most 31 characters", checks.profile_name
)
SECRET_KEY = Type("base64 of 32 bytes (44 characters)", checks.wireguard_key, hidden=True)
PSK = Type("base64 of 32 bytes (44 characters)", checks.preshared_key, hidden=True)
INTERFACE_ADDRESS = Type('addresses like "10.2.0.2/32" or "fd00::2/128"', checks.interface_address)
DNS_ENTRY = Type('addresses like "10.2.0.1" and domains like "corp.example"', checks.dns_entry)
MTU = Type(f"{MTU_MIN} to {MTU_MAX} bytes, at least 1280 with IPv6", checks.mtu)
PORT = Type("1 to 65535, or 0 for any free one", checks.port)
FWMARK = Type('1 to 0xffffffff, or "off"', checks.fwmark)
ENDPOINT = Type('"host:port", "192.0.2.1:port" or "[2001:db8::1]:port"', checks.endpoint)
NETWORK = Type('networks like "0.0.0.0/0" or "fd00::/64"', checks.network)
KEEPALIVE = Type('1 to 65535 seconds, or "off"', checks.keepalive)
IFNAME = Type("the name of a network interface of the host, like eth0", checks.interface_name)
DNS_MODE = choice("uplink", "static", "host")
DNS_SERVER = Type('addresses like "9.9.9.9" or "2620:fe::fe"', checks.dns_server)
DOMAIN = Type('domains like "corp.example"', checks.domain)
HOST_ADDRESS = Type("an address, or a list of addresses", checks.address)


_WG = WIREGUARDS
_VETH = ("veth",)
_TUNNELS = (*_WG, "openvpn", "openconnect")

_OWN_KEYS: tuple[Key, ...] = (
    Key("version", VERSION_TYPE, "Version of this format.", required=True),
    Key("description", TEXT, "A line for yourself, shown by `netjail list`.", default="empty"),
    Key(
        "users",
        USER,
        "Who may use the profile. Empty: whoever the system's policy lets.",
        many=True,
        default="empty",
    ),
    Key(
        "stop",
        STOP,
        'When the jail goes down by itself: `"when-idle"` is when its last program has ended.',
        default='`"never"`',
    ),
    Key(
        "autostart",
        BOOL,
        "Whether the profile comes up when the machine has booted. Takes an administrator to set.",
        default="`false`",
    ),
    Key("uplink.kind", KIND, "How the jail reaches the world.", required=True),
    Key(
        "uplink.private_key",
        SECRET_KEY,
        "Your side's key.",
        kinds=_WG,
        required=True,
        secret=True,
        wg="PrivateKey",
    ),
    Key(
        "uplink.address",
        INTERFACE_ADDRESS,
        "Addresses of the jail's end. Without a slash: that one address.",
        kinds=_WG,
        many=True,
        required=True,
        wg="Address",
    ),
    Key(
        "uplink.dns",
        DNS_ENTRY,
        "Resolvers and search domains that the provider hands out, mixed as in its file.",
        kinds=_TUNNELS,
        many=True,
        default="none",
        wg="DNS",
    ),
    *LAN_KEYS,
    Key(
        "uplink.interface",
        IFNAME,
        "Leave the host by this interface only.",
        kinds=_VETH,
        default="the host's routes decide",
    ),
    Key(
        "uplink.lan",
        BOOL,
        "Whether the jail may reach private addresses and the networks the host is directly on.",
        kinds=_VETH,
        default="`false`",
    ),
    Key(
        "uplink.host",
        BOOL,
        "Whether the jail may reach services of the host itself.",
        kinds=_VETH,
        default="`false`",
    ),
    Key(
        "uplink.mtu",
        MTU,
        "Largest packet.",
        kinds=(*_TUNNELS, "veth", *LAN),
        default="from the path",
        wg="MTU",
    ),
    Key(
        "uplink.listen_port",
        PORT,
        "UDP port of the encrypted socket.",
        kinds=_WG,
        default="any free one",
        wg="ListenPort",
    ),
    Key(
        "uplink.fwmark",
        FWMARK,
        "Mark on the encrypted packets, for rules of the host.",
        kinds=_WG,
        default='`"off"`',
        wg="FwMark",
    ),
    Key(
        "uplink.through",
        PROFILE_NAME,
        "Another profile, in whose jail the encrypted socket lives; it is brought up first.",
        kinds=_TUNNELS,
        default="the host",
    ),
    Key(
        "uplink.failover",
        BOOL,
        "Whether another place of the pool is taken when the one in use stays silent.",
        kinds=POOLED,
        default="`true`",
    ),
    *AMNEZIA_KEYS,
    *TUNNEL_KEYS,
    *natpmp_keys(_TUNNELS),
    Key(
        "uplink.peer.public_key",
        SECRET_KEY,
        "The other side's key.",
        kinds=_WG,
        required=True,
        wg="PublicKey",
    ),
    Key(
        "uplink.peer.preshared_key",
        PSK,
        "A second, symmetric key.",
        kinds=_WG,
        default="none",
        secret=True,
        wg="PresharedKey",
    ),
    Key(
        "uplink.peer.endpoint",
        ENDPOINT,
        "Where the other side listens.",
        kinds=_WG,
        default="none: wait until it calls",
        wg="Endpoint",
    ),
    Key(
        "uplink.peer.allowed_ips",
        NETWORK,
        "What is sent to, and accepted from, this peer. These become the jail's routes.",
        kinds=_WG,
        many=True,
        default="none",
        wg="AllowedIPs",
    ),
    Key(
        "uplink.peer.persistent_keepalive",
        KEEPALIVE,
        "Seconds of silence after which an empty packet is sent.",
        kinds=_WG,
        default='`"off"`',
        wg="PersistentKeepalive",
    ),
    *LINK_KEYS,
    *SHAPE_KEYS,
    *PORT_KEYS,
    Key(
        "dns.mode",
        DNS_MODE,
        'Where the resolvers come from: `"uplink"` (its `dns`), `"static"` (`servers` below) or '
        '`"host"` (the host\'s real upstreams).',
        default='`"static"` if there are `servers` or fixed addresses, else by kind: see below',
    ),
    Key("dns.servers", DNS_SERVER, "Resolvers, for `static`.", many=True, default="none"),
    Key(
        "dns.search",
        DOMAIN,
        "Search domains, besides those the mode brings.",
        many=True,
        default="none",
    ),
    Key(
        "dns.hosts.NAME",
        HOST_ADDRESS,
        "Lines for the jail's /etc/hosts, besides the host's own.",
        default="none",
    ),
    Key(
        "isolation.dbus",
        BOOL,
        "Whether programs see the session bus through a filter (xdg-dbus-proxy), so that they "
        "cannot hand their work to a program outside.",
        default="`false`",
    ),
)

KEYS = (*_OWN_KEYS, *place_keys(_OWN_KEYS))

SECTIONS = {
    "": "the file",
    "uplink": "[uplink]",
    "uplink.peer": "[[uplink.peer]]",
    "uplink.place": "[[uplink.place]]",
    "link": "[[link]]",
    "link.shape": "[link.shape]",
    "forward": "[[forward]]",
    "expose": "[[expose]]",
    "dns": "[dns]",
    "dns.hosts": "[dns.hosts]",
    "isolation": "[isolation]",
}
"""Tables, by dotted name, with how they are written."""

LATER = {
    "dhcp": "a DHCP server of netjail's",
}
"""Top-level keys that are recognised and refused with "not yet", with what they will be."""

LATER_OF_KIND = {
    ("veth", "through"): "a veth uplink out of another profile's jail",
}
"""(kind, key of [uplink]) of the same sort."""

DNS_MODES = {
    "wireguard": ("uplink", "static"),
    "amneziawg": ("uplink", "static"),
    "openvpn": ("uplink", "static"),
    "openconnect": ("uplink", "static"),
    "veth": ("host", "static"),
    **dict.fromkeys(LAN_KINDS, ("uplink", "static")),
    "none": ("static",),
}
"""What dns.mode may be for each kind; the first is the default."""


JAIL_IFS = {
    "wireguard": names.TUNNEL_IF,
    "amneziawg": names.TUNNEL_IF,
    "openvpn": names.TUN_IF,
    "openconnect": names.TUN_IF,
    "veth": names.VETH_IF,
    **LAN_JAIL_IFS,
}
"""What an uplink's interface is called inside, by kind."""

PROFILE = KeySet(
    KEYS,
    SECTIONS,
    LATER,
    named=frozenset({"dns.hosts"}),
    only={"uplink.peer": _WG, "uplink.place": POOLED},
)
"""What a profile's file may hold."""
BY_NAME = PROFILE.by_name
leaves = PROFILE.leaves
