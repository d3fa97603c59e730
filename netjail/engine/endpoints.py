# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a WireGuard tunnel's servers are asked: chosen, and set while the tunnel stands.

Names and networks may lie (a captive portal gives its own address for every name). So an address is
changed for another that has proven to be the server's, by an answer to a handshake of our own; such
a question costs a datagram to each address, and disturbs nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from netjail.engine import hostfacts, ns, process, wg
from netjail.engine.netlink import NetlinkError, Socket
from netjail.engine.record import Record
from netjail.profile.model import Address, Endpoint, Peer, WireGuard
from netjail.uplinks.wanted import WireGuardDevice

Say = Callable[[str], None]
LOWER_UP = 0x10000
"""IFF_LOWER_UP of linux/if.h: there is a carrier."""
NOWHERE = ""
"""The way of what has none."""
ANSWER_SECONDS = 1.8
"""For an answer; a question is put twice in that time."""
LOOK_UP_SECONDS = 20.0
_BROADCAST = IPv4Address("255.255.255.255")
_ANYWHERE = ("198.51.100.1", "2001:db8::1")
_APART = 0.06
"""Seconds between a question of ours and WireGuard's own: the time in it is cut to 17 ms."""
_TOLD_MOST = 6
"""Addresses of a name that are asked."""


# Addresses -----------------------------------------------------------------------------------


def address_of(server: str) -> Address | None:
    """The address in ADDRESS:PORT, [ADDRESS]:PORT or ADDRESS."""
    return _literal(_split(server)[0])


def _split(server: str) -> tuple[str, int]:
    """Address and port; port 0 where there is none."""
    if server.startswith("["):
        address, _, port = server[1:].partition("]")
        return address, int(port[1:] or 0)
    if server.count(":") == 1:
        address, _, port = server.partition(":")
        return address, int(port) if port.isdecimal() else 0
    return server, 0


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def usable(address: Address) -> bool:
    """Whether an address can be a server's: what a resolver says is judged before it is used."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return False
    return not (address.is_multicast or address.is_unspecified or address == _BROADCAST)


def look_up(host: str, through: str | None) -> list[Address]:
    """The addresses of a name, in the order of RFC 6724; none where it cannot be resolved."""
    found = hostfacts.addresses(host, through)
    return list(dict.fromkeys(each for each in map(_literal, found) if each is not None))


def way_to(netlink: Socket, address: Address) -> str:
    """By which interface, gateway and address of ours packets to an address leave; NOWHERE."""
    try:
        route = netlink.route_to(str(address))
    except NetlinkError:
        return NOWHERE
    if route is None:
        return NOWHERE
    link = netlink.link_by_index(route.get_attr("RTA_OIF") or 0)
    if link is None or not link["flags"] & LOWER_UP:
        return NOWHERE
    words = [f"dev {link.get_attr('IFLA_IFNAME')}"]
    for word, attribute in (("via", "RTA_GATEWAY"), ("src", "RTA_PREFSRC")):
        if route.get_attr(attribute):
            words.append(f"{word} {route.get_attr(attribute)}")
    return " ".join(words)


def reachable(birth: str | None, addresses: Iterable[Address]) -> set[Address]:
    """Those of the addresses to which there is a way."""
    with ns.inside_named(birth), Socket() as netlink:
        return {each for each in addresses if way_to(netlink, each) != NOWHERE}


# Tunnels -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asked:
    """A peer with what is known of where it is. `now`: where it is asked at present; `good`: where
    it answered last; `told`: what its name means, None where nobody was asked for it."""

    peer: Peer
    endpoint: Endpoint
    now: str | None
    good: str | None
    told: tuple[str, ...] | None = None

    def candidates(self) -> list[str]:
        return [each for each in dict.fromkeys((self.now, *(self.told or ()), self.good)) if each]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Of a tunnel that stands."""

    found: Record
    device: WireGuardDevice
    uplink: WireGuard
    say: Say

    def try_all(self, attempt: int, good: Mapping[str, str]) -> bool:
        """Have each peer asked where it is. `attempt`: 0 where only the host's way out has changed;
        `good`: where they answered last, by public key.

        First those are asked that are known, while names are looked up; then those that names mean
        now. Where nobody answers the place that answered last is kept, as WireGuard goes on asking
        there. Whether anybody has answered. Raises NetjailError.
        """
        asked = self._peers(good)
        if attempt == 0:
            there = self._able(asked)
            for each in asked:
                if each.now in there:
                    self._set(each, each.now)
            asked = [each for each in asked if each.now not in there]
        if not asked or not self._online():
            return False
        answers, asked = self._ask(asked)
        able = self._able(asked)
        for each in asked:
            key = each.peer.public_key
            if key in answers:
                self._set(each, answers[key], proven=True)
            elif (where := _next(each, able, attempt)) is not None:
                self._set(each, where)
        return bool(answers)

    def answers(self, good: Mapping[str, str]) -> bool:
        """Whether any peer answers where it is asked at present. A look; nothing is changed."""
        known = [each for each in self._peers(good) if each.now is not None]
        asked = {each.peer.public_key: [_split(each.now or "")] for each in known}
        return bool(self._first(asked))

    def _peers(self, good: Mapping[str, str]) -> list[_Asked]:
        live = {peer.public_key: peer.endpoint for peer in wg.show(self.device, self._userspace())}
        return [
            _Asked(peer, peer.endpoint, live[key], good.get(key))
            for peer in self.uplink.peers
            if peer.endpoint is not None and (key := peer.public_key) in live
        ]

    def _userspace(self) -> bool:
        return wg.userspace(self.found, self.device) is not None

    def _online(self) -> bool:
        """Whether there is any way out: names are not looked up where nobody could be asked."""
        return bool(reachable(self.device.birth, map(ip_address, _ANYWHERE)))

    def _able(self, asked: Iterable[_Asked]) -> set[str]:
        """Those candidates to which there is a way."""
        servers = {each for one in asked for each in one.candidates()}
        addresses = {each: address_of(each) for each in servers}
        there = reachable(self.device.birth, {a for a in addresses.values() if a is not None})
        return {each for each, address in addresses.items() if address in there}

    def _ask(self, asked: Sequence[_Asked]) -> tuple[dict[str, str], list[_Asked]]:
        """Where peers have answered, and the peers with what their names mean."""
        told: dict[str, list[Address]] = {}
        names = {each.endpoint.host for each in asked if _literal(each.endpoint.host) is None}

        def look(host: str) -> None:
            told[host] = look_up(host, self.uplink.through)

        looks = [threading.Thread(target=look, args=(host,), daemon=True) for host in names]
        for each in looks:
            each.start()
        answers = self._first_of(asked, self._able(asked))
        if len(answers) == len(asked):
            return answers, list(asked)
        for each in looks:
            each.join(LOOK_UP_SECONDS)
        known = [each for each in asked if each.peer.public_key in answers]
        rest = []
        for before in (each for each in asked if each.peer.public_key not in answers):
            one = self._with(before, told)
            fresh = [each for each in one.candidates() if each not in before.candidates()]
            rest.append((one, fresh))
        able = self._able(one for one, _ in rest)
        fresh_of = {
            one.peer.public_key: [_split(each) for each in fresh if each in able]
            for one, fresh in rest
        }
        new = self._first(fresh_of)
        for one, fresh in rest:
            silent = [each for each in fresh if each in able]
            if silent and one.peer.public_key not in new:
                where = ", ".join(str(address_of(each)) for each in silent)
                self.say(
                    f"the server's name {one.endpoint.host} means {where} here, but that is "
                    "not the server: it does not answer as the server would"
                )
        return answers | new, [*known, *(one for one, _ in rest)]

    def _with(self, one: _Asked, told: Mapping[str, Sequence[Address]]) -> _Asked:
        fixed = _literal(one.endpoint.host)
        found = told.get(one.endpoint.host, ()) if fixed is None else (fixed,)
        if not found:
            self.say(f"the server's name {one.endpoint.host} cannot be resolved just now")
        port = one.endpoint.port
        told_now = [str(Endpoint(str(each), port)) for each in found if usable(each)]
        return _Asked(one.peer, one.endpoint, one.now, one.good, tuple(told_now[:_TOLD_MOST]))

    def _first_of(self, asked: Iterable[_Asked], able: set[str]) -> dict[str, str]:
        return self._first(
            {
                each.peer.public_key: [_split(s) for s in each.candidates() if s in able]
                for each in asked
            }
        )

    def _first(self, asked: Mapping[str, Sequence[tuple[str, int]]]) -> dict[str, str]:
        from netjail.engine import handshake  # seldom needed

        return handshake.first(self.uplink, asked, ANSWER_SECONDS)

    def _set(self, one: _Asked, where: str | None, proven: bool = False) -> None:
        if where is None:
            return
        words = ["peer", one.peer.public_key]
        secret = ""
        if proven and where != one.now:
            # A session that it may have forgotten would be kept for 15 s more: begin anew. Servers
            # drop two first messages in less than 20 ms as a flood.
            time.sleep(_APART)
            words += ["remove", *words]
            if one.peer.preshared_key is not None:
                words += ["preshared-key", "/dev/stdin"]
                secret = one.peer.preshared_key + "\n"
            if one.peer.persistent_keepalive:
                words += ["persistent-keepalive", str(one.peer.persistent_keepalive)]
            words += ["allowed-ips", ",".join(map(str, one.peer.allowed_ips))]
        # Also where it is the same: WireGuard then forgets by which address of ours it went.
        words += ["endpoint", where]
        tool = wg.TOOLS[self.device.protocol].tool
        if self._userspace():
            process.run([tool, "set", self.device.born_as, *words], stdin=secret, timeout=5)
        else:
            with ns.inside_named(self.device.netns):
                process.run([tool, "set", self.device.jail_if, *words], stdin=secret, timeout=5)
        if where != one.now:
            self.say(f"the server {one.endpoint.host} is now asked at {where}, not at {one.now}")


def _next(one: _Asked, able: set[str], attempt: int) -> str | None:
    """Where nobody has answered."""
    if one.good is not None and one.good in able:
        return one.good
    left = [each for each in one.candidates() if each in able]
    return left[attempt % len(left)] if left else None
