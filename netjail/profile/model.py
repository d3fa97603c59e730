# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile as frozen data. Only `profile.load` makes one, so whatever holds one may trust it."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any, ClassVar, Literal, NamedTuple

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network

DnsMode = Literal["uplink", "static", "host"]
StopMode = Literal["never", "when-idle"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a peer is reached: a host name or an address (no brackets), and a UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Peer:
    """One [Peer] of wg(8). Keys are base64, `persistent_keepalive` in seconds (None: off)."""

    public_key: str
    allowed_ips: tuple[Network, ...] = ()
    endpoint: Endpoint | None = None
    preshared_key: str | None = field(default=None, repr=False)
    persistent_keepalive: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """One of the servers of a pool: what it has that the uplink's own keys say otherwise.

    `values`: keys of [[uplink.place]] and their final values; `places` puts them in.
    """

    name: str
    values: tuple[tuple[str, Any], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class WireGuard:
    """A WireGuard tunnel. `through`: the profile in whose jail the encrypted socket lives.

    `dns_servers` and `dns_search` are what the provider's file says in its DNS line. `places`: the
    servers of a pool; `place`: the name of the one whose values stand here, and `base` the
    uplink as the file has it; both None there.
    """

    kind: ClassVar[str] = "wireguard"
    private_key: str = field(repr=False)
    addresses: tuple[Interface, ...]
    peers: tuple[Peer, ...]
    mtu: int | None = None
    listen_port: int | None = None
    fwmark: int | None = None
    through: str | None = None
    dns_servers: tuple[Address, ...] = ()
    dns_search: tuple[str, ...] = ()
    failover: bool = True
    places: tuple[Place, ...] = field(default=(), metadata={"digest": False})
    place: str | None = None
    base: Any = field(default=None, repr=False, compare=False, metadata={"digest": False})


@dataclass(frozen=True, slots=True)
class AmneziaWG(WireGuard):
    """WireGuard whose packets are disguised: see `amnezia`. None: as WireGuard has it.

    `h1` to `h4` are ranges, both ends in them; `i1` to `i5` describe packets by tags.
    """

    kind: ClassVar[str] = "amneziawg"
    jc: int | None = None
    jmin: int | None = None
    jmax: int | None = None
    s1: int | None = None
    s2: int | None = None
    s3: int | None = None
    s4: int | None = None
    h1: tuple[int, int] | None = None
    h2: tuple[int, int] | None = None
    h3: tuple[int, int] | None = None
    h4: tuple[int, int] | None = None
    i1: str | None = None
    i2: str | None = None
    i3: str | None = None
    i4: str | None = None
    i5: str | None = None


@dataclass(frozen=True, slots=True)
class Veth:
    """The host's own uplink through NAT. `interface` pins the way out to one host interface.

    `lan`: may the jail reach the networks the host is directly on and private addresses;
    `host`: may it reach the host's own services.
    """

    kind: ClassVar[str] = "veth"
    interface: str | None = None
    lan: bool = False
    host: bool = False
    mtu: int | None = None


@dataclass(frozen=True, slots=True)
class NoUplink:
    """Loopback only."""

    kind: ClassVar[str] = "none"


@dataclass(frozen=True, slots=True)
class Remote:
    """A server of OpenVPN: as an Endpoint, and `proto` udp or tcp, with 4 or 6 for one family."""

    host: str
    port: int
    proto: str

    def __str__(self) -> str:
        return f"{Endpoint(self.host, self.port)}/{self.proto}"


@dataclass(frozen=True, slots=True)
class OpenVpn:
    """An OpenVPN tunnel. The keys of [uplink] by their names; certificates and keys are PEM.

    Seconds where it is time, bytes where it is size; None is what openvpn(8) does by itself.
    """

    kind: ClassVar[str] = "openvpn"
    remote: tuple[Remote, ...]
    remote_random: bool = False
    login: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    challenge: str | None = None
    challenge_echo: bool = False
    ca: str | None = None
    cert: str | None = None
    key: str | None = field(default=None, repr=False)
    key_password: str | None = field(default=None, repr=False)
    pkcs12: str | None = field(default=None, repr=False)
    extra_certs: str | None = None
    crl: str | None = None
    tls_auth: str | None = field(default=None, repr=False)
    key_direction: int | None = None
    tls_crypt: str | None = field(default=None, repr=False)
    tls_crypt_v2: str | None = field(default=None, repr=False)
    server_usage: bool = True
    server_name: str | None = None
    server_name_type: str = "subject"
    fingerprint: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    fallback_cipher: str | None = None
    auth: str | None = None
    tls_version_min: str | None = None
    tls_cipher: str | None = None
    tls_ciphersuites: str | None = None
    tls_groups: str | None = None
    tls_cert_profile: str | None = None
    framing: str = "none"
    mtu: int | None = None
    mssfix: int | None = None
    fragment: int | None = None
    ping: int | None = None
    ping_restart: int | None = None
    reneg_seconds: int | None = None
    exit_notify: int | None = None
    routes: tuple[Network, ...] = ()
    take_routes: bool = True
    ignore: tuple[str, ...] = ()
    through: str | None = None
    dns_servers: tuple[Address, ...] = ()
    dns_search: tuple[str, ...] = ()
    failover: bool = True
    places: tuple[Place, ...] = field(default=(), metadata={"digest": False})
    place: str | None = None
    base: Any = field(default=None, repr=False, compare=False, metadata={"digest": False})


@dataclass(frozen=True, slots=True)
class OpenConnect:
    """A tunnel of openconnect(8). `server`: host, port and path without the scheme."""

    kind: ClassVar[str] = "openconnect"
    server: str
    protocol: str = "anyconnect"
    server_pin: tuple[str, ...] = ()
    group: str | None = None
    dtls: bool = True
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    challenge: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = field(default=None, repr=False)
    key_password: str | None = field(default=None, repr=False)
    mtu: int | None = None
    routes: tuple[Network, ...] = ()
    take_routes: bool = True
    through: str | None = None
    dns_servers: tuple[Address, ...] = ()
    dns_search: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lan:
    """What the kinds have in common whose interface stands in a network of others.

    `dhcp`: IPv4 by DHCP; else `addresses` are all there is. `gateways`: at most one of each
    family; with `dhcp` they replace the server's. `accept_ra`: IPv6 by router advertisements.
    """

    kind: ClassVar[str]
    addresses: tuple[Interface, ...] = ()
    dhcp: bool = True
    gateways: tuple[Address, ...] = ()
    accept_ra: bool = False
    mtu: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device(Lan):
    """An interface of the host, moved into the jail. `cut_off_host`: even its only way out."""

    kind: ClassVar[str] = "device"
    device: str
    cut_off_host: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Macvlan(Lan):
    """A MAC address of its own on an interface of the host. `mac` None: made from the names."""

    kind: ClassVar[str] = "macvlan"
    parent: str
    mode: str = "bridge"
    mac: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ipvlan(Lan):
    """An address of its own on an interface of the host, with that interface's MAC address."""

    kind: ClassVar[str] = "ipvlan"
    parent: str
    mode: str = "l2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge(Lan):
    """A port of a bridge of the host."""

    kind: ClassVar[str] = "bridge"
    bridge: str
    mac: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchUplink(Lan):
    """A port of a switch of netjail's, by which the rest of the world is reached."""

    kind: ClassVar[str] = "switch"
    switch: str
    mac: str | None = None
    vlan: int | None = None


@dataclass(frozen=True, slots=True)
class ForeignNetns:
    """A network namespace that somebody else made, as it is. `name`: as ip-netns(8) has it."""

    kind: ClassVar[str] = "netns"
    name: str


Tunnel = WireGuard | OpenVpn | OpenConnect
Lans = Device | Macvlan | Ipvlan | Bridge | SwitchUplink
Uplink = Tunnel | Veth | NoUplink | Lans | ForeignNetns


@dataclass(frozen=True, slots=True)
class Dns:
    """`mode` uplink: what the uplink brings; static: `servers`; host: the host's upstreams.

    `search` is added to the search domains of any mode. `hosts` are (name, address) pairs that
    the jail's /etc/hosts holds besides the host's own lines.
    """

    mode: DnsMode
    servers: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    hosts: tuple[tuple[str, Address], ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """How a link is made worse than it is. `delay` and `jitter` in milliseconds, `loss` in percent,
    `rate` in bits a second; each way."""

    delay: float | None = None
    jitter: float | None = None
    loss: float | None = None
    rate: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A further interface of a jail, called `name` there: to a switch, or to another profile.

    Exactly one of `peer` and `switch` is set. `addresses` may be "dhcp"; `gateways`: at most one
    of each family. `mac` None: made from the names. `vlan` None: the switch's.
    """

    name: str
    peer: str | None = None
    switch: str | None = None
    addresses: tuple[Interface, ...] | Literal["dhcp"] = ()
    gateways: tuple[Address, ...] = ()
    mac: str | None = None
    mtu: int | None = None
    vlan: int | None = None
    serve_dhcp: bool = False
    shape: Shape | None = None

    @property
    def static(self) -> tuple[Interface, ...]:
        """The addresses that the file gives."""
        return self.addresses if isinstance(self.addresses, tuple) else ()


class Port(NamedTuple):
    """One service that is reached across the jail's wall. All texts, so that a record holds it.

    `way` "forward": from the host into the jail, "expose": from the jail to the host. `listen` and
    `to`: address and port, "localhost" for the loopback of either family; `to` may be "unix:/path".
    """

    way: str
    protocol: str
    listen: str
    to: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class NatPmp:
    """A port of the provider's is asked for by NAT-PMP or PCP. `gateway` None: found out inside;
    `port`: where it leads to in the jail, None: the same as outside."""

    gateway: Address | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Isolation:
    """What programs get besides the network. `dbus`: the session bus through a filter."""

    dbus: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile, whole and valid. `users` empty: whoever polkit lets."""

    name: str
    uplink: Uplink
    dns: Dns
    description: str = ""
    users: tuple[str, ...] = ()
    stop: StopMode = "never"
    links: tuple[Link, ...] = ()
    autostart: bool = False
    isolation: Isolation = Isolation()
    ports: tuple[Port, ...] = ()
    natpmp: NatPmp | None = None

    @property
    def through(self) -> str | None:
        """The profile that must be up before this one, if any."""
        return self.uplink.through if isinstance(self.uplink, Tunnel) else None
