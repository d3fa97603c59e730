# SPDX-License-Identifier: GPL-3.0-or-later
"""What NetworkManager says of the interfaces of this machine, and which of them are ours."""

from __future__ import annotations

import pytest

from netjail.engine.coexist import managed


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("", []),
        ("eth0:connected\nlo:connected (externally)\nnj-lab:unmanaged\n", []),
        ("nj-lab:connected (externally)\n", []),
        ("nj-lab:disconnected\nnj-vpn:connected\n", ["nj-lab", "nj-vpn"]),
        ("nj-lab:connecting (getting IP configuration)\n", ["nj-lab"]),
        ("nj-lab:unavailable\n", ["nj-lab"]),
        ("my-nj-lab:connected\n", []),
        ("AA\\:BB\\:CC:disconnected\nnothing\n", []),
    ],
)
def test_which_of_ours_it_manages(listed: str, found: list[str]) -> None:
    assert managed(listed) == found
