# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe's other half: the same program outside, run by whoever asks, as themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from netjail.errors import NetjailError

SECONDS = 20.0
"""More than the probe takes where nobody answers."""


def argv(options: dict[str, Any]) -> list[str]:
    """The command line of a probe; the same inside."""
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probe.py")
    return [sys.executable, "-I", "-S", program, json.dumps(options)]


def look(options: dict[str, Any]) -> str:
    """What the probe says here, as text. Raises NetjailError."""
    try:
        done = subprocess.run(
            argv(options),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetjailError("system", f"the probe outside failed: {error}") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise NetjailError("system", f"the probe outside failed: {''.join(said) or 'no word'}")
    return done.stdout.decode("utf-8", "replace")
