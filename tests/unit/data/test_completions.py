# SPDX-License-Identifier: GPL-3.0-or-later
"""Completion in real shells, with a `netjail` that knows three profiles and two switches."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

ROOT = Path(__file__).resolve().parents[3]
DIRECTORY = ROOT / "data" / "completions"
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")

Complete = Callable[..., list[str]]


def test_files_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "completion.py", "--check"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory to be in, with a `netjail` first in PATH."""
    tmp_path = tmp_path_factory.mktemp("home")
    program = tmp_path / "bin" / "netjail"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\n[ "$*" = "_complete profiles" ] && printf "%s\\n" lab vpn vpn-se\n'
        '[ "$*" = "_complete switches" ] && printf "%s\\n" attic cellar\n'
    )
    program.chmod(0o755)
    (tmp_path / "provider.conf").write_text("")
    (tmp_path / "sub dir").mkdir()
    (tmp_path / "profile-of-mine").write_text("")  # no glob of ours may find it
    return tmp_path


@pytest.fixture(scope="module")
def environ(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in ("LANG", "LC_ALL")}
    return {
        **kept,
        "PATH": f"{home}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "TERM": "dumb",
    }


BASH = r"""
[[ -z $WITH ]] || source "$WITH"
source "$FILE"
COMP_LINE=$LINE COMP_POINT=${#LINE} COMP_TYPE=9 COMP_KEY=9
mapfile -t COMP_WORDS < <(printf '%s' "$WORDS")
[[ $WORDS != *$'\n' ]] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { :; }
_netjail netjail "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


def bash(home: Path, environ: dict[str, str], alone: bool) -> Complete:
    """Completes words, the last of them at the cursor. `=` is a word of its own in bash."""
    shell = shutil.which("bash")
    if not shell:
        pytest.skip("bash is not installed")
    if not alone and not BASH_COMPLETION.exists():
        pytest.skip("the package bash-completion is not installed")

    def complete(*words: str) -> list[str]:
        done = subprocess.run(
            [shell, "--norc", "--noprofile", "-c", BASH],
            cwd=home,
            env={
                **environ,
                "WITH": "" if alone else str(BASH_COMPLETION),
                "FILE": str(DIRECTORY / "netjail.bash"),
                "LINE": " ".join(("netjail", *words)),
                "WORDS": "\n".join(("netjail", *words)),
            },
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        return sorted(line for line in done.stdout.split("\n") if line)

    return complete


def fish(home: Path, environ: dict[str, str]) -> Complete:
    shell = shutil.which("fish")
    if not shell:
        pytest.skip("fish is not installed")

    def complete(*words: str) -> list[str]:
        line = " ".join(("netjail", *words)).replace(" = ", "=")
        code = 'source $FILE; complete -C "$LINE"'
        done = subprocess.run(
            [shell, "--no-config", "-c", code],
            cwd=home,
            env={**environ, "FILE": str(DIRECTORY / "netjail.fish"), "LINE": line},
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        return sorted(line.split("\t")[0] for line in done.stdout.splitlines())

    return complete


ZSHRC = r"""
PS1='> '
unsetopt prompt_cr prompt_sp beep
KEYTIMEOUT=1
fpath=($COMPLETIONS $fpath)
autoload -Uz compinit && compinit -u -D
# Besides offering them, write down what is offered.
compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
        builtin compadd "$@"
        return $?
    fi
    typeset -a __hits
    builtin compadd -A __hits "$@"
    print -rl -- $__hits >>$OFFERED
    builtin compadd "$@"
}
zle -C write-down list-choices _main_complete
finish() { zle write-down; print >$OFFERED.done; zle send-break }
zle -N finish
bindkey '^X' finish
print READY
"""


@pytest.fixture(scope="module")
def zsh(home: Path, environ: dict[str, str]) -> Iterator[Complete]:
    """One zsh for all questions: it takes a while to start."""
    shell = shutil.which("zsh")
    if not shell:
        pytest.skip("zsh is not installed")
    (home / ".zshrc").write_text(ZSHRC)
    offered, done = home / ".offered", home / ".offered.done"
    env = {**environ, "COMPLETIONS": str(DIRECTORY), "OFFERED": str(offered), "ZDOTDIR": str(home)}
    child = pexpect.spawn(shell, ["-d"], env=env, cwd=str(home), timeout=20)

    def complete(*words: str) -> list[str]:
        for path in (offered, done):
            path.unlink(missing_ok=True)
        child.send(" ".join(("netjail", *words)).replace(" = ", "=") + "\x18")
        deadline = time.monotonic() + 20
        while not done.exists():
            assert time.monotonic() < deadline, "zsh does not come to an end"
            try:
                child.read_nonblocking(4096, timeout=0.01)
            except pexpect.TIMEOUT:
                pass
        text = offered.read_text() if offered.exists() else ""
        return sorted(set(text.split("\n")) - {""})

    try:
        child.expect_exact("READY")
        child.expect_exact("> ")
        yield complete
    finally:
        child.close(force=True)


@pytest.fixture(params=["bash", "bash alone", "zsh", "fish"])
def ask(request: pytest.FixtureRequest, home: Path, environ: dict[str, str]) -> Complete:
    """The same question to each shell. The last word is the one at the cursor."""
    if request.param == "zsh":
        return request.getfixturevalue("zsh")
    if request.param == "fish":
        return fish(home, environ)
    return bash(home, environ, alone=request.param == "bash alone")


PROFILES = {"lab", "vpn", "vpn-se"}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ru"], {"run"}),
        (["prof"], {"profile"}),
        (["profile", ""], {"add", "edit", "remove", "show", "validate"}),
        (["run", ""], PROFILES),
        (["run", "vp"], {"vpn", "vpn-se"}),
        (["run", "--no-wait", "l"], {"lab"}),
        (["run", "-u", "root", ""], PROFILES),
        (["run", "--user", "root", "--wait", "3", ""], PROFILES),
        (["run", "-u", "roo"], {"root"}),
        (["run", "vpn", "dirnam"], {"dirname"}),
        (["run", "vpn", "--", "dirnam"], {"dirname"}),
        (["--json", "status", "l"], {"lab"}),
        (["status", "--json", "l"], {"lab"}),
        (["up", "lab", "vpn-"], {"vpn-se"}),
        (["down", "--kill", ""], PROFILES),
        (["profile", "show", "l"], {"lab"}),
        (["profile", "remove", "lab", "vpn-"], {"vpn-se"}),
        (["import", "--through", ""], PROFILES),
        (["switch", "show", ""], {"attic", "cellar"}),
        (["switch", "edit", "c"], {"cellar"}),
        (["switch", "status", ""], {"attic", "cellar"}),
        (["switch", "remove", "attic", ""], {"attic", "cellar"}),
        (["help", "pro"], {"profile"}),
        (["status", "vpn", ""], set()),
        (["shell", "vpn", ""], set()),
        (["nonsense", ""], set()),
    ],
    ids=lambda words: " ".join(words if isinstance(words, list) else sorted(words)),
)
def test_offers(ask: Complete, words: list[str], offered: set[str]) -> None:
    # where no argument fits any more, zsh offers options by itself
    found = {word for word in ask(*words) if not word.startswith("-")}
    assert found == offered


def test_all_verbs(ask: Complete) -> None:
    from netjail.cli import verbs

    firsts = {verb.split(" ")[0] for verb in verbs.MODULES}
    assert set(ask("")) == firsts
    assert set(ask("help", "")) == firsts


@pytest.mark.parametrize("words", [["run", "--"], ["run", "--wait", "3", "--"]])
def test_options_of_ours_before_the_profile(ask: Complete, words: list[str]) -> None:
    assert {"--user", "--no-wait", "--help"} <= {w.rstrip("=") for w in ask(*words)}


@pytest.mark.parametrize("words", [["run", "vpn", "--"], ["run", "vpn", "true", "--"]])
def test_no_option_of_ours_after_it(ask: Complete, words: list[str]) -> None:
    assert "--no-wait" not in ask(*words)


def test_files(ask: Complete) -> None:
    found = {word.rstrip("/") for word in ask("import", "")}
    assert {"provider.conf", "sub dir"} <= {word.replace("\\", "") for word in found}


@pytest.mark.parametrize("verb", ["up", "down", "status", "validate"])
def test_directories_of_labs(ask: Complete, verb: str) -> None:
    found = {word.rstrip("/").replace("\\", "") for word in ask("lab", verb, "")}
    assert "sub dir" in found and "provider.conf" not in found


def test_value_after_equals(ask: Complete) -> None:
    found = {word.removeprefix("--through=") for word in ask("import", "--through", "=", "vpn-")}
    assert found == {"vpn-se"}


def test_signals(ask: Complete) -> None:
    assert {w.removeprefix("SIG") for w in ask("kill", "-s", "")} >= {"HUP", "KILL", "TERM"}


def test_command_in_the_command(ask: Complete, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["ask"] == "bash alone":
        pytest.skip("without its package, bash has no means to complete another command")
    assert ask("run", "vpn", "netjail", "up", "l") == ["lab"]


def test_interactive_bash(home: Path, environ: dict[str, str]) -> None:
    """As a person has it: the file is loaded, TAB is pressed."""
    shell = shutil.which("bash")
    if not shell:
        pytest.skip("bash is not installed")
    child = pexpect.spawn(shell, ["--norc", "--noprofile"], env=environ, cwd=str(home), timeout=20)
    try:
        child.sendline(f"bind 'set enable-bracketed-paste off'; . {DIRECTORY}/netjail.bash")
        child.sendline("PS1='ready> '")
        child.expect_exact("\nready> ")
        child.send("netjail st\tla\t")
        child.expect_exact("netjail status lab ")
    finally:
        child.close(force=True)
