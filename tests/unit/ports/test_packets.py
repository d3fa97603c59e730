# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets of NAT-PMP and PCP: those of the RFCs are read, anything else is no answer."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.ports import packets
from netjail.ports.packets import Answer, Epochs

NONCE = b"0123456789ab"
PORTS = st.integers(1, 65535)
LIFETIMES = st.integers(0, 2**32 - 1)


def natpmp(op: int, result: int, internal: int, external: int, lifetime: int) -> bytes:
    return struct.pack("!BBHIHHI", 0, op, result, 1000, internal, external, lifetime)


def pcp(
    result: int = 0,
    nonce: bytes = NONCE,
    protocol: int = 6,
    internal: int = 4000,
    external: int = 5000,
    lifetime: int = 60,
    op: int = 0x81,
    version: int = 2,
    address: bytes = b"\0" * 10 + b"\xff\xff\x0b\0\0\1",
) -> bytes:
    head = struct.pack("!BBBBII12x", version, op, 0, result, lifetime, 1000)
    return head + struct.pack("!12sB3xHH16s", nonce, protocol, internal, external, address)


def test_requests_are_those_of_the_rfc() -> None:
    assert packets.ask_address() == b"\0\0"
    assert packets.ask_port("udp", 4000, 5000, 60).hex() == "000100000fa013880000003c"
    assert packets.ask_port("tcp", 4000, 0, 0).hex() == "000200000fa0000000000000"
    asked = packets.ask_map("tcp", 4000, 5000, 60, "10.2.0.2", NONCE)
    assert len(asked) == 60
    assert asked[:8].hex() == "020100000000003c"
    assert asked[8:24] == IPv6Address("::ffff:10.2.0.2").packed
    assert asked[24:36] == NONCE
    assert asked[36:44].hex() == "060000000fa01388"
    assert asked[44:] == IPv6Address("::ffff:0:0").packed


def test_pcp_never_asks_for_all_ports() -> None:
    with pytest.raises(ValueError, match="all ports"):
        packets.ask_map("tcp", 0, 0, 60, "10.2.0.2", NONCE)


def test_answers_are_read() -> None:
    assert packets.read_port(natpmp(130, 0, 4000, 5000, 60), "tcp", 4000) == Answer(
        0, 0, 1000, 4000, 5000, 60
    )
    said = struct.pack("!BBHI4s", 0, 128, 0, 7, IPv4Address("11.0.0.1").packed)
    assert packets.read_address(said) == Answer(0, 0, 7, address="11.0.0.1")
    assert packets.read_map(pcp(), "tcp", 4000, NONCE) == Answer(
        2, 0, 1000, 4000, 5000, 60, "11.0.0.1"
    )
    six = IPv6Address("fd00::2").packed
    found = packets.read_map(pcp(address=six), "tcp", 4000, NONCE)
    assert found is not None
    assert found.address == "fd00::2"


@pytest.mark.parametrize("inner", [0, 5000])
def test_as_outside_may_be_answered_by_that_port_or_by_0(inner: int) -> None:
    assert packets.read_port(natpmp(130, 0, inner, 5000, 60), "tcp", 0) is not None


@pytest.mark.parametrize("result", [1, 2, 3, 4, 5, 999])
def test_a_refusal_is_an_answer_with_and_without_the_rest(result: int) -> None:
    whole = natpmp(130, result, 4000, 0, 0)
    for data in (whole, whole[:8], whole[:12]):
        found = packets.read_port(data, "tcp", 4000)
        assert found is not None
        assert found.result == result


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        natpmp(130, 0, 4000, 5000, 60)[:-1],
        natpmp(130, 0, 4000, 5000, 60) + b"\0",
        natpmp(129, 0, 4000, 5000, 60),  # UDP's
        natpmp(2, 0, 4000, 5000, 60),  # a question
        natpmp(130, 0, 4001, 5000, 60),  # another's port
        natpmp(131, 0, 4000, 5000, 60),
        b"\1" + natpmp(130, 0, 4000, 5000, 60)[1:],
        natpmp(130, 0, 4000, 5000, 60) * 100,
    ],
)
def test_what_is_no_answer_to_the_question_is_none(data: bytes) -> None:
    assert packets.read_port(data, "tcp", 4000) is None


def test_an_address_that_is_none_is_not_taken() -> None:
    assert packets.read_address(struct.pack("!BBHI4x", 0, 128, 0, 7)) is None
    assert packets.read_map(pcp(address=b"\0" * 16), "tcp", 4000, NONCE) is None


@pytest.mark.parametrize(
    "data",
    [
        pcp(nonce=b"another's...").ljust(60, b"\0"),
        pcp(nonce=b"another's...", result=2),
        pcp(protocol=17),
        pcp(internal=4001),
        pcp(op=0x80),
        pcp(op=0x01),
        pcp(version=3),
        pcp()[:-4],
        pcp()[:24],
        pcp() + b"\0",
        pcp() + b"\0" * 1100,
    ],
)
def test_what_is_no_answer_of_pcp_is_none(data: bytes) -> None:
    assert packets.read_map(data, "tcp", 4000, NONCE) is None


def test_each_protocol_knows_the_other_ones_no() -> None:
    old = struct.pack("!BBHI", 0, 0x81, 1, 1000)
    found = packets.read_map(old, "tcp", 4000, NONCE)
    assert found is not None
    assert (found.version, found.result) == (0, 1)
    new = struct.pack("!BBBBII12x", 2, 0x82, 0, 1, 0, 1000)
    found = packets.read_port(new, "tcp", 4000)
    assert found is not None
    assert (found.version, found.result) == (2, 1)


@given(st.binary(max_size=1200))
def test_no_bytes_at_all_are_too_much(data: bytes) -> None:
    for found in (
        packets.read_address(data),
        packets.read_port(data, "tcp", 4000),
        packets.read_port(data, "udp", 0),
        packets.read_map(data, "udp", 4000, NONCE),
    ):
        assert found is None or found.version in range(256)


@given(
    st.sampled_from(["tcp", "udp"]), PORTS, st.integers(0, 65535), LIFETIMES, st.binary(max_size=9)
)
def test_what_was_asked_is_found_again_in_its_answer_alone(
    protocol: str, internal: int, external: int, lifetime: int, tail: bytes
) -> None:
    asked = packets.ask_port(protocol, internal, external, lifetime)
    said = bytes([0, asked[1] | 0x80, 0, 0, 0, 0, 0, 9]) + asked[4:]
    assert packets.read_port(said, protocol, internal) == Answer(
        0, 0, 9, internal, external, lifetime
    )
    other = "udp" if protocol == "tcp" else "tcp"
    assert packets.read_port(said, other, internal) is None
    assert packets.read_port(said, protocol, internal % 65535 + 1) is None
    assert packets.read_port(said + tail, protocol, internal) is None or not tail


@given(st.sampled_from(["tcp", "udp"]), PORTS, PORTS, st.integers(1, 2**32 - 1), st.binary())
def test_the_same_of_pcp(
    protocol: str, internal: int, external: int, lifetime: int, other: bytes
) -> None:
    said = pcp(0, NONCE, packets.PROTOCOLS[protocol], internal, external, lifetime)
    found = packets.read_map(said, protocol, internal, NONCE)
    assert found == Answer(2, 0, 1000, internal, external, lifetime, "11.0.0.1")
    assert packets.read_map(said, protocol, internal, other[:12].ljust(12)) is None


@pytest.mark.parametrize(
    ("before", "after", "forgets"),
    [
        ((0.0, 1000), (30.0, 1030), False),
        ((0.0, 1000), (30.0, 1029), False),
        ((0.0, 1000), (0.1, 999), False),  # by a second: clocks are not that fine
        ((0.0, 1000), (0.1, 998), True),
        ((0.0, 1000), (30.0, 3), True),
        ((0.0, 1000), (30.0, 1010), True),  # it stood still: it has begun anew and run on
        ((0.0, 1000), (3600.0, 4600 - 200), False),  # a slow clock
        ((0.0, 1000), (3600.0, 4600 + 200), False),
        ((0.0, 1000), (1.0, 2**32 - 1), True),
    ],
)
def test_a_server_that_has_begun_anew_is_told_from_a_bad_clock(
    before: tuple[float, int], after: tuple[float, int], forgets: bool
) -> None:
    epochs = Epochs()
    assert epochs.forgets(before[1], before[0]) is False
    assert epochs.forgets(after[1], after[0]) is forgets
