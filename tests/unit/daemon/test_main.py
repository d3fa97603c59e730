# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting the helper by the path of its file, as the client does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import netjail

PACKAGE = Path(netjail.__file__).parent


def test_the_package_that_the_file_belongs_to_wins(tmp_path: Path) -> None:
    other = tmp_path / "other" / "netjail"
    shutil.copytree(PACKAGE, other, ignore=shutil.ignore_patterns("__pycache__"))
    init = other / "__init__.py"
    text = init.read_text(encoding="utf-8").replace(netjail.__version__, "99.9")
    init.write_text(text, encoding="utf-8")
    # a directory beside it that would shadow the standard library, were it on the path
    (tmp_path / "other" / "json").mkdir()
    (tmp_path / "other" / "json" / "__init__.py").write_text("1 / 0", encoding="utf-8")
    for package, version in ((PACKAGE, netjail.__version__), (other, "99.9")):
        for options in ([], ["-I"]):
            words = [sys.executable, *options, str(package / "daemon" / "__main__.py")]
            said = subprocess.run(
                [*words, "--version"], cwd="/", capture_output=True, text=True, check=True
            )
            assert said.stdout == f"netjaild {version}\n"


def test_the_engine_is_not_imported_before_the_socket_listens() -> None:
    code = (
        "import sys; import netjail.daemon.__main__;"
        "bad = {'pyroute2', 'tomllib', 'asyncio', 'logging', 'subprocess', 'netjail.engine.api'};"
        "print(*bad.intersection(sys.modules))"
    )
    said = subprocess.run(
        # without site: what a machine's .pth files import is not ours to judge
        [sys.executable, "-S", "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "\n"
