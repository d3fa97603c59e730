# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the verb, help, exit statuses, and what is imported for it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import netjail
from netjail import __version__
from netjail.cli import app, bug, verbs
from netjail.cli.parser import HelpAskedError
from netjail.cli.program import split
from netjail.errors import NetjailError

ROOT = Path(netjail.__file__).parents[1]
MAIN = [sys.executable, "-c", "import sys; from netjail.cli.app import main; sys.exit(main())"]


def python(code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return run.stdout


def test_no_verb_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, netjail.cli.app; print(*sys.modules)"
    loaded = python(code).split()
    for module in verbs.MODULES.values():
        assert f"netjail.cli.{module}" not in loaded
    assert "argparse" not in loaded


@pytest.mark.parametrize("verb", ["list", "up", "status", "down"])
def test_everyday_verbs_import_little(verb: str) -> None:
    code = (
        "import sys; from netjail.cli import app;"
        f"app.load('{verb}').parser().parse({['x'] if verb in ('up', 'down') else []});"
        "print(*sys.modules)"
    )
    loaded = python(code).split()
    assert f"netjail.cli.{verb}" in loaded
    assert not [name for name in loaded if name.startswith("netjail.profile")]
    for slow in ("ipaddress", "dataclasses", "inspect", "typing", "json", "difflib", "unicodedata"):
        assert slow not in loaded


@pytest.mark.parametrize("verb", list(verbs.MODULES))
def test_every_verb_teaches(verb: str, cli) -> None:
    assert cli(*verb.split(" "), "--help") == 0
    own = cli.out
    assert own.startswith(f"Usage:\n  netjail {verb}")
    assert "Examples:\n  " in own
    assert all(len(line) <= 90 for line in own.splitlines())
    assert cli("help", *verb.split(" ")) == 0
    assert cli.out == own
    with pytest.raises(HelpAskedError):
        app.load(verb).parser().parse(["-h"])


def test_overview_and_lists(cli) -> None:
    assert cli() == 0
    assert "netjail import" in cli.out
    assert cli("--help") == 0
    for _, group in verbs.GROUPS:
        for verb, _, line in group:
            assert f"  {verb} " in cli.out
            assert line in cli.out
    assert cli("help") == 0
    assert cli("profile", "--help") == 0
    assert "profile edit" in cli.out
    assert "import" not in cli.out


def test_version(cli) -> None:
    assert cli("--version") == 0
    assert cli.out == f"netjail {__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stats"], "`netjail status`"),
        (["ls"], "`netjail list`"),
        (["exec", "vpn", "curl"], "`netjail run`"),
        (["profil"], "`netjail profile`"),
        (["profile", "edti"], "`netjail profile edit`"),
        (["profile", "xyzzy"], "add, show, edit"),
        (["profile"], "wants a second word"),
        (["xyzzy"], "--help"),
        (["--jsno"], "--json"),
        (["up"], "PROFILE"),
        (["up", "--wiat", "3", "vpn"], "--wait"),
        (["up", "--wait", "soon", "vpn"], "number of seconds"),
        (["up", "--wait=nan", "vpn"], "number of seconds"),
        (["list", "vpn"], "one argument too many"),
        (["down"], "--all"),
        (["down", "--all", "vpn"], "--all"),
        (["kill", "-s", "NOPE", "vpn"], "no signal NOPE"),
        (["kill", "-s", "0", "vpn"], "no signal 0"),
        (["run"], "profile"),
        (["run", "vpn"], "netjail shell vpn"),
        (["run", "vpn", "--wait", "3", "curl"], "before the profile"),
        (["run", "--json", "vpn", "true"], "--json"),
        (["--json", "run", "vpn", "true"], "no --json"),
        (["shell", "vpn", "ls"], "netjail run vpn PROGRAM"),
        (["help", "xyzzy"], "no verb"),
    ],
)
def test_usage_errors(words: list[str], said: str, cli) -> None:
    assert cli(*words) == 2
    assert said in cli.err
    assert cli.out == ""
    assert cli.client.calls == []


@pytest.mark.parametrize("name", ["../x", "-rf", "a" * 300, "ü", "A", "", "a b"])
def test_impossible_names(name: str, cli) -> None:
    assert cli("up", "--", name) == 1
    assert "cannot be a profile's name" in cli.err
    assert cli("run", "--", name, "true") == 125


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["vpn", "curl", "-s", "x"], ([], "vpn", ["curl", "-s", "x"])),
        (["vpn", "--", "curl", "--", "x"], ([], "vpn", ["curl", "--", "x"])),
        (["-u", "a", "vpn", "ls", "-u"], (["-u", "a"], "vpn", ["ls", "-u"])),
        (["-ua", "--wait=3", "vpn", "ls"], (["-ua", "--wait=3"], "vpn", ["ls"])),
        (["--user", "a", "--", "vpn", "ls"], (["--user", "a"], "vpn", ["ls"])),
        (["--wait", "0", "--no-wait", "vpn"], (["--wait", "0", "--no-wait"], "vpn", [])),
        (["vpn", "--help"], ([], "vpn", ["--help"])),
        (["--help"], (["--help"], None, [])),
        (["-u"], (["-u"], None, [])),
        ([], ([], None, [])),
    ],
)
def test_split(words: list[str], parts: tuple[list[str], str | None, list[str]]) -> None:
    assert split(words) == parts


@pytest.mark.parametrize(
    ("words", "status"), [(["list"], 1), (["run", "-u", "root", "vpn", "true"], 125)]
)
def test_failures(words: list[str], status: int, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    error = NetjailError("no-such-profile", "There is no profile vpn.", "See `netjail list`.")
    cli.client.answers = {"list": error, "up": error}
    assert cli(*words) == status
    assert cli.err == "netjail: There is no profile vpn\n  See `netjail list`.\n"


def test_interrupted(cli) -> None:
    def interrupt(_params: object) -> None:
        raise KeyboardInterrupt

    cli.client.answers = {"list": interrupt}
    assert cli("list") == 130


def test_without_root(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert app.main(["run", "vpn", "curl", "x"]) == 125
    said = capsys.readouterr().err
    assert "no system service is installed" in said
    assert "sudo netjail" in said
    assert app.main(["list"]) == 1
    assert "sudo netjail ..." in capsys.readouterr().err


def test_a_bug_leaves_a_report(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
    cli.client.answers = {"list": lambda params: {}[f"\x1bkey {key}"]}
    assert cli("list", "--json") == 3
    assert '"code": "internal"' in cli.out
    assert cli("list") == 3
    assert "netjail has a bug" in cli.err
    assert key not in cli.err
    path = Path(cli.err.splitlines()[-1].strip())
    assert path.parent == tmp_path / "state" / "netjail"
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert f"netjail {__version__}" in text
    assert "Traceback" in text
    assert "command: netjail list" in text
    assert key not in text


@pytest.mark.parametrize(
    ("argv", "safe"),
    [
        (["run", "vpn", "curl", "-u", "me:secret"], ["run", "vpn", "[3 words]"]),
        (["run", "--wait", "3", "-uroot", "vpn"], ["run", "--wait", "3", "-uroot", "vpn"]),
        (["list"], ["list"]),
    ],
)
def test_report_without_the_programs_words(argv: list[str], safe: list[str]) -> None:
    assert bug.safe_argv(argv) == safe


def test_report_not_in_the_home_of_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    environ = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    assert bug._directory(environ) == bug.tempfile.gettempdir()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_reader_that_went_away(unbuffered: str) -> None:
    run = subprocess.run(
        ["sh", "-c", '"$@" --help | true; :', "sh", *MAIN],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""


def test_full_disk() -> None:
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [*MAIN, "--help"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert run.returncode == 1
    assert run.stderr == "netjail: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("no_color", [False, True])
def test_on_a_terminal(no_color: bool) -> None:
    environ = {**os.environ, "TERM": "xterm", **({"NO_COLOR": "1"} if no_color else {})}
    environ.pop("CLICOLOR_FORCE", None)
    if not no_color:
        environ.pop("NO_COLOR", None)
    master, slave = pty.openpty()
    with subprocess.Popen([*MAIN, "--help"], cwd=ROOT, stdout=slave, env=environ) as run:
        os.close(slave)
        text = b""
        while chunk := _read(master):
            text += chunk
        assert run.wait() == 0
    os.close(master)
    assert (b"\033[1mPrograms:\033[0m" in text) is not no_color
    assert (b"\033" in text) is not no_color


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # EIO: the other side is closed
        return b""


def test_piped_is_plain(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("--help") == 0
    assert "\033" not in cli.out
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    assert cli("--help") == 0
    assert "\033[1mPrograms:\033[0m" in cli.out


def test_a_missing_package_is_no_bug(cli) -> None:
    def gone(_params: object) -> None:
        raise ModuleNotFoundError("No module named 'wgconfig'", name="wgconfig")

    cli.client.answers = {"list": gone}
    assert cli("list") == 1
    assert "pip install wgconfig" in cli.err


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        (["demo"], []),
        (["demo", "--quick", "--pause"], ["--quick", "--pause"]),
        (["demo", "--json"], ["--json"]),
        (["--json", "demo"], ["--json"]),
    ],
)
def test_demo(words: list[str], passed: list[str], cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from netjail.demo import demo

    seen: list[list[str]] = []

    def main(argv: list[str]) -> int:
        seen.append(argv)
        return 1

    monkeypatch.setattr(demo, "main", main)
    assert cli(*words) == 1
    assert seen == [passed]
    assert cli.out == ""
