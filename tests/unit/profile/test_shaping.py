# SPDX-License-Identifier: GPL-3.0-or-later
"""[link.shape]: what may be said, and what tc(8) is given for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.engine import shaping as tc
from netjail.errors import NetjailError
from netjail.profile import shaping, toml
from netjail.profile.model import Profile, Shape

TEXT = 'version = 1\n[uplink]\nkind = "none"\n[[link]]\nswitch = "lab"\n[link.shape]\n'


def parse(shape: str) -> Profile:
    return toml.parse("a", TEXT + shape)[0]


def test_words_of_tc_become_numbers() -> None:
    shape = (
        parse('delay = "20ms"\njitter = "500us"\nloss = "0.5%"\nrate = "1.5mbit"').links[0].shape
    )
    assert shape == Shape(delay=20.0, jitter=0.5, loss=0.5, rate=1_500_000)
    assert parse('delay = "1.5s"').links[0].shape == Shape(delay=1500.0)
    assert parse("").links[0].shape is None


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ('delay = "20"', "did you mean '20ms'"),
        ("delay = 20", "delay"),
        ('delay = "-1ms"', "delay"),
        ('delay = "0ms"', "more than nothing"),
        ('delay = "61s"', "at most 60s"),
        ('delay = "1ms loss 100%"', "is not a time"),
        ('loss = "101%"', "at most 100%"),
        ('loss = "nan%"', "is not a share"),
        ('rate = "1bit"', "between"),
        ('rate = "1e9mbit"', "is not a rate"),
        ('jitter = "1ms"', "more than the delay"),
        ('delay = "1ms"\njitter = "2ms"', "more than the delay"),
        ('latency = "1ms"', "unknown key"),
    ],
)
def test_what_cannot_be_is_told(shape: str, said: str) -> None:
    with pytest.raises(NetjailError) as caught:
        parse(shape)
    assert said.replace("'", '"') in "\n".join(caught.value.problems).replace("'", '"')


shapes = st.builds(
    Shape,
    delay=st.none() | st.integers(1, 60_000_000).map(lambda n: n / 1000),
    loss=st.none() | st.integers(1, 1_000_000).map(lambda n: n / 10_000),
    rate=st.none() | st.integers(shaping.RATE_MIN, shaping.RATE_MAX),
).filter(lambda shape: shape != Shape())


@given(shapes)
def test_a_shape_comes_back_from_its_text(shape: Shape) -> None:
    profile = parse("")
    link = profile.links[0]
    changed = type(link)(name=link.name, switch="lab", shape=shape)
    whole = type(profile)(profile.name, profile.uplink, profile.dns, links=(changed,))
    found = toml.parse("a", toml.dump(whole))[0].links[0].shape
    assert found is not None
    assert found.rate == shape.rate
    assert found.delay == pytest.approx(shape.delay, rel=1e-4)
    assert found.loss == pytest.approx(shape.loss)


@given(shapes)
def test_no_packet_on_its_way_is_lost_for_want_of_room(shape: Shape) -> None:
    words = tc.arguments((shape.delay or 0.0, 0.0, shape.loss or 0.0, shape.rate or 0))
    if shape.delay or shape.loss:
        assert words[:2] == ["netem", "limit"]
        on_their_way = (shape.rate or 10**9) / 8 / 1500 * (shape.delay or 0) / 1000
        assert int(words[2]) >= min(on_their_way, 200_000)
    else:
        assert words[0] == "tbf"
