"""The misbehaving web: each function is a server that does one thing wrong, on an address and port of its own.

`@server(outcome)` says what a crawl must report of it: a failure's kind, or `page STATUS SIZE` of the page, several in
order of their paths where a page leads to others. The scripts run in threads of a process of their own, so they may
sleep and block as servers do.
"""

from __future__ import annotations

import functools
import gzip
import socket
import struct
import time
import zlib
from collections.abc import Callable
from typing import NamedTuple

import brotli
from backports import zstd

PATIENCE = 20.0
"""Seconds after which a script gives up whatever the client does: the crawl must have ended long before."""


class Gone(Exception):
    """The client has closed the connection: the script is over."""


class Peer:
    """The client, as a script sees it. `secret` is a port of 127.0.0.1 that no start URL names."""

    def __init__(self, sock: socket.socket, secret: int) -> None:
        self.sock = sock
        self.secret = secret
        sock.settimeout(PATIENCE)
        self._buffer = b""

    def request(self) -> tuple[str, bytes]:
        """Read one request; its path and its head."""
        while b"\r\n\r\n" not in self._buffer:
            data = self._receive()
            if not data:
                raise Gone
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head.split(b" ", 2)[1].decode(), head

    def _receive(self) -> bytes:
        try:
            return self.sock.recv(65536)
        except OSError:
            raise Gone from None

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError:
            raise Gone from None

    def answer(self, body: bytes, *headers: bytes, status: bytes = b"200 OK") -> None:
        """A faultless answer."""
        lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
        self.send(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    def wait(self) -> None:
        """Keep the connection until the client has had enough."""
        while self._receive():
            pass

    def reset(self) -> None:
        """Close with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise Gone

    def forever(self, data: bytes, pause: float = 0.0) -> None:
        while True:
            self.send(data)
            if pause:
                time.sleep(pause)


Script = Callable[[Peer], None]


class Server(NamedTuple):
    name: str
    outcome: str
    script: Script
    door: str = ""
    """How the port is: plain, `closed`, `full`, or one of the kinds of TLS."""


SERVERS: list[Server] = []


def server(outcome: str, door: str = "") -> Callable[[Script], Script]:
    def register(script: Script) -> Script:
        SERVERS.append(Server(script.__name__, outcome, script, door))
        return script

    return register


def sends(name: str, outcome: str, data: bytes, then: str = "close") -> None:
    """A server that reads a request, sends these bytes, and closes, waits or resets; again on each connection."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(data)
        if then == "wait":
            peer.wait()
        elif then == "reset":
            time.sleep(0.05)  # what was sent arrives; a RST would overtake it
            peer.reset()

    SERVERS.append(Server(name, outcome, script))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
HTML = b"<!doctype html><title>x</title><p>" + b"text " * 100
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def page(body: bytes, *headers: bytes) -> bytes:
    return HEAD + b"".join(header + b"\r\n" for header in headers) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def whole(body: bytes) -> str:
    return f"page 200 {len(body)}"


# ---- connections -------------------------------------------------------------------------------------------------

SERVERS += [
    Server("nobody_listens", "refused", Peer.wait, "closed"),
    Server("never_accepts", "connect-timeout", Peer.wait, "full"),
]


@server("reset")
def closes_as_soon_as_connected(peer: Peer) -> None:
    pass


@server("reset")
def resets_as_soon_as_connected(peer: Peer) -> None:
    peer.reset()


@server("first-byte-timeout")
def never_answers(peer: Peer) -> None:
    peer.request()
    peer.wait()


@server("first-byte-timeout")
def never_reads(peer: Peer) -> None:
    time.sleep(PATIENCE / 2)


@server("reset")
def closes_instead_of_answering(peer: Peer) -> None:
    peer.request()


@server("reset")
def resets_instead_of_answering(peer: Peer) -> None:
    peer.request()
    peer.reset()


@server(f"page 200 {len(HTML)}")
def speaks_before_it_is_asked(peer: Peer) -> None:
    peer.send(page(HTML))
    peer.wait()


@server(f"page 200 {len(HTML)}")
def thinks_for_a_second(peer: Peer) -> None:
    peer.request()
    time.sleep(1.0)
    peer.send(page(HTML))


# ---- heads -------------------------------------------------------------------------------------------------------


@server("first-byte-timeout")
def drips_its_head(peer: Peer) -> None:
    peer.request()
    for byte in HEAD * 100:
        peer.send(bytes([byte]))
        time.sleep(0.1)


@server("protocol")
def sends_header_fields_without_end(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD)
    peer.forever(b"X-Header: value\r\n" * 100)


@server("protocol")
def sends_one_header_without_end(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD + b"X: ")
    peer.forever(b"x" * 10_000)


@server("protocol")
def sends_interim_answers_without_end(peer: Peer) -> None:
    peer.request()
    peer.forever(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


sends("stops_within_the_status_line", "first-byte-timeout", b"HTTP/1.1 2", then="wait")
sends("closes_within_the_head", "reset", HEAD)
sends("resets_within_the_head", "reset", HEAD, then="reset")
sends("header_of_300_kilobytes", "protocol", HEAD + b"X: " + b"x" * 300_000 + b"\r\n\r\n", then="wait")
sends("a_thousand_headers", "protocol", HEAD + b"X: 1\r\n" * 1000 + b"\r\n", then="wait")
sends("header_without_colon", "protocol", HEAD + b"no colon here\r\n\r\n")
sends("header_with_nul", "protocol", HEAD + b"X: a\0b\r\n\r\n")
sends("header_name_with_space", "protocol", HEAD + b"X Y: a\r\n\r\n")
sends("header_in_latin_1", whole(HTML), page(HTML, b"X: caf\xe9"))
sends("header_folded", whole(HTML), page(HTML, b"X: a\r\n b"))
sends("bare_line_feeds", whole(HTML), page(HTML).replace(b"\r\n", b"\n"))
sends("status_line_of_rubbish", "protocol", b"HELLO WORLD\r\n\r\n")
sends("status_that_is_no_number", "protocol", b"HTTP/1.1 abc OK\r\n\r\n")
sends("status_of_four_digits", "protocol", b"HTTP/1.1 2000 OK\r\n\r\n")
sends("status_999", "status", b"HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n")
sends("reason_of_100_kilobytes", "protocol", b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n", then="wait")
sends("http_0_9", "protocol", HTML)
sends("http_2", "protocol", b"\0\0\x12\4\0\0\0\0\0" + bytes(18))
sends("icy", "protocol", b"ICY 200 OK\r\n\r\n")
sends("nothing_but_newlines", "reset", b"\r\n" * 50)
sends("tls_alert_to_plain_http", "protocol", b"\x15\x03\x01\x00\x02\x02\x46")
sends("interim_answers_then_a_page", whole(HTML), b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 5 + page(HTML))
sends(
    "switches_protocols_unasked",
    "status",
    b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" + bytes(500),
)
sends("http_1_0_that_keeps_the_connection", "idle-timeout", b"HTTP/1.0 200 OK\r\n\r\n" + HTML, then="wait")


# ---- bodies ------------------------------------------------------------------------------------------------------

sends("no_content_with_content", "page 204 0", b"HTTP/1.1 204 No Content\r\n\r\n" + HTML)
sends("not_modified_unasked", "status", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n")
sends("length_too_long", "data-loss", HEAD + b"Content-Length: 9999\r\n\r\n" + HTML)
sends("length_too_short", "page 200 10", HEAD + b"Content-Length: 10\r\n\r\n" + HTML)
sends("length_zero_with_a_body", "page 200 0", HEAD + b"Content-Length: 0\r\n\r\n" + HTML)
sends("length_negative", "protocol", HEAD + b"Content-Length: -5\r\n\r\n" + HTML)
sends("length_of_letters", "protocol", HEAD + b"Content-Length: many\r\n\r\n" + HTML)
sends("two_lengths", "protocol", HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + HTML)
sends("length_and_chunks", "protocol", HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
sends("length_of_ten_gigabytes", "too-large", HEAD + b"Content-Length: 10000000000\r\n\r\n" + HTML, then="wait")
sends("chunk_size_of_rubbish", "protocol", CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n", then="wait")
sends("chunk_size_overflows", "protocol", CHUNKED + b"f" * 40 + b"\r\nhello", then="wait")
sends("chunk_longer_than_said", "protocol", CHUNKED + b"3\r\nhello\r\n0\r\n\r\n", then="wait")
sends("chunks_without_end", "data-loss", CHUNKED + b"5\r\nhello\r\n")
sends("chunk_cut_off", "data-loss", CHUNKED + b"ff\r\nhello")
sends("chunks_then_rubbish", "page 200 5", CHUNKED + b"5\r\nhello\r\n0\r\n\r\nrubbish")
sends(
    "chunks_in_gzip_framing", "page 200 15", HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)
sends("reset_within_a_body_with_length", "data-loss", HEAD + b"Content-Length: 9999\r\n\r\n" + HTML, then="reset")
sends("reset_within_chunks", "data-loss", CHUNKED + b"5\r\nhello\r\n", then="reset")
sends("reset_within_a_body_without_length", "data-loss", HEAD + b"\r\n" + HTML, then="reset")
sends("stalls_within_a_body", "idle-timeout", HEAD + b"Content-Length: 9999\r\n\r\n" + HTML, then="wait")


@server("too-large")
def body_without_end(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD + b"\r\n")
    peer.forever(bytes(100_000))


@server("too-large")
def chunks_of_a_body_without_end(peer: Peer) -> None:
    peer.request()
    peer.send(CHUNKED)
    peer.forever(b"10000\r\n" + bytes(65536) + b"\r\n")


@server("protocol")
def trailers_without_end(peer: Peer) -> None:
    peer.request()
    peer.send(CHUNKED + b"5\r\nhello\r\n0\r\n")
    peer.forever(b"X: 1\r\n" * 1000)


@server("too-slow")
def drips_its_body(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD + b"Content-Length: 100000\r\n\r\n")
    peer.forever(b"x", pause=0.1)


@server("total-timeout")
def flows_without_end_but_not_too_slowly(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD + b"\r\n")
    peer.forever(bytes(1000), pause=0.1)


sends("two_hundred_thousand_tiny_chunks", "page 200 1000000", CHUNKED + b"5\r\nhello\r\n" * 200_000 + b"0\r\n\r\n")


# ---- encodings ---------------------------------------------------------------------------------------------------


def deflated(data: bytes) -> bytes:
    return zlib.compress(data)


@functools.cache
def bomb(coding: str) -> bytes:
    """200 MB of nothing, made once."""
    zeros = bytes(200_000_000)
    match coding:
        case "gzip":
            return gzip.compress(zeros, 9)
        case "deflate":
            return zlib.compress(zeros, 9)
        case "br":
            return brotli.compress(zeros, quality=5)  # type: ignore[no-any-return]
        case "zstd":
            return zstd.compress(zeros)
        case "empty members":
            return gzip.compress(gzip.compress(gzip.compress(b"") * 100_000))
        case "empty frames":
            return gzip.compress(zstd.compress(b"") * 100_000)
        case "empty blocks":  # of brotli, a byte each
            return gzip.compress(b"\x0c" + b"\x06" * 40_000_000 + b"\x03", 5)
    return gzip.compress(gzip.compress(zeros, 9), 9)


def bombs(name: str, coding: str, label: bytes, outcome: str = "bomb") -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(page(bomb(coding), b"Content-Encoding: " + label))

    SERVERS.append(Server(name, outcome, script))


bombs("bomb_gzip", "gzip", b"gzip")
bombs("bomb_deflate", "deflate", b"deflate")
bombs("bomb_brotli", "br", b"br")
bombs("bomb_zstd", "zstd", b"zstd")
bombs("bomb_within_a_bomb", "both", b"gzip, gzip")
bombs("a_hundred_thousand_members_of_nothing", "empty members", b"gzip, gzip, gzip", "encoding")
bombs("a_hundred_thousand_frames_of_nothing", "empty frames", b"zstd, gzip", "encoding")
bombs("bomb_that_yields_nothing", "empty blocks", b"br, gzip")

PACKED = gzip.compress(HTML, mtime=1)  # the time of packing stands in it, and what brotli makes of it varies
sends("plain_text_labelled_gzip", "encoding", page(HTML, b"Content-Encoding: gzip"))
sends("gzip_labelled_brotli", "encoding", page(PACKED, b"Content-Encoding: br"))
sends("gzip_labelled_zstd", "encoding", page(PACKED, b"Content-Encoding: zstd"))
sends("gzip_in_gzip", whole(HTML), page(gzip.compress(PACKED), b"Content-Encoding: gzip, gzip"))
sends(
    "brotli_in_gzip",
    whole(HTML),
    page(gzip.compress(brotli.compress(HTML)), b"Content-Encoding: br", b"Content-Encoding: gzip"),
)
sends("six_layers", "encoding", page(PACKED, b"Content-Encoding: " + b"gzip, " * 6))
sends("gzip_cut_off", "data-loss", page(PACKED[:-10], b"Content-Encoding: gzip"))
sends("gzip_cut_off_without_length", "data-loss", HEAD + b"Content-Encoding: gzip\r\n\r\n" + PACKED[:-10])
sends("gzip_with_a_wrong_checksum", "encoding", page(PACKED[:-8] + bytes(8), b"Content-Encoding: gzip"))
sends("gzip_with_rubbish_behind", whole(HTML), page(PACKED + b"rubbish", b"Content-Encoding: gzip"))
sends("gzip_of_nothing", "page 200 0", page(b"", b"Content-Encoding: gzip"))
sends("gzip_in_two_members", f"page 200 {2 * len(HTML)}", page(PACKED * 2, b"Content-Encoding: gzip"))
sends("deflate_without_its_wrapper", whole(HTML), page(zlib.compress(HTML, wbits=-15), b"Content-Encoding: deflate"))
sends("coding_that_nobody_knows", whole(HTML), page(HTML, b"Content-Encoding: utf-8"))
sends("coding_from_the_past", "encoding", page(HTML, b"Content-Encoding: compress"))
sends(
    "image_where_a_page_was_expected",
    "content-type",
    page(b"\x89PNG", b"Content-Type: image/png").replace(b"Content-Type: text/html\r\n", b""),
)
sends("no_content_type", whole(HTML), b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(HTML) + HTML)


# ---- statuses and redirects --------------------------------------------------------------------------------------

sends("not_found", "status", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
sends("unavailable", "retry-status", b"HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
sends("too_many_requests", "retry-status", b"HTTP/1.1 429 X\r\nRetry-After: -1\r\nContent-Length: 0\r\n\r\n")


def redirects(name: str, outcome: str, *locations: bytes) -> None:
    lines = b"".join(b"Location: " + location + b"\r\n" for location in locations)
    sends(name, outcome, b"HTTP/1.1 302 Found\r\n" + lines + b"Content-Length: 0\r\n\r\n")


redirects("redirect_to_nowhere", "status")
redirects("redirect_to_itself", "redirect-loop", b"/")
redirects("redirect_to_a_file", "redirect-blocked", b"file:///etc/passwd")
redirects("redirect_to_a_script", "redirect-blocked", b"javascript:alert(1)")
redirects("redirect_to_ftp", "redirect-blocked", b"ftp://127.0.0.1/")
redirects("redirect_to_rubbish", "redirect-blocked", b"http://[bad")
redirects("redirect_two_ways", "redirect-blocked", b"/a", b"/b")


def redirects_to_the_secret(name: str, host: bytes) -> None:
    """To a port of this machine that no start URL names."""

    def script(peer: Peer) -> None:
        peer.request()
        location = b"http://%s:%d/%s" % (host, peer.secret, name.encode())
        peer.answer(b"", b"Location: " + location, status=b"307 X")

    SERVERS.append(Server(name, "blocked-address", script))


redirects_to_the_secret("redirect_to_this_machine", b"127.0.0.1")
redirects_to_the_secret("redirect_to_localhost", b"localhost")
redirects_to_the_secret("redirect_to_ipv6_loopback", b"[::1]")
redirects_to_the_secret("redirect_to_mapped_ipv4", b"[::ffff:127.0.0.1]")
redirects_to_the_secret("redirect_to_a_decimal_address", b"2130706433")
redirects_to_the_secret("redirect_to_an_octal_address", b"0177.0.0.1")
redirects_to_the_secret("redirect_to_a_short_address", b"127.1")
redirects_to_the_secret("redirect_behind_user_information", b"example.com%2f@127.0.0.1")


@server("redirect-loop")
def redirects_in_a_circle_of_three(peer: Peer) -> None:
    while True:
        path, _ = peer.request()
        turn = {"/": b"/a", "/a": b"/b", "/b": b"/"}[path]
        peer.answer(b"", b"Location: " + turn, status=b"302 X")


@server("redirect-loop")
def redirects_to_a_new_place_each_time(peer: Peer) -> None:
    while True:
        path, _ = peer.request()
        peer.answer(b"", b"Location: " + path.encode() + b"x", status=b"302 X")


@server(f"page 200 {len(HTML)}")
def redirects_with_a_body_without_end(peer: Peer) -> None:
    path, _ = peer.request()
    if path == "/":
        peer.send(b"HTTP/1.1 302 X\r\nLocation: /next\r\n\r\n")
        peer.forever(bytes(100_000))
    peer.send(page(HTML))


@server(f"page 200 {len(HTML)}")
def redirects_with_bytes_that_are_no_text(peer: Peer) -> None:
    path, _ = peer.request()
    if path == "/":
        peer.answer(b"", b"Location: /caf\xe9 \xff", status=b"302 X")
    elif path == "/caf%E9%20%FF":
        peer.send(page(HTML))


@server(f"page 200 {len(HTML)}")
def sends_back_who_has_no_cookie(peer: Peer) -> None:
    """The cookie bounce: the same URL twice in a chain, and then the page."""
    while True:
        path, head = peer.request()
        if b"Cookie: sid=1" in head:
            peer.send(page(HTML))
        elif path == "/":
            peer.answer(b"", b"Location: /set", status=b"302 X")
        else:
            peer.answer(b"", b"Location: /", b"Set-Cookie: sid=1; Path=/", status=b"302 X")


# ---- connections that are kept -----------------------------------------------------------------------------------

NEXT = b'<a href="/1">next</a>'


def led(body: bytes) -> str:
    return f"page 200 {len(NEXT)}, page 200 {len(body)}"


@server(led(b"second"))
def closes_between_requests(peer: Peer) -> None:
    path, _ = peer.request()
    peer.answer(NEXT if path == "/" else b"second", b"Connection: keep-alive", b"Content-Type: text/html")


@server(led(b"second"))
def resets_between_requests(peer: Peer) -> None:
    path, _ = peer.request()
    peer.answer(NEXT if path == "/" else b"second", b"Content-Type: text/html")
    time.sleep(0.05)
    peer.reset()


@server(led(b"second"))
def answers_twice_at_once(peer: Peer) -> None:
    while True:
        path, _ = peer.request()
        peer.send(page(NEXT if path == "/" else b"second") + page(b"this is nobody's answer"))


@server(led(b"second"))
def answers_again_on_an_idle_connection(peer: Peer) -> None:
    while True:
        path, _ = peer.request()
        peer.send(page(NEXT if path == "/" else b"second"))
        time.sleep(0.02)
        peer.send(page(b"this is nobody's answer"))


@server(led(b"second"))
def says_goodbye_on_an_idle_connection(peer: Peer) -> None:
    path, _ = peer.request()
    peer.send(page(NEXT if path == "/" else b"second"))
    time.sleep(0.02)
    peer.send(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")


@server(led(b"small"))
def floods_with_cookies(peer: Peer) -> None:
    """200 KB of cookies; the answer to the next request tells how much of it came back."""
    while True:
        path, head = peer.request()
        if path == "/":
            flood = [b"Set-Cookie: n%d=%s; Path=/" % (number, b"x" * 2000) for number in range(100)]
            peer.answer(NEXT, b"Content-Type: text/html", *flood)
        else:
            peer.send(page(b"small" if len(head) < 10_000 else b"the head was %d bytes" % len(head)))


@server(led(b"none"))
def sets_cookies_for_others(peer: Peer) -> None:
    while True:
        path, head = peer.request()
        if path == "/":
            others = [b"Set-Cookie: a=1; Domain=" + name for name in (b"com", b"localhost", b"0.0.1", b"1", b".")]
            peer.answer(NEXT, b"Content-Type: text/html", *others[:4], b"Set-Cookie: b=\xff\xfe", b"Set-Cookie: c=\x01")
        else:
            peer.send(page(b"some" if b"Cookie" in head else b"none"))


# ---- what is on the page -----------------------------------------------------------------------------------------


def shows(name: str, body: bytes, *headers: bytes, outcome: str = "") -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(page(body, *headers))

    SERVERS.append(Server(name, outcome or whole(body), script))


shows("nul_bytes", b"<p>\0\0\0</p>" * 1000)
# Quadratic in any parser that follows the standard to the letter (40,000 take Lexbor 7 s): the deadline's business.
shows("a_hundred_thousand_nested_tags", b"<div>" * 100_000, outcome="parse-timeout")
shows(
    "a_hundred_thousand_attributes",
    b"<p " + b" ".join(b"a%d=1" % number for number in range(100_000)) + b">",
    outcome="parse-timeout",
)
shows("twenty_megabytes_on_one_line", b"<p>" + b"x" * 20_000_000)
shows("fifty_megabytes_on_one_line", b"<p>" + b"x" * 50_000_000, outcome="too-large")
shows("unclosed_everything", b"<a href=x><script><style><!-- <![CDATA[ <textarea>" * 1000)
shows("charset_that_nobody_knows", b"<p>\xff\xfe\xfd</p>", b"Content-Type: text/html; charset=martian")
shows("utf_16_labelled_ascii", "<p>grüße</p>".encode("utf-16"), b"Content-Type: text/html; charset=ascii")
shows("half_a_character", b"<meta charset=utf-8><p>\xe2\x82")
shows(
    "links_to_odd_places",
    b'<a href="http://[">x</a><a href="javascript:x">x</a><a href="/\xff">x</a><a href="http://a:99999/">',
)
shows("base_that_is_no_url", b'<base href="http://[bad"><p>text')


# ---- TLS ---------------------------------------------------------------------------------------------------------


@server(f"page 200 {len(HTML)}", door="good")
def tls_as_it_should_be(peer: Peer) -> None:
    peer.request()
    peer.send(page(HTML))


SERVERS += [
    Server("tls_certificate_expired", "tls", Peer.wait, "expired"),
    Server("tls_certificate_of_another_host", "tls", Peer.wait, "wrong-host"),
    Server("tls_certificate_signed_by_itself", "tls", Peer.wait, "self-signed"),
    Server("tls_of_an_old_version", "tls", Peer.wait, "old-version"),
]


@server("connect-timeout", door="raw-tls")
def tls_handshake_that_never_ends(peer: Peer) -> None:
    peer.wait()


@server("tls", door="raw-tls")
def plain_http_on_a_tls_port(peer: Peer) -> None:
    peer.sock.recv(1)
    peer.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    peer.wait()


@server("reset", door="raw-tls")
def reset_within_the_handshake(peer: Peer) -> None:
    peer.sock.recv(1)
    peer.reset()


@server("data-loss", door="good")
def reset_within_tls(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD + b"Content-Length: 9999\r\n\r\n" + HTML)
    time.sleep(0.05)
    peer.reset()
