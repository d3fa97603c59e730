# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes: how docs/recipes/*.md are read, done and judged.

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

The acceptance machine (tests/vm) reads this file too: the standard library is all it has.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

_BLOCK = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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


def files(recipe: Recipe) -> list[str]:
    """What is in its files, in order."""
    return [step[1] for step in recipe.steps if not isinstance(step, Command)]


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


def script(recipe: Recipe, home: str) -> str:
    """A shell script that does it all in the directory `home`, where the recipe's files are as
    .files/0, 1, ...; what each command says stands between marks in the file `said`."""
    lines = [f"cd {home}", f"exec > {home}/said 2>&1"]
    number = 0
    for step in recipe.steps:
        if isinstance(step, Command):
            lines.append(f"printf '{_MARK}begin\\n'")
            lines.append(f"{{ {step.text}\n}} < /dev/null")
            lines.append(f"printf '{_MARK}%s\\n' $?")
        else:
            name, _ = step
            lines.append(f"cp {home}/.files/{number} {home}/{name}")
            number += 1
    lines.append("kill $(jobs -p) 2>/dev/null; wait")
    return "\n".join(lines) + "\n"


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
