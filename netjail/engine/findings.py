# SPDX-License-Identifier: GPL-3.0-or-later
"""What `netjail doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `code` is stable; `hint` says what to do, None where nothing needs doing."""

    code: str
    title: str
    status: Status
    text: str
    hint: str | None = None
