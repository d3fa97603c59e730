# SPDX-License-Identifier: GPL-3.0-or-later
"""Borrows a port of the VPN provider's for one jail, and keeps it: a process without any right.

Started by the helper in the jail's network namespace, as a user that nobody else is, as
`python3 -I -S .../ports/borrower.py PROFILE GATEWAY PORT RESOLVERS`. GATEWAY: who is asked, "-":
found out here; PORT: the internal one, 0: the same as the external; RESOLVERS: a resolv.conf(5).

Standard output is a file that root has opened for it, and where it says how things are (`State`),
in one write of a fixed length; the helper reads it as the word of a stranger. What an earlier one
has said there is where it goes on. SIGTERM: give the port back, and end.

Ports are borrowed for a minute, by the rule of those who lend them to customers of a VPN; a server
that was exchanged for another is noticed within half of that, or at once by SIGURG. The same
external port is wanted for TCP and UDP, and the same internal one as the external: that is the one
a program listens on and tells others. There are three ways to that, as servers differ:

1.  Ask for a port of our choice on both sides. Ordinary servers grant it where it is free.
2.  Where another one is lent, give it back and ask for that one on both sides.
3.  Where the server still lends what it likes (NAT-PMP only), ask for the internal port 0, which
    Proton's servers take for "as outside"; their guide says `natpmpc -a 1 0 udp 60`.
"""

if not __package__:  # see daemon/__main__.py
    import os
    import sys

    _here = os.path.dirname(os.path.abspath(__file__))
    if sys.path and sys.path[0] == _here:
        del sys.path[0]
    sys.path.insert(0, os.path.dirname(os.path.dirname(_here)))
    import netjail.ports.speakers  # noqa: F401 - found now, and remembered

    del sys.path[0]

import ctypes
import fcntl
import json
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import time
from ipaddress import ip_address

from netjail.ports import packets
from netjail.ports.packets import Answer, Epochs
from netjail.ports.speakers import (
    Channel,
    Ended,
    NatPmp,
    Pcp,
    ServerError,
    Speaker,
    Wake,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LIFETIME = 60
"""Seconds to borrow a port for."""
LIFETIME_MAX = 3600
"""Whoever lends it for longer is asked again by then all the same."""
RENEW = 0.45
"""Part of its time after which a port is asked for again."""
PAUSE_FIRST, PAUSE_MOST = 1.0, 60.0
"""Seconds before it is tried anew, doubled each time."""
SLICE_SECONDS = 15.0
"""A wait is cut into such pieces: its clock stands still while the machine sleeps."""
STATE_BYTES = 2048
_LOWEST, _HIGHEST = 49152, 65535
_ROUNDS = 3
_GOODBYE_SECONDS = 0.4
_PR_SET_DUMPABLE = 4
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
_INTERFACES = ("wg0", "tun0")


def now() -> float:
    """Seconds of a clock that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class State:
    """What is told. `port` None: there is none, and `text` says why."""

    def __init__(self) -> None:
        self.port: int | None = None
        self.internal: int | None = None
        self.protocols: list[str] = []
        self.address: str | None = None
        self.gateway: str | None = None
        self.spoken: str | None = None
        self.text: str | None = None
        self.restarts = 0
        self.nonces: dict[str, bytes] = {}
        self.wanted = (0, 0)
        """External and internal port to ask for; 0: any."""

    def load(self, fd: int) -> None:
        """What an earlier process has left, as far as it is of use."""
        try:
            data = json.loads(os.pread(fd, STATE_BYTES, 0))
            internal, external = data["wanted"]
            if 0 < external < 1 << 16 and 0 <= internal < 1 << 16:
                self.wanted = int(internal), int(external)
            for protocol, text in data["nonces"].items():
                nonce = bytes.fromhex(text)
                if protocol in packets.PROTOCOLS and len(nonce) == packets.NONCE_BYTES:
                    self.nonces[protocol] = nonce
            self.restarts = int(data["restarts"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass

    def save(self, fd: int) -> None:
        """In one write, so that a reader sees one or the other; half of each is not JSON."""
        data: dict[str, Any] = {
            "port": self.port,
            "internal": self.internal,
            "protocols": self.protocols,
            "address": self.address,
            "gateway": self.gateway,
            "spoken": self.spoken,
            "text": self.text,
            "restarts": self.restarts,
            "wanted": list(self.wanted),
            "nonces": {name: nonce.hex() for name, nonce in self.nonces.items()},
        }
        os.pwrite(fd, json.dumps(data).encode().ljust(STATE_BYTES)[:STATE_BYTES], 0)


class Borrower:
    def __init__(self, gateway: str, port: int, resolvers: str, wake: int, out: int) -> None:
        self._gateway = gateway
        self._port = port
        self._resolvers = resolvers
        self._wake = Wake(wake)
        self._out = out
        self._speaker: Speaker | None = None
        self._epochs = Epochs()
        self._lent: dict[str, Answer] = {}
        self._until = 0.0
        self.state = State()
        self.state.load(out)

    def run(self) -> None:
        """Until we are asked to end."""
        pause = PAUSE_FIRST
        self._tell("it has not been asked for yet")
        try:
            while True:
                try:
                    self._obtain()
                    pause = PAUSE_FIRST
                    self._keep()
                except ServerError as error:
                    if error.code > 1:  # perhaps it is the port that it does not like
                        self.state.wanted = (0, 0)
                    self._lost(error.text)
                self._wait(pause)
                pause = min(pause * 2, PAUSE_MOST)
        except Ended:
            self._give_back()
            if self._speaker is not None:
                self._speaker.channel.close()

    # Whom to ask -------------------------------------------------------------------------------

    def _gateways(self) -> "Iterator[str]":
        if self._gateway != "-":
            yield self._gateway
            return
        found = [*_resolvers(self._resolvers), *_first_addresses()]
        yield from dict.fromkeys(found)

    def _obtain(self) -> None:
        """Raises ServerError with what is most worth telling."""
        best: ServerError | None = None
        for gateway in self._gateways():
            for kind in (NatPmp, Pcp) if ":" not in gateway else (Pcp,):
                try:
                    self._with(gateway, kind)
                    return
                except ServerError as error:
                    error.text = f"{gateway} {error.text}"
                    if best is None or error.weight > best.weight:
                        best = error
                    if not error.other_may_do:
                        break
        if best is None:
            raise ServerError("nothing in the tunnel could be asked: it has no address yet")
        raise best

    def _with(self, gateway: str, kind: type[Speaker]) -> None:
        if self._speaker is not None:
            self._speaker.channel.close()
            self._speaker = None
        channel = Channel(gateway, self._wake)
        speaker = NatPmp(channel) if kind is NatPmp else Pcp(channel, self.state.nonces)
        self._speaker = speaker
        self._epochs = Epochs()
        if self._port:
            self._both(speaker, self._port, self.state.wanted[1] or self._port)
        else:
            self._alike(speaker)
        address = next((a.address for a in self._lent.values() if a.address), None)
        try:
            address = address or speaker.address()
        except ServerError:
            address = None
        self._told(speaker, address)

    def _alike(self, speaker: Speaker) -> None:
        """The same port on both sides, as far as the server lets us."""
        internal, external = self.state.wanted
        if external and not internal and isinstance(speaker, NatPmp):
            try:
                self._both(speaker, 0, external)
                return
            except ServerError as error:
                if not error.code:
                    raise
        external = external or random.SystemRandom().randint(_LOWEST, _HIGHEST)
        given = self._both(speaker, external, external)
        if given.external != given.internal:
            self._give_back()
            given = self._both(speaker, given.external, given.external)
        if given.external != given.internal and isinstance(speaker, NatPmp):
            self._give_back()
            try:
                self._both(speaker, 0, 1)
            except ServerError:
                self._both(speaker, given.internal, given.external)

    def _both(self, speaker: Speaker, internal: int, external: int) -> Answer:
        """TCP and UDP, on the same external port; TCP alone where UDP is refused."""
        self._lent = {}
        for _ in range(_ROUNDS):
            tcp = self._lend(speaker, "tcp", internal, external)
            try:
                udp = self._lend(speaker, "udp", internal, tcp.external)
            except ServerError as error:
                if error.code <= 1:
                    raise
                return tcp
            if udp.external == tcp.external:
                return tcp
            self._give_back()
            external = udp.external
        raise ServerError("does not lend the same port for TCP and UDP")

    def _lend(self, speaker: Speaker, protocol: str, internal: int, external: int) -> Answer:
        before = now()
        answer = speaker.lend(protocol, internal, external, LIFETIME)
        answer = answer._replace(internal=internal)  # as it has to be asked for again
        until = before + min(answer.lifetime, LIFETIME_MAX)
        self._until = min(self._until, until) if self._lent else until
        self._lent[protocol] = answer
        if self._epochs.forgets(answer.epoch, now()):
            self.state.restarts += 1
            log(f"{speaker.channel.gateway} has begun anew, and is asked for everything again")
        return answer

    # Keeping it --------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Renew until it is lost, or another one. Raises ServerError, Ended."""
        speaker = self._speaker
        assert speaker is not None
        while True:
            if self._wait((self._until - now()) * RENEW):
                self._obtain()  # from another address, maybe, and of another server
                continue
            before = dict(self._lent)
            trouble = self._renew(speaker, before)
            while trouble is not None:
                if now() >= self._until or trouble.code == 1:
                    raise ServerError(f"{speaker.channel.gateway} {trouble.text}", trouble.code)
                self._wait(min(5.0, max(1.0, self._until - now())))
                trouble = self._renew(speaker, before)
            for protocol, answer in self._lent.items():
                if answer.external != before[protocol].external:
                    self.state.wanted = (answer.external, answer.external)
                    log(f"{protocol}: port {answer.external} in place of the one before")
                    self._give_back()
                    self._obtain()
                    break
            else:
                address = next((a.address for a in self._lent.values() if a.address), None)
                self._told(speaker, address or self.state.address)

    def _renew(self, speaker: Speaker, before: dict[str, Answer]) -> ServerError | None:
        """What went wrong."""
        until, self._until = self._until, float("inf")
        restarts = self.state.restarts
        try:
            for protocol, answer in before.items():
                self._lend(speaker, protocol, answer.internal, answer.external)
            if self.state.restarts != restarts and isinstance(speaker, NatPmp):
                self.state.address = speaker.address()
        except ServerError as error:
            self._until = until
            return error
        self._until = min(now() + min(a.lifetime, LIFETIME_MAX) for a in self._lent.values())
        return None

    def _give_back(self) -> None:
        """All that is borrowed. It is asked twice, and not waited for long."""
        lent, self._lent = self._lent, {}
        if self._speaker is None:
            return
        for _ in range(2 if lent else 0):
            for protocol, answer in lent.items():
                self._speaker.channel.send(self._speaker.take_back(protocol, answer.internal))
            if self._speaker.channel.answers(len(lent), _GOODBYE_SECONDS):
                return

    # Telling -----------------------------------------------------------------------------------

    def _told(self, speaker: Speaker, address: str | None) -> None:
        state = self.state
        answer = next(iter(self._lent.values()))
        before = (state.port, state.address)
        state.port, state.internal = answer.external, answer.internal or answer.external
        state.protocols = sorted(self._lent)
        state.address = address
        state.gateway, state.spoken = speaker.channel.gateway, speaker.name
        state.wanted = (answer.internal, answer.external)
        state.text = None
        if before != (state.port, state.address):
            log(f"port {state.port} of {address} by {speaker.name} from {state.gateway}")
        self._save()

    def _lost(self, text: str) -> None:
        self._lent = {}
        if self.state.text != text or self.state.port is not None:
            log(text)
        self._tell(text)

    def _tell(self, text: str) -> None:
        state = self.state
        state.port = state.internal = state.address = state.gateway = state.spoken = None
        state.protocols = []
        state.text = text
        self._save()

    def _save(self) -> None:
        self.state.save(self._out)

    def _wait(self, seconds: float) -> bool:
        """Whether it was cut short by SIGURG."""
        end = now() + seconds
        while (left := end - now()) > 0:
            if select.select([self._wake.fd], [], [], min(left, SLICE_SECONDS))[0]:
                self._wake.look()
            if self._wake.poked():
                return True
        return False


def _resolvers(path: str) -> list[str]:
    """Those of the jail that are inside the tunnel, by the look of their addresses: at the
    providers that lend ports, the gateway is the resolver, too."""
    found = []
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read(1 << 16).splitlines()
    except (OSError, ValueError):
        return []
    for line in lines:
        words = line.split()
        if len(words) == 2 and words[0] == "nameserver":
            try:
                address = ip_address(words[1])
            except ValueError:
                continue
            if address.version == 4 and not address.is_global and not address.is_loopback:
                found.append(str(address))
    return found


def _first_addresses() -> list[str]:
    """The first address of the network that the tunnel's own address is of; of the /24, where it
    is one address alone."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for interface in _INTERFACES:
            request = struct.pack("256s", interface.encode())
            try:
                address = fcntl.ioctl(sock, _SIOCGIFADDR, request)[20:24]
                mask = fcntl.ioctl(sock, _SIOCGIFNETMASK, request)[20:24]
            except OSError:
                continue
            own, bits = int.from_bytes(address, "big"), int.from_bytes(mask, "big")
            if bits >= 0xFFFFFFFE:
                bits = 0xFFFFFF00
            first = ip_address((own & bits) + 1)
            if int(first) != own and not first.is_global:  # else it is some stranger's
                found.append(str(first))
    return found


def log(text: str) -> None:
    """To the log of ours. One that is full is nobody's end: the helper empties it."""
    try:
        os.write(sys.stderr.fileno(), f"{time.strftime('%F %T')} {text}\n".encode())
    except OSError:
        pass


def main(argv: list[str]) -> int:
    """Serve until SIGTERM."""
    _profile, gateway, port, resolvers = argv
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGURG):
        signal.signal(number, lambda _number, _frame: None)
    Borrower(gateway, int(port), resolvers, wake, sys.stdout.fileno()).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
