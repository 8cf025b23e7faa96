"""Opens a port for each server of `misbehaviours.py` and tells where they are. Run as a process of its own:

Each has a loopback address of its own, so that each is a host of its own to cookies and politeness (Linux has all of
127.0.0.0/8).

    python server.py FOLDER     prints one line of JSON: {"ca": FILE, "urls": {name: URL}, "secret": PORT}

It ends when its standard input does, and prints how many connections the secret port has had.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import socket
import ssl
import sys
import threading
from pathlib import Path

import trustme

sys.path.insert(0, str(Path(__file__).parent))
from misbehaviours import SERVERS, Gone, Peer, Server, bomb

RAW = frozenset({"", "raw-tls", "closed", "full"})


def contexts(folder: Path, addresses: list[str]) -> dict[str, ssl.SSLContext]:
    """One context for each way in which a certificate can be wrong."""
    known, unknown = trustme.CA(), trustme.CA()
    known.cert_pem.write_to_path(folder / "ca.pem")
    long_ago = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificates = {
        "good": known.issue_cert(*addresses),
        "expired": known.issue_cert(*addresses, not_after=long_ago),
        "wrong-host": known.issue_cert("else.example"),
        "self-signed": unknown.issue_cert(*addresses),
        "old-version": known.issue_cert(*addresses),
    }
    made = {}
    for name, certificate in certificates.items():
        made[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(made[name])
    old = made["old-version"]
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    return made


class Port:
    """One server: its listening socket and its threads."""

    def __init__(self, server: Server, address: str, context: ssl.SSLContext | None) -> None:
        self.server = server
        self.context = context
        self.count = 0
        self.listening = socket.create_server((address, 0), backlog=0 if server.door == "full" else 100)
        self.address, self.port = self.listening.getsockname()
        self.secret = 0
        self.held: list[socket.socket] = []

    def url(self) -> str:
        scheme = "http" if self.server.door in RAW - {"raw-tls"} else "https"
        return f"{scheme}://{self.address}:{self.port}/"

    def start(self) -> None:
        if self.server.door == "closed":
            self.listening.close()
        elif self.server.door == "full":
            for _ in range(3):  # the queue of a socket that nobody accepts from holds one or two
                waiting = socket.socket()
                waiting.setblocking(False)
                waiting.connect_ex((self.address, self.port))
                self.held.append(waiting)
        else:
            threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                sock, _ = self.listening.accept()
                self.count += 1
                threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, Gone):
            if self.context is not None:
                sock.settimeout(10)
                sock = self.context.wrap_socket(sock, server_side=True)
            with sock:
                self.server.script(Peer(sock, self.secret))


def main() -> None:
    folder = Path(sys.argv[1])
    addresses = [f"127.0.{1 + number // 200}.{1 + number % 200}" for number in range(len(SERVERS))]
    made = contexts(folder, addresses)
    places = [(address, made.get(server.door)) for server, address in zip(SERVERS, addresses, strict=True)]
    for coding in ("gzip", "deflate", "br", "zstd", "both"):
        bomb(coding)
    secret = Port(Server("secret", "", lambda peer: peer.answer(b"secret")), "127.0.0.1", None)
    ports = [Port(server, *where) for server, where in zip(SERVERS, places, strict=True)]
    for port in (secret, *ports):
        port.secret = secret.port
        port.start()
    where = {port.server.name: port.url() for port in ports}
    print(json.dumps({"ca": str(folder / "ca.pem"), "urls": where, "secret": secret.port}), flush=True)
    sys.stdin.read()
    print(secret.count, flush=True)


if __name__ == "__main__":
    main()
