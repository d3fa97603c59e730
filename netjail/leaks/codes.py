# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of what the leak check can find: what each code means, and what to do about it.

docs/leak-check.md is made from it (tools/manual.py), so nothing is said twice.
"""

from __future__ import annotations

from dataclasses import dataclass

OK, INFO, WARNING, LEAK = LEVELS = ("ok", "info", "warning", "leak")
"""From best to worst. A check is clean when nothing is a warning or a leak."""


@dataclass(frozen=True, slots=True)
class Code:
    """`level`: the worst that it can be. `why` it matters; what `todo`."""

    group: str
    title: str
    level: str
    why: str
    todo: str


EXIT, ROUTES, DNS, AROUND, TUNNEL = GROUPS = (
    "Exit address",
    "Interfaces and routes",
    "DNS",
    "Ways around",
    "Tunnel",
)

_AGAIN = "take the profile down and up again (netjail down NAME, netjail up NAME)"
_REPORT = f"{_AGAIN}; if it comes back, please report it"

CODES: dict[str, Code] = {
    "namespace": Code(
        ROUTES,
        "network namespace",
        LEAK,
        "a program in the host's namespace has the host's network, whatever the profile says",
        _REPORT,
    ),
    "exit-ipv4": Code(
        EXIT,
        "IPv4 exit",
        LEAK,
        "whoever you visit sees this address; if it is the same inside and outside, the tunnel "
        "hides nothing",
        "look at the routes that this check lists; is the VPN's server on your own line?",
    ),
    "exit-ipv6": Code(
        EXIT,
        "IPv6 exit",
        LEAK,
        "whoever you visit sees this address, and many tunnels forget IPv6",
        "look at the routes that this check lists; is the VPN's server on your own line?",
    ),
    "echo": Code(
        EXIT,
        "echo service",
        INFO,
        "the addresses that others see can only be told by somebody else",
        "name a page that answers with the visitor's address: --echo URL, or in "
        '~/.config/netjail/config.toml: [check] echo = "URL"',
    ),
    "interface-foreign": Code(
        ROUTES,
        "interfaces",
        LEAK,
        "an interface that netjail did not make is a way out that no profile describes",
        "find out who put it there, and remove it: sudo ip -n netjail-NAME link del INTERFACE",
    ),
    "address-shared": Code(
        ROUTES,
        "addresses",
        LEAK,
        "programs tell others the addresses they see (browsers do, by WebRTC): one of the host "
        "gives you away",
        _REPORT,
    ),
    "sysfs": Code(
        ROUTES,
        "/sys/class/net",
        WARNING,
        "programs that list interfaces there see those of another network",
        "start programs with netjail run, not with nsenter",
    ),
    "route-default": Code(
        ROUTES,
        "default routes",
        LEAK,
        "packets to the world take this way",
        f"sudo ip -n netjail-NAME route shows it; {_AGAIN}",
    ),
    "route-other": Code(
        ROUTES,
        "other routes and rules",
        LEAK,
        "a route in a table of its own, or a policy rule, goes before the default route and is "
        "seldom looked at",
        "sudo ip -n netjail-NAME rule; sudo ip -n netjail-NAME route show table all",
    ),
    "record": Code(
        ROUTES,
        "as netjail made it",
        LEAK,
        "something that netjail made for this profile is missing or was changed by somebody else",
        "netjail up NAME mends it",
    ),
    "fence": Code(
        ROUTES,
        "the host from inside",
        LEAK,
        "programs inside reach services of the host that the profile keeps from them",
        "has somebody flushed or overruled netjail's nftables table? sudo nft list table inet "
        "netjail; netjail up NAME mends it",
    ),
    "dns-servers": Code(
        DNS,
        "name servers",
        LEAK,
        "who is asked learns every name that you look up, and from where",
        _REPORT,
    ),
    "dns-route": Code(
        DNS,
        "way to the name servers",
        LEAK,
        "questions that leave by another way than the profile's uplink tell what you look up",
        "use name servers that the uplink reaches: [dns] servers in the profile",
    ),
    "dns-public": Code(
        DNS,
        "straight to a public resolver",
        LEAK,
        "many programs ask a resolver of their own choice, whatever resolv.conf says",
        f"look at the routes; {_AGAIN}",
    ),
    "dns-nsswitch": Code(
        DNS,
        "nsswitch.conf",
        WARNING,
        "these sources hand a question to a service of the host, which asks in the host's network",
        "start programs with netjail run, which gives them an nsswitch.conf without such sources",
    ),
    "dns-nscd": Code(
        DNS,
        "nscd",
        LEAK,
        "nscd runs outside: what it is asked it asks in the host's network",
        "start programs with netjail run, which hides its socket; else stop nscd",
    ),
    "dns-resolved": Code(
        DNS,
        "systemd-resolved's socket",
        LEAK,
        "systemd-resolved runs outside: what it is asked it asks in the host's network",
        "start programs with netjail run, which hides its socket",
    ),
    "dns-avahi": Code(
        DNS,
        "Avahi's socket",
        LEAK,
        "Avahi runs outside: what it is asked it asks on the host's LAN",
        "start programs with netjail run, which hides its socket",
    ),
    "dns-bus": Code(
        DNS,
        "resolvers on the system bus",
        WARNING,
        "the bus crosses namespaces: a program that asks there (resolvectl does, the C library "
        "does not) is answered from the host's network",
        "do not use such programs inside, or accept it: --accept dns-bus",
    ),
    "dns-exit": Code(
        DNS,
        "resolver seen from outside",
        LEAK,
        "the same resolver is asked inside and outside, so that your own provider knows what you "
        "look up",
        "use the VPN's name servers: [dns] servers in the profile",
    ),
    "sockets": Code(
        AROUND,
        "sockets that lead out",
        OK,
        "a service of the host that acts for whoever asks is a way around the profile; each that "
        "is found has a code of its own, below",
        "nothing",
    ),
    "socket-docker": Code(
        AROUND,
        "Docker",
        WARNING,
        "whoever reaches its socket can start a program in the host's network",
        "leave the group docker, or accept it: --accept socket-docker",
    ),
    "socket-podman": Code(
        AROUND,
        "Podman",
        WARNING,
        "whoever reaches its socket can start a program in the host's network",
        "systemctl --user stop podman.socket, or accept it: --accept socket-podman",
    ),
    "socket-containerd": Code(
        AROUND,
        "containerd",
        WARNING,
        "whoever reaches its socket can start a program in the host's network",
        "take the right to its socket away, or accept it: --accept socket-containerd",
    ),
    "socket-lxd": Code(
        AROUND,
        "LXD or Incus",
        WARNING,
        "whoever reaches its socket can start a program in the host's network",
        "leave its group, or accept it: --accept socket-lxd",
    ),
    "socket-libvirt": Code(
        AROUND,
        "libvirt",
        WARNING,
        "whoever reaches its socket can start a machine in the host's network",
        "leave the group libvirt, or accept it: --accept socket-libvirt",
    ),
    "socket-snapd": Code(
        AROUND,
        "snapd",
        INFO,
        "snapd asks its store in the host's network, also for programs inside (snap find)",
        "use snap outside",
    ),
    "socket-dirmngr": Code(
        AROUND,
        "GnuPG's dirmngr",
        WARNING,
        "dirmngr runs outside: gpg fetches keys through the host's network, also inside",
        "use GNUPGHOME=... for a GnuPG of its own inside, or accept it: --accept socket-dirmngr",
    ),
    "ssh-agent": Code(
        AROUND,
        "ssh-agent",
        WARNING,
        "programs inside can sign with your keys; a forwarded agent asks a machine outside",
        "run programs that need no keys with SSH_AUTH_SOCK= before them",
    ),
    "ssh-master": Code(
        AROUND,
        "shared ssh connections",
        WARNING,
        "ssh inside goes on over a connection that was opened outside (ControlMaster)",
        "use ssh -o ControlPath=none inside, or accept it: --accept ssh-master",
    ),
    "held-socket": Code(
        AROUND,
        "sockets of another network",
        LEAK,
        "a program inside was handed a socket that belongs to another network, and sends by it",
        "end the program, and start it without that socket: netjail kill NAME PID",
    ),
    "program-view": Code(
        AROUND,
        "programs without the jail's files",
        WARNING,
        "a program in this network sees the host's resolv.conf and the sockets of its resolvers",
        "start it with netjail run, not with nsenter or ip netns exec",
    ),
    "proxy": Code(
        AROUND,
        "proxy variables",
        INFO,
        "programs that heed them send everything to that proxy; on loopback nobody answers inside",
        "start the program without them: env -u http_proxy -u https_proxy -u all_proxy ...",
    ),
    "preload": Code(
        AROUND,
        "preloaded libraries",
        INFO,
        "such a library sees and may divert what the programs send (proxychains does)",
        "start the program without it: env -u LD_PRELOAD ...",
    ),
    "ports": Code(
        AROUND,
        "ports",
        INFO,
        "single services that the profile, or somebody since it is up, has opened on purpose: by "
        "them programs inside and on the host can talk, and nothing else can",
        "close what you do not want: netjail port remove NAME PORT",
    ),
    "session-bus": Code(
        AROUND,
        "session bus",
        INFO,
        "a program inside can ask others of your session, which are outside, to do something: "
        "open a page, start a program",
        "nothing, unless you do not trust the program",
    ),
    "x11": Code(
        AROUND,
        "X server",
        INFO,
        "programs on the same X server see each other's windows and input, inside or outside",
        "nothing, unless you do not trust the program; Wayland keeps them apart",
    ),
    "tunnel-socket": Code(
        TUNNEL,
        "encrypted socket",
        LEAK,
        "the encrypted packets must leave from outside the jail, or a program inside could send "
        "beside the tunnel",
        _REPORT,
    ),
    "handshake": Code(
        TUNNEL,
        "last handshake",
        WARNING,
        "a tunnel whose other end does not answer lets nothing through (and nothing out)",
        "is the server there, the key still valid, UDP let through? netjail status NAME",
    ),
    "mtu": Code(
        TUNNEL,
        "packet size",
        WARNING,
        "large packets vanish on the way (an MTU black hole): pages begin to load and stop",
        "give the profile a smaller MTU: [uplink] mtu = 1280, and try upwards from there",
    ),
    "mtu-path": Code(
        TUNNEL,
        "MTU against the host's",
        WARNING,
        "encrypted packets are larger than the host's line takes and are sent in pieces, slowly, "
        "or not at all",
        "give the profile the MTU that is named here: [uplink] mtu",
    ),
    "partly": Code(
        AROUND,
        "not looked at",
        INFO,
        "what was not looked at is neither good nor bad",
        "nothing",
    ),
}
