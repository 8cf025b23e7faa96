"""Coverage-guided: arbitrary bytes from a server, through fetch and parse, end in a value of ours. Run by `make fuzz`.

python tests/fuzz/fuzz_web.py CORPUS_FOLDER -max_total_time=60     (libFuzzer's options)

Input: one byte of choices (how the bytes fall into packets; whether the connection is reset), then the answer.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["crawler"]):
    from crawler.fetch.fetcher import Fetcher  # noqa: F401
    from crawler.kinds import FAILURES
    from crawler.parse.work import Setup, Work
    from crawler.spider.base import Spider
    from crawler.spider.harvest import Limits
    from crawler.spider.links import LinkExtractor
    from crawler.spider.travel import Failure, Job, Page, Redirect

sys.path.insert(0, str(Path(__file__).parent))
from web import MOST_BODY, URL, Web

PACKETS = (1, 2, 7, 64, 1500, 1 << 20)


class Reader(Spider):
    """Does to a page what spiders do; none of it may fail, whatever the page is."""

    name = "reader"

    def parse(self, response):  # type: ignore[no-untyped-def]
        yield {
            "title": response.css("title::text").get(),
            "links": len(LinkExtractor().extract_links(response)),
            "texts": len(response.css("p::text").getall()),
            "length": len(response.text),
            "encoding": response.encoding,
        }
        yield from response.follow_all(css="a")


web = Web()
work = Work(Reader(), Setup(encoding="json", domains=None, limits=Limits(), refresh=True))


def one(data: bytes) -> None:
    if not data:
        return
    size = PACKETS[data[0] % len(PACKETS)]
    whole = data[1:]
    result = web.answer([whole[at : at + size] for at in range(0, len(whole), size)], data[0] >= 128)
    if isinstance(result, Page):
        assert len(result.body) <= MOST_BODY
        answer = work.run(Job(1, result.url, result.status, result.headers, result.body, b"", flags=result.flags))
        assert answer.trouble is None, answer.trouble
        assert len(answer.items) == (0 if answer.moved else 1)
    elif isinstance(result, Redirect):
        assert result.url.startswith(("http://", "https://")), result.url
        assert result.details.hops == (URL,)
    else:
        assert isinstance(result, Failure)
        assert result.kind in FAILURES
        assert "timeout" not in result.kind, result


def main() -> None:
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
