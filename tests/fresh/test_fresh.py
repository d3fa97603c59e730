# SPDX-License-Identifier: GPL-3.0-or-later
"""README's two commands, as written, on a fresh Debian with nothing prepared. Some minutes each."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "netjail_tests_freshroot", Path(__file__).with_name("freshroot.py")
)
assert _spec is not None
assert _spec.loader is not None
freshroot = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = freshroot  # dataclasses look there
_spec.loader.exec_module(freshroot)

_reason = freshroot.why_not()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_reason is not None, reason=str(_reason)),
]


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def machine(request: pytest.FixtureRequest) -> Iterator[object]:
    try:
        with freshroot.fresh(request.param) as made:
            yield made
    except subprocess.CalledProcessError as error:
        said = str(error.stderr)
        if "Unable to connect" in said or "Temporary failure" in said:
            pytest.skip(f"no package source can be reached: {said.splitlines()[-1]}")
        raise AssertionError(f"mmdebstrap failed: {said}") from None


def run(machine, *argv: str, cwd: str = freshroot.CHECKOUT) -> str:
    root, carried = machine
    done = freshroot.run(root, argv, carried, cwd=cwd)
    assert done.returncode == 0, f"{argv}\n{done.stdout[-8000:]}"
    return done.stdout


def test_the_demo(machine) -> None:
    """packaging/demo.sh installs what it needs, shows what it says, and says where netjail is."""
    said = run(machine, "packaging/demo.sh")
    assert "Installing packages:" in said
    assert "claims hold" in said
    assert "✗" not in said
    assert "is installed: /usr/local/bin/netjail" in said
    assert run(machine, "sh", "-c", "command -v netjail") == "/usr/local/bin/netjail\n"
    writable = ["find", "/usr/local/lib/netjail", "(", "!", "-user", "root", "-o"]
    assert not run(machine, *writable, "-perm", "/022", ")", "!", "-type", "l")
    # The checkout is its user's, and stays as it was.
    assert not run(machine, "find", ".", "-user", "root")


def test_the_demo_again_from_elsewhere(machine) -> None:
    said = run(machine, f"{freshroot.CHECKOUT}/packaging/demo.sh", "--no-demo", cwd="/")
    assert "Installing packages" not in said
    assert run(machine, "netjail", "--version").startswith("netjail ")


def test_the_tests(machine) -> None:
    """tests/run.sh installs what it needs and does its job: the checks, all unit tests, and the
    demo with its proofs. Nothing else of --quick differs from the run that this one is part of;
    by hand, `tests/fresh/freshroot.py SUITE tests/run.sh --quick` does the whole of it."""
    said = run(machine, "tests/run.sh", "--quick", "tests/unit", "tests/netns/test_demo.py")
    assert " passed" in said
    assert not run(machine, "find", ".", "-xdev", "-user", "root", "-name", "*.pyc")


def test_taken_away_again(machine) -> None:
    run(machine, "packaging/demo.sh", "--remove")
    left = run(machine, "sh", "-c", "ls -d /usr/local/*/*netjail* 2>/dev/null || true")
    assert left == ""
