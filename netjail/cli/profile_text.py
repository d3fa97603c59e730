# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a profile without its secrets."""

from __future__ import annotations

import re
import tomllib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MASK = "(hidden)"

_SECRET = frozenset({"private_key", "preshared_key", "password", "secret", "token"})
"""Names of keys with secret values: those of the profile's table of keys, and a few more for
what may come."""

_LONG = 12
"""Characters from which on a secret is looked for in all of the text. What is left out of the
other values for a shorter one would tell it: `e(hidden)ample` stands for one letter only."""
_KEY = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{42,43}={1,2}")


def secret_names() -> frozenset[str]:
    """Last parts of the dotted names of all secret keys."""
    from netjail.profile.keys import KEYS

    return _SECRET | {key.name.split(".")[-1] for key in KEYS if key.secret}


def mask(text: str) -> str:
    """`text` (TOML) with each secret value replaced, everything else as it was.

    Also whatever looks like a WireGuard key in a comment, or anywhere in a text that cannot be
    read, unless it is known to be public.
    """
    secrets, public = _values(text)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK) if len(secret) >= _LONG else _without_short(text, secret)
    text = _KEY.sub(lambda found: found[0] if found[0] in public else MASK, text)
    left, _ = _values(text)
    if left - {MASK}:
        # written with TOML's own escapes: those lines have to go as a whole
        names = "|".join(map(re.escape, secret_names()))
        text = re.sub(rf"(?m)^.*\b(?:{names})\b.*$", f"# {MASK}", text)
        if not _readable(text) or _values(text)[0] - {MASK}:
            return f"# {MASK}: this profile's text cannot be shown without its secrets\n"
    return text


def _without_short(text: str, secret: str) -> str:
    """Replace it where it is a secret key's value, and as a word in comments."""
    names = "|".join(map(re.escape, secret_names()))
    value = rf"""(\b(?:{names})\b["']?\s*=\s*(["'])){re.escape(secret)}(?=\2)"""
    text, count = re.subn(value, lambda found: found[1] + MASK, text)
    if not count:  # in a list, on several lines
        return text.replace(secret, MASK)
    word = re.compile(rf"(?<!\w){re.escape(secret)}(?!\w)")
    return re.sub(r"(?m)#.*$", lambda found: word.sub(MASK, found[0]), text)


def _readable(text: str) -> bool:
    """Whether it is TOML (still: a value of several lines loses only its first)."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _values(text: str) -> tuple[set[str], set[str]]:
    """The secret and the other string values in a TOML text; two empty sets if it is none."""
    secrets: set[str] = set()
    others: set[str] = set()
    names = secret_names()

    def walk(value: Any, secret: bool) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, secret or key in names)
        elif isinstance(value, list):
            for inner in value:
                walk(inner, secret)
        elif isinstance(value, str) and value:
            (secrets if secret else others).add(value)

    try:
        walk(tomllib.loads(text), False)
    except tomllib.TOMLDecodeError:
        return set(), set()
    return secrets, others - secrets
