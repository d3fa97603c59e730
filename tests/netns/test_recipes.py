# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipes in docs/recipes, each done exactly as printed (recipe.py says how they are read), by
root on a stage of its own. The provider's files of the stage are there as stockholm.conf and
zurich.conf."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from recipe import Command, files, judge, kernel_has, pattern, read, script
from teststage import ROOT, TestStage

from netjail.demo.stage import which

RECIPES = ROOT / "docs" / "recipes"
_HOME = "/run/root"


@pytest.fixture(scope="module")
def place(stage_possible: None) -> Iterator[TestStage]:
    with TestStage(providers=2) as made:
        made.home.run(["mkdir", "-p", f"{_HOME}/bin", f"{_HOME}/.files"], check=True)
        shim = f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m netjail "$@"\n'
        made.write("bin/netjail", shim)
        made.home.run(["chmod", "700", f"{_HOME}/bin/netjail"], check=True)
        yield made


def every() -> list[object]:
    found = []
    for path in sorted(RECIPES.glob("*.md")):
        marks = [pytest.mark.slow] if "<!-- slow -->" in path.read_text() else []
        if path.name != "README.md":
            found.append(pytest.param(path, id=path.stem, marks=marks))
    return found


@pytest.mark.parametrize("path", every())
def test_as_printed(path: Path, place: TestStage) -> None:
    recipe = read(path.read_text(encoding="utf-8"))
    missing = [program for program in recipe.needs if which(program) is None]
    if missing:
        pytest.skip(f"not installed: {' '.join(missing)}")
    missing = [qdisc for qdisc in recipe.qdiscs if not kernel_has(qdisc)]
    if missing:
        pytest.skip(f"this kernel has no {' '.join(missing)}")
    place.write("stockholm.conf", place.provider_conf)
    place.write("zurich.conf", place.provider2_conf)
    for number, text in enumerate(files(recipe)):
        place.write(f".files/{number}", text)
    place.write("recipe.sh", script(recipe, _HOME))
    before = traces(place)
    resolv = Path(place.home.path("/etc/resolv.conf")).read_text()
    path_ = f"{_HOME}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    env: dict[str, str | None] = {
        "PATH": path_,
        "NO_COLOR": "1",
        "COLUMNS": "200",
        "LANG": "C.UTF-8",
    }
    try:
        place.home.run(["bash", f"{_HOME}/recipe.sh"], env=env, timeout=300)
        judge(recipe, Path(place.home.path(f"{_HOME}/said")).read_text())
        assert Path(place.home.path("/etc/resolv.conf")).read_text() == resolv
    finally:
        place.home.run([f"{_HOME}/bin/netjail", "down", "--all", "--kill"], env=env, timeout=120)
        left = traces(place)
        place.home.run(
            ["sh", "-c", f"rm -rf /etc/netjail/* {_HOME}/*.toml {_HOME}/*.conf {_HOME}/lab"]
        )
    assert left == before


def traces(place: TestStage) -> str:
    """What a jail, a link or a switch might leave behind."""
    look = (
        "ls /run/netns 2>/dev/null; ip -br link | cut -d' ' -f1 | cut -d@ -f1 | sort;"
        "nft list tables 2>/dev/null;"
        "find /run/netjail/jails /run/netjail/switches /etc/netns -mindepth 1 2>/dev/null;"
        "for pid in $(pgrep 'ovs|wireguard-go|dnsmasq'); do "
        '[ "$(readlink /proc/$pid/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ] && '
        "cat /proc/$pid/comm; done; true"
    )
    return str(place.home.run(["sh", "-c", look], timeout=60).stdout)


def test_a_session_is_read_as_printed() -> None:
    text = (
        "# A\n```toml a.toml\nversion = 1\n```\n```console\n# one \\\n  two\nsaid ... so\n...\n"
        "end\n# three\n```\n<!-- needs: x y -->\n"
    )
    recipe = read(text)
    assert recipe.needs == ("x", "y")
    assert recipe.steps == (
        ("a.toml", "version = 1\n"),
        Command("one \\\n  two", ("said ... so", "...", "end")),
        Command("three", ()),
    )
    wanted = pattern(("said ... so", "...", "end"))
    assert re.fullmatch(wanted, "said x.y so\nand\nmore\nend\n")
    assert re.fullmatch(wanted, "said x so\nend  \n")
    assert not re.fullmatch(wanted, "said x so\nand\n")
