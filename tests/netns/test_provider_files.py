# SPDX-License-Identifier: GPL-3.0-or-later
"""Hundreds of providers' files, odd and ill-meant ones among them, through the real helper, with
strace(1) on it: stored and planned, or refused in a sentence; nothing else run, read or written.

Each goes the way of `netjail import` (the command reads the file, the helper gets a profile), and
is given to the helper as it is, as somebody with a client of their own might.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

sys.path.insert(0, str(Path(__file__).parent))
from hostbox import Host, missing, wait_until

from netjail.errors import NetjailError
from netjail.profile import toml
from netjail.profile.model import Dns, Profile
from tests.unit.profile import test_ovpn
from tests.unit.profile.grammar import CANARY, NASTY_OPENVPN, NASTY_WIREGUARD, wireguard_files
from tests.unit.profile.test_provider_files import read_openvpn, read_wireguard

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace"),
    pytest.mark.slow,
]

CLIENT = """
import json, sys
from netjail import client, errors
helper = client.connect(start=True)
for line in sys.stdin:
    method, params = json.loads(line)
    try:
        answer = helper.call(method, params)
    except errors.NetjailError as error:
        answer = error.as_dict()
    print(json.dumps(answer), flush=True)
"""
NOTHING = "version = 1\n[uplink]\nkind = 'none'\n"
OURS = ("/etc/netjail/", "/run/netjail/", "/var/lib/netjail/", "/dev/null", "/proc/self/")
"""Where a helper may write."""
SILENT = settings(
    max_examples=500,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Helper:
    """The real one, watched; asked over one connection."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.client = host.start(sys.executable, "-c", CLIENT)
        assert "profiles" in self.ask("list")
        (pid,) = host.helpers()
        self.trace = host.path("/run/trace")
        words = ("-f", "-s", "300", "-o", "/run/trace", "-e", "trace=%file,%process,connect,bind")
        self.strace = host.start("strace", *words, "-p", str(pid))
        assert wait_until(self.watched), "strace does not attach"
        self.stored = self.planned = self.refused = 0

    def watched(self) -> bool:
        """Whether what the helper does is seen; the control for all the rest."""
        self.ask("profile.add", name="control", text=NOTHING, replace=True)
        return self.trace.exists() and "control.toml" in self.trace.read_text()

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        assert self.client.stdin is not None and self.client.stdout is not None
        self.client.stdin.write(json.dumps([method, params]) + "\n")
        self.client.stdin.flush()
        answer: dict[str, Any] = json.loads(self.client.stdout.readline())
        return answer

    def take(self, read: Any, text: str) -> None:
        """What becomes of a file."""
        raw = self.ask("profile.add", name="raw", text=text[:900_000])
        self.sentence(raw)
        try:
            found = read(text)
        except NetjailError:
            self.refused += 1
            return
        kept = toml.dump(Profile("x", found.uplink, Dns("uplink")))
        answer = self.ask("profile.add", name="made", text=kept, replace=True)
        assert "code" not in answer, answer
        self.stored += 1
        plan = self.ask("plan", profile="made")
        if "code" in plan:
            self.sentence(plan)
        else:
            self.planned += 1
            assert all(CANARY not in json.dumps(step) for step in plan["steps"])

    def sentence(self, answer: dict[str, Any]) -> None:
        codes = ("invalid-profile", "bad-request", "resolve-failed", "missing-program")
        assert answer.get("code") in codes, answer
        assert answer["message"].isprintable()

    def close(self) -> str:
        """What it did, as strace saw it."""
        assert self.client.stdin is not None
        self.client.stdin.close()
        self.client.wait(20)
        self.host.kill(*self.host.pids("strace", "/run/trace"), signal="TERM")
        self.strace.wait(20)
        return self.trace.read_text()


@pytest.fixture(scope="module")
def helper() -> Iterator[Helper]:
    host = Host(setup="mount -t tmpfs tmpfs /var/lib\n")
    try:
        host.sh(f"mkdir {CANARY}; touch {CANARY}/key {CANARY}/ca.crt {CANARY}/other.conf")
        yield Helper(host)
    finally:
        host.close()


def test_none_makes_the_helper_do_anything_else(helper: Helper) -> None:
    @SILENT
    @given(wireguard_files())
    def wireguard(text: str) -> None:
        helper.take(read_wireguard, text)

    @SILENT
    @given(test_ovpn.files)
    def openvpn(lines: list[str]) -> None:
        text = test_ovpn.HEAD + test_ovpn.BLOCKS + "\n".join(lines) + "\n"
        helper.take(read_openvpn, text)

    wireguard()
    openvpn()
    for text in NASTY_WIREGUARD:
        helper.take(read_wireguard, text)
    for text in NASTY_OPENVPN:
        helper.take(read_openvpn, text)
    assert helper.stored > 30 and helper.planned > 20 and helper.refused > 30, vars(helper)

    before = helper.host.glob(f"{CANARY}/*")
    trace = helper.close()
    assert CANARY not in trace, [line for line in trace.splitlines() if CANARY in line][:5]
    assert test_ovpn.EVIL not in trace
    assert sorted(before) == [f"{CANARY}/{name}" for name in ("ca.crt", "key", "other.conf")]
    run = {m[1] for m in re.finditer(r'execve\("([^"]*)"[^\n]*= 0', trace)}
    assert run <= set(), f"a plan needs no program, and storing none: {run}"
    written = {
        m[1]
        for m in re.finditer(r'openat?\([^"\n]*"([^"]*)", [^,)]*(?:O_WRONLY|O_RDWR|O_CREAT)', trace)
    }
    assert written, "the profiles themselves were written"
    strange = {path for path in written if path.startswith("/") and not path.startswith(OURS)}
    assert strange == set()
    assert not re.search(r"connect\([^\n]*AF_INET6?, sin6?_port=htons\((?!53\))", trace)
