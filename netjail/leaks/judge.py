# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement: what was seen inside, compared with what is outside and with what should be.

Pure. `outside` None: nobody has looked there, as where only the bus was asked.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from netjail.leaks.codes import CODES, GROUPS, INFO, LEAK, OK, WARNING
from netjail.leaks.model import Facts, Finding, Link, Seen

FAMILIES = (("ipv4", "IPv4"), ("ipv6", "IPv6"))
IDLE_SECONDS = 180.0
"""A handshake older than this is not renewed by itself: WireGuard is silent when idle."""
INNER_SOURCES = frozenset({"files", "dns", "myhostname"})
_FALLBACKS = frozenset(
    {"tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0"}
)
"""Interfaces that the kernel itself puts into every new namespace, down."""


def judge(inside: Seen, outside: Seen | None, facts: Facts) -> list[Finding]:
    """Every finding, in the order in which a person would look."""
    found = [
        *_exits(inside, outside, facts),
        *_namespace(inside, outside, facts),
        *_interfaces(inside, facts),
        *_routes(inside, facts),
        *_record(facts),
        *_fence(inside, facts),
        *_servers(inside, outside, facts),
        *_public(inside, facts),
        *_other_dns(inside),
        *_askers(inside, outside, facts),
        *_around(inside, facts),
        *_tunnel(inside, facts),
        *(Finding("partly", INFO, text) for text in facts.partly),
    ]
    return sorted(found, key=lambda each: GROUPS.index(CODES[each.code].group))


def _address(word: str) -> bool:
    return bool(word) and not word.startswith("!")


# Exit addresses -------------------------------------------------------------------------------


def _exits(inside: Seen, outside: Seen | None, facts: Facts) -> Iterator[Finding]:
    if not inside.exits:
        yield Finding("echo", INFO, "no echo service was asked: judged by routes and sockets alone")
        return
    for family, name in FAMILIES:
        seen, code = inside.exits.get(family, "!"), f"exit-{family}"
        ours = outside.exits.get(family, "!") if outside is not None else "!"
        if not _address(seen):
            yield Finding(code, OK if _address(ours) else INFO, f"no page is reached by {name}")
        elif facts.kind == "none":
            yield Finding(code, LEAK, f"the world is reached, as {seen}, and should not be")
        elif not facts.tunnel:
            beside = f", outside as {ours}" if _address(ours) and ours != seen else ""
            yield Finding(code, OK, f"seen as {seen}, the host's own line{beside}")
            if _eui64(seen):
                text = f"{seen} tells the hardware address of the host's interface"
                yield Finding(code, INFO, text, "turn on privacy extensions (use_tempaddr=2)")
        elif seen in (ours, *facts.host_addresses):
            yield Finding(code, LEAK, f"seen as {seen}, inside and outside")
        elif _same_network(seen, ours):
            yield Finding(code, LEAK, f"seen as {seen}, of the network of {ours}, as outside")
        else:
            beside = f"outside as {ours}" if _address(ours) else "not outside"
            if outside is None or not outside.exits:
                beside = "outside nobody has looked"
            yield Finding(code, OK, f"seen as {seen}; {beside}")


def _same_network(one: str, other: str) -> bool:
    """Whether two IPv6 addresses are of one /64, that is, of one line."""
    try:
        first, second = ipaddress.IPv6Address(one), ipaddress.IPv6Address(other)
    except ValueError:
        return False
    return int(first) >> 64 == int(second) >> 64


def _eui64(address: str) -> bool:
    try:
        packed = ipaddress.IPv6Address(address).packed
    except ValueError:
        return False
    return packed[11:13] == b"\xff\xfe"


# Interfaces and routes ------------------------------------------------------------------------


def _namespace(inside: Seen, outside: Seen | None, facts: Facts) -> Iterator[Finding]:
    hosts = {facts.host_netns} | ({outside.netns} if outside is not None else set())
    if inside.netns in hosts:
        yield Finding("namespace", LEAK, "programs run in the host's network namespace")
    elif inside.netns != facts.netns:
        yield Finding("namespace", LEAK, "programs run in a network namespace that is not this one")
    else:
        yield Finding("namespace", OK, "programs run in the profile's own")


def _interfaces(inside: Seen, facts: Facts) -> Iterator[Finding]:
    strange = [link for link in facts.links if link.name not in facts.own and not _idle(link)]
    for link in strange:
        kind = f" ({link.kind})" if link.kind else ""
        state = "up" if link.up else "down"
        yield Finding(
            "interface-foreign", LEAK, f"{link.name}{kind}, {state}, was not made by netjail"
        )
    if not strange:
        named = [link.name for link in facts.links if link.name in facts.own]
        yield Finding("interface-foreign", OK, " and ".join(["loopback", *named]) + ", no others")
    own = {a.partition("/")[0] for link in facts.links for a in link.addresses}
    shared = [
        a
        for a in facts.host_addresses
        if a not in facts.configured
        and (a in own or a in inside.sources.values() or a in inside.public.values())
    ]
    if shared:
        yield Finding("address-shared", LEAK, f"the host's {', '.join(shared)} is seen inside")
    else:
        yield Finding("address-shared", OK, "none that is the host's")
    odd = sorted(set(inside.sysfs) - set(inside.interfaces) - {"?"})
    if odd:
        yield Finding("sysfs", WARNING, f"shows {', '.join(odd[:8])} of another network")


def _idle(link: Link) -> bool:
    """One of the kernel's own, with which nothing can be sent."""
    return link.name == "lo" or (link.name in _FALLBACKS and not link.up and not link.addresses)


def _routes(inside: Seen, facts: Facts) -> Iterator[Finding]:
    defaults = [route for route in facts.routes if route.default and route.table == 254]
    strange = [route for route in facts.routes if route.device not in (*facts.own, "lo", "")]
    wrong = [route for route in defaults if route in strange]
    for route in wrong:
        yield Finding("route-default", LEAK, f"{route.text} is not by the profile's uplink")
    if not wrong and defaults:
        yield Finding("route-default", OK, "; ".join(route.text for route in defaults))
    elif not wrong and any(map(_address, inside.sources.values())):
        yield Finding("route-default", OK, "by networks of the profile's uplink")
    elif not wrong:
        yield Finding("route-default", OK, "none: nothing leaves")
    others = [route for route in strange if route not in wrong]
    for route in others:
        yield Finding("route-other", LEAK, f"{route.text} is not by the profile's uplink")
    tables = [r for r in facts.routes if r.table not in (254, 255) and r not in others]
    for route in tables:
        yield Finding("route-other", WARNING, f"{route.text} in table {route.table}")
    for rule in facts.rules:
        yield Finding("route-other", WARNING, f"the rule `{rule}`")
    if not others and not tables and not facts.rules:
        yield Finding("route-other", OK, "none")


def _record(facts: Facts) -> Iterator[Finding]:
    for text in facts.missing:
        yield Finding("record", LEAK if facts.fence else WARNING, f"missing or changed: {text}")
    if not facts.missing:
        yield Finding("record", OK, "all that was made stands")


def _fence(inside: Seen, facts: Facts) -> Iterator[Finding]:
    if facts.host_allowed or not inside.fence:
        return
    # The host itself answers a closed port with "refused"; what the fence stops never gets there.
    reached = [a for a, said in inside.fence.items() if said in ("open", "!ECONNREFUSED")]
    if reached:
        yield Finding("fence", LEAK, f"the host answers at {', '.join(reached)}")
    else:
        yield Finding("fence", OK, f"kept away from {', '.join(inside.fence)}")


# DNS ------------------------------------------------------------------------------------------


def _servers(inside: Seen, outside: Seen | None, facts: Facts) -> Iterator[Finding]:
    seen, wanted = list(inside.nameservers), list(facts.servers)
    if seen == wanted:
        shown = ", ".join(seen) or "none: names do not resolve"
        shared = set(seen) & set(outside.nameservers if outside is not None else ())
        if shared and facts.tunnel and facts.dns_mode == "host":
            text = f"{', '.join(sorted(shared))}, the host's own, asked through the tunnel"
            yield Finding("dns-servers", INFO, text)
        else:
            yield Finding("dns-servers", OK, shown)
    else:
        text = f"resolv.conf names {', '.join(seen) or 'none'}, not {', '.join(wanted) or 'none'}"
        yield Finding("dns-servers", LEAK, text)
    if facts.kind == "none":
        return
    for server in seen:
        way = inside.servers.get(server, "!")
        if _loopback(server):
            yield Finding(
                "dns-route", WARNING, f"{server} is loopback inside, where netjail runs no resolver"
            )
        elif way in facts.host_addresses:
            yield Finding("dns-route", LEAK, f"{server} is asked from the host's {way}")
        elif _address(way):
            yield Finding("dns-route", OK, f"{server} from {way}")
        else:
            yield Finding("dns-route", INFO, f"{server} cannot be reached ({way[1:] or 'unknown'})")


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _public(inside: Seen, facts: Facts) -> Iterator[Finding]:
    own = {
        a.partition("/")[0]
        for link in facts.links
        if link.name in facts.own
        for a in link.addresses
    }
    ways = {source for source in inside.public.values() if _address(source)}
    strange = sorted(ways - own)
    if strange or (ways and facts.kind == "none"):
        shown = ", ".join(strange or sorted(ways))
        yield Finding("dns-public", LEAK, f"would be asked from {shown}")
    elif ways:
        by = "the tunnel" if facts.tunnel else "the profile's uplink"
        yield Finding("dns-public", OK, f"goes by {by}, from {', '.join(sorted(ways))}")
    else:
        yield Finding("dns-public", OK, "there is no way to one")


def _other_dns(inside: Seen) -> Iterator[Finding]:
    strange = [w for w in inside.nsswitch if w not in INNER_SOURCES and not w.startswith("[")]
    strange = [w for w in strange if not w.endswith("]")]
    if strange:
        yield Finding("dns-nsswitch", WARNING, f"hosts are also looked up by {', '.join(strange)}")
    else:
        yield Finding("dns-nsswitch", OK, " ".join(inside.nsswitch) or "the C library's own order")
    shut = []
    for code in ("dns-nscd", "dns-resolved", "dns-avahi"):
        state, _, path = inside.doors.get(code, "").partition(" ")
        if state == "open":
            yield Finding(code, LEAK, f"{path} is open")
        else:
            shut.append(code)
    for code in shut:
        yield Finding(code, OK, "shut")
    names = [
        n
        for n in ("org.freedesktop.resolve1", "org.freedesktop.Avahi")
        if inside.bus.get(n) == "answers"
    ]
    if names:
        yield Finding("dns-bus", WARNING, f"{' and '.join(names)} can be asked")
    else:
        yield Finding("dns-bus", OK, "none answers")


def _askers(inside: Seen, outside: Seen | None, facts: Facts) -> Iterator[Finding]:
    """By whom a name was asked for that tells."""
    hosts = set(outside.askers.values() if outside is not None else ()) | set(facts.host_addresses)
    for way, asker in inside.askers.items():
        if not _address(asker):
            yield Finding("dns-exit", INFO, f"{way}: no answer ({asker[1:]})")
        elif facts.kind == "none" or (facts.tunnel and asker in hosts):
            yield Finding("dns-exit", LEAK, f"{way}: asked by {asker}, as outside")
        else:
            yield Finding("dns-exit", OK, f"{way}: asked by {asker}")


# Ways around ----------------------------------------------------------------------------------

_SOCKETS = {
    "socket-docker": WARNING,
    "socket-podman": WARNING,
    "socket-containerd": WARNING,
    "socket-lxd": WARNING,
    "socket-libvirt": WARNING,
    "socket-dirmngr": WARNING,
    "socket-snapd": INFO,
    "x11": INFO,
}


def _around(inside: Seen, facts: Facts) -> Iterator[Finding]:
    for code, level in _SOCKETS.items():
        state, _, path = inside.doors.get(code, "").partition(" ")
        if state == "open":
            yield Finding(code, level, f"{path} can be reached")
    if not any(inside.doors.get(code, "").startswith("open") for code in _SOCKETS):
        yield Finding("sockets", OK, "of those that netjail knows, none can be reached")
    if inside.agent == "forwarded":
        text = "keys of another machine, forwarded by ssh, can be used"
        yield Finding("ssh-agent", WARNING, text)
    elif inside.agent:
        yield Finding("ssh-agent", INFO, "your keys can be used")
    if inside.masters:
        yield Finding("ssh-master", WARNING, ", ".join(inside.masters[:4]))
    for held in facts.held:
        who = f"{held.command}, PID {held.pid}"
        level = WARNING if held.what.startswith("netlink") else LEAK
        yield Finding("held-socket", level, f"{who}, has one as descriptor {held.fd}: {held.what}")
    if not facts.held:
        yield Finding("held-socket", OK, "no program inside has one")
    for text in facts.ports:
        yield Finding("ports", INFO, text)
    for text in facts.strangers:
        yield Finding("program-view", WARNING, text)
    for name, value in inside.env.items():
        code = "preload" if name.startswith("LD_") else "proxy"
        yield Finding(code, INFO, f"{name}={value}")
    starts = inside.bus.get("session org.freedesktop.systemd1") == "answers"
    if starts or inside.bus.get("session org.freedesktop.DBus") == "answers":
        more = ", and with it systemd, which starts programs outside" if starts else ""
        yield Finding("session-bus", INFO, f"can be reached{more}")


# Tunnel ---------------------------------------------------------------------------------------


def _tunnel(inside: Seen, facts: Facts) -> Iterator[Finding]:
    if not facts.tunnel:
        return
    if facts.socket:
        yield Finding("tunnel-socket", LEAK, facts.socket)
    elif facts.implementation:
        yield Finding("tunnel-socket", OK, f"outside the jail ({facts.implementation})")
    if facts.implementation and facts.handshakes:
        yield from _handshake(inside, facts)
    yield from _packets(inside, facts)


def _handshake(inside: Seen, facts: Facts) -> Iterator[Finding]:
    used = bool(inside.mtu or inside.exits or inside.askers)
    if facts.handshake is None:
        yield Finding("handshake", WARNING, "there was none: the other end has not answered yet")
    elif facts.handshake <= IDLE_SECONDS:
        yield Finding("handshake", OK, f"{facts.handshake:.0f} s ago")
    elif used:
        text = f"{facts.handshake / 60:.0f} min ago, and what was just sent got no answer"
        yield Finding("handshake", WARNING, text)
    else:
        text = f"{facts.handshake / 60:.0f} min ago; nothing was sent since, so that may be well"
        yield Finding("handshake", INFO, text)


def _packets(inside: Seen, facts: Facts) -> Iterator[Finding]:
    small, large = inside.mtu.get("small"), inside.mtu.get("large")
    if small == "yes" and large == "yes":
        yield Finding("mtu", OK, f"packets of {facts.mtu} bytes arrive whole")
    elif small == "yes":
        text = f"small packets are answered, those of {facts.mtu} bytes (the MTU) are not"
        yield Finding("mtu", WARNING, text)
    elif inside.mtu:
        yield Finding("mtu", INFO, "the other end answers no pings, so that this is not known")
    if facts.path_mtu is not None and facts.mtu is not None and facts.overhead:
        fits = facts.path_mtu - facts.overhead
        if facts.mtu > fits:
            text = f"{facts.mtu} inside, but the way to the server takes {fits} only"
            yield Finding("mtu-path", WARNING, text)
        else:
            yield Finding("mtu-path", OK, f"{facts.mtu} inside, and {fits} would fit")


def summary(findings: Sequence[Finding]) -> dict[str, int]:
    """How many there are of each level; those that were accepted count apart."""
    counts = {OK: 0, INFO: 0, WARNING: 0, LEAK: 0, "accepted": 0}
    for each in findings:
        counts["accepted" if each.accepted else each.level] += 1
    return counts
