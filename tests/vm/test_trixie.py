# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian 13 as acceptance machine; see vmcase."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from vmcase import MARKS, image, possible, test_in_machine, test_package_has_no_errors

sys.path.pop(0)

__all__ = ["image", "possible", "test_in_machine", "test_package_has_no_errors"]

DEBIAN = "trixie"
pytestmark = MARKS
