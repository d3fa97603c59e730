# SPDX-License-Identifier: GPL-3.0-or-later
"""How long WireGuard servers take to answer a handshake; many side by side, without an interface.

The first message of WireGuard's handshake (its paper, section 5.4; Noise_IKpsk2) is sent to each
server and the answer's time taken; that the answer is the server's own is proven by what it has
encrypted. No session comes of it: a server forgets it when no data follows.

X25519 is in Python here, whose integers take a time that depends a little on their values. So each
multiplication runs in coordinates chosen at random anew, and is done before any packet leaves: what
can be timed from outside tells nothing of the key.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import select
import socket
import struct
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2s

from netjail import names
from netjail.engine import disguise, hostfacts, ns
from netjail.errors import NetjailError
from netjail.profile import places
from netjail.profile.model import Endpoint, Peer, Place, Profile, WireGuard

AT_ONCE = 32
"""Servers that are asked at most."""
AGAIN_SECONDS = 1.0
"""After which a server that has not answered is asked once more; it may have been lost."""
_P = 2**255 - 19
_NAME = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
_IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"


def measure(profile: Profile, among: Sequence[Place], seconds: float) -> dict[str, float] | None:
    """Seconds to the answer of each place that answers within `seconds`, fastest first; at most
    AT_ONCE are asked. None: nothing can be told of this kind of uplink. Raises NetjailError."""
    uplink = profile.uplink
    if not isinstance(uplink, WireGuard):
        return None
    asked = [(place.name, places.at(uplink, place)) for place in among[:AT_ONCE]]
    tunnels = {name: each for name, each in asked if isinstance(each, WireGuard)}
    endpoints = {n: t.peers[0].endpoint for n, t in tunnels.items() if t.peers[0].endpoint}
    found = _addresses(endpoints, uplink.through, seconds)
    tries = [Initiation.of(name, tunnels[name], tunnels[name].peers[0]) for name in found]
    with _sockets(uplink, {family for family, _ in found.values()}) as sockets:
        answers = _ask(tries, found, sockets, seconds)
    return dict(sorted(answers.items(), key=lambda item: item[1]))


def first(
    uplink: WireGuard, asked: Mapping[str, Sequence[tuple[str, int]]], seconds: float
) -> dict[str, str]:
    """Which of its addresses and ports each peer (by public key) answers at: the one that is heard
    first. Left out: who is not heard within `seconds`. Raises NetjailError."""
    targets: dict[str, _Target] = {}
    tries = []
    for peer in uplink.peers:
        for address, port in asked.get(peer.public_key, ()):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            name = f"{peer.public_key} {Endpoint(address, port)}"
            targets[name] = int(family), (address, port)
            tries.append(Initiation.of(name, uplink, peer))
    peers = {name.partition(" ")[0] for name in targets}

    def enough(heard: Iterable[str]) -> bool:
        return peers <= {name.partition(" ")[0] for name in heard}

    with _sockets(uplink, {family for family, _ in targets.values()}) as sockets:
        answers = _ask(tries, targets, sockets, seconds, enough) if tries else {}
    found: dict[str, str] = {}
    for name, _ in sorted(answers.items(), key=lambda item: item[1]):
        key, _, where = name.partition(" ")
        found.setdefault(key, where)
    return found


_Target = tuple[int, tuple[str, int]]


@contextlib.contextmanager
def _sockets(uplink: WireGuard, families: Collection[int]) -> Iterator[dict[int, socket.socket]]:
    """One of each family, in the namespace from which the tunnel's own packets leave."""
    birth = None if uplink.through is None else names.netns_name(uplink.through)
    made: dict[int, socket.socket] = {}
    try:
        with ns.inside_named(birth):
            for family in families:
                made[family] = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                if uplink.fwmark is not None:
                    made[family].setsockopt(socket.SOL_SOCKET, socket.SO_MARK, uplink.fwmark)
        yield made
    finally:
        for each in made.values():
            each.close()


def _addresses(
    endpoints: Mapping[str, Endpoint], through: str | None, seconds: float
) -> dict[str, _Target]:
    """(family, address and port) of each; names looked up side by side, those left out that take
    too long."""
    told: dict[str, list[str]] = {}

    def look_up(host: str) -> None:
        try:
            told[host] = hostfacts.addresses(host, through)
        except (NetjailError, OSError):
            pass

    threads = [
        threading.Thread(target=look_up, args=(host,), daemon=True)
        for host in {each.host for each in endpoints.values()}
    ]
    end = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    found = {}
    for name, endpoint in endpoints.items():
        for address in told.get(endpoint.host, ())[:1]:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            found[name] = int(family), (address, endpoint.port)
    return found


def _ask(
    tries: Sequence[Initiation],
    targets: Mapping[str, _Target],
    sockets: Mapping[int, socket.socket],
    seconds: float,
    enough: Callable[[Iterable[str]], bool] | None = None,
) -> dict[str, float]:
    """Seconds to the answers. `enough`: whether it can be ended by those that are proven."""
    proven: set[str] = set()
    heard: list[tuple[Initiation, bytes, float]] = []
    waiting = {each.index: each for each in tries}
    sent: dict[int, float] = {}
    end = time.monotonic() + seconds
    again = time.monotonic()
    while waiting and (now := time.monotonic()) < end:
        if now >= again:
            # sent anew the same message is an old one to whoever has it already
            for each in waiting.values():
                family, to = targets[each.name]
                try:
                    for packet in disguise.wrap(each.tunnel, each.message):
                        sockets[family].sendto(packet, socket.MSG_DONTWAIT, to)
                except OSError:
                    continue  # there is no way to it
                sent.setdefault(each.index, time.monotonic())
            again = now + AGAIN_SECONDS
        pause = max(0.0, min(end, again) - time.monotonic())
        ready, _, _ = select.select(list(sockets.values()), (), (), pause)
        for one in ready:
            try:
                data = one.recv(2048, socket.MSG_DONTWAIT)
            except OSError:
                continue  # ICMP's word that nobody is there; others may answer
            at = time.monotonic()
            answer = _answer(waiting, data)
            if answer is not None and answer[0].index in sent:
                found, message = answer
                heard.append((found, message, at - sent[found.index]))
                del waiting[found.index]
                if enough is not None and found.is_answer(message):
                    proven.add(found.name)
        if enough is not None and enough(proven):
            break
    # what proves it takes milliseconds, which must not count as the others' time
    return {each.name: took for each, data, took in heard if each.is_answer(data)}


def _answer(waiting: Mapping[int, Initiation], data: bytes) -> tuple[Initiation, bytes] | None:
    """Whose answer a packet may be, and the message in it. Each server may have a disguise of its
    own, so that only those who wait can tell."""
    for each in waiting.values():
        message = disguise.unwrap(each.tunnel, data)
        if message is not None and struct.unpack_from("<I", message, 8)[0] == each.index:
            return each, message
    return None


@dataclass(frozen=True, slots=True)
class Initiation:
    """A first message, with what it takes to know its answer."""

    name: str
    tunnel: WireGuard
    index: int
    message: bytes
    private: bytes
    ephemeral: bytes
    psk: bytes
    chain: bytes
    digest: bytes

    @classmethod
    def of(cls, name: str, tunnel: WireGuard, peer: Peer) -> Initiation:
        """The message to a peer of a tunnel."""
        private, server = b64decode(tunnel.private_key), b64decode(peer.public_key)
        psk = bytes(32) if peer.preshared_key is None else b64decode(peer.preshared_key)
        ephemeral, index = secrets.token_bytes(32), secrets.randbits(32)
        chain = blake2s(_NAME).digest()
        digest = _hash(_hash(chain, _IDENTIFIER), server)
        head = struct.pack("<II", disguise.initiation_type(tunnel), index) + (
            own := x25519(ephemeral)
        )
        (chain,) = _derive(chain, own, 1)
        digest = _hash(digest, own)
        chain, key = _derive(chain, x25519(ephemeral, server), 2)
        static = seal(key, x25519(private), digest)
        digest = _hash(digest, static)
        chain, key = _derive(chain, x25519(private, server), 2)
        stamp = seal(key, _tai64n(), digest)
        digest = _hash(digest, stamp)
        message = head + static + stamp
        mac = blake2s(message, key=_hash(b"mac1----", server), digest_size=16).digest()
        whole = message + mac + bytes(16)
        return cls(name, tunnel, index, whole, private, ephemeral, psk, chain, digest)

    def is_answer(self, data: bytes) -> bool:
        """Whether this is the server's own answer."""
        theirs, proof = data[12:44], data[44:60]
        (chain,) = _derive(self.chain, theirs, 1)
        digest = _hash(self.digest, theirs)
        (chain,) = _derive(chain, x25519(self.ephemeral, theirs), 1)
        (chain,) = _derive(chain, x25519(self.private, theirs), 1)
        chain, tau, key = _derive(chain, self.psk, 3)
        return hmac.compare_digest(seal(key, b"", _hash(digest, tau)), proof)


def _hash(*parts: bytes) -> bytes:
    return blake2s(b"".join(parts)).digest()


def _derive(chain: bytes, data: bytes, count: int) -> tuple[bytes, ...]:
    """HKDF with HMAC-BLAKE2s."""
    secret = hmac.digest(chain, data, "blake2s")
    found: list[bytes] = []
    for number in range(1, count + 1):
        before = found[-1] if found else b""
        found.append(hmac.digest(secret, before + bytes([number]), "blake2s"))
    return tuple(found)


def _tai64n() -> bytes:
    """https://cr.yp.to/libtai/tai64.html, with the low bits of the time away, as WireGuard does."""
    now = time.time_ns()
    seconds, nanoseconds = divmod(now, 10**9)
    return struct.pack(">QI", (1 << 62) + 10 + seconds, nanoseconds & ~0xFFFFFF)


def x25519(scalar: bytes, point: bytes = (9).to_bytes(32, "little")) -> bytes:
    """RFC 7748, section 5."""
    k = int.from_bytes(scalar, "little") & ~7 & ~(1 << 255) | 1 << 254
    u = (int.from_bytes(point, "little") & ((1 << 255) - 1)) % _P
    blind, other = (1 + int.from_bytes(os.urandom(31), "little") for _ in range(2))
    x2, z2, x3, z3 = blind, 0, u * other % _P, other
    swapped = 0
    for bit in range(254, -1, -1):
        wanted = k >> bit & 1
        if wanted != swapped:
            x2, z2, x3, z3 = x3, z3, x2, z2
            swapped = wanted
        a, b = x2 + z2, x2 - z2
        aa, bb = a * a % _P, b * b % _P
        e = aa - bb
        da, cb = (x3 - z3) * a % _P, (x3 + z3) * b % _P
        x3 = (da + cb) ** 2 % _P
        z3 = u * (da - cb) ** 2 % _P
        x2 = aa * bb % _P
        z2 = e * (aa + 121665 * e) % _P
    if swapped:
        x2, z2 = x3, z3
    return (x2 * pow(z2, _P - 2, _P) % _P).to_bytes(32, "little")


# ChaCha20-Poly1305, RFC 8439 ---------------------------------------------------------------------

_ROUNDS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip
_MASK = 0xFFFFFFFF


def _block(key: bytes, counter: int) -> bytes:
    """Of the stream, with a nonce of zero: each key here is used once."""
    start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), counter]
    start += [0, 0, 0]
    s = list(start)
    for _ in range(10):
        for a, b, c, d in _ROUNDS:
            for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                s[x] = s[x] + s[y] & _MASK
                v = s[z] ^ s[x]
                s[z] = (v << turn | v >> 32 - turn) & _MASK
    return struct.pack(
        "<16I", *(each + first & _MASK for each, first in zip(s, start, strict=True))
    )


def seal(key: bytes, text: bytes, more: bytes) -> bytes:
    """`text` (64 bytes at most) encrypted, with the tag over it and `more`."""
    stream = _block(key, 1)
    sealed = bytes(a ^ b for a, b in zip(text, stream, strict=False))
    once = _block(key, 0)
    r = int.from_bytes(once[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    data = _padded(more) + _padded(sealed) + struct.pack("<QQ", len(more), len(sealed))
    total = 0
    for at in range(0, len(data), 16):
        total = (total + int.from_bytes(data[at : at + 16] + b"\1", "little")) * r
        total %= (1 << 130) - 5
    tag = total + int.from_bytes(once[16:32], "little") & (1 << 128) - 1
    return sealed + tag.to_bytes(16, "little")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)
