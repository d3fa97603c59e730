# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjaild --cleanup` on a real host: what systemd runs after the helper has ended."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import REPO, SERVER4, Host, a_host, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

KILL_AT_STEP = """
from netjail.engine import api
def observer(now, step, resource):
    if (now, step) == (sys.argv[1], int(sys.argv[2])):
        os.kill(os.getpid(), signal.SIGKILL)
api.observer = observer
"""


@pytest.fixture
def host() -> Iterator[Host]:
    with a_host() as host:
        yield host


def cleanup(host: Host) -> str:
    main = str(REPO / "netjail" / "daemon" / "__main__.py")
    said = host.run(sys.executable, "-I", main, "--cleanup").ok()
    return said.err


def test_half_made_goes_and_what_is_up_stays(host: Host) -> None:
    host.profile("up")
    host.profile("half")
    host.netjail("up", "up").ok()
    host.wrap_helper(KILL_AT_STEP, "up", "3")
    assert host.request("up", profile="half", wait=0).wait(30) == 1
    assert host.path("/run/netns/netjail-half").exists()
    assert "still up: up" in cleanup(host)
    assert not host.helpers()
    assert host.glob("/run/netjail/jails/*") == ["/run/netjail/jails/up"]
    assert not host.path("/run/netns/netjail-half").exists()
    assert not host.path("/run/netjail/socket").exists()
    assert host.ask("up", SERVER4).startswith("inet")
    host.netjail("down", "up").ok()
    host.clean()


def test_half_removed_goes(host: Host) -> None:
    host.profile("half")
    host.netjail("up", "half").ok()
    host.wrap_helper(KILL_AT_STEP, "down", "2")
    assert host.request("down", profiles=["half"], kill=False).wait(30) == 1
    cleanup(host)
    assert host.glob("/run/netjail/jails/*") == []
    host.clean()


def test_a_helper_that_runs_is_not_disturbed(host: Host) -> None:
    host.profile("up")
    host.netjail("up", "up").ok()
    helpers = host.helpers()
    assert helpers
    assert "a helper is running" in cleanup(host)
    assert host.helpers() == helpers
    assert host.state("up") == "up"
