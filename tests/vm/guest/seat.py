# SPDX-License-Identifier: GPL-3.0-or-later
"""The login program of the session on tty1: runs, inside that session, what suites ask for.

One JSON line per connection: {"argv", "cwd"?, "env"?, "tty"?} gives {"code", "out", "err"}. With
"tty" true the program has the session's terminal as standard input, else nothing.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading

PATH = f"/run/user/{os.getuid()}/netjail-tests.sock"


def serve(conn: socket.socket) -> None:
    with conn, conn.makefile("rw") as stream:
        request = json.loads(stream.readline())
        try:
            done = subprocess.run(
                request["argv"],
                cwd=request.get("cwd"),
                env={**os.environ, **request.get("env", {})},
                stdin=None if request.get("tty") else subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=request.get("timeout", 60),
                check=False,
            )
            answer = {"code": done.returncode, "out": done.stdout, "err": done.stderr}
        except (OSError, subprocess.SubprocessError) as error:
            answer = {"code": 255, "out": "", "err": str(error)}
        stream.write(json.dumps(answer) + "\n")


def main() -> None:
    if os.path.exists(PATH):
        os.unlink(PATH)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(PATH)
        os.chmod(PATH, 0o600)
        sock.listen()
        print("this session is used by netjail's tests", flush=True)
        while True:
            threading.Thread(target=serve, args=(sock.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
