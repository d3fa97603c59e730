# SPDX-License-Identifier: GPL-3.0-or-later
"""netjail.desktop and the AppStream metainfo: valid, and no promise that is not kept."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

import netjail
from netjail.cli import verbs

ROOT = Path(netjail.__file__).parents[1]
DESKTOP = ROOT / "netjail.desktop"
METAINFO = ROOT / "data" / "org.netjail.Netjail.metainfo.xml"


def entry() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters="=", comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DESKTOP, encoding="utf-8")
    return parser


def test_wheels_carry_it() -> None:
    assert (ROOT / "data" / "applications" / DESKTOP.name).resolve() == DESKTOP.resolve()
    assert (ROOT / "netjail" / "data").resolve() == (ROOT / "data").resolve()


def test_starts_verbs_that_exist() -> None:
    for section in entry().values():
        if "Exec" in section:
            program, verb = section["Exec"].split()[:2]
            assert program == "netjail"
            assert verb in verbs.MODULES


def test_menus_show_it() -> None:
    assert "NoDisplay" not in entry()["Desktop Entry"]
    assert entry()["Desktop Entry"]["Exec"] == "netjail tray"
    kind = ElementTree.parse(METAINFO).getroot().get("type")
    assert kind == "desktop-application"


def test_actions_are_all_there() -> None:
    sections = entry()
    named = [name for name in sections["Desktop Entry"]["Actions"].split(";") if name]
    assert [f"Desktop Action {name}" for name in named] == sections.sections()[1:]


def test_icon_is_ours() -> None:
    assert entry()["Desktop Entry"]["Icon"] == "org.netjail.Netjail"
    assert ElementTree.parse(METAINFO).findtext("icon") == "org.netjail.Netjail"


@pytest.mark.skipif(
    not shutil.which("desktop-file-validate"), reason="desktop-file-validate is not installed"
)
def test_desktop_file_validate() -> None:
    done = subprocess.run(["desktop-file-validate", DESKTOP], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("appstreamcli"), reason="appstreamcli is not installed")
def test_appstream() -> None:
    """Nothing but what is known: newer versions warn that there is no home page (there is none)."""
    done = subprocess.run(
        ["appstreamcli", "validate", "--no-net", METAINFO], capture_output=True, text=True
    )
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    found = [line for line in lines if line.startswith(("E:", "W:"))]
    assert [line for line in found if "url-homepage-missing" not in line] == []
    assert done.returncode == 0 or found


def test_release_is_ours() -> None:
    releases = ElementTree.parse(METAINFO).findall("releases/release")
    assert releases[0].get("version") == netjail.__version__
