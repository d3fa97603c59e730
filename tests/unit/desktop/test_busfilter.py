# SPDX-License-Identifier: GPL-3.0-or-later
"""By which name a second Firefox behind the filter may find the first."""

from __future__ import annotations

import pytest

from netjail.desktop import busfilter

PLAIN = "org.mozilla.firefox.L3J1bi9ob21lL2FsaWNlL3BsYWlu"
"""As a Firefox ESR 153 was seen to own it with --profile /run/home/alice/plain."""


@pytest.mark.parametrize(
    "words",
    [
        ["firefox", "--profile", "/run/home/alice/plain", "https://example.net"],
        ["/usr/bin/firefox-esr", "-profile", "/run/home/alice/plain"],
        ["env", "A=b", "firefox", "--profile=/run/home/alice/plain/"],
    ],
)
def test_that_of_its_own_data(words: list[str]) -> None:
    assert busfilter.remote_of(words, ["org.mozilla.firefox.other"]) == {PLAIN}
    assert busfilter.remote_of(words, [PLAIN]) == set(), "somebody outside has it"


def test_any_where_it_does_not_say_unless_one_is_outside() -> None:
    assert busfilter.remote_of(["firefox"], []) == {"org.mozilla.firefox.*"}
    assert busfilter.remote_of(["firefox"], [PLAIN]) == set()


def test_nothing_for_others() -> None:
    assert busfilter.remote_of(["xterm"], []) == set()
    assert busfilter.remote_of(["chromium"], []) == set()
    assert busfilter.remote_of(["flatpak", "run", "org.mozilla.firefox"], []) == set()
