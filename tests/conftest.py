# SPDX-License-Identifier: GPL-3.0-or-later
"""For all tests: how long an example of hypothesis takes is the machine's affair, not a failure; in
what order they come.

The examples are the same in each run, so that a commit that passes passes again; for others, set
NETJAIL_TESTS_RANDOM=1."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "netjail",
    deadline=None,
    derandomize="NETJAIL_TESTS_RANDOM" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("netjail")


FIRST = ("/tests/vm/", "/tests/fresh/", "/tests/desktop/")
"""What takes long and waits much: where several processes share the tests, it is begun first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, else as they were."""

    def place(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((at for at, part in enumerate(FIRST) if part in path), len(FIRST))

    items.sort(key=place)
