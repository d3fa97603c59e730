# SPDX-License-Identifier: GPL-3.0-or-later
"""500 desktop entries: the list that menus show, against pyxdg reading the files one by one.

The entries are made up: half with 40 languages, some with actions, which makes 108 lines each.
Those of a Debian with Xfce, Firefox and a few of GNOME's programs have 151 in the mean.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from harness import Contender, Goal, Report, interleave, ratio, timed

PIDS = False
ROUNDS = 25
COUNT = 500
LANGUAGES = ["ar", "bg", "ca", "cs", "da", "de", "el", "es", "fi", "fr"]
LANGUAGES += ["hu", "it", "ja", "ko", "nl", "pl", "pt", "pt_BR", "ru", "sv"]
LANGUAGES += ["ast", "be", "cy", "eo", "et", "eu", "fa", "gl", "he", "hi"]
LANGUAGES += ["id", "is", "lt", "lv", "nb", "sk", "sl", "sr@latin", "tr", "zh_CN"]
OURS, WARM, COLD = "netjail, a new process", "netjail, once more", "netjail, files never seen"
PYXDG = "pyxdg: DesktopEntry of each"


def write(directory: Path) -> None:
    directory.mkdir(parents=True)
    for number in range(COUNT):
        languages = LANGUAGES if number % 2 else LANGUAGES[:3]
        lines = ["[Desktop Entry]", "Type=Application", f"Exec=app-{number} %U", "Icon=app"]
        lines += ["Categories=Utility;GTK;", "MimeType=text/plain;text/html;", "Terminal=false"]
        for key in ("Name", "GenericName", "Comment", "Keywords"):
            lines.append(f"{key}=Something {number}")
            lines += [f"{key}[{each}]=Etwas {number};" for each in languages]
        if number % 4 == 3:
            lines += ["Actions=new;", "", "[Desktop Action new]", "Name=New", "Exec=app --new"]
            lines += [f"Name[{each}]=Neu" for each in languages]
        (directory / f"app{number}.desktop").write_text("\n".join(lines) + "\n")


def measure(options: argparse.Namespace) -> list[Report]:
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    from xdg import BaseDirectory
    from xdg.DesktopEntry import DesktopEntry

    from netjail.desktop import entries, entrycache

    report = Report(f"{COUNT} desktop entries", "ms")
    with tempfile.TemporaryDirectory() as root:
        write(Path(root, "applications"))
        BaseDirectory.xdg_cache_home = os.path.join(root, "cache")
        files = list(entries.files([root]).values())

        def scan() -> None:
            assert len(entries.scan([root]).entries) == COUNT

        def forget() -> None:  # like a new process, which has nothing to free either
            entries._known, entries._known_languages = {}, None

        def new() -> float:
            scan()
            entries.save()
            forget()
            return timed(scan)

        def cold() -> float:
            Path(entrycache.file()).unlink(missing_ok=True)
            forget()
            return timed(scan)

        def pyxdg() -> float:
            kept: list[DesktopEntry] = []
            return timed(lambda: kept.extend(DesktopEntry(path) for path in files))

        contenders: dict[str, Contender] = {
            OURS: new,
            WARM: lambda: (scan(), timed(scan))[1],
            COLD: cold,
            PYXDG: pyxdg,
        }
        series = interleave(contenders, options.rounds or ROUNDS)
    report.series = list(series.values())
    report.goals = [
        Goal("a new process / pyxdg", ratio(series, OURS, PYXDG), "x", 0.5),
        Goal("once more / pyxdg", ratio(series, WARM, PYXDG), "x", 0.5),
        Goal("files never seen / pyxdg", ratio(series, COLD, PYXDG), "x", 0.5),
    ]
    report.notes = [
        "what was read is kept for the next process when this one ends, which is not in the figures"
    ]
    return [report]
