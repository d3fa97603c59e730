# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server that says on which side it is: sides.py SIDE LOG.

The same address leads to the one inside from inside, and to the one outside from outside; which
page was fetched where stands in LOG, a line each.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8099


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        with open(sys.argv[2], "a", encoding="utf-8") as log:
            log.write(self.path + "\n")
        page = f"<title>{sys.argv[1]} {self.path}</title><h1>{sys.argv[1]}</h1>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_args: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    print("ready", flush=True)
    server.serve_forever()
