# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user answers a VPN's server, on its way through the helper."""

from __future__ import annotations

import pytest

from netjail.daemon import methods
from netjail.errors import NetjailError


def test_answers_are_checked_and_never_repeated() -> None:
    good = {"username": "carol", "password": 'p"ss w\\rd'}
    assert methods.check("up", {"profile": "vpn", "credentials": good})["credentials"] == good
    assert methods.check("up", {"profile": "vpn"})["credentials"] is None
    for bad in ({"password": "two\nlines-s3cret"}, {"password": 7}, {"other": "x"}, "text", [1]):
        with pytest.raises(NetjailError) as caught:
            methods.check("up", {"profile": "vpn", "credentials": bad})
        assert caught.value.code == "bad-request"
        assert "s3cret" not in str(caught.value.as_dict())
