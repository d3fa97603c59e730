# SPDX-License-Identifier: GPL-3.0-or-later
"""Real VPN servers on the stage's provider, with certificates made on the spot.

server = OpenVpnServer(stage, proto="udp")
server.start()
netjail("import", stage.write("p.ovpn", server.client_file()), "--name", "vpn")
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from netjail.demo.nodes import Output, wait_until

OPENVPN_NET4, OPENVPN_NET6 = "10.8.0", "fd08::"
USER, PASSWORD = "carol", 'p"ss w\\rd$1'

_EXTENSIONS = "keyUsage=digitalSignature\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n"


def _openssl(*words: str, **options: Any) -> str:
    return subprocess.run(
        ["openssl", *words], check=True, capture_output=True, text=True, **options
    ).stdout


class Pki:
    """An authority, a server and a client. Texts in PEM."""

    def __init__(self, host: str = "vpn.provider.example", address: str = "198.51.100.20") -> None:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            self.ca_key, self.ca = self._authority(directory)
            san = f"subjectAltName=DNS:{host},IP:{address}\n"
            self.server_key, self.server = self._leaf(directory, "server", "serverAuth", san)
            self.client_key, self.client = self._leaf(directory, "client", "clientAuth", "")
            self.static = self._genkey(directory, "secret")
            self.v2_server = self._genkey(directory, "tls-crypt-v2-server")
            (directory / "v2").write_text(self.v2_server)
            self.v2_client = self._genkey(
                directory, "tls-crypt-v2-client", "--tls-crypt-v2", str(directory / "v2")
            )
            self.pkcs12 = self._pkcs12(directory)
            self.encrypted_key = _openssl(
                *("pkcs8", "-topk8", "-passout", "pass:opensesame", "-v2", "aes256"),
                input=self.client_key,
            )

    @staticmethod
    def _authority(directory: Path) -> tuple[str, str]:
        key = _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout")
        (directory / "ca.key").write_text(key)
        text = _openssl(
            *("req", "-x509", "-new", "-key", str(directory / "ca.key"), "-subj", "/CN=Test CA"),
            *("-days", "30", "-addext", "basicConstraints=critical,CA:TRUE"),
        )
        (directory / "ca.crt").write_text(text)
        return key, text

    @staticmethod
    def _leaf(directory: Path, name: str, usage: str, more: str) -> tuple[str, str]:
        key = _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout")
        (directory / f"{name}.key").write_text(key)
        request = _openssl(
            "req", "-new", "-key", str(directory / f"{name}.key"), "-subj", f"/CN={name}"
        )
        (directory / "ext").write_text(_EXTENSIONS.format(usage=usage) + more)
        text = _openssl(
            *("x509", "-req", "-CA", str(directory / "ca.crt"), "-CAkey"),
            *(str(directory / "ca.key"), "-CAcreateserial", "-days", "30"),
            *("-extfile", str(directory / "ext")),
            input=request,
        )
        return key, text

    def _pkcs12(self, directory: Path) -> str:
        """Authority, certificate and key in one file, in base64; its password is "opensesame"."""
        for name, text in (("k", self.client_key), ("c", self.client)):
            (directory / name).write_text(text)
        made = directory / "client.p12"
        words = ["-export", "-inkey", "k", "-in", "c", "-certfile", "ca.crt", "-out", str(made)]
        _openssl("pkcs12", *words, "-passout", "pass:opensesame", cwd=directory)
        return b64encode(made.read_bytes()).decode()

    @staticmethod
    def _genkey(directory: Path, kind: str, *more: str) -> str:
        path = directory / f"{kind}.out"
        subprocess.run(
            ["openvpn", *more, "--genkey", kind, str(path)], check=True, capture_output=True
        )
        return path.read_text()


@cache
def pki() -> Pki:
    """One for all tests of a run."""
    return Pki()


@cache
def impostor() -> Pki:
    """Another authority; what all customers of the real one share is known to it."""
    made = Pki()
    shared = pki()
    made.static, made.v2_server, made.v2_client = shared.static, shared.v2_server, shared.v2_client
    return made


def missing(*programs: str) -> str | None:
    """Why there can be no such server; None when there can."""
    lacking = [each for each in (*programs, "openssl") if shutil.which(each) is None]
    return f"not installed: {' '.join(lacking)}" if lacking else None


class OpenVpnServer:
    """`wrap`: none, tls-auth, tls-crypt or tls-crypt-v2. `push`: options for clients, in place of
    the usual ones. `login`: whether a user name and password are wanted besides the certificate.
    `question`: whether the server asks for one thing more once it has taken the password (CRV1 of
    its management-notes.txt). `word`: USER's password. `provider`: on whose machine. `keys`: the
    server's own, which are not in the client's file."""

    def __init__(
        self,
        stage: Any,
        *,
        proto: str = "udp",
        port: int = 1194,
        wrap: str = "tls-crypt",
        push: Sequence[str] | None = None,
        login: bool = False,
        question: bool = False,
        word: str = PASSWORD,
        extra: Sequence[str] = (),
        net: int = 8,
        provider: int = 0,
    ) -> None:
        where = stage.providers[provider]
        self.node = where.node
        self.address4, self.address6 = where.wan4, where.wan6
        self.resolver = where.resolver
        self.keys = pki()
        self.proto, self.port, self.wrap, self.login = proto, port, wrap, login
        self.question, self.word = question, word
        self.net4, self.net6 = f"10.{net}.0", f"fd{net:02d}:"
        self.push = list(push) if push is not None else self.usual()
        self.extra = list(extra)
        self.process: Any = None
        self.log: Output | None = None

    def usual(self) -> list[str]:
        """What a provider's server pushes."""
        return [
            "redirect-gateway def1 ipv6 bypass-dhcp",
            f"dhcp-option DNS {self.resolver}",
            "dhcp-option DOMAIN corp.example",
            "ping 1",
            "ping-restart 4",
        ]

    def config(self) -> str:
        """What the server reads."""
        keys = self.keys
        lines = [
            "dev-type tun",
            f"dev ovpn{self.port % 1000}",
            "topology subnet",
            f"server {self.net4}.0 255.255.255.0",
            f"server-ipv6 {self.net6}:/64",
            f"port {self.port}",
            f"proto {self.proto}6" + ("-server" if self.proto == "tcp" else ""),
            *(["multihome"] if self.proto == "udp" else []),
            "dh none",
            "duplicate-cn",
            "ping 1",
            "verb 3",
            "suppress-timestamps",
            *(f'push "{each}"' for each in self.push),
            *self.extra,
        ]
        for tag, text in (("ca", keys.ca), ("cert", keys.server), ("key", keys.server_key)):
            lines += [f"<{tag}>", text.strip(), f"</{tag}>"]
        if self.wrap != "none":
            text = keys.v2_server if self.wrap == "tls-crypt-v2" else keys.static
            lines += [f"<{self.wrap}>", text.strip(), f"</{self.wrap}>"]
        if self.wrap == "tls-auth":
            lines.append("key-direction 0")
        if self.login:
            lines += ["script-security 2", f"auth-user-pass-verify {self._verifier()} via-file"]
        return "\n".join(lines) + "\n"

    def _verifier(self) -> str:
        """A program that takes USER with PASSWORD, or with the code 424242 besides, where that is
        to be in the first answer or, with `question`, in a second one."""
        asking = "sys.exit(not right)\n"
        if self.question:
            name = b64encode(USER.encode()).decode()
            asking = (
                "import os\nreason = 'CRV1:R,E:T0ken:" + name + ":Which number?'\n"
                "if right: open(os.environ['auth_failed_reason_file'], 'w').write(reason)\n"
                "sys.exit(1)\n"
            )
        path = self.node.path("/run/verify")
        with open(path, "w") as file:
            file.write(
                "#!/usr/bin/python3\n"
                "import base64, sys\n"
                "user, password = open(sys.argv[1]).read().splitlines()[:2]\n"
                "parts = password.split(':')\n"
                "if parts[0] == 'SCRV1':\n"
                "    password, code = (base64.b64decode(p).decode() for p in parts[1:])\n"
                "    sys.exit(code != '424242' or password != " + repr(PASSWORD) + ")\n"
                "if parts[0] == 'CRV1':\n"
                "    sys.exit(password != 'CRV1::T0ken::424242' or user != " + repr(USER) + ")\n"
                f"right = (user, password) == ({USER!r}, {self.word!r})\n" + asking
            )
        os.chmod(path, 0o755)
        return "/run/verify"

    def start(self) -> OpenVpnServer:
        """Until it serves."""
        self.process = self.node.service(
            ["openvpn", "--config", "stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.process.stdin.write(self.config().encode())
        self.process.stdin.close()
        self.log = Output(self.process.stdout)
        assert self.log.wait_for(b"Initialization Sequence Completed", 20), self.log.text()
        return self

    def kill(self) -> None:
        """As a server that loses power."""
        self.process.kill()
        self.process.wait()

    def client_file(self, *more: str, address: str | None = None) -> str:
        """What the provider hands out."""
        keys = pki()
        lines = [
            "# Provider's file",
            "client",
            "dev tun",
            f"proto {self.proto}",
            f"remote {address or self.address4} {self.port}",
            "nobind",
            "persist-key",
            "persist-tun",
            "remote-cert-tls server",
            "verb 3",
            *more,
        ]
        if self.login:
            lines.append("auth-user-pass")
        for tag, text in (("ca", keys.ca), ("cert", keys.client), ("key", keys.client_key)):
            lines += [f"<{tag}>", text.strip(), f"</{tag}>"]
        if self.wrap != "none":
            text = keys.v2_client if self.wrap == "tls-crypt-v2" else keys.static
            lines += [f"<{self.wrap}>", text.strip(), f"</{self.wrap}>"]
        if self.wrap == "tls-auth":
            lines.append("key-direction 1")
        return "\n".join(lines) + "\n"

    def toml(self, *more: str, address: str | None = None) -> str:
        """The same as a profile."""
        keys = pki()
        text = keys.v2_client if self.wrap == "tls-crypt-v2" else keys.static
        lines = [
            "version = 1",
            "[uplink]",
            'kind = "openvpn"',
            f'remote = ["{address or self.address4}:{self.port}/{self.proto}"]',
            *more,
            *(
                f'{key} = """\n{value}"""'
                for key, value in (
                    ("ca", keys.ca),
                    ("cert", keys.client),
                    ("key", keys.client_key),
                )
            ),
        ]
        if self.wrap != "none":
            lines.append(f'{self.wrap.replace("-", "_")} = """\n{text}"""')
        if self.wrap == "tls-auth":
            lines.append("key_direction = 1")
        if self.login:
            lines.append("login = true")
        return "\n".join(lines) + "\n"


def until(condition: Any, seconds: float = 30.0) -> bool:
    """Whether it came true."""
    return wait_until(condition, seconds, 0.1)


class OcServer:
    """A real ocserv, which speaks AnyConnect's protocol. USER logs in with OC_PASSWORD."""

    def __init__(self, stage: Any) -> None:
        self.node = stage.provider
        self.address = stage.providers[0].wan4
        self.resolver = stage.providers[0].resolver
        self.process: Any = None
        self.log: Output | None = None
        self.keys = pki()
        self.settings = {"dns": self.resolver, "ipv4-network": "192.168.7.0/24"}
        self.more: list[str] = []
        typed = f"{OC_PASSWORD}\n{OC_PASSWORD}\n"
        self.node.run(["ocpasswd", "-c", "/run/oc-passwd", USER], input=typed, check=True)

    def start(self) -> OcServer:
        """Until it serves."""
        keys = self.keys
        for name, text in (("ca", keys.ca), ("crt", keys.server), ("key", keys.server_key)):
            Path(self.node.path(f"/run/oc-{name}")).write_text(text)
        lines = [*(f"{name} = {value}" for name, value in self.settings.items()), *self.more]
        Path(self.node.path("/run/ocserv.conf")).write_text(_OCSERV + "\n".join(lines) + "\n")
        self.process = self.node.service(
            ["ocserv", "-f", "-c", "/run/ocserv.conf"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.log = Output(self.process.stdout)
        assert self.log.wait_for(b"sec-mod initialized", 20), self.log.text()
        return self

    def stop(self) -> None:
        """All of its processes."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def kill(self) -> None:
        """As a gateway that loses power: each of its processes, without a word."""
        if self.process is not None and self.process.poll() is None:
            found = self.node.run(["sh", "-c", "ps -e -o pid=,comm= | grep ocserv"]).stdout
            pids = [line.split()[0] for line in found.splitlines()]
            self.node.run(["kill", "-9", *pids])  # one may have gone meanwhile
            self.process.wait(timeout=30)

    def toml(self, *more: str) -> str:
        """A profile for it."""
        lines = ["version = 1", "[uplink]", 'kind = "openconnect"', f'server = "{self.address}"']
        return "\n".join([*lines, *more, f'ca = """\n{pki().ca}"""']) + "\n"


OC_PASSWORD = "correct horse"
_OCSERV = """auth = "plain[passwd=/run/oc-passwd]"
tcp-port = 443
udp-port = 443
run-as-user = root
run-as-group = root
socket-file = /run/ocserv-socket
server-cert = /run/oc-crt
server-key = /run/oc-key
ca-cert = /run/oc-ca
isolate-workers = false
max-clients = 16
keepalive = 300
dpd = 2
mobile-dpd = 2
try-mtu-discovery = false
cisco-client-compat = true
device = vpns
ipv6-network = fd07::/64
default-domain = corp.example
log-level = 1
max-ban-score = 0
"""
