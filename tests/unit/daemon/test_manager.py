# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be asked of the helper, over a fake engine: order, through, states, errors."""

from __future__ import annotations

import os

import pytest
from fake_engine import FakeAdopted, FakeProgram, profile
from manager_stage import Stage

from netjail.daemon.authorise import Peer
from netjail.daemon.protocol import encode_result
from netjail.errors import NetjailError
from netjail.launch import ask


def up(stage: Stage, *names: str) -> None:
    for asked in [stage.ask("up", profile=name) for name in names]:
        assert asked.result["changed"] is not None


# Requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("fly", {}, "bad-request"),
        ("list", {"all": True}, "bad-request"),
        ("up", {}, "bad-request"),
        ("up", {"profile": 3}, "bad-request"),
        ("up", {"profile": "../x"}, "invalid-name"),
        ("up", {"profile": "-rf"}, "invalid-name"),
        ("up", {"profile": "a" * 300}, "invalid-name"),
        ("up", {"profile": "bücher"}, "invalid-name"),
        ("up", {"profile": "a", "wait": -1}, "bad-request"),
        ("up", {"profile": "a", "wait": float("inf")}, "bad-request"),
        ("up", {"profile": "a", "wait": True}, "bad-request"),
        ("down", {"profiles": []}, "bad-request"),
        ("down", {"profiles": "a"}, "bad-request"),
        ("down", {"profiles": ["a", "B"]}, "invalid-name"),
        ("down", {"kill": False}, "bad-request"),
        ("kill", {"profile": "a", "signal": 0}, "bad-request"),
        ("kill", {"profile": "a", "pids": [0], "signal": 9}, "bad-request"),
        ("kill", {"profile": "a", "pids": [-1], "signal": 9}, "bad-request"),
        ("profile.add", {"name": "a", "text": "\ud800", "replace": False}, "bad-request"),
        ("enter", {"profile": "a", "pid": "1"}, "bad-request"),
    ],
)
def test_what_is_not_in_the_table_is_refused(
    started: Stage, method: str, params: dict, code: str
) -> None:
    assert started.ask(method, **params).error.code == code
    assert started.engine.log == [("start", "")]


def test_only_root(started: Stage) -> None:
    error = started.ask("list", peer=Peer(uid=1000, gid=1000, pid=5)).error
    assert error.code == "not-authorised"
    assert "root" in error.message
    assert error.hint is not None and "sudo" in error.hint


def test_hello_is_answered_at_once_and_the_rest_after_adoption(stage: Stage) -> None:
    stage.engine.standing = [FakeAdopted("a", through="base", stop="when-idle")]
    gate = stage.engine.gate("start", "")
    stage.store.put(profile("a"))
    stage.manager.start()
    listed = stage.ask("list")
    assert stage.ask("hello").outcome["protocol"] == 1
    stage.until(lambda: stage.engine.log == [("start", "")])
    assert not listed.done
    assert not stage.manager.quiet
    gate.set()
    (row,) = listed.result["profiles"]
    assert (row["state"], row["since"]) == ("up", 1000)
    entry = stage.manager.registry.get("a")
    assert (entry.through, entry.stop) == ("base", "when-idle")


def test_where_nothing_stands_looking_need_not_wait_for_the_engine(stage: Stage) -> None:
    gate = stage.engine.gate("start", "")
    stage.store.put(profile("a"))
    stage.manager.start()
    assert stage.ask("list").result["profiles"][0]["state"] == "down"
    assert stage.ask("status", profile="a").result["profile"]["state"] == "down"
    brought = stage.ask("up", profile="a")
    assert not brought.done
    gate.set()
    assert brought.result["changed"]


def test_a_failed_adoption_leaves_a_helper_that_serves(stage: Stage) -> None:
    stage.engine.fail("start", "", RuntimeError("broken"))
    stage.store.put(profile("a"))
    stage.start()
    up(stage, "a")


# Up ------------------------------------------------------------------------------------------


def test_up_and_down(started: Stage) -> None:
    started.store.put(profile("a"))
    asked = started.ask("up", profile="a")
    assert asked.result == {
        "profile": "a",
        "kind": "none",
        "state": "up",
        "reason": None,
        "changed": True,
        "answered": None,
    }
    assert asked.said == ["making a"]
    assert not started.manager.quiet
    (result,) = started.ask("down", profiles=["a"]).result["results"]
    assert result == {"profile": "a", "state": "down", "changed": True, "errors": []}
    started.until(lambda: started.manager.quiet)
    assert started.changes == [("a", s) for s in ("starting", "up", "stopping", "down")]


def test_the_second_up_waits_and_changes_nothing(started: Stage) -> None:
    started.store.put(profile("a"))
    gate = started.engine.gate("up", "a")
    first, second = started.ask("up", profile="a"), started.ask("up", profile="a")
    started.until(lambda: len(started.logged("up")) == 1)
    gate.set()
    assert (first.result["changed"], second.result["changed"]) == (True, False)
    assert started.logged("up", "up done") == [("up", "a"), ("up done", "a")] * 2


def test_order_of_arrival(started: Stage) -> None:
    started.store.put(profile("a"))
    asked = [
        started.ask("up", profile="a"),
        started.ask("down", profiles=["a"]),
        started.ask("up", profile="a"),
        started.ask("down", profiles=None),
    ]
    for each in asked:
        assert each.result
    assert started.logged("up", "down") == [("up", "a"), ("down", "a")] * 2
    assert started.state("a") == "down"


def test_profiles_do_not_wait_for_each_other_and_looking_for_none(started: Stage) -> None:
    started.store.put(profile("slow"), profile("quick"))
    gate = started.engine.gate("up", "slow")
    slow = started.ask("up", profile="slow")
    up(started, "quick")
    rows = {row["name"]: row["state"] for row in started.ask("list").result["profiles"]}
    assert rows == {"slow": "starting", "quick": "up"}
    assert started.ask("status", profile="slow").result["profile"]["state"] == "starting"
    assert started.ask("plan", profile="slow").result["steps"]
    assert started.ask("ps", profile=None).result == {"programs": []}
    assert not slow.done
    gate.set()
    assert slow.result["state"] == "up"


def test_up_that_fails_is_down_again_with_the_reason(started: Stage) -> None:
    started.store.put(profile("a"))
    started.engine.fail("up", "a", NetjailError("missing-program", "wg is not installed", "apt"))
    assert started.ask("up", profile="a").error.code == "missing-program"
    (row,) = started.ask("list").result["profiles"]
    assert (row["state"], row["reason"]) == ("down", "wg is not installed")
    up(started, "a")


def test_a_bug_in_the_engine_is_an_internal_error_not_the_end(
    started: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    started.store.put(profile("a"))
    started.engine.fail("up", "a", ZeroDivisionError("secret detail"))
    error = started.ask("up", profile="a").error
    assert error.code == "internal"
    assert "secret detail" not in f"{error.message}{error.hint}"
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert started.state("a") == "down"
    up(started, "a")
    started.engine.fail("down", "a", ZeroDivisionError())
    (result,) = started.ask("down", profiles=["a"]).result["results"]
    assert (result["state"], result["errors"][0]["code"]) == ("failed", "internal")
    (result,) = started.ask("down", profiles=["a"]).result["results"]
    assert (result["state"], result["errors"]) == ("down", [])


def test_waiting_for_an_answer(started: Stage) -> None:
    started.store.put(profile("good", tunnel=True), profile("silent", tunnel=True))
    started.engine.answers = {"good": True, "silent": False}
    assert started.ask("up", profile="good", wait=5).result["answered"] is True
    silent = started.ask("up", profile="silent", wait=0.6).result
    assert (silent["answered"], silent["state"]) == (False, "degraded")
    assert "0.6 s" in silent["reason"]
    # a second up that changes nothing does not pretend that it answers
    assert started.ask("up", profile="silent").result["state"] == "degraded"
    started.engine.answers["silent"] = True
    assert started.ask("up", profile="silent", wait=5).result["state"] == "up"


def test_down_need_not_wait_for_who_waits_for_an_answer(started: Stage) -> None:
    started.store.put(profile("a", tunnel=True))
    started.engine.answers["a"] = False
    waiting = started.ask("up", profile="a", wait=60)
    started.until(lambda: started.state("a") == "up")
    assert started.ask("down", profiles=["a"]).result["results"][0]["state"] == "down"
    assert waiting.error.code == "not-up"


def test_nobody_waits_for_a_caller_that_has_gone(started: Stage) -> None:
    started.store.put(profile("a", tunnel=True))
    started.engine.answers["a"] = False
    waiting = started.ask("up", profile="a", wait=3600)
    started.until(lambda: started.state("a") == "up")
    assert waiting.call is not None
    waiting.call.abandon()
    started.until(lambda: not started.manager.busy, seconds=5)
    assert not waiting.done


# Through -------------------------------------------------------------------------------------


def test_what_it_goes_through_comes_first(started: Stage) -> None:
    started.store.put(profile("c", "b"), profile("b", "a"), profile("a"))
    asked = started.ask("up", profile="c")
    assert asked.result["changed"]
    assert [name for _, name in started.logged("up")] == ["a", "b", "c"]
    assert any("b first" in text for text in asked.said)
    assert [started.state(name) for name in "abc"] == ["up"] * 3
    # and is left alone when it is up
    started.ask("up", profile="c").result  # noqa: B018
    assert [name for _, name in started.logged("up")] == ["a", "b", "c", "c"]


def test_many_through_one_at_once_bring_it_up_once(started: Stage) -> None:
    started.store.put(profile("base"), *(profile(f"p{n}", "base") for n in range(8)))
    gates = [started.engine.gate("up", f"p{n}") for n in range(8)]
    asked = [started.ask("up", profile=f"p{n}") for n in range(8)]
    # all eight at work at the same time, none waiting for another
    started.until(lambda: len(started.logged("up")) == 9)
    for gate in gates:
        gate.set()
    assert all(each.result["changed"] for each in asked)
    assert started.logged("up").count(("up", "base")) == 1


def test_a_circle_is_named_before_anything_is_touched(started: Stage) -> None:
    started.store.put(profile("a", "b"), profile("b", "c"), profile("c", "a"))
    error = started.ask("up", profile="a").error
    assert "a -> b -> c -> a" in error.message
    assert not started.logged("up")
    started.store.put(profile("self", "self"))
    assert "self -> self" in started.ask("up", profile="self").error.message


def test_a_circle_made_by_an_edit_while_up(started: Stage) -> None:
    started.store.put(profile("b", "a"), profile("a"))
    up(started, "b")
    started.store.put(profile("a", "b"))
    assert started.ask("up", profile="a").error.code in ("invalid-profile", "in-use")
    assert started.state("a") == "up"


def test_missing_below(started: Stage) -> None:
    started.store.put(profile("b", "a"))
    error = started.ask("up", profile="b").error
    assert error.code == "no-such-profile"
    assert error.message == "profile b goes through a, but there is no profile a"
    assert not started.logged("up")


def test_failure_below(started: Stage) -> None:
    started.store.put(profile("b", "a"), profile("a"))
    started.engine.fail("up", "a", NetjailError("system", "no room"))
    error = started.ask("up", profile="b").error
    assert "a, which b goes through" in error.message and "no room" in error.message
    assert (started.state("a"), started.state("b")) == ("down", "down")


def test_what_others_go_through_stays_up(started: Stage) -> None:
    started.store.put(profile("c", "b"), profile("b", "a"), profile("a"))
    up(started, "c")
    (result,) = started.ask("down", profiles=["a"], kill=True).result["results"]
    assert (result["state"], result["changed"]) == ("up", False)
    (error,) = result["errors"]
    assert (error["code"], error["hint"]) == ("in-use", "netjail down c b a")


def test_what_others_are_coming_up_through_stays_up(started: Stage) -> None:
    started.store.put(profile("b", "a"), profile("a"))
    gate = started.engine.gate("up", "b")
    coming = started.ask("up", profile="b")
    started.until(lambda: ("up", "b") in started.engine.log)
    (result,) = started.ask("down", profiles=["a"]).result["results"]
    assert result["errors"][0]["code"] == "in-use"
    gate.set()
    assert coming.result["state"] == "up"


def test_in_one_down_dependents_go_first(started: Stage) -> None:
    started.store.put(profile("c", "b"), profile("b", "a"), profile("a"), profile("z"))
    up(started, "c", "z")
    results = started.ask("down", profiles=["a", "z", "b", "c"]).result["results"]
    assert [each["profile"] for each in results] == ["a", "z", "b", "c"]
    assert all(each["state"] == "down" and not each["errors"] for each in results)
    assert [name for _, name in started.logged("down") if name != "z"] == ["c", "b", "a"]


def test_up_through_and_down_of_both_at_once(started: Stage) -> None:
    started.store.put(profile("b", "a"), profile("a"))
    gate = started.engine.gate("up", "a")
    coming, going = started.ask("up", profile="b"), started.ask("down", profiles=["a", "b"])
    started.until(lambda: ("up", "a") in started.engine.log)
    gate.set()
    assert coming.result["changed"]
    assert all(not each["errors"] for each in going.result["results"])
    assert (started.state("a"), started.state("b")) == ("down", "down")


def test_another_way_than_it_is_up_by_needs_a_down(started: Stage) -> None:
    started.store.put(profile("b", "a"), profile("a"), profile("c"))
    up(started, "b")
    started.store.put(profile("b", "c"))
    assert started.ask("up", profile="b").error.code == "in-use"
    assert started.state("c") == "down"


# Down ----------------------------------------------------------------------------------------


def test_down_all_side_by_side(started: Stage) -> None:
    names = [f"p{number}" for number in range(12)]
    started.store.put(*(profile(name) for name in names))
    up(started, *names)
    started.engine.down_seconds = 0.02
    results = started.ask("down", profiles=None).result["results"]
    assert [each["profile"] for each in results] == sorted(names)
    log = started.logged("down", "down done")
    running = most = 0
    for what, _ in log:
        running += 1 if what == "down" else -1
        most = max(most, running)
    assert 1 < most <= 4
    assert started.ask("down", profiles=None).result == {"results": []}


def test_down_of_what_is_down_and_of_what_is_not(started: Stage) -> None:
    started.store.put(profile("a"))
    first, second = started.ask("down", profiles=["a", "nosuch"]).result["results"]
    assert first == {"profile": "a", "state": "down", "changed": False, "errors": []}
    assert second["errors"][0]["code"] == "no-such-profile"


def test_programs_inside_keep_it_up(started: Stage) -> None:
    started.store.put(profile("a"))
    up(started, "a")
    started.engine.inside = [FakeProgram("a", os.getpid(), command="pytest")]
    (result,) = started.ask("down", profiles=["a"]).result["results"]
    (error,) = result["errors"]
    assert error["code"] == "in-use"
    assert f"a program runs in it: pytest ({os.getpid()})" in error["message"]
    assert error["hint"] is not None and "--kill a" in error["hint"]
    assert started.state("a") == "up"
    row = started.ask("list").result["profiles"][0]
    assert row["programs"] == 1


def test_what_does_not_go_away_is_failed(started: Stage) -> None:
    started.store.put(profile("a"))
    up(started, "a")
    started.engine.stuck = {"a"}
    (result,) = started.ask("down", profiles=["a"]).result["results"]
    assert (result["state"], result["errors"][0]["message"]) == ("failed", "it sticks")
    started.engine.stuck = set()
    assert started.ask("down", profiles=["a"]).result["results"][0]["state"] == "down"


# Profiles ------------------------------------------------------------------------------------


def test_profiles_are_added_read_and_removed(started: Stage) -> None:
    added = started.ask("profile.add", name="a", text="").result
    assert added == {"profile": "a", "warnings": ["a warning"]}
    assert started.ask("profile.add", name="a", text="").error.code == "exists"
    assert started.ask("profile.get", name="a").result == {"name": "a", "text": "text of a"}
    error = started.ask("profile.check", name="x", text="bad").error
    assert error.problems == ("one", "two")
    warnings = started.ask("profile.check", name="x", text="nosuch").result["warnings"]
    assert "nosuch" in warnings[1]
    up(started, "a")
    warnings = started.ask("profile.add", name="a", text="", replace=True).result["warnings"]
    assert "next `netjail up a`" in warnings[1]
    assert started.ask("profile.remove", name="a").error.code == "in-use"
    assert started.ask("profile.remove", name="a", down=True).result == {}
    assert started.ask("list").result == {"profiles": []}
    assert started.ask("profile.remove", name="a").error.code == "no-such-profile"


def test_list_reads_only_what_has_changed_and_shows_what_is_broken(started: Stage) -> None:
    started.store.put(profile("a"), profile("b"))
    started.store.profiles["broken"] = NetjailError("invalid-profile", "it makes no sense")
    started.store.versions["broken"] = 1
    rows = started.ask("list").result["profiles"]
    assert [row["kind"] for row in rows] == ["none", "none", None]
    assert rows[2]["reason"] == "it makes no sense"
    started.store.loads.clear()
    started.store.put(profile("b"))
    started.ask("list").result  # noqa: B018
    assert started.store.loads == ["b"]


def test_a_jail_whose_file_is_gone_is_still_listed_and_taken_down(started: Stage) -> None:
    started.store.put(profile("a"))
    up(started, "a")
    del started.store.profiles["a"]
    (row,) = started.ask("list").result["profiles"]
    assert (row["name"], row["state"], row["kind"]) == ("a", "up", "none")
    assert started.ask("status", profile="a").result["profile"]["state"] == "up"
    assert started.ask("down", profiles=["a"]).result["results"][0]["state"] == "down"
    assert started.ask("status", profile="a").error.code == "no-such-profile"


def test_status_is_whole_whatever_the_state(started: Stage) -> None:
    started.store.put(profile("a", tunnel=True))
    down = started.ask("status", profile="a").result["profile"]
    up(started, "a")
    live = started.ask("status", profile="a").result["profile"]
    assert down.keys() == live.keys()
    assert (down["netns"], live["netns"]) == (None, "netjail-a")
    assert live["uplink"]["interface"] == "wg0"
    assert live["uplink"].keys() == down["uplink"].keys()
    assert "secret" not in str(live)


def test_doctor_and_plan(started: Stage) -> None:
    started.store.put(profile("b", "a"), profile("a"))
    assert started.ask("doctor").result["checks"][0]["status"] == "ok"
    plan = started.ask("plan", profile="b").result
    assert [step["what"] for step in plan["steps"]] == [
        "bring up profile a, which b goes through",
        "make b",
    ]
    assert plan["steps"][0]["command"] == "netjail up a"
    started.engine.fail("plan", "b", NetjailError("not-up", "there is no network of a"))
    steps = started.ask("plan", profile="b").result["steps"]
    assert [step["command"] for step in steps] == ["netjail up a", "netjail up b"]
    up(started, "a")
    started.engine.fail("plan", "b", NetjailError("conflict", "something is in the way"))
    assert started.ask("plan", profile="b").error.code == "conflict"


# The end -------------------------------------------------------------------------------------


def test_ending_finishes_what_runs_and_begins_nothing(started: Stage) -> None:
    started.store.put(profile("a"))
    gate = started.engine.gate("up", "a")
    running, waiting = started.ask("up", profile="a"), started.ask("down", profiles=["a"])
    started.until(lambda: ("up", "a") in started.engine.log)
    started.manager.end()
    late = started.ask("list")
    assert late.error.code == "ending"
    assert started.manager.busy
    gate.set()
    assert running.result["state"] == "up"
    assert waiting.error.code == "ending"
    started.until(lambda: not started.manager.busy)
    assert started.state("a") == "up"


def test_what_up_and_down_answer_is_known_on_the_short_way(stage: Stage) -> None:
    """Else the command line would be loaded after each (launch.ask)."""
    stage.store.put(profile("a"))
    stage.start()
    for changed in (True, False):
        result = stage.ask("up", profile="a", wait=0).result
        line = encode_result(1, result).decode().rstrip("\n")
        known = ask.read_up(line, "a")
        assert known is not None and known["changed"] is changed, line
    result = stage.ask("down", profiles=["a"], kill=False).result
    assert ask.read_down(encode_result(1, result).decode().rstrip("\n")), result
