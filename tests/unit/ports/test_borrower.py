# SPDX-License-Identifier: GPL-3.0-or-later
"""Borrowing a port, from servers of the test's own on the loopback: good, odd and hostile ones.

The real one (miniupnpd) is in tests/netns/test_natpmp.py.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from netjail.ports import borrower, packets, speakers
from netjail.ports.borrower import Borrower

SECONDS = 30.0
Grant = tuple[int, int, int]
"""result, external port, lifetime"""


class Server:
    """A server of NAT-PMP and PCP. `grant(protocol, internal, external)`: what it lends."""

    def __init__(self, address: str, grant: Callable[[str, int, int], Grant] | None = None) -> None:
        self.grant = grant or (lambda _protocol, _internal, external: (0, external, 60))
        self.asked: list[tuple[str, int, int, int]] = []
        """(protocol, internal, external, lifetime), of either version"""
        self.mapped: dict[tuple[str, int], int] = {}
        self.versions: set[int] = set()
        self.speaks = {0, 2}
        self.epoch = 1000
        self.before: Callable[[bytes, Any], None] = lambda _data, _who: None
        """Does something else before it answers."""
        self.silent = False
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind((address, packets.PORT))
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                data, who = self.sock.recvfrom(2000)
                if who == self.sock.getsockname():
                    return
                self.before(data, who)
                answer = None if self.silent else self._answer(data)
                if answer is not None:
                    self.sock.sendto(answer, who)
            except OSError:
                return

    def _now(self) -> int:
        return self.epoch + int(time.monotonic() - self._begun)

    def _answer(self, data: bytes) -> bytes | None:
        version, op = data[0], data[1]
        self.versions.add(version)
        if version not in self.speaks:
            if 0 in self.speaks:
                return struct.pack("!BBHI", 0, op | 0x80, 1, self._now())
            return struct.pack("!BBBBII12x", 2, op | 0x80, 0, 1, 0, self._now())
        if version == 0 and op == 0:
            return struct.pack("!BBHI4B", 0, 128, 0, self._now(), 11, 0, 0, 1)
        if version == 0:
            protocol = {1: "udp", 2: "tcp"}[op]
            internal, external, lifetime = struct.unpack_from("!HHI", data, 4)
            result, port, lent = self._lend(protocol, internal, external, lifetime)
            return struct.pack("!BBHIHHI", 0, op | 0x80, result, self._now(), internal, port, lent)
        lifetime = struct.unpack_from("!I", data, 4)[0]
        nonce, number, internal, external = struct.unpack_from("!12sB3xHH", data, 24)
        protocol = {17: "udp", 6: "tcp"}[number]
        result, port, lent = self._lend(protocol, internal, external, lifetime)
        head = struct.pack("!BBBBII12x", 2, 0x81, 0, result, lent, self._now())
        address = b"\0" * 10 + b"\xff\xff\x0b\0\0\1"
        return head + struct.pack("!12sB3xHH16s", nonce, number, internal, port, address)

    def _lend(self, protocol: str, internal: int, external: int, lifetime: int) -> Grant:
        self.asked.append((protocol, internal, external, lifetime))
        if not lifetime:
            self.mapped.pop((protocol, internal), None)
            return 0, 0, 0
        result, port, lent = self.grant(protocol, internal, external)
        if not result:
            self.mapped[protocol, internal] = port
        return result, port, lent

    def close(self) -> None:
        self.sock.sendto(b"", self.sock.getsockname())
        self._thread.join(SECONDS)
        self.sock.close()


class Borrowing:
    """A borrower in a thread."""

    def __init__(self, path: Path, gateway: str, port: int = 0, resolvers: str = "") -> None:
        self._path = path
        out = os.open(path, os.O_RDWR | os.O_CREAT)
        wake, self._waker = os.pipe()
        self.borrower = Borrower(gateway, port, resolvers, wake, out)
        self._thread = threading.Thread(target=self.borrower.run, daemon=True)
        self._thread.start()

    def state(self) -> dict[str, Any]:
        text = self._path.read_bytes()
        assert len(text) in (0, borrower.STATE_BYTES)
        return json.loads(text) if text else {"port": None, "text": None, "restarts": 0}

    def wait(self, test: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while not test(self.state()):
            assert time.monotonic() < end, self.state()
            time.sleep(0.01)
        return self.state()

    def lent(self) -> dict[str, Any]:
        return self.wait(lambda state: state["port"] is not None)

    def poke(self) -> None:
        os.write(self._waker, bytes([signal.SIGURG]))

    def end(self) -> None:
        os.write(self._waker, bytes([signal.SIGTERM]))
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()


class Ground:
    """An address of its own on the loopback, with what a test starts there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        number = os.getpid()
        self.address = f"127.{number >> 16 & 127 | 128}.{number >> 8 & 255}.{number & 255}"
        self._things: list[Any] = []

    def server(self, *args: Any) -> Server:
        made = Server(self.address, *args)
        self._things.append(made.close)
        return made

    def borrow(self, gateway: str = "", **how: Any) -> Borrowing:
        made = Borrowing(self.directory / "state", gateway or self.address, **how)
        self._things.insert(0, made.end)
        return made

    def close(self) -> None:
        for end in self._things:
            end()


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    monkeypatch.setattr(speakers, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(borrower, "PAUSE_FIRST", 0.05)
    made = Ground(tmp_path)
    yield made
    made.close()


def test_the_same_free_port_is_had_on_both_sides_for_both_protocols(ground: Ground) -> None:
    server = ground.server()
    state = ground.borrow().lent()
    assert state["port"] == state["internal"] >= 49152
    assert (state["protocols"], state["spoken"]) == (["tcp", "udp"], "NAT-PMP")
    assert (state["address"], state["gateway"]) == ("11.0.0.1", ground.address)
    assert set(server.mapped.values()) == {state["port"]}
    assert {asked[3] for asked in server.asked} == {60}


def test_another_port_is_asked_for_on_both_sides(ground: Ground) -> None:
    server = ground.server(lambda _p, internal, external: (0, 40001 + (external > 50000), 60))
    server.grant = lambda _protocol, internal, _external: (0, 40001, 60)
    state = ground.borrow().lent()
    assert (state["port"], state["internal"]) == (40001, 40001)
    assert server.mapped == {("tcp", 40001): 40001, ("udp", 40001): 40001}


def test_a_server_that_lends_what_it_likes_is_asked_in_protons_way(ground: Ground) -> None:
    ports = iter(range(40001, 49000, 7))
    given: dict[int, int] = {}

    def grant(_protocol: str, internal: int, _external: int) -> Grant:
        return 0, given.setdefault(internal, next(ports)), 60

    server = ground.server(grant)
    state = ground.borrow().lent()
    assert state["port"] == state["internal"] == given[0]
    assert server.mapped == {("tcp", 0): given[0], ("udp", 0): given[0]}


def test_where_no_way_helps_the_two_sides_differ_and_it_says_so(ground: Ground) -> None:
    ports = iter(range(40001, 49000, 7))
    given: dict[int, int] = {}

    def grant(_protocol: str, internal: int, _external: int) -> Grant:
        return (0, given.setdefault(internal, next(ports)), 60) if internal else (2, 0, 0)

    ground.server(grant)
    state = ground.borrow().lent()
    assert state["port"] == given[state["internal"]]
    assert state["internal"] != state["port"]


def test_a_port_inside_of_the_profiles_own_is_kept_to(ground: Ground) -> None:
    server = ground.server(lambda _protocol, _internal, _external: (0, 40001, 60))
    state = ground.borrow(port=51413).lent()
    assert (state["port"], state["internal"]) == (40001, 51413)
    assert {asked[1] for asked in server.asked} == {51413}


def test_tcp_alone_where_udp_is_refused(ground: Ground) -> None:
    ground.server(lambda protocol, _i, external: (0 if protocol == "tcp" else 2, external, 60))
    assert ground.borrow().lent()["protocols"] == ["tcp"]


def test_tcp_and_udp_come_to_the_same_port_where_the_first_is_taken_for_one(ground: Ground) -> None:
    def grant(protocol: str, _internal: int, external: int) -> Grant:
        return 0, 40002 if protocol == "udp" and external != 40002 else external, 60

    ground.server(grant)
    state = ground.borrow().lent()
    assert (state["port"], state["protocols"]) == (40002, ["tcp", "udp"])


def test_a_server_of_pcp_alone_is_spoken_to_in_it(ground: Ground) -> None:
    server = ground.server()
    server.speaks = {2}
    state = ground.borrow().lent()
    assert (state["spoken"], state["address"]) == ("PCP", "11.0.0.1")
    assert server.versions == {0, 2}
    assert len(state["nonces"]) == 2


@pytest.mark.parametrize(
    ("grant", "words"),
    [
        ((2, 0, 0), "refuses: not authorised"),
        ((4, 0, 0), "has no port left"),
        ((77, 0, 0), "refuses with the number 77"),
        ((0, 0, 60), "lends port 0"),
        ((0, 40001, 0), "for no time"),
    ],
)
def test_what_is_no_port_is_a_sentence(ground: Ground, grant: Grant, words: str) -> None:
    ground.server(lambda _protocol, _internal, _external: grant)
    state = ground.borrow().wait(lambda state: words in str(state["text"]))
    assert state["port"] is None
    assert state["text"].startswith(ground.address)


def test_where_nobody_listens_it_says_so_and_finds_who_comes(ground: Ground) -> None:
    borrowing = ground.borrow()
    borrowing.wait(lambda state: "has nobody who lends ports" in str(state["text"]))
    ground.server()
    assert borrowing.lent()["text"] is None


def test_it_is_renewed_before_half_its_time_and_asks_for_the_same(ground: Ground) -> None:
    server = ground.server(lambda _protocol, _internal, external: (0, external, 2))
    borrowing = ground.borrow()
    port = borrowing.lent()["port"]
    borrowing.wait(lambda _state: len(server.asked) >= 6)
    assert {asked[2] for asked in server.asked} == {port}
    assert borrowing.state()["restarts"] == 0


def test_a_lifetime_of_136_years_is_not_believed(ground: Ground) -> None:
    ground.server(lambda _protocol, _internal, external: (0, external, 2**32 - 1))
    borrowing = ground.borrow()
    borrowing.lent()
    assert borrowing.borrower._until - borrower.now() <= borrower.LIFETIME_MAX


def test_a_server_that_has_begun_anew_is_noticed(ground: Ground) -> None:
    server = ground.server(lambda _protocol, _internal, external: (0, external, 1))
    borrowing = ground.borrow()
    port = borrowing.lent()["port"]
    server.mapped.clear()
    server.epoch = -int(time.monotonic() - server._begun)
    state = borrowing.wait(lambda state: state["restarts"] == 1)
    assert state["port"] == port
    assert set(server.mapped.values()) == {port}


def test_another_port_at_a_renewal_is_the_port_from_then_on(ground: Ground) -> None:
    server = ground.server(lambda _protocol, _internal, external: (0, external, 1))
    borrowing = ground.borrow()
    borrowing.lent()
    server.grant = lambda _protocol, _internal, _external: (0, 40001, 60)
    state = borrowing.wait(lambda state: state["port"] == 40001)
    assert state["internal"] == 40001
    assert server.mapped == {("tcp", 40001): 40001, ("udp", 40001): 40001}


def test_a_server_that_falls_silent_has_lent_nothing_after_its_time(ground: Ground) -> None:
    server = ground.server(lambda _protocol, _internal, external: (0, external, 1))
    borrowing = ground.borrow()
    port = borrowing.lent()["port"]
    server.silent = True
    borrowing.wait(lambda state: state["port"] is None and "does not answer" in state["text"])
    server.silent = False
    assert borrowing.lent()["port"] == port


def test_it_is_given_back_in_the_end(ground: Ground) -> None:
    server = ground.server()
    borrowing = ground.borrow()
    borrowing.lent()
    assert len(server.mapped) == 2
    borrowing.end()
    assert server.mapped == {}
    assert server.asked[-1][3] == 0


def test_the_next_process_asks_for_the_same_port_with_the_same_nonces(ground: Ground) -> None:
    server = ground.server()
    server.speaks = {2}
    first = ground.borrow()
    before = first.lent()
    first.end()
    after = ground.borrow().wait(lambda state: state["port"] and len(server.asked) >= 6)
    assert (after["port"], after["nonces"]) == (before["port"], before["nonces"])


@pytest.mark.parametrize(
    "left", [b"", b"{", b"[]", b'{"wanted": [0, 99999]}', b"\xff" * 3000], ids=len
)
def test_whatever_was_left_behind_is_no_hindrance(ground: Ground, left: bytes) -> None:
    (ground.directory / "state").write_bytes(left[: borrower.STATE_BYTES])
    ground.server()
    out = os.open(ground.directory / "state", os.O_RDWR)
    wake, waker = os.pipe()
    found = Borrower(ground.address, 0, "", wake, out)
    thread = threading.Thread(target=found.run, daemon=True)
    thread.start()
    end = time.monotonic() + SECONDS
    while found.state.port is None and time.monotonic() < end:
        time.sleep(0.01)
    os.write(waker, bytes([signal.SIGTERM]))
    thread.join(SECONDS)
    assert found.state.port is not None


def test_noise_before_the_answer_and_from_elsewhere_is_passed_over(ground: Ground) -> None:
    """A hostile neighbour in the tunnel: answers from another port and another address, garbage
    from the right ones."""
    server = ground.server()
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind(("127.0.0.1", 0))

    def noise(data: bytes, who: Any) -> None:
        false = struct.pack("!BBHIHHI", 0, data[1] | 0x80, 0, 1, *_internal(data), 666, 60)
        other.sendto(false, who)
        for junk in (b"", b"\0", os.urandom(16), data, b"\xff" * 1500, false[:-1]):
            server.sock.sendto(junk, who)

    server.before = noise
    state = ground.borrow().lent()
    other.close()
    assert state["port"] != 666
    assert set(server.mapped.values()) == {state["port"]}


def _internal(data: bytes) -> tuple[int]:
    return struct.unpack_from("!H", data, 4) if len(data) == 12 else (0,)


def test_an_ipv6_gateway_is_asked_by_pcp_alone(ground: Ground) -> None:
    ground.address = "::1"  # there is but one
    try:
        server = ground.server()
    except OSError as error:
        pytest.skip(f"no IPv6 here, or somebody else lends ports: {error}")
    state = ground.borrow().lent()
    assert (state["spoken"], state["gateway"]) == ("PCP", "::1")
    assert server.versions == {2}


def test_told_that_something_is_different_it_asks_at_once(ground: Ground) -> None:
    server = ground.server()
    borrowing = ground.borrow()
    borrowing.lent()
    server.grant = lambda _protocol, _internal, _external: (0, 40001, 60)
    borrowing.poke()
    assert borrowing.wait(lambda state: state["port"] == 40001)["internal"] == 40001


@pytest.mark.slow
def test_a_flood_is_not_read_to_its_end_and_what_answers_so_is_named(ground: Ground) -> None:
    server = ground.server()
    server.silent = True

    def flood(_data: bytes, who: Any) -> None:
        for _ in range(500):
            server.sock.sendto(b"flood", who)

    server.before = flood
    borrowing = ground.borrow()
    borrowing.wait(lambda state: "does not answer as it should" in str(state["text"]))


def test_the_resolver_inside_the_tunnel_is_who_is_asked(ground: Ground, tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# x\nnameserver 9.9.9.9\nnameserver 127.0.0.1\nnameserver fd00::1\nnameserver\n"
        "nameserver 10.2.0.1\nnameserver x\nsearch a\n"
    )
    assert borrower._resolvers(str(path)) == ["10.2.0.1"]
    assert borrower._resolvers(str(tmp_path / "none")) == []
