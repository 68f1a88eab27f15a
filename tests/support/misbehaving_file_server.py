"""Serves one file over HTTP on this machine, well or badly, as the first part of the path says.

Run: ``python misbehaving_file_server.py FILE LOG [CERTIFICATE]``; prints its port. Each request is a line of LOG.
"""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONTENT = Path(sys.argv[1]).read_bytes()
SIZE = len(CONTENT)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        with Path(sys.argv[2]).open("a") as log:
            log.write(f"{self.path} {asked}".strip() + "\n")
        start = int(asked.removeprefix("bytes=").removesuffix("-") or 0)
        self.close_connection = True
        BEHAVIOURS[self.path.split("/")[1]](self, start)

    def head(self, start: int, *, length: int | None = SIZE, first: int | None = None) -> None:
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start if first is None else first}-{SIZE - 1}/{SIZE}")
        if length is not None:
            self.send_header("Content-Length", str(length - start))
        self.end_headers()

    def good(self, start: int) -> None:
        self.head(start)
        self.wfile.write(CONTENT[start:])

    def no_range(self, _: int) -> None:
        self.good(0)

    def truncates(self, start: int) -> None:
        self.head(start)
        self.wfile.write(CONTENT[start : start + SIZE // 3])

    def never_more(self, start: int) -> None:
        self.head(start)

    def stalls(self, start: int) -> None:
        self.head(start)
        self.wfile.write(CONTENT[start : SIZE // 2])
        time.sleep(60)

    def silent(self, _: int) -> None:
        time.sleep(60)

    def trickles(self, start: int) -> None:
        self.head(start)
        for position in range(start, SIZE):
            self.wfile.write(CONTENT[position : position + 1])
            time.sleep(0.05)

    def slow(self, start: int) -> None:
        self.head(start)
        for position in range(start, SIZE, SIZE // 20):
            self.wfile.write(CONTENT[position : position + SIZE // 20])
            time.sleep(0.05)

    def alters(self, start: int) -> None:
        self.head(start)
        altered = bytearray(CONTENT)
        altered[-1] ^= 1
        self.wfile.write(altered[start:])

    def too_much(self, start: int) -> None:
        self.head(start, length=None)
        self.wfile.write(CONTENT[start:] + b"more")

    def announces_more(self, start: int) -> None:
        self.head(start, length=SIZE + 4)
        self.wfile.write(CONTENT[start:] + b"more")

    def wrong_range(self, start: int) -> None:
        self.head(start, first=0 if start else None)
        self.wfile.write(CONTENT[start:])

    def no_such_range(self, start: int) -> None:
        if start:
            self.send_error(416)
        else:
            self.good(0)

    def redirects(self, _: int) -> None:
        self.to("/good/f")

    def to_plain_http(self, _: int) -> None:
        self.to("http://mirror.invalid/f")

    def in_circles(self, _: int) -> None:
        self.to("/in_circles/f")

    def to_a_file(self, _: int) -> None:
        self.to("file:///etc/hostname")

    def to(self, place: str) -> None:
        self.send_response(302)
        self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def missing(self, _: int) -> None:
        self.send_error(404)

    def broken(self, _: int) -> None:
        self.send_error(500)

    def babble(self, _: int) -> None:
        self.wfile.write(b"this is not HTTP\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


BEHAVIOURS: dict[str, Callable[[Handler, int], None]] = {
    name: method for name, method in vars(Handler).items() if callable(method) and not name.startswith(("_", "do_"))
}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that leaves is not an error here."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    server.serve_forever()
