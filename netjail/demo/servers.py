# SPDX-License-Identifier: GPL-3.0-or-later
"""The web page of the stage: it tells a visitor the address they came from.

`python -m netjail.demo.servers [--port N]` listens on every address, IPv4 and IPv6, and prints
"ready". Text by default (`curl`), a page for whoever accepts text/html (a browser).
"""

from __future__ import annotations

import argparse
import html
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{address}</title>
<style>
body {{ font: 1.2rem system-ui, sans-serif; display: grid; place-content: center;
       min-height: 90vh; text-align: center; }}
b {{ font-size: 2.4rem; }}
</style></head>
<body><p>You are visiting from</p><p><b>{address}</b></p></body></html>
"""


def plain_address(address: str) -> str:
    """An IPv4 visitor of a socket that serves both families, as IPv4."""
    return address.removeprefix("::ffff:").partition("%")[0]


class WhoAmI(BaseHTTPRequestHandler):
    """Answers every GET with the visitor's address."""

    server_version = "whoami"
    sys_version = ""

    def do_GET(self) -> None:
        """The one page there is."""
        address = plain_address(str(self.client_address[0]))
        if "text/html" in self.headers.get("Accept", ""):
            kind, text = "text/html", PAGE.format(address=html.escape(address))
        else:
            kind, text = "text/plain", address + "\n"
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: who visited is seen in the answers."""


class Server(ThreadingHTTPServer):
    """Both families on one socket where the kernel has IPv6, else IPv4."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.address_family = socket.AF_INET6 if _has_ipv6() else socket.AF_INET
        any_address = "::" if self.address_family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104
        super().__init__((any_address, port), WhoAmI)

    def server_bind(self) -> None:
        """As HTTPServer's, without its look-up of the host's name (it waits for a resolver)."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "whoami", self.server_address[1]


def _has_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=80)
    server = Server(parser.parse_args().port)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
