# SPDX-License-Identifier: GPL-3.0-or-later
"""Talking to a server of NAT-PMP or PCP: one question at a time, asked again until it answers.

The socket is connected, so that the kernel drops what comes from any other address or port.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable

from netjail.ports import packets
from netjail.ports.packets import Answer

FIRST_SECONDS = 0.25
"""Until a question is repeated for the first time; doubled each time (RFC 6886, 3.1)."""
TRIES = 5
"""Then it is silent: 7.75 s in all."""
_NOBODY = "has nobody who lends ports"
STRANGE_MAX = 64
"""Packets that are no answer, in one try; then the rest of it nothing more is read."""


Reader = Callable[[bytes], Answer | None]
"""None: that packet is no answer."""


class Ended(Exception):
    """We were asked to end."""


class Wake:
    """What signals tell us by a pipe (signal.set_wakeup_fd): SIGURG to ask now, as something may
    be different; others to end."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._ended = False
        self._poked = False

    def look(self) -> None:
        """When the pipe is readable. Raises Ended, from then on always."""
        try:
            said = os.read(self.fd, 64)
        except BlockingIOError:
            said = b""
        self._poked = self._poked or signal.SIGURG in said
        self._ended = self._ended or bool(set(said) - {signal.SIGURG})
        if self._ended:
            raise Ended

    def poked(self) -> bool:
        """Whether we were told to ask now, since the last time."""
        poked, self._poked = self._poked, False
        return poked


class ServerError(Exception):
    """A sentence without its subject, the server. `code`: what it has answered, 0 for nothing that
    counts, 1 for "not this version"; `there`: whether there is anybody."""

    def __init__(self, text: str, code: int = 0, there: bool = True) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.there = there

    @property
    def other_may_do(self) -> bool:
        """Whether the same machine may answer to the other protocol."""
        return self.there and self.code <= 1

    @property
    def weight(self) -> int:
        """Of several, which is most worth telling: that of a server that refuses."""
        return self.code + 1 if self.code > 1 else int(not self.there)


class Channel:
    """A socket to one server."""

    def __init__(self, gateway: str, wake: Wake, port: int = packets.PORT) -> None:
        """Raises ServerError where no way leads there."""
        self.gateway = gateway
        self._wake = wake
        family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._sock.setblocking(False)
        try:
            self._sock.connect((gateway, port))
        except OSError as error:
            self._sock.close()
            raise ServerError(f"cannot be reached: {error.strerror}", there=False) from None

    def close(self) -> None:
        self._sock.close()

    def own_address(self) -> str:
        """The one that packets leave from."""
        return str(self._sock.getsockname()[0])

    def send(self, data: bytes) -> None:
        """Without waiting for anything; what cannot be sent is lost, as on the wire."""
        try:
            self._sock.send(data)
        except OSError:
            pass

    def ask(self, data: bytes, read: Reader, tries: int = TRIES) -> Answer:
        """The answer. Raises ServerError, Ended."""
        self._forget()
        strange = 0
        wait = FIRST_SECONDS
        for _ in range(tries):
            try:
                self._sock.send(data)
            except ConnectionRefusedError:  # of the packet before
                raise ServerError(_NOBODY, there=False) from None
            except OSError as error:
                raise ServerError(f"cannot be reached: {error.strerror}", there=False) from None
            found, odd = self._listen(read, time.monotonic() + wait)
            if found is not None:
                return found
            strange += odd
            wait *= 2
        raise ServerError("does not answer as it should" if strange else "does not answer")

    def _listen(self, read: Reader, until: float) -> tuple[Answer | None, int]:
        strange = 0
        while (left := until - time.monotonic()) > 0:
            wanted = [self._wake.fd]
            if strange < STRANGE_MAX:
                wanted.append(self._sock.fileno())
            ready = select.select(wanted, [], [], left)[0]
            if self._wake.fd in ready:
                self._wake.look()
                continue
            if not ready:
                break
            try:
                data = self._sock.recv(packets.PACKET_MAX + 1)
            except ConnectionRefusedError:
                raise ServerError(_NOBODY, there=False) from None
            except OSError:
                continue
            answer = read(data)
            if answer is not None:
                return answer, strange
            strange += 1
        return None, strange

    def answers(self, count: int, seconds: float) -> bool:
        """Whether so many packets come in time, whatever they are. Not for what is of weight."""
        end = time.monotonic() + seconds
        while count and (left := end - time.monotonic()) > 0:
            if not select.select([self._sock], [], [], left)[0]:
                break
            try:
                self._sock.recv(packets.PACKET_MAX)
            except ConnectionRefusedError:
                return True  # nobody is there who could take it back
            except OSError:
                continue
            count -= 1
        return not count

    def _forget(self) -> None:
        """Answers that came too late, and errors of what was sent before."""
        for _ in range(STRANGE_MAX):
            try:
                self._sock.recv(1)
            except BlockingIOError:
                return
            except OSError:
                continue


class Speaker:
    """One protocol with one server."""

    name: str
    version: int

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def lend(self, protocol: str, internal: int, external: int, lifetime: int) -> Answer:
        """Have it lend a port. Raises ServerError, Ended."""
        raise NotImplementedError

    def take_back(self, protocol: str, internal: int) -> bytes:
        """The packet that gives a port back."""
        raise NotImplementedError

    def address(self) -> str | None:
        """The server's address outside, as far as it is asked for on its own."""
        return None

    def _judge(self, answer: Answer, results: dict[int, str]) -> Answer:
        if answer.version != self.version or answer.result == 1:
            raise ServerError("speaks neither NAT-PMP nor PCP as we do", 1)
        if answer.result:
            text = results.get(answer.result, f"refuses with the number {answer.result}")
            raise ServerError(text, answer.result)
        return answer

    def _judge_port(self, answer: Answer, results: dict[int, str]) -> Answer:
        self._judge(answer, results)
        if not answer.external or not answer.lifetime:
            raise ServerError("does not answer as it should: it lends port 0, or for no time")
        return answer


class NatPmp(Speaker):
    name = "NAT-PMP"
    version = packets.NATPMP

    def lend(self, protocol: str, internal: int, external: int, lifetime: int) -> Answer:
        answer = self.channel.ask(
            packets.ask_port(protocol, internal, external, lifetime),
            lambda data: packets.read_port(data, protocol, internal),
        )
        return self._judge_port(answer, packets.NATPMP_RESULTS)

    def take_back(self, protocol: str, internal: int) -> bytes:
        return packets.ask_port(protocol, internal, 0, 0)

    def address(self) -> str | None:
        answer = self.channel.ask(packets.ask_address(), packets.read_address)
        return self._judge(answer, packets.NATPMP_RESULTS).address


class Pcp(Speaker):
    name = "PCP"
    version = packets.PCP

    def __init__(self, channel: Channel, nonces: dict[str, bytes]) -> None:
        """`nonces`: by protocol; who has them may renew what was lent to him."""
        super().__init__(channel)
        self.nonces = nonces

    def _nonce(self, protocol: str) -> bytes:
        return self.nonces.setdefault(protocol, os.urandom(packets.NONCE_BYTES))

    def _ask(self, protocol: str, internal: int, external: int, lifetime: int) -> bytes:
        own = self.channel.own_address()
        nonce = self._nonce(protocol)
        return packets.ask_map(protocol, internal, external, lifetime, own, nonce)

    def lend(self, protocol: str, internal: int, external: int, lifetime: int) -> Answer:
        nonce = self._nonce(protocol)
        answer = self.channel.ask(
            self._ask(protocol, internal, external, lifetime),
            lambda data: packets.read_map(data, protocol, internal, nonce),
        )
        return self._judge_port(answer, packets.PCP_RESULTS)

    def take_back(self, protocol: str, internal: int) -> bytes:
        return self._ask(protocol, internal, 0, 0)
