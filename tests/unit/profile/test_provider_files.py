# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a provider's file says, it is taken as data or refused in a sentence; while it is looked
at no file is opened, no program started, nobody asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings

from netjail.errors import NetjailError
from netjail.profile import ovpn, toml, wgquick
from netjail.profile.model import Dns, Profile
from tests.unit.profile import test_ovpn
from tests.unit.profile.grammar import (
    CANARY,
    NASTY_OPENVPN,
    NASTY_WIREGUARD,
    wireguard_files,
)

ACTS = (
    *("open", "os.", "subprocess.", "socket.", "shutil.", "tempfile.", "ctypes.dlopen"),
    *("pty.", "fcntl.", "mmap.", "glob.", "pathlib."),
)
"""Events of sys.audit(3) by which something is run, read or written."""
_watched: list[list[str]] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _watched and event.startswith(ACTS):
        _watched[-1].append(f"{event} {args!r:.200}")


sys.addaudithook(_audit)


@contextmanager
def watched() -> Iterator[list[str]]:
    """What this process does to the world meanwhile."""
    _watched.append([])
    try:
        yield _watched[-1]
    finally:
        _watched.pop()


def judged(read: Callable[[str], Any], text: str) -> str | None:
    """The profile that a file becomes, as text; None where it is refused."""
    try:
        with watched() as done:
            found = read(text)
    except NetjailError as error:
        assert error.code in ("invalid-profile", "import-refused")
        for said in (error.message, *error.problems):
            assert said and said.isprintable() and len(said) < 2000
        return None
    finally:
        assert done == []
    profile = Profile("x", found.uplink, Dns("uplink"))
    kept = toml.dump(profile)
    assert toml.parse("x", kept)[0] == profile
    assert all(item.text.isprintable() and item.why for item in found.left_out)
    return kept


def read_wireguard(text: str) -> Any:
    return wgquick.parse(wgquick.decode(text.encode()))


def read_openvpn(text: str) -> Any:
    return ovpn.parse(text, dict.fromkeys(ovpn.side_files(text), test_ovpn.CERT))


WARM = "[Interface]\nPrivateKey = x\n"


@pytest.fixture(autouse=True, scope="module")
def warm() -> None:
    """Modules that are imported at the first use are read then."""
    for seed in (WARM, *NASTY_WIREGUARD):
        with pytest.raises(NetjailError):
            read_wireguard(seed)
    from tests.unit.profile.examples import WG_QUICK

    assert wgquick.export(Profile("x", wgquick.parse(WG_QUICK).uplink, Dns("uplink")))
    test_ovpn.uplink(test_ovpn.HEAD + test_ovpn.BLOCKS)


def wireguard(text: str) -> None:
    kept = judged(read_wireguard, text)
    if kept is None:
        return
    assert CANARY not in kept and "ran" not in kept.split()
    exported = wgquick.export(toml.parse("x", kept)[0])
    assert CANARY not in exported and "PostUp" not in exported


@given(wireguard_files())
@settings(max_examples=60, deadline=None)
def test_wireguard_files_of_all_shapes(text: str) -> None:
    wireguard(text)


@pytest.mark.slow
@given(wireguard_files())
@settings(max_examples=1000, deadline=None)
def test_more_wireguard_files_than_all_providers_have(text: str) -> None:
    wireguard(text)


def openvpn(lines: list[str]) -> None:
    judged(read_openvpn, test_ovpn.HEAD + test_ovpn.BLOCKS + "\n".join(lines) + "\n")


@given(test_ovpn.files)
@settings(max_examples=60, deadline=None)
def test_openvpn_files_of_all_shapes(lines: list[str]) -> None:
    openvpn(lines)


@pytest.mark.slow
@given(test_ovpn.files)
@settings(max_examples=1000, deadline=None)
def test_more_openvpn_files_than_all_providers_have(lines: list[str]) -> None:
    openvpn(lines)


@pytest.mark.parametrize("text", NASTY_WIREGUARD, ids=range(len(NASTY_WIREGUARD)))
def test_wireguard_files_by_hand(text: str) -> None:
    assert judged(read_wireguard, text) is None


@pytest.mark.parametrize("text", NASTY_OPENVPN, ids=range(len(NASTY_OPENVPN)))
def test_openvpn_files_by_hand(text: str) -> None:
    assert CANARY not in (judged(read_openvpn, text) or "")


def test_what_is_done_would_be_noticed(tmp_path: Any) -> None:
    """The control."""
    with watched() as done:
        (tmp_path / "x").write_text("y")
    assert done


def test_the_grammar_makes_files_of_both_sorts() -> None:
    """The control: neither all good nor all bad."""
    found = {True: 0, False: 0}

    @given(wireguard_files())
    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    def count(text: str) -> None:
        found[judged(read_wireguard, text) is not None] += 1

    count()
    assert min(found.values()) >= 5, found
