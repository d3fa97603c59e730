# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual pages: current, complete, and such that troff and mandoc have no complaint."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from netjail import names
from netjail.cli import app, verbs
from netjail.profile import keys, switch

ROOT = Path(__file__).resolve().parents[3]
MAN = ROOT / "data" / "man"
PAGES = sorted(path.name for path in MAN.iterdir())


def shown(page: str) -> str:
    """The page as man(1) shows it, without its looks."""
    command = ["man", "--no-hyphenation", "--no-justification", "-l", str(MAN / page)]
    environ = {"PATH": "/usr/bin:/bin", "MANWIDTH": "200", "LC_ALL": "C.UTF-8"}
    text = subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout
    return re.sub(r".\x08|\x1b\[[0-9;]*m", "", text)


def has_man() -> bool:
    """Whether there is a man(1) that formats; minimal systems have one that only apologises."""
    if not shutil.which("man") or not shutil.which("groff"):
        return False
    command = ["man", "-l", str(MAN / "netjaild.8")]
    return "AUTHORISATION" in subprocess.run(command, capture_output=True, text=True).stdout


needs_man = pytest.mark.skipif(not has_man(), reason="needs man and groff")


def test_all_are_there_and_current() -> None:
    assert PAGES == ["netjail.1", "netjail.profile.5", "netjail.switch.5", "netjaild.8"]
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "manual.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_man
@pytest.mark.parametrize("page", PAGES)
def test_troff_has_no_complaint(page: str) -> None:
    command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(MAN / page)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
@pytest.mark.parametrize("page", PAGES)
def test_mandoc_has_no_complaint(page: str) -> None:
    command = ["mandoc", "-Tlint", "-Wwarning", str(MAN / page)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("page", PAGES)
def test_has_what_a_reader_looks_for(page: str) -> None:
    """lexgrog(1), and with it apropos(1), reads the NAME section."""
    text = (MAN / page).read_text(encoding="utf-8")
    sections = re.findall(r'^\.SH "?([^"\n]+)', text, re.MULTILINE)
    assert sections[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"]
    assert sections[-1] == "SEE ALSO"
    stem = page.rsplit(".", 1)[0]
    assert re.search(rf"^\.SH NAME\n{stem} \\- [a-z]", text, re.MULTILINE)


@needs_man
def test_every_verb_and_option() -> None:
    text = shown("netjail.1")
    for verb in verbs.MODULES:
        assert f"   {verb}\n       netjail {verb}" in text
        for action in app.load(verb).parser()._actions:
            for flag in () if action.help == argparse.SUPPRESS else action.option_strings:
                assert flag in text, (verb, flag)


@needs_man
def test_every_option_before_the_verb() -> None:
    listed = re.findall(r"^  (--[a-z-]+)", app.all_verbs().split("Options before")[1], re.MULTILINE)
    assert {"--json", "--version"} <= set(listed)
    text = shown("netjail.1").split("\nOPTIONS\n")[1].split("\nTHE VERBS")[0]
    for flag in listed:
        assert flag in text


@needs_man
def test_every_key() -> None:
    text = shown("netjail.profile.5")
    for key in keys.KEYS:
        assert re.search(rf"^       {re.escape(key.leaf)}\b", text, re.MULTILINE), key.name
    for name in (*keys.KINDS, *keys.LATER, *keys.LATER_KINDS):
        assert name in text


@needs_man
def test_every_key_of_a_switch() -> None:
    text = shown("netjail.switch.5")
    for key in switch.KEYS:
        assert re.search(rf"^       {re.escape(key.leaf)}\b", text, re.MULTILINE), key.name


@needs_man
def test_every_action() -> None:
    text = shown("netjaild.8")
    for action in names.ACTIONS:
        assert f"       {action}\n" in text
