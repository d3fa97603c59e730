# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipes of docs/recipes, each done as printed: those with a provider on the stage of
`netjail demo`, the others on the machine itself."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nets
from guest import RESULTS, main, sh, test

sys.path.insert(0, str(RESULTS / "recipes"))
import recipe

ENVIRONMENT = {"NO_COLOR": "1", "COLUMNS": "200", "LANG": "C.UTF-8", "HOME": "/root"}
ENVIRONMENT["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
SECONDS = 110


def on_the_machine(read: recipe.Recipe) -> None:
    home = nets.FILES / "recipe"
    shutil.rmtree(home, ignore_errors=True)
    (home / ".files").mkdir(parents=True)
    for number, text in enumerate(recipe.files(read)):
        (home / f".files/{number}").write_text(text)
    (home / "recipe.sh").write_text(recipe.script(read, str(home)))
    resolv = os.readlink("/etc/resolv.conf"), Path("/etc/resolv.conf").read_text()
    variables = [f"{key}={value}" for key, value in ENVIRONMENT.items()]
    with nets.nothing_left():
        try:
            sh(["env", "-i", *variables, "bash", f"{home}/recipe.sh"], ok=None, timeout=SECONDS)
        finally:
            print((home / "said").read_text(), flush=True)
        recipe.judge(read, (home / "said").read_text())
        assert (os.readlink("/etc/resolv.conf"), Path("/etc/resolv.conf").read_text()) == resolv


def on_the_stage(read: recipe.Recipe) -> None:
    sys.path.insert(0, "/usr/share/netjail")
    from netjail.demo.stage import Stage

    home = "/run/root"
    with Stage(providers=2) as stage:
        place = Path(stage.home.path(home))
        (place / ".files").mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(recipe.files(read)):
            (place / f".files/{number}").write_text(text)
        for name, text in (
            ("stockholm.conf", stage.provider_conf),
            ("zurich.conf", stage.provider2_conf),
            ("recipe.sh", recipe.script(read, home)),
        ):
            (place / name).touch(mode=0o600)
            (place / name).write_text(text)
        try:
            stage.home.run(["bash", f"{home}/recipe.sh"], env=ENVIRONMENT, timeout=SECONDS)
        finally:
            print((place / "said").read_text(), flush=True)
        recipe.judge(read, (place / "said").read_text())


def register(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    def as_printed() -> None:
        read = recipe.read(text)
        missing = [program for program in read.needs if shutil.which(program) is None]
        missing += [qdisc for qdisc in read.qdiscs if not recipe.kernel_has(qdisc)]
        assert not missing, f"the image lacks {missing}"
        (on_the_stage if ".conf" in text.replace("resolv.conf", "") else on_the_machine)(read)

    as_printed.__doc__ = f"As printed: {text.splitlines()[0].lstrip('# ')}"
    test(as_printed)


for each in sorted((RESULTS / "recipes").glob("*.md")):
    if each.name != "README.md":
        register(each)

if __name__ == "__main__":
    main()
