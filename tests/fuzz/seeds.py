"""Where the fuzzer begins: one answer of each kind, written into a corpus folder.

python tests/fuzz/seeds.py FOLDER     makes FOLDER/web and FOLDER/parts
"""

from __future__ import annotations

import gzip
import sys
import zlib
from pathlib import Path

import brotli
from backports import zstd

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
PAGE = (
    b'<!doctype html><meta charset=utf-8><base href="/b/"><title>t</title><p>text <a href="?x#f" rel=nofollow>one</a>'
    b'<a href="//else.example">two</a><map><area href=x></map><link rel=canonical href=y>'
)


def packed(body: bytes, coding: bytes) -> bytes:
    return HEAD + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding, len(body)) + body


ANSWERS = {
    "plain": HEAD + b"Content-Length: %d\r\n\r\n" % len(PAGE) + PAGE,
    "until_close": HEAD + b"\r\n" + PAGE,
    "chunked": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n<p>he\r\n3;x=y\r\nllo\r\n0\r\nX: 1\r\n\r\n",
    "gzip": packed(gzip.compress(PAGE), b"gzip"),
    "deflate": packed(zlib.compress(PAGE), b"deflate"),
    "raw_deflate": packed(zlib.compress(PAGE, wbits=-15), b"deflate"),
    "brotli": packed(brotli.compress(PAGE), b"br"),
    "zstd": packed(zstd.compress(PAGE), b"zstd"),
    "stacked": packed(gzip.compress(brotli.compress(PAGE)), b"br, gzip"),
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: //else.example/a?b#c\r\nSet-Cookie: a=b; Path=/\r\n\r\n",
    "cookies": HEAD
    + b"Set-Cookie: a=b; Domain=site.example; Max-Age=9; Secure; HttpOnly\r\n"
    + b"Set-Cookie: __Host-c=d; Path=/; Expires=Wed, 09 Jun 2100 10:18:14 GMT\r\nContent-Length: 0\r\n\r\n",
    "interim": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HEAD + b"Content-Length: 0\r\n\r\n",
    "unavailable": b"HTTP/1.1 503 X\r\nRetry-After: Wed, 09 Jun 2100 10:18:14 GMT\r\nContent-Length: 0\r\n\r\n",
    "utf_16": HEAD + b"\r\n" + PAGE.decode().encode("utf-16"),
    "latin_1": b'HTTP/1.1 200 OK\r\nContent-Type: text/html; charset="iso-8859-1"\r\n\r\n<p>\xe9',
    "xml": b'HTTP/1.1 200 OK\r\nContent-Type: application/rss+xml\r\n\r\n<?xml version="1.0" encoding="koi8-r"?><rss/>',
    "json": b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"a": [1, null, "\\u00e9"]}',
}


# In the order of READERS in fuzz_parts.py.
PARTS = (
    b"a=b; Path=/; Domain=site.example; Secure\n__Secure-c=d; Max-Age=9; Expires=Wed, 09-Jun-2100 10:18:14 GMT",
    b"Wed, 09 Jun 2100 10:18:14 GMT",
    b"\0" + gzip.compress(PAGE),
    b"gzip, br;q=1, x-gzip, identity",
    b"//user@else.example:8080/a/../b?c#d",
    b"::ffff:127.0.0.1",
    b'text/html; charset="utf-8"\n<meta http-equiv=content-type content="text/html; charset=koi8-r"><p>',
    (
        b"<base href='/b/'><meta http-equiv=refresh content='0; url=\"next?a=1\"'><noscript><meta http-equiv=refresh "
        b"content='1;url=//c.example'></noscript>"
    ),
)


def main() -> None:
    web, parts = Path(sys.argv[1]) / "web", Path(sys.argv[1]) / "parts"
    for folder in (web, parts):
        folder.mkdir(parents=True, exist_ok=True)
    for name, answer in ANSWERS.items():
        for choice in (4, 133):  # in large pieces, cleanly ended; in small ones, reset
            (web / f"{name}-{choice}").write_bytes(bytes([choice]) + answer)
    for reader, part in enumerate(PARTS):
        (parts / f"reader-{reader}").write_bytes(bytes([reader]) + part)


if __name__ == "__main__":
    main()
