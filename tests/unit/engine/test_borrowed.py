# SPDX-License-Identifier: GPL-3.0-or-later
"""What the process that borrows a port says: judged, made known, told in words."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netjail import names
from netjail.engine import borrowed
from netjail.engine.borrowed import NOTHING, Lent, sentence

GOOD = {
    "port": 40001,
    "internal": 40001,
    "protocols": ["udp", "tcp"],
    "address": "11.0.0.1",
    "gateway": "10.2.0.1",
    "spoken": "NAT-PMP",
    "text": None,
    "restarts": 0,
}
LENT = Lent(40001, 40001, ("tcp", "udp"), "11.0.0.1", "10.2.0.1", "NAT-PMP")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(names, "JAILS_DIR", str(tmp_path / "jails"))
    monkeypatch.setattr(names, "VIEW_DIR", str(tmp_path / "view"))
    (tmp_path / "view" / "vpn").mkdir(parents=True)
    (tmp_path / "jails" / "vpn").mkdir(parents=True)
    return tmp_path / "jails" / "vpn" / "natpmp.state"


def test_what_it_says_is_read(state: Path) -> None:
    assert borrowed.read("vpn") == NOTHING
    state.write_text(json.dumps(GOOD).ljust(2048))
    assert borrowed.read("vpn") == LENT
    state.write_text(json.dumps(GOOD | {"port": None, "text": "why\x1b[1m" + "x" * 900}))
    found = borrowed.read("vpn")
    assert found.port is None
    assert found.text is not None
    assert found.text.startswith("why?[1m")
    assert len(found.text) == 200


@pytest.mark.parametrize(
    "bad",
    [
        {"port": 0},
        {"port": 65536},
        {"port": "1; rm -rf /"},
        {"port": True},
        {"internal": None},
        {"protocols": []},
        {"protocols": "sctp"},
        {"address": "evil.example"},
        {"gateway": None},
        {"spoken": "\x1b]0;x"},
        {"restarts": "x"},
        {"restarts": float("inf")},
        {"address": "fe80::1%wg0\nnetjaild: all is well"},
        {"gateway": "fe80::1%\x1b[2J"},
        {"address": 184549377},
    ],
)
def test_what_is_not_of_the_form_is_not_believed(state: Path, bad: dict[str, Any]) -> None:
    state.write_text(json.dumps(GOOD | bad))
    assert borrowed.read("vpn") == NOTHING


def test_brackets_in_brackets_are_no_more_than_nonsense(state: Path) -> None:
    state.write_text("[" * 4096)
    assert borrowed.read("vpn") == NOTHING


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.binary(max_size=3000))
def test_no_bytes_hurt(state: Path, data: bytes) -> None:
    state.write_bytes(data)
    assert borrowed.read("vpn").port is None


_ONE = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.floats()
_JSON = _ONE | st.lists(_ONE, max_size=2) | st.dictionaries(st.text(max_size=3), _ONE, max_size=2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.fixed_dictionaries({key: st.just(value) | _JSON for key, value in GOOD.items()}))
def test_no_values_hurt(state: Path, data: dict[str, Any]) -> None:
    state.write_text(json.dumps(data))
    found = borrowed.read("vpn")
    assert found.port is None or 0 < found.port < 65536
    assert found.text is None or found.text.isprintable()


def test_the_file_for_programs_comes_changes_and_goes(state: Path, tmp_path: Path) -> None:
    shown = tmp_path / "view" / "vpn" / "port"
    log = tmp_path / "log"
    log.write_bytes(b"x" * (1 << 17))
    for port in (40001, 40002):
        state.write_text(json.dumps(GOOD | {"port": port}))
        borrowed.publish("vpn", str(log))
        assert shown.read_text() == f"{port}\n"
        assert shown.stat().st_mode & 0o777 == 0o644
    assert log.stat().st_size == 0
    before = shown.stat().st_ino
    borrowed.publish("vpn", str(log))
    assert shown.stat().st_ino == before, "what is there already is not written again"
    state.write_text(json.dumps(GOOD | {"port": None, "text": "gone"}))
    borrowed.publish("vpn", str(log))
    assert not shown.exists()


def test_a_jail_that_is_just_going_is_no_error(state: Path, tmp_path: Path) -> None:
    state.write_text(json.dumps(GOOD))
    (tmp_path / "view" / "vpn").rmdir()
    assert borrowed.publish("vpn", str(tmp_path / "log")).port == 40001
    assert not (tmp_path / "view" / "vpn").exists()


def test_it_may_be_made_known_by_several_at_once(state: Path, tmp_path: Path, capfd: Any) -> None:
    def publish(_number: int) -> int | None:
        (tmp_path / "view" / "vpn" / "port").unlink(missing_ok=True)
        return borrowed.publish("vpn", str(tmp_path / "log")).port

    state.write_text(json.dumps(GOOD))
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(publish, range(200))) == {40001}
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (NOTHING, NOTHING, None),
        (NOTHING, LENT, "the provider lends port 40001 of 11.0.0.1 (NAT-PMP)"),
        (LENT, LENT, None),
        (
            LENT,
            Lent(text="10.2.0.1 does not answer"),
            "port 40001 of the provider's is lost: 10.2.0.1 does not answer",
        ),
        (NOTHING, Lent(text="it refuses"), "no port of the provider's: it refuses"),
        (Lent(text="it refuses"), Lent(text="it refuses"), None),
        (
            LENT,
            Lent(40002, 51413, ("tcp",), None, "10.2.0.1", "PCP"),
            "the provider lends port 40002 for TCP alone, which leads to port 51413 here (PCP)",
        ),
        (
            LENT,
            Lent(40001, 40001, ("tcp", "udp"), "11.0.0.1", "10.2.0.1", "NAT-PMP", None, 1),
            "10.2.0.1 has begun anew; it lends port 40001 of 11.0.0.1 again",
        ),
    ],
)
def test_what_has_happened_is_a_sentence(before: Lent, now: Lent, said: str | None) -> None:
    assert sentence(before, now) == said
