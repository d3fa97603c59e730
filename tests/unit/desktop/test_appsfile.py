# SPDX-License-Identifier: GPL-3.0-or-later
"""apps.toml: what is written is read back, and all that is wrong is told at once."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netjail.desktop import appsfile
from netjail.desktop.appsfile import Apps, Launcher, Pin
from netjail.errors import NetjailError

IDS = st.from_regex(r"[A-Za-z0-9._ -]{1,20}\.desktop", fullmatch=True)
PROFILES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,30}", fullmatch=True)
PATHS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0")).map(
    lambda text: "/" + text
)
HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
PINS = st.builds(Pin, IDS, PROFILES, PATHS, HASHES, st.sampled_from(["", "org.example.App"]))
DEFAULTS = st.lists(st.just("text/html=a.desktop"), max_size=1).map(tuple)
LAUNCHERS = st.builds(Launcher, IDS, IDS, PROFILES, PATHS, HASHES, DEFAULTS)


@given(
    st.lists(PINS, unique_by=lambda p: p.entry_id),
    st.lists(LAUNCHERS, unique_by=lambda x: x.entry_id),
)
def test_what_is_written_is_read_back(pins: list[Pin], launchers: list[Launcher]) -> None:
    apps = Apps(tuple(pins), tuple(launchers))
    assert appsfile.parse(appsfile.dump(apps).encode()) == apps


BROKEN = b"""
version = 2
colour = "blue"
[[pin]]
entry = "../x"
profile = "Not A Name"
source = "relative"
sha256 = "12"
bus_name = "a/b"
extra = 1
[[pin]]
entry = "a.desktop"
[[launcher]]
entry = "b.desktop"
of = 3
profile = "vpn"
source = "/x"
sha256 = "%s"
defaults = ["nonsense"]
""" % (b"a" * 64)


def test_all_problems_at_once() -> None:
    with pytest.raises(NetjailError) as caught:
        appsfile.parse(BROKEN)
    assert caught.value.code == "invalid-file"
    assert list(caught.value.problems) == [
        "version: this netjail reads version 1, not 2",
        "colour: there is no such key",
        "pin 1: there is no key extra",
        "pin 1: entry must be a desktop file ID, like \"firefox.desktop\"; it is '../x'",
        "pin 1: profile must be a profile's name; it is 'Not A Name'",
        "pin 1: source must be an absolute path; it is 'relative'",
        "pin 1: sha256 must be 64 hexadecimal digits; it is '12'",
        "pin 1: bus_name must be a name; it is 'a/b'",
        "pin 2: profile must be a profile's name; it is missing",
        "pin 2: source must be an absolute path; it is missing",
        "pin 2: sha256 must be 64 hexadecimal digits; it is missing",
        'launcher 1: of must be a desktop file ID, like "firefox.desktop"; it is 3',
        "launcher 1: defaults must be a list of \"TYPE=ID\"; it is ['nonsense']",
    ]


@pytest.mark.parametrize(
    "data", [b"\xff", b"version = ", b"version = 1\npin = 3", b"version = true", b""]
)
def test_other_nonsense(data: bytes) -> None:
    with pytest.raises(NetjailError) as caught:
        appsfile.parse(data)
    assert caught.value.problems


def test_an_entry_stands_there_once() -> None:
    pin = Pin("a.desktop", "vpn", "/x", "a" * 64)
    with pytest.raises(NetjailError) as caught:
        appsfile.parse(appsfile.dump(Apps((pin, pin))).encode())
    assert caught.value.problems == ("pin: a.desktop stands there twice",)


def test_the_file_is_the_users_alone(user) -> None:
    assert appsfile.load() == Apps()
    appsfile.save(Apps((Pin("a.desktop", "vpn", "/x", "a" * 64),)))
    assert os.stat(appsfile.path()).st_mode & 0o777 == 0o600
    assert appsfile.load().pin("a.desktop") is not None
