# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a WireGuard tunnel answers, by its counters."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from netjail.engine.endpoints import address_of, usable
from netjail.engine.liveness import SILENT_SECONDS, Liveness, Look, Suspicion, doubt, judge


def run(*looks: tuple[float, Look], start: Liveness | None = None) -> list[bool | None]:
    state, said = start, []
    for at, look in looks:
        state, answers = judge(state, look, at)
        said.append(answers)
    return said


def test_an_idle_tunnel_is_not_silent() -> None:
    idle = Look(1000, 900, 500.0)
    assert run((0, idle), (100, idle), (1000, idle)) == [None, None, None]


def test_before_the_first_handshake_whatever_was_sent_had_no_answer() -> None:
    assert run((0, Look(0, 0, None)), (1, Look(148, 0, None))) == [None, False]


def test_a_fresh_handshake_is_an_answer() -> None:
    assert run((0, Look(500, 500, 3.0))) == [True]


def test_what_is_sent_for_15_seconds_without_an_answer_tells() -> None:
    start = (0, Look(500, 500, 3.0))
    looks = [(t, Look(500 + 100 * t, 500, 3.0 + t)) for t in range(5, 31, 5)]
    assert run(start, *looks) == [True, True, True, True, False, False, False]


def test_after_it_was_silent_only_something_received_is_an_answer() -> None:
    looks = [(0, Look(0, 9, 1)), (5, Look(900, 9, 6)), (25, Look(900, 9, 26))]
    assert run(*looks) == [True, True, False]
    assert run(*looks, (30, Look(900, 9, 31)), (31, Look(999, 99, 0)))[3:] == [False, True]


def test_keepalives_want_no_answer() -> None:
    looks = [(t, Look(500 + 32 * (t // 25), 500, float(t), 25)) for t in range(0, 170, 5)]
    assert False not in run(*looks)


def test_a_doubted_tunnel_has_to_answer_first() -> None:
    state, _ = judge(None, Look(500, 500, 3.0), 0)
    assert judge(state, Look(500, 500, 8.0), 5)[1] is True
    doubted = doubt(state)
    assert judge(doubted, Look(500, 500, 8.0), 5)[1] is None
    assert judge(doubted, Look(600, 700, 0.0), 5)[1] is True


def test_another_interface_begins_anew() -> None:
    state, _ = judge(None, Look(5000, 5000, 3.0), 0)
    assert judge(state, Look(148, 92, 1.0), 5)[1] is True


def test_a_tunnel_is_suspected_long_before_its_silence_proves_anything() -> None:
    silent = Liveness(Look(9, 9, 1.0), at=100.0, waiting=100.0)
    suspicion = Suspicion()
    assert 0 < suspicion.due(silent, 100.0) < SILENT_SECONDS / 3
    assert suspicion.due(silent, 105.0) == 0.0
    assert suspicion.due(Liveness(Look(9, 9, 1.0), 100.0), 105.0) is None  # idle
    assert suspicion.due(Liveness(Look(9, 9, 1.0), 100.0, lively=True), 101.0) > 0


def test_traffic_that_nobody_answers_is_suspected_less_and_less() -> None:
    suspicion, at, asked = Suspicion(), 0.0, []
    while at < 3600:
        if suspicion.due(Liveness(Look(9, 9, 1.0), at=0.0, waiting=0.0), at) == 0.0:
            asked.append(at)
            suspicion.asked(True, at)
        at += 5
    assert 3 < len(asked) < 12
    suspicion.asked(False, at)  # and one that was right makes the next as quick as the first
    assert suspicion.due(Liveness(Look(9, 9, 1.0), at=0.0, waiting=0.0), at) == 0.0


def test_who_never_answers_questions_of_ours_is_not_asked_all_the_time() -> None:
    suspicion = Suspicion()
    suspicion.asked(False, 0.0)
    assert suspicion.due(Liveness(Look(9, 9, 1.0), at=0.0, waiting=0.0), 30.0) is None


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000), st.floats(0.1, 60)), max_size=40)
)
def test_whoever_answers_at_every_look_is_never_called_silent(steps: list) -> None:
    sent = received = 1
    at, state = 0.0, None
    for more_sent, more_received, seconds in steps:
        sent, received, at = sent + more_sent, received + more_received + 1, at + seconds
        state, answers = judge(state, Look(sent, received, 1.0), at)
        assert answers is True
        assert state.waiting is None
    assert SILENT_SECONDS > 10


@given(st.ip_addresses(), st.integers(1, 65535))
def test_endpoints_are_read_as_wg_prints_them(address, port: int) -> None:
    text = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
    assert address_of(text) == address_of(str(address)) == address


def test_what_a_resolver_says_is_judged() -> None:
    bad = ("0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:192.0.2.1")
    assert [text for text in bad if usable(ip_address(text))] == []
    assert all(usable(ip_address(text)) for text in ("192.0.2.1", "2001:db8::1", "10.0.0.1"))
    assert address_of("(none)") is None
