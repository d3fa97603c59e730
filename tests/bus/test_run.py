# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail run` by users whom real polkit judges; the bus starts the helper."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import world as worlds
from world import PASSWORD, World

pexpect = pytest.importorskip("pexpect")
pytestmark = pytest.mark.skipif(worlds.missing() is not None, reason=str(worlds.missing()))

NONE = 'version = 1\nusers = []\n[uplink]\nkind = "none"\n'


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    made.install_service()
    made.write("/run/put.toml", NONE)
    done = made.netjail("profile", "add", "--name", "shared", "/run/put.toml")
    assert done.returncode == 0, done.stderr
    yield made
    log = made.log()
    made.close()
    assert "Traceback" not in log, log


def terminal(world: World, *words: str, user: str) -> Any:
    argv = world.argv((sys.executable, "-m", "netjail", *words), user)
    return pexpect.spawn(argv[0], argv[1:], timeout=20, encoding="utf-8", env={"TERM": "xterm"})


def test_without_a_password(world: World) -> None:
    done = world.netjail("run", "shared", "id", "-un", user="alice")
    assert (done.returncode, done.stdout) == (0, "alice\n"), done
    done = world.netjail("run", "shared", "sh", "-c", "exit 6", user="dave")
    assert done.returncode == 6, done


def test_not_at_all(world: World) -> None:
    done = world.netjail("run", "shared", "id", user="bob")
    assert done.returncode == 125 and "you may not use profile shared" in done.stderr, done
    done = world.netjail("--no-ask-password", "run", "shared", "id", user="carol")
    assert done.returncode == 125 and done.stdout == "", done


def test_a_password_on_the_terminal_and_then_the_program(world: World) -> None:
    for pause in (0.2, 11):  # longer than a process is kept ready
        child = terminal(
            world, "run", "shared", "sh", "-c", "id -un; read x; exit $x", user="carol"
        )
        child.expect("Password: ")
        time.sleep(pause)
        child.sendline(PASSWORD)
        child.expect("COMPLETE")
        child.expect("carol\r\n")
        child.sendline("9")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 9


def test_a_wrong_password(world: World) -> None:
    child = terminal(world, "run", "shared", "id", user="carol")
    child.expect("Password: ")
    child.sendline("x")
    child.expect("FAILED")
    child.expect("you may not use profile shared")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 125
