# SPDX-License-Identifier: GPL-3.0-or-later
"""The acceptance machine under pytest: what is tested of each Debian, in a file of its own, so that
one is made while the other runs. tests/vm/run.sh does the same by hand, and says what it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import vmimage
import vmrun

sys.path.pop(0)

MARKS = [pytest.mark.vm, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def possible() -> None:
    """Skips, with the reason, where no image can be built or booted."""
    reason = vmimage.impossible()
    if reason:
        pytest.skip(f"no virtual machine here: {reason}")


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest) -> vmimage.Image:
    try:
        return vmimage.get(request.module.DEBIAN)
    except vmimage.BuildError as error:
        if error.skip:
            pytest.skip(f"no virtual machine here: {error}")
        raise


def test_in_machine(image: vmimage.Image) -> None:
    outcome = vmrun.run(image, vmrun.suites(image.suite))
    vmrun.report(image, outcome)
    failed = [
        f"{each.suite}: {each.title}\n{each.detail}" for each in outcome.results if not each.ok
    ]
    assert not failed + outcome.problems, "\n".join([*outcome.problems, *failed])
    assert outcome.results


def test_package_has_no_errors(image: vmimage.Image) -> None:
    """lintian has nothing at error level on the package that was built."""
    if subprocess.run(["sh", "-c", "command -v lintian"], capture_output=True).returncode != 0:
        pytest.skip("needs lintian")
    (changes,) = image.deb.parent.glob("*.changes")
    done = subprocess.run(
        ["lintian", "--fail-on", "error", "--allow-root", str(changes)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
