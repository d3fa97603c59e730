# SPDX-License-Identifier: GPL-3.0-or-later
"""[link.shape]: delay, jitter, loss and rate, in the words of tc(8). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from netjail.profile import checks
from netjail.profile.checks import Bad
from netjail.profile.key import Key, Type
from netjail.profile.model import Shape

DELAY_MAX = 60_000.0
RATE_MIN, RATE_MAX = 8_000, 100_000_000_000
_DELAY = re.compile(r"(\d{1,7}(?:\.\d{1,3})?) ?(us|ms|s)")
_DELAYS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_LOSS = re.compile(r"(\d{1,3}(?:\.\d{1,4})?) ?%")
_RATE = re.compile(r"(\d{1,12}(?:\.\d{1,3})?) ?(bit|kbit|mbit|gbit)", re.IGNORECASE)
_RATES = {"bit": 1, "kbit": 1000, "mbit": 1_000_000, "gbit": 1_000_000_000}


def delay(value: object) -> float:
    """Milliseconds."""
    text = checks.string(value)
    found = _DELAY.fullmatch(text)
    if found is None:
        number = text.strip().isdigit()
        raise Bad("is not a time with its unit", f"{text.strip()}ms" if number else None)
    time = round(float(found[1]) * _DELAYS[found[2]], 3)
    if not 0 < time <= DELAY_MAX:
        raise Bad("is not more than nothing and at most 60s")
    return time


def loss(value: object) -> float:
    """Percent."""
    text = checks.string(value)
    found = _LOSS.fullmatch(text)
    if found is None:
        raise Bad("is not a share with its %", f"{text}%" if text.strip().isdigit() else None)
    share = float(found[1])
    if not 0 < share <= 100:
        raise Bad("is not more than 0% and at most 100%")
    return share


def rate(value: object) -> int:
    """Bits a second."""
    text = checks.string(value)
    found = _RATE.fullmatch(text)
    if found is None:
        raise Bad("is not a rate with its unit", f"{text}mbit" if text.strip().isdigit() else None)
    bits = round(float(found[1]) * _RATES[found[2].lower()])
    if not RATE_MIN <= bits <= RATE_MAX:
        raise Bad("is not between 8kbit and 100gbit")
    return bits


DELAY = Type('a time like "20ms", at most "60s"', delay)
LOSS = Type('a share of the packets like "0.5%"', loss)
RATE = Type('a rate like "512kbit", "10mbit" or "1gbit"', rate)

SHAPE_KEYS: tuple[Key, ...] = (
    Key("link.shape.delay", DELAY, "How long a packet takes, each way.", default="none"),
    Key(
        "link.shape.jitter",
        DELAY,
        "By how much that differs, up or down. Needs a `delay`.",
        default="none",
    ),
    Key("link.shape.loss", LOSS, "How many packets get lost, each way.", default="none"),
    Key("link.shape.rate", RATE, "How much goes through, each way.", default="as much as can"),
)


def shape(values: Mapping[str, Any]) -> Shape | None:
    """From the values of the table; None: it says nothing. Raises Bad for jitter alone."""
    if not values:
        return None
    found = Shape(**{key: values.get(key) for key in ("delay", "jitter", "loss", "rate")})
    if found.jitter is not None and (found.delay is None or found.jitter > found.delay):
        raise Bad("is more than the delay itself")
    return found


def dump(its: Shape) -> dict[str, str]:
    """As the table says it."""
    raw = {}
    if its.delay is not None:
        raw["delay"] = f"{its.delay:g}ms" if its.delay < 1000 else f"{its.delay:.3f}ms"
    if its.jitter is not None:
        raw["jitter"] = f"{its.jitter:g}ms" if its.jitter < 1000 else f"{its.jitter:.3f}ms"
    if its.loss is not None:
        raw["loss"] = f"{its.loss:.4f}%"
    if its.rate is not None:
        raw["rate"] = f"{its.rate}bit"
    return raw
