# SPDX-License-Identifier: GPL-3.0-or-later
"""What client, spawner and the spawner's children say to each other around a launch.

The *channel* is a pair of SOCK_SEQPACKET sockets that the spawner makes for each child. One end
goes to the helper, the other one to the child alone. Over it the helper sends the order, for which
the child gets ready while polkit still thinks. Then it hands its end on to the client, who sends
the program's descriptors: so neither helper nor spawner ever holds one of a caller's, whose mere
closing may block (FUSE, a socket that lingers, a serial line), and a child that blocks harms nobody
but its caller. That the caller may, the helper says over a pipe that it hands on to nobody.

Each packet begins with a byte that says what it is:

    helper -> child  ORDER        child.Order, marshalled, in a file in memory, and the pipe's
                                  reading end, by SCM_RIGHTS
                     BEGIN        over the pipe: the caller may
    client -> child  DESCRIPTORS  the working directory, then, as the request said, standard
                                  input, output and error, then the terminal: by SCM_RIGHTS
                     DESCRIPTORS_EARLY  the same, before the client knows whether it may; then
                     READY        it does, and can pass signals on: the program can begin
    client -> keeper SIGNAL       number, in text
                     GO_ON        "1": in the foreground of its terminal, "0": in the background
    child -> client  FAILED       status, code, message, hint, separated by zero bytes
    keeper -> client PROGRAM      pid, in text
                     STOPPED      number of the signal, in text
                     ENDED        wait status, in text

The child's end is closed by exec, or held by the keeper (see `keeper`) where there is a terminal.
The *status pipe*, whose reading end the client gets as well, carries the wait status of the
child, in text, when it has ended; nothing if the spawner was killed before.

On the launch path: imports nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

ORDER = b"O"
BEGIN = b"G"
DESCRIPTORS = b"F"
READY = b"R"
DESCRIPTORS_EARLY = b"FE"
SIGNAL = b"S"
GO_ON = b"C"
FAILED = b"E"
PROGRAM = b"P"
STOPPED = b"T"
ENDED = b"X"

DESCRIPTORS_MAX = 5
"""As many as a client may send: directory, three, terminal."""
PACKET_MAX = 16384

PLAIN = 0
"""The caller's own three descriptors; no terminal."""
TERMINAL = 1
"""With a terminal of its own, foreground."""
BACKGROUND = 2
"""With a terminal of its own, on which it does not have the foreground yet."""
DETACHED = 3
"""Without descriptors: /dev/null or the journal."""

EXPECTED = {PLAIN: 4, TERMINAL: 5, BACKGROUND: 5, DETACHED: 1}
"""Descriptors that belong to each."""


def failed(status: int, code: str, message: str, hint: str | None) -> bytes:
    """A packet that says why there is no program. `status`: 125, 126 or 127."""
    words = [str(status), code, message, hint or ""]
    text = "\0".join(word.replace("\0", " ") for word in words)
    return FAILED + text.encode("utf-8", "replace")[: PACKET_MAX - 1]


def parse_failed(packet: bytes) -> tuple[int, str, str, str | None]:
    """Inverse of `failed`."""
    words = packet[1:].decode("utf-8", "replace").split("\0")
    status, code, message, hint = [*words, "", "", "", ""][:4]
    number = int(status) if status.isascii() and status.isdigit() else 125
    return number, code or "system", message, hint or None


def receive(sock: "_socket.socket") -> bytes:
    """The next packet; empty: there is none, or none now, or the other end is closed."""
    for _ in range(2):
        try:
            return sock.recv(PACKET_MAX)
        except ConnectionResetError:
            continue  # told once, where something was left unread; what was said is still there
        except OSError:
            break
    return b""
