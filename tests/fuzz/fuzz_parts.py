"""Coverage-guided: the pure readers of hostile text, each fed directly, some ten thousand times a second. `make fuzz`.

python tests/fuzz/fuzz_parts.py CORPUS_FOLDER -max_total_time=60     (libFuzzer's options)

Input: one byte that chooses the reader, then its text.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["crawler"]):
    from crawler.fetch.cookies import MOST_HEADER, Jar
    from crawler.fetch.dates import parse_cookie_date, parse_date
    from crawler.fetch.decoding import Inflater, codings
    from crawler.fetch.guard import is_public
    from crawler.fetch.redirects import follow
    from crawler.fetch.retry import parse_retry_after
    from crawler.fetch.translate import FetchFailed
    from crawler.spider.content_type import of_fields
    from crawler.spider.encoding import decode, encoding_of
    from crawler.spider.refresh import parse_refresh, refresh_of
    from crawler.spider.response import Response
    from crawler.spider.travel import Details, Failure, Redirect

NOW = 1_700_000_000.0
URL = "https://www.site.example/dir/page?q"
CAP = 100_000
LAYERS = (("gzip",), ("deflate",), ("br",), ("zstd",), ("gzip", "gzip"), ("br", "gzip"))


def cookies(data: bytes) -> None:
    jar = Jar()
    jar.store(URL, data.split(b"\n"), NOW)
    header = jar.header(URL, NOW + 1)
    assert len(header.encode()) <= MOST_HEADER
    assert not any(ord(char) < 32 and char != "\t" for char in header)
    assert jar.header("https://else.example/", NOW + 1) == ""


def dates(data: bytes) -> None:
    text = data.decode("latin-1")
    for value in (parse_date(text, NOW), parse_cookie_date(text), parse_retry_after(text, NOW)):
        assert value is None or isinstance(value, float)


def inflation(data: bytes) -> None:
    if data:
        inflater = Inflater(LAYERS[data[0] % len(LAYERS)], CAP)
        size, kind = 0, ""
        try:
            for at in range(1, len(data), 100):
                size += sum(map(len, inflater.feed(data[at : at + 100])))
            inflater.finish()
        except FetchFailed as failed:
            kind = failed.kind
        assert kind in {"", "encoding", "bomb", "too-large"}, kind
        assert size <= CAP


def labels(data: bytes) -> None:
    kind = ""
    try:
        codings(((b"Content-Encoding", data),))
    except FetchFailed as failed:
        kind = failed.kind
    assert kind in {"", "encoding"}, kind


def locations(data: bytes) -> None:
    found = follow(302, ((b"Location", data),), URL, Details(), 5)
    if isinstance(found, Redirect):
        assert found.url.startswith(("http://", "https://"))
        assert found.url.isascii()
    else:
        assert found is None or (isinstance(found, Failure) and found.kind == "redirect-blocked")


def addresses(data: bytes) -> None:
    is_public(data.decode("latin-1"))


def charsets(data: bytes) -> None:
    head, _, body = data.partition(b"\n")
    kind = of_fields((head.decode("latin-1"),))
    assert isinstance(decode(body, encoding_of(body, kind)), str)


def refreshes(data: bytes) -> None:
    content = data.decode("latin-1")
    target = parse_refresh(content)
    assert target is None or target
    led_to = refresh_of(Response(url=URL, headers=((b"Refresh", data),), body=data))
    assert led_to == "" or led_to.startswith(("http://", "https://"))


READERS = (cookies, dates, inflation, labels, locations, addresses, charsets, refreshes)


def one(data: bytes) -> None:
    if data:
        READERS[data[0] % len(READERS)](data[1:])


def main() -> None:
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
