# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user answers a VPN's server, on its way through the helper."""

from __future__ import annotations

import fake_engine
import pytest
from manager_stage import Stage

from netjail.daemon import methods
from netjail.errors import NetjailError
from netjail.uplinks.login import PASSWORD, USERNAME, Ask, Login, needed


def test_answers_are_checked_and_never_repeated() -> None:
    good = {"username": "carol", "password": 'p"ss w\\rd'}
    assert methods.check("up", {"profile": "vpn", "credentials": good})["credentials"] == good
    assert methods.check("up", {"profile": "vpn"})["credentials"] is None
    for bad in ({"password": "two\nlines-s3cret"}, {"password": 7}, {"other": "x"}, "text", [1]):
        with pytest.raises(NetjailError) as caught:
            methods.check("up", {"profile": "vpn", "credentials": bad})
        assert caught.value.code == "bad-request"
        assert "s3cret" not in str(caught.value.as_dict())


def test_an_up_that_lacks_a_password_says_what_is_wanted_and_goes_on_with_it(
    started: Stage,
) -> None:
    started.store.profiles["vpn"] = fake_engine.profile("vpn", tunnel=True)
    asks = (Ask(USERNAME, "User name", True), Ask(PASSWORD, "Password"))
    started.engine.fail("up", "vpn", needed("vpn", asks))
    error = started.ask("up", profile="vpn").error
    assert error.code == "credentials-needed"
    assert [each["name"] for each in error.wanted] == [USERNAME, PASSWORD]
    answers = {"username": "carol", "password": "pw"}
    assert started.ask("up", profile="vpn", credentials=answers).result["state"] == "up"
    assert started.engine.logins["vpn"] == Login("carol", "pw")


def test_a_server_that_refuses_makes_the_profile_failed_not_closed_to_answers(
    started: Stage,
) -> None:
    started.store.profiles["vpn"] = fake_engine.profile("vpn", tunnel=True)
    refused = NetjailError("credentials-refused", "profile vpn is not connected: wrong")
    started.engine.fail("wait", "vpn", refused)
    error = started.ask("up", profile="vpn", wait=5).error
    assert error.code == "credentials-refused"
    assert started.manager.registry.get("vpn").state == "failed"
    started.engine.answers["vpn"] = True
    assert started.ask("up", profile="vpn", wait=5).result["answered"] is True
    assert started.manager.registry.get("vpn").state == "up"


def test_a_client_that_says_what_is_wrong_is_heard_at_once(started: Stage) -> None:
    started.store.profiles["vpn"] = fake_engine.profile("vpn", tunnel=True)
    assert started.ask("up", profile="vpn").result["state"] == "up"
    started.engine.answers["vpn"] = False
    started.engine.troubles["vpn"] = ("degraded", "the server is silent")
    started.engine.changed("vpn")
    started.until(lambda: started.state("vpn") == "degraded")
    assert "the server is silent" in (started.manager.registry.get("vpn").reason or "")
    started.engine.answers["vpn"] = True
    started.engine.changed("vpn")
    started.until(lambda: started.state("vpn") == "up")
