# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipes in docs/recipes, each done exactly as printed, by root on a stage of its own.

A recipe is Markdown. Of its fenced blocks,

    ```toml server.toml        is a file of that name in the current directory (in any language),
    ```console                 is a session: what comes after "# " is a command (with the lines
                               after it as long as one ends in a backslash), what follows is what
                               it says.

In what is said, "..." stands for anything within a line, and a line of its own for any number of
lines; the width of blanks does not matter; nothing printed at all means that nobody cares. Every
command must succeed. Commands share one shell. A recipe leaves nothing behind: no
namespace, interface, process, file in /run/netjail.
`<!-- needs: PROGRAM ... -->` skips where one is not installed, `<!-- qdisc: netem -->` where the
kernel has no such queueing discipline; `<!-- slow -->` is for those that
take longer than three seconds.

The provider's files of the stage are there as stockholm.conf and zurich.conf.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from teststage import ROOT, TestStage

from netjail.demo.stage import which

RECIPES = ROOT / "docs" / "recipes"
_BLOCK = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HOME = "/run/root"
_MARK = "\x1e"


@dataclass(frozen=True)
class Command:
    """What is typed, and the lines that it says by the recipe."""

    text: str
    said: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """`steps`: files (name, text) and commands, in order."""

    steps: tuple[tuple[str, str] | Command, ...]
    needs: tuple[str, ...]
    qdiscs: tuple[str, ...] = ()


def read(text: str) -> Recipe:
    steps: list[tuple[str, str] | Command] = []
    for language, name, body in _BLOCK.findall(text):
        if name:
            steps.append((name, body))
        elif language == "console":
            steps += session(body)
    needs = re.findall(r"<!-- needs: (.*?) -->", text)
    qdiscs = re.findall(r"<!-- qdisc: (\w+) -->", text)
    return Recipe(tuple(steps), tuple(" ".join(needs).split()), tuple(qdiscs))


def kernel_has(qdisc: str) -> bool:
    words = ["unshare", "-n", "tc", "qdisc", "add", "dev", "lo", "root", qdisc]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def session(body: str) -> list[Command]:
    commands: list[Command] = []
    goes_on = False
    for line in body.splitlines():
        if goes_on:
            commands[-1] = Command(f"{commands[-1].text}\n{line}", ())
            goes_on = line.endswith("\\")
        elif line.startswith("# "):
            commands.append(Command(line[2:], ()))
            goes_on = line.endswith("\\")
        else:
            last = commands[-1]
            commands[-1] = Command(last.text, (*last.said, line))
    return commands


def pattern(lines: tuple[str, ...]) -> str:
    """What a recipe prints, as a regular expression for all that a command says."""
    parts = []
    for line in lines:
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            words = map(re.escape, line.rstrip().split("..."))
            # columns are as wide as what stands in them this time
            parts.append(re.sub(r"(\\ )+", " +", ".*".join(words)) + r" *\n")
    return "".join(parts)


def script(recipe: Recipe) -> str:
    """A shell script that does it all; what each command says stands between marks."""
    lines = [f"cd {_HOME}", f"exec > {_HOME}/said 2>&1"]
    number = 0
    for step in recipe.steps:
        if isinstance(step, Command):
            lines.append(f"printf '{_MARK}begin\\n'")
            lines.append(f"{{ {step.text}\n}} < /dev/null")
            lines.append(f"printf '{_MARK}%s\\n' $?")
        else:
            name, _ = step
            lines.append(f"cp {_HOME}/.files/{number} {_HOME}/{name}")
            number += 1
    lines.append("kill $(jobs -p) 2>/dev/null; wait")
    return "\n".join(lines) + "\n"


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
    files = [step for step in recipe.steps if not isinstance(step, Command)]
    for number, (_, text) in enumerate(files):
        place.write(f".files/{number}", text)
    place.write("recipe.sh", script(recipe))
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


def judge(recipe: Recipe, said: str) -> None:
    """Each command has succeeded, and has said what is printed."""
    commands = [step for step in recipe.steps if isinstance(step, Command)]
    parts = said.split(f"{_MARK}begin\n")[1:]
    assert len(parts) == len(commands), said
    for command, part in zip(commands, parts, strict=True):
        text, _, status = part.partition(_MARK)
        assert status.split("\n")[0] == "0", f"# {command.text}\n{text}\n(the whole: {said})"
        if command.said:
            wanted = pattern(command.said)
            printed = "\n".join(command.said)
            assert re.fullmatch(wanted, text), f"# {command.text}\n{text}\n-- printed:\n{printed}"


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
