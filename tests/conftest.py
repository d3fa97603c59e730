# SPDX-License-Identifier: GPL-3.0-or-later
"""For all tests: how long an example of hypothesis takes is the machine's affair, not a failure."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("netjail", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("netjail")
