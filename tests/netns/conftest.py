# SPDX-License-Identifier: GPL-3.0-or-later
"""The stage (netjail.demo.stage) as fixtures: a little internet with a VPN provider, thrown away
with the test module.

    def test_it(stage, netjail):
        netjail("import", stage.write("p.conf", stage.provider_conf), "--name", "vpn", check=True)
        assert netjail("run", "vpn", "--", "curl", "-s", stage.web_url).stdout == "198.51.100.20\\n"
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from teststage import Netjail, TestStage, why_not


@pytest.fixture(scope="session")
def stage_possible() -> None:
    """Skips what asks for it where no stage can be made."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def stage(stage_possible: None) -> Iterator[TestStage]:
    """One stage for the tests of a module: wireguard-go or kernel, IPv4 and IPv6."""
    with TestStage() as made:
        yield made


@pytest.fixture(scope="module")
def netjail(stage: TestStage) -> Netjail:
    """Runs `netjail WORDS...` at home on the module's stage."""
    return Netjail(stage)
